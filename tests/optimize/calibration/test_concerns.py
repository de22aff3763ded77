"""What is said of a doubtful calibration set."""

from optimize.calibration.concerns import concerns
from tests.optimize.tiny_network import LABELS


def test_few_images_one_class_and_absent_classes_are_each_a_concern() -> None:
    assert concerns(["red"] * 20 + ["green"] * 20 + ["blue"] * 20, LABELS) == ()
    assert "only 3 calibration images" in concerns(["red", "green", "blue"], LABELS)[0]
    assert "all calibration images are of one class (red)" in concerns(["red"] * 40, LABELS)[0]
    assert concerns(["red", "green"] * 20, LABELS) == ("no calibration image of blue",)
