from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.errors import UsageError
from optimize.data.dataset import Dataset
from optimize.data.manifest import Sample
from train.data.shares import Portion, nested_portions


def dataset(rows: Sequence[tuple[str, str]]) -> Dataset:
    """Of (label, group) pairs."""
    return Dataset(
        root=Path(),
        samples=tuple(
            Sample(path=f"{i}.png", label=label, group=group)
            for i, (label, group) in enumerate(rows)
        ),
    )


def groups(data: Dataset, portion: Portion) -> set[str]:
    return {data.samples[index].group for index in portion.indices}


rows = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", "rare"]), st.integers(0, 25).map(str)), min_size=1
)


@given(rows=rows, shares=st.sets(st.floats(0.001, 1.0), min_size=1), seed=st.integers(0, 99))
def test_portions_are_nested_whole_by_group_and_hold_every_class(
    rows: list[tuple[str, str]], shares: set[float], seed: int
) -> None:
    data = dataset(rows)
    portions = nested_portions(data, range(len(rows)), sorted(shares), seed)
    before: set[int] = set()
    for portion in portions:
        assert before <= set(portion.indices)
        before = set(portion.indices)
        assert {data.samples[i].label for i in before} == {label for label, _ in rows}
        inside = groups(data, portion)
        assert before == {i for i, (_, group) in enumerate(rows) if group in inside}


@given(rows=rows, share=st.floats(0.001, 1.0), seed=st.integers(0, 99))
def test_a_portion_does_not_depend_on_the_other_shares(
    rows: list[tuple[str, str]], share: float, seed: int
) -> None:
    data = dataset(rows)
    alone = nested_portions(data, range(len(rows)), [share], seed)
    among = nested_portions(data, range(len(rows)), [0.3, share, 1.0], seed)
    assert alone[0] == among[1]
    assert among[2].indices == tuple(range(len(rows)))


def test_classes_keep_their_proportions() -> None:
    data = dataset(
        [("common", f"c{i}") for i in range(800)] + [("rare", f"r{i}") for i in range(80)]
    )
    (portion,) = nested_portions(data, range(880), [0.25], seed=1)
    labels = [data.samples[i].label for i in portion.indices]
    assert (labels.count("common"), labels.count("rare")) == (200, 20)
    assert portion.held_up == ()


def test_a_class_that_its_share_would_leave_empty_is_held_up_and_named() -> None:
    data = dataset(
        [("common", f"c{i}") for i in range(800)] + [("rare", f"r{i}") for i in range(8)]
    )
    small, large = nested_portions(data, range(808), [0.01, 0.25], seed=1)
    assert small.held_up == ("rare",)
    assert sum(data.samples[i].label == "rare" for i in small.indices) == 1
    assert large.held_up == ()


def test_another_seed_draws_other_groups() -> None:
    data = dataset([("a", str(i)) for i in range(50)])
    first, again, other = (
        nested_portions(data, range(50), [0.2], seed)[0].indices for seed in (1, 1, 2)
    )
    assert first == again != other


def test_only_the_images_handed_in_are_drawn_from() -> None:
    data = dataset([("a", str(i)) for i in range(20)] + [("b", "b1"), ("b", "b2")])
    (portion,) = nested_portions(data, [0, 3, 20], [1.0], seed=1)
    assert portion.indices == (0, 3, 20)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, float("nan")])
def test_a_share_that_cannot_be_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match="--shares"):
        nested_portions(dataset([("a", "1")]), [0], [share], seed=0)
