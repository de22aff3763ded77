"""Every rule has a graph that breaks it alone; the files that we write break none."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from optimize.tensorrt import half, lint
from optimize.tensorrt.lint import RULES, Weight
from tests.optimize.tensorrt.networks import CHANNELS, constants, named, set_constant

Break = Callable[[onnx.ModelProto], None]


def insert(proto: onnx.ModelProto, before: str, *nodes: onnx.NodeProto) -> None:
    """Put nodes ahead of the named one."""
    place = [node.name for node in proto.graph.node].index(before)
    written = [*proto.graph.node[:place], *nodes, *proto.graph.node[place:]]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in written]
    del proto.graph.node[:]
    proto.graph.node.extend(copies)


def pair(name: str, step: float, proto: onnx.ModelProto) -> tuple[onnx.NodeProto, onnx.NodeProto]:
    set_constant(proto, "another_step", np.array(step, np.float32))
    zero = "int8_zero"
    return (
        helper.make_node("QuantizeLinear", [name, "another_step", zero], ["codes"], "q"),
        helper.make_node("DequantizeLinear", ["codes", "another_step", zero], ["decoded"], "dq"),
    )


def set_opset(version: int) -> Break:
    def change(proto: onnx.ModelProto) -> None:
        proto.opset_import[0].version = version

    return change


def foreign_operator(proto: onnx.ModelProto) -> None:
    named(proto, "stem_relu").op_type = "Bernoulli"


def free_height(proto: onnx.ModelProto) -> None:
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "height"


def frames_not_cast(proto: onnx.ModelProto) -> None:
    insert(proto, "frames_cast", helper.make_node("Identity", ["frames"], ["copied"], "copy"))
    named(proto, "frames_cast").input[0] = "copied"


def unsigned(proto: onnx.ModelProto) -> None:
    set_constant(proto, "uint8_zero", np.array(0, np.uint8))
    for name in ("one_out_quantise", "one_out_dequantise"):
        named(proto, name).input[2] = "uint8_zero"


def no_zero_point(proto: onnx.ModelProto) -> None:
    """By ONNX's rule the codes are uint8 then."""
    del named(proto, "one_out_quantise").input[2:]


def off_centre(proto: onnx.ModelProto) -> None:
    set_constant(proto, "three", np.array(3, np.int8))
    for name in ("one_out_quantise", "one_out_dequantise"):
        named(proto, name).input[2] = "three"


def negative_scale(proto: onnx.ModelProto) -> None:
    set_constant(proto, "one_out_step", np.array(-0.1, np.float32))


def infinite_scale(proto: onnx.ModelProto) -> None:
    set_constant(proto, "one_out_step", np.array(np.inf, np.float32))


def kernel_of_one_scale(proto: onnx.ModelProto) -> None:
    set_constant(proto, "one_kernel_step", np.array(0.01, np.float32))
    set_constant(proto, "one_kernel_zero", np.array(0, np.int8))


def kernel_scaled_by_input(proto: onnx.ModelProto) -> None:
    for attribute in named(proto, "one_kernel_dequantise").attribute:
        attribute.i = 1


def activation_of_many_scales(proto: onnx.ModelProto) -> None:
    set_constant(proto, "one_out_step", np.full(CHANNELS, 0.1, np.float32))
    set_constant(proto, "many_zeros", np.zeros(CHANNELS, np.int8))
    for name in ("one_out_quantise", "one_out_dequantise"):
        named(proto, name).input[2] = "many_zeros"


def quantised_bias(proto: onnx.ModelProto) -> None:
    set_constant(proto, "bias_codes", np.zeros(CHANNELS, np.int8))
    set_constant(proto, "bias_step", np.array(0.1, np.float32))
    inputs = ["bias_codes", "bias_step", "int8_zero"]
    insert(proto, "one", helper.make_node("DequantizeLinear", inputs, ["bias"], "bias_dequantise"))
    named(proto, "one").input[2] = "bias"


def unlike_halves(proto: onnx.ModelProto) -> None:
    set_constant(proto, "another_step", np.array(0.3, np.float32))
    named(proto, "one_out_dequantise").input[1] = "another_step"


def codes_read_as_they_are(proto: onnx.ModelProto) -> None:
    cast = helper.make_node("Cast", ["one_out_int8"], ["taken"], "take", to=TensorProto.FLOAT)
    insert(proto, "two", cast)


def pair_before_activation(proto: onnx.ModelProto) -> None:
    insert(proto, "one_relu", *pair("one_sum", 0.1, proto))
    named(proto, "one_relu").input[0] = "decoded"


def float_kernel(proto: onnx.ModelProto) -> None:
    set_constant(proto, "float_kernel", np.ones((CHANNELS, CHANNELS, 3, 3), np.float32))
    named(proto, "one").input[1] = "float_kernel"


def unlike_summands(proto: onnx.ModelProto) -> None:
    insert(proto, "add", *pair("two_sum", 0.3, proto))
    named(proto, "add").input[0] = "decoded"


def float_residual(proto: onnx.ModelProto) -> None:
    named(proto, "add").input[1] = "stem_out"


def double(proto: onnx.ModelProto) -> None:
    cast = helper.make_node("Cast", ["pooled"], ["wide"], "widen", to=TensorProto.DOUBLE)
    insert(proto, "gemm", cast)


def arithmetic_on_shapes(proto: onnx.ModelProto) -> None:
    shape = helper.make_node("Shape", ["pooled"], ["shape"], "shape")
    insert(proto, "gemm", shape, helper.make_node("Add", ["shape", "shape"], ["twice"], "twice"))


def two_float_types(proto: onnx.ModelProto) -> None:
    set_constant(proto, "half", np.array(0.5, np.float16))
    insert(proto, "gemm", helper.make_node("Mul", ["pooled", "half"], ["halved"], "halve"))


def groups_of_two(proto: onnx.ModelProto) -> None:
    named(proto, "one").attribute.append(helper.make_attribute("group", 2))
    set_constant(proto, "one_kernel_int8", constants(proto)["one_kernel_int8"][:, :2])


BROKEN: list[tuple[str, Break]] = [
    ("opset", set_opset(12)),
    ("opset", set_opset(25)),
    ("newer-opset", set_opset(21)),
    ("operator", foreign_operator),
    ("free-axis", free_height),
    ("frames", frames_not_cast),
    ("int8", unsigned),
    ("int8", no_zero_point),
    ("zero-point", off_centre),
    ("scale", negative_scale),
    ("scale", infinite_scale),
    ("per-channel", kernel_of_one_scale),
    ("channel-axis", kernel_scaled_by_input),
    ("per-tensor", activation_of_many_scales),
    ("bias", quantised_bias),
    ("pair", unlike_halves),
    ("pair", codes_read_as_they_are),
    ("gap", pair_before_activation),
    ("weighted", float_kernel),
    ("sum", unlike_summands),
    ("residual", float_residual),
    ("double", double),
    ("int64", arithmetic_on_shapes),
    ("mixed", two_float_types),
    ("grouped", groups_of_two),
]


@pytest.mark.parametrize(
    ("rule", "change"), BROKEN, ids=[f"{rule}-{change.__name__}" for rule, change in BROKEN]
)
def test_a_graph_that_breaks_one_rule_is_found_to_break_that_one(
    quantised: onnx.ModelProto, rule: str, change: Break
) -> None:
    change(quantised)
    assert {finding.rule.id for finding in lint.check(quantised)} == {rule}


def test_every_rule_has_a_graph_that_breaks_it() -> None:
    assert {rule for rule, _change in BROKEN} == {rule.id for rule in RULES}


def test_every_rule_says_why_and_where_that_was_read() -> None:
    assert all(rule.what and rule.why and rule.source for rule in RULES)
    assert len({rule.id for rule in RULES}) == len(RULES)


def test_the_files_that_we_write_keep_every_rule(
    residual: onnx.ModelProto, quantised: onnx.ModelProto
) -> None:
    for file in (quantised, half.convert(residual), half.convert(quantised)):
        assert [str(finding) for finding in lint.check(file)] == []


def test_the_float_model_as_it_stands_is_none_of_them(residual: onnx.ModelProto) -> None:
    found = {finding.rule.id for finding in lint.errors(lint.check(residual))}
    assert {"frames", "int8", "zero-point"} <= found


def test_a_finding_says_where_what_and_why(quantised: onnx.ModelProto) -> None:
    off_centre(quantised)
    text = str(lint.check(quantised)[0])
    assert text.startswith("zero-point: one_out_quantise: zero point 3; ")
    assert "symmetric" in text


def test_advice_is_no_error(quantised: onnx.ModelProto) -> None:
    groups_of_two(quantised)
    (finding,) = lint.check(quantised)
    assert finding.rule.weight is Weight.ADVICE
    assert lint.errors((finding,)) == ()
