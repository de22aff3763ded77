"""The last layer of a graph, as heat maps need it: what each feature speaks for.

Owns which heads can be drawn: the mean over the picture goes into one Gemm (or MatMul) with constant
weights, through a layer normalisation or nothing. Behind a hidden layer, as in MobileNetV3 and V4, a
feature has no one weight, and no map is drawn.
"""

import numpy as np
import onnx
from onnx import numpy_helper

from edge_runtime.contracts.array import Array
from edge_runtime.contracts.embedding import Classifier
from optimize.errors import ModelError
from optimize.features import locate
from optimize.graph import initializers

_SHAPES = frozenset({"Reshape", "Flatten", "Squeeze", "Transpose", "Gather", "Identity"})
"""Operators between mean and weights that change no value; their constants are places and sizes."""


def classifier(model: onnx.ModelProto) -> Classifier:
    """Of a float model; raises ModelError where its head is of another form."""
    found = locate(model)
    if found.feature_map is None:
        raise ModelError("no pooling over a whole picture leads to the features")
    makers = {name: node for node in model.graph.node for name in node.output}
    constants = initializers(model)
    (head,) = (n for n in model.graph.node if found.features in n.input)
    if head.op_type not in ("Gemm", "MatMul") or head.input[1] not in constants:
        raise ModelError("the features go into more than one layer of constant weights")
    weights = numpy_helper.to_array(constants[head.input[1]]).astype(np.float64)
    if not any(a.name == "transB" and a.i for a in head.attribute):
        weights = weights.T
    epsilon: float | None = None
    node = makers[found.features]
    while node.input[0] != found.feature_map:
        if node.op_type == "LayerNormalization" and epsilon is None:
            epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
            weights = weights * numpy_helper.to_array(constants[node.input[1]]).reshape(1, -1)
        elif node.op_type not in _SHAPES:
            raise ModelError(f"a hidden {node.op_type} stands between the mean and the last layer")
        node = makers[node.input[0]]
    return Classifier(weights=Array.of(weights), normalised=epsilon)
