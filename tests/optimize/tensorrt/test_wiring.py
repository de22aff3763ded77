"""What writing and checking a file both ask of a graph."""

import onnx
import pytest
from onnx import helper

from optimize.tensorrt.wiring import wire
from tests.optimize.tensorrt.networks import named


def test_the_head_reaches_from_the_logits_to_the_last_pooling(residual: onnx.ModelProto) -> None:
    assert wire(residual).head() == {"logits", "features", "pooled"}


def test_an_activation_between_two_layers_ends_the_head(residual: onnx.ModelProto) -> None:
    named(residual, "flatten").op_type = "Relu"
    assert wire(residual).head() == {"logits"}


def test_attention_has_no_kernel(residual: onnx.ModelProto) -> None:
    product = helper.make_node("MatMul", ["one_out", "two_sum"], ["scores"], "attention")
    residual.graph.node.append(product)
    wiring = wire(residual)
    assert not wiring.has_kernel(product)
    assert wiring.has_kernel(named(residual, "one"))


@pytest.mark.parametrize(
    ("operator", "attributes", "axis"),
    [("Conv", {}, 0), ("Gemm", {}, 1), ("Gemm", {"transB": 1}, 0), ("MatMul", {}, 3)],
)
def test_output_channels_lie_where_the_operator_has_them(
    residual: onnx.ModelProto, operator: str, attributes: dict[str, int], axis: int
) -> None:
    node = helper.make_node(operator, ["stem_out", "one_kernel"], ["made"], "made", **attributes)
    assert wire(residual).channel_axis(node) == axis
