"""Which files an estimate can be made from."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto

from edge_runtime.errors import BundleError
from optimize.errors import ModelError
from optimize.estimate.network import network, read_network
from tests.optimize.estimate.graphs import conv, make_proto

WEIGHTS = {"w": (8, 8, 1, 1)}


def test_a_file_need_not_be_one_of_ours(tmp_path: Path) -> None:
    onnx.save(make_proto([conv("x", "w", "y")], WEIGHTS), tmp_path / "theirs.onnx")
    found = read_network(str(tmp_path / "theirs.onnx"))
    assert (found.name, found.taken, found.macs) == ("theirs", (1, 8, 16, 16), 64 * 256)


def test_of_a_bundle_the_float32_variant_is_taken(make_bundle: Callable[..., Path]) -> None:
    folder = make_bundle()
    assert read_network(str(folder)).name == "tiny/1.0.0"
    assert read_network(str(folder)).layers == read_network(str(folder / "float32.onnx")).layers


def test_an_exporters_arithmetic_on_shapes_is_no_layer() -> None:
    nodes = [
        conv("x", "w", "a"),
        ("Shape", ("x",), "shape", {}),
        ("Relu", ("a",), "b", {}),
        ("Reshape", ("b", "shape"), "y", {}),
    ]
    found = network(make_proto(nodes, WEIGHTS), Path("raw.onnx"), "raw")
    assert [layer.operators for layer in found.layers] == [("Conv", "Relu")]


def test_what_only_simplifying_can_know_is_simplified() -> None:
    nodes = [
        ("Shape", ("x",), "s", {"end": 1}),
        ("ConstantOfShape", ("s",), "zeros", {}),
        conv("x", "w", "a"),
        ("NonZero", ("zeros",), "none", {}),
        ("Relu", ("a",), "y", {}),
    ]
    found = network(make_proto(nodes, WEIGHTS), Path("raw.onnx"), "raw")
    assert [layer.operators for layer in found.layers] == [("Conv", "Relu")]


@pytest.mark.parametrize(
    ("taken", "says"),
    [
        (("n", 8, "height", "width"), "leaves its height, width open"),
        (("n", 8, "height", 16), "export it with fixed height and width"),
    ],
)
def test_an_open_image_size_is_refused(taken: tuple[int | str, ...], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        network(make_proto([conv("x", "w", "y")], WEIGHTS, taken), Path("m.onnx"), "m")


def test_shapes_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ModelError, match=r"m\.onnx: its shapes cannot be inferred"):
        network(make_proto([("Add", ("x", "w"), "y", {})], {"w": (5, 16)}), Path("m.onnx"), "m")


def test_a_shape_that_hangs_on_values_is_refused() -> None:
    nodes = [("NonZero", ("x",), "where", {}), ("Cast", ("where",), "y", {"to": TensorProto.FLOAT})]
    with pytest.raises(ModelError, match="the shape of `where` cannot be known without running it"):
        network(make_proto(nodes, {}), Path("m.onnx"), "m")


def test_a_model_that_only_renames_its_input_is_refused() -> None:
    with pytest.raises(ModelError, match="there is no layer to estimate"):
        network(make_proto([("Identity", ("x",), "y", {})], {}), Path("m.onnx"), "m")


def test_a_model_without_input_is_refused() -> None:
    proto = make_proto([("Relu", ("w",), "y", {})], WEIGHTS)
    del proto.graph.input[:]
    with pytest.raises(ModelError, match="takes no input"):
        network(proto, Path("m.onnx"), "m")


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "no model at"), (b"", "holds no graph"), (b"\x00\x01", "not an ONNX")],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=says):
        read_network(str(path))


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"holds no manifest\.json"):
        read_network(str(tmp_path))
