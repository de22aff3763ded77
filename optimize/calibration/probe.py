"""A float model that answers with tensors from its inside instead of its logits.

Owns the session that both observation and embedding run; what is made of the values is theirs.
"""

from collections.abc import Sequence

import onnx
import onnxruntime as ort


def probe(model: onnx.ModelProto, tensors: Sequence[str]) -> ort.InferenceSession:
    """A session on the CPU whose outputs are the named float tensors; the model stays as it is."""
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    del opened.graph.output[:]
    opened.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in tensors
    )
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(
        opened.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
