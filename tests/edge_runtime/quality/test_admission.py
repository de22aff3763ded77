"""What is admitted as a picture, and the reasons of what is not."""

from datetime import UTC, datetime

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.contracts.frame import Frame, Pixels, Unreadable
from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.quality.admission import Admitted, Rejected, admit

SPEC = InputSpec(height=64, width=64)
TEXTURE: npt.NDArray[np.uint8] = np.random.default_rng(0).integers(
    90, 140, (64, 64, 3), dtype=np.uint8
)


def frame(image: bytes | Pixels | Unreadable) -> Frame:
    return Frame(
        part_id="P1", captured_at=datetime(2025, 1, 1, tzinfo=UTC), arrived=0.0, image=image
    )


def rejection(image: bytes | Pixels | Unreadable) -> str:
    answer = admit(frame(image), SPEC)
    assert isinstance(answer, Rejected)
    return answer.reason


def test_pixels_at_the_input_size_are_admitted_as_they_are() -> None:
    answer = admit(frame(TEXTURE), SPEC)
    assert isinstance(answer, Admitted)
    assert answer.pixels is TEXTURE


def test_a_file_is_decoded_and_brought_to_the_input_size() -> None:
    data = bytes(cv2.imencode(".png", cv2.resize(TEXTURE, (200, 100)))[1])
    answer = admit(frame(data), SPEC)
    assert isinstance(answer, Admitted)
    assert answer.pixels.shape == (64, 64, 3)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (b"", "undecodable: empty file"),
        (b"hello", "undecodable: not an image (starts with 68 65 6c 6c 6f)"),
        (Unreadable("permission denied"), "unreadable: permission denied"),
        (TEXTURE[:1, :1], "tiny: 1x1 pixels, shorter side below 16"),
        (TEXTURE[:, :15], "tiny: 15x64 pixels, shorter side below 16"),
        (TEXTURE[:0], "tiny: 64x0 pixels, shorter side below 16"),
    ],
)
def test_what_cannot_be_seen_is_rejected_with_its_reason(
    image: bytes | Pixels | Unreadable, reason: str
) -> None:
    assert rejection(image) == reason


def test_a_truncated_jpeg_is_rejected_with_its_reason() -> None:
    data = bytes(cv2.imencode(".jpg", TEXTURE)[1])
    assert rejection(data[: len(data) // 2]) == "undecodable: truncated JPEG"


@pytest.mark.parametrize(
    ("level", "shade"), [(0, "black"), (3, "black"), (255, "white"), (120, "one shade")]
)
def test_a_frame_without_contrast_is_blank(level: int, shade: str) -> None:
    image = np.full((64, 64, 3), level, dtype=np.uint8)
    image[::8, ::8] += 1 if level < 255 else 0
    reason = rejection(image)
    assert reason.startswith(f"blank: all {shade}, mean {level}")


def test_one_plain_colour_is_blank_although_its_channels_differ() -> None:
    image = np.tile(np.array([200, 20, 90], dtype=np.uint8), (64, 64, 1))
    assert rejection(image).startswith("blank: all one shade")


def test_a_dark_frame_with_a_picture_in_it_is_admitted() -> None:
    assert isinstance(admit(frame(TEXTURE // 16), SPEC), Admitted)


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=300))
def test_arbitrary_bytes_get_an_answer(data: bytes) -> None:
    assert rejection(data).startswith("undecodable: ")
