"""Validation from bundle to record, on a stand-in for device and library: its plans are ONNX files."""

import json
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import numpy_helper

from edge_runtime.bundle import MANIFEST, open_bundle
from edge_runtime.contracts.device import Clocks
from edge_runtime.contracts.manifest import BundleManifest, ModelSpec, Variant
from edge_runtime.engines.catalogue import open_engine
from edge_runtime.engines.device_memory.base import DeviceFacts
from edge_runtime.engines.device_memory.host import HostMemory
from edge_runtime.engines.ort import OnnxRuntimeEngine
from edge_runtime.engines.plans import Plan
from edge_runtime.errors import BundleError, EngineError
from optimize import package
from optimize.cli.main import main
from optimize.errors import GateFailed, ModelError, PackageError, TooSlow
from optimize.tensorrt import plan, workbench
from optimize.tensorrt.description import describe
from optimize.tensorrt.nvidia_smi import DriverFacts
from optimize.tensorrt.validate import Order, validate
from tests.stand_in_tensorrt import engine_module, plan_bytes
from tests.tiny_bundle import BLUE, GREEN, RED, colour, png, write_bundle

CLOCKS = Clocks(sm_mhz=1500, memory_mhz=5000)


class StandIn:
    """A workbench whose library copies the ONNX file and whose device is ONNX Runtime."""

    def __init__(self, name: str = "Tesla T4", version: str = "10.16.1.11") -> None:
        self.facts = DeviceFacts(name=name, compute_capability="7.5", cuda="13.0")
        self.tensorrt = version
        self.unbuildable: set[str] = set()
        self.before_record: Callable[[], None] = lambda: None

    def build(self, model: Path) -> bytes:
        if model.stem in self.unbuildable:
            raise ModelError(f"TensorRT cannot build an engine from {model.name}: no such layer")
        return model.read_bytes()

    def open(self, built: Plan, spec: ModelSpec) -> OnnxRuntimeEngine:
        assert built.compute_capability == "7.5"
        return _Named(built.file, spec)

    def ask_driver(self) -> DriverFacts:
        self.before_record()
        return DriverFacts(driver="580.65.06", clocks=CLOCKS)


class _Named(OnnxRuntimeEngine):
    @property
    def name(self) -> str:
        return "tensorrt 10.16.1.11"


class Quiet:
    """Hears what is noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator[Callable[[int], None]]:  # noqa: ARG002
        yield lambda _done: None


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle with two TensorRT variants, both the float model's own file."""
    folder = write_bundle(tmp_path)
    manifest = open_bundle(folder).manifest
    variants = list(manifest.variants)
    for precision in ("int8-tensorrt", "fp16-tensorrt"):
        (folder / f"{precision}.onnx").write_bytes((folder / "float32.onnx").read_bytes())
        variants.append(
            Variant(
                precision=precision,
                target="tensorrt",
                file=f"{precision}.onnx",
                accuracy=None,
                latency=(),
            )
        )
    reseal(folder, variants)
    return folder


def reseal(folder: Path, variants: list[Variant] | None = None) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"] = {
        name: digest
        for name, digest in package.hash_files(folder).items()
        if not name.startswith("manifest")
    }
    if variants is not None:
        manifest["variants"] = [json.loads(variant.to_json()) for variant in variants]
    package.seal(folder, BundleManifest.model_validate_json(json.dumps(manifest)))


def blind(folder: Path, precision: str) -> None:
    """Let that variant answer every frame as if it were red: a defect where green is good."""
    file = folder / f"{precision}.onnx"
    proto = onnx.load(file)
    weights = next(item for item in proto.graph.initializer if item.name == "weights")
    turned: npt.NDArray[np.float32] = np.roll(numpy_helper.to_array(weights), 1, axis=1)
    weights.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(turned), "weights"))
    onnx.save(proto, file)
    reseal(folder)


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    folder = tmp_path / "validation"
    for label, shade in (("no_defect", GREEN), ("red", RED), ("blue", BLUE)):
        (folder / label).mkdir(parents=True)
        for number in range(3):
            (folder / label / f"{number}.png").write_bytes(png(colour(*shade)))
    (folder / "red" / "broken.png").write_bytes(b"no image")
    return folder


def order(bundle: Path, parts: Path | None = None, **changes: object) -> Order:
    values: dict[str, object] = {
        "bundle": bundle,
        "validation": parts,
        "max_flips": 0.02,
        "max_ms_per_image": 1000.0,
        "samples": 20,
    }
    return Order(**{**values, **changes})


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_sound_bundle_gains_a_record_its_plans_and_stays_sound(bundle: Path, parts: Path) -> None:
    before, watch = content(bundle), Quiet()
    record = validate(order(bundle, parts), StandIn(), watch)
    opened = open_bundle(bundle)
    assert opened.manifest.devices == (record,)
    assert record.clocks == CLOCKS
    assert record.driver == "580.65.06"
    assert record.reference.startswith("float32 on onnxruntime")
    assert [engine.images for engine in record.engines] == [10, 10]
    assert [engine.flips for engine in record.engines] == [0, 0]
    assert all(engine.passed for engine in record.engines)
    assert [row.batch for row in record.engines[0].latency] == [1, 8, 32]
    assert {row.samples for row in record.engines[0].latency} == {20}
    assert {row.device for row in record.engines[0].latency} == {"Tesla T4"}
    assert any("broken.png" in note for note in watch.notes)
    plans = opened.plans(opened.variant("int8-tensorrt"))
    assert [plan.file.read_bytes() for plan in plans] == [before["int8-tensorrt.onnx"]]
    untouched = {name for name in before if not name.startswith("manifest")}
    assert {name: content(bundle)[name] for name in untouched} == {
        name: before[name] for name in untouched
    }
    assert [path.name for path in bundle.parent.iterdir()] == [bundle.name]


def test_validating_again_replaces_the_record_and_another_version_adds_one(bundle: Path) -> None:
    validate(order(bundle), StandIn(), Quiet())
    validate(order(bundle), StandIn(), Quiet())
    assert len(open_bundle(bundle).manifest.devices) == 1
    validate(order(bundle), StandIn(version="11.4.0.106"), Quiet())
    opened = open_bundle(bundle)
    assert [device.tensorrt for device in opened.manifest.devices] == ["10.16.1.11", "11.4.0.106"]
    assert len([name for name in opened.manifest.files if name.startswith("plans/")]) == 4


def test_an_engine_that_changes_verdicts_is_recorded_without_its_plan_and_not_chosen(
    bundle: Path, parts: Path
) -> None:
    blind(bundle, "int8-tensorrt")
    record = validate(order(bundle, parts), StandIn(), Quiet())
    failed, passed = record.engines
    assert record.chosen == passed.precision == "fp16-tensorrt"
    assert not failed.passed
    assert failed.plan is None
    assert failed.flips > 0
    assert "verdicts changed, 0 were agreed" in failed.reason
    opened = open_bundle(bundle)
    assert opened.plans(opened.variant("int8-tensorrt")) == ()
    assert "int8-tensorrt FAILED" in describe(record)


def test_an_engine_that_cannot_be_built_is_recorded_as_such(bundle: Path) -> None:
    bench, watch = StandIn(), Quiet()
    bench.unbuildable.add("int8-tensorrt")
    record = validate(order(bundle), bench, watch)
    refused = next(engine for engine in record.engines if engine.precision == "int8-tensorrt")
    assert refused.images == 0
    assert "no such layer" in refused.reason
    assert any("no engine for int8-tensorrt" in note for note in watch.notes)


def test_when_every_engine_changes_verdicts_the_bundle_stays_as_it_was(bundle: Path) -> None:
    for precision in ("int8-tensorrt", "fp16-tensorrt"):
        blind(bundle, precision)
    before = content(bundle)
    with pytest.raises(GateFailed, match="no engine may run on Tesla T4") as caught:
        validate(order(bundle), StandIn(), Quiet())
    assert caught.value.exit_code == 10
    assert content(bundle) == before


def test_when_the_right_ones_are_too_slow_that_has_an_exit_code_of_its_own(bundle: Path) -> None:
    blind(bundle, "int8-tensorrt")
    before = content(bundle)
    with pytest.raises(TooSlow, match="the limit is 1e-06") as caught:
        validate(order(bundle, max_ms_per_image=1e-6), StandIn(), Quiet())
    assert caught.value.exit_code == 12
    assert content(bundle) == before


def test_off_a_t4_no_limit_is_invented(bundle: Path) -> None:
    record = validate(
        order(bundle, max_ms_per_image=None), StandIn("NVIDIA H100 80GB HBM3"), Quiet()
    )
    assert all("no limit was agreed" in engine.reason for engine in record.engines)


def test_a_bundle_without_tensorrt_variants_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="optimize build --target tensorrt"):
        validate(order(write_bundle(tmp_path)), StandIn(), Quiet())


def test_another_validation_meanwhile_is_not_overwritten(bundle: Path) -> None:
    bench = StandIn()

    def validate_elsewhere() -> None:
        validate(order(bundle), StandIn("NVIDIA L4"), Quiet())

    bench.before_record = validate_elsewhere
    with pytest.raises(PackageError, match="changed during the validation"):
        validate(order(bundle), bench, Quiet())
    assert [device.name for device in open_bundle(bundle).manifest.devices] == ["NVIDIA L4"]


_KILLED = """
import os, signal, sys
from pathlib import Path
from optimize import package
bundle = Path(sys.argv[1])
with package.amending(bundle) as folder:
    (folder / "plans").mkdir()
    (folder / "plans" / "half.plan").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_amendment_leaves_the_bundle_as_it_was(bundle: Path) -> None:
    before = content(bundle)
    done = subprocess.run([sys.executable, "-c", _KILLED, str(bundle)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert content(bundle) == before
    open_bundle(bundle)


def test_an_amendment_that_fails_leaves_nothing_behind(bundle: Path) -> None:
    before = content(bundle)

    def fail() -> None:
        with package.amending(bundle) as folder:
            (folder / "extra").write_bytes(b"x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert content(bundle) == before
    assert [path.name for path in bundle.parent.iterdir()] == [bundle.name]


def test_a_place_that_cannot_be_exchanged_is_an_error_and_changes_nothing(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(bundle)
    monkeypatch.setattr("edge_runtime.written_aside._RENAME_EXCHANGE", 1 << 20)
    with pytest.raises(PackageError, match="copy the folder to a local disk"):
        validate(order(bundle), StandIn(), Quiet())
    assert content(bundle) == before


def test_the_command_says_in_one_line_that_there_is_no_tensorrt(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.delitem(sys.modules, "edge_runtime.engines.tensorrt", raising=False)
    before = content(bundle)
    assert main(["validate", str(bundle), "--device", "0"]) == EngineError.exit_code
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "edge-inspect[tensorrt]" in said
    assert content(bundle) == before


def test_the_command_prints_the_record(
    bundle: Path,
    parts: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("optimize.cli.validate.TensorRtWorkbench", lambda _index: StandIn("L4"))
    words = ["validate", str(bundle), "--validation", str(parts), "--samples", "2"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "L4, compute capability 7.5, TensorRT 10.16.1.11" in said
    assert "SM 1500 of ? MHz" in said
    assert "0 of 10 verdicts changed" in said
    assert f"recorded in {bundle}" in said
    assert main(["inspect", str(bundle)]) == 0
    assert "L4, compute capability 7.5" in capsys.readouterr().out


def test_the_workbench_runs_the_engine_that_the_station_runs(
    bundle: Path, parts: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole command and then the engine by name, with stand-ins for library, builder and GPU."""
    engines, stand_in = engine_module(monkeypatch, HostMemory())

    def open_memory(_index: int) -> HostMemory:
        stand_in.memory = HostMemory(random.Random(0))
        return stand_in.memory

    monkeypatch.setattr(engines, "open_memory", open_memory)
    monkeypatch.setattr(workbench, "open_memory", open_memory)
    monkeypatch.setattr(plan, "build_plan", lambda model, _timings: plan_bytes(model))
    words = ["validate", str(bundle), "--validation", str(parts), "--samples", "20"]
    assert main(words) == 0
    assert "host memory, compute capability 0.0" in capsys.readouterr().out
    opened = open_bundle(bundle)
    variant = opened.variant(None, "tensorrt")
    assert variant.precision == opened.manifest.devices[0].chosen
    frames = np.stack([colour(*shade) for shade in (GREEN, RED, BLUE)])
    model = opened.manifest.model
    with (
        closing(
            open_engine("tensorrt", opened.model_file(variant), model, 1, opened.plans(variant))
        ) as engine,
        closing(OnnxRuntimeEngine(opened.model_file(variant), model)) as reference,
    ):
        np.testing.assert_allclose(
            engine.infer(frames).logits, reference.infer(frames).logits, atol=1e-5
        )
    # And by the check that a station's operator runs: another TensorRT than the one it was built with.
    stand_in.__version__ = engines.VERSION = "11.4.0.106"
    with pytest.raises(EngineError, match=r"no TensorRT engine fits host memory .* 11\.4\.0\.106"):
        open_engine("tensorrt", opened.model_file(variant), model, 1, opened.plans(variant))
