"""What a monitor has learnt, in a file that outlives the daemon.

Owns the file: written aside and renamed, so that a kill leaves the old one or the new one; bound to the
bundle and the configuration it was learnt with. It is never worth more than its loss: what cannot be
read is told in one line and begun anew, what cannot be written is told once.
"""

import logging
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from edge_runtime.contracts.drift import DriftReference
from edge_runtime.contracts.embedding import EmbeddingReference
from edge_runtime.drift.embedding_monitor import EmbeddingMonitor
from edge_runtime.drift.monitor import Monitor
from edge_runtime.drift.state import State, portion
from edge_runtime.errors import StateError
from edge_runtime.written_aside import written_aside

_LOG = logging.getLogger(__name__)
EMBEDDING = "embedding"
"""Under this name stands what the monitor of features has learnt."""
_FORM = "edge-inspect/drift-evidence/1"
_M = TypeVar("_M", Monitor, EmbeddingMonitor)


class EvidenceFile:
    """`drift.npz` in the state folder; `learnt_with` names bundle and configuration. One thread."""

    def __init__(self, folder: Path, *, learnt_with: str) -> None:
        self._path = folder / "drift.npz"
        self._mark = f"{_FORM} {learnt_with}"
        self._failing = False
        self._found: State | None = None
        self._looked = False

    def monitor(
        self, reference: DriftReference, *, parts_per_day: float, cameras: int = 1
    ) -> Monitor:
        """A monitor that goes on from what was written last, or begins anew where that cannot be."""
        monitor = self._resumed(
            lambda: Monitor(reference, parts_per_day=parts_per_day, cameras=cameras)
        )
        if monitor.parts:
            _LOG.info("drift: evidence of %d parts is gone on from", monitor.parts)
        return monitor

    def embedding(self, reference: EmbeddingReference, *, parts_per_day: float) -> EmbeddingMonitor:
        """Likewise a monitor of what the network sees."""
        return self._resumed(
            lambda: EmbeddingMonitor(reference, parts_per_day=parts_per_day), EMBEDDING
        )

    def _resumed(self, begin: Callable[[], _M], name: str = "") -> _M:
        """What stands under `name` is its own; without one, it takes what it knows from the whole."""
        monitor, state = begin(), self._read()
        if state is None:
            return monitor
        try:
            monitor.resume(portion(name, state) if name else state)
        except ValueError as exc:
            self._refuse(f"{name}: {exc}" if name else str(exc))
            return begin()  # one that was resumed half way is of no use
        return monitor

    def _read(self) -> State | None:
        if not self._looked:
            self._looked, self._found = True, self._load()
        return self._found

    def _load(self) -> State | None:
        try:
            with np.load(self._path, allow_pickle=False) as saved:
                state = {name: saved[name] for name in saved.files}
        except FileNotFoundError:
            return None
        except OSError as exc:
            self._refuse(exc.strerror or str(exc))
            return None
        except (ValueError, EOFError, zipfile.BadZipFile):
            # What numpy says of it is advice to programmers.
            self._refuse("it is damaged")
            return None
        if str(state.pop("mark", "")) != self._mark:
            self._refuse("it was learnt with another bundle or configuration")
            return None
        return state

    def _refuse(self, why: str) -> None:
        _LOG.warning("drift: %s is not gone on from (%s): evidence begins anew", self._path, why)

    def write(self, state: State) -> None:
        """Replace what was written before, all or nothing."""
        arrays: dict[str, Any] = {"mark": np.array(self._mark), **state}
        try:
            with (
                written_aside(self._path, error=StateError) as aside,
                aside.open("wb") as file,
            ):
                np.savez(file, **arrays)
        except StateError as exc:
            if not self._failing:
                _LOG.warning("drift: %s: evidence will not outlive the daemon", exc)
            self._failing = True
        else:
            self._failing = False
