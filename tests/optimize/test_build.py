"""`optimize build` from end to end on the tiny network, and what it refuses."""

import hashlib
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edge_runtime.bundle import open_bundle
from edge_runtime.contracts.manifest import LatencyRecord
from edge_runtime.engines.catalogue import open_engine
from edge_runtime.engines.tensors import FEATURE_MAP, FEATURES
from edge_runtime.errors import BundleError
from optimize import latency, quantize
from optimize.builder.records import choose_default
from optimize.calibration import ranges
from optimize.calibration.ranges import Method
from optimize.cli.main import main
from optimize.gate_report.record import GateReport
from optimize.tensorrt import lint
from tests.optimize.tiny_network import LABELS

QUICK = ["--latency-samples", "2", "--max-false-positives", "0.2"]
"""Of twenty good parts a bound is at least 0.14, whatever is found."""
MakeFolder = Callable[..., Path]


@pytest.fixture
def build(model_file: Path, make_folder: MakeFolder) -> Callable[..., int]:
    calibration = make_folder("calibration")
    validation = make_folder("validation", per_class=20)

    def run(out: Path, *flags: str, calibrated_on: Path = calibration) -> int:
        return main(
            [
                "build",
                *(str(model_file), "--calibration", str(calibrated_on)),
                *("--validation", str(validation), "--out", str(out)),
                *QUICK,
                *flags,
            ]
        )

    return run


@pytest.fixture
def bundle(build: Callable[..., int], tmp_path: Path) -> Path:
    assert build(tmp_path / "out", "--int8") == 0
    return tmp_path / "out" / "weld-seam" / "1.0.0"


def test_a_built_bundle_opens_and_both_variants_repeat_their_golden_answers(bundle: Path) -> None:
    opened = open_bundle(bundle)
    assert [(variant.precision, variant.target) for variant in opened.manifest.variants] == [
        ("float32", "cpu"),
        ("int8", "cpu"),
        ("int8-tensorrt", "tensorrt"),
    ]
    assert len(opened.manifest.golden) == 2 * len(LABELS)
    for variant in opened.manifest.variants:
        engine = open_engine("onnxruntime", opened.model_file(variant), opened.manifest.model, 1)
        assert opened.replay(engine, variant) == 6
        engine.close()


def test_every_variant_tells_its_features_and_those_for_the_cpu_their_picture(bundle: Path) -> None:
    opened = open_bundle(bundle)
    frames = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    for variant in opened.manifest.variants:
        file = opened.model_file(variant)
        told = [value.name for value in onnx.load(file).graph.output]
        pictures = [FEATURE_MAP] if variant.target == "cpu" else []
        assert told == ["logits", FEATURES, *pictures]
        with closing(open_engine("onnxruntime", file, opened.manifest.model, 1)) as engine:
            features = engine.infer(frames).features
        assert features is not None
        assert features.shape == (2, 3)


def test_a_model_without_features_is_built_all_the_same_and_that_is_said(
    proto: onnx.ModelProto,
    model_file: Path,
    build: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    gemm = proto.graph.node[-1]
    # As a convolution of 1x1 ahead of the pooling, which is a Gemm by another name.
    kernel = numpy_helper.from_array(6 * np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1), "head")
    (head,) = [tensor for tensor in proto.graph.initializer if tensor.name == "head"]
    head.CopyFrom(kernel)
    gemm.CopyFrom(helper.make_node("Conv", ["rectified", "head"], ["votes"], "votes"))
    nodes = {node.name: node for node in proto.graph.node}
    nodes["pool"].input[0] = "votes"
    nodes["flatten"].output[0] = "logits"
    order = ["normalise", "to_planes", "conv_pick", "clip", "conv_blur", "relu", "votes"]
    kept = [nodes[name] for name in (*order, "pool", "flatten")]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
    del proto.graph.node[:]
    proto.graph.node.extend(copies)
    onnx.save(proto, model_file)
    assert build(tmp_path / "out") == 0
    assert "no drift of features will be seen, and no heat map drawn" in capsys.readouterr().err
    (written,) = (tmp_path / "out").rglob("float32.onnx")
    assert [value.name for value in onnx.load(written).graph.output] == ["logits"]


def test_the_manifest_records_accuracy_latency_and_origin(bundle: Path, model_file: Path) -> None:
    manifest = open_bundle(bundle).manifest
    for variant in manifest.variants:
        assert variant.accuracy is not None
        assert variant.accuracy.images == 60
        assert variant.accuracy.macro_f1 == 1
        assert variant.accuracy.dataset.startswith("validation sha256:")
        here = [1, 8, 32] if variant.target == "cpu" else []
        assert [record.batch for record in variant.latency] == here
    origin = manifest.model.provenance
    assert origin["backbone"] == "tiny"
    assert origin["source_sha256"] == hashlib.sha256(model_file.read_bytes()).hexdigest()
    assert origin["calibration"].startswith("calibration sha256:")
    (quantised,) = (v for v in manifest.variants if v.precision == "int8")
    assert quantised.calibration in set(Method)
    assert quantised.float_layers == ()


def test_a_flipped_byte_anywhere_is_noticed_and_the_file_named(bundle: Path) -> None:
    files = sorted(path for path in bundle.rglob("*") if path.is_file())
    assert len(files) == 16
    for file in files:
        whole = file.read_bytes()
        file.write_bytes(whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:])
        with pytest.raises(BundleError, match=file.name):
            open_bundle(bundle)
        file.write_bytes(whole)
    open_bundle(bundle)


def test_the_summary_says_what_was_built_and_why(
    build: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(tmp_path / "out" / "tiles" / "2.1.0", "--int8") == 0
    out, err = capsys.readouterr()
    assert "simplified 9 nodes to 9" in out
    assert "gate passed: int8 changed 0 of 60 verdicts, 1 were agreed" in out
    assert f"wrote {tmp_path}/out/tiles/2.1.0" in out
    assert "int8: calibration by " in err
    assert "defect recall >= 0.85: 40 of 40 = 1.0000, at least 0.9278: held" in out


def test_the_model_card_shows_labels_rule_figures_and_limits(bundle: Path) -> None:
    card = (bundle / "MODEL_CARD.md").read_text()
    assert "red, green, blue" in card
    assert "review from a defect score of 0.400" in card
    assert "| int8 | 0/60 | 1.0000 | 1.0000 |" in card
    assert "## Limits" in card


def test_without_int8_the_bundle_holds_float32_alone(
    build: Callable[..., int], tmp_path: Path
) -> None:
    assert build(tmp_path / "out", "--name", "plain") == 0
    manifest = open_bundle(tmp_path / "out" / "plain").manifest
    assert [variant.precision for variant in manifest.variants] == ["float32"]
    assert manifest.default_variant == "float32"
    assert not (tmp_path / "out" / "plain" / "1.0.0" / "int8.onnx").exists()


@pytest.mark.parametrize(
    ("flags", "precisions"),
    [
        (["--int8", "--target", "cpu"], ["int8"]),
        (["--int8", "--target", "tensorrt"], ["int8-tensorrt"]),
        (["--fp16"], ["fp16-tensorrt"]),
        (["--int8", "--fp16"], ["int8", "int8-tensorrt", "fp16-tensorrt"]),
    ],
)
def test_flags_choose_the_variants_and_float32_is_always_there(
    build: Callable[..., int], tmp_path: Path, flags: list[str], precisions: list[str]
) -> None:
    assert build(tmp_path / "out", *flags, "--method", "minmax") == 0
    manifest = open_bundle(tmp_path / "out" / "weld-seam").manifest
    assert [v.precision for v in manifest.variants] == ["float32", *precisions]
    assert manifest.variant(manifest.default_variant).target == "cpu"
    for golden in manifest.golden:
        assert set(golden.probabilities) == {"float32", *precisions}


def test_half_precision_for_a_cpu_is_refused_with_what_to_take(
    build: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(tmp_path / "out", "--fp16", "--target", "cpu") == 2
    assert "gains nothing on a CPU" in capsys.readouterr().err


def test_a_file_that_tensorrt_would_refuse_is_not_built(
    build: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(lint, "errors", lambda _found: ("zero-points: x: 3; all are 0: refused",))
    assert build(tmp_path / "out", "--int8", "--target", "tensorrt", "--method", "minmax") == 8
    assert "int8-tensorrt cannot be made of this model: zero-points" in capsys.readouterr().err


Wreck = Callable[..., None]


@pytest.fixture
def wreck(monkeypatch: pytest.MonkeyPatch) -> Wreck:
    """`wreck()` makes all ranges a hundred times too small, `wreck("name")` that of one activation: the
    controls, which any gate must see."""
    honest = ranges.choose_ranges

    def wreck(*names: str) -> None:
        def too_small(*arguments: Any) -> ranges.Ranges:
            return {
                name: (low / 100, high / 100) if name in names or not names else (low, high)
                for name, (low, high) in honest(*arguments).items()
            }

        monkeypatch.setattr(quantize, "choose_ranges", too_small)

    return wreck


def read_report(out: Path) -> GateReport:
    text = (out / "weld-seam" / "1.0.0.gate.json").read_text(encoding="utf-8")
    return GateReport.model_validate_json(text)


def test_a_wrecked_int8_model_fails_the_gate_and_no_bundle_is_written(
    build: Callable[..., int], tmp_path: Path, wreck: Wreck, capsys: pytest.CaptureFixture[str]
) -> None:
    wreck()
    assert build(tmp_path / "out", "--int8") == 10
    _, err = capsys.readouterr()
    assert "verdicts differ from float32's, 1 were agreed" in err
    assert "no bundle was written; see " in err
    assert "flip: int8: " in err
    assert sorted(path.name for path in (tmp_path / "out" / "weld-seam").iterdir()) == [
        "1.0.0.gate.html",
        "1.0.0.gate.json",
    ]
    report = read_report(tmp_path / "out")
    assert [variant.passed for variant in report.variants] == [True, False, True]
    assert report.variants[1].sensitivity
    assert not any(attempt.passed for attempt in report.variants[1].attempts)


def test_the_layer_that_ruins_the_verdicts_is_left_float_and_the_others_are_not(
    build: Callable[..., int], tmp_path: Path, wreck: Wreck
) -> None:
    wreck("rectified")  # what the second convolution gives
    assert build(tmp_path / "out", "--int8", "--method", "minmax") in {0, 10}
    report = read_report(tmp_path / "out")
    costliest = report.variants[1].sensitivity[0]
    assert costliest.name == "conv_blur"
    assert costliest.sqnr_db < report.variants[1].sensitivity[1].sqnr_db - 10
    (attempt,) = report.variants[1].attempts
    assert attempt.restored == 1
    assert attempt.passed


def test_a_gate_may_be_widened_on_purpose(
    build: Callable[..., int], tmp_path: Path, wreck: Wreck
) -> None:
    wreck()
    wide = ["--max-flips", "1", "--min-recall", "0", "--max-false-positives", "1"]
    assert build(tmp_path / "out", "--int8", *wide) == 10  # a class is lost all the same
    assert "recognised in 0 of 20" in " ".join(read_report(tmp_path / "out").variants[1].faults)


def test_a_bound_that_too_few_images_give_refuses_float32_as_well(
    build: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(tmp_path / "out", "--max-false-positives", "0.03") == 10
    err = capsys.readouterr().err
    assert "float32: false positives <= 0.03: 0 of 20 = 0.0000, at most 0.1391: NOT held" in err


def test_validation_images_of_another_kind_than_the_calibration_images_are_warned_of(
    build: Callable[..., int],
    make_folder: MakeFolder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert build(tmp_path / "out", "--int8") == 0
    assert "of another kind" not in capsys.readouterr().err
    dark = make_folder("dark", per_class=20)
    for file in dark.rglob("*.png"):
        image = cv2.imread(str(file))
        cv2.imwrite(str(file), image // 4)
    build(tmp_path / "other", "--int8", calibrated_on=dark)
    assert "the validation images are of another kind" in capsys.readouterr().err
    assert "of another kind" in read_report(tmp_path / "other").warnings[0]


def test_layers_are_ranked_on_request_where_the_gate_passes_at_once(
    build: Callable[..., int], tmp_path: Path
) -> None:
    assert build(tmp_path / "out", "--int8", "--sensitivity") == 0
    variant = read_report(tmp_path / "out").variants[1]
    assert {cost.name for cost in variant.sensitivity} == {"conv_pick", "conv_blur"}
    assert variant.attempts == ()


def test_an_existing_bundle_is_refused_before_any_work_and_stays_as_it_is(
    bundle: Path, build: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert build(bundle, "--int8") == 11
    assert "exists already" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()} == before


def test_an_interrupted_build_leaves_no_bundle_behind(
    build: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(*_arguments: Any, **_named: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(latency, "measure", interrupted)
    assert build(tmp_path / "out", "--int8") == 130
    left = [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert sorted(left) == ["1.0.0.gate.html", "1.0.0.gate.json"]  # what was judged, was judged
    assert capsys.readouterr().err.endswith("optimize: interrupted\n")


def test_corrupt_calibration_files_are_counted_and_named(
    build: Callable[..., int],
    make_folder: MakeFolder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = make_folder("worn", per_class=4)
    (folder / "red" / "zz.jpg").write_bytes(b"garbage")
    assert build(tmp_path / "out", "--int8", calibrated_on=folder) == 0
    err = capsys.readouterr().err
    assert "warning: 1 files of" in err
    assert "red/zz.jpg: " in err
    assert "only 12 calibration images" in err


def test_the_columns_of_any_table_serve_and_conditions_choose_its_rows(
    model_file: Path, make_folder: MakeFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_folder("data", per_class=4)
    rows = [f"{f.relative_to(root)},{f.parent.name},{f.stem}" for f in sorted(root.glob("*/*"))]
    (root / "tiles.csv").write_text("\n".join(["file,class,number", *rows, "gone.png,violet,99"]))
    words = ["build", str(model_file), *QUICK, "--out", str(tmp_path / "out")]
    words += ["--min-recall", "0.6", "--max-false-positives", "0.6"]
    flags = ["--path-column", "file", "--label-column", "class", "--where", "number!=99"]
    both = [
        word for f in ("--calibration", "--validation") for word in (f, str(root / "tiles.csv"))
    ]
    assert main([*words, *both, *flags]) == 0
    accuracy = open_bundle(tmp_path / "out" / "weld-seam").manifest.variants[0].accuracy
    assert accuracy is not None
    assert accuracy.images == 12
    assert main([*words, "--version", "2.0.0", *both, *flags[:2]]) == 20
    assert "no column 'label', it has file, class, number" in capsys.readouterr().err


def test_a_calibration_set_of_one_class_is_warned_of(
    build: Callable[..., int],
    make_folder: MakeFolder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = make_folder("narrow", per_class=40, labels=("red",))
    build(tmp_path / "out", "--int8", "--max-flips", "1", calibrated_on=folder)
    assert "all calibration images are of one class (red)" in capsys.readouterr().err


def test_no_usable_calibration_image_is_an_error(
    build: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "junk" / "red").mkdir(parents=True)
    (tmp_path / "junk" / "red" / "a.jpg").write_bytes(b"garbage")
    assert build(tmp_path / "out", "--int8", calibrated_on=tmp_path / "junk") == 9
    assert "none of the 1 images" in capsys.readouterr().err


def test_validation_labels_that_the_model_does_not_know_are_an_error(
    model_file: Path,
    make_folder: MakeFolder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    calibration, validation = make_folder("calibration"), make_folder("validation", per_class=1)
    (validation / "red").rename(validation / "violet")
    status = main(
        [
            "build",
            str(model_file),
            "--int8",
            *QUICK,
            "--out",
            str(tmp_path / "out"),
            "--calibration",
            str(calibration),
            "--validation",
            str(validation),
        ]
    )
    assert status == 9
    assert "violet" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_validation_nothing_is_judged_and_so_int8_is_refused(
    model_file: Path,
    make_folder: MakeFolder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["build", str(model_file), *QUICK, "--out", str(tmp_path / "out")]
    words += ["--calibration", str(make_folder("calibration"))]
    assert main([*words, "--int8"]) == 10
    assert "nothing to judge int8, int8-tensorrt on" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main(words) == 0
    assert "nothing was judged" in capsys.readouterr().err
    (variant,) = open_bundle(tmp_path / "out" / "weld-seam").manifest.variants
    assert variant.accuracy is not None
    assert variant.accuracy.dataset.startswith("calibration: calibration sha256:")


def test_unlabelled_calibration_images_alone_give_a_bundle_without_accuracy(
    model_file: Path, make_folder: MakeFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_folder("calibration") / "red"
    status = main(
        [
            "build",
            str(model_file),
            *QUICK,
            "--out",
            str(tmp_path / "out"),
            "--calibration",
            str(folder),
        ]
    )
    assert status == 0
    assert "accuracy is not recorded" in capsys.readouterr().err
    assert open_bundle(tmp_path / "out" / "weld-seam").manifest.variants[0].accuracy is None


def test_a_model_that_is_none_is_refused_in_one_line(
    tmp_path: Path, make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.onnx").write_bytes(b"hello")
    calibration = make_folder("calibration", per_class=1)
    status = main(
        [
            "build",
            str(tmp_path / "model.onnx"),
            "--calibration",
            str(calibration),
            "--out",
            str(tmp_path / "out"),
        ]
    )
    assert status == 8
    assert capsys.readouterr().err.count("\n") == 1


def test_a_model_that_the_engine_refuses_is_a_model_error(
    tmp_path: Path,
    proto: onnx.ModelProto,
    make_folder: MakeFolder,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Valid for the ONNX checker: only a run shows that the bias does not fit.
    for tensor in proto.graph.initializer:
        if tensor.name == "head_bias":
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.ones(7, np.float32), "head_bias"))
    onnx.save(proto, tmp_path / "odd.onnx")
    status = main(
        [
            "build",
            str(tmp_path / "odd.onnx"),
            *QUICK,
            "--out",
            str(tmp_path / "out"),
            "--calibration",
            str(make_folder("calibration", per_class=1)),
        ]
    )
    assert status == 8
    assert capsys.readouterr().err.count("\n") == 1


def test_nothing_but_our_own_lines_reaches_the_user(
    build: Callable[..., int], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert build(tmp_path / "out", "--int8") == 0
    lines = capfd.readouterr().err.splitlines()
    # The tiny images differ too much for limits of quality, which is said in a line of ours for each.
    said = [line for line in lines if not line.startswith("warning: frames are not held to ")]
    assert len(said) == 2, lines
    assert all(": calibration by " in line for line in said)


def test_inspect_shows_what_is_inside(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["inspect", str(bundle)]) == 0
    out = capsys.readouterr().out
    assert "weld-seam/1.0.0, built" in out
    assert "red, green, blue" in out
    assert "for cpu, ranges by " in out
    assert " load " in out


def test_inspect_refuses_a_damaged_bundle(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bundle / "int8.onnx").write_bytes(b"")
    capsys.readouterr()
    assert main(["inspect", str(bundle)]) == 3
    assert "int8.onnx" in capsys.readouterr().err


def test_bench_measures_every_variant_here_and_now(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["bench", str(bundle), "--samples", "2", "--batches", "1", "2"]) == 0
    out = capsys.readouterr().out
    assert out.count("float32") >= 2
    assert "times as fast as float32 at batch 2, 1 thread" in out


@pytest.mark.parametrize(("ours", "default"), [(4.0, "int8"), (10.0, "float32"), (12.0, "float32")])
def test_int8_is_the_default_only_where_it_is_faster(ours: float, default: str) -> None:
    def record(p50: float) -> LatencyRecord:
        return LatencyRecord(
            device="d",
            engine="e",
            engine_version="1",
            batch=1,
            threads=1,
            samples=1,
            p50_ms=p50,
            p95_ms=p50,
            p99_ms=p50,
            measured_at=datetime.now(UTC),
        )

    precision, reason = choose_default({"float32": (record(10.0),), "int8": (record(ours),)})
    assert precision == default
    assert "int8 passed its gate" in reason


def test_a_wrong_flag_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["build", "m.onnx", "--calibration", "c", "--out", "o", "--max-flips", "2"])
    assert caught.value.code == 2
    assert "'2' is not a share from 0 to 1" in capsys.readouterr().err
