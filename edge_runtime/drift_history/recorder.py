"""Keeps the drift history of a running station: parts in on the recording thread, rows out on its own.

The recording thread adds numbers and, once a minute, puts what they add up to into a bounded queue;
the file is opened and written by this module's thread. Where the disk refuses or does not keep up,
minutes are lost and counted, and the station goes on: the journal is the record, the history is not. A
kill loses the minute that was being counted.
"""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import cv2

from edge_runtime.contracts.drift import DriftReference, DriftReport
from edge_runtime.contracts.frame import Pixels
from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.contracts.verdict import Verdict
from edge_runtime.drift_history.period import Tally
from edge_runtime.drift_history.records import Picture, Role
from edge_runtime.drift_history.store import HistoryStore
from edge_runtime.errors import StateError
from edge_runtime.inspection import Answered

_LOG = logging.getLogger(__name__)
_QUEUED: Final = 8
"""Minutes that may wait for the disk; a further one is lost."""
_GOLDEN: Final = 6
"""Golden frames that are kept at most."""
_CLOSE_WITHIN_S: Final = 5.0
_QUALITY: Final = 85


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What the history is about."""

    bundle: str
    """`NAME/VERSION`."""
    model: ModelSpec
    reference: DriftReference | None
    golden: Sequence[tuple[str, Path]] = ()
    """Labels and files of golden frames, to be shown beside the line's."""


@dataclass(frozen=True, slots=True)
class _Minute:
    tally: Tally
    exemplar: tuple[Verdict, Pixels] | None


class HistoryRecorder:
    """An observer of answered parts; `close` writes the minute that was begun."""

    def __init__(
        self,
        folder: Path,
        watched: Watched,
        drift: Callable[[], DriftReport],
        *,
        on_lost: Callable[[], None] = lambda: None,
        on_problem: Callable[[str | None], None] = lambda _problem: None,
    ) -> None:
        """`drift` tells the present state, `on_lost` hears of every minute that is lost, `on_problem`
        why; all are called by the recorder's thread, `on_lost` by the recording one too."""
        self._folder = folder
        self._watched = watched
        self._drift = drift
        self._on_lost = on_lost
        self._on_problem = on_problem
        self._tally = self._new_tally()
        self._exemplar: tuple[Verdict, Pixels] | None = None
        self._minutes: queue.Queue[_Minute | None] = queue.Queue(_QUEUED)
        self._store: HistoryStore | None = None
        self._problem: str | None = None
        self._thread = threading.Thread(target=self._write, name="drift history", daemon=True)
        self._thread.start()

    def observe(self, parts: Sequence[Answered]) -> None:
        """Count answered parts; the first of a minute ends the one before."""
        for part in parts:
            if not self._tally.takes(part.verdict.decided_at):
                self._end_minute()
            self._tally.add(part.verdict, (view.statistics for view in part.views))
            if self._exemplar is None:
                pixels = next((v.pixels for v in part.views if v.pixels is not None), None)
                self._exemplar = None if pixels is None else (part.verdict, pixels)

    def close(self) -> None:
        """Write what was begun, as far as the disk takes it within five seconds."""
        self._end_minute()
        try:
            self._minutes.put(None, timeout=_CLOSE_WITHIN_S)
        except queue.Full:
            return
        self._thread.join(_CLOSE_WITHIN_S)

    def _new_tally(self) -> Tally:
        return Tally(self._watched.model, self._watched.reference)

    def _end_minute(self) -> None:
        try:
            self._minutes.put_nowait(_Minute(self._tally, self._exemplar))
        except queue.Full:
            self._on_lost()
        self._tally, self._exemplar = self._new_tally(), None

    # --- the thread that writes ---------------------------------------------------------------------

    def _write(self) -> None:
        while (minute := self._minutes.get()) is not None:
            report = self._drift()
            period = minute.tally.period(report)
            if period is None:
                continue
            try:
                store = self._opened(period.began)
                store.append(period, report, _picture(minute.exemplar))
            except StateError as exc:
                self._on_lost()
                self._note(str(exc))
                self._let_go()
            else:
                self._note(None)
        self._let_go()

    def _note(self, problem: str | None) -> None:
        if problem is not None and self._problem is None:
            _LOG.error("minutes of the drift history are lost: %s", problem)
        elif problem is None and self._problem is not None:
            _LOG.warning("the drift history is kept again")
        self._problem = problem
        self._on_problem(problem)

    def _opened(self, now: datetime) -> HistoryStore:
        if self._store is None:
            store = HistoryStore(self._folder)
            try:
                store.begin(
                    self._watched.bundle,
                    self._watched.reference,
                    [_golden(label, file, now) for label, file in _various(self._watched.golden)],
                )
            except BaseException:
                store.close()
                raise
            self._store = store
        return self._store

    def _let_go(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None


def _various(golden: Sequence[tuple[str, Path]]) -> list[tuple[str, Path]]:
    """Some of them, one of each label first."""
    first = list({label: (label, file) for label, file in reversed(golden)}.values())[::-1]
    return [*first, *(each for each in golden if each not in first)][:_GOLDEN]


def _golden(label: str, file: Path, now: datetime) -> Picture:
    try:
        return Picture(role=Role.TRAINING, at=now, caption=label, image=file.read_bytes())
    except OSError as exc:
        raise StateError(f"golden frame {file} cannot be read: {exc.strerror}") from exc


def _picture(exemplar: tuple[Verdict, Pixels] | None) -> Picture | None:
    if exemplar is None:
        return None
    verdict, pixels = exemplar
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))
    said = f"{verdict.part_id}: {verdict.verdict.value}"
    return Picture(
        role=Role.RECENT,
        at=verdict.decided_at,
        caption=said if verdict.label is None else f"{said} {verdict.label}",
        image=data.tobytes(),
    )
