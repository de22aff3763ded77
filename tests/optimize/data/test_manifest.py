"""Tables in CSV and Parquet: what is read from them, and what of them is refused."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from optimize.data.dataset import open_dataset, read_encoded
from optimize.data.manifest import Columns, Condition, Sample, read_table
from optimize.errors import DatasetError

ROWS = "path,label,group,line,generation\na.png,x,M1,L07,gen3\nb/c.png,y,M2,L08,gen2\n"


def csv_file(folder: Path, text: str | bytes) -> Path:
    file = folder / "rows.csv"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def parquet_file(folder: Path, **columns: list[object]) -> Path:
    file = folder / "rows.parquet"
    parquet.write_table(pa.table(columns), file)
    return file


def test_both_forms_of_a_table_give_the_same_samples(tmp_path: Path) -> None:
    head, *rows = (line.split(",") for line in ROWS.splitlines())
    columns = {name: [row[place] for row in rows] for place, name in enumerate(head)}
    from_csv = list(read_table(csv_file(tmp_path, ROWS)))
    assert from_csv == list(read_table(parquet_file(tmp_path, **columns)))
    assert from_csv[1] == Sample(
        path="b/c.png", label="y", group="M2", line="L08", generation="gen2"
    )


def test_parquet_cells_that_are_no_text_are_taken_as_text(tmp_path: Path) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    file = parquet_file(tmp_path, path=["a.png"], label=[3], group=[None], captured_at=[at])
    (sample,) = read_table(file)
    assert (sample.label, sample.group) == ("3", "a.png")
    assert sample.captured_at == "2026-01-02T03:04:05+00:00"


def test_conditions_choose_among_the_rows_of_either_form(tmp_path: Path) -> None:
    file = parquet_file(tmp_path, path=["a.png", "b.png"], label=["x", "y"], group=["1", "2"])
    for table in (file, csv_file(tmp_path, ROWS)):
        (sample,) = read_table(table, where=[Condition.parse("label!=x")])
        assert sample.label == "y"


def test_shard_and_key_stand_in_for_the_path(tmp_path: Path) -> None:
    (sample,) = read_table(csv_file(tmp_path, "shard,key,label\ns/0.tar,7.jpg,x\n"))
    assert sample.path == "s/0.tar/7.jpg"


def test_a_path_is_known_in_whatever_way_it_is_written(tmp_path: Path) -> None:
    (sample,) = read_table(csv_file(tmp_path, "path,label\n./b//c.png,x\n"))
    assert sample.path == sample.group == "b/c.png"
    with pytest.raises(DatasetError, match=r"rows 2 and 4 both name b/c\.png: delete one"):
        list(read_table(csv_file(tmp_path, "path,label\nb/c.png,x\na.png,x\n./b/c.png,x\n")))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("path,label\nb\\c.png,x\n", r"row 2: path 'b\\\\c.png' has backslashes"),
        ("path,label\nC:\\c.png,x\n", "has backslashes: write paths with forward slashes"),
        ("path,label\na.png,x\n/b.png,x\n", "row 3: path '/b.png' must name a file within"),
        ("path,label\n.,x\n", "row 2: path '.' must name a file within"),
        ("path,label\n\n", r"holds no images: it has no rows \(of 0\)"),
        ("path,label\nn\xe4ht.png,x\n".encode("latin-1"), "not a CSV file in UTF-8"),
        ('path,label\n"a.png,x\n', "not a CSV file in UTF-8: unexpected end of data"),
        (b"", "no column 'path', it has none"),
    ],
)
def test_a_table_that_cannot_be_followed_is_refused_in_one_line(
    tmp_path: Path, text: str | bytes, says: str
) -> None:
    with pytest.raises(DatasetError, match=says) as caught:
        list(read_table(csv_file(tmp_path, text)))
    assert "\n" not in str(caught.value)


def test_a_parquet_file_that_is_none_is_refused_in_one_line(tmp_path: Path) -> None:
    whole = parquet_file(tmp_path, path=["a.png"], label=["x"]).read_bytes()
    scribbled = whole[:4] + b"\xff" * 40 + whole[44:]
    for number, data in enumerate((b"", b"path,label\n", whole[:-20], whole[:40], scribbled)):
        file = tmp_path / f"{number}.parquet"
        file.write_bytes(data)
        with pytest.raises(DatasetError, match="is not a Parquet file") as caught:
            list(read_table(file))
        assert "\n" not in str(caught.value)


def test_a_manifest_that_is_not_there_is_named(tmp_path: Path) -> None:
    for name in ("rows.csv", "rows.parquet"):
        with pytest.raises(DatasetError, match=rf"{name} cannot be read: No such file"):
            list(read_table(tmp_path / name))


def test_without_pyarrow_a_parquet_file_is_refused_by_the_name_of_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = parquet_file(tmp_path, path=["a.png"], label=["x"])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DatasetError, match=r"pip install 'edge-inspect\[train\]'"):
        list(read_table(file))
    assert len(list(read_table(csv_file(tmp_path, ROWS)))) == 2


def test_a_row_that_lacks_a_label_or_a_group_serves_where_neither_is_needed(
    tmp_path: Path,
) -> None:
    file = csv_file(tmp_path, "path,label,group\na.png,,\n")
    assert [(s.label, s.group) for s in read_table(file)] == [("", "a.png")]
    with pytest.raises(DatasetError, match=r"must not be empty, got 'a\.png', '', ''"):
        list(read_table(file, complete=True))


def test_a_parquet_manifest_is_found_in_its_folder(make_folder: Callable[..., Path]) -> None:
    root = make_folder("data", per_class=1)
    parquet.write_table(
        pa.table({"file": ["red/00.png"], "kind": ["red"]}), root / "manifest.parquet"
    )
    dataset = open_dataset(root, Columns(path="file", label="kind"))
    assert [sample.path for sample in dataset.samples] == ["red/00.png"]
    assert dataset.read(0) == read_encoded(root, "red/00.png")
