"""All that changes while a run learns, and how it is kept: `last.pth`, `best.pth` and `metrics.csv`.

A checkpoint is written at the end of every epoch, and between as often as the user wants. What the
remaining images show depends on seed, epoch and place alone, so a run that goes on from any of them
comes to the very weights of one that was never interrupted.
"""

import time
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn

from edge_runtime.errors import first_line
from train.errors import DivergenceError, RunError
from train.fitting import checkpoint
from train.fitting.average import Average
from train.fitting.history import Epoch, Progress
from train.fitting.loss_level import LossLevel
from train.fitting.optimizer import Optimizer
from train.fitting.ranks import ALONE, Ranks
from train.run_folder import RunFolder
from train.written_aside import write_csv


@dataclass(kw_only=True)
class State:
    """Weights, moments, and how far the run has come."""

    network: nn.Module
    average: Average
    optimizer: Optimizer
    history: list[Epoch] = field(default_factory=list)
    """The finished epochs."""
    progress: Progress = field(default_factory=Progress)
    """In the epoch after them."""

    @property
    def place(self) -> str:
        """How far the run has come, in words."""
        finished = f"epoch {len(self.history)}" if self.history else "the start"
        shown = self.progress.images
        return f"{finished} and {shown:,} images" if shown else finished

    def finish(self, epoch: Epoch) -> None:
        """Enter a finished epoch."""
        self.history.append(epoch)
        self.progress = self.progress.next_epoch()


class Keeper:
    """Writes a run's checkpoints into its folder. Raises RunError where the disk refuses; what was there
    before stays."""

    def __init__(self, folder: RunFolder, every_s: float, ranks: Ranks = ALONE) -> None:
        """`every_s` is the time between checkpoints within an epoch, seconds; infinity for none.

        Of several processes the leader alone writes; the others must call the same methods.
        """
        self._folder = folder
        self._ranks = ranks
        self._every_s = every_s
        self._written = time.monotonic()
        self._place: str | None = None

    @property
    def kept(self) -> str:
        """What is safe, in words."""
        if self._place is None:
            return "no checkpoint was written yet"
        return f"{self._folder.last} holds {self._place}"

    def due(self) -> bool:
        """Whether it is time for a checkpoint within the epoch."""
        return self._ranks.tell(lambda: time.monotonic() - self._written >= self._every_s)

    def write_last(self, state: State) -> None:
        """Write `last.pth`; raises DivergenceError, and writes nothing, when a number in it is none."""
        if self._ranks.leads:
            self._save_last(state)
        self._written = time.monotonic()
        self._place = state.place

    def write_epoch(self, state: State) -> None:
        """Write best, metrics and last, in this order: what `last` says happened has been written."""
        if self._ranks.leads:
            self._save_figures(state)
        self.write_last(state)

    def restore(self, state: State) -> bool:
        """Put the last checkpoint back; returns whether there was one."""
        stored = self._ranks.tell(self._stored)
        if stored is None:
            return False
        try:
            state.network.load_state_dict(stored["network"])
            state.average.network.load_state_dict(stored["average"])
            state.optimizer.load_state_dict(stored["optimizer"])
            state.history = [Epoch(**epoch) for epoch in stored["history"]]
            progress = stored["progress"]
            state.progress = Progress(**progress | {"level": LossLevel(**progress["level"])})
        except checkpoint.DAMAGED as exc:
            raise RunError(
                f"{self._folder.last} does not fit this run ({first_line(exc)}): start a new "
                f"run, from {self._folder.path} if you like (--initial-weights)"
            ) from exc
        self._place = state.place
        return True

    def _stored(self) -> dict[str, Any] | None:
        try:
            return checkpoint.load(self._folder.last, torch.device("cpu"))
        except FileNotFoundError:
            return None

    def _save_last(self, state: State) -> None:
        content = {
            "network": state.network.state_dict(),
            "average": state.average.network.state_dict(),
            "optimizer": state.optimizer.state_dict(),
            "history": [asdict(epoch) for epoch in state.history],
            "progress": asdict(state.progress),
        }
        if not checkpoint.finite(content):
            raise DivergenceError(
                f"a weight or moment became NaN or infinite; {self.kept}: start a new run with a lower "
                "--lr or with --clip-grad"
            )
        checkpoint.save(self._folder.last, content)

    def _save_figures(self, state: State) -> None:
        newest = state.history[-1]
        if newest.best:
            checkpoint.save(
                self._folder.best,
                {
                    "epoch": newest.epoch,
                    "reachable_f1": newest.reachable_f1,
                    "weights": state.average.network.state_dict(),
                },
            )
        write_csv(
            self._folder.metrics,
            list(newest.row()),
            [list(epoch.row().values()) for epoch in state.history],
        )
