"""Who decided, and with what: what turns an answer into a verdict that can be traced."""

from dataclasses import dataclass

from edge_runtime.contracts.manifest import Thresholds
from edge_runtime.contracts.station_id import StationId
from edge_runtime.contracts.verdict import Verdict, View
from edge_runtime.parts import PartAnswer, ViewAnswer


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

    def verdict(self, seq: int, answer: PartAnswer, thresholds: Thresholds) -> Verdict:
        """The answer as this run's verdict number `seq`."""
        decision = answer.decision
        return Verdict(
            seq=seq,
            result_id=f"{self.boot_id}:{seq}",
            is_simulated=self.is_simulated,
            boot_id=self.boot_id,
            site=self.site,
            line=self.station.line,
            station=self.station.station,
            part_id=answer.announcement.part_id,
            product_id=self.product_id,
            external_recipe_id=self.external_recipe_id,
            internal_recipe_id=self.bundle,
            triggered_at=answer.announcement.triggered_at,
            captured_at=answer.captured_at,
            decided_at=answer.decided.utc,
            verdict=decision.outcome,
            label=decision.label,
            reason=decision.reason,
            scores=decision.scores,
            views=tuple(map(_view, answer.views)) if len(answer.views) > 1 else (),
            thresholds=thresholds,
            model_sha256=self.model_sha256,
            config_sha256=self.config_sha256,
            timings_ms=answer.timings_ms,
        )


def _view(answer: ViewAnswer) -> View:
    frame = None if answer.judgement is None else answer.judgement.frame
    return View(
        camera=answer.camera + 1,
        frame_id=None if frame is None else frame.part_id,
        captured_at=None if frame is None else frame.captured_at,
        verdict=answer.decision.outcome,
        label=answer.decision.label,
        reason=answer.decision.reason,
        scores=answer.decision.scores,
    )
