"""Which frames are shown: right ones by lot, wrong ones by how sure the network was."""

import numpy as np

from edge_runtime.contracts.manifest import DecisionRule, InputSpec, ModelSpec, Thresholds
from train.report.examples import choose

MODEL = ModelSpec(
    labels=("crack", "no_defect", "stain"),
    input=InputSpec(height=32, width=32),
    decision=DecisionRule(
        ok_labels=("no_defect",), thresholds=Thresholds(review_from=0.5, defect_from=0.5)
    ),
    provenance={},
)
CRACK, GOOD, STAIN = range(3)


def answers(classes: list[int], sure: list[float]) -> np.ndarray:
    """Logits (N, 3) of networks that name these classes, the surer the larger."""
    logits = np.zeros((len(classes), 3), np.float32)
    logits[np.arange(len(classes)), classes] = sure
    return logits


def test_the_wrong_ones_are_those_that_the_network_was_surest_of() -> None:
    truth = np.array([CRACK] * 5)
    logits = answers([STAIN, STAIN, CRACK, STAIN, GOOD], [2.0, 6.0, 5.0, 4.0, 9.0])
    chosen = choose(logits, truth, MODEL, right=3, wrong=2)
    assert chosen == {"crack": [2, 4, 1], "no_defect": [], "stain": []}


def test_the_right_ones_are_drawn_by_lot_and_the_same_every_time() -> None:
    truth = np.zeros(40, np.int64)
    logits = answers([CRACK] * 40, np.linspace(3, 9, 40).tolist())
    first = choose(logits, truth, MODEL, right=4, wrong=4, seed=1)["crack"]
    assert first == choose(logits, truth, MODEL, right=4, wrong=4, seed=1)["crack"]
    assert len(set(first)) == 4
    assert set(first) not in ({36, 37, 38, 39}, {0, 1, 2, 3})
    assert first != choose(logits, truth, MODEL, right=4, wrong=4, seed=2)["crack"]


def test_a_part_below_the_threshold_is_good_whatever_its_likeliest_class() -> None:
    logits = np.array([[1.0, 0.9, -4.0]], np.float32)  # crack by a hair, and 0.47 of it good
    strict = MODEL.model_copy(
        update={
            "decision": MODEL.decision.model_copy(
                update={"thresholds": Thresholds(review_from=0.9, defect_from=0.9)}
            )
        }
    )
    right = choose(logits, np.array([GOOD]), strict, right=1, wrong=1)
    assert right["no_defect"] == [0]
    assert choose(logits, np.array([CRACK]), strict, right=1, wrong=0)["crack"] == []
