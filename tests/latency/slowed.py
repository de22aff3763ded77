"""Models that are slow on purpose: what the latency tests must see."""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from optimize.graph import normalisation

_NEEDLESS = 3


def with_needless_layers(model: Path, out: Path) -> None:
    """The same network with float layers that change nothing, where frames are still large.

    They stand between the normalisation and the first convolution, so that this one falls back to
    float, too: one careless edit of a graph.
    """
    proto = onnx.load(model)
    normalise = normalisation(proto)
    assert normalise is not None
    same = np.zeros((3, 3, 3, 3), np.float32)
    same[range(3), range(3), 1, 1] = 1
    proto.graph.initializer.append(numpy_helper.from_array(same, "same"))
    last, readers = normalise.output[0], [n for n in proto.graph.node if n is not normalise]
    at = list(proto.graph.node).index(normalise) + 1
    for number in range(_NEEDLESS):
        name = f"needless_{number}"
        node = helper.make_node("Conv", [last, "same"], [name], name=name, pads=[1, 1, 1, 1])
        proto.graph.node.insert(at + number, node)
        last = name
    for reader in readers:
        for place, name in enumerate(reader.input):
            if name == normalise.output[0]:
                reader.input[place] = last
    onnx.checker.check_model(proto)
    onnx.save(proto, out)
