"""Samples in columns: nothing about them changes, whatever their text."""

import sys
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimize.data.manifest import Sample
from optimize.data.samples import Samples, column, take

# Surrogates are how Python holds a file name that is not UTF-8.
text = st.text(st.characters(exclude_categories=()), max_size=12)
words = st.sampled_from(["", "L01", "=", "/", "gen3"])
sample = st.builds(
    Sample,
    path=st.one_of(text, st.builds("{}/{}".format, words, text)),
    label=words,
    group=text,
    line=words,
    station=words,
    captured_at=text,
    generation=words,
    sha256=text,
)
own_group = st.builds(lambda path: Sample(path=path, label="a", group=path), text)
rows = st.lists(st.one_of(sample, own_group), max_size=20)


@given(given=rows, data=st.data())
def test_samples_come_back_as_they_were_given(given: list[Sample], data: st.DataObject) -> None:
    kept = Samples.of(iter(given))
    assert kept == given
    assert list(kept) == given
    assert [kept[place] for place in range(len(given))] == given
    for field in fields(Sample):
        assert list(kept.column(field.name)) == [getattr(s, field.name) for s in given]
    piece = data.draw(st.slices(len(given)))
    assert kept[piece] == given[piece]
    places = data.draw(st.lists(st.sampled_from(range(len(given))))) if given else []
    picked = [given[place] for place in places]
    assert kept.take(places) == picked
    assert kept.take(places)[: len(picked)].take(range(len(picked))) == picked


@given(given=rows)
def test_a_tuple_serves_as_well(given: list[Sample]) -> None:
    kept, plain = Samples.of(given), tuple(given)
    backwards = range(len(given) - 1, -1, -1)
    assert take(kept, backwards) == take(plain, backwards) == tuple(reversed(given))
    assert list(column(kept, "group")) == list(column(plain, "group"))


def test_more_samples_than_are_taken_in_at_a_time_stay_in_order() -> None:
    given = [Sample(path=f"{n % 7}/{n}.jpg", label=str(n % 3), group=f"g{n}") for n in range(9000)]
    assert Samples.of(given) == given


def test_a_place_outside_is_an_index_error_and_another_field_a_key_error() -> None:
    kept = Samples.of([Sample(path="a", label="b", group="c")])
    assert kept[-1].path == "a"
    with pytest.raises(IndexError):
        kept[1]
    with pytest.raises(KeyError):
        kept.column("colour")


def test_samples_that_differ_are_not_equal() -> None:
    given = [Sample(path="a", label="b", group="c")]
    assert Samples.of(given) != []
    assert Samples.of(given) != [Sample(path="a", label="b", group="d")]


def test_a_row_takes_a_fraction_of_an_object() -> None:
    given = [
        Sample(path=f"crops/{n:09}.jpg", label="porosity", group=f"M2601-{n:08}", line="L07")
        for n in range(10_000)
    ]
    table = Samples.of(given)._table
    columns = (table._folder, table._name, table._group, *table._others.values())
    held = sum(sys.getsizeof(value) for c in columns for value in vars(c).values())
    as_objects = sum(
        sys.getsizeof(s) + sys.getsizeof(s.path) + sys.getsizeof(s.group) for s in given
    )
    assert held < as_objects / 4
