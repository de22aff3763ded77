import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimize.data.manifest import Sample
from train.data.folds import deal_folds, lonely
from train.errors import DatasetError


def samples(rows: list[tuple[str, str]]) -> list[Sample]:
    return [
        Sample(path=f"{i}.png", label=label, group=group) for i, (label, group) in enumerate(rows)
    ]


@given(
    rows=st.lists(
        st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 12).map(str)), min_size=20
    ),
    folds=st.integers(2, 4),
    seed=st.integers(0, 50),
)
def test_no_group_is_torn_apart_and_no_fold_is_missing(
    rows: list[tuple[str, str]], folds: int, seed: int
) -> None:
    dealt = samples(rows)
    if len({sample.group for sample in dealt}) < folds:
        with pytest.raises(DatasetError, match=r"groups of images cannot be dealt"):
            deal_folds(dealt, folds, seed)
        return
    fold = deal_folds(dealt, folds, seed)
    for group in {sample.group for sample in dealt}:
        assert len({int(f) for f, s in zip(fold, dealt, strict=True) if s.group == group}) == 1
    assert fold.min() >= 0
    assert fold.max() < folds


def test_classes_are_alike_in_all_folds() -> None:
    dealt = samples([("good", f"g{i}") for i in range(90)] + [("bad", f"b{i}") for i in range(9)])
    fold = deal_folds(dealt, 3, seed=1)
    bad = np.array([sample.label == "bad" for sample in dealt])
    assert np.bincount(fold[bad]).tolist() == [3, 3, 3]
    assert np.bincount(fold).tolist() == [33, 33, 33]


def test_a_class_of_one_group_is_dealt_all_the_same_and_named() -> None:
    dealt = samples([("good", f"g{i}") for i in range(9)] + [("bad", "b1"), ("bad", "b1")])
    fold = deal_folds(dealt, 3, seed=1)
    assert fold[-1] == fold[-2]
    assert lonely(dealt) == ("bad",)


def test_more_folds_than_images_of_any_class_are_refused() -> None:
    with pytest.raises(DatasetError, match="take fewer folds"):
        deal_folds(samples([("a", "1"), ("b", "2"), ("c", "3")]), 3, seed=1)
