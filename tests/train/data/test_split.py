from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.errors import UsageError
from optimize.dataset import Dataset
from optimize.manifest import Sample
from train.data.split import split_dataset
from train.errors import DatasetError


def dataset(rows: list[tuple[str, str]]) -> Dataset:
    samples = (
        Sample(path=f"{number}.png", label=label, group=group)
        for number, (label, group) in enumerate(rows)
    )
    return Dataset(root=Path(), samples=tuple(samples))


def groups_of_one_label() -> st.SearchStrategy[list[tuple[str, str]]]:
    """For two to four classes, two to eight groups of one to five images each."""
    sizes = st.lists(st.lists(st.integers(1, 5), min_size=2, max_size=8), min_size=2, max_size=4)
    return sizes.map(
        lambda classes: [
            (f"c{label}", f"g{label}.{group}")
            for label, groups in enumerate(classes)
            for group, size in enumerate(groups)
            for _ in range(size)
        ]
    )


@given(rows=groups_of_one_label(), share=st.floats(0.1, 0.5), seed=st.integers(0, 99))
def test_no_group_is_torn_and_every_class_stands_on_both_sides(
    rows: list[tuple[str, str]], share: float, seed: int
) -> None:
    data = dataset(rows)
    split = split_dataset(data, share=share, seed=seed)
    assert sorted(split.train + split.validation) == list(range(len(rows)))
    groups = [{data.samples[i].group for i in side} for side in (split.train, split.validation)]
    assert not groups[0] & groups[1]
    for side in (split.train, split.validation):
        assert {data.samples[i].label for i in side} == set(data.labels)


def test_about_the_share_is_held_back_of_each_class() -> None:
    rows = [("good", f"g{i // 4}") for i in range(400)] + [("bad", f"b{i // 4}") for i in range(80)]
    split = split_dataset(dataset(rows), share=0.2, seed=1)
    held_back = [rows[i][0] for i in split.validation]
    assert 72 <= held_back.count("good") <= 88
    assert 12 <= held_back.count("bad") <= 20


def test_the_same_seed_gives_the_same_split_and_another_another() -> None:
    data = dataset([("ab"[i % 2], str(i)) for i in range(40)])
    assert split_dataset(data, share=0.2, seed=1) == split_dataset(data, share=0.2, seed=1)
    assert split_dataset(data, share=0.2, seed=1) != split_dataset(data, share=0.2, seed=2)


def test_sides_name_each_sample_in_turn() -> None:
    split = split_dataset(dataset([("ab"[i % 2], str(i)) for i in range(4)]), share=0.5, seed=1)
    sides = split.sides()
    assert [i for i, side in enumerate(sides) if side == "validation"] == list(split.validation)
    assert [i for i, side in enumerate(sides) if side == "train"] == list(split.train)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("a", "1"), ("a", "2")], "class 'a' only: at least two"),
        ([("a", "1"), ("a", "2"), ("b", "3")], "class 'b' has 1 usable image in one group"),
        (
            [("a", "1"), ("a", "2"), ("b", "3"), ("b", "3")],
            r"class 'b' has 2 usable images in one group \(3\).*--where 'label!=b'",
        ),
        (
            [("a", "1"), ("b", "1"), ("a", "2"), ("c", "2"), ("b", "3"), ("c", "3")],
            "no split by group keeps class",
        ),
    ],
)
def test_what_grouping_cannot_give_is_refused(rows: list[tuple[str, str]], expected: str) -> None:
    with pytest.raises(DatasetError, match=expected):
        split_dataset(dataset(rows), share=0.5, seed=0)


@pytest.mark.parametrize("share", [0, -1, 0.6, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match="--val-split"):
        split_dataset(dataset([("a", "1"), ("b", "2")]), share=share, seed=0)
