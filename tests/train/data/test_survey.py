"""What is seen of every image, and that nothing is lost on the way."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.image_statistics import measure
from tests.train.data.pictures import seam, write_png
from train.data.manifest import Source
from train.data.stream import open_images
from train.data.survey import survey
from train.errors import DatasetError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(20):
        write_png(tmp_path / f"ok/{number:02}.png", seam(number))
    return tmp_path


def test_every_image_is_measured_in_its_place(folder: Path) -> None:
    dataset = Source(data_dir=folder).read()
    done: list[int] = []
    seen = survey(dataset, workers=2, progress=done.append)
    assert sum(done) == 20
    assert seen.usable.tolist() == list(range(20))
    assert seen.sizes.tolist() == [[64, 64]] * 20
    for index in (0, 17):
        assert seen.measures[index] == pytest.approx(measure(seam(index)).row())
        file = hashlib.sha256(dataset.file(index).read_bytes())
        assert seen.sha256[index].tobytes() == file.digest()


def test_what_cannot_be_used_is_kept_with_its_reason(folder: Path) -> None:
    (folder / "bad").mkdir()
    (folder / "bad/empty.jpg").write_bytes(b"")
    (folder / "bad/words.png").write_bytes(b"not a picture")
    write_png(folder / "bad/tiny.png", seam(0)[:9])
    rows = "".join(f"ok/{n:02}.png,ok,g{n},\n" for n in range(20))
    rows += "".join(f"bad/{name},bad,b,\n" for name in ("empty.jpg", "words.png", "tiny.png"))
    changed = f"ok/03.png,ok,g3,{'0' * 64}"
    text = f"path,label,group,sha256\n{rows}".replace("ok/03.png,ok,g3,", changed)
    (folder / "manifest.csv").write_text(text)
    seen = survey(Source(data_dir=folder).read(), workers=1)
    assert seen.reasons == {
        3: "its sha256 differs from the manifest's",
        20: "empty file",
        21: "not an image (starts with 6e 6f 74 20 61 20 70 69)",
        22: "tiny: 64x9 pixels, shorter side below 16",
    }
    assert len(seen.usable) == 19
    assert not seen.thumbnails[[3, 20, 21, 22]].any()


def test_the_content_is_that_of_a_run_taught_with_the_same_images(folder_of_images: Path) -> None:
    dataset = Source(data_dir=folder_of_images).read()
    seen = survey(dataset, workers=2)
    images = open_images(dataset, InputSpec(height=32, width=32), workers=1, memory_limit=0)
    assert seen.content == images.sha256
    assert survey(dataset.without([0]), workers=1).content != images.sha256


def test_the_number_of_threads_changes_nothing(folder: Path) -> None:
    dataset = Source(data_dir=folder).read()
    one, four = (survey(dataset, workers=workers) for workers in (1, 4))
    assert np.array_equal(one.measures, four.measures)
    assert np.array_equal(one.thumbnails, four.thumbnails)
    assert one.content == four.content


def test_a_data_set_without_one_usable_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x/1.jpg").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"none of the 1 images .* first x/1\.jpg: empty file"):
        survey(Source(data_dir=tmp_path).read(), workers=1)
