from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.bundle import MANIFEST, Bundle, open_bundle
from edge_runtime.contracts.manifest import ModelSpec, Variant
from edge_runtime.engines.catalogue import open_engine
from edge_runtime.engines.null import NullEngine
from edge_runtime.errors import BundleError
from tests.device_records import device, engine
from tests.edge_runtime.drift.line import make_reference
from tests.tiny_bundle import SIDE, model_spec, write_bundle


def test_a_sound_bundle_opens_and_its_golden_frames_agree(make_bundle: Callable[..., Path]) -> None:
    bundle = open_bundle(make_bundle())
    variant = bundle.variant(None)
    engine = open_engine("onnxruntime", bundle.model_file(variant), bundle.manifest.model, 1)
    assert bundle.title == "tiny/1.0.0"
    assert bundle.replay(engine, variant) == 1


def test_a_flipped_byte_in_any_file_is_refused_and_the_file_named(
    make_bundle: Callable[..., Path],
) -> None:
    folder = make_bundle()
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 5
    for path in files:
        sound = path.read_bytes()
        for position in (0, len(sound) // 2, len(sound) - 1):
            flipped = bytearray(sound)
            flipped[position] ^= 0x01
            path.write_bytes(bytes(flipped))
            with pytest.raises(BundleError, match=path.name):
                open_bundle(folder)
        path.write_bytes(sound)
    open_bundle(folder)


@pytest.mark.parametrize("name", ["manifest.json", "manifest.json.sha256", "float32.onnx"])
def test_a_missing_file_is_named(make_bundle: Callable[..., Path], name: str) -> None:
    folder = make_bundle()
    (folder / name).unlink()
    with pytest.raises(BundleError, match=name):
        open_bundle(folder)


def test_a_model_that_answers_otherwise_than_recorded_is_refused(
    make_bundle: Callable[..., Path],
) -> None:
    bundle = open_bundle(make_bundle())
    with pytest.raises(BundleError, match=r"golden/00\.png answers 0\.\d+ away"):
        bundle.replay(NullEngine(bundle.manifest.model), bundle.variant(None))


def test_a_folder_with_one_version_stands_for_it(make_bundle: Callable[..., Path]) -> None:
    folder = make_bundle()
    assert open_bundle(folder.parent).path == folder


def test_what_a_killed_build_left_is_no_version(make_bundle: Callable[..., Path]) -> None:
    folder = make_bundle()
    (folder.parent / ".1.0.0.x.part").mkdir()
    (folder.parent / ".1.0.0.x.part" / MANIFEST).write_text("{}")
    assert open_bundle(folder.parent).path == folder


def test_a_folder_with_several_versions_asks_which(make_bundle: Callable[..., Path]) -> None:
    folder = make_bundle()
    (folder.parent / "2.0.0").mkdir()
    (folder.parent / "2.0.0" / MANIFEST).write_text("{}")
    with pytest.raises(BundleError, match=r"1\.0\.0, 2\.0\.0"):
        open_bundle(folder.parent)


def test_what_is_no_bundle_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for place, words in ((tmp_path / "none", "no bundle at"), (tmp_path / "file", "is a file")):
        with pytest.raises(BundleError, match=words):
            open_bundle(place)
    with pytest.raises(BundleError, match=r"holds no manifest\.json"):
        open_bundle(tmp_path)


def test_an_unknown_variant_names_those_there_are(make_bundle: Callable[..., Path]) -> None:
    with pytest.raises(BundleError, match="no variant 'int4'; this bundle has float32"):
        open_bundle(make_bundle()).variant("int4")


@pytest.mark.parametrize("classes", [2, 20])
def test_any_number_of_classes_runs_unchanged(
    make_bundle: Callable[..., Path], classes: int
) -> None:
    spec: ModelSpec = model_spec(tuple(f"class{index}" for index in range(classes)))
    bundle = open_bundle(make_bundle(spec))
    variant = bundle.variant(None)
    engine = open_engine("onnxruntime", bundle.model_file(variant), bundle.manifest.model, 1)
    logits = engine.infer(np.zeros((3, SIDE, SIDE, 3), np.uint8)).logits
    assert logits.shape == (3, classes)
    assert bundle.replay(engine, variant) == 1


def tensorrt_bundle(tmp_path: Path, *chosen: str) -> Bundle:
    """Two TensorRT variants and a device per word in `chosen`; their files are not written."""
    bundle = open_bundle(write_bundle(tmp_path))
    variants = [
        Variant(precision=name, target="tensorrt", file="float32.onnx", accuracy=None, latency=())
        for name in ("int8-tensorrt", "fp16-tensorrt")
    ]
    devices = [
        device(engine("int8-tensorrt"), engine("fp16-tensorrt"), name=f"T{number}", chosen=name)
        for number, name in enumerate(chosen)
    ]
    manifest = bundle.manifest.model_copy(
        update={"variants": (*bundle.manifest.variants, *variants), "devices": tuple(devices)}
    )
    return Bundle(path=bundle.path, manifest=manifest)


def test_tensorrt_runs_what_its_devices_chose_or_the_variant_that_is_named(tmp_path: Path) -> None:
    bundle = tensorrt_bundle(tmp_path, "fp16-tensorrt", "fp16-tensorrt")
    assert bundle.variant(None, "tensorrt").precision == "fp16-tensorrt"
    assert bundle.variant("int8-tensorrt", "tensorrt").precision == "int8-tensorrt"
    assert bundle.variant(None).precision == "float32"


def test_tensorrt_without_a_device_takes_the_first_variant_made_for_it(tmp_path: Path) -> None:
    assert tensorrt_bundle(tmp_path).variant(None, "tensorrt").precision == "int8-tensorrt"


def test_devices_that_chose_differently_ask_for_a_variant(tmp_path: Path) -> None:
    bundle = tensorrt_bundle(tmp_path, "fp16-tensorrt", "int8-tensorrt")
    with pytest.raises(BundleError, match="name one with --variant"):
        bundle.variant(None, "tensorrt")


def test_tensorrt_refuses_what_is_not_made_for_it(
    make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match="no variant for TensorRT: build one with"):
        open_bundle(make_bundle(name="plain")).variant(None, "tensorrt")
    with pytest.raises(
        BundleError, match=r"'float32' is not made for TensorRT.*int8-tensorrt, fp16"
    ):
        tensorrt_bundle(tmp_path).variant("float32", "tensorrt")


def test_the_plans_of_a_variant_are_those_that_passed(tmp_path: Path) -> None:
    bundle = tensorrt_bundle(tmp_path, "fp16-tensorrt")
    plans = bundle.plans(bundle.variant("int8-tensorrt"))
    assert [(plan.device, plan.file) for plan in plans] == [("T0", bundle.path / "plans/int8.plan")]
    failed = device(engine("int8-tensorrt"), engine("fp16-tensorrt", passed=False))
    bundle = Bundle(
        path=bundle.path, manifest=bundle.manifest.model_copy(update={"devices": (failed,)})
    )
    assert bundle.plans(bundle.variant("fp16-tensorrt")) == ()


def test_a_drift_reference_of_another_form_is_refused_by_name(
    make_bundle: Callable[..., Path],
) -> None:
    strange = make_reference().model_copy(update={"images": 0})
    bundle = open_bundle(make_bundle(drift=strange))
    with pytest.raises(BundleError, match=r"drift\.json: images: Input should be greater"):
        bundle.drift_reference()


def test_a_bundle_from_before_drift_was_watched_opens_and_has_no_reference(
    make_bundle: Callable[..., Path],
) -> None:
    assert open_bundle(make_bundle()).drift_reference() is None
