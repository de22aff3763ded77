"""What memory `train fit` takes as its data set grows tenfold: `python -m benchmarks.fit_memory`.

A few hundred simulated crops come again and again under other names, in tar shards, and are trained on
for one epoch with a small cache. Each case is a process of its own; what counts is its peak resident
memory above what it had when everything was imported. The control lifts the limit on the cache, so that
one sees what growth looks like. Apart from that, a million rows are read into a data set and set beside
the same rows as plain objects.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Mapping
from itertools import count, islice
from pathlib import Path
from typing import Any

from benchmarks.data_index import peak_rss_mb, write_csv
from benchmarks.setting import setting, write_result
from edge_runtime.simulation.line import SimulatedLine, SimulatedPart
from optimize.data.dataset import open_dataset, read_rows
from train.cli.main import main as train
from train.data.simulated import balanced_shares

_DISTINCT = 240
_PER_SHARD = 1000
_LIMITS_GB = {"small_cache": 0.005, "unlimited_cache": 100.0}


def write_shards(folder: Path, parts: list[SimulatedPart], images: int, side: int) -> Path:
    """The parts, over and over: each time round they are other modules."""
    out = folder / f"{images}-of-{side}px"
    out.mkdir()
    endless = ((n // len(parts), parts[n % len(parts)]) for n in count())
    named = enumerate(islice(endless, images))
    for shard in range(-(-images // _PER_SHARD)):
        with tarfile.open(out / f"{shard:06}.tar", "w") as archive:
            for number, (around, part) in islice(named, _PER_SHARD):
                about = {"label": part.label, "group": f"{part.serial}-{around}"}
                add(archive, f"{number:09}{part.extension}", part.encoded)
                add(archive, f"{number:09}.json", json.dumps(about).encode())
    return out


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    """A member of that content."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def fit(shards: str, cache_gb: str, side: str, out: str) -> dict[str, Any]:
    """Train for one epoch in this process."""
    import train.fitting.run  # noqa: F401 - what counts is what comes after the imports

    before = peak_rss_mb()
    code = train_quietly(
        f"fit --data-dir {shards} --output {out} --cache-gb {cache_gb} --model test_efficientnet "
        f"--initial-weights scratch --img-size {side} --epochs 1 --freeze-epochs 0 -b 64".split()
    )
    if code:
        raise SystemExit(f"train fit ended with {code}")
    return {"imported_mb": round(before), "growth_mb": round(peak_rss_mb() - before, 1)}


def train_quietly(words: list[str]) -> int:
    """`train` with its output where the caller does not look for JSON."""
    printed = sys.stdout
    sys.stdout = sys.stderr
    try:
        return train(words)
    finally:
        sys.stdout = printed


def rows(table: str, how: str) -> dict[str, Any]:
    """Read a table into a data set, or into plain objects."""
    before = resident_mb()
    kept = open_dataset(Path(table)).samples if how == "columns" else list(read_rows(Path(table)))
    grown = resident_mb() - before
    return {
        "rows": len(kept),
        "bytes_per_row": round(grown * 2**20 / len(kept)),
        "peak_bytes_per_row": round((peak_rss_mb() - before) * 2**20 / len(kept)),
    }


def resident_mb() -> float:
    """What this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


CASES: Mapping[str, Callable[..., object]] = {"fit": fit, "rows": rows}


def in_own_process(case: str, *words: object) -> dict[str, Any]:
    """One case in a fresh interpreter."""
    command = [sys.executable, "-m", "benchmarks.fit_memory", "--case", case, *map(str, words)]
    # Memory is measured here, not speed; on a busy machine threads that wait for each other crawl.
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=alone)
    found: dict[str, Any] = json.loads(done.stdout)
    print(f"{case} {' '.join(Path(str(word)).name for word in words)}: {found}", flush=True)
    return found


def grown(cases: Iterable[dict[str, Any]]) -> float:
    """Growth of the second case over the first, MB."""
    few, many = (case["growth_mb"] for case in cases)
    return float(round(many - few, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=10_000, help="of the larger data set")
    parser.add_argument("--side", type=int, default=64, help="of the images, pixels")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the table")
    parser.add_argument("--case", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        name, *words = arguments.case
        print(json.dumps(CASES[name](*words)))
        return
    about = setting("torch", "timm", "numpy")
    options = {name: getattr(arguments, name) for name in ("images", "side", "rows")}
    shares = balanced_shares(0.5)
    line = SimulatedLine("gen3", 5, size=arguments.side, class_shares=shares)
    parts = list(islice(line, _DISTINCT))
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        sets = [
            write_shards(folder, parts, images, arguments.side)
            for images in (arguments.images // 10, arguments.images)
        ]
        fits = {
            name: [
                {"images": int(shards.name.partition("-")[0])}
                | in_own_process("fit", shards, limit, arguments.side, folder / f"{name}-{place}")
                for place, shards in enumerate(sets)
            ]
            for name, limit in _LIMITS_GB.items()
        }
        table = write_csv(folder, arguments.rows)
        kept = {how: in_own_process("rows", table, how) for how in ("columns", "objects")}
    growth = {name: grown(cases) for name, cases in fits.items()}
    result = {"options": options, "cache_gb": _LIMITS_GB, "fit": fits, "tenfold_mb": growth}
    for name, more in growth.items():
        print(f"{name}: tenfold data takes {more} MB more")
    path = write_result("fit-memory", {**about, **result, "rows": kept})
    print(f"written to {os.path.relpath(path)}")


if __name__ == "__main__":
    main()
