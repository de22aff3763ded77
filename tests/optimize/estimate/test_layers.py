"""The record of a layer and its form on disk."""

import pytest

from optimize.estimate.layers import Kind, Layer, Precision, from_json, to_json

LAYER = Layer(
    name="conv",
    kind=Kind.CONV,
    operators=("Conv", "Relu"),
    precision=Precision.FLOAT32,
    taken=(1, 3, 8, 8),
    given=(1, 4, 8, 8),
    macs=6912,
    weights=112,
    reads=192,
    writes=256,
)


@pytest.mark.parametrize(
    ("precision", "width"), [(Precision.INT8, 1), (Precision.FP16, 2), (Precision.FLOAT32, 4)]
)
def test_bytes_follow_the_precision_and_weights_do_not_grow_with_the_batch(
    precision: Precision, width: int
) -> None:
    assert LAYER.weight_bytes(precision) == 112 * width
    assert LAYER.activation_bytes(8, precision) == 8 * 448 * width


def test_a_table_is_read_as_it_was_written() -> None:
    assert from_json(to_json([LAYER, LAYER])) == (LAYER, LAYER)


def test_a_table_with_other_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="a layer table has the columns name, kind"):
        from_json('[["name","cost"],["conv",1]]')
