"""What a comparison's folder was started with: its `plan.json`, and whether a source run is finished.

Whatever shapes the answers of a trial, apart from its arm, share and seed, is in the plan; a folder is
of one plan.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from train.errors import RunError
from train.fitting.record import Settings, dump_settings, read_record
from train.run_folder import RunFolder
from train.written_aside import written_aside

FILE = "plan.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What all trials of a comparison have in common."""

    target: Settings
    """The images that are taught and judged, and how; each arm has its own initial weights."""
    source: Settings | None
    """How the source data is taught, for the arms that lead through it."""
    folds: int
    """0 judges the images that `target.val_split` holds back, K judges every image in K folds."""

    @property
    def through_source(self) -> Settings:
        """The settings of the source data; raises RunError where there is none."""
        if self.source is None:
            raise RunError("an arm starts from the source data, but there is none")
        return self.source


def keep(folder: Path, plan: Plan, data_sha256: str) -> None:
    """Write `plan.json`, or find that it says the same; raises RunError where it does not."""
    wanted = {**TypeAdapter(Plan).dump_python(plan, mode="json"), "data_sha256": data_sha256}
    file = folder / FILE
    adapter = TypeAdapter(dict[str, Any])
    try:
        found = adapter.validate_json(file.read_bytes())
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True)
        with written_aside(file) as aside:
            aside.write_bytes(adapter.dump_json(wanted, indent=2) + b"\n")
        return
    except (OSError, ValueError) as exc:
        raise RunError(f"cannot read {file}: {exc}") from exc
    ours, theirs = _flat(wanted), _flat(found)
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            raise RunError(
                f"{folder} holds a comparison in which {name} is {theirs.get(name)} and not "
                f"{ours.get(name)}: give the same flags again, or choose another --out"
            )


def is_finished(folder: RunFolder, settings: Settings) -> bool:
    """Whether the run is there to its last epoch; raises RunError where its settings are others."""
    if not folder.record.exists():
        return False
    found = read_record(folder).settings
    if found != settings:
        ours, theirs = _flat(dump_settings(settings)), _flat(dump_settings(found))
        name = next(name for name in ours if ours[name] != theirs.get(name))
        raise RunError(
            f"{folder.path} was taught with {name} {theirs.get(name)} and not {ours[name]}: give the "
            "same flags again, or choose another --out"
        )
    try:
        with folder.metrics.open(encoding="utf-8", newline="") as file:
            return sum(1 for _ in csv.DictReader(file)) >= settings.recipe.epochs
    except FileNotFoundError:
        return False


def _flat(value: object, prefix: str = "") -> dict[str, object]:
    """Nested values by their dotted names."""
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, object] = {}
    for name, inner in value.items():
        flat |= _flat(inner, f"{prefix}.{name}" if prefix else name)
    return flat
