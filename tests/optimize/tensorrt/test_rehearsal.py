"""A rehearsal rounds and overflows where float16 does, in an engine that does neither by itself."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from optimize.tensorrt.rehearsal import rehearse
from optimize.tensorrt.wiring import wire


@pytest.fixture
def up_and_down() -> onnx.ModelProto:
    """float32 in, times 1000 and times 0.001 in float16, float32 out."""
    node = helper.make_node
    value = helper.make_tensor_value_info
    arrays = {"up": np.array(1000, np.float16), "down": np.array(0.001, np.float16)}
    graph = helper.make_graph(
        [
            node("Cast", ["x"], ["narrow"], "narrow", to=TensorProto.FLOAT16),
            node("Mul", ["narrow", "up"], ["high"], "high"),
            node("Mul", ["high", "down"], ["low"], "low"),
            node("Cast", ["low"], ["y"], "widen", to=TensorProto.FLOAT),
        ],
        "up_and_down",
        [value("x", TensorProto.FLOAT, ["n"])],
        [value("y", TensorProto.FLOAT, ["n"])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def answer(proto: onnx.ModelProto, values: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": values})[0])


def test_it_answers_bit_for_bit_as_float16_does(up_and_down: onnx.ModelProto) -> None:
    values = np.linspace(-60, 60, 999, dtype=np.float32)
    halves = values.astype(np.float16) * np.float16(1000) * np.float16(0.001)
    assert np.array_equal(answer(rehearse(up_and_down), values), halves.astype(np.float32))
    assert not np.array_equal(values, halves.astype(np.float32))


def test_it_overflows_where_float16_does(up_and_down: onnx.ModelProto) -> None:
    (value,) = answer(rehearse(up_and_down), np.array([500], np.float32))
    assert np.isinf(value)


def test_nothing_is_left_in_float16_but_the_roundings(up_and_down: onnx.ModelProto) -> None:
    kinds = wire(rehearse(up_and_down)).kinds
    halves = [name for name, kind in kinds.items() if kind == TensorProto.FLOAT16]
    assert halves == ["narrow_rounded", "high_rounded", "low_rounded"]


def test_the_file_stays_as_it_was(up_and_down: onnx.ModelProto) -> None:
    before = up_and_down.SerializeToString()
    rehearse(up_and_down)
    assert up_and_down.SerializeToString() == before
