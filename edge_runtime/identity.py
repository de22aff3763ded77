"""Who decided, and with what: what turns a judgement into a verdict that can be traced."""

from dataclasses import dataclass

from edge_runtime.contracts.manifest import Thresholds
from edge_runtime.contracts.station_id import StationId
from edge_runtime.contracts.verdict import Verdict
from edge_runtime.inspection import Judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What every verdict of one run says about its origin."""

    boot_id: str
    site: str
    station: StationId
    bundle: str
    model_sha256: str
    config_sha256: str
    is_simulated: bool
    product_id: str | None = None
    external_recipe_id: str | None = None

    def verdict(self, seq: int, judgement: Judgement, thresholds: Thresholds) -> Verdict:
        """The judgement as this run's verdict number `seq`."""
        frame, decision = judgement.frame, judgement.decision
        return Verdict(
            seq=seq,
            result_id=f"{self.boot_id}:{seq}",
            is_simulated=self.is_simulated,
            boot_id=self.boot_id,
            site=self.site,
            line=self.station.line,
            station=self.station.station,
            part_id=frame.part_id,
            product_id=self.product_id,
            external_recipe_id=self.external_recipe_id,
            internal_recipe_id=self.bundle,
            captured_at=frame.captured_at,
            decided_at=judgement.decided_at,
            verdict=decision.outcome,
            label=decision.label,
            reason=decision.reason,
            scores=decision.scores,
            thresholds=thresholds,
            model_sha256=self.model_sha256,
            config_sha256=self.config_sha256,
            timings_ms=judgement.timings_ms,
        )
