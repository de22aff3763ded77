"""From a configuration to a station that is ready to run: the one room that knows all the others.

Owns the order in which things are opened and that what was opened is closed again. What a station then
does is the business of `edge_runtime.station`.
"""

import hashlib
import math
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial

from edge_runtime.bundle import DRIFT, MANIFEST, Bundle, open_bundle
from edge_runtime.cameras.drop_folder import DropFolder
from edge_runtime.cameras.sources import parse_source
from edge_runtime.capture.camera import open_camera
from edge_runtime.config import StationConfig
from edge_runtime.contracts.drift import DriftReport
from edge_runtime.contracts.manifest import Variant
from edge_runtime.contracts.station_id import StationId
from edge_runtime.contracts.verdict import Outcome, reason_code
from edge_runtime.drift.evidence_file import EvidenceFile
from edge_runtime.drift.log import DriftLog
from edge_runtime.drift_history.recorder import HistoryRecorder, Watched
from edge_runtime.drift_history.store import NAME as HISTORY
from edge_runtime.drift_history.store import copied_history
from edge_runtime.engines.base import InferenceEngine
from edge_runtime.engines.catalogue import open_engine, target
from edge_runtime.engines.recovering import RecoveringEngine
from edge_runtime.errors import StateError
from edge_runtime.health import HealthLog
from edge_runtime.identity import Identity
from edge_runtime.inspection import Answered, Inspector, Observer
from edge_runtime.journal.journal import Journal, Retention
from edge_runtime.labels.book import LabelBook
from edge_runtime.labels.intake import LabelIntake
from edge_runtime.mes.base import Publisher
from edge_runtime.mes.credentials import read_credentials
from edge_runtime.mes.links import open_mirror, open_publisher
from edge_runtime.mes.topics import Topics
from edge_runtime.parts import PartRules, every
from edge_runtime.quality.gate import QualityGate
from edge_runtime.retraining.memory import read_memory
from edge_runtime.retraining.pack import Attachment
from edge_runtime.retraining.rules import Limits
from edge_runtime.retraining.triggers import Triggers
from edge_runtime.retraining.watch import RetrainWatch, Subject
from edge_runtime.samples.collection import Collection
from edge_runtime.samples.folder import SAMPLES, Folder
from edge_runtime.samples.keeper import SampleKeeper
from edge_runtime.samples.rules import Rules
from edge_runtime.station import Station
from edge_runtime.triggers.base import TriggerSource
from edge_runtime.triggers.counter import FrameCounter
from edge_runtime.triggers.file_names import FileNames
from edge_runtime.triggers.free_run import FreeRun
from edge_runtime.triggers.messages import TriggerMessages

_DEADLINE_S = 1.0
"""For what comes at a pace of its own. Parts go by two to twenty a second, so whoever takes them off the
line still knows which part is meant; twenty times what a busy processor needs for one inference, so
nothing is shed on a station that keeps up."""
_COMPANY_S = 10.0
"""For files that belong together: how long the first waits for the others, as long as for an upload."""
_OPEN_PARTS = 256


@contextmanager
def open_station(
    config: StationConfig,
    environment: Mapping[str, str] = {},
    building: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Iterator[Station]:
    """A station ready to run: bundle verified and replayed, camera open, journal locked.

    The environment is asked for what no configuration holds, the broker's password and key. `building`
    is entered while the engine is built and replays its golden frames, which may take minutes.
    Raises the BundleError, EngineError, CameraError, StateError or BrokerError of whatever refuses. An
    unreachable broker refuses nothing: the station inspects meanwhile and delivers later.
    """
    station_id = StationId.parse(config.station)
    topics = Topics(site=config.site, station=station_id)
    with ExitStack() as resources:
        bundle = open_bundle(config.bundle)
        model = bundle.manifest.model
        variant = bundle.variant(config.variant, target(config.engine))
        with building():
            engine = RecoveringEngine(lambda: _open_engine(config, bundle, variant), model)
            inspector = Inspector(engine, model)
            resources.enter_context(_released(engine, inspector))
        retention = Retention(
            keep_s=config.journal_days * 86_400.0,
            keep_bytes=config.journal_mb * 1_000_000,
            prune_when_full=config.journal_when_full == "prune",
        )
        journal = resources.enter_context(closing(Journal(config.state_dir, retention=retention)))
        client_id = f"edge-inspect-{config.site}-{station_id}"
        credentials = read_credentials(
            environment,
            ca=config.mqtt_ca,
            certificate=config.mqtt_certificate,
            key=config.mqtt_key,
        )
        publisher = open_publisher(
            config.broker,
            client_id=client_id,
            availability_topic=topics.availability,
            credentials=credentials,
        )
        mirror = None
        if config.mqtt_sparkplug_group is not None:
            mirror = open_mirror(
                config.broker,
                group=config.mqtt_sparkplug_group,
                station=station_id,
                client_id=client_id,
                state_dir=config.state_dir,
                credentials=credentials,
            )
        resources.callback(publisher.stop, timeout_s=1.0)
        triggers = _open_triggers(config, topics, publisher)
        cameras = [
            resources.enter_context(closing(open_camera(source))) for source in config.sources
        ]
        identity = Identity(
            boot_id=str(uuid.uuid4()),
            site=config.site,
            station=station_id,
            bundle=bundle.title,
            model_sha256=bundle.manifest.files[variant.file],
            config_sha256=config.sha256(),
            is_simulated=any(parse_source(source).simulated for source in config.sources),
            product_id=config.product_id,
            external_recipe_id=config.external_recipe_id,
        )
        labels = None
        if config.labels_accept:
            book = resources.enter_context(closing(LabelBook(config.state_dir)))
            labels = LabelIntake(
                book,
                journal,
                publisher,
                topics,
                model=model,
                model_sha256=identity.model_sha256,
                days=config.labels_days,
            )
            publisher.listen(topics.label, labels.hear)
            resources.callback(labels.stop)
        health = HealthLog(
            boot_id=identity.boot_id,
            site=config.site,
            station=station_id,
            bundle=bundle.title,
            engine=engine.name,
            batch_wait_s=config.max_wait_ms / 1000,
            cameras=len(cameras),
        )
        drift = _open_drift(config, bundle, identity, labels)
        observers: list[Observer] = [_CountReasons(health)]
        observers += (_PutAway(camera) for camera in cameras if isinstance(camera, DropFolder))
        if config.drift_watch:
            history = _open_history(config, bundle, drift, health)
            observers.append(resources.enter_context(closing(history)))
        if config.retrain_watch:
            publish = partial(publisher.set_state, topics.retrain)
            watch = _open_retraining(config, bundle, identity, drift, publish)
            resources.enter_context(closing(watch))
            watch.start()
        if config.samples_mb:
            keeper = _sample_keeper(config, bundle, drift, health)
            observers.append(resources.enter_context(keeper))
            if labels is not None:
                labels.tell(keeper.take_label)
        if labels is not None:
            labels.start()
        yield Station(
            identity=identity,
            model=model,
            cameras=cameras,
            triggers=triggers,
            rules=_rules(config),
            lag_s=config.trigger_lag_ms / 1000,
            inspector=inspector,
            journal=journal,
            publisher=publisher,
            mirror=mirror,
            topics=topics,
            health=health,
            drift=drift,
            max_batch=config.max_batch,
            max_wait_s=config.max_wait_ms / 1000,
            backlog_rate=config.mqtt_backlog_rate,
            replay=config.mqtt_replay,
            stop_when_full=config.journal_when_full == "stop",
            part_limit=config.frames,
            observers=observers,
            gates=[open_quality_gate(config, bundle, source) for source in config.sources],
        )


def _open_triggers(config: StationConfig, topics: Topics, publisher: Publisher) -> TriggerSource:
    match config.trigger:
        case "free":
            return FreeRun()
        case "camera":
            return FrameCounter()
        case "folder":
            return FileNames(re.compile(config.part_name))
        case "mqtt":
            triggers = TriggerMessages()
            publisher.listen(topics.trigger, triggers.hear)
            return triggers


def _rules(config: StationConfig) -> PartRules:
    match config.trigger:
        case "free" | "camera":
            cameras: tuple[int | None, ...] = (None,)
        case "folder":
            cameras = (None,) * config.part_frames
        case "mqtt":
            cameras = every(range(len(config.sources)), config.part_frames)
    return PartRules(
        cameras=cameras,
        allowed_s=_allowed_s(config),
        unseen=config.part_unseen,
        capacity=max(_OPEN_PARTS, 4 * config.max_batch),
    )


def _allowed_s(config: StationConfig) -> float:
    """From the announcement of a part to its answer, seconds; infinite for whenever."""
    if config.deadline_ms is not None:
        return config.deadline_ms / 1000 or math.inf
    if config.trigger == "folder" and config.part_frames > 1:
        return _COMPANY_S
    waits = config.trigger == "free" and all(parse_source(s).patient for s in config.sources)
    return math.inf if waits or config.trigger == "folder" else _DEADLINE_S


@contextmanager
def _released(engine: InferenceEngine, inspector: Inspector) -> Iterator[None]:
    """Close an engine at the end, but not under the feet of a thread that it never came back to."""
    try:
        yield
    finally:
        if not inspector.busy_s():
            engine.close()


def _open_engine(config: StationConfig, bundle: Bundle, variant: Variant) -> InferenceEngine:
    """The engine, once it has answered the golden frames as recorded."""
    engine = open_engine(
        config.engine,
        bundle.model_file(variant),
        bundle.manifest.model,
        config.threads,
        bundle.plans(variant),
    )
    try:
        if config.engine != "null":
            bundle.replay(engine, variant)
    except BaseException:
        engine.close()
        raise
    return engine


def _open_drift(
    config: StationConfig, bundle: Bundle, identity: Identity, labels: LabelIntake | None
) -> DriftLog:
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


def open_quality_gate(config: StationConfig, bundle: Bundle, source: str) -> QualityGate | None:
    """The gate of one camera; None where the bundle has no limits or it is switched off."""
    reference = bundle.quality_reference() if config.quality_gate else None
    if reference is None:
        return None
    return QualityGate(reference, live=parse_source(source).live)


@dataclass(frozen=True, slots=True)
class _CountReasons:
    """Tells health why parts were not inspected."""

    health: HealthLog

    def observe(self, parts: Sequence[Answered]) -> None:
        self.health.parts_not_inspected(
            reason_code(part.verdict.reason or "unknown")
            for part in parts
            if part.verdict.verdict is Outcome.NOT_INSPECTED
        )


def _open_retraining(
    config: StationConfig,
    bundle: Bundle,
    identity: Identity,
    drift: DriftLog,
    publish: Callable[[bytes], None],
) -> RetrainWatch:
    memory = read_memory(config.state_dir, bundle=bundle.title, model_sha256=identity.model_sha256)
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
        triggers=Triggers(retrain_limits(config), memory),
        state_dir=config.state_dir,
        report=drift.snapshot,
        attachments=partial(_attachments, config, bundle),
        publish=publish,
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


def _open_history(
    config: StationConfig, bundle: Bundle, drift: DriftLog, health: HealthLog
) -> HistoryRecorder:
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


def _sample_keeper(
    config: StationConfig, bundle: Bundle, drift: DriftLog, health: HealthLog
) -> SampleKeeper:
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
class _PutAway:
    """Tells a drop folder which of its files are answered."""

    folder: DropFolder

    def observe(self, parts: Sequence[Answered]) -> None:
        self.folder.answered(view.frame.part_id for part in parts for view in part.views)
