"""The order in which a station's parts are opened, and that what was opened is closed again.

What a station then does is the business of `edge_runtime.station`.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from functools import partial

from edge_runtime.assembly.engine import open_inspector
from edge_runtime.assembly.intake import open_quality_gate, open_triggers, part_rules
from edge_runtime.assembly.retraining import open_retraining
from edge_runtime.assembly.watching import (
    CountReasons,
    PutAway,
    open_drift,
    open_history,
    open_keeper,
)
from edge_runtime.bundle import open_bundle
from edge_runtime.cameras.drop_folder import DropFolder
from edge_runtime.cameras.sources import parse_source
from edge_runtime.capture.camera import open_camera
from edge_runtime.config import StationConfig
from edge_runtime.contracts.station_id import StationId
from edge_runtime.engines.catalogue import target
from edge_runtime.health import HealthLog
from edge_runtime.identity import Identity
from edge_runtime.inspection import Observer
from edge_runtime.journal.journal import Journal, Retention
from edge_runtime.labels.book import LabelBook
from edge_runtime.labels.intake import LabelIntake
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
            inspector = resources.enter_context(open_inspector(config, bundle, variant))
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
        triggers = open_triggers(config, topics, publisher)
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
            engine=inspector.engine_name,
            batch_wait_s=config.max_wait_ms / 1000,
            cameras=len(cameras),
        )
        drift = open_drift(config, bundle, identity, labels)
        observers: list[Observer] = [CountReasons(health)]
        observers += (PutAway(camera) for camera in cameras if isinstance(camera, DropFolder))
        if config.drift_watch:
            history = open_history(config, bundle, drift, health)
            observers.append(resources.enter_context(closing(history)))
        if config.retrain_watch:
            publish = partial(publisher.set_state, topics.retrain)
            watch = open_retraining(config, bundle, identity, drift, health, publish)
            resources.enter_context(closing(watch))
            watch.start()
        if config.samples_mb:
            keeper = open_keeper(config, bundle, drift, health)
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
            rules=part_rules(config),
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
