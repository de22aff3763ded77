"""What runs as one layer, and what each layer computes and moves."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from optimize.calibration.observation import observe
from optimize.calibration.ranges import Method
from optimize.estimate.layers import Kind, Layer, Precision
from optimize.estimate.network import network
from optimize.graph import FloatModel
from optimize.quantize import activations, quantise
from tests.optimize.estimate.graphs import Node, conv, make_proto
from tests.optimize.tiny_network import Pixels

PLANE = 16 * 16


def layers(proto: onnx.ModelProto) -> tuple[Layer, ...]:
    return network(proto, Path("small.onnx"), "small").layers


def operators(proto: onnx.ModelProto) -> list[tuple[str, ...]]:
    return [layer.operators for layer in layers(proto)]


def test_a_convolution_takes_normalisation_and_activation_with_it() -> None:
    nodes: list[Node] = [
        conv("x", "w", "a"),
        ("BatchNormalization", ("a", "s", "s", "s", "s"), "b", {}),
        ("Relu", ("b",), "y", {}),
    ]
    (layer,) = layers(make_proto(nodes, {"w": (4, 8, 1, 1), "s": (4,)}))
    assert layer.operators == ("Conv", "BatchNormalization", "Relu")
    assert (layer.kind, layer.macs) == (Kind.POINTWISE, 4 * 8 * PLANE)
    assert (layer.reads, layer.writes) == (8 * PLANE, 4 * PLANE)
    assert (layer.taken, layer.given) == ((1, 8, 16, 16), (1, 4, 16, 16))


def test_the_last_of_two_branches_takes_the_addition_with_it() -> None:
    nodes: list[Node] = [
        conv("x", "w", "main"),
        conv("x", "w", "side"),
        ("Add", ("main", "side"), "sum", {}),
        ("Relu", ("sum",), "y", {}),
    ]
    main, side = layers(make_proto(nodes, {"w": (8, 8, 1, 1)}))
    assert main.operators == ("Conv",)
    assert side.operators == ("Conv", "Add", "Relu")
    assert side.reads == 2 * 8 * PLANE  # its own input, and the other branch


def test_only_one_addition_is_taken() -> None:
    nodes: list[Node] = [
        conv("x", "w", "a"),
        conv("a", "w", "b"),
        conv("b", "w", "c"),
        ("Add", ("c", "a"), "d", {}),
        ("Add", ("d", "b"), "y", {}),
    ]
    assert operators(make_proto(nodes, {"w": (8, 8, 1, 1)}))[-2:] == [("Conv", "Add"), ("Add",)]


def test_an_activation_whose_input_is_needed_elsewhere_is_a_layer() -> None:
    nodes: list[Node] = [
        conv("x", "w", "a"),
        ("Relu", ("a",), "b", {}),
        conv("b", "w", "c"),
        ("Add", ("c", "a"), "y", {}),
    ]
    found = operators(make_proto(nodes, {"w": (8, 8, 1, 1)}))
    assert found == [("Conv",), ("Relu",), ("Conv", "Add")]


@pytest.mark.parametrize(
    "nodes",
    [
        [("Sigmoid", ("a",), "s", {}), ("Mul", ("a", "s"), "y", {})],
        [
            ("Div", ("a", "two"), "d", {}),
            ("Erf", ("d",), "e", {}),
            ("Add", ("e", "two"), "f", {}),
            ("Mul", ("a", "f"), "g", {}),
            ("Mul", ("g", "two"), "y", {}),
        ],
    ],
    ids=["swish", "gelu"],
)
def test_an_activation_written_out_is_fused_whole(nodes: list[Node]) -> None:
    (layer,) = layers(make_proto([conv("x", "w", "a"), *nodes], {"w": (8, 8, 1, 1), "two": ()}))
    assert len(layer.operators) == 1 + len(nodes)
    assert (layer.reads, layer.writes) == (8 * PLANE, 8 * PLANE)


def test_a_gate_over_channels_is_pooled_computed_and_multiplied_apart() -> None:
    nodes: list[Node] = [
        conv("x", "w", "a"),
        ("Relu", ("a",), "b", {}),
        ("GlobalAveragePool", ("b",), "p", {}),
        conv("p", "w", "q"),
        ("Sigmoid", ("q",), "g", {}),
        ("Mul", ("b", "g"), "y", {}),
    ]
    found = layers(make_proto(nodes, {"w": (8, 8, 1, 1)}))
    assert [layer.kind for layer in found] == [
        Kind.POINTWISE,
        Kind.POOL,
        Kind.POINTWISE,
        Kind.ELEMENTWISE,
    ]
    assert found[-1].reads == 8 * PLANE + 8


@pytest.mark.parametrize(
    ("shape", "groups", "kind", "macs"),
    [
        ((8, 8, 3, 3), 1, Kind.CONV, 8 * 8 * 9 * PLANE),
        ((8, 8, 1, 1), 1, Kind.POINTWISE, 8 * 8 * PLANE),
        ((8, 1, 3, 3), 8, Kind.DEPTHWISE, 8 * 9 * PLANE),
        ((8, 4, 3, 3), 2, Kind.GROUPED, 8 * 4 * 9 * PLANE),
    ],
)
def test_convolutions_differ_by_their_groups_and_kernel(
    shape: tuple[int, ...], groups: int, kind: Kind, macs: int
) -> None:
    pad = shape[-1] // 2
    (layer,) = layers(make_proto([conv("x", "w", "y", group=groups, pads=[pad] * 4)], {"w": shape}))
    assert (layer.kind, layer.macs, layer.weights) == (kind, macs, np.prod(shape))


def test_a_transposed_convolution_computes_with_every_input_pixel() -> None:
    node: Node = ("ConvTranspose", ("x", "w"), "y", {"strides": [2, 2]})
    (layer,) = layers(make_proto([node], {"w": (8, 4, 2, 2)}))
    assert layer.macs == 8 * PLANE * 4 * 2 * 2
    assert layer.given == (1, 4, 32, 32)


def test_a_product_of_activations_has_no_weights() -> None:
    nodes: list[Node] = [("MatMul", ("x", "x"), "y", {})]
    (layer,) = layers(make_proto(nodes, {}))
    assert (layer.kind, layer.weights, layer.macs) == (Kind.GEMM, 0, 8 * 16 * 16 * 16)
    assert layer.reads == 8 * PLANE  # the same tensor is read once


def test_views_and_the_choice_of_layout_cost_nothing() -> None:
    nodes: list[Node] = [
        ("Transpose", ("x",), "t", {"perm": [0, 2, 3, 1]}),
        ("Flatten", ("t",), "f", {}),
        ("Gemm", ("f", "w"), "y", {}),
    ]
    (layer,) = layers(make_proto(nodes, {"w": (8 * PLANE, 3)}))
    assert layer.operators == ("Gemm",)


def test_what_rearranges_values_is_moved_in_and_out() -> None:
    node: Node = ("Transpose", ("x",), "y", {"perm": [0, 1, 3, 2]})
    (layer,) = layers(make_proto([node], {}, taken=("n", 8, 16, 4)))
    assert (layer.kind, layer.reads, layer.writes) == (Kind.LAYOUT, 512, 512)


def test_an_operator_that_is_not_known_is_counted_as_traffic_and_named() -> None:
    proto = make_proto([("Einsum", ("x",), "y", {"equation": "nchw->nhwc"})], {})
    found = network(proto, Path("small.onnx"), "small")
    assert found.unknown == ("Einsum",)
    assert (found.macs, found.layers[0].reads, found.layers[0].writes) == (0, 8 * PLANE, 8 * PLANE)


def test_a_result_that_nobody_asked_for_is_not_written() -> None:
    weights = {"w": (1, 12, 8), "r": (1, 12, 3)}
    proto = make_proto([("LSTM", ("x", "w", "r"), "y", {"hidden_size": 3})], weights, (5, 1, 8))
    proto.graph.node[0].output[:] = ["", "y"]
    (layer,) = layers(proto)
    assert (layer.kind, layer.given[1:]) == (Kind.UNKNOWN, (1, 3))


def test_counts_are_per_image_whatever_batch_the_file_is_fixed_to() -> None:
    nodes: list[Node] = [conv("x", "w", "a"), ("Relu", ("a",), "y", {})]
    weights = {"w": (8, 8, 1, 1)}
    assert layers(make_proto(nodes, weights, (4, 8, 16, 16))) == layers(make_proto(nodes, weights))


def test_frames_are_read_as_bytes(simplified: FloatModel) -> None:
    first = layers(simplified.proto)[0]
    assert (first.frame_bytes, first.reads) == (16 * 16 * 3, 0)
    assert first.activation_bytes(2, Precision.FP16) == 2 * (768 + 2 * first.writes)


def test_a_quantised_file_keeps_the_float_files_layers(
    simplified: FloatModel, images: list[Pixels]
) -> None:
    observed = observe(simplified.proto, activations(simplified.proto), images)
    quantised = layers(quantise(simplified.proto, observed, Method.MINMAX))
    floats = layers(simplified.proto)
    assert [(q.kind, q.macs, q.given) for q in quantised] == [
        (f.kind, f.macs, f.given) for f in floats
    ]
    assert {f.precision for f in floats} == {Precision.FLOAT32}
    assert [q.precision for q in quantised if q.kind in (Kind.POINTWISE, Kind.DEPTHWISE)] == [
        Precision.INT8
    ] * 2
    assert quantised[-1].precision is Precision.FLOAT32  # the Gemm that answers stays float
    assert quantised[0].weight_bytes() < floats[0].weight_bytes()


def test_a_half_precision_file_is_seen_as_such() -> None:
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        "half",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT16, ["n", 8, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT16, None)],
        [numpy_helper.from_array(np.ones((8, 8, 1, 1), np.float16), "w")],
    )
    (layer,) = layers(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]))
    assert layer.precision is Precision.FP16
    assert layer.weight_bytes() == 128
