"""`optimize compare`: two sides, each by its own rule, at its own size."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime.contracts.manifest import DecisionRule, InputSpec, ModelSpec, Thresholds
from edge_runtime.errors import BundleError
from optimize.cli.main import main
from optimize.comparison import Side
from tests.tiny_bundle import model_spec

MakeBundle = Callable[..., Path]
QUICK = ["--samples", "2"]


def strict(spec: ModelSpec) -> ModelSpec:
    """A rule that calls nearly everything a defect."""
    rule = DecisionRule(
        ok_labels=spec.decision.ok_labels, thresholds=Thresholds(review_from=0, defect_from=0.001)
    )
    return spec.model_copy(update={"decision": rule})


@pytest.fixture
def pair(make_bundle: MakeBundle) -> tuple[Path, Path]:
    return make_bundle(name="plain"), make_bundle(spec=strict(model_spec()), name="strict")


@pytest.fixture
def images(folder_of_parts: Path, tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    folder_of_parts.rename(tmp_path / "images" / "parts")
    return tmp_path / "images"


def test_a_model_differs_from_itself_in_nothing(
    pair: tuple[Path, Path], images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", str(pair[0]), f"{pair[0]}:float32@onnxruntime", "--max-flips", "0"]
    assert main([*words, "--images", str(images), *QUICK]) == 0
    out = capsys.readouterr().out
    assert "0 of 11 verdicts differ (0.00%)" in out
    assert "2 files could not be used" in out
    assert "B is " in out


def test_another_rule_is_another_verdict_and_more_than_agreed_fails(
    pair: tuple[Path, Path],
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = tmp_path / "found.json"
    words = ["compare", *map(str, pair), "--images", str(images), *QUICK]
    assert main([*words, "--max-flips", "0.1", "--json", str(found)]) == 10
    captured = capsys.readouterr()
    assert "6 of 11 verdicts differ" in captured.out
    assert "ok no_defect" in captured.out
    assert "--max-flips 0.1 allows 1" in captured.err
    assert len(json.loads(found.read_text())["flips"]) == 6


def test_sides_of_different_size_and_labels_are_compared_all_the_same(
    pair: tuple[Path, Path],
    make_folder: Callable[..., Path],
    model_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out" / "small" / "1.0.0"
    words = ["build", str(model_file), "--calibration", str(make_folder("calibration"))]
    assert main([*words, "--out", str(out), "--latency-samples", "2"]) == 0
    assert model_spec().input != InputSpec(height=16, width=16)
    capsys.readouterr()
    images = str(tmp_path / "calibration")
    assert main(["compare", str(out), str(pair[0]), "--images", images, *QUICK]) == 0
    shown = capsys.readouterr().out
    assert "of 36 verdicts differ" in shown
    assert "signal to noise" not in shown


def test_without_images_the_golden_frames_serve(
    pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *map(str, pair), "--samples", "0"]) == 0
    out = capsys.readouterr().out
    assert "of 1 verdicts differ" in out
    assert "ms per image" not in out


@pytest.mark.parametrize(
    ("text", "precision", "engine"),
    [
        ("{}", "float32", "onnxruntime"),
        ("{}@null", "float32", "null"),
        ("{}:float32", "float32", "onnxruntime"),
        ("{}:float32@openvino", "float32", "openvino"),
    ],
)
def test_a_side_is_a_bundle_a_variant_and_an_engine(
    make_bundle: MakeBundle, text: str, precision: str, engine: str
) -> None:
    side = Side.parse(text.format(make_bundle()))
    assert (side.variant.precision, side.engine) == (precision, engine)


@pytest.mark.parametrize(
    ("text", "said"), [("{}:int7", "no variant 'int7'"), ("{}-gone", "no bundle")]
)
def test_a_side_that_is_not_there_is_named(make_bundle: MakeBundle, text: str, said: str) -> None:
    with pytest.raises(BundleError, match=said):
        Side.parse(text.format(make_bundle()))
