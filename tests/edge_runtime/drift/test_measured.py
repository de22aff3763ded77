"""Figures from labels that came back: bounds that hold, and what a choice of parts can never tell."""

from collections import Counter

import numpy as np
import pytest

from edge_runtime import policy
from edge_runtime.contracts.label import UNKNOWN_DEFECT, Selected
from edge_runtime.contracts.manifest import DecisionRule, InputSpec, ModelSpec, Thresholds
from edge_runtime.contracts.performance import Measured
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.drift.measured import FEWEST_RANDOM, measured

SPEC = ModelSpec(
    labels=("no_defect", "spatter"),
    input=InputSpec(),
    decision=DecisionRule(
        ok_labels=("no_defect",), thresholds=Thresholds(review_from=0.4, defect_from=0.6)
    ),
    provenance={},
)
OK = (Outcome.OK, "no_defect")
REVIEW, DEFECT = (Outcome.REVIEW, "spatter"), (Outcome.DEFECT, "spatter")
ANSWERED = {OK: 90_000, REVIEW: 2_000, DEFECT: 8_000}
BAD = {OK: 0.006, REVIEW: 0.5, DEFECT: 0.95}
"""Share of each that is truly defective."""
RECALL = (0.5 * 2_000 + 0.95 * 8_000) / (0.006 * 90_000 + 0.5 * 2_000 + 0.95 * 8_000)
FALSE = 0.05 * 8_000 / (0.994 * 90_000 + 0.5 * 2_000 + 0.05 * 8_000)

Labels = Counter[tuple[Outcome, str, str, Selected]]


def drawn(rng: np.random.Generator, random: int, defects: int) -> Labels:
    """So many parts by chance from all, and so many of those answered `defect`."""
    total = sum(ANSWERED.values())
    labels: Labels = Counter()
    for answer, count in zip(
        ANSWERED,
        rng.multinomial(random, [n / total for n in ANSWERED.values()]),
        strict=True,
    ):
        bad = int(rng.binomial(count, BAD[answer]))
        labels[*answer, "spatter", Selected.RANDOM] += bad
        labels[*answer, "no_defect", Selected.RANDOM] += int(count) - bad
    bad = int(rng.binomial(defects, BAD[DEFECT]))
    labels[*DEFECT, "spatter", Selected.DEFECTS] += bad
    labels[*DEFECT, "no_defect", Selected.DEFECTS] += defects - bad
    return labels


def figures_of(labels: Labels) -> Measured:
    return measured(SPEC, policy.answers(SPEC), ANSWERED, labels, since=None, received={})


def test_bounds_hold_at_their_rate_and_weigh_what_was_chosen() -> None:
    rng, repeats = np.random.default_rng(1), 100
    held = Counter[str]()
    for _ in range(repeats):
        found = figures_of(drawn(rng, 600, 300))
        assert found.defect_recall is not None
        assert found.false_positive_rate is not None
        held["recall at least"] += found.defect_recall.low <= RECALL
        held["recall at most"] += found.defect_recall.high >= RECALL
        held["false at least"] += found.false_positive_rate.low <= FALSE
        held["false at most"] += found.false_positive_rate.high >= FALSE
    # 95 of 100 are promised of each; 90 or fewer would be an accident of 3 in 100.
    assert min(held.values()) > 90


def test_counting_all_labels_alike_would_claim_what_is_not_so() -> None:
    """The control: the same labels without weights say that hardly a defect is missed."""
    labels = drawn(np.random.default_rng(1), 600, 3000)
    bad = Counter(
        {key: n for key, n in labels.items() if key[2] == "spatter"},
    )
    missed = sum(n for (outcome, *_), n in bad.items() if outcome is Outcome.OK)
    assert 1 - missed / bad.total() > RECALL + 0.03
    found = figures_of(labels)
    assert found.defect_recall is not None
    assert found.defect_recall.low <= RECALL <= found.defect_recall.high


@pytest.mark.parametrize("selected", [Selected.DEFECTS, Selected.OTHER, Selected.REVIEW])
def test_labels_of_rejected_parts_say_nothing_of_missed_defects(selected: Selected) -> None:
    found = figures_of(Counter({(*DEFECT, "spatter", selected): 5000}))
    assert (found.macro_f1, found.defect_recall, found.false_positive_rate) == (None, None, None)
    assert f"{FEWEST_RANDOM} are the fewest that tell of missed defects" in found.words


def test_a_part_that_was_picked_counts_for_nothing() -> None:
    labels = drawn(np.random.default_rng(1), 600, 300)
    picked = labels + Counter(
        {(*OK, "spatter", Selected.OTHER): 50, (*OK, "spatter", Selected.DEFECTS): 50}
    )
    assert figures_of(picked) == figures_of(labels)


def test_an_answer_of_which_no_label_came_back_may_be_all_wrong() -> None:
    only_good = Counter({(*OK, "no_defect", Selected.RANDOM): 500})
    found = figures_of(only_good)
    assert found.defect_recall is not None
    assert found.defect_recall.low < 0.1


def test_a_defect_without_a_class_is_a_defect_that_was_missed() -> None:
    labels = drawn(np.random.default_rng(1), 600, 300)
    before = figures_of(labels)
    after = figures_of(labels + Counter({(*OK, UNKNOWN_DEFECT, Selected.RANDOM): 12}))
    assert before.defect_recall is not None
    assert after.defect_recall is not None
    assert after.defect_recall.value < before.defect_recall.value - 0.05
    assert before.macro_f1 is not None
    assert after.macro_f1 is not None
    assert after.macro_f1.value < before.macro_f1.value - 0.2
