"""Who watches the parts that were answered: drift and its history, samples, the counts of health."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from edge_runtime.bundle import Bundle
from edge_runtime.cameras.drop_folder import DropFolder
from edge_runtime.config import StationConfig
from edge_runtime.contracts.verdict import Outcome, reason_code
from edge_runtime.drift.evidence_file import EvidenceFile
from edge_runtime.drift.log import DriftLog
from edge_runtime.drift_history.recorder import HistoryRecorder, Watched
from edge_runtime.health import HealthLog
from edge_runtime.identity import Identity
from edge_runtime.inspection import Answered
from edge_runtime.labels.intake import LabelIntake
from edge_runtime.samples.collection import Collection
from edge_runtime.samples.folder import SAMPLES, Folder
from edge_runtime.samples.keeper import SampleKeeper
from edge_runtime.samples.rules import Rules


def open_drift(
    config: StationConfig, bundle: Bundle, identity: Identity, labels: LabelIntake | None
) -> DriftLog:
    """What is watched for drift; one that watches nothing says why."""
    reference = bundle.drift_reference() if config.drift_watch else None
    if not config.drift_watch:
        instead = "switched off (drift_watch = false)"
    else:
        instead = f"bundle {bundle.title} has no drift reference: build it again with --validation"
    monitor, embedding, evidence = None, None, None
    if reference is not None:
        seen = bundle.embedding_reference()
        expected = [reference.to_json(), "" if seen is None else seen.to_json()]
        evidence = EvidenceFile(config.state_dir, learnt_with=_learnt_with(expected, identity))
        if seen is not None:
            embedding = evidence.embedding(seen, parts_per_day=config.drift_parts_per_day)
        monitor = evidence.monitor(
            reference,
            parts_per_day=config.drift_parts_per_day,
            cameras=len(config.sources),
        )
    return DriftLog(
        boot_id=identity.boot_id,
        site=identity.site,
        station=identity.station,
        bundle=bundle.title,
        monitor=monitor,
        embedding=embedding,
        instead=instead,
        evidence=evidence,
        measured=labels.measured if labels is not None else lambda: None,
    )


def _learnt_with(references: Sequence[str], identity: Identity) -> str:
    """What evidence must not outlive: the model, what is expected of it, the configuration."""
    expected = hashlib.sha256("".join(references).encode()).hexdigest()
    return f"{identity.model_sha256} {expected} {identity.config_sha256}"


def open_history(
    config: StationConfig, bundle: Bundle, drift: DriftLog, health: HealthLog
) -> HistoryRecorder:
    """The course of drift over weeks, on a thread of its own."""
    return HistoryRecorder(
        config.state_dir,
        Watched(
            bundle=bundle.title,
            model=bundle.manifest.model,
            reference=bundle.drift_reference(),
            golden=[(each.label, bundle.path / each.file) for each in bundle.manifest.golden],
        ),
        drift.snapshot,
        on_lost=health.history_lost,
        on_problem=lambda problem: health.set_problem("drift history", problem),
    )


def open_keeper(
    config: StationConfig, bundle: Bundle, drift: DriftLog, health: HealthLog
) -> SampleKeeper:
    """What keeps samples, on a thread of its own."""
    return SampleKeeper(
        Collection(
            Folder(config.state_dir / SAMPLES),
            quota=config.samples_mb * 1_000_000,
            generation=config.samples_generation,
        ),
        Rules(bundle.manifest.model, bundle.drift_reference()),
        drift=drift.snapshot,
        tell=health.samples_stand,
    )


@dataclass(frozen=True, slots=True)
class CountReasons:
    """Tells health why parts were not inspected."""

    health: HealthLog

    def observe(self, parts: Sequence[Answered]) -> None:
        self.health.parts_not_inspected(
            reason_code(part.verdict.reason or "unknown")
            for part in parts
            if part.verdict.verdict is Outcome.NOT_INSPECTED
        )


@dataclass(frozen=True, slots=True)
class PutAway:
    """Tells a drop folder which of its files are answered."""

    folder: DropFolder

    def observe(self, parts: Sequence[Answered]) -> None:
        self.folder.answered(view.frame.part_id for part in parts for view in part.views)
