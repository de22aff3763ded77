"""Which parts are kept and why: each rule by an example, and what must not be kept."""

import numpy as np

from edge_runtime.contracts.drift import DriftReference, MeasureReference
from edge_runtime.contracts.frame import Unreadable
from edge_runtime.contracts.sample import Claim, Reason
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.inspection import Answered
from edge_runtime.samples.rules import Rules, lot, returned
from tests.edge_runtime.samples.parts import MODEL, measured, part


def claims_of(
    answered: Answered,
    moved: tuple[str, ...] | None = None,
    reference: DriftReference | None = None,
) -> set[tuple[str, str]]:
    rules = Rules(MODEL, reference, most_likely=0.0)
    return {(claim.reason.value, claim.kind) for claim in rules.claims(answered, moved)}


def reference() -> DriftReference:
    """Frames of a brightness of 100, give or take 2."""
    return DriftReference(
        dataset="test",
        images=100,
        line_mix=False,
        measures=(
            MeasureReference(
                name="brightness",
                mean=100.0,
                deviation=2.0,
                effective_images=100,
                low=96.0,
                high=104.0,
                edges=(90.0, 100.0, 110.0),
                shares=(0.5, 0.5),
            ),
        ),
        shares=(),
    )


def test_a_plain_good_part_is_not_kept() -> None:
    assert claims_of(part(1)) == set()


def test_what_a_person_has_to_decide_is_uncertain() -> None:
    seen = part(1, defect=0.5, outcome=Outcome.REVIEW)
    assert claims_of(seen) == {("uncertain", "crack")}


def test_a_score_just_beside_either_threshold_is_near_it_and_a_far_one_is_not() -> None:
    # Odds of 0.3 are 0.43, of 0.7 2.33; half a unit of log odds is a factor of 1.65.
    assert claims_of(part(1, defect=0.22)) == {("near_threshold", "no_defect")}
    assert claims_of(part(1, defect=0.19)) == set()
    defect = part(1, defect=0.78, outcome=Outcome.DEFECT)
    assert claims_of(defect) == {("near_threshold", "crack")}
    assert claims_of(part(1, defect=0.9, outcome=Outcome.DEFECT)) == set()


def test_a_frame_that_the_gate_turned_away_is_kept_by_its_code() -> None:
    blank = part(1, rejection="blank: all black, mean 2")
    assert claims_of(blank) == {("rejected", "blank")}


def test_a_part_without_any_picture_is_not_kept() -> None:
    lost = part(1, image=Unreadable("permission denied"), rejection="unreadable: permission denied")
    assert Rules(MODEL, most_likely=1.0).claims(lost) == ()


def test_all_parts_of_a_station_that_has_drifted_are_by_what_moved_most() -> None:
    assert claims_of(part(1), moved=("colour", "noise")) == {("drifted", "colour")}


def test_one_frame_far_outside_of_the_reference_is_drifted_by_itself() -> None:
    statistics = measured(1)
    assert abs(statistics.brightness - 100) > 8
    odd = part(1, statistics=statistics)
    assert claims_of(odd, reference=reference()) == {("drifted", "brightness")}
    assert claims_of(odd) == set()
    assert claims_of(part(1), reference=reference()) == set()


def test_a_class_becomes_rare_when_others_become_frequent() -> None:
    rules = Rules(MODEL, most_likely=0.0)
    crack = part(1, defect=0.99, outcome=Outcome.DEFECT)
    assert rules.claims(crack) == ()
    for seq in range(2, 3000):
        assert rules.claims(part(seq, now=2.0)) == ()
    rare = part(3000, defect=0.99, outcome=Outcome.DEFECT)
    assert rules.claims(rare) == (Claim(reason=Reason.RARE, kind="crack"),)


def test_one_reason_and_kind_is_not_kept_twice_within_the_spacing() -> None:
    rules = Rules(MODEL, most_likely=0.0, spacing_s=5.0)
    taken = [
        seq
        for seq in range(1, 13)
        if rules.claims(part(seq, defect=0.5, outcome=Outcome.REVIEW, now=float(seq)))
    ]
    assert taken == [1, 6, 11]
    other = part(12, defect=0.5, outcome=Outcome.REVIEW, label="stain", now=12.0)
    assert rules.claims(other)


def test_random_ones_are_drawn_evenly_and_ask_nothing_of_the_spacing() -> None:
    rules = Rules(MODEL, most_likely=0.1)
    drawn = [seq for seq in range(1, 5_001) if rules.claims(part(seq, image=b"x", now=0.0))]
    # Four standard deviations of a binomial count.
    assert abs(len(drawn) - 500) < 4 * (5_000 * 0.1 * 0.9) ** 0.5
    lots = np.array([lot(part(seq, image=b"x").verdict) for seq in range(1, 5_001)])
    assert abs(np.histogram(lots, 10, (0, 1))[0] - 500).max() < 85
    assert all(lots[seq - 1] < 0.1 for seq in drawn)


def test_a_returned_label_claims_where_it_disagrees() -> None:
    verdict = part(1).verdict
    assert returned(verdict, "no_defect") is None
    assert returned(verdict, "crack") == Claim(reason=Reason.DISAGREEING, kind="crack")
