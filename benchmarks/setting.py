"""What a figure was measured on: written into every result."""

import json
import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "docs" / "results"


def setting(*packages: str) -> dict[str, object]:
    """Machine, versions and command of this run."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", "-m", _module(), *sys.argv[1:]]),
        "cpu": cpu,
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
    }


def _module() -> str:
    """The module that was started with `python -m`."""
    specification = sys.modules["__main__"].__spec__
    return specification.name if specification else Path(sys.argv[0]).stem


def read_result(name: str) -> dict[str, Any]:
    """What `write_result` wrote last under that name."""
    result: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return result


def write_result(name: str, result: dict[str, object]) -> Path:
    """Write `docs/results/NAME.json`; returns its path."""
    path = RESULTS / f"{name}.json"
    write_json(path, result)
    return path


def write_json(path: Path, result: dict[str, object]) -> None:
    """Write a result where it was asked for, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
