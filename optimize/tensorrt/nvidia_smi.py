"""What the driver tells of a GPU through `nvidia-smi`: its own version and the clocks.

Whatever cannot be asked is unknown and said so; a figure is never made up.
"""

import csv
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_runtime.contracts.device import Clocks

UNKNOWN = "unknown"
_FIELDS = (
    "index",
    "name",
    "driver_version",
    "clocks.sm",
    "clocks.mem",
    "clocks.max.sm",
    "clocks.max.mem",
)
_COMMAND = ("nvidia-smi", f"--query-gpu={','.join(_FIELDS)}", "--format=csv,noheader,nounits")


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverFacts:
    """Version of the NVIDIA driver, and the GPU's clocks at this moment."""

    driver: str
    clocks: Clocks


def _run(command: Sequence[str]) -> str:
    return subprocess.run(  # noqa: S603 - a fixed command line
        command, check=True, capture_output=True, text=True, timeout=10
    ).stdout


def ask_driver(index: int, name: str, run: Callable[[Sequence[str]], str] = _run) -> DriverFacts:
    """The facts of the GPU called `name`, of several alike the one of that index."""
    try:
        return read(run(_COMMAND), index, name)
    except (OSError, subprocess.SubprocessError):
        return DriverFacts(driver=UNKNOWN, clocks=Clocks())


def read(text: str, index: int, name: str) -> DriverFacts:
    """The same from what the command printed. CUDA and the driver may number GPUs differently."""
    rows = [row for row in csv.reader(text.splitlines(), skipinitialspace=True) if row]
    rows = [row for row in rows if len(row) == len(_FIELDS) and row[1] == name]
    row = next((row for row in rows if row[0] == str(index)), rows[0] if rows else None)
    if row is None:
        return DriverFacts(driver=UNKNOWN, clocks=Clocks())
    sm, memory, max_sm, max_memory = (
        int(cell) if cell.isdecimal() else None  # `[N/A]` where the GPU has no such clock
        for cell in row[3:]
    )
    return DriverFacts(
        driver=row[2],
        clocks=Clocks(sm_mhz=sm, memory_mhz=memory, max_sm_mhz=max_sm, max_memory_mhz=max_memory),
    )
