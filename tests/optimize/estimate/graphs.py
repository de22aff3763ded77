"""Small graphs, written down operator by operator."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Node = tuple[str, Sequence[str], str, Mapping[str, object]]


def make_proto(
    nodes: Sequence[Node],
    weights: Mapping[str, Sequence[int]],
    taken: Sequence[int | str] = ("n", 8, 16, 16),
    results: Sequence[str] = ("y",),
    element: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """A model that takes `x`; `weights` names shapes of float constants, an empty one a number."""
    graph = helper.make_graph(
        [
            helper.make_node(operator, list(reads), [made], made, **attributes)
            for operator, reads, made, attributes in nodes
        ],
        "small",
        [helper.make_tensor_value_info("x", element, list(taken))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in results],
        [
            numpy_helper.from_array(np.ones(tuple(shape), np.float32), name)
            for name, shape in weights.items()
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def conv(reads: str, weights: str, made: str, **attributes: object) -> Node:
    return "Conv", (reads, weights), made, attributes
