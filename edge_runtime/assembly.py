"""From a configuration to a station that is ready to run: the one room that knows all the others.

Owns the order in which things are opened and that what was opened is closed again. What a station then
does is the business of `edge_runtime.station`.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass

from edge_runtime.bundle import Bundle, open_bundle
from edge_runtime.cameras.drop_folder import DropFolder
from edge_runtime.cameras.sources import parse_source
from edge_runtime.capture.camera import open_camera
from edge_runtime.config import StationConfig
from edge_runtime.contracts.station_id import StationId
from edge_runtime.drift.embedding_monitor import EmbeddingMonitor
from edge_runtime.drift.log import DriftLog
from edge_runtime.drift.monitor import Monitor
from edge_runtime.engines.catalogue import open_engine, target
from edge_runtime.health import HealthLog
from edge_runtime.identity import Identity
from edge_runtime.inspection import Answered, Inspector
from edge_runtime.journal.journal import Journal, Retention
from edge_runtime.mes.credentials import read_credentials
from edge_runtime.mes.links import open_mirror, open_publisher
from edge_runtime.mes.topics import Topics
from edge_runtime.station import Station


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
            engine = resources.enter_context(
                closing(
                    open_engine(
                        config.engine,
                        bundle.model_file(variant),
                        model,
                        config.threads,
                        bundle.plans(variant),
                    )
                )
            )
            if config.engine != "null":
                bundle.replay(engine, variant)
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
        camera = resources.enter_context(closing(open_camera(config.source)))
        identity = Identity(
            boot_id=str(uuid.uuid4()),
            site=config.site,
            station=station_id,
            bundle=bundle.title,
            model_sha256=bundle.manifest.files[variant.file],
            config_sha256=config.sha256(),
            is_simulated=parse_source(config.source).simulated,
            product_id=config.product_id,
            external_recipe_id=config.external_recipe_id,
        )
        yield Station(
            identity=identity,
            model=model,
            camera=camera,
            inspector=Inspector(engine, model),
            journal=journal,
            publisher=publisher,
            mirror=mirror,
            topics=topics,
            health=HealthLog(
                boot_id=identity.boot_id,
                site=config.site,
                station=station_id,
                bundle=bundle.title,
                engine=engine.name,
                batch_wait_s=config.max_wait_ms / 1000,
            ),
            drift=_open_drift(config, bundle, identity),
            max_batch=config.max_batch,
            max_wait_s=config.max_wait_ms / 1000,
            backlog_rate=config.mqtt_backlog_rate,
            replay=config.mqtt_replay,
            stop_when_full=config.journal_when_full == "stop",
            frame_limit=config.frames,
            observers=[_PutAway(camera)] if isinstance(camera, DropFolder) else [],
        )


def _open_drift(config: StationConfig, bundle: Bundle, identity: Identity) -> DriftLog:
    reference = bundle.drift_reference() if config.drift_watch else None
    if not config.drift_watch:
        instead = "switched off (drift_watch = false)"
    else:
        instead = f"bundle {bundle.title} has no drift reference: build it again with --validation"
    return DriftLog(
        boot_id=identity.boot_id,
        site=identity.site,
        station=identity.station,
        bundle=bundle.title,
        monitor=None
        if reference is None
        else Monitor(reference, parts_per_day=config.drift_parts_per_day),
        embedding=_open_embedding(config, bundle),
        instead=instead,
    )


def _open_embedding(config: StationConfig, bundle: Bundle) -> EmbeddingMonitor | None:
    reference = bundle.embedding_reference() if config.drift_watch else None
    if reference is None:
        return None
    return EmbeddingMonitor(reference, parts_per_day=config.drift_parts_per_day)


@dataclass(frozen=True, slots=True)
class _PutAway:
    """Tells a drop folder which of its files are answered."""

    folder: DropFolder

    def observe(self, parts: Sequence[Answered]) -> None:
        self.folder.answered(view.frame.part_id for part in parts for view in part.views)
