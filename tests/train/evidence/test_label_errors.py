"""Wrong labels come first, by answers that nobody who shares a group has taught."""

import numpy as np
import pytest

from train.data.audit import Suspicions
from train.errors import DatasetError
from train.evidence import label_errors
from train.evidence.label_errors import DIMENSIONS, compress, suspect_labels


def clouds(count: int = 300, classes: int = 3) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Features that tell the classes apart, and groups of three."""
    random = np.random.default_rng(1)
    truth = np.arange(count) % classes
    components = random.normal(0, 1, (count, 8)).astype(np.float32)
    components[np.arange(count), truth] += 5
    return components, truth, [f"g{n // 3}" for n in range(count)]


def judged(components: np.ndarray, labels: np.ndarray, groups: list[str]) -> Suspicions:
    return suspect_labels(components, labels, groups, folds=4, seed=0)


def test_wrong_labels_come_first_with_what_they_should_be() -> None:
    components, truth, groups = clouds()
    wrong = np.arange(0, 300, 29)
    labels = truth.copy()
    labels[wrong] = (truth[wrong] + 1) % 3
    found = judged(components, labels, groups)
    assert set(found.images[: len(wrong)].tolist()) == set(wrong.tolist())
    assert abs(found.suspects - len(wrong)) <= 2
    first = found.images[: len(wrong)]
    assert (found.suggested[: len(wrong)] == truth[first]).all()
    assert sorted(found.images.tolist()) == list(range(300))
    assert (found.scores >= 0).all()
    assert (found.scores <= 1).all()


def test_labels_without_an_error_are_hardly_suspected() -> None:
    components, truth, groups = clouds()
    assert judged(components, truth, groups).suspects <= 2


def test_a_suggestion_is_never_the_given_label() -> None:
    components, truth, groups = clouds()
    found = judged(components, truth, groups)
    assert (found.suggested != truth[found.images]).all()


def test_no_group_is_on_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    components, truth, groups = clouds()
    components[:, 7] = np.arange(300)  # so that the classifier can be seen to know who it meets
    met: list[set[str]] = []

    class Watched(label_errors.LogisticRegression):  # type: ignore[misc,name-defined]
        def fit(self, features: np.ndarray, *rest: object) -> object:
            met.append({groups[int(n)] for n in features[:, 7]})
            return super().fit(features, *rest)

        def predict_proba(self, features: np.ndarray) -> object:
            assert not met[-1] & {groups[int(n)] for n in features[:, 7]}
            return super().predict_proba(features)

    monkeypatch.setattr(label_errors, "LogisticRegression", Watched)
    judged(components, truth, groups)
    assert len(met) == 4


@pytest.mark.parametrize(("groups_of_it", "judged_images"), [(1, 297), (3, 291), (4, 300)])
def test_a_class_of_fewer_groups_than_folds_is_neither_judged_nor_suggested(
    groups_of_it: int, judged_images: int
) -> None:
    components, truth, groups = clouds()
    rare = np.arange(30, 30 + 3 * groups_of_it)
    labels = truth.copy()
    labels[rare] = 3
    components[rare] += (0, 0, 0, 9, 0, 0, 0, 0)
    found = judged(components, labels, groups)
    assert len(found.images) == judged_images
    assert bool(set(rare.tolist()) & set(found.images.tolist())) == (groups_of_it >= 4)
    assert groups_of_it >= 4 or 3 not in found.suggested


@pytest.mark.parametrize("labels", [[0] * 12, [0] * 9 + [1] * 3])
def test_too_little_to_compare_is_said(labels: list[int]) -> None:
    with pytest.raises(DatasetError, match="fewer than two classes stand in 4 groups or more"):
        judged(np.zeros((12, 4), np.float32), np.array(labels), list("aabbccddeeff"))


def test_features_are_kept_short_whatever_comes_in_which_batches() -> None:
    random = np.random.default_rng(2)
    strong = random.normal(0, 1, (400, 3)) @ random.normal(0, 1, (3, 200))
    features = (strong + random.normal(0, 0.01, (400, 200))).astype(np.float32)
    one = compress([features])
    several = compress(iter(np.array_split(features, 9)))
    assert one.shape == (400, DIMENSIONS)
    assert one.dtype == np.float32
    assert several == pytest.approx(one, abs=1e-4)
    # Three directions carry everything: the first components hold it.
    assert (one[:, :3] ** 2).sum() > 0.9 * (one**2).sum()


def test_what_lies_beyond_the_sample_goes_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    features = np.random.default_rng(2).normal(0, 1, (300, 20)).astype(np.float32)
    monkeypatch.setattr(label_errors, "_SAMPLE", 100)
    short = compress([features[:100], features[100:200], features[:100]])
    assert short.shape == (300, 20)
    assert short[200:] == pytest.approx(short[:100], abs=1e-4)
