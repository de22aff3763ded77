"""A file with float16 in it, written so that an engine without float16 arithmetic answers as it would.

Owns nothing but that. It is needed because ONNX Runtime's CPU engine computes float16 layers in float32
and drops the roundings between them (measured with 1.28: 500 times 1000 times 0.001 comes back as 500,
and not as infinity), and its float16 QuantizeLinear cuts off where it should round. A gate that ran the
file itself would see neither an overflow nor the loss of precision. What a rehearsal cannot show is how
a device accumulates within a layer.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from optimize.tensorrt.wiring import wire


def rehearse(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network in float32, rounded to float16 behind every node that answers in it.

    The model that is given stays as it is. Inputs and outputs must not be float16.
    """
    kinds = wire(model).kinds
    rehearsal = onnx.ModelProto()
    rehearsal.CopyFrom(model)
    nodes: list[onnx.NodeProto] = []
    for node in rehearsal.graph.node:
        for attribute in node.attribute:
            if attribute.name == "to" and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.FLOAT
            elif attribute.HasField("t"):
                _widen(attribute.t)
        nodes.append(node)
        for index, name in enumerate(node.output):
            if kinds.get(name) == TensorProto.FLOAT16:
                exact, rounded = f"{name}_exact", f"{name}_rounded"
                node.output[index] = exact
                nodes += [
                    helper.make_node("Cast", [exact], [rounded], rounded, to=TensorProto.FLOAT16),
                    helper.make_node(
                        "Cast", [rounded], [name], f"{name}_wide", to=TensorProto.FLOAT
                    ),
                ]
    for tensor in rehearsal.graph.initializer:
        _widen(tensor)
    del rehearsal.graph.node[:], rehearsal.graph.value_info[:]
    rehearsal.graph.node.extend(nodes)
    onnx.checker.check_model(rehearsal, full_check=True)
    return rehearsal


def _widen(tensor: onnx.TensorProto) -> None:
    if tensor.data_type == TensorProto.FLOAT16:
        values = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
