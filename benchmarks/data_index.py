"""What it costs to index a data set, as it grows tenfold: `python -m benchmarks.data_index`.

Synthetic rows pass through `train index` from a CSV file, from the Parquet file that this made, and
from tar shards (tiny members: what is measured are the headers). Each case is a process of its own,
whose peak RSS is compared with what it had when everything was imported. The control reads all rows at
once, so that one sees what growth looks like. Images are not looked for: the rows name none that exist.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from benchmarks.setting import setting, write_result
from optimize.data.dataset import read_rows
from train.data.index import write_index

CLASSES = ("no_defect", "micro_crack", "porosity", "contamination", "misaligned_weld", "spatter")
_PER_SHARD = 10_000


def write_csv(folder: Path, rows: int) -> Path:
    """A table as a plant would keep it."""
    file = folder / f"{rows}.csv"
    with file.open("w", encoding="utf-8") as stream:
        stream.write("path,label,group,line,station,captured_at,generation\n")
        stream.writelines(
            f"crops/{n // 10_000:04}/{n:09}.jpg,{CLASSES[n % len(CLASSES)]},M2601-{n // 8:08},"
            f"L{n % 12:02},S{n % 4},2026-01-{1 + n % 28:02}T08:{n % 60:02}:00Z,gen2\n"
            for n in range(rows)
        )
    return file


def write_shards(folder: Path, rows: int) -> Path:
    """Shards of ten thousand samples, an image of 64 bytes and a label each."""
    out = folder / f"{rows}-shards"
    out.mkdir()
    for first in range(0, rows, _PER_SHARD):
        with tarfile.open(out / f"{first:09}.tar", "w") as archive:
            for n in range(first, min(first + _PER_SHARD, rows)):
                label = CLASSES[n % len(CLASSES)].encode()
                for name, data in ((f"{n:09}.jpg", bytes(64)), (f"{n:09}.cls", label)):
                    info = tarfile.TarInfo(name)
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
            archive.members = []  # type: ignore[attr-defined]
    return out


def measure(how: str, source: Path, out: Path) -> dict[str, float]:
    """Rows per second and growth of peak RSS of one case, in this process."""
    before = peak_rss_mb()
    began = time.perf_counter()
    if how == "all at once":
        rows = len(list(read_rows(source)))
    else:
        indexed = write_index(source, out, look=False)
        rows = sum(count.images for count in indexed.classes.values())
    seconds = time.perf_counter() - began
    return {
        "rows": rows,
        "rows_per_s": round(rows / seconds),
        "peak_rss_growth_mb": round(peak_rss_mb() - before, 1),
    }


def peak_rss_mb() -> float:
    """High-water mark of this process's resident memory."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def in_own_process(how: str, source: Path, out: Path) -> dict[str, float]:
    """The same in a fresh interpreter."""
    command = [sys.executable, "-m", "benchmarks.data_index", "--case", how, str(source), str(out)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the tables")
    parser.add_argument("--members", type=int, default=200_000, help="samples in the shards")
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        how, source, out = arguments.case
        print(json.dumps(measure(how, Path(source), Path(out))))
        return
    result = setting("pyarrow", "numpy")
    cases: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for share in (10, 1):
            table = write_csv(folder, arguments.rows // share)
            parquet = table.with_suffix(".parquet")
            shards = write_shards(folder, arguments.members // share)
            for how, source, out in (
                ("CSV to Parquet", table, parquet),
                ("Parquet to CSV", parquet, folder / "again.csv"),
                ("tar shards to Parquet", shards, folder / "shards.parquet"),
                ("all at once", table, table),
            ):
                found = in_own_process(how, source, out)
                cases.setdefault(how, []).append(found)
                print(f"{how:<24} {found}", flush=True)
    path = write_result("data-index", {**result, "cases": cases})
    print(f"written to {os.path.relpath(path)}")


if __name__ == "__main__":
    main()
