"""A network to be estimated: where its graph comes from, and its layers.

Takes more than `optimize build` does: any ONNX image network, float or quantised, uint8 frames or
normalised floats in. It must say how large its images are; the batch may be free.
"""

from dataclasses import dataclass
from pathlib import Path

import onnx
import onnxslim

from edge_runtime.bundle import DEMO, Bundle, open_bundle
from optimize.errors import ModelError
from optimize.estimate.fusion import fuse
from optimize.estimate.layers import Kind, Layer, Shape
from optimize.graph import read_graph

_SOURCE = "float32"
"""The variant of a bundle that an estimate is made from."""
_LARGEST_SETTING = 1024
"""Bytes of the largest constant that says what shape a tensor takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The layers of one network."""

    name: str
    taken: Shape
    """Shape of its input at batch 1."""
    layers: tuple[Layer, ...]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image."""
        return sum(layer.macs for layer in self.layers)

    @property
    def weights(self) -> int:
        """Elements of all constants."""
        return sum(layer.weights for layer in self.layers)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Operators whose arithmetic is not counted, by name."""
        return tuple(
            sorted({layer.operators[0] for layer in self.layers if layer.kind is Kind.UNKNOWN})
        )


def read_network(location: str) -> Network:
    """The network of an ONNX file, or of a bundle's float32 variant; raises ModelError, BundleError."""
    path = Path(location)
    if location == DEMO or path.is_dir():
        bundle = open_bundle(location)
        path = bundle.model_file(bundle.variant(_SOURCE))
        return network(read_graph(path), path, bundle.title)
    return network(read_graph(path), path, path.stem)


def read_variants(bundle: Bundle) -> dict[str, Network]:
    """The layers of each of a bundle's variants as its file has them, by precision."""
    files = {v.precision: bundle.model_file(v) for v in bundle.manifest.variants}
    return {
        precision: network(read_graph(path), path, precision) for precision, path in files.items()
    }


def network(proto: onnx.ModelProto, path: Path, name: str) -> Network:
    """The layers of a graph that was read from `path`; raises ModelError where shapes stay open."""
    inputs = _inputs(proto)
    if not inputs:
        raise ModelError(f"{path} takes no input: nothing depends on an image")
    if unnamed := _open_sizes(inputs[0]):
        raise ModelError(
            f"{path}: the input `{inputs[0].name}` leaves its {unnamed} open, and the cost hangs on "
            "them: export it with fixed height and width"
        )
    with_shapes = _infer(path, proto)
    missing = _without_shape(with_shapes)
    if missing:
        try:
            with_shapes = _infer(path, onnxslim.slim(_for_one(proto)))
        except Exception as exc:
            raise ModelError(
                f"{path} cannot be simplified: {str(exc).partition(chr(10))[0]}"
            ) from exc
        missing = _without_shape(with_shapes)
    if missing:
        raise ModelError(
            f"{path}: the shape of `{missing}` cannot be known without running it: "
            "export it with fixed sizes, without control flow"
        )
    dims = [dim.dim_value for dim in _inputs(with_shapes)[0].type.tensor_type.shape.dim]
    layers = fuse(with_shapes.graph)
    if not layers:
        raise ModelError(f"{path} computes nothing of its input: there is no layer to estimate")
    return Network(name=name, taken=(1, *dims[1:]), layers=layers)


def _for_one(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A copy, weights and all, whose batch is one where it was free and that knows of no other."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    del copy.graph.value_info[:]
    for value in copy.graph.output:
        value.type.tensor_type.ClearField("shape")
    _fix_batch(copy)
    return copy


def _fix_batch(proto: onnx.ModelProto) -> None:
    for value in _inputs(proto):
        dims = value.type.tensor_type.shape.dim
        if dims and not dims[0].dim_value:
            dims[0].dim_value = 1


def _infer(path: Path, proto: onnx.ModelProto) -> onnx.ModelProto:
    """The graph for a batch of one where it was free, with every shape that follows from that."""
    bare = onnx.ModelProto(ir_version=proto.ir_version, opset_import=proto.opset_import)
    graph = bare.graph
    graph.name = proto.graph.name or "graph"
    graph.node.extend(proto.graph.node)
    graph.input.extend(proto.graph.input)
    for tensor in proto.graph.initializer:
        # Of weights the shape is enough; their values would be copied several times over.
        kept = tensor
        if tensor.ByteSize() > _LARGEST_SETTING:
            kept = onnx.TensorProto(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type)
        graph.initializer.append(kept)
    _fix_batch(bare)
    for value in proto.graph.output:
        element = value.type.tensor_type.elem_type
        graph.output.append(onnx.helper.make_tensor_value_info(value.name, element, None))
    try:
        return onnx.shape_inference.infer_shapes(bare, data_prop=True, strict_mode=True)
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError) as exc:
        reason = " ".join(str(exc).split())
        raise ModelError(f"{path}: its shapes cannot be inferred: {reason}") from exc


def _inputs(proto: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    constants = {tensor.name for tensor in proto.graph.initializer}
    return [value for value in proto.graph.input if value.name not in constants]


def _open_sizes(value: onnx.ValueInfoProto) -> str:
    """Names of the dimensions behind the batch that have no size, as they are written in the file."""
    dims = value.type.tensor_type.shape.dim
    if len(dims) < 2:
        return "shape"
    return ", ".join(d.dim_param or "size" for d in list(dims)[1:] if d.dim_value < 1)


def _without_shape(proto: onnx.ModelProto) -> str | None:
    """A tensor of which a size is not known; None where all are."""
    known = {
        value.name
        for value in (*proto.graph.value_info, *proto.graph.input, *proto.graph.output)
        if value.type.tensor_type.HasField("shape")
        and all(dim.dim_value > 0 for dim in value.type.tensor_type.shape.dim)
    }
    names = (name for node in proto.graph.node for name in node.output if name)
    return next((str(name) for name in names if name not in known), None)
