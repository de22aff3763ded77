"""The shared memory: what goes in comes out, and what is damaged is seen."""

import mmap
import os
import re
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_runtime.capture.ring import SLOTS, Kind, Record, Ring, RingDamaged
from edge_runtime.contracts.frame import Unreadable

_SLOT_0 = mmap.PAGESIZE


@pytest.fixture
def sides() -> Iterator[tuple[Ring, Ring, mmap.mmap]]:
    """The writing side, the reading side, and the bare memory."""
    writer, descriptor = Ring.make()
    reader = Ring.attach(descriptor)
    bare = mmap.mmap(descriptor, os.fstat(descriptor).st_size)
    os.close(descriptor)
    yield writer, reader, bare
    for side in (writer, reader, bare):
        side.close()


def record(image: object, kind: Kind, text: str = "part-7") -> Record:
    return Record(
        kind=kind,
        text=text,
        image=image,  # type: ignore[arg-type]
        captured_at=datetime(2026, 2, 3, 4, 5, 6, 789, UTC),
        arrived=12.5,
        posted=12.75,
    )


PIXELS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def test_records_come_out_as_they_went_in_around_and_around(
    sides: tuple[Ring, Ring, mmap.mmap],
) -> None:
    writer, reader, _ = sides
    sent = [
        record(b"encoded", Kind.ENCODED),
        record(b"", Kind.ENCODED),
        record(Unreadable("permission denied"), Kind.UNREADABLE),
        record(b"", Kind.FAILED, text="unplugged: \u00e4\udcff"),
    ]
    for each in sent * 3:
        writer.post(each)
        got = reader.take()
        assert (got.kind, got.image, got.captured_at) == (each.kind, each.image, each.captured_at)
        assert (got.arrived, got.posted) == (12.5, 12.75)
        assert got.text.encode() == each.text.encode("utf-8", "backslashreplace")


@pytest.mark.parametrize(
    "pixels", [PIXELS, PIXELS[:, ::-1], PIXELS[::2], np.zeros((0, 5, 3), dtype=np.uint8)]
)
def test_pixels_are_copied_whatever_their_layout(
    pixels: np.ndarray, sides: tuple[Ring, Ring, mmap.mmap]
) -> None:
    writer, reader, bare = sides
    writer.post(record(pixels, Kind.PIXELS))
    image = reader.take().image
    bare[_SLOT_0:] = (
        b"\xff" * 0 + bare[_SLOT_0:]
    )  # the reader's own copy hangs on no memory of ours
    assert isinstance(image, np.ndarray)
    np.testing.assert_array_equal(image, pixels)


@given(place=st.integers(0, 69), value=st.integers(0, 255))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
def test_a_changed_byte_in_a_header_is_seen(place: int, value: int) -> None:
    writer, descriptor = Ring.make()
    reader = Ring.attach(descriptor)
    bare = mmap.mmap(descriptor, os.fstat(descriptor).st_size)
    os.close(descriptor)
    try:
        writer.post(record(PIXELS, Kind.PIXELS))
        before = bare[_SLOT_0 + place]
        bare[_SLOT_0 + place] = value
        if value == before:
            assert reader.take().text == "part-7"
        else:
            with pytest.raises(RingDamaged):
                reader.take()
    finally:
        for side in (writer, reader, bare):
            side.close()


def test_an_older_record_in_the_slot_is_not_taken_again(
    sides: tuple[Ring, Ring, mmap.mmap],
) -> None:
    writer, reader, _ = sides
    for _ in range(SLOTS):
        writer.post(record(b"x", Kind.ENCODED))
        reader.take()
    with pytest.raises(RingDamaged, match="holds no record"):
        reader.take()


def test_the_heartbeat_and_the_losses_cross_over(sides: tuple[Ring, Ring, mmap.mmap]) -> None:
    writer, reader, bare = sides
    writer.beat, writer.lost = 1234.5, 7
    assert (reader.beat, reader.lost) == (1234.5, 7)
    assert struct.unpack_from("dQ", bare) == (1234.5, 7)


def test_memory_is_taken_only_where_frames_have_been(
    sides: tuple[Ring, Ring, mmap.mmap],
) -> None:
    writer, reader, bare = sides
    assert len(bare) > 400_000_000
    for _ in range(2 * SLOTS):
        writer.post(record(np.ones((100, 100, 3), dtype=np.uint8), Kind.PIXELS))
        reader.take()
    status = Path("/proc/self/status").read_text()
    (shared_kb,) = re.findall(r"RssShmem:\s+(\d+) kB", status)
    assert int(shared_kb) < 4_000
