"""One batch through the inspector: every frame gets its own answer, whatever its neighbours are."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.bundle import Bundle, open_bundle
from edge_runtime.contracts.frame import Frame
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.engines.base import Inference, InferenceEngine
from edge_runtime.engines.catalogue import open_engine
from edge_runtime.errors import EngineError
from edge_runtime.inspection import GatedFrame, Inspector, gate
from tests.tiny_bundle import BLUE, GREEN, RED, colour, model_spec, png


@pytest.fixture
def bundle(make_bundle: Callable[..., Path]) -> Bundle:
    return open_bundle(make_bundle())


@pytest.fixture
def engine(bundle: Bundle) -> Iterator[InferenceEngine]:
    file = bundle.model_file(bundle.variant(None))
    with closing(open_engine("onnxruntime", file, bundle.manifest.model, 1)) as engine:
        yield engine


def batch() -> list[GatedFrame]:
    """A good part, one that cannot be seen, a red one and a blue one."""
    images = [png(colour(*GREEN)), b"no image", png(colour(*RED)), png(colour(*BLUE))]
    return [
        gate(
            Frame(part_id=str(i), captured_at=datetime.now(UTC), arrived=0.0, image=image),
            model_spec().input,
        )
        for i, image in enumerate(images)
    ]


def test_every_frame_has_the_features_of_its_own_pixels_and_an_unseen_one_has_none(
    engine: InferenceEngine,
) -> None:
    judged = Inspector(engine, model_spec()).judge(batch())
    assert [item.decision.label for item in judged] == ["no_defect", None, "red", "blue"]
    assert judged[1].features is None
    for item in judged:
        if item.pixels is not None:
            assert item.features is not None
            colours = (item.pixels.astype(np.float32).mean(axis=(0, 1)) - 128) / 127.5
            np.testing.assert_allclose(item.features, colours, atol=1e-5)


def test_batches_of_any_size_after_another_keep_their_own_answers(engine: InferenceEngine) -> None:
    inspector, good_red_blue = Inspector(engine, model_spec()), batch()
    kept = []
    for places in ([2], [3, 0, 2], [0], [2, 3], [3, 3, 3, 0]):
        judged = inspector.judge([good_red_blue[place] for place in places])
        expected = [("no_defect", None, "red", "blue")[place] for place in places]
        assert [item.decision.label for item in judged] == expected
        kept.append(
            (judged, [item.features.copy() for item in judged if item.features is not None])
        )
    for judged, then in kept:
        for item, before in zip(judged, then, strict=True):
            assert item.features is not None
            np.testing.assert_array_equal(item.features, before)


def test_a_batch_that_the_engine_fails_on_is_answered_without_features(
    engine: InferenceEngine,
) -> None:
    class Failing:
        name = "failing"

        def infer(self, _batch: np.ndarray) -> Inference:
            raise EngineError("the device fell off the bus")

        def close(self) -> None: ...

    inspector = Inspector(Failing(), model_spec())
    judged = inspector.judge(batch())
    assert inspector.problem == "the device fell off the bus"
    assert {item.decision.outcome for item in judged} == {Outcome.NOT_INSPECTED}
    assert all(item.features is None for item in judged)
