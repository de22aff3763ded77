"""Where a consumer stands with each station, in a file, so that it goes on there the next time."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from edge_runtime.consumer.sequence import SequenceState
from edge_runtime.contracts.base import Contract
from edge_runtime.errors import StateError

_SCHEMA: Literal["edge-inspect/bookmark/1"] = "edge-inspect/bookmark/1"


class Bookmark(Contract):
    """The content of the file."""

    schema_: Annotated[Literal["edge-inspect/bookmark/1"], Field(alias="schema")] = _SCHEMA
    stations: Mapping[str, SequenceState]
    """By `SITE/LINE-STATION`."""


def read_bookmark(file: Path) -> Mapping[str, SequenceState]:
    """What the file says; nothing where there is none. Raises StateError where it is not readable."""
    try:
        return Bookmark.model_validate_json(file.read_bytes()).stations
    except FileNotFoundError:
        return {}
    except OSError as exc:
        raise StateError(f"{file}: cannot read the consumer's state: {exc.strerror}") from exc
    except ValidationError as exc:
        raise StateError(
            f"{file} is not a consumer's state ({exc.errors()[0]['msg']}): move it away to begin anew, "
            "or name another file"
        ) from exc


def write_bookmark(file: Path, stations: Mapping[str, SequenceState]) -> None:
    """Replace the file as a whole, durably: after a crash the old or the new one is there."""
    aside = file.with_name(file.name + ".new")
    try:
        with aside.open("wb") as stream:
            stream.write(Bookmark(stations=stations).to_json().encode())
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(file)
    except OSError as exc:
        raise StateError(
            f"{file}: cannot write the consumer's state: {exc.strerror}; free space there, or name "
            "another file"
        ) from exc
