"""What was measured before, per kind of device, and when a new figure is worse. No clock here.

`baselines.json` is written by `python -m tests.latency.record` and by nothing else.
"""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = Path(__file__).parent / "baselines.json"
_MARGIN = 0.03
"""What a change must cost at the least, beyond all noise that was seen, to be complained of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The share of the float32 variant's time that the default variant took on a kind of device."""

    kind: str
    engine: str
    batch: int
    share: float
    """Median of the repeats."""
    tolerance: float
    """How much more, as a part of the share, is taken for noise."""
    repeats: tuple[float, ...]
    """Each measured on engines opened afresh, every other one beside neighbours that keep all cores and
    their memory busy: the float variant suffers more or less from them than the other."""
    engine_version: str
    device: str
    """The processor's name."""
    bundle: str
    measured_at: str


def tolerance(repeats: Sequence[float]) -> float:
    """How far the highest of the repeats lies above their median, and 3 % more."""
    return max(repeats) / statistics.median(repeats) - 1 + _MARGIN


def complaint(share: float, baseline: Baseline) -> str | None:
    """What to say of a share that is worse than the baseline beyond its tolerance; None of others."""
    limit = baseline.share * (1 + baseline.tolerance)
    if share <= limit:
        return None
    return (
        f"{baseline.engine}, batch {baseline.batch}: the default variant takes {share:.3f} of "
        f"float32's time, on {baseline.kind} it took {baseline.share:.3f} and up to {limit:.3f} is "
        f"noise (engine {baseline.engine_version}, {baseline.measured_at}): find what made it slower, "
        "or record a new baseline with `python -m tests.latency.record` and say why"
    )


def find(baselines: Sequence[Baseline], kind: str, engine: str, batch: int) -> Baseline | None:
    """The baseline of that kind of device, engine and batch."""
    wanted = (kind, engine, batch)
    return next((b for b in baselines if (b.kind, b.engine, b.batch) == wanted), None)


def replaced(old: Sequence[Baseline], new: Sequence[Baseline]) -> tuple[Baseline, ...]:
    """All of them, the new ones in place of those of the same kind, engine and batch."""
    found = {(b.kind, b.engine, b.batch): b for b in (*old, *new)}
    return tuple(found[key] for key in sorted(found))


def read(file: Path = FILE) -> tuple[Baseline, ...]:
    """All recorded baselines; none where there is no file."""
    if not file.exists():
        return ()
    rows = json.loads(file.read_text(encoding="utf-8"))
    return tuple(Baseline(**{**row, "repeats": tuple(row["repeats"])}) for row in rows)


def write(baselines: Sequence[Baseline], file: Path = FILE) -> None:
    """Write them, one below the other."""
    rows = [asdict(baseline) for baseline in baselines]
    file.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
