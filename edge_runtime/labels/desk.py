"""Decides what becomes of a label: values in, values out; no file, no thread.

The same rule for every sender: what cannot be read, is about no verdict that is still known, or names
no class is refused in one line and counted; what the station has already is accepted again and counted
once; a later label of the same part replaces the earlier one.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final, TypeAlias

from pydantic import ValidationError

from edge_runtime.contracts.label import UNKNOWN_DEFECT, Label, LabelAnswer, Selected, Source
from edge_runtime.contracts.verdict import Outcome

LARGEST_PAYLOAD: Final = 1024
"""Bytes of a label at most."""
ACCEPTED, REPEATED, CORRECTED = "accepted", "repeated", "corrected"
UNREADABLE, UNKNOWN_PART, UNKNOWN_LABEL = "unreadable", "unknown_part", "unknown_label"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A verdict as far as a label is about it."""

    seq: int
    part_id: str
    day: int
    """Of the decision, since 1970 in UTC."""
    model: str
    """SHA-256 of the model that decided."""
    outcome: Outcome
    label: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The truth about a verdict, as kept."""

    truth: str
    source: Source
    selected: Selected


Reading: TypeAlias = Label | LabelAnswer


class LabelDesk:
    """Reads labels and answers them; used by one thread."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self._classes = (*classes, UNKNOWN_DEFECT)
        self.counts = Counter[str]()
        """What became of all labels so far, by ACCEPTED, REPEATED, ..."""

    def read(self, payload: bytes) -> Reading:
        """A label that may be matched, or the refusal."""
        if len(payload) > LARGEST_PAYLOAD:
            return self._refused(
                UNREADABLE, f"{len(payload)} bytes: a label has at most {LARGEST_PAYLOAD}"
            )
        try:
            label = Label.model_validate_json(payload)
        except ValidationError as exc:
            error = exc.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, error["loc"]))
            message = str(error["msg"]).removeprefix("Value error, ")
            return self._refused(UNREADABLE, f"no label: {where + ': ' if where else ''}{message}")
        if label.label not in self._classes:
            return self._refused(
                UNKNOWN_LABEL,
                f"unknown label {label.label!r}: this station knows {', '.join(self._classes)}",
                label,
            )
        return label

    def match(
        self, label: Label, verdict: Answered | None, before: Known | None
    ) -> tuple[LabelAnswer, Known | None]:
        """The answer, and what is to be kept, None where nothing is; `before` is what was kept."""
        if verdict is None:
            asked = " and ".join(
                f"{name} {value}"
                for name, value in (("part_id", label.part_id), ("seq", label.seq))
                if value is not None
            )
            why = f"no verdict about {asked} is known here"
            return self._refused(UNKNOWN_PART, why, label), None
        if verdict.label is None:
            why = f"verdict {verdict.seq} is not_inspected: it has no answer to measure"
            return self._refused(UNKNOWN_PART, why, label), None
        known = Known(truth=label.label, source=label.source, selected=label.selected)
        self.counts[ACCEPTED if before is None else REPEATED if before == known else CORRECTED] += 1
        answer = LabelAnswer(
            request_id=label.request_id,
            part_id=verdict.part_id,
            seq=verdict.seq,
            accepted=True,
            refusal=None,
        )
        return answer, None if before == known else known

    def _refused(self, kind: str, why: str, label: Label | None = None) -> LabelAnswer:
        self.counts[kind] += 1
        return LabelAnswer(
            request_id=label.request_id if label else None,
            part_id=label.part_id if label else None,
            seq=None,
            accepted=False,
            refusal=why,
        )
