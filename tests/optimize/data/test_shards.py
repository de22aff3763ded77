"""Tar shards: what is read from them where it lies, and what of them is refused."""

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.contracts.manifest import InputSpec
from optimize.data.dataset import Dataset, has_image, open_dataset, read_encoded
from optimize.data.images import Image, read_images
from optimize.data.manifest import Sample
from optimize.data.shards import read_shard
from optimize.errors import DatasetError
from tests.optimize.tiny_network import SIZE, make_image, png

Members = Sequence[tuple[str, bytes]]


def write_shard(file: Path, members: Members) -> Path:
    with tarfile.open(file, "w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file


def image(seed: int) -> bytes:
    return png(make_image("red", seed))


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    note = {"label": "blue", "group": "M7", "line": "L07", "captured_at": None}
    members = [("0.png", image(0)), ("0.cls", b"red\n"), ("1.json", json.dumps(note).encode())]
    return write_shard(tmp_path / "a.tar", [*members, ("1.png", image(1)), ("2.png", image(2))])


def test_labels_come_from_cls_or_json_beside_the_image(shard: Path) -> None:
    assert list(read_shard(shard)) == [
        Sample(path="a.tar/0.png", label="red", group="a.tar/0.png"),
        Sample(path="a.tar/1.png", label="blue", group="M7", line="L07"),
        Sample(path="a.tar/2.png", label="", group="a.tar/2.png"),
    ]


def test_images_are_read_from_the_shard_as_from_files(shard: Path) -> None:
    (shard.parent / "b").mkdir()
    (shard.parent / "b" / "2.png").write_bytes(image(2))
    dataset = open_dataset(shard.parent)
    assert [dataset.read(index) for index in range(3)] == [image(seed) for seed in range(3)]
    from_file = Dataset(root=shard.parent, samples=(Sample(path="b/2.png", label="", group="g"),))
    size = InputSpec(height=SIZE, width=SIZE)
    ours, theirs = list(read_images(dataset, size))[2], *read_images(from_file, size)
    assert isinstance(ours, Image)
    assert isinstance(theirs, Image)
    np.testing.assert_array_equal(ours.pixels, theirs.pixels)


def test_a_member_that_is_not_there_is_a_missing_file(shard: Path) -> None:
    assert has_image(shard.parent, "a.tar/0.png")
    assert not has_image(shard.parent, "a.tar/9.png")
    assert not has_image(shard.parent, "z.tar/0.png")
    for path in ("a.tar/9.png", "z.tar/0.png"):
        with pytest.raises(FileNotFoundError):
            read_encoded(shard.parent, path)


def test_a_folder_that_is_called_like_a_shard_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "red.tar").mkdir()
    (tmp_path / "red.tar" / "0.png").write_bytes(image(0))
    assert read_encoded(tmp_path, "red.tar/0.png") == image(0)


def test_a_shard_that_was_written_anew_is_listed_anew(shard: Path) -> None:
    assert read_encoded(shard.parent, "a.tar/0.png") == image(0)
    write_shard(shard, [("1.png", image(5)), ("0.png", image(6))])
    assert read_encoded(shard.parent, "a.tar/0.png") == image(6)


def test_a_shard_cut_anywhere_is_refused(shard: Path) -> None:
    whole = shard.read_bytes()
    used = len(whole.rstrip(b"\0")) + 512
    for size in range(0, used, 256):  # boundaries between members and places within them
        shard.write_bytes(whole[:size])
        with pytest.raises(DatasetError, match="is damaged") as caught:
            list(read_shard(shard))
        assert "\n" not in str(caught.value)


def test_a_header_that_is_damaged_does_not_end_the_shard_in_silence(shard: Path) -> None:
    data = bytearray(shard.read_bytes())
    second = data.index(b"0.cls")
    data[second : second + 3] = b"\xff\xff\xff"  # its checksum no longer fits
    shard.write_bytes(data)
    with pytest.raises(DatasetError, match=rf"breaks off at byte {second} of .* fetch it anew"):
        list(read_shard(shard))


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ([("/etc/0.png", b"")], "member '/etc/0.png': names must be relative"),
        ([("../0.png", b"")], "member '../0.png': names must be relative"),
        ([("0.cls", b"red")], "has 0 images for the key '0'"),
        ([("0.png", b""), ("0.jpg", b"")], "has 2 images for the key '0'"),
        ([("0.png", b""), ("0.json", b"{")], r"0\.json is not JSON"),
        ([("0.png", b""), ("0.json", b"[]")], "must hold a JSON object"),
        ([("0.png", b""), ("0.cls", b"\xff")], "is not text in UTF-8"),
    ],
)
def test_a_shard_that_holds_what_is_no_sample_is_refused_in_one_line(
    tmp_path: Path, members: Members, says: str
) -> None:
    with pytest.raises(DatasetError, match=says) as caught:
        list(read_shard(write_shard(tmp_path / "a.tar", members)))
    assert "\n" not in str(caught.value)


def test_links_and_double_names_are_refused(tmp_path: Path) -> None:
    link = tarfile.TarInfo("0.png")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(link)
    with pytest.raises(DatasetError, match=r"'0\.png' that is no plain file"):
        list(read_shard(tmp_path / "a.tar"))
    write_shard(tmp_path / "b.tar", [("0.png", b"1"), ("1.png", b""), ("0.png", b"2")])
    with pytest.raises(DatasetError, match="two members of one name"):
        read_encoded(tmp_path, "b.tar/0.png")


def test_training_needs_a_label_for_each_key(shard: Path) -> None:
    with pytest.raises(DatasetError, match=r"no label for the key '2': add 2\.cls"):
        list(read_shard(shard, complete=True))


def test_an_empty_shard_holds_no_images(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", [])
    with pytest.raises(DatasetError, match="holds no images"):
        open_dataset(tmp_path)
