"""What becomes of a label, by rule: accepted, repeated, corrected, or refused in one line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.contracts.label import UNKNOWN_DEFECT, Label, LabelAnswer, Selected, Source
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.labels.desk import LARGEST_PAYLOAD, Answered, Known, LabelDesk

VERDICT = Answered(
    seq=7, part_id="M-7", day=20_000, model="a" * 64, outcome=Outcome.OK, label="no_defect"
)


def label(**differences: object) -> Label:
    given = {"part_id": "M-7", "label": "crack", "source": "rework", "selected": "random"}
    return Label.model_validate(given | differences)


def desk() -> LabelDesk:
    return LabelDesk(("no_defect", "crack"))


def test_a_new_label_is_kept_one_again_is_not_and_another_corrects() -> None:
    counter = desk()
    answer, known = counter.match(label(request_id="r1"), VERDICT, None)
    assert (answer.accepted, answer.seq, answer.part_id) == (True, 7, "M-7")
    assert answer.request_id == "r1"
    assert known == Known(truth="crack", source=Source.REWORK, selected=Selected.RANDOM)
    answer, again = counter.match(label(), VERDICT, known)
    assert (answer.accepted, again) == (True, None)
    _, corrected = counter.match(label(label="no_defect"), VERDICT, known)
    assert corrected is not None
    assert corrected.truth == "no_defect"
    assert counter.counts == {"accepted": 1, "repeated": 1, "corrected": 1}


@pytest.mark.parametrize(
    ("payload", "kind", "why"),
    [
        (b"\xff", "unreadable", "no label: "),
        (b"[]", "unreadable", "no label: "),
        (b'{"label":"crack","source":"rework","selected":"random"}', "unreadable", "names no part"),
        (
            b'{"seq":0,"label":"crack","source":"rework","selected":"random"}',
            "unreadable",
            "no label: seq: ",
        ),
        (b" " * (LARGEST_PAYLOAD + 1), "unreadable", "at most 1024"),
        (
            b'{"seq":1,"label":"dent","source":"rework","selected":"random"}',
            "unknown_label",
            "unknown label 'dent': this station knows no_defect, crack, unknown_defect",
        ),
    ],
)
def test_what_cannot_be_taken_is_refused_in_one_line(payload: bytes, kind: str, why: str) -> None:
    counter = desk()
    answer = counter.read(payload)
    assert isinstance(answer, LabelAnswer)
    assert not answer.accepted
    assert why in str(answer.refusal)
    assert "\n" not in str(answer.refusal)
    assert counter.counts == {kind: 1}


def test_a_defect_that_the_model_has_no_class_for_is_taken() -> None:
    payload = label(label=UNKNOWN_DEFECT).to_json().encode()
    assert isinstance(desk().read(payload), Label)


def test_a_part_that_nobody_knows_or_saw_is_refused() -> None:
    counter = desk()
    answer, known = counter.match(label(seq=9), None, None)
    assert answer.refusal == "no verdict about part_id M-7 and seq 9 is known here"
    blind = Answered(
        seq=7, part_id="M-7", day=1, model="", outcome=Outcome.NOT_INSPECTED, label=None
    )
    assert known is None
    answer, known = counter.match(label(), blind, None)
    assert "not_inspected" in str(answer.refusal)
    assert known is None
    assert counter.counts == {"unknown_part": 2}


@given(st.binary(max_size=300))
def test_no_payload_breaks_the_desk(payload: bytes) -> None:
    assert isinstance(desk().read(payload), Label | LabelAnswer)
