"""Which station speaks. One text form (`L07-S3`), parsed in one place."""

import re
from dataclasses import dataclass
from typing import Self

_FORM = re.compile(r"(?P<line>L[0-9]{2})-(?P<station>S[0-9]{1,2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class StationId:
    """A station of a line: `L07-S3` is station S3 of line L07."""

    line: str
    station: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form; raises ValueError that names the expected form."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError(
                f"station {text!r} is malformed: expected Lnn-Sn, for example L07-S3 "
                "(line L07, station S3)"
            )
        return cls(line=match["line"], station=match["station"])

    def __str__(self) -> str:
        return f"{self.line}-{self.station}"
