"""How often a frame is copied between camera and engine: docs/performance.md says why each copy is.

Counted by the memory that a stage asks for at most beyond what it found, in frames at the model's size.
numpy reports its arrays to tracemalloc, and so OpenCV's results too, which are numpy arrays.
"""

import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pytest

from edge_runtime import inspection
from edge_runtime.contracts.frame import Frame, Pixels
from edge_runtime.contracts.manifest import DecisionRule, InputSpec, ModelSpec, Thresholds
from edge_runtime.engines.null import NullEngine
from edge_runtime.inspection import GatedFrame, Inspector, gate
from edge_runtime.quality.admission import Admitted, admit
from tests.tiny_bundle import png

SIDE = 512
SPEC = ModelSpec(
    labels=("no_defect", "crack"),
    input=InputSpec(height=SIDE, width=SIDE),
    decision=DecisionRule(
        ok_labels=("no_defect",), thresholds=Thresholds(review_from=0.3, defect_from=0.7)
    ),
    provenance={},
)
FRAME_BYTES = SIDE * SIDE * 3
SMALL = 0.1
"""Of a frame: everything that is no frame."""


def copies(act: Callable[[], object]) -> float:
    """The most that an act holds beyond what was there, in frames."""
    act()  # what is made once is not counted
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        kept = act()
        _, peak = tracemalloc.get_traced_memory()
        del kept
    finally:
        tracemalloc.stop()
    return (peak - before) / FRAME_BYTES


def frame(image: bytes | Pixels) -> Frame:
    return Frame(
        part_id="P-1", captured_at=datetime.now(UTC), arrived=time.monotonic(), image=image
    )


@pytest.fixture
def pixels() -> npt.NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 255, (SIDE, SIDE, 3), np.uint8)


def gated(pixels: Pixels) -> GatedFrame:
    return gate(frame(pixels), SPEC.input)


def test_a_frame_of_the_models_size_passes_the_gate_without_a_copy(pixels: Pixels) -> None:
    assert copies(lambda: gated(pixels)) < SMALL
    assert gated(pixels).pixels is pixels


def test_a_larger_frame_is_copied_once_by_being_shrunk(pixels: Pixels) -> None:
    large = np.repeat(np.repeat(pixels, 2, axis=0), 2, axis=1)
    assert copies(lambda: gated(large)) == pytest.approx(1, abs=SMALL)


def test_an_encoded_frame_is_decoded_once(pixels: Pixels) -> None:
    file = png(pixels)
    assert copies(lambda: gate(frame(file), SPEC.input)) == pytest.approx(1, abs=SMALL)


@pytest.mark.parametrize("size", [1, 8])
def test_a_batch_is_one_copy_of_each_of_its_frames_into_memory_that_is_kept(
    pixels: Pixels, size: int
) -> None:
    batch = [gated(pixels)] * size
    judged_anew = copies(lambda: Inspector(NullEngine(SPEC), SPEC).judge(batch))
    assert judged_anew == pytest.approx(size, abs=SMALL)
    inspector = Inspector(NullEngine(SPEC), SPEC)
    assert copies(lambda: inspector.judge(batch)) < SMALL


def test_observers_are_given_the_very_pixels_that_the_model_saw(pixels: Pixels) -> None:
    (judgement,) = Inspector(NullEngine(SPEC), SPEC).judge([gated(pixels)])
    assert judgement.pixels is pixels


def test_control_a_gate_that_copies_is_caught(
    pixels: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careful(found: Frame, spec: InputSpec) -> Admitted:
        answer = admit(found, spec)
        assert isinstance(answer, Admitted)
        return Admitted(answer.pixels.copy())

    monkeypatch.setattr(inspection, "admit", careful)
    assert copies(lambda: gated(pixels)) == pytest.approx(1, abs=SMALL)
