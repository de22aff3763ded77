from pathlib import Path

import pytest
from pydantic import ValidationError

from edge_runtime.bundle import MANIFEST, open_bundle
from edge_runtime.contracts.manifest import BundleManifest, Variant
from tests.device_records import device, engine
from tests.tiny_bundle import write_bundle


def manifest(tmp_path: Path, **changes: object) -> BundleManifest:
    """A sound manifest with a TensorRT variant, one device and its plan."""
    sound = open_bundle(write_bundle(tmp_path)).manifest
    variant = Variant(
        precision="int8-tensorrt",
        target="tensorrt",
        file="float32.onnx",
        accuracy=None,
        latency=(),
    )
    values: dict[str, object] = {
        "variants": (*sound.variants, variant),
        "devices": (device(),),
        "files": {**sound.files, "plans/int8.plan": "a" * 64},
    }
    return BundleManifest.model_validate(
        {
            **{name: getattr(sound, name) for name in BundleManifest.model_fields},
            **values,
            **changes,
        }
    )


def test_a_device_record_survives_the_way_through_json(tmp_path: Path) -> None:
    sound = manifest(tmp_path)
    assert BundleManifest.model_validate_json(sound.to_json()) == sound
    assert sound.devices[0].engines[0].latency[0].max_ms == 0.3


def test_a_manifest_without_devices_is_read_as_before(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path)
    text = (folder / MANIFEST).read_text()
    earlier = text.replace('  "devices": [],\n', "")
    assert earlier != text
    assert BundleManifest.model_validate_json(earlier).devices == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"plan": None}, "come together"),
        ({"plan": None, "sha256": None}, "names no plan"),
        ({"images": 0}, "without an image"),
        ({"flips": 11}, "11 flips of 10"),
    ],
)
def test_an_engine_that_contradicts_itself_is_refused(
    changes: dict[str, object], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        engine(**changes)


def test_the_chosen_engine_must_have_passed() -> None:
    failed = engine("fp16-tensorrt", passed=False)
    with pytest.raises(ValidationError, match="no engine that passed"):
        device(failed, chosen="fp16-tensorrt")
    with pytest.raises(ValidationError, match="engines repeat"):
        device(engine(), engine())


def test_a_plan_must_be_among_the_files_with_its_hash(tmp_path: Path) -> None:
    files = manifest(tmp_path / "sound").files
    with pytest.raises(ValidationError, match=r"plan plans/int8\.plan is not among the files"):
        manifest(tmp_path / "other", files={**files, "plans/int8.plan": "b" * 64})


def test_a_device_may_have_engines_of_tensorrt_variants_only_and_one_record(tmp_path: Path) -> None:
    other = device(engine("float32"), chosen="float32")
    with pytest.raises(ValidationError, match="'float32', which is no TensorRT variant"):
        manifest(tmp_path / "variant", devices=(other,))
    with pytest.raises(ValidationError, match=r"devices repeat: Tesla T4 7\.5 10\.16\.1\.11"):
        manifest(tmp_path / "twice", devices=(device(), device()))
