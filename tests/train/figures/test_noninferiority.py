import numpy as np
import pytest
from scipy import optimize, special

from train.figures.noninferiority import (
    fewest,
    macro_f1_gain,
    paired_gain,
    ranking,
    tango_bound,
)


@pytest.mark.parametrize("pairs", [10, 100, 1000])
def test_without_a_differing_pair_the_bound_is_the_closed_form(pairs: int) -> None:
    quantile = special.ndtri(0.95)
    expected = -(quantile**2) / (pairs + quantile**2)
    assert tango_bound(0, 0, pairs, 0.95) == pytest.approx(expected, abs=1e-4)


def test_so_many_pairs_show_a_margin_and_one_less_does_not() -> None:
    enough = fewest(0.03, 0.95)
    assert enough == 88
    assert tango_bound(0, 0, enough, 0.95) >= -0.03 > tango_bound(0, 0, enough - 1, 0.95)


def by_search(gained: int, lost: int, pairs: int, confidence: float) -> float:
    """The score bound without Tango's closed form: the likelihood is maximised by search."""

    def statistic(difference: float) -> float:
        def unlikely(lost_share: float) -> float:
            shares = (lost_share + difference, lost_share, 1 - difference - 2 * lost_share)
            counts = (gained, lost, pairs - gained - lost)
            return -sum(
                count * np.log(share) for count, share in zip(counts, shares, strict=True) if count
            )

        low, high = max(0.0, -difference) + 1e-12, (1 - difference) / 2 - 1e-12
        lost_share = optimize.minimize_scalar(
            unlikely, bounds=(low, high), method="bounded", options={"xatol": 1e-12}
        ).x
        variance = pairs * (2 * lost_share + difference - difference**2)
        return float((gained - lost - pairs * difference) / np.sqrt(variance))

    quantile = special.ndtri(confidence)
    estimate = (gained - lost) / pairs
    return float(optimize.brentq(lambda d: statistic(d) - quantile, -0.999, estimate - 1e-9))


@pytest.mark.parametrize(("gained", "lost", "pairs"), [(3, 1, 44), (5, 9, 120), (40, 2, 200)])
def test_the_bound_is_that_of_the_score_test_by_search(gained: int, lost: int, pairs: int) -> None:
    expected = by_search(gained, lost, pairs, 0.95)
    assert tango_bound(gained, lost, pairs, 0.95) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("gained", "lost"), [(0.02, 0.02), (0.08, 0.08), (0.01, 0.04)])
def test_the_bound_lies_above_the_truth_as_seldom_as_it_says(gained: float, lost: float) -> None:
    random = np.random.default_rng(0)
    draws = random.multinomial(150, [gained, lost, 1 - gained - lost], 2000)
    missed = np.mean([tango_bound(b, c, 150, 0.95) > gained - lost for b, c, _ in draws])
    assert missed < 0.07
    # The control: bounds at the estimate itself would miss about half of the time.
    assert np.mean([(b - c) / 150 > gained - lost for b, c, _ in draws]) > 0.25


def test_images_of_one_group_count_as_one() -> None:
    before = np.ones(120, np.bool_)
    alone = paired_gain(before, before, [str(i) for i in range(120)], 0.95)
    together = paired_gain(before, before, [str(i // 4) for i in range(120)], 0.95)
    assert alone[0] == together[0] == 0
    assert together[1] == pytest.approx(tango_bound(0, 0, 30, 0.95))
    assert together[1] < alone[1]


def test_a_macro_f1_that_everywhere_got_better_has_a_bound_above_zero() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, 300)
    before = np.where(random.uniform(size=300) < 0.4, (truth + 1) % 3, truth)
    groups = [str(i) for i in range(300)]
    gain, bound = macro_f1_gain(truth, before, truth, groups, 3, 0.95)
    assert bound is not None
    assert 0.3 < bound < gain < 0.5
    assert macro_f1_gain(truth, before, before, groups, 3, 0.95) == (0.0, 0.0)


def test_the_ranking_tells_right_wrong_and_chance() -> None:
    positive = np.array([True, True, False, False])
    assert ranking(np.array([0.9, 0.8, 0.2, 0.1]), positive) == 1.0
    assert ranking(np.array([0.1, 0.2, 0.8, 0.9]), positive) == 0.0
    assert ranking(np.full(4, 0.5), positive) == 0.5
    assert ranking(np.array([0.5]), np.array([True])) is None
