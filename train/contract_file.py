"""A contract as a JSON file of its own: written aside, and read with one line on what is wrong with it.

What a file that is not there means, the room whose file it is knows: FileNotFoundError passes.
"""

from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from edge_runtime.contracts.base import Contract
from edge_runtime.errors import EdgeInspectError
from train.errors import RunError
from train.written_aside import written_aside

C = TypeVar("C", bound=Contract)


def write_contract(target: Path, made: Contract) -> None:
    """Write the file; raises RunError where the disk refuses, what was there before stays."""
    with written_aside(target) as aside:
        aside.write_text(made.to_json(indent=2) + "\n", encoding="utf-8")


def read_contract(
    kind: type[C],
    file: Path,
    *,
    error: type[EdgeInspectError] = RunError,
    fault: str = "is damaged or of another version",
    remedy: str = "",
) -> C:
    """Read the file; raises FileNotFoundError, or `error` that names the first field that does not fit.

    `fault` is what is said of such a file, `remedy` what to do then, appended to the line.
    """
    try:
        return kind.model_validate_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise error(f"{file} {fault}: {where}: {first['msg']}{remedy}") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise error(f"cannot read {file}: {exc}") from exc
