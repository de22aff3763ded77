"""The folder of one training run: which files it has. What they say is the business of those who write
them.
"""

from dataclasses import dataclass
from pathlib import Path

from train.errors import RunError


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """Paths within a run folder."""

    path: Path

    @property
    def record(self) -> Path:
        """`run.json`: settings, data, versions; everything needed to repeat the run."""
        return self.path / "run.json"

    @property
    def last(self) -> Path:
        """`last.pth`: the state after the last finished epoch; `--resume` goes on from it."""
        return self.path / "last.pth"

    @property
    def best(self) -> Path:
        """`best.pth`: the averaged weights of the full-size epoch with the best `reachable_f1`."""
        return self.path / "best.pth"

    @property
    def metrics(self) -> Path:
        """`metrics.csv`: one row per epoch."""
        return self.path / "metrics.csv"

    @property
    def split(self) -> Path:
        """`split.csv`: which image was taught and which was held back."""
        return self.path / "split.csv"

    @property
    def quarantine(self) -> Path:
        """`quarantine.csv`: images that could not be decoded, each with its reason."""
        return self.path / "quarantine.csv"

    @property
    def sheet(self) -> Path:
        """`augmentation.png`: what the network sees of some images."""
        return self.path / "augmentation.png"

    @property
    def calibration(self) -> Path:
        """`calibration.json`: the decision rule, and the evidence that it was chosen by."""
        return self.path / "calibration.json"

    @property
    def curve(self) -> Path:
        """`calibration.svg`: recall and false positives along the threshold."""
        return self.path / "calibration.svg"

    def create(self) -> None:
        """Make the folder; raises RunError when it holds another run already."""
        if self.record.exists():
            raise RunError(
                f"{self.path} holds a run already: continue it with --resume, or choose another --output"
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise RunError(f"cannot make the run folder {self.path}: {exc.strerror}") from exc
