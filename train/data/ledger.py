"""The ledger of a sealed test set: one line for each time that it was opened.

Owns `ledger.jsonl` and its chain: each line carries the hash of the line before, the first one that of
the split, so that a line which was changed or taken out shows. That the last lines were cut off does not
show in the file; every report states the line that its own opening got, and contradicts such a file.
An opening is on the disk before the first image may be read, and two of them never get the same number.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

from pydantic import Field, ValidationError

from edge_runtime.contracts.base import Contract, Sha256, UtcTime
from train.errors import SealError

LEDGER = "ledger.jsonl"
OPENING_SCHEMA: Literal["edge-inspect/opening/1"] = "edge-inspect/opening/1"


class Opening(Contract):
    """One line of the ledger."""

    schema_: Annotated[Literal["edge-inspect/opening/1"], Field(alias="schema")] = OPENING_SCHEMA
    number: Annotated[int, Field(ge=1)]
    opened_at: UtcTime
    split_sha256: Sha256
    model_sha256: Sha256
    thresholds_sha256: Sha256
    command: str
    previous: Sha256
    """Of the line before, without its line end; of the split where this is the first."""

    @property
    def sha256(self) -> str:
        """Of this line: what the next one refers to, and what a report states."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The ledger in a split's folder."""

    file: Path
    split_sha256: str

    def read(self) -> tuple[Opening, ...]:
        """All openings; raises SealError where the ledger is missing, damaged or of another split."""
        try:
            return self._check(self.file.read_bytes())
        except OSError as exc:
            raise self._unusable(exc) from exc

    def enter(
        self, *, model_sha256: str, thresholds_sha256: str, command: str
    ) -> Sequence[Opening]:
        """Add an opening, on the disk when this returns; all of them, the new one last.

        Raises SealError as `read` does, or where the line cannot be written; nothing may be opened then.
        """
        with self._locked() as file:
            content = file.read()
            before = self._check(content)
            opening = Opening(
                number=len(before) + 1,
                opened_at=datetime.now(UTC),
                split_sha256=self.split_sha256,
                model_sha256=model_sha256,
                thresholds_sha256=thresholds_sha256,
                command=command,
                previous=self._link(content),
            )
            try:
                file.write(opening.to_json().encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            except OSError as exc:
                file.truncate(len(content))
                raise self._unusable(exc) from exc
        return (*before, opening)

    @contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        try:
            # Not "a": a ledger that is gone must not spring up anew.
            file = self.file.open("r+b", buffering=0)
        except OSError as exc:
            raise self._unusable(exc) from exc
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file

    def _check(self, content: bytes) -> tuple[Opening, ...]:
        openings: list[Opening] = []
        previous = self.split_sha256
        lines = content.split(b"\n")
        if lines.pop():
            raise self._damaged(len(lines) + 1, "it breaks off within the line")
        for number, line in enumerate(lines, start=1):
            try:
                opening = Opening.model_validate_json(line)
            except ValidationError as exc:
                raise self._damaged(number, "it is no entry of a ledger") from exc
            if opening.number != number or opening.previous != previous:
                raise self._damaged(number, "it does not follow on what stands before it")
            if opening.split_sha256 != self.split_sha256:
                raise self._damaged(number, "it is of another split")
            openings.append(opening)
            previous = hashlib.sha256(line).hexdigest()
        return tuple(openings)

    def _link(self, content: bytes) -> str:
        lines = content.splitlines()
        return hashlib.sha256(lines[-1]).hexdigest() if lines else self.split_sha256

    def _damaged(self, line: int, reason: str) -> SealError:
        return SealError(
            f"{self.file} line {line} is damaged or was changed: {reason}; fetch the ledger from a "
            "backup: without it nobody knows how often the test set was opened"
        )

    def _unusable(self, exc: OSError) -> SealError:
        return SealError(
            f"{self.file} cannot be used: {exc.strerror or exc}; the test set stays closed until its "
            "ledger can be read and written"
        )
