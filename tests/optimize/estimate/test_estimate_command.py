"""`optimize estimate` and `optimize inspect --layers`."""

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from optimize.cli.main import main
from tests.optimize.estimate.graphs import conv, make_proto


def test_what_is_printed_is_called_an_estimate(
    model_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["estimate", str(model_file), "--device", "t4"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("estimate for tiny 1x16x16x3 on NVIDIA T4, batch 32")
    assert "This is an estimate: no T4 was measured." in printed
    assert [line.split()[0] for line in printed.splitlines()[3:6]] == ["int8", "fp16", "float32"]
    assert "fits, at the interval's upper end too" in printed
    assert "conv_blur  depthwise" in printed


def test_a_limit_below_the_bound_cannot_be_held(
    model_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["estimate", str(model_file), "--device", "t4", "--limit-ms", "1e-9"]) == 0
    assert "impossible: the bound alone is above it" in capsys.readouterr().out


def test_another_device_is_said_to_rest_on_an_assumption(
    model_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["estimate", str(model_file), "--device", "orin-nx-16gb"]) == 0
    printed = capsys.readouterr().out
    assert "no Jetson Orin NX 16GB was measured" in printed
    assert "that a T4's efficiency holds there is an assumption" in printed


def test_json_says_that_nothing_was_measured(
    model_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--device", "t4", "--precision", "fp16", "--batch", "1", "--json"]
    assert main(["estimate", str(model_file), *words]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["measured"], told["batch"]) == ("estimate", False, 1)
    (one,) = told["estimates"]
    assert one["precision"] == "fp16"
    assert one["bound_ms"] <= one["low_ms"] <= one["estimate_ms"] <= one["high_ms"]
    assert sum(layer["estimate_ms"] for layer in one["layers"]) == pytest.approx(one["estimate_ms"])


def test_unknown_operators_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nodes = [("Einsum", ("x",), "y", {"equation": "nchw->nhwc"})]
    onnx.save(make_proto(nodes, {}), tmp_path / "odd.onnx")
    assert main(["estimate", str(tmp_path / "odd.onnx"), "--device", "t4"]) == 0
    assert "their arithmetic is not known here: Einsum." in capsys.readouterr().out


def test_an_open_image_size_is_one_line_and_exit_8(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proto = make_proto([conv("x", "w", "y")], {"w": (8, 8, 1, 1)}, ("n", 8, "height", "width"))
    onnx.save(proto, tmp_path / "open.onnx")
    assert main(["estimate", str(tmp_path / "open.onnx"), "--device", "t4"]) == 8
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("export it with fixed height and width")


@pytest.mark.parametrize(
    "words",
    [["--device", "t5"], ["--device", "t4", "--limit-ms", "0"], ["--device", "t4", "--batch", "0"]],
)
def test_words_that_mean_nothing_are_refused(model_file: Path, words: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["estimate", str(model_file), *words])
    assert refused.value.code == 2


def test_inspect_lists_the_layers_of_every_variant(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "demo", "--layers"]) == 0
    printed = capsys.readouterr().out
    floats, quantised = printed.split("float32: 51 fused layers")[1].split("int8: 51 fused layers")
    assert "depthwise" in floats
    assert "  int8  " not in floats
    assert quantised.count("  int8  ") == 49  # all but the pool and the Gemm that answers
    assert "A bound is no measurement." in quantised


def test_inspect_shows_no_layers_unless_asked(
    make_bundle: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(make_bundle())]) == 0
    assert "fused layers" not in capsys.readouterr().out
