import tarfile
from pathlib import Path

import pytest

from edge_runtime.errors import UsageError
from optimize.data.manifest import Columns, Condition
from train.data.manifest import (
    Source,
    read_class_folders,
    read_dataset,
    read_manifest,
)
from train.errors import DatasetError

COLUMNS = Columns(path="file", label="kind", group="serial")


def write(folder: Path, text: str, *files: str) -> Path:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    manifest = folder / "manifest.csv"
    manifest.write_text(text)
    return manifest


def test_a_manifest_is_read_by_the_columns_and_conditions_given(folder_of_images: Path) -> None:
    source = Source(
        data_dir=folder_of_images,
        manifest="rows.csv",
        columns=COLUMNS,
        where=(Condition.parse("line=L0"), Condition.parse("kind!=crack")),
    )
    dataset = source.read()
    assert dataset.counts == {"no_defect": 5, "stain": 6}
    assert dataset.samples[0].path == "no_defect/0.png"
    assert dataset.samples[0].group == "n0"
    assert dataset.file(0) == folder_of_images / "no_defect/0.png"


def test_class_folders_serve_without_a_manifest(folder_of_images: Path) -> None:
    dataset = read_class_folders(folder_of_images)
    assert dataset.labels == ("crack", "no_defect", "stain")
    assert dataset.counts["stain"] == 11
    assert all(sample.group == sample.path for sample in dataset.samples)


def test_manifest_csv_is_preferred_to_class_folders(tmp_path: Path) -> None:
    write(tmp_path, "path,label,group\na/1.png,x,g\n", "a/1.png")
    assert read_dataset(tmp_path, None, Columns(), ()).labels == ("x",)


def test_a_group_may_be_the_path_itself(tmp_path: Path) -> None:
    manifest = write(tmp_path, "path,label\na.png,x\n", "a.png")
    assert read_manifest(manifest, Columns(group="path")).samples[0].group == "a.png"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("path,label\na.png,x\n", "no column 'group', it has path, label: .* --group-column"),
        ("path,label,group\nb.png,x,g\n", "names 1 of 1 files that do not exist, first b.png"),
        ("path,label,group\na.png,,g\n", "row 2: path, label and group must not be empty"),
        ("path,label,group\na.png,x,g\na.png,y,g\n", "rows 2 and 3 both name a.png"),
        ("path,label,group\n", "has no rows"),
        ("", "no column 'path', it has none"),
    ],
)
def test_a_faulty_manifest_is_named_in_one_line(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(DatasetError, match=expected) as caught:
        read_manifest(write(tmp_path, text, "a.png"), Columns())
    assert "\n" not in str(caught.value)


def test_a_manifest_that_is_no_text_is_refused(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    manifest.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match="not a CSV file in UTF-8"):
        read_manifest(manifest, Columns())


def test_an_unknown_column_in_a_condition_is_refused(tmp_path: Path) -> None:
    manifest = write(tmp_path, "path,label,group\na.png,x,g\n", "a.png")
    with pytest.raises(DatasetError, match=r"no column 'station'.*--where"):
        read_manifest(manifest, Columns(), (Condition.parse("station=S1"),))


def test_conditions_that_leave_nothing_are_quoted(tmp_path: Path) -> None:
    manifest = write(tmp_path, "path,label,group\na.png,x,g\n", "a.png")
    with pytest.raises(DatasetError, match=r"no rows where label=y and group!=g \(of 1\)"):
        read_manifest(manifest, Columns(), tuple(map(Condition.parse, ("label=y", "group!=g"))))


@pytest.mark.parametrize("text", ["", "label", "=x", "!=x"])
def test_a_malformed_condition_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected COLUMN=VALUE or COLUMN!=VALUE"):
        Condition.parse(text)


def test_an_empty_class_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "crack").mkdir()
    with pytest.raises(DatasetError, match="crack is empty"):
        read_class_folders(tmp_path)


def test_a_folder_without_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"neither a manifest\.csv nor class folders"):
        read_dataset(tmp_path, None, Columns(), ())


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="--data-dir"):
        read_dataset(tmp_path / "none", None, Columns(), ())


def test_column_flags_without_a_manifest_are_refused(folder_of_images: Path) -> None:
    with pytest.raises(UsageError, match="nothing to work on"):
        read_dataset(folder_of_images, None, COLUMNS, ())


def test_images_beside_the_class_folders_are_left_out_and_counted(tmp_path: Path) -> None:
    write(tmp_path, "", "x/1.png", "y/1.png", "overview.png", "notes.txt").unlink()
    dataset = read_class_folders(tmp_path)
    assert dataset.counts == {"x": 1, "y": 1}
    assert dataset.unlabelled == ("overview.png",)


def test_images_without_any_class_folder_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "", "1.png", "2.png").unlink()
    with pytest.raises(DatasetError, match="has 2 images, none in a class folder"):
        read_class_folders(tmp_path)


def test_a_shard_that_lacks_a_named_key_is_a_missing_file(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "0.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("1.jpg"))
    manifest = write(tmp_path, "shard,key,label,group\n0.tar,1.jpg,x,g\n0.tar,2.jpg,x,g\n")
    with pytest.raises(DatasetError, match=r"names 1 of 2 files .* first 0\.tar/2\.jpg"):
        read_manifest(manifest, Columns())
