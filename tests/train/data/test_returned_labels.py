"""Labels that people gave come back into the manifest, in whichever form, and contradictions do not."""

import csv
import json
from pathlib import Path

import pytest

from edge_runtime.samples.package import COLUMNS
from train.cli.main import main

PATHS = tuple(f"images/{number}.png" for number in range(6))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Six images of three modules; the last one was labelled by re-inspection."""
    folder = tmp_path / "package"
    (folder / "images").mkdir(parents=True)
    with (folder / "manifest.csv").open("w", newline="") as stream:
        rows = csv.DictWriter(stream, COLUMNS, restval="")
        rows.writeheader()
        for number, path in enumerate(PATHS):
            (folder / path).write_bytes(b"")
            rows.writerow(
                {
                    "path": path,
                    "group": f"M{number // 2}",
                    "line": "L07",
                    "generation": "gen3",
                    "reason": "random",
                    "inclusion_probability": "0.02",
                    "label": "spatter" if number == 5 else "",
                }
            )
    return folder


def page(file: Path, labels: dict[str, str]) -> Path:
    """What the page saves."""
    rows = "".join(f'"{path}","{label}",""\n' for path, label in labels.items())
    file.write_text(f"path,label,labelled_at\n{rows}")
    return file


def label_studio(file: Path, labels: dict[str, list[str]]) -> Path:
    """An export: of each image the answers of several people, `skip` where one skipped it."""
    tasks = [
        {
            "id": number,
            "data": {"image": f"/data/local-files/?d=package/{path}", "path": path},
            "annotations": [
                {
                    "was_cancelled": label == "skip",
                    "result": []
                    if label == "skip"
                    else [
                        {
                            "from_name": "label",
                            "to_name": "image",
                            "type": "choices",
                            "value": {"choices": [label]},
                        }
                    ],
                }
                for label in answers
            ],
        }
        for number, (path, answers) in enumerate(labels.items())
    ]
    file.write_text(json.dumps(tasks))
    return file


def indexed(package: Path, *files: Path, code: int = 0) -> dict[str, tuple[str, str, str]]:
    flags = [word for file in files for word in ("--labels", str(file))]
    out = package / "labelled.csv"
    assert main(["index", str(package), "--out", str(out), *flags]) == code
    if code:
        return {}
    with out.open(newline="") as stream:
        return {
            row["path"]: (row["label"], row["group"], row["generation"])
            for row in csv.DictReader(stream)
        }


def test_the_pages_labels_are_taken_with_group_and_generation(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = page(tmp_path / "labels.csv", {PATHS[0]: "no_defect", PATHS[3]: "porosity"})
    assert indexed(package, given) == {
        PATHS[0]: ("no_defect", "M0", "gen3"),
        PATHS[3]: ("porosity", "M1", "gen3"),
        PATHS[5]: ("spatter", "M2", "gen3"),
    }
    out, err = capsys.readouterr()
    assert "2 images labelled; left out 3 without a label and 0 with two" in out
    assert "columns left out" not in err


def test_label_studios_export_is_read_and_skipped_images_are_not_labelled(
    package: Path, tmp_path: Path
) -> None:
    answers = {
        PATHS[0]: ["no_defect", "no_defect"],
        PATHS[1]: ["skip"],
        PATHS[2]: ["skip", "spatter"],
    }
    found = indexed(package, label_studio(tmp_path / "export.json", answers))
    assert {path: label for path, (label, _, _) in found.items()} == {
        PATHS[0]: "no_defect",
        PATHS[2]: "spatter",
        PATHS[5]: "spatter",
    }
    flat = [
        {"id": 1, "image": "x", "path": PATHS[4], "label": "porosity"},
        {"id": 2, "path": PATHS[0]},
    ]
    (tmp_path / "min.json").write_text(json.dumps(flat))
    assert set(indexed(package, tmp_path / "min.json")) == {PATHS[4], PATHS[5]}


def test_an_image_with_two_labels_is_left_out_and_told(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = page(tmp_path / "one.csv", {PATHS[0]: "no_defect", PATHS[1]: "spatter"})
    other = label_studio(tmp_path / "other.json", {PATHS[0]: ["porosity"], PATHS[1]: ["spatter"]})
    assert set(indexed(package, one, other)) == {PATHS[1], PATHS[5]}
    out, err = capsys.readouterr()
    assert f"{PATHS[0]} was labelled no_defect and porosity: left out until it has one label" in err
    assert "1 images labelled; left out 3 without a label and 1 with two" in out


def test_a_given_label_counts_more_than_re_inspections_and_it_is_told(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = indexed(package, page(tmp_path / "labels.csv", {PATHS[5]: "no_defect"}))
    assert found == {PATHS[5]: ("no_defect", "M2", "gen3")}
    assert "1 images had another label from re-inspection" in capsys.readouterr().err


def test_without_labels_what_re_inspection_said_is_taken(package: Path) -> None:
    assert set(indexed(package)) == {PATHS[5]}


BAD = [
    (
        "path,label\nimages/9.png,x\n",
        "labels 1 images that are not in this package, first images/9.png",
    ),
    ("file,class\na,b\n", "has no column path and label"),
    ("path,label\n", "holds no label"),
    ('[{"data": {}, "annotations": []}]', "is no export of Label Studio for this package"),
    ("[1, 2", "is no export of Label Studio for this package"),
    ("\xff\xfe", "is not in UTF-8"),
    (None, "cannot be read"),
]


@pytest.mark.parametrize(("text", "says"), BAD)
def test_what_holds_no_labels_of_this_package_is_refused_in_one_line(
    text: str | None,
    says: str,
    package: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "labels"
    if text is not None:
        file.write_bytes(text.encode("latin-1"))
    indexed(package, file, code=20)
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not (package / "labelled.csv").exists()


def test_the_packages_own_manifest_is_not_written_over(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = page(tmp_path / "labels.csv", {PATHS[0]: "no_defect"})
    manifest = package / "manifest.csv"
    before = manifest.read_bytes()
    words = ["index", str(package), "--labels", str(given), "--out", str(manifest)]
    assert main(words) == 2
    assert "such as" in capsys.readouterr().err
    assert manifest.read_bytes() == before
