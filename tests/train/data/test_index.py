"""`train index`: the same images, whatever layout they come in, and what is said of doubtful ones."""

import io
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from pyarrow import parquet

from edge_runtime.contracts.manifest import InputSpec
from optimize.data.dataset import read_rows
from train.cli.main import main
from train.data.index import write_index
from train.data.manifest import Source
from train.data.stream import open_images

MB = 1 << 20


def tree(root: Path, *files: str) -> Path:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def csv_of(root: Path, rows: int) -> Path:
    file = root / f"{rows}.csv"
    with file.open("w") as stream:
        stream.write("path,label,group,line\n")
        stream.writelines(f"crops/{n:09}.jpg,c{n % 6},M{n // 8:08},L07\n" for n in range(rows))
    return file


def shards_of(folder: Path, out: Path) -> Path:
    """The class folders as two shards, their labels beside the images."""
    out.mkdir()
    files = sorted(folder.glob("*/*.png"))
    for number in range(2):
        with tarfile.open(out / f"{number}.tar", "w") as archive:
            for file in files[number::2]:
                key = f"{file.parent.name}-{file.stem}"
                for name, data in (
                    (f"{key}.png", file.read_bytes()),
                    (f"{key}.cls", file.parent.name.encode()),
                ):
                    info = tarfile.TarInfo(name)
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
    return out


@pytest.mark.parametrize("name", ["manifest.csv", "manifest.parquet"])
def test_class_folders_become_a_manifest_that_reads_like_them(
    folder_of_images: Path, name: str
) -> None:
    before = Source(data_dir=folder_of_images).read()
    write_index(folder_of_images, folder_of_images / name)
    try:
        assert Source(data_dir=folder_of_images).read() == before
        write_index(folder_of_images, folder_of_images / name)  # an earlier index is renewed
        assert Source(data_dir=folder_of_images).read() == before
    finally:
        (folder_of_images / name).unlink()


def test_a_manifest_above_the_images_leads_down_to_them(tmp_path: Path) -> None:
    tree(tmp_path, "crops/x/1.png", "crops/y/1.png")
    write_index(tmp_path / "crops", tmp_path / "data.parquet")
    dataset = Source(data_dir=tmp_path, manifest="data.parquet").read()
    assert [(s.path, s.label, s.group) for s in dataset.samples] == [
        ("crops/x/1.png", "x", "crops/x/1.png"),
        ("crops/y/1.png", "y", "crops/y/1.png"),
    ]


def test_shards_are_indexed_and_opened_like_the_files_in_them(
    folder_of_images: Path, tmp_path: Path
) -> None:
    shards = shards_of(folder_of_images, tmp_path / "shards")
    write_index(shards, tmp_path / "manifest.parquet")
    assert parquet.read_schema(tmp_path / "manifest.parquet").names[:4] == [
        "shard", "key", "label", "group",
    ]  # fmt: skip
    size = InputSpec(height=32, width=32)
    seen = []
    for folder in (folder_of_images, shards, tmp_path):
        images = open_images(
            Source(data_dir=folder).read(), size, workers=2, memory_limit=5 * 32 * 32 * 3
        )
        assert len(images.quarantined) == 1
        labelled = ((s.label, images[i].tobytes()) for i, s in enumerate(images.dataset.samples))
        seen.append(sorted(labelled))
    assert seen[0] == seen[1] == seen[2]


def test_what_training_cannot_use_is_said_and_not_fatal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [f"{name}.png" for name in "abcdefg"]
    tree(tmp_path, *files)
    rows = ("x,M1", "x,M1", "y,M2", "z,M3", "z,M4", ",M5", "z,")
    (tmp_path / "rows.csv").write_text(
        "path,label,group,shift\n"
        + "".join(f"{f},{r},1\n" for f, r in zip(files, rows, strict=True))
    )
    assert main(["index", str(tmp_path / "rows.csv"), "--out", str(tmp_path / "d.csv")]) == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'd.csv'}: 7 images ((no label)=1 x=2 y=1 z=3)\n"
    assert "class 'x' has all its 2 images in one group (M1)" in err
    assert "class 'y' has one image" in err
    assert "'z'" not in err
    assert "1 images have no label" in err
    assert "1 images have no group" in err
    assert "columns left out: shift" in err


def test_an_empty_class_folder_is_said_and_not_fatal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree(tmp_path, "x/1.png", "x/2.png").joinpath("y").mkdir()
    assert main(["index", str(tmp_path), "--out", str(tmp_path / "manifest.csv")]) == 0
    assert f"class folder {tmp_path / 'y'} is empty" in capsys.readouterr().err


BAD = [
    (
        "path,label\na.png,x\nb.png,x\n",
        "d.csv",
        20,
        "names 1 of 2 files that do not exist, first b",
    ),
    ("path,label\na.png,x\n./a.png,x\n", "d.csv", 20, "rows 2 and 3 both name a.png"),
    ("path,label\na.png,x\n", "d.txt", 2, "expected a name that ends in .parquet or .csv"),
    ("path,label\na.png,x\n", "rows.csv", 2, "is what is to be indexed"),
    ("path,label\na.png,x\n", "below/d.csv", 2, "lead downwards; put it into"),
    ("path,label\n", "d.parquet", 20, "holds no images"),
]


@pytest.mark.parametrize(("text", "out", "code", "says"), BAD)
def test_nothing_is_written_where_a_row_is_bad(
    tmp_path: Path, text: str, out: str, code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tree(tmp_path, "a.png", "below/z").joinpath("rows.csv").write_text(text)
    before = sorted(tmp_path.rglob("*"))
    assert main(["index", str(tmp_path / "rows.csv"), "--out", str(tmp_path / out)]) == code
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "rows.csv").read_text() == text


def test_images_need_not_be_there_where_nobody_is_to_look(tmp_path: Path) -> None:
    rows = csv_of(tmp_path, 12)
    assert main(["index", str(rows), "--out", str(tmp_path / "d.parquet"), "--no-look"]) == 0
    assert parquet.read_table(tmp_path / "d.parquet").num_rows == 12


def peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_three_times_the_rows_take_no_more_memory(tmp_path: Path) -> None:
    few, many = csv_of(tmp_path, 15_000), csv_of(tmp_path, 45_000)
    out = tmp_path / "d.csv"
    streamed = [peak(lambda f=file: write_index(f, out, look=False)) for file in (few, many)]
    control = [peak(lambda f=file: list(read_rows(f))) for file in (few, many)]
    # 8 bytes a row, sorted in a copy: 30,000 rows more may cost 1 MB.
    assert streamed[1] - streamed[0] < MB
    assert control[1] - control[0] > 5 * MB
