"""One station at work: its parts pass the pipeline, their verdicts go out, and its states are told.

    cameras, triggers -> pipeline -> journal -> delivery -> MQTT

Every part that is announced leaves as one verdict, committed to the journal before anybody outside hears
of it. Owns the beginning and the end of a run and what is published of the station itself; what happens
to a part is the business of `pipeline`.
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence

from edge_runtime.cameras.base import CameraSource
from edge_runtime.committer import Committer
from edge_runtime.contracts.drift import DriftReport
from edge_runtime.contracts.health import Health
from edge_runtime.contracts.journal import JournalHead
from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.delivery.delivery import Delivery
from edge_runtime.drift.log import DriftLog
from edge_runtime.drift.statistics import measure
from edge_runtime.errors import DiskFullError, StateError
from edge_runtime.health import HealthLog
from edge_runtime.identity import Identity
from edge_runtime.inspection import Inspector, Observer
from edge_runtime.journal.journal import Journal
from edge_runtime.mes.base import Mirror, Publisher
from edge_runtime.mes.topics import Topics
from edge_runtime.parts import PartRules
from edge_runtime.pipeline import Pipeline
from edge_runtime.quality.gate import QualityGate
from edge_runtime.service.distribution import Distribution
from edge_runtime.triggers.base import TriggerSource

_LOG = logging.getLogger(__name__)
_POLL_S = 0.2
"""How often it is looked whether a run should end."""
_STATES_EVERY_S = 5.0
_AWAY_S = 5.0
"""How long a station that stops waits for a broker that is not connected."""


class Station:
    """Runs one station from its first part to its last acknowledged verdict."""

    def __init__(
        self,
        *,
        identity: Identity,
        model: ModelSpec,
        cameras: Sequence[CameraSource],
        triggers: TriggerSource,
        rules: PartRules,
        lag_s: float = 0.0,
        inspector: Inspector,
        journal: Journal,
        publisher: Publisher,
        mirror: Mirror | None = None,
        topics: Topics,
        health: HealthLog,
        drift: DriftLog,
        max_batch: int,
        max_wait_s: float,
        backlog_rate: float = 500.0,
        replay: bool = False,
        stop_when_full: bool = False,
        part_limit: int | None = None,
        drain_s: float = 20.0,
        observers: Sequence[Observer] = (),
        gates: Sequence[QualityGate | None] | None = None,
    ) -> None:
        """`gates` are the cameras' quality gates; `lag_s` and `part_limit` are the pipeline's."""
        self._cameras = tuple(cameras)
        self._triggers = triggers
        self._journal = journal
        self._publisher = publisher
        self._mirror = mirror
        self._topics = topics
        self._health = health
        self._drift = drift
        self._stop_when_full = stop_when_full
        self._drain_s = drain_s
        self._delivery = Delivery(
            journal,
            publisher,
            topics,
            backlog_rate=backlog_rate,
            replay=replay,
            on_acknowledged=health.verdict_acknowledged,
        )
        self._committer = Committer(
            identity=identity,
            model=model,
            journal=journal,
            delivery=self._delivery,
            health=health,
            drift=drift,
            mirror=mirror,
            observers=observers,
        )
        self._pipeline = Pipeline(
            cameras=self._cameras,
            triggers=triggers,
            rules=rules,
            lag_s=lag_s,
            spec=model.input,
            measure=measure if drift.watching else None,
            gates=gates or [None] * len(self._cameras),
            inspector=inspector,
            committer=self._committer,
            health=health,
            max_batch=max_batch,
            max_wait_s=max_wait_s,
            part_limit=part_limit,
            on_refusal=self._disk_refused,
        )
        self._stop = threading.Event()
        self._began = time.monotonic()

    def run(self, stop: threading.Event) -> Health:
        """Inspect until `stop` is set, the sources end or the part limit is reached; then drain.

        Returns the final health. Raises CameraError when a source failed for good, StateError when
        verdicts could not be committed and EngineHangsError when the engine did not come back;
        everything that was taken in is answered first, if it can be.
        """
        self._stop = stop
        self._publish_states()
        self._delivery.start()
        if self._mirror is not None:
            self._mirror.start()
        self._pipeline.start(stop)
        self._watch(stop)
        self._pipeline.let_go()
        # What a broker out of reach does not take now waits safely in the journal for the next start.
        patience_s = self._drain_s if self._publisher.connected else min(_AWAY_S, self._drain_s)
        if not self._delivery.drain(patience_s):
            _LOG.warning(
                "%d verdicts wait in the journal for the broker", self._journal.pending_count
            )
        if self._mirror is not None:
            self._mirror.stop(timeout_s=_AWAY_S)
        final = self._publish_states()
        self._drift.save(at_once=True)
        if unanswered := final.parts - sum(final.verdicts.values()):
            _LOG.error("%d parts were taken in and could not be answered", unanswered)
        self._publisher.stop(timeout_s=5.0)
        self._delivery.stop()
        if self._pipeline.failure is not None:
            raise self._pipeline.failure
        return final

    def _watch(self, stop: threading.Event) -> None:
        """Publish the states until no part is on its way; after `stop`, allow `drain_s` for that."""
        next_states = time.monotonic() + _STATES_EVERY_S
        connections = 0
        give_up_at: float | None = None
        while not self._pipeline.finished.wait(_POLL_S):
            now = time.monotonic()
            # What was remembered for the connection was said while there was none.
            connected_anew = connections != self._publisher.connections
            connections = self._publisher.connections
            if connected_anew or now >= next_states:
                self._publish_states()
                next_states = now + _STATES_EVERY_S
            if stop.is_set() and give_up_at is None:
                give_up_at = now + self._drain_s
            if self._pipeline.hopeless or (give_up_at is not None and now >= give_up_at):
                self._pipeline.give_up()

    def _disk_refused(self, error: StateError) -> None:
        self._publish_states()
        if self._stop_when_full and isinstance(error, DiskFullError):
            # No more parts, and as long as a drain may take for somebody to free space.
            self._stop.set()

    @property
    def ending(self) -> bool:
        """No more parts are taken in; those that were are answered."""
        return self._stop.is_set() or self._health.ended

    @property
    def unready(self) -> str | None:
        """Why parts cannot be inspected and recorded at present; None when they can.

        A broker out of reach is no such reason: verdicts wait for it in the journal.
        """
        return "; ".join(self._health.problems("engine", "journal")) or None

    def stalled_s(self) -> float:
        """How long the source or the verdicts of frames taken in have been waited for, seconds."""
        return self._health.stalled_s()

    def stages(self) -> Mapping[str, Distribution]:
        """How long each stage took, frame by frame: `health.STAGES`."""
        return self._health.stages()

    def drift(self) -> DriftReport:
        """How far the line is from training."""
        return self._drift.snapshot()

    def health(self) -> Health:
        """The present state."""
        states = [camera.state for camera in self._cameras]
        problems = [state.problem for state in states if state.problem is not None]
        self._health.set_problem("camera", "; ".join(problems) or None)
        self._health.set_problem("broker", self._publisher.problem)
        self._health.set_problem("delivery", self._delivery.problem)
        if self._mirror is not None:
            self._health.set_problem("mirror", self._mirror.problem)
        parts, repeated, unasked = self._pipeline.counts()
        return self._health.snapshot(
            uptime_s=time.monotonic() - self._began,
            parts=parts,
            frames_unasked=unasked,
            triggers_repeated=repeated,
            triggers_ignored=self._triggers.ignored,
            pending=self._journal.pending_count,
            refused=self._journal.refused_count,
            requests_ignored=self._delivery.requests_ignored,
            not_mirrored=self._mirror.dropped if self._mirror is not None else 0,
            connections=self._publisher.connections,
            camera_restarts=sum(state.restarts for state in states),
            frames_lost=sum(state.lost for state in states),
        )

    def _publish_states(self) -> Health:
        """Health, and the journal's head after it, so that the head covers what health counts; drift."""
        health = self.health()
        self._publisher.set_state(self._topics.health, health.to_json().encode())
        head = self._journal.head
        published = JournalHead(
            site=health.site,
            line=health.line,
            station=health.station,
            at=health.at,
            first_seq=head.first_seq,
            last_seq=head.last_seq,
            sha256=head.sha256.hex(),
        )
        self._publisher.set_state(self._topics.journal, published.to_json().encode())
        self._publisher.set_state(self._topics.drift, self._drift.snapshot().to_json().encode())
        self._drift.save()
        return health
