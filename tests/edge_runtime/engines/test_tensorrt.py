"""The TensorRT engine's own code, on a stand-in for the library: nothing here has seen a GPU."""

import hashlib
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from edge_runtime.bundle import Bundle, open_bundle
from edge_runtime.engines.catalogue import open_engine
from edge_runtime.engines.device_memory.host import HostMemory
from edge_runtime.engines.ort import OnnxRuntimeEngine
from edge_runtime.engines.plans import Plan
from edge_runtime.errors import EngineError
from tests.stand_in_tensorrt import VERSION, engine_module, write_plan
from tests.tiny_bundle import SIDE


@pytest.fixture
def bundle(make_bundle: Callable[..., Path]) -> Bundle:
    return open_bundle(make_bundle())


def plan_of(model: Path, **changes: str) -> Plan:
    file = model.with_suffix(".plan")
    data = write_plan(model, file)
    facts = {
        "sha256": hashlib.sha256(data).hexdigest(),
        "device": "host memory",
        "compute_capability": "0.0",
        "tensorrt": VERSION,
    }
    return Plan(file=file, **{**facts, **changes})


def opened(
    monkeypatch: pytest.MonkeyPatch, bundle: Bundle, plan: Plan, **options: Any
) -> tuple[Any, Any]:
    module, stand_in = engine_module(monkeypatch, HostMemory())
    return module.TensorRtEngine(bundle.manifest.model, plans=[plan], **options), stand_in


def model_of(bundle: Bundle) -> Path:
    return bundle.model_file(bundle.variant(None))


def test_it_answers_like_the_cpu_engine_for_whole_chunks_and_rests(
    monkeypatch: pytest.MonkeyPatch, bundle: Bundle
) -> None:
    reference = OnnxRuntimeEngine(model_of(bundle), bundle.manifest.model)
    engine, _ = opened(monkeypatch, bundle, plan_of(model_of(bundle)), chunk=4)
    with closing(engine):
        assert engine.name == f"tensorrt {VERSION}"
        for size in (1, 3, 4, 9, 40):
            batch = np.random.default_rng(size).integers(0, 256, (size, SIDE, SIDE, 3), np.uint8)
            np.testing.assert_allclose(
                engine.infer(batch).logits, reference.infer(batch).logits, atol=1e-5
            )


def test_each_graph_has_a_context_of_its_own(
    monkeypatch: pytest.MonkeyPatch, bundle: Bundle
) -> None:
    engine, stand_in = opened(monkeypatch, bundle, plan_of(model_of(bundle)), chunk=4)
    with closing(engine):
        assert stand_in.contexts == 2 * len((1, 2, 4))


def test_it_never_asks_for_more_frames_than_the_plan_was_built_for(
    monkeypatch: pytest.MonkeyPatch, bundle: Bundle
) -> None:
    engine, stand_in = opened(monkeypatch, bundle, plan_of(model_of(bundle)), chunk=1000)
    with closing(engine):
        assert stand_in.contexts == 2 * len((1, 2, 4, 8, 16, 32))


@pytest.mark.parametrize(
    "changes",
    [{"compute_capability": "7.5"}, {"tensorrt": "11.4.0.106"}],
)
def test_a_plan_for_another_device_or_version_is_refused_with_the_way_to_rebuild(
    monkeypatch: pytest.MonkeyPatch, bundle: Bundle, changes: dict[str, str]
) -> None:
    with pytest.raises(EngineError) as caught:
        opened(monkeypatch, bundle, plan_of(model_of(bundle), device="Tesla T4", **changes))
    message = str(caught.value)
    assert f"host memory (compute capability 0.0, TensorRT {VERSION})" in message
    assert next(iter(changes.values())) in message
    assert "optimize validate BUNDLE --device 0" in message


def test_a_changed_plan_is_refused(monkeypatch: pytest.MonkeyPatch, bundle: Bundle) -> None:
    plan = plan_of(model_of(bundle))
    plan.file.write_bytes(plan.file.read_bytes() + b"\0")
    with pytest.raises(EngineError, match=r"has the sha256 .* recorded is .*: build one"):
        opened(monkeypatch, bundle, plan)


def test_a_plan_that_the_library_refuses_is_said_so(
    monkeypatch: pytest.MonkeyPatch, bundle: Bundle, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no plan")
    with pytest.raises(EngineError, match=r"TensorRT 10\.16\.1\.11 refuses .*broken\.plan"):
        opened(monkeypatch, bundle, plan_of(broken))


def test_a_plan_with_other_labels_or_half_precision_answers_is_refused(
    monkeypatch: pytest.MonkeyPatch, bundle: Bundle, tmp_path: Path
) -> None:
    spec = bundle.manifest.model.model_copy(update={"labels": ("a", "b")})
    module, _ = engine_module(monkeypatch, HostMemory())
    with pytest.raises(EngineError, match=r"must take uint8 \(N, 32, 32, 3\) and answer float32"):
        module.TensorRtEngine(spec, plans=[plan_of(model_of(bundle))])
    proto = onnx.load(model_of(bundle))
    proto.graph.node.append(
        onnx.helper.make_node("Cast", ["logits"], ["half"], to=TensorProto.FLOAT16)
    )
    proto.graph.output[0].name = "half"
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    onnx.save(proto, tmp_path / "half.onnx")
    with pytest.raises(EngineError, match=r"it has frames.*half: DataType\.HALF"):
        opened(monkeypatch, bundle, plan_of(tmp_path / "half.onnx"))


def test_a_refused_plan_leaves_the_device_memory_closed(
    monkeypatch: pytest.MonkeyPatch, bundle: Bundle
) -> None:
    memory = HostMemory()
    module, _ = engine_module(monkeypatch, memory)
    with pytest.raises(EngineError, match="no TensorRT engine is recorded"):
        module.TensorRtEngine(bundle.manifest.model, plans=[])
    with pytest.raises(EngineError, match="closed"), memory.current():
        pass


def test_without_the_library_one_line_says_what_to_install_or_to_choose(
    monkeypatch: pytest.MonkeyPatch, bundle: Bundle
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.delitem(sys.modules, "edge_runtime.engines.tensorrt", raising=False)
    with pytest.raises(
        EngineError, match=r"edge-inspect\[tensorrt\].*the engines onnxruntime"
    ) as caught:
        open_engine("tensorrt", model_of(bundle), bundle.manifest.model, 1)
    assert "\n" not in str(caught.value)
