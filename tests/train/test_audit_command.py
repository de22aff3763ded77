"""`train audit` and the way back: a folder with every fault, its table, and the manifest made of it."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from optimize.data.manifest import Sample
from tests.train.conftest import LABELS, draw
from tests.train.data.pictures import copies, seam, write_png
from train.cli.main import main
from train.data.audit import COLUMNS
from train.data.manifest import Source
from train.run_folder import RunFolder

QUICK = ["--no-label-errors", "--workers", "1"]


def write_data(root: Path) -> Path:
    """Twelve seams in class folders: one damaged, one copied into another class, one kept twice."""
    for number in range(12):
        write_png(root / f"{'ab'[number % 2]}/{number:02}.png", seam(number))
    (root / "a/damaged.png").write_bytes(b"")
    shutil.copy(root / "a/00.png", root / "b/copy.png")
    write_png(root / "a/again.png", copies(seam(2))[0])
    return root


@pytest.fixture
def audited(tmp_path: Path) -> Path:
    write_data(tmp_path / "data")
    command = ["audit", "--data-dir", str(tmp_path / "data"), "--out", str(tmp_path / "audit")]
    assert main([*command, *QUICK]) == 0
    return tmp_path


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "audit/audit.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def rewrite(folder: Path, change: Callable[[list[dict[str, str]]], object]) -> None:
    rows = table(folder)
    change(rows)
    with (folder / "audit/audit.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def index(folder: Path, *flags: str, out: str = "data/manifest.csv") -> int:
    corrections = ["--audit", str(folder / "audit/audit.csv")]
    return main(["index", str(folder / "data"), "--out", str(folder / out), *corrections, *flags])


def samples(folder: Path, manifest: str = "data/manifest.csv") -> dict[str, Sample]:
    place = folder / manifest
    dataset = Source(data_dir=place.parent, manifest=place.name).read()
    return {sample.path: sample for sample in dataset.samples}


def test_every_image_has_a_row_that_says_what_was_found(audited: Path) -> None:
    rows = {row["path"]: row for row in table(audited)}
    assert list(rows["a/00.png"]) == list(COLUMNS)
    assert len(rows) == 15
    bad = rows["a/damaged.png"]
    assert (bad["status"], bad["reason"]) == ("quarantined", "empty file")
    copy = rows["b/copy.png"]
    assert (copy["group"], copy["group_before"]) == ("a/00.png", "b/copy.png")
    assert copy["duplicate_of"] == "a/00.png"
    # Folder by folder: a/02.png and a/again.png are in one class, the former comes first.
    again = rows["a/again.png"]
    assert (again["group"], again["duplicate_of"]) == ("a/02.png", "a/02.png")
    untouched = rows["a/04.png"]
    assert (untouched["group"], untouched["group_before"]) == ("a/04.png", "")
    assert not any(row["corrected_label"] or row["exclude"] for row in rows.values())


def test_the_record_counts_what_the_table_lists(audited: Path) -> None:
    record = json.loads((audited / "audit/audit.json").read_text())
    assert record["schema"] == "edge-inspect/audit/1"
    assert record["images"] == 15
    assert record["quarantined"] == {
        "images": 1,
        "labels": {"a": 1},
        "reasons": {"empty file": 1},
    }
    found = record["duplicates"]
    assert (found["copies"], found["exact_pairs"], found["near_pairs"]) == (2, 1, 1)
    assert found["pairs_with_different_labels"] == 1
    assert record["groups"] - record["groups_after_merging"] == 2
    assert record["label_errors"] is None
    assert re.fullmatch("[0-9a-f]{64}", record["data_sha256"])


def test_the_page_is_one_file_that_shows_what_was_found(audited: Path) -> None:
    page = (audited / "audit/audit.html").read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=\"(?!data:|#)|<script", page)
    for words in ("a/damaged.png", "empty file", "b/copy.png", "same file content", "128 bits"):
        assert words in page
    assert page.count("<img") >= 4
    assert "disputed" in page


def test_the_way_back_merges_groups_and_leaves_out_what_is_quarantined(
    audited: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert index(audited) == 0
    assert "0 labels corrected, 2 images regrouped, left out 1 quarantined and 0 excluded" in (
        capsys.readouterr().out
    )
    found = samples(audited)
    assert len(found) == 14
    assert "a/damaged.png" not in found
    assert found["b/copy.png"].group == found["a/00.png"].group == "a/00.png"
    assert all(len(sample.sha256) == 64 for sample in found.values())


def test_a_persons_corrections_are_taken_in_any_order_of_rows(audited: Path) -> None:
    def correct(rows: list[dict[str, str]]) -> None:
        for row in rows:
            row["corrected_label"] = "a" if row["path"] == "b/copy.png" else ""
            row["exclude"] = "Yes" if row["path"] == "a/again.png" else ""
        rows.reverse()

    rewrite(audited, correct)
    assert index(audited) == 0
    found = samples(audited)
    assert found["b/copy.png"].label == "a"
    assert "a/again.png" not in found
    assert len(found) == 13


def test_merged_groups_lead_down_where_the_manifest_lies_above(audited: Path) -> None:
    assert index(audited, out="above.csv") == 0
    found = samples(audited, "above.csv")
    assert found["data/b/copy.png"].group == found["data/a/00.png"].group == "data/a/00.png"


def first(column: str, value: str) -> Callable[[list[dict[str, str]]], object]:
    return lambda rows: rows[0].update({column: value})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (first("corrected_label", "c"), "row 2: corrected_label 'c' is none of the data's classes"),
        (first("exclude", "perhaps"), "row 2: exclude 'perhaps', expected yes or nothing"),
        (first("status", "fine"), "row 2: status 'fine', expected ok or quarantined"),
        (first("label", "b"), "has no row for a/00.png with label 'a'"),
        (first("group", "g"), "has no row for a/00.png with label 'a' and group 'a/00.png'"),
        (first("sha256", "12"), "row 2: sha256 '12' is not 64 hexadecimal digits"),
        (first("sha256", "0" * 64), "a/00.png is not the file that"),
        (lambda rows: rows.pop(0), "has no row for a/00.png"),
        (lambda rows: rows.append({**rows[0], "path": "x.png"}), "has 16 images, the data 15"),
        (lambda rows: [row.update(exclude="yes") for row in rows], "leaves no image of 15"),
        (lambda rows: [row.pop("exclude") for row in rows], "has no column exclude"),
    ],
)
def test_a_table_that_cannot_be_applied_is_refused_in_one_line(
    audited: Path,
    change: Callable[[list[dict[str, str]]], object],
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rewrite(audited, change)
    capsys.readouterr()
    assert index(audited) == 20
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not (audited / "data/manifest.csv").exists()


def test_a_file_that_changed_since_is_refused_unless_nobody_is_to_look(
    audited: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_png(audited / "data/a/04.png", seam(99))
    assert index(audited) == 20
    assert "a/04.png is not the file that" in capsys.readouterr().err
    assert index(audited, "--no-look") == 0


def test_the_manifest_that_was_audited_is_not_written_over(
    audited: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["index", str(audited / "data"), "--out", str(audited / "data/manifest.csv")]) == 0
    assert index(audited) == 2
    assert "name another file, such as" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "code", "says"),
    [
        (["--data-dir", "nowhere"], 20, "no folder"),
        (["--data-dir", "DATA", "--workers", "0"], 2, "--workers 0"),
        (["--data-dir", "DATA", "--folds", "1"], 2, "--folds 1"),
        (["--data-dir", "DATA", "--near-bits", "-1"], 2, "--near-bits -1"),
        (["--data-dir", "DATA", "--initial-weights", "scratch"], 2, "has learned nothing"),
        (["--data-dir", "DATA", "--initial-weights", "none.pth"], 21, "no such file or folder"),
        (["--data-dir", "DATA", "--initial-weights", "DATA"], 22, "is not a run folder"),
    ],
)
def test_flags_that_cannot_be_are_refused_before_anything_is_looked_at(
    folder_of_images: Path,
    tmp_path: Path,
    flags: list[str],
    code: int,
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = [word.replace("DATA", str(folder_of_images)) for word in flags]
    assert main(["audit", *words, "--out", str(tmp_path / "audit")]) == code
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not list(tmp_path.glob("audit/*"))


def test_an_audit_that_a_person_may_have_corrected_is_kept(
    audited: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["audit", "--data-dir", str(audited / "data"), "--out", str(audited / "audit")]
    assert main([*command, *QUICK]) == 22
    assert "holds an audit already" in capsys.readouterr().err


def test_labels_are_judged_with_the_features_of_an_earlier_run(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    for label in LABELS:
        for number in range(14):
            wrong = label == "crack" and number == 5
            picture = draw("no_defect" if wrong else label, number)[..., ::-1]
            write_png(tmp_path / f"data/{label}/{number:02}.png", picture)
    out = tmp_path / "audit"
    words = ["audit", "--data-dir", str(tmp_path / "data"), "--out", str(out), "--workers", "1"]
    assert main([*words, "--initial-weights", str(finished_run.path)]) == 0
    record = json.loads((out / "audit.json").read_text())
    assert record["settings"]["features"]["model"] == "test_efficientnet"
    assert record["settings"]["features"]["img_size"] == 32
    assert record["label_errors"]["judged"] == 42
    ranked = sorted(table(tmp_path), key=lambda row: int(row["suspicion_rank"]))
    assert ranked[0]["path"] == "crack/05.png"
    assert ranked[0]["suggested_label"] == "no_defect"
    assert "crack → no_defect" in (out / "audit.html").read_text(encoding="utf-8")
