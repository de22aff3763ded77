from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.errors import UsageError
from optimize.data.dataset import Dataset
from optimize.data.manifest import Sample
from train.data.split import SIDES, Plan, assign, check_sides, split_dataset
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


def grouped(sizes: list[list[int]]) -> list[tuple[str, str]]:
    return [
        (f"c{label}", f"g{label}.{group}")
        for label, groups in enumerate(sizes)
        for group, size in enumerate(groups)
        for _ in range(size)
    ]


def mixed_rows() -> st.SearchStrategy[list[tuple[str, str]]]:
    """Images of up to four classes in up to twelve groups, in any mixture."""
    return st.lists(
        st.tuples(st.sampled_from(["c0", "c1", "c2", "c3"]), st.integers(0, 11).map("g{}".format)),
        min_size=2,
        max_size=80,
    )


def require_clean(rows: list[tuple[str, str]], sides: list[str]) -> None:
    place = {}
    for (_, group), side in zip(rows, sides, strict=True):
        assert place.setdefault(group, side) == side, f"{group} is torn"
    for label in {label for label, _ in rows}:
        found = {side for (of, _), side in zip(rows, sides, strict=True) if of == label}
        assert found == set(SIDES), f"{label} stands on {found}"


SHARES = st.floats(0.05, 0.45)


@given(
    sizes=st.lists(st.lists(st.integers(1, 5), min_size=3, max_size=8), min_size=2, max_size=4),
    test=SHARES,
    val=SHARES,
    seed=st.integers(0, 99),
)
def test_three_groups_of_each_class_can_always_be_cut_in_three(
    sizes: list[list[int]], test: float, val: float, seed: int
) -> None:
    rows = grouped(sizes)
    plan = Plan(test_share=test, val_share=val, seed=seed)
    sides = list(assign(dataset(rows), plan).sides)
    require_clean(rows, sides)
    assert sides == assign(dataset(rows), plan).sides


@given(rows=mixed_rows(), seed=st.integers(0, 9))
def test_groups_of_several_classes_are_cut_cleanly_or_refused(
    rows: list[tuple[str, str]], seed: int
) -> None:
    try:
        sides = list(assign(dataset(rows), Plan(seed=seed)).sides)
    except DatasetError as exc:
        assert "class" in str(exc)  # noqa: PT017 - either outcome is right
        assert "\n" not in str(exc)  # noqa: PT017
        return
    require_clean(rows, sides)


def test_the_order_of_the_rows_does_not_matter() -> None:
    rows = grouped([[1, 2, 3] * 4, [2] * 9])
    data = dataset(rows)
    turned = Dataset(root=data.root, samples=data.samples[::-1])
    assert assign(turned, Plan()).sides == assign(data, Plan()).sides[::-1]


def test_each_class_gets_about_its_shares() -> None:
    rows = grouped([[4] * 200, [4] * 50, [1] * 10])
    sides = list(assign(dataset(rows), Plan(test_share=0.3, val_share=0.2, seed=4)).sides)
    for label, images in (("c0", 800), ("c1", 200), ("c2", 10)):
        of_class = [side for (of, _), side in zip(rows, sides, strict=True) if of == label]
        assert of_class.count("test") == pytest.approx(0.3 * images, abs=4)
        assert of_class.count("validation") == pytest.approx(0.2 * images, abs=4)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([[2, 2, 2]], "class 'c0' only: at least two"),
        ([[1, 1, 1], [1]], r"class 'c1' has 1 usable image in one group .*three groups are needed"),
        (
            [[1, 1, 1], [3, 1]],
            r"class 'c1' has 4 usable images in two groups \(g1.1, g1.0\): three",
        ),
    ],
)
def test_three_sides_need_three_groups_of_each_class(sizes: list[list[int]], expected: str) -> None:
    with pytest.raises(DatasetError, match=expected):
        assign(dataset(grouped(sizes)), Plan())


def test_shares_that_leave_nothing_to_teach_with_are_refused() -> None:
    with pytest.raises(UsageError, match=r"--test-split 0.5 and --val-split 0.5 leave nothing"):
        Plan(test_share=0.5, val_share=0.5)


def test_an_assignment_is_taken_as_it_is() -> None:
    rows = grouped([[1, 2, 1], [1, 1, 2]])
    sides = [SIDES[int(group[-1])] for _, group in rows]
    assert check_sides(dataset(rows).samples, sides, "side").sides == sides


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ((1, "test"), r"group 'g0.1' on two sides, 1.png on test and 2.png on validation"),
        ((0, "exam"), r"column 'side' says 'exam' of 0.png: expected train, validation, test"),
        ((0, "test"), r"no image of class 'c0' on the side train"),
    ],
)
def test_an_assignment_that_breaks_a_rule_is_refused(
    change: tuple[int, str], expected: str
) -> None:
    rows = grouped([[1, 2, 1], [1, 1, 2]])
    sides = [SIDES[int(group[-1])] for _, group in rows]
    sides[change[0]] = change[1]
    with pytest.raises(DatasetError, match=expected):
        check_sides(dataset(rows).samples, sides, "side")
