from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.bundle import MANIFEST, open_bundle
from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.engines.catalogue import open_engine
from edge_runtime.engines.null import NullEngine
from edge_runtime.errors import BundleError
from tests.tiny_bundle import SIDE, model_spec


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
    assert len(files) == 4
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
    logits = engine.infer(np.zeros((3, SIDE, SIDE, 3), np.uint8))
    assert logits.shape == (3, classes)
    assert bundle.replay(engine, variant) == 1
