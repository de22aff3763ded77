"""The declared rules by which a station asks for a retraining, and what goes into an evidence pack."""

from collections.abc import Callable, Iterator
from functools import partial

from edge_runtime.bundle import DRIFT, MANIFEST, Bundle
from edge_runtime.config import StationConfig
from edge_runtime.contracts.drift import DriftReport
from edge_runtime.drift.log import DriftLog
from edge_runtime.drift_history.store import NAME as HISTORY
from edge_runtime.drift_history.store import copied_history
from edge_runtime.errors import StateError
from edge_runtime.health import HealthLog
from edge_runtime.identity import Identity
from edge_runtime.retraining.memory import read_memory
from edge_runtime.retraining.pack import Attachment
from edge_runtime.retraining.rules import Limits
from edge_runtime.retraining.triggers import Triggers
from edge_runtime.retraining.watch import RetrainWatch, Subject, pace_s
from edge_runtime.samples.folder import SAMPLES, Folder


def open_retraining(
    config: StationConfig,
    bundle: Bundle,
    identity: Identity,
    drift: DriftLog,
    health: HealthLog,
    publish: Callable[[bytes], None],
) -> RetrainWatch:
    """Who looks at the rules from time to time, on a thread of its own."""
    memory = read_memory(config.state_dir, bundle=bundle.title, model_sha256=identity.model_sha256)
    limits = retrain_limits(config)
    return RetrainWatch(
        subject=Subject(
            boot_id=identity.boot_id,
            site=identity.site,
            station=identity.station,
            bundle=bundle.title,
            model_sha256=identity.model_sha256,
            source_sha256=bundle.manifest.model.provenance.get("source_sha256"),
            made_at=bundle.manifest.created_at,
        ),
        triggers=Triggers(limits, memory),
        state_dir=config.state_dir,
        report=drift.snapshot,
        attachments=partial(_attachments, config, bundle),
        publish=publish,
        every_s=pace_s(limits),
        on_problem=lambda problem: health.set_problem("retraining", problem),
    )


def retrain_limits(config: StationConfig) -> Limits:
    """The declared rules of a configuration."""
    return Limits(
        warning_hours=config.retrain_warning_hours,
        alarm_hours=config.retrain_alarm_hours,
        min_recall=config.retrain_min_recall,
        max_false_positives=config.retrain_max_false_positives,
        figure_hours=config.retrain_figure_hours,
        labels=config.retrain_labels,
        days=config.retrain_days,
        cool_down_hours=config.retrain_cool_down_hours,
    )


def _attachments(
    config: StationConfig, bundle: Bundle, report: DriftReport
) -> Iterator[Attachment]:
    """What an evidence pack takes along; no secret is part of a configuration."""
    yield Attachment(name="drift.json", content=report.to_json(indent=2).encode())
    yield Attachment(name="config.json", content=config.model_dump_json(indent=2).encode())
    yield Attachment(name="manifest.json", content=bundle.path / MANIFEST)
    reference = bundle.path / DRIFT
    yield Attachment(
        name="reference.json",
        content=reference if DRIFT in bundle.manifest.files else None,
        reason="the bundle has no drift reference",
    )
    try:
        yield Attachment(name=HISTORY, content=copied_history(config.state_dir))
    except StateError as exc:
        yield Attachment(name=HISTORY, content=None, reason=str(exc))
    yield Attachment(
        name="samples.jsonl",
        content=_list_of_samples(Folder(config.state_dir / SAMPLES)),
        reason="no samples are kept",
    )


def _list_of_samples(folder: Folder) -> bytes | None:
    """One line for each, without its frames, which `edge-inspect samples export` hands out."""
    lines = [sample.to_json() for sample in folder.samples()]
    return "".join(f"{line}\n" for line in lines).encode() if lines else None
