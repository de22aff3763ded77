"""uint8 frames in a TensorRT file: the same floats, by operators that it takes."""

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from optimize.errors import ModelError
from optimize.tensorrt import frames
from tests.optimize.tensorrt.networks import make_residual_proto
from tests.optimize.tiny_network import make_proto


def normalised(proto: onnx.ModelProto, name: str, pixels: np.ndarray) -> np.ndarray:
    del proto.graph.output[:]
    proto.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"frames": pixels})[0])


@pytest.mark.parametrize("make", [make_residual_proto, make_proto], ids=["planes first", "last"])
def test_every_grey_level_becomes_the_same_float_bit_for_bit(
    make: Callable[[], onnx.ModelProto],
) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    before, after = make(), make()
    name = frames.take_frames(after)
    assert np.array_equal(normalised(before, name, grey), normalised(after, name, grey))


def test_nothing_but_a_cast_reads_the_frames() -> None:
    proto = make_residual_proto()
    frames.take_frames(proto)
    readers = [node for node in proto.graph.node if "frames" in node.input]
    assert [node.op_type for node in readers] == ["Cast"]
    assert not [node for node in proto.graph.node if node.op_type == "DequantizeLinear"]


def test_a_network_without_normalisation_is_refused() -> None:
    proto = make_residual_proto()
    frames.take_frames(proto)
    with pytest.raises(ModelError, match="does not meet a DequantizeLinear"):
        frames.take_frames(proto)
