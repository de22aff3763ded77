"""What every contract that leaves the process has in common: frozen, closed, and JSON in one way."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer, StringConstraints


class Contract(BaseModel):
    """A frozen model that refuses unknown fields; `to_json` is its only wire form."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, use_attribute_docstrings=True
    )

    def to_json(self, *, indent: int | None = None) -> str:
        """The wire form: UTF-8 JSON with the field names of the schema."""
        return self.model_dump_json(by_alias=True, indent=indent)


def _require_utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError(f"expected a time with a zone, got {value.isoformat()} without one")
    try:
        return value.astimezone(UTC)
    except OverflowError as exc:
        raise ValueError(f"{value.isoformat()} lies outside of the calendar in UTC") from exc


def _rfc3339(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"


UtcTime = Annotated[
    datetime, AfterValidator(_require_utc), PlainSerializer(_rfc3339, when_used="json")
]
"""A moment, always UTC; in JSON always RFC 3339 with microseconds and `Z`, so texts sort as times."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""Hex SHA-256, lower case."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""A name that is safe as a folder, a topic level and a metric label alike."""
