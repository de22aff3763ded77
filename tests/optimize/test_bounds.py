import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from optimize.bounds import Trials, effective_trials, group_bootstrap, lower, upper

CONFIDENCE = 0.95


@given(trials=st.integers(1, 400), data=st.data(), confidence=st.floats(0.6, 0.999))
def test_bounds_are_those_of_scipys_exact_binomial_test(
    trials: int, data: st.DataObject, confidence: float
) -> None:
    hits = data.draw(st.integers(0, trials))
    test = stats.binomtest(hits, trials, alternative="greater")
    assert lower(hits, trials, confidence) == pytest.approx(
        test.proportion_ci(confidence, "exact").low, abs=1e-9
    )
    test = stats.binomtest(hits, trials, alternative="less")
    assert upper(hits, trials, confidence) == pytest.approx(
        test.proportion_ci(confidence, "exact").high, abs=1e-9
    )


def test_without_trials_nothing_is_known() -> None:
    assert (lower(0, 0, CONFIDENCE), upper(0, 0, CONFIDENCE)) == (0, 1)
    none = Trials.of([])
    assert (none.at_least(0, CONFIDENCE), none.at_most(0, CONFIDENCE)) == (0, 1)


def test_groups_are_worth_less_than_their_images() -> None:
    assert effective_trials(["a", "b", "c"]) == 3
    assert effective_trials(["a", "a", "b", "b"]) == 2
    assert effective_trials(["a"] * 9 + ["b"]) == pytest.approx(100 / 82)


SETTINGS = [
    # share of errors, groups, largest group, correlation within a group
    (0.15, 60, 9, 0.5),
    (0.03, 150, 9, 0.8),
    (0.03, 400, 3, 0.8),
    (0.15, 60, 9, 0.0),
]


def missed(share: float, count: int, largest: int, correlation: float, *, naive: bool) -> float:
    """How often the upper bound on a share lies below the truth, over 2,000 simulated samples."""
    random = np.random.default_rng(7)
    odds = (1 - correlation) / correlation if correlation else 0
    failures = 0
    for _ in range(2000):
        sizes = random.integers(1, largest + 1, count)
        rates = random.beta(share * odds, (1 - share) * odds, count) if odds else share
        hits = int(random.binomial(sizes, rates).sum())
        total = int(sizes.sum())
        worth = total if naive else total**2 / int((sizes**2).sum())
        failures += float(upper(hits * worth / total, worth, CONFIDENCE)) < share
    return failures / 2000


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_bound_holds_where_groups_repeat(setting: tuple[float, int, int, float]) -> None:
    assert missed(*setting, naive=False) <= 0.05 + 0.01  # two standard errors of 2,000 samples


@pytest.mark.parametrize("setting", SETTINGS[:3])
def test_control_counting_images_as_independent_fails_there(
    setting: tuple[float, int, int, float],
) -> None:
    assert missed(*setting, naive=True) > 0.1


def test_the_simulated_worth_is_the_one_in_use() -> None:
    groups = [name for name, size in (("a", 3), ("b", 1), ("c", 5)) for _ in range(size)]
    assert Trials.of(groups).effective == pytest.approx(81 / 35)
    assert Trials.of(groups).at_most(3, CONFIDENCE) == upper(27 / 35, 81 / 35, CONFIDENCE)


@given(
    hits=st.integers(0, 60),
    misses=st.integers(0, 60),
    group=st.integers(1, 4),
    limit=st.floats(0.05, 0.95),
)
def test_with_the_labels_that_are_missing_the_bound_holds_and_with_one_less_not(
    hits: int, misses: int, group: int, limit: float
) -> None:
    images = (hits + misses) * group
    trials = Trials.of([str(i // group) for i in range(images)])
    more = trials.more_for_at_least(hits * group, limit, CONFIDENCE)
    share = hits / (hits + misses) if images else 0.0
    if more is None:
        assert share <= limit + 1e-6
        return

    def bound(total: int) -> float:
        worth = total / group
        return float(lower(share * worth, worth, CONFIDENCE))

    assert bound(images + more) >= limit
    if more:
        assert bound(images + more - 1) < limit


def test_how_many_are_missing_for_an_upper_bound() -> None:
    trials = Trials.of([str(i) for i in range(50)])
    # (1 - 0.03) ** n <= 0.05 from n = 99 on: the textbook case of none among n.
    assert trials.more_for_at_most(0, 0.03, CONFIDENCE) == 49
    assert trials.more_for_at_most(2, 0.03, CONFIDENCE) is None


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    total = weights.sum()
    return {"mean": float((weights * values).sum() / total) if total else float("nan")}


def test_bootstrap_draws_groups_and_not_images() -> None:
    random = np.random.default_rng(3)
    values = np.repeat(random.normal(size=40), 25)
    together = [str(i // 25) for i in range(1000)]
    alone = [str(i) for i in range(1000)]
    wide, narrow = (
        group_bootstrap(groups, lambda w: weighted_mean(values, w), confidence=0.95, resamples=400)
        for groups in (together, alone)
    )
    assert wide["mean"] is not None
    assert narrow["mean"] is not None
    assert wide["mean"][1] - wide["mean"][0] > 3 * (narrow["mean"][1] - narrow["mean"][0])
    expected = 2 * 1.96 * values.std() / np.sqrt(40)
    assert wide["mean"][1] - wide["mean"][0] == pytest.approx(expected, rel=0.2)


def test_a_figure_that_most_draws_leave_undefined_has_no_interval() -> None:
    found = group_bootstrap(
        ["a", "b"],
        lambda w: {"never": float("nan"), "always": float(w.sum())},
        confidence=0.9,
        resamples=50,
    )
    assert found == {"never": None, "always": (2.0, 2.0)}
