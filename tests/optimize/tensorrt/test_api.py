"""Every name and signature that we use of TensorRT, Polygraphy and CUDA is held against the genuine.

None of this needs a GPU and none of it shows that anything runs on one: it shows that what we call is
there, in the oldest versions that we allow and in the newest of both majors.
"""

import ast
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.optimize.tensorrt.genuine import ROOT, Genuine, fetch
from tests.optimize.tensorrt.usage import Use, given_by, uses
from tests.tiny_bundle import SIDE, write_model

ENGINE = ROOT / "edge_runtime" / "engines" / "tensorrt.py"
CUDA = ROOT / "edge_runtime" / "engines" / "device_memory" / "cuda_python.py"
PYCUDA = ROOT / "edge_runtime" / "engines" / "device_memory" / "pycuda.py"

TENSORRT = ("10.1.0", "10.16.1.11", "11.4.0.106")
ROOTS: Mapping[str, tuple[str, ...]] = {
    "trt": (),
    "self._logger": ("Logger",),
    "self._runtime": ("Runtime",),
    "self._engine": ("ICudaEngine",),
    "engine": ("ICudaEngine",),
    "context": ("IExecutionContext",),
}
VALUES = {"profile"}
"""Names that calls give and that are plain values, not objects of the library."""


@pytest.fixture
def cache(pytestconfig: pytest.Config) -> Path:
    assert pytestconfig.cache is not None
    return pytestconfig.cache.mkdir("genuine")


@pytest.fixture(params=TENSORRT)
def tensorrt(request: pytest.FixtureRequest, cache: Path) -> Genuine:
    return fetch(cache, f"tensorrt-cu12-bindings=={request.param}")


def of_engine(source: str | None = None) -> list[Use]:
    return uses(ENGINE.read_text() if source is None else source, ROOTS)


def test_all_that_the_engine_uses_of_tensorrt_is_there(tensorrt: Genuine) -> None:
    found = of_engine()
    assert len(found) > 20
    assert tensorrt.check("tensorrt_bindings", found) == []


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("execute_async_v3(", "execute_async_v4(", "execute_async_v4 is not there"),
        ("trt.TensorIOMode.INPUT", "trt.TensorIOMode.INLET", "TensorIOMode.INLET is not there"),
        ("USER_MANAGED", "USER_MADE", "USER_MADE is not there"),
        ("execute_async_v3(stream)", "execute_async_v3()", "does not take 0 arguments"),
        (
            "set_device_memory(self._scratch, self._scratch_bytes)",
            "set_device_memory(self._scratch, self._scratch_bytes, 1)",
            "does not take 3 arguments",
        ),
        ("deserialize_cuda_engine(", "deserialise_cuda_engine(", "deserialise_cuda_engine is not"),
    ],
)
def test_a_misspelt_name_or_a_wrong_call_is_found(
    cache: Path, right: str, wrong: str, said: str
) -> None:
    source = ENGINE.read_text()
    assert right in source
    genuine = fetch(cache, f"tensorrt-cu12-bindings=={TENSORRT[-1]}")
    problems = genuine.check("tensorrt_bindings", of_engine(source.replace(right, wrong)))
    assert any(said in problem for problem in problems), problems


def test_what_tensorrt_11_removed_is_seen_as_removed(cache: Path) -> None:
    source = "trt.BuilderFlag.INT8, trt.BuilderFlag.FP16, trt.IInt8EntropyCalibrator2"
    newest = fetch(cache, f"tensorrt-cu12-bindings=={TENSORRT[-1]}")
    assert len(newest.check("tensorrt_bindings", of_engine(source))) == 3
    before = fetch(cache, f"tensorrt-cu12-bindings=={TENSORRT[0]}")
    assert before.check("tensorrt_bindings", of_engine(source)) == []


def test_no_object_of_tensorrt_escapes_the_table() -> None:
    """Whatever a call of the library gives has a row, so that its attributes are looked at."""
    source = ENGINE.read_text()
    assert given_by(source, ROOTS) <= ROOTS.keys() | VALUES
    used = {root for root in ROOTS if re.search(rf"(?<![\w.]){re.escape(root)}\.", source)}
    assert used == ROOTS.keys() - {"self._logger"}


def test_only_the_engine_imports_tensorrt() -> None:
    """Another module that did would have to be looked at here as well."""
    importing = {
        path
        for floor in ("edge_runtime", "optimize", "train")
        for path in (ROOT / floor).rglob("*.py")
        if re.search(r"^\s*(import tensorrt\b|from tensorrt\b)", path.read_text(), re.MULTILINE)
    }
    assert importing == {ENGINE}


@pytest.mark.parametrize("version", ["12.8.0", "13.4.4"])
def test_all_that_is_used_of_cuda_python_is_there(cache: Path, version: str) -> None:
    found = uses(CUDA.read_text(), {"cudart": ()})
    assert len(found) > 20
    genuine = fetch(cache, f"cuda-bindings=={version}", "cuda-pathfinder==1.3.3")
    assert genuine.check("cuda.bindings.runtime", found) == []


def test_a_wrong_call_of_cuda_python_is_found(cache: Path) -> None:
    source = CUDA.read_text().replace("cudaEventRecord(", "cudaEventRecords(", 1)
    source = source.replace("cudaMalloc(size)", "cudaMalloc(size, 1)", 1)
    genuine = fetch(cache, "cuda-bindings==13.4.4", "cuda-pathfinder==1.3.3")
    problems = genuine.check("cuda.bindings.runtime", uses(source, {"cudart": ()}))
    assert len(problems) == 2, problems


def test_all_that_is_used_of_pycuda_is_there() -> None:
    driver = pytest.importorskip(
        "pycuda.driver", reason="pycuda has no wheels: it is not installed"
    )
    for use in uses(PYCUDA.read_text(), {"cuda": ()}):
        at = driver
        for name in use.chain:
            at = getattr(at, name)


def test_torch_tensorrt_takes_what_the_crosscheck_gives_it(cache: Path) -> None:
    """Read from its source and not imported: it needs a torch and a TensorRT of its own."""
    found = uses((ROOT / "train" / "crosscheck.py").read_text(), {"torch_tensorrt": ()})
    assert {use.chain for use in found} == {("Input",), ("compile",)}
    package = fetch(cache, "torch-tensorrt==2.14.0").folder / "torch_tensorrt"
    tree = ast.parse((package / "_compile.py").read_text())
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    taken = [argument.arg for argument in functions["compile"].args.args]
    (compiled,) = (use for use in found if use.chain == ("compile",))
    assert taken[0] == "module"
    assert compiled.arguments == 1
    assert set(compiled.keywords) <= set(taken)
    (shapes,) = (use for use in found if use.chain == ("Input",))
    documented = (package / "_Input.py").read_text()
    assert all(f'kwargs["{keyword}"]' in documented for keyword in shapes.keywords)


_BUILD = """
import sys
from pathlib import Path
from unittest.mock import MagicMock
import tensorrt_bindings as trt
sys.modules["tensorrt"] = trt

# Objects that have the attributes of the genuine classes and no others: what is not there raises.
tensor = MagicMock(spec=trt.ITensor)
tensor.name, tensor.shape, tensor.is_shape_tensor = "frames", (-1, 32, 32, 3), False
network = MagicMock(spec=trt.INetworkDefinition)
network.num_inputs, network.num_outputs, network.num_layers = 1, 0, 0
network.get_input.return_value = tensor
network.__len__.return_value = 0
network.__getitem__.side_effect = IndexError
timings = MagicMock(spec=trt.ITimingCache)
timings.serialize.return_value.__enter__.return_value = b"timings"
profile = MagicMock(spec=trt.IOptimizationProfile)
profile.get_shape.return_value = [(1, 32, 32, 3)] * 3
config = MagicMock(spec=trt.IBuilderConfig)
config.get_timing_cache.return_value = timings
config.num_optimization_profiles, config.DLA_core = 1, -1
if hasattr(trt.IBuilderConfig, 'int8_calibrator'):  # gone in 11
    config.int8_calibrator = None
config.get_memory_pool_limit.return_value = config.get_tactic_sources.return_value = 0
config.get_flag.return_value = config.get_preview_feature.return_value = False
builder = MagicMock(spec=trt.Builder)
builder.create_network.return_value = network
builder.create_builder_config.return_value = config
builder.create_optimization_profile.return_value = profile
builder.build_serialized_network.return_value = b"plan"
parser = MagicMock(spec=trt.OnnxParser)
parser.num_errors = 0
parser.parse_from_file.return_value = True
trt.Builder = lambda logger: builder
trt.OnnxParser = lambda network, logger: parser

from optimize.tensorrt.plan import build_plan
folder = Path(sys.argv[1])
assert build_plan(folder / "model.onnx", folder / "cache" / "timings") == b"plan"
strongly_typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
assert builder.create_network.call_args.kwargs["flags"] & strongly_typed
assert profile.set_shape.call_args.args == (
    "frames", (1, 32, 32, 3), (16, 32, 32, 3), (32, 32, 32, 3)
), profile.set_shape.call_args
for call in config.set_flag.call_args_list:
    assert call.args[0].name not in ("INT8", "FP16"), "a strongly typed network takes no such flag"
print((folder / "cache" / "timings").read_bytes().decode())
"""


@pytest.mark.parametrize(
    ("tensorrt", "polygraphy"),
    [
        ("10.1.0", "0.50.3"),
        ("10.16.1.11", "0.53.6"),
        ("11.4.0.106", "0.50.3"),
        ("11.4.0.106", "0.53.6"),
    ],
)
def test_the_build_goes_through_polygraphy_with_nothing_but_names_that_are_there(
    cache: Path, tmp_path: Path, tensorrt: str, polygraphy: str
) -> None:
    """Polygraphy's own code runs `build_plan` against the genuine classes' names; nothing is built."""
    write_model(tmp_path / "model.onnx", 3)
    assert SIDE == 32
    genuine = fetch(cache, f"tensorrt-cu12-bindings=={tensorrt}", f"polygraphy=={polygraphy}")
    assert genuine.run(_BUILD, str(tmp_path)).strip() == "timings"


def test_a_polygraphy_that_is_too_old_for_tensorrt_11_is_seen(cache: Path, tmp_path: Path) -> None:
    """The control: it asks for a calibrator, of which 11 knows nothing; hence the version we ask for."""
    write_model(tmp_path / "model.onnx", 3)
    genuine = fetch(cache, "tensorrt-cu12-bindings==11.4.0.106", "polygraphy==0.49.20")
    with pytest.raises(AssertionError, match="int8_calibrator"):
        genuine.run(_BUILD, str(tmp_path))
