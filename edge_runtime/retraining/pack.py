"""The evidence pack of a retrain request: what those who teach need to see, hashed, in one folder.

Owns its layout in the station's state folder and the reading of it, as a folder or as a .zip file. A
pack is written aside and renamed; the oldest beyond `KEPT` go. What a pack could hold and does not is
listed in it with the reason. Any thread; one writer at a time.
"""

import hashlib
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from edge_runtime.contracts.retrain import EvidencePack, RetrainRequest
from edge_runtime.contracts.station_id import StationId
from edge_runtime.errors import StateError, UsageError
from edge_runtime.written_aside import exchange, folder_written_aside, rename, written_aside

EVIDENCE = "evidence"
"""The folder of the packs within the state folder."""
PACK = "pack.json"
KEPT = 8
"""Packs at most; a station asks a few times a year."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file to take along, or why there is none."""

    name: str
    content: bytes | Path | None
    """A path is copied."""
    reason: str = ""
    """Why there is none."""


def write_pack(
    state_dir: Path,
    site: str,
    station: StationId,
    request: RetrainRequest,
    attachments: Iterable[Attachment],
) -> EvidencePack:
    """Write the pack that `request.evidence` names; raises StateError where the disk refuses."""
    if request.evidence is None:
        raise ValueError("a request without evidence has no pack")
    target = state_dir / EVIDENCE / request.evidence
    with folder_written_aside(
        target,
        error=lambda _place, why: StateError(f"cannot write the evidence pack {target}: {why}"),
        move=_instead_of_an_earlier_one,
    ) as aside:
        missing = [each for each in attachments if not _attach(aside, each)]
        made = EvidencePack(
            site=site,
            line=station.line,
            station=station.station,
            request=request,
            files={name: _sha256(aside / name) for name in _names(aside)},
            missing=tuple(f"{each.name}: {each.reason}" for each in missing),
        )
        (aside / PACK).write_text(made.to_json(indent=2) + "\n", encoding="utf-8")
    for old in packs(state_dir)[:-KEPT]:
        shutil.rmtree(state_dir / EVIDENCE / old, ignore_errors=True)
    return made


def packs(state_dir: Path) -> list[str]:
    """Names of the packs that are there, the oldest first."""
    found = (state_dir / EVIDENCE).glob(f"[!.]*/{PACK}")
    return sorted(pack.parent.name for pack in found)


def open_pack(place: Path) -> EvidencePack:
    """Read a pack, a folder or a .zip file, and check every file's hash.

    Raises UsageError where there is none, StateError naming the file that is damaged.
    """
    with _files(place) as files:
        try:
            pack = EvidencePack.model_validate_json(files[PACK].read_bytes())
        except KeyError as exc:
            raise UsageError(
                f"{place} holds no {PACK}: give what `edge-inspect retrain pack` wrote, or its folder"
            ) from exc
        except ValidationError as exc:
            first = exc.errors()[0]
            raise StateError(
                f"{place}/{PACK}: {'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"
            ) from exc
        for name, sha256 in pack.files.items():
            if name not in files or hashlib.sha256(files[name].read_bytes()).hexdigest() != sha256:
                raise StateError(
                    f"{place}: {name} is missing or was changed since the station packed it; "
                    "fetch the pack again"
                )
    return pack


def zip_pack(folder: Path, target: Path) -> None:
    """The pack as one .zip file, its files below a folder of its name; raises StateError."""
    with (
        written_aside(target, error=StateError) as aside,
        zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name in [PACK, *_names(folder)]:
            archive.write(folder / name, f"{folder.name}/{name}")


@contextmanager
def _files(place: Path) -> Iterator[Mapping[str, "Path | zipfile.Path"]]:
    """What lies in a pack, by name."""
    if place.is_dir():
        yield {name: place / name for name in (PACK, *_names(place)) if (place / name).is_file()}
        return
    try:
        with zipfile.ZipFile(place) as archive:
            inner = {
                name.partition("/")[2]: zipfile.Path(archive, name)
                for name in archive.namelist()
                if not name.endswith("/")
            }
            yield inner
    except FileNotFoundError as exc:
        raise UsageError(f"no evidence pack at {place}") from exc
    except (OSError, zipfile.BadZipFile) as exc:
        raise StateError(f"{place} is no evidence pack: {exc}; fetch it again") from exc


def _instead_of_an_earlier_one(aside: Path, target: Path) -> None:
    """A machine whose clock starts anew with it may ask twice in the same second."""
    if target.exists():
        exchange(aside, target)
    else:
        rename(aside, target)


def _attach(folder: Path, attachment: Attachment) -> bool:
    target = folder / attachment.name
    target.parent.mkdir(parents=True, exist_ok=True)
    match attachment.content:
        case None:
            return False
        case bytes(content):
            target.write_bytes(content)
        case source:
            shutil.copyfile(source, target)
    return True


def _names(folder: Path) -> list[str]:
    found = (file for file in folder.rglob("*") if file.is_file() and file.name != PACK)
    return sorted(file.relative_to(folder).as_posix() for file in found)


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
