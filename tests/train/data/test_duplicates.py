"""Copies are found whoever owns them, and groups that share one become one."""

from pathlib import Path

from optimize.data.dataset import Dataset
from tests.train.data.pictures import copies, seam, write_png
from train.data.duplicates import Duplicates, find_duplicates
from train.data.manifest import Source
from train.data.survey import survey


def write(folder: Path, *rows: tuple[str, str, object]) -> Dataset:
    """Images of (label, group, picture), numbered."""
    lines = ["path,label,group"]
    for number, (label, group, picture) in enumerate(rows):
        write_png(folder / f"{number}.png", picture)  # type: ignore[arg-type]
        lines.append(f"{number}.png,{label},{group}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return Source(data_dir=folder).read()


def found_in(dataset: Dataset, limit: int = 16) -> Duplicates:
    return find_duplicates(survey(dataset, workers=1), limit)


def test_groups_that_share_a_photograph_become_one_over_any_number_of_steps(tmp_path: Path) -> None:
    recompressed, smaller, _ = copies(seam(0))
    dataset = write(
        tmp_path,
        ("x", "a", seam(0)),
        ("x", "b", seam(1)),
        ("x", "c", seam(0)),  # a and c hold the same file
        ("y", "c", seam(2)),
        ("y", "d", copies(seam(2))[0]),  # c and d nearly the same
        ("x", "e", seam(3)),
        ("x", "e", recompressed),
        ("x", "e", smaller),
    )
    found = found_in(dataset)
    assert found.exact.tolist() == [[0, 2]]
    assert found.groups == ("a", "b", "a", "a", "a", "a", "a", "a")
    assert found.first.tolist() == [0, 1, 0, 3, 3, 5, 0, 0]
    assert found.merged(dataset) == {"a": {"a", "c", "d", "e"}}
    assert len(found.disputed(dataset)) == 0
    assert len(found.copies) == 4


def test_crops_of_one_module_stay_apart(tmp_path: Path) -> None:
    dataset = write(tmp_path, *(("x", f"g{n}", seam(n)) for n in range(12)))
    found = found_in(dataset)
    assert len(found.pairs) == 0
    assert found.groups == tuple(f"g{n}" for n in range(12))


def test_copies_that_bear_different_labels_are_named(tmp_path: Path) -> None:
    dataset = write(
        tmp_path, ("x", "a", seam(0)), ("y", "b", seam(0)), ("x", "c", copies(seam(0))[0])
    )
    assert [0, 1] in found_in(dataset).disputed(dataset).tolist()


def test_near_copies_are_left_alone_where_only_exact_ones_are_asked_for(tmp_path: Path) -> None:
    dataset = write(
        tmp_path, ("x", "a", seam(0)), ("x", "b", seam(0)), ("x", "c", copies(seam(0))[0])
    )
    found = found_in(dataset, limit=0)
    assert found.pairs.tolist() == [[0, 1]]
    assert found.groups == ("a", "a", "c")


def test_damaged_files_of_one_content_are_no_copies(tmp_path: Path) -> None:
    write(tmp_path, ("x", "a", seam(0)), ("x", "b", seam(1)), ("x", "c", seam(2)))
    for name in ("1.png", "2.png"):
        (tmp_path / name).write_bytes(b"")
    found = found_in(Source(data_dir=tmp_path).read())
    assert len(found.pairs) == 0
    assert found.groups == ("a", "b", "c")
