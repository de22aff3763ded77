"""Folders of labelled images: both layouts, and everything that can be wrong with a file in them."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.contracts.manifest import InputSpec
from optimize.data.dataset import open_dataset
from optimize.data.images import Fault, Image, read_images
from optimize.errors import DatasetError
from tests.optimize.tiny_network import SIZE, make_image, png

INPUT = InputSpec(height=SIZE, width=SIZE)


def listed(root: Path, manifest: str) -> Path:
    root.mkdir(exist_ok=True)
    (root / "manifest.csv").write_text(manifest, encoding="utf-8")
    return root


def test_class_folders_give_each_file_its_folders_name(make_folder: Callable[..., Path]) -> None:
    folder = open_dataset(make_folder("data", per_class=2))
    assert [(entry.label, entry.path) for entry in folder.samples[:3]] == [
        ("blue", "blue/00.png"),
        ("blue", "blue/01.png"),
        ("green", "green/00.png"),
    ]


def test_a_manifest_decides_alone_what_belongs_to_the_set(
    make_folder: Callable[..., Path],
) -> None:
    root = listed(make_folder("data"), "label,path,line\nred,red/00.png,L07\n")
    assert [entry.path for entry in open_dataset(root).samples] == ["red/00.png"]


def test_images_are_decoded_and_fitted_to_the_models_input(tmp_path: Path) -> None:
    (tmp_path / "red").mkdir()
    (tmp_path / "red" / "a.png").write_bytes(png(make_image("red", 1).repeat(3, axis=0)))
    (image,) = read_images(open_dataset(tmp_path), INPUT)
    assert isinstance(image, Image)
    assert image.pixels.shape == (SIZE, SIZE, 3)
    assert image.pixels[..., 0].mean() > image.pixels[..., 2].mean()


def test_files_that_cannot_be_used_become_faults_with_their_reasons(tmp_path: Path) -> None:
    good = png(make_image("red", 1))
    (tmp_path / "good.png").write_bytes(good)
    (tmp_path / "cut.png").write_bytes(good[: len(good) // 2])
    (tmp_path / "empty.png").touch()
    (tmp_path / "changed.png").write_bytes(good)
    digest = hashlib.sha256(good).hexdigest()
    listed(
        tmp_path,
        "path,label,sha256\n"
        f"good.png,red,{digest.upper()}\ncut.png,red,\nempty.png,red,\n"
        f"changed.png,red,{'0' * 64}\nabsent.png,red,\n",
    )
    found = list(read_images(open_dataset(tmp_path), INPUT))
    assert [type(item) for item in found] == [Image, Fault, Fault, Fault, Fault]
    reasons = {item.path: item.reason for item in found if isinstance(item, Fault)}
    assert reasons["changed.png"] == "its sha256 differs from the manifest's"
    assert reasons["absent.png"] == "No such file or directory"
    assert reasons["cut.png"]
    assert reasons["empty.png"]


def test_the_name_of_a_folder_changes_with_content_label_and_path(
    make_folder: Callable[..., Path],
) -> None:
    root = make_folder("data", per_class=1)
    names = {open_dataset(root).named()}
    (root / "red" / "00.png").write_bytes(png(make_image("red", 99)))
    names.add(open_dataset(root).named())
    (root / "red").rename(root / "pink")
    names.add(open_dataset(root).named())
    assert len(names) == 3
    assert all(name.startswith("data sha256:") for name in names)


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        (
            "file,class\na.png,red\n",
            "no column 'path', it has file, class: .*--path-column",
        ),
        ("path,label\n../a.png,red\n", "row 2: path '../a.png' must name a file within"),
        ("path,label\n/etc/passwd,red\n", "must name a file within"),
        ("path,label\na\0b,red\n", "must name a file within"),
        ("path,label\n,red\n", "row 2: path '' must name a file within"),
        ("path,label\n", "holds no images"),
        ("", "no column 'path'"),
    ],
)
def test_a_manifest_that_cannot_be_followed_is_refused(
    tmp_path: Path, manifest: str, says: str
) -> None:
    with pytest.raises(DatasetError, match=says):
        open_dataset(listed(tmp_path / "data", manifest))


def test_a_manifest_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_bytes("path,label\nnäht.png,rot\n".encode("utf-16"))
    with pytest.raises(DatasetError, match="not a CSV file in UTF-8"):
        open_dataset(tmp_path)


def test_an_absent_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no folder at"):
        open_dataset(tmp_path / "none")
    with pytest.raises(DatasetError, match="holds no images"):
        open_dataset(tmp_path)


@settings(deadline=None)
@given(text=st.text(max_size=200))
def test_no_manifest_whatever_it_holds_ends_in_anything_but_a_folder_or_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    root = tmp_path_factory.mktemp("any")
    (root / "manifest.csv").write_text("path,label\n" + text, encoding="utf-8", newline="")
    try:
        entries = open_dataset(root).samples
    except DatasetError:
        return
    assert all((root / entry.path).resolve().is_relative_to(root.resolve()) for entry in entries)
