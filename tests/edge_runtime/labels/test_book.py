"""The book of labels: matched to the newest verdict of a part, durable, and bounded."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge_runtime.contracts.label import Label, Selected, Source
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.errors import StateError
from edge_runtime.labels.book import LabelBook
from edge_runtime.labels.desk import Answered, Known

MODEL, DAY = "a" * 64, 20_000
BAD = Known(truth="crack", source=Source.REWORK, selected=Selected.RANDOM)


def verdict(seq: int, part_id: str | None = None, **differences: object) -> Answered:
    given = {
        "seq": seq,
        "part_id": part_id or f"M-{seq}",
        "day": DAY,
        "model": MODEL,
        "outcome": Outcome.OK,
        "label": "no_defect",
    }
    return Answered(**(given | differences))  # type: ignore[arg-type]


def about(**part: object) -> Label:
    return Label.model_validate(
        {"label": "crack", "source": "rework", "selected": "random", **part}
    )


@pytest.fixture
def book(tmp_path: Path) -> Iterator[LabelBook]:
    with closing(LabelBook(tmp_path, largest=3, matched=5)) as book:
        yield book


def test_a_label_finds_its_verdict_by_number_or_by_part(book: LabelBook) -> None:
    book.copy([verdict(1), verdict(2), verdict(3, "M-1")])
    assert book.copied_to == 3
    assert book.find(about(seq=2)) == verdict(2)
    assert book.find(about(part_id="M-1")) == verdict(3, "M-1")
    assert book.find(about(part_id="M-1", seq=1)) == verdict(1)
    assert book.find(about(part_id="M-9")) is None
    assert book.find(about(part_id="M-9", seq=2)) is None


def test_what_is_kept_outlives_the_process(tmp_path: Path) -> None:
    with closing(LabelBook(tmp_path)) as book:
        book.copy([verdict(1)])
        book.keep(verdict(1), BAD)
    with closing(LabelBook(tmp_path)) as book:
        assert book.known(1) == BAD
        assert book.copied_to == 1
        assert book.labelled(MODEL, DAY) == {(Outcome.OK, "no_defect", "crack", Selected.RANDOM): 1}


def test_a_correction_takes_the_place_of_what_was_kept(book: LabelBook) -> None:
    book.copy([verdict(1)])
    book.keep(verdict(1), BAD)
    good = Known(truth="no_defect", source=Source.AUDIT, selected=Selected.RANDOM)
    book.keep(verdict(1), good)
    assert book.known(1) == good
    assert sum(book.labelled(MODEL, DAY).values()) == 1


def test_the_oldest_verdicts_and_labels_make_room(book: LabelBook) -> None:
    for seq in range(1, 11):
        book.copy([verdict(seq)])
        book.keep(verdict(seq), BAD)
    assert book.find(about(seq=5)) is None
    assert book.find(about(seq=6)) is not None
    assert [seq for seq in range(1, 11) if book.known(seq)] == [8, 9, 10]
    assert book.answered(MODEL, DAY) == {(Outcome.OK, "no_defect"): 10}


def test_only_the_days_and_the_model_asked_for_count(book: LabelBook) -> None:
    book.copy([verdict(1, day=DAY - 1), verdict(2), verdict(3, model="b" * 64)])
    for each in (verdict(1, day=DAY - 1), verdict(2), verdict(3, model="b" * 64)):
        book.keep(each, BAD)
    assert sum(book.labelled(MODEL, DAY).values()) == 1
    assert sum(book.answered(MODEL, DAY - 1).values()) == 2
    assert book.first_day(MODEL, 0) == DAY - 1
    assert book.first_day("c" * 64, 0) is None
    book.forget_before(DAY)
    assert sum(book.answered(MODEL, 0).values()) == 1


def test_parts_that_were_not_inspected_are_answers_of_nothing(book: LabelBook) -> None:
    book.copy([verdict(1, outcome=Outcome.NOT_INSPECTED, label=None)])
    assert book.answered(MODEL, 0) == {}
    found = book.find(about(seq=1))
    assert found is not None
    assert found.label is None


def test_two_cannot_write_in_one_book(book: LabelBook, tmp_path: Path) -> None:
    with pytest.raises(StateError, match="in use by another edge-inspect"):
        LabelBook(tmp_path)
