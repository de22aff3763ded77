"""Keeps samples beside a station that runs: the rules on its thread, the disk on another.

Owns the thread and the bounded queue between the two; when that is full the part is not kept, and
counted. What is kept is decided by `rules` and `collection`. A disk that is full, slow or gone costs
samples and nothing else: the station is told, and the disk is tried again with the next sample.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

from edge_runtime.contracts.drift import DriftLevel, DriftReport
from edge_runtime.contracts.sample import Claim, DriftThen, Reason
from edge_runtime.errors import StateError
from edge_runtime.inspection import Answered
from edge_runtime.samples.collection import Collection
from edge_runtime.samples.rules import Rules

_LOG = logging.getLogger(__name__)

QUEUE = 32
"""Parts that wait for the disk at most, with their frames in memory."""
_DRIFT_EVERY_S = 1.0
"""How often the station is asked how far it has drifted."""
_LOOK_EVERY_S = 60.0
"""How often it is looked whether a command removed samples."""
_CLOSE_WITHIN_S = 10.0
_HAS_MOVED = {DriftLevel.WARNING, DriftLevel.ALARM}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    part: Answered
    claims: tuple[Claim, ...]
    drift: DriftThen | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Label:
    seq: int
    label: str


class SampleKeeper:
    """An observer of the station that keeps samples; a context manager, which has the thread."""

    def __init__(
        self,
        collection: Collection,
        rules: Rules,
        *,
        drift: Callable[[], DriftReport],
        tell: Callable[[int, int, str | None], None],
    ) -> None:
        """`drift` says how the station stands. `tell` is told how many samples there are, how many were
        lost so far, and what is wrong; it is called on this keeper's thread."""
        self._collection = collection
        self._rules = rules
        self._drift = drift
        self._tell = tell
        self._queue: queue.Queue[_Wanted | _Label | None] = queue.Queue(QUEUE)
        self._lock = threading.Lock()
        self._lost = 0
        self._random_lost = 0
        self._then: DriftThen | None = None
        self._asked = -_DRIFT_EVERY_S
        self._thread = threading.Thread(target=self._work, name="samples", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Keep what waits, and end; a disk that does not answer is waited for in vain only so long."""
        deadline = time.monotonic() + _CLOSE_WITHIN_S
        try:
            self._queue.put(None, timeout=_CLOSE_WITHIN_S)
        except queue.Full:
            _LOG.error("samples: the disk does not answer; those that wait for it are given up")
        self._thread.join(max(0.0, deadline - time.monotonic()))

    def observe(self, parts: Sequence[Answered]) -> None:
        """Parts were answered."""
        then = self._drift_now()
        moved = then.moved if then is not None and then.level in _HAS_MOVED else None
        for part in parts:
            claims = self._rules.claims(part, moved)
            if claims:
                self._hand_over(_Wanted(part=part, claims=claims, drift=then))

    def take_label(self, seq: int, label: str) -> None:
        """A label came back for verdict `seq` from rework or re-inspection; any thread, returns at once.

        A sample of it remembers the label, and is kept for disagreeing where it does. Of a part that was
        not kept there is no frame to come back to.
        """
        self._hand_over(_Label(seq=seq, label=label))

    def _drift_now(self) -> DriftThen | None:
        now = time.monotonic()
        if now >= self._asked + _DRIFT_EVERY_S:
            self._asked = now
            report = self._drift()
            moved = tuple(each.statistic for each in report.moved)
            watched = report.level is not DriftLevel.NOT_MONITORED
            self._then = DriftThen(level=report.level, moved=moved) if watched else None
        return self._then

    def _hand_over(self, item: _Wanted | _Label) -> None:
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            self._count_lost(item)

    def _count_lost(self, item: _Wanted | _Label) -> None:
        with self._lock:
            self._lost += 1
            if isinstance(item, _Wanted):
                self._random_lost += any(c.reason is Reason.RANDOM for c in item.claims)

    # --- on the keeper's own thread -----------------------------------------------------------------

    def _work(self) -> None:
        self._attempt(self._collection.open)
        looked = time.monotonic()
        while True:
            try:
                item = self._queue.get(timeout=_LOOK_EVERY_S)
            except queue.Empty:
                pass
            else:
                if item is None:
                    return
                self._attempt(partial(self._take, item), item)
            if time.monotonic() >= looked + _LOOK_EVERY_S:
                looked = time.monotonic()
                self._attempt(self._collection.note_removed)

    def _take(self, item: _Wanted | _Label) -> None:
        with self._lock:
            lost, self._random_lost = self._random_lost, 0
        self._collection.note_random_lost(lost)
        match item:
            case _Wanted(part=part, claims=claims, drift=drift):
                self._collection.keep(part, claims, drift)
            case _Label(seq=seq, label=label):
                self._collection.relabel(seq, label)

    def _attempt(self, act: Callable[[], None], item: _Wanted | _Label | None = None) -> None:
        """Do it, and say how the samples stand."""
        problem = None
        try:
            act()
        except StateError as exc:
            problem = f"no samples are kept: {exc}"
        except OSError as exc:
            problem = f"no samples are kept: {exc.strerror or exc}"
        except Exception as exc:  # noqa: BLE001 - supervision edge: a fault here must not end the station
            _LOG.exception("samples: a fault of ours; the station goes on")
            problem = f"no samples are kept: {exc!r}"
        if problem is not None and item is not None:
            self._count_lost(item)
        with self._lock:
            lost = self._lost
        self._tell(len(self._collection), lost, problem)
