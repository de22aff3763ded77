"""`train plan` as a user types it, on the tiny data set."""

from pathlib import Path

import pytest

from tests.train.conftest import FIT_FLAGS
from train.cli.main import main


def test_a_plan_is_measured_and_fits_a_small_budget(
    folder_of_images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    budget = ["--images", "300", "--target-images", "30", "--updates", "1"]
    assert main(["plan", "--data-dir", str(folder_of_images), *FIT_FLAGS, *budget]) == 0
    printed = capsys.readouterr().out
    assert "test_efficientnet on a CPU" in printed
    assert "16 px" in printed
    assert "32 px" in printed
    assert "says nothing of a GPU's" in printed
    assert printed.splitlines()[-1].startswith("fits: ")


def test_a_plan_that_does_not_fit_says_so_with_its_own_exit_code(
    folder_of_images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    budget = ["--hours", "0.01", "--memory-gb", "0.01", "--updates", "1"]
    assert main(["plan", "--data-dir", str(folder_of_images), *FIT_FLAGS, *budget]) == 27
    error = capsys.readouterr().err.splitlines()
    assert error[-1].startswith("train: does not fit: 3 epochs take")
    assert "of 0.01" in error[-1]


@pytest.mark.parametrize(
    "flags", ["--images 1", "--hours 0", "--memory-gb nan", "--updates 0", "--val-split 0.9"]
)
def test_a_budget_that_cannot_be_is_refused(flags: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", *flags.split()]) == 2
    assert flags.split()[0] in capsys.readouterr().err
