from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.errors import UsageError
from optimize.data.dataset import Dataset
from optimize.data.manifest import Sample
from train.evidence.slices import find_blurred, parts, usual


def dataset(*rows: tuple[str, str]) -> Dataset:
    """From (line, captured_at)."""
    return Dataset(
        root=Path(),
        samples=tuple(
            Sample(path=f"{n}.png", label="a", group=str(n), line=line, captured_at=time)
            for n, (line, time) in enumerate(rows)
        ),
    )


DATA = dataset(
    ("L2", "2024-12-30T00:00:00Z"),
    ("L1", "2025-01-05T23:00:00-02:00"),
    ("", "2025-01-05T23:59:59Z"),
    ("L2", "some day"),
)


def test_every_image_is_in_one_part_of_each_slice() -> None:
    found = {
        (part.column, part.value): part.images.tolist()
        for part in parts(DATA, ["line", "week"], None)
    }
    assert found == {
        ("line", "(unknown)"): [2],
        ("line", "L1"): [1],
        ("line", "L2"): [0, 3],
        # ISO weeks in UTC: the year's first begins before it, and an evening may be the next Monday.
        ("week", "(unknown)"): [3],
        ("week", "2025-W01"): [0, 2],
        ("week", "2025-W02"): [1],
    }


def test_the_usual_slices_are_those_that_tell_images_apart() -> None:
    sharp = np.zeros(4, np.bool_)
    assert usual(DATA, sharp) == ("line", "week")
    assert usual(DATA, ~sharp) == ("line", "week")
    assert usual(DATA, np.arange(4) > 2) == ("line", "week", "blurred")
    assert usual(dataset(("L1", ""), ("L1", ""), ("", "")), sharp[:3]) == ()


def test_blurred_frames_are_a_part_of_their_own(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    names = [f"{number:02}.png" for number in range(24)]
    for number, name in enumerate(names):
        image = random.integers(0, 255, (64, 64, 3), dtype=np.uint8)
        smeared = cv2.blur(image, (9, 1)) if number % 8 == 3 else image
        cv2.imwrite(str(tmp_path / name), smeared)
    samples = tuple(Sample(path=name, label="a", group=name) for name in names)
    data = Dataset(root=tmp_path, samples=samples)
    blurred = find_blurred(data)
    found = {part.value: part.images.tolist() for part in parts(data, ["blurred"], blurred)}
    assert found["blurred"] == [3, 11, 19]
    assert len(found["sharp"]) == 21


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("colour", "--slice colour: no such slice; there are line, station, week"),
        ("station", "--slice station: no image has a station; leave it out"),
    ],
)
def test_a_slice_that_there_is_not_is_refused(name: str, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        parts(DATA, [name], None)
