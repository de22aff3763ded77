"""The float model's ONNX graph: read, checked against the input contract, simplified.

Owns what is asked of an ONNX file before anything is measured on it. Does not run it and does not
quantise it. A `FloatModel` in hand means: uint8 `frames` (N, H, W, 3) in, float32 `logits` (N, classes)
out, normalisation inside the graph exactly as the spec records it, finite weights, a spec that fits.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import onnx
import onnxslim
from google.protobuf.message import DecodeError
from onnx import numpy_helper
from onnx.external_data_helper import ExternalDataInfo, load_external_data_for_model
from pydantic import ValidationError

from edge_runtime.contracts.manifest import MODEL_SPEC_KEY, InputSpec, ModelSpec
from edge_runtime.engines.tensors import FEATURE_MAP, FEATURES
from edge_runtime.errors import first_line
from optimize.data.sealed import Sealed
from optimize.errors import ModelError

SEALED_KEY = "edge_inspect.sealed"
"""Metadata of a model that was taught under a frozen split: `Sealed.to_text`."""
INPUT = "frames"
OUTPUT = "logits"
# What the oldest supported ONNX Runtime (1.20) reads; newer files would load on some boxes only.
NEWEST_OPSET = 21
NEWEST_IR = 10
_REPEAT = "export it again with `train export`"


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatModel:
    """A checked float32 model."""

    path: Path
    sha256: str
    """Of the ONNX file as it was read."""
    proto: onnx.ModelProto
    spec: ModelSpec
    sealed: Sealed
    """The test images that it must not be shown before its final evaluation."""

    @property
    def nodes(self) -> int:
        """Operators in the graph."""
        return len(self.proto.graph.node)


def read_graph(path: Path) -> onnx.ModelProto:
    """Any ONNX file of whatever form, weights and all; raises ModelError."""
    proto = _parse(path, _read(path))
    _load_external_data(path, proto)
    return proto


def read_model(path: Path) -> FloatModel:
    """Read and check an ONNX file as `train export` writes it; raises ModelError."""
    data = _read(path)
    proto = _parse(path, data)
    _check_versions(path, proto)
    _load_external_data(path, proto)
    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as exc:
        raise ModelError(f"{path} is not a valid ONNX model: {first_line(exc)}") from exc
    _check_operators(path, proto)
    spec = _read_spec(path, proto)
    _check_input(path, proto, spec.input)
    _check_output(path, proto, spec)
    _check_weights(path, proto)
    _check_normalisation(path, proto, spec.input)
    del proto.graph.output[1:]  # a bundle's own file tells more: `optimize.features` gives it anew
    return FloatModel(
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        proto=proto,
        spec=spec,
        sealed=_read_sealed(path, proto),
    )


def simplify(model: FloatModel) -> FloatModel:
    """The same model with folded constants and fused operators; raises ModelError if it breaks.

    The layout change is moved ahead of the input's DequantizeLinear. The values stay the same, a
    quarter of the bytes is moved, and the first convolution meets the DequantizeLinear directly, which
    spares the quantised graph a dequantise-quantise round trip on the input.
    """
    try:
        proto = onnxslim.slim(model.proto)
    except Exception as exc:
        raise ModelError(f"{model.path} cannot be simplified: {first_line(exc)}") from exc
    _transpose_before_normalising(proto)
    _strip(proto)
    proto.ir_version = model.proto.ir_version
    onnx.checker.check_model(proto, full_check=True)
    _check_normalisation(model.path, proto, model.spec.input)
    return replace(model, proto=proto)


def normalisation(proto: onnx.ModelProto) -> onnx.NodeProto | None:
    """The DequantizeLinear that the input meets, at once or behind a Transpose; None without one."""
    tensor = INPUT
    node: onnx.NodeProto
    for node in proto.graph.node:
        if tensor not in node.input:
            continue
        if node.op_type == "DequantizeLinear":
            return node
        if node.op_type != "Transpose":
            return None
        tensor = node.output[0]
    return None


def initializers(proto: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """The graph's constants by name."""
    return {tensor.name: tensor for tensor in proto.graph.initializer}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as exc:
        raise ModelError(f"no model at {path}: write one with `train export`") from exc
    except IsADirectoryError as exc:
        raise ModelError(f"{path} is a folder: give the .onnx file") from exc
    except OSError as exc:
        raise ModelError(f"{path} cannot be read: {exc.strerror}") from exc


def _parse(path: Path, data: bytes) -> onnx.ModelProto:
    try:
        proto = onnx.load_model_from_string(data)
    except DecodeError as exc:
        raise ModelError(f"{path} is not an ONNX file, or is cut short") from exc
    # Protobuf accepts many byte strings, the empty one included, as a message without content.
    if not proto.graph.node or not proto.opset_import:
        raise ModelError(f"{path} is not an ONNX file: it holds no graph")
    return proto


def _check_versions(path: Path, proto: onnx.ModelProto) -> None:
    opset = max((o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), default=0)
    if opset > NEWEST_OPSET:
        raise ModelError(
            f"{path} uses ONNX opset {opset}, the runtime reads up to {NEWEST_OPSET}: "
            f"export it with opset {NEWEST_OPSET} or lower"
        )
    if proto.ir_version > NEWEST_IR:
        raise ModelError(
            f"{path} has ONNX IR version {proto.ir_version}, the runtime reads up to {NEWEST_IR}: "
            f"export it with an older IR version"
        )


def _check_operators(path: Path, proto: onnx.ModelProto) -> None:
    foreign = sorted(
        {f"{n.domain}.{n.op_type}" for n in proto.graph.node if n.domain not in ("", "ai.onnx")}
    )
    if foreign:
        raise ModelError(f"{path} uses operators outside standard ONNX: {', '.join(foreign)}")
    if any(node.op_type == "QuantizeLinear" for node in proto.graph.node):
        raise ModelError(f"{path} is quantised already: give the float32 model of `train export`")


def _load_external_data(path: Path, proto: onnx.ModelProto) -> None:
    external = [
        tensor for tensor in _tensors(proto) if tensor.data_location == onnx.TensorProto.EXTERNAL
    ]
    for tensor in external:
        location = ExternalDataInfo(tensor).location
        # A location may not lead out of the model's folder: the file comes from somebody else.
        if PurePosixPath(location).is_absolute() or ".." in PurePosixPath(location).parts:
            raise ModelError(f"{path} keeps weights outside its folder ({location}): {_REPEAT}")
        if not (path.parent / location).is_file():
            raise ModelError(
                f"{path} keeps its weights in {location}, which is missing beside it: "
                f"copy both, or {_REPEAT}"
            )
    if external:
        try:
            load_external_data_for_model(proto, str(path.parent))
        except (onnx.checker.ValidationError, OSError, ValueError) as exc:
            raise ModelError(
                f"{path}: its external weights are unusable: {first_line(exc)}"
            ) from exc


def _read_spec(path: Path, proto: onnx.ModelProto) -> ModelSpec:
    texts = [prop.value for prop in proto.metadata_props if prop.key == MODEL_SPEC_KEY]
    if not texts:
        raise ModelError(
            f"{path} carries no labels and no decision rule (metadata {MODEL_SPEC_KEY}): {_REPEAT}"
        )
    try:
        return ModelSpec.model_validate_json(texts[0])
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(map(str, first["loc"])) or "spec"
        raise ModelError(f"{path}: metadata {MODEL_SPEC_KEY}: {where}: {first['msg']}") from exc


def _read_sealed(path: Path, proto: onnx.ModelProto) -> Sealed:
    texts = [prop.value for prop in proto.metadata_props if prop.key == SEALED_KEY]
    try:
        return Sealed.from_text(texts[0] if texts else "")
    except ValueError as exc:
        raise ModelError(f"{path}: metadata {SEALED_KEY}: {exc}: {_REPEAT}") from exc


def _check_input(path: Path, proto: onnx.ModelProto, spec: InputSpec) -> None:
    constants = initializers(proto)
    inputs = [value for value in proto.graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise ModelError(f"{path} must have one input `{INPUT}`, it has {names}: {_REPEAT}")
    value = inputs[0]
    if value.name != INPUT:
        raise ModelError(
            f"{path}: the input is called `{value.name}`, expected `{INPUT}`: {_REPEAT}"
        )
    kind = value.type.tensor_type.elem_type
    if kind != onnx.TensorProto.UINT8:
        raise ModelError(
            f"{path}: `{INPUT}` is {onnx.TensorProto.DataType.Name(kind).lower()}, expected uint8 with "
            f"the normalisation inside the graph: {_REPEAT}"
        )
    shape = _shape(value)
    expected = f"(N, {spec.height}, {spec.width}, 3)"
    if len(shape) == 4 and shape[1] == 3 and shape[3] != 3:
        raise ModelError(
            f"{path}: `{INPUT}` is {_show(shape)}, channels first, expected {expected}: {_REPEAT}"
        )
    if len(shape) != 4 or shape[1:] != (spec.height, spec.width, 3):
        raise ModelError(f"{path}: `{INPUT}` is {_show(shape)}, expected {expected}: {_REPEAT}")
    if shape[0] is not None:
        raise ModelError(
            f"{path}: `{INPUT}` has the fixed batch {shape[0]}, expected a free one {expected}: "
            "export it with a dynamic batch"
        )


def _check_output(path: Path, proto: onnx.ModelProto, spec: ModelSpec) -> None:
    outputs = list(proto.graph.output)
    names = [value.name for value in outputs]
    if names[:1] != [OUTPUT] or not set(names[1:]) <= {FEATURES, FEATURE_MAP}:
        seen = ", ".join(names) or "none"
        raise ModelError(f"{path} must have one output `{OUTPUT}`, it has {seen}: {_REPEAT}")
    kind, shape = outputs[0].type.tensor_type.elem_type, _shape(outputs[0])
    if kind != onnx.TensorProto.FLOAT or len(shape) != 2 or shape[1] != len(spec.labels):
        raise ModelError(
            f"{path}: `{OUTPUT}` is {_show(shape)} {onnx.TensorProto.DataType.Name(kind).lower()}, "
            f"its {len(spec.labels)} labels ask for (N, {len(spec.labels)}) float: {_REPEAT}"
        )


def _check_weights(path: Path, proto: onnx.ModelProto) -> None:
    for tensor in _tensors(proto):
        if tensor.data_type not in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16):
            continue
        values = numpy_helper.to_array(tensor)
        # A lone infinity is an honest bound of a Clip.
        if np.isnan(values).any() or (values.size > 1 and not np.isfinite(values).all()):
            raise ModelError(
                f"{path}: the weights `{tensor.name}` contain NaN or infinity: the training diverged; "
                "export an earlier checkpoint"
            )


def _check_normalisation(path: Path, proto: onnx.ModelProto, spec: InputSpec) -> None:
    node = normalisation(proto)
    if node is None:
        raise ModelError(
            f"{path}: `{INPUT}` does not meet a DequantizeLinear: the normalisation must be inside the "
            f"graph: {_REPEAT}"
        )
    constants = initializers(proto)
    if any(name not in constants for name in node.input[1:]):
        raise ModelError(f"{path}: the normalisation's scale is no constant: {_REPEAT}")
    scale = numpy_helper.to_array(constants[node.input[1]])
    zero = numpy_helper.to_array(constants[node.input[2]]) if len(node.input) > 2 else np.uint8(0)
    if scale.size != 1 or not np.isclose(scale.item(), spec.scale, rtol=1e-5, atol=0):
        raise ModelError(
            f"{path} normalises with scale {scale.ravel()[0]:.6g}, "
            f"its spec says {spec.scale:.6g}: {_REPEAT}"
        )
    if int(zero.item()) != spec.zero_point:
        raise ModelError(
            f"{path} normalises with zero point {zero.item()}, "
            f"its spec says {spec.zero_point}: {_REPEAT}"
        )


def _transpose_before_normalising(proto: onnx.ModelProto) -> None:
    nodes = list(proto.graph.node)
    normalise = normalisation(proto)
    if normalise is None or normalise.input[0] != INPUT:
        return
    readers = [node for node in nodes if normalise.output[0] in node.input]
    if [node.op_type for node in readers] != ["Transpose"]:
        return
    transpose = readers[0]
    pixels, floats = f"{INPUT}_nchw", transpose.output[0]
    transpose.input[0], transpose.output[0] = INPUT, pixels
    normalise.input[0], normalise.output[0] = pixels, floats
    rest = [node for node in nodes if node.output[0] not in (pixels, floats)]
    del proto.graph.node[:], proto.graph.value_info[:]
    proto.graph.node.extend([transpose, normalise, *rest])


def _strip(proto: onnx.ModelProto) -> None:
    """Drop what exporters leave behind per node: stack traces, with the paths of their machine."""
    proto.doc_string = proto.graph.doc_string = ""
    del proto.graph.metadata_props[:]
    for part in (*proto.graph.node, *proto.graph.value_info, *proto.graph.initializer):
        part.doc_string = ""
        del part.metadata_props[:]


def _tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from proto.graph.initializer
    for node in proto.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t


def _shape(value: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    return tuple(
        dim.dim_value if dim.HasField("dim_value") else None
        for dim in value.type.tensor_type.shape.dim
    )


def _show(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join('?' if size is None else str(size) for size in shape)})"
