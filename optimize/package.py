"""Writing a bundle: everything beside its final place first, then one rename.

Owns the writing side of the folder format that `edge_runtime.bundle` reads: hashes, golden frames, model
card, manifest. Invariant: under the final name there is a whole bundle or nothing. An existing one is
never written to: `amending` puts another whole folder in its place.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from edge_runtime.bundle import MANIFEST, MANIFEST_DIGEST, digest_line
from edge_runtime.contracts.base import Name
from edge_runtime.contracts.frame import Pixels
from edge_runtime.contracts.manifest import BundleManifest, GoldenFrame
from edge_runtime.errors import UsageError
from edge_runtime.written_aside import exchange, folder_written_aside
from optimize.errors import PackageError

NAME = "weld-seam"
VERSION = "1.0.0"
CARD = "MODEL_CARD.md"
GOLDEN_PER_CLASS = 2
_VERSION_FOLDER = re.compile(r"v?\d+\.\d+(\.\d+)?([.+-][A-Za-z0-9.-]+)?")
_NAME: TypeAdapter[str] = TypeAdapter(Name)


def locate(out: Path, name: str | None, version: str | None) -> Path:
    """The bundle's folder NAME/VERSION for `--out`.

    Where the last part of `out` reads as a version (`bundles/weld-seam/1.2.0`), `out` is that folder and
    name and version are taken from it. Otherwise the folder is `out/NAME/VERSION` from the flags, whose
    defaults are `weld-seam` and `1.0.0`. Raises UsageError when the two contradict each other.
    """
    path = Path(os.path.abspath(out))  # noqa: PTH100 - resolve() would follow links out of sight
    if _VERSION_FOLDER.fullmatch(path.name):
        for flag, given, read in (
            ("--name", name, path.parent.name),
            ("--version", version, path.name),
        ):
            if given is not None and given != read:
                raise UsageError(
                    f"{flag} {given} contradicts --out {out}, which ends in NAME/VERSION "
                    f"{path.parent.name}/{path.name}: leave one of them out"
                )
        target = path
    else:
        target = path / (name or NAME) / (version or VERSION)
    for part in (target.parent.name, target.name):
        try:
            _NAME.validate_python(part)
        except ValidationError as exc:
            raise UsageError(
                f"{part!r} is no bundle name or version: use up to 64 of letters, digits and . _ -"
            ) from exc
    return target


def refuse_existing(target: Path) -> None:
    """Raise PackageError when something stands where the bundle shall go."""
    if target.exists() or target.is_symlink():
        raise PackageError(
            f"{target} exists already and stays as it is: choose another --version, or remove it"
        )


@contextmanager
def staging(target: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `target` when the block ends well and vanishes when it does not.

    Everything is on disk before the rename. Raises PackageError when the place cannot be written.
    """
    refuse_existing(target)
    with folder_written_aside(
        target,
        error=lambda place, why: PackageError(f"{place} cannot be written: {why}"),
        move=_into_free_place,
    ) as aside:
        yield aside


@contextmanager
def amending(bundle: Path) -> Iterator[Path]:
    """A copy of the bundle to add files to and to seal; it takes its place when the block ends well.

    The two folders are exchanged in one step, so there is the earlier bundle or the later one at every
    moment. The copy's files are the bundle's own (hard links): replace them, never write into them.
    Manifest and digest are not copied. Raises PackageError when the place cannot be written or another
    process amended the bundle meanwhile; the bundle is then as it was.
    """
    before = (bundle / MANIFEST).read_bytes()

    def error(place: Path, why: str) -> PackageError:
        verb = "amended" if place == bundle else "written"
        return PackageError(f"{place} cannot be {verb}: {why}")

    def into_its_place(aside: Path, bundle: Path) -> None:
        if (bundle / MANIFEST).read_bytes() != before:
            raise PackageError(f"{bundle} was changed by another process meanwhile: try again")
        exchange(aside, bundle)

    with folder_written_aside(bundle, error=error, move=into_its_place) as aside:
        shutil.copytree(
            bundle,
            aside,
            copy_function=_link,
            ignore=shutil.ignore_patterns(MANIFEST, MANIFEST_DIGEST),
            dirs_exist_ok=True,
        )
        yield aside


def choose_golden(
    labels: Sequence[str],
    classes: Sequence[str],
    probabilities: Mapping[str, npt.NDArray[np.float32]],
) -> tuple[int, ...]:
    """Indices of two images per class, in the order of the model's `classes`.

    Those on which every variant is right and all agree best: another processor's rounding moves them
    least, while a wrong model or preprocessing still does. `probabilities` holds (images, classes)
    float32 per precision.
    """
    stacked = np.stack(list(probabilities.values()))
    spread = np.ptp(stacked, axis=0).max(axis=1)
    answers = stacked.argmax(axis=2)
    chosen = []
    for number, label in enumerate(classes):
        wrong = (answers != number).any(axis=0)
        members = [index for index, seen in enumerate(labels) if seen == label]
        members.sort(key=lambda index: (wrong[index], spread[index], index))
        chosen += members[:GOLDEN_PER_CLASS]
    return tuple(chosen)


def write_golden(
    folder: Path,
    images: Sequence[Pixels],
    labels: Sequence[str],
    probabilities: Mapping[str, Sequence[npt.NDArray[np.float32]]],
) -> tuple[GoldenFrame, ...]:
    """Write `golden/NN-label.png`; per precision, `probabilities` has one row (classes,) per image."""
    (folder / "golden").mkdir()
    frames = []
    for index, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        file = f"golden/{index:02d}-{_plain(label)}.png"
        _, data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
        (folder / file).write_bytes(data.tobytes())
        expected = {
            precision: tuple(min(1.0, max(0.0, round(float(value), 6))) for value in rows[index])
            for precision, rows in probabilities.items()
        }
        frames.append(GoldenFrame(file=file, label=label, probabilities=expected))
    return tuple(frames)


def hash_files(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below `folder`, by its path within, sorted."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def seal(folder: Path, manifest: BundleManifest) -> None:
    """Write `manifest.json` and its digest: the last files of a bundle."""
    data = (manifest.to_json(indent=2) + "\n").encode()
    (folder / MANIFEST).write_bytes(data)
    (folder / MANIFEST_DIGEST).write_text(digest_line(data), encoding="ascii")


def _into_free_place(aside: Path, target: Path) -> None:
    refuse_existing(target)
    aside.rename(target)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)


def _plain(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", label) or "_"
