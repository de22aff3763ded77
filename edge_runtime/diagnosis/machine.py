"""What the machine must bring along for a station that runs for months, measured where that is possible.

A configuration that starts today can still meet a full disk, a card that syncs slowly, a clock that
nobody sets, or a secret that everybody reads. Nothing here is changed; what is written to be measured is
removed again.
"""

import importlib
import os
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from edge_runtime.config import ConfigDraft, StationConfig
from edge_runtime.diagnosis.clock import clock_state
from edge_runtime.diagnosis.finding import Finding, Grade
from edge_runtime.errors import CameraError, EngineError, StateError

_LEAST_MB: Final = 200
"""Below this a station does not begin a shift."""
_SYNCS: Final = 20
_SLOW_SYNC_S: Final = 0.02
"""An SD card's median; a batch's verdicts wait for one sync."""
_HOPELESS_SYNC_S: Final = 1.0
_IN_MEMORY: Final = {"tmpfs", "ramfs"}
_ON_THE_NETWORK: Final = {"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs"}
_LIBRARIES: Final = {"onnxruntime": "onnxruntime", "openvino": "openvino", "tensorrt": "tensorrt"}
"""Python module of each engine that has one."""


def examine_machine(draft: ConfigDraft) -> Iterator[Finding]:
    """One finding per thing looked at."""
    folder = _existing(Path(str(draft.value("state_dir"))))
    default = StationConfig.model_fields["journal_mb"].default
    yield _disk(folder, draft.config.journal_mb if draft.config else int(default))
    yield _sync(folder)
    yield _clock()
    yield _permissions(draft)
    yield _libraries(draft)


def _disk(folder: Path, journal_mb: int) -> Finding:
    usage = shutil.disk_usage(folder)
    free_mb = usage.free // 1_000_000
    own_mb = _size(folder / "journal.sqlite") // 1_000_000
    found = f"{free_mb:,} MB free under {folder}; the journal may grow to {journal_mb:,} MB"
    remedy = "free space, lower journal_mb, or put the state folder on a larger disk"
    if free_mb < _LEAST_MB:
        return _fail("disk", found, remedy, StateError.exit_code)
    if free_mb + own_mb < journal_mb:
        return Finding(part="disk", grade=Grade.WARN, found=found, remedy=remedy)
    return Finding(part="disk", grade=Grade.OK, found=found)


def _sync(folder: Path) -> Finding:
    kind = _file_system(folder)
    if kind in _IN_MEMORY | _ON_THE_NETWORK:
        where = "in memory: a power cut takes the journal" if kind in _IN_MEMORY else "remote"
        return Finding(
            part="sync",
            grade=Grade.WARN,
            found=f"{folder} lies on {kind}, {where}",
            remedy="put the state folder on a disk of this machine",
        )
    try:
        took_s = measure_syncs(folder)
    except OSError as exc:
        return _fail(
            "sync",
            f"{folder} cannot be synced: {exc.strerror}",
            "see the line on the state folder",
            StateError.exit_code,
        )
    median_s = statistics.median(took_s)
    found = (
        f"4 KiB are on disk after {median_s * 1000:.1f} ms, at worst {max(took_s) * 1000:.1f} ms "
        f"({len(took_s)} times)"
    )
    remedy = (
        f"a batch waits for one sync, so at most {1 / median_s:,.0f} a second: use a faster disk, or "
        "raise max_batch"
    )
    if median_s > _HOPELESS_SYNC_S:
        return _fail("sync", found, remedy, StateError.exit_code)
    if median_s > _SLOW_SYNC_S:
        return Finding(part="sync", grade=Grade.WARN, found=found, remedy=remedy)
    return Finding(part="sync", grade=Grade.OK, found=found)


def measure_syncs(folder: Path, times: int = _SYNCS) -> list[float]:
    """How long writing 4 KiB and syncing takes in a folder, seconds, so many times in a row."""
    took_s = []
    with tempfile.TemporaryFile(dir=folder) as probe:
        for _ in range(times):
            began = time.monotonic()
            probe.write(b"\0" * 4096)
            probe.flush()
            os.fsync(probe.fileno())
            took_s.append(max(time.monotonic() - began, 1e-9))
    return took_s


def _clock() -> Finding:
    remedy = "switch on chrony or systemd-timesyncd; verdicts are dated by this clock, order is not"
    try:
        state = clock_state()
    except OSError as exc:
        found = f"the kernel does not tell: {exc.strerror}"
        return Finding(part="clock", grade=Grade.WARN, found=found, remedy=remedy)
    if not state.synchronised:
        found = "nobody sets this machine's clock"
        return Finding(part="clock", grade=Grade.WARN, found=found, remedy=remedy)
    found = f"synchronised, at most {state.greatest_error_s * 1000:.0f} ms off"
    return Finding(part="clock", grade=Grade.OK, found=found)


def _permissions(draft: ConfigDraft) -> Finding:
    device = re.fullmatch(r"opencv:(\d+)", str(draft.value("source")))
    if device is not None:
        node = Path(f"/dev/video{device[1]}")
        if node.exists() and not os.access(node, os.R_OK | os.W_OK):
            return _fail(
                "permissions",
                f"{node} may not be opened by this account",
                "add the account to the group video",
                CameraError.exit_code,
            )
    key = draft.path("mqtt_key")
    secrets = [] if key is None else [key]
    secrets += [
        Path("/etc/edge-inspect") / f"{draft.value('station')}.{kind}"
        for kind in ("password", "key")
    ]
    open_to_all = [str(file) for file in secrets if _readable_by_others(file)]
    if open_to_all:
        return Finding(
            part="permissions",
            grade=Grade.WARN,
            found=f"others than the owner can read {', '.join(open_to_all)}",
            remedy=f"chmod 600 {' '.join(open_to_all)}",
        )
    account = (
        "root, which may more than the station's account" if os.geteuid() == 0 else "this account"
    )
    return Finding(part="permissions", grade=Grade.OK, found=f"nothing is refused to {account}")


def _libraries(draft: ConfigDraft) -> Finding:
    names = ["cv2", "sqlite3"]
    if module := _LIBRARIES.get(str(draft.value("engine"))):
        names.append(module)
    if draft.value("mqtt_sparkplug_group") is not None:
        names.append("google.protobuf")
    found = []
    for name in names:
        try:
            library = importlib.import_module(name)
        except (ImportError, OSError) as exc:
            return _fail(
                "libraries", f"{name} does not load: {exc}", _how_to_get(exc), EngineError.exit_code
            )
        version = getattr(library, "__version__", None) or getattr(library, "sqlite_version", "")
        found.append(f"{name} {version}".strip())
    return Finding(part="libraries", grade=Grade.OK, found=f"{', '.join(found)} load")


def _how_to_get(error: BaseException) -> str:
    missing = re.search(r"\S+\.so[.\d]*", str(error))
    if missing is not None:
        return f"install the package that has {missing[0]}: apt-file search {missing[0]}"
    return "install the extra that the engine belongs to, edge-inspect[openvino] for example"


# --- what the above stands on ----------------------------------------------------------------------


def _fail(part: str, found: str, remedy: str, exit_code: int) -> Finding:
    return Finding(part=part, grade=Grade.FAIL, found=found, remedy=remedy, exit_code=exit_code)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there and may be looked into."""
    for place in (folder.absolute(), *folder.absolute().parents):
        with suppress(OSError):
            if place.is_dir():
                return place
    return Path("/")


def _size(file: Path) -> int:
    """Bytes; 0 where there is no such file, or none that may be seen."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _file_system(folder: Path) -> str:
    """Type of the file system that a folder lies on, `ext4`; empty where the kernel does not tell."""
    best, kind = "", ""
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    for line in mounts.splitlines():
        _, place, found, *_ = line.split(" ")
        # Spaces in a path are written \040 there.
        place = place.replace("\\040", " ")
        if folder.resolve().is_relative_to(place) and len(place) >= len(best):
            best, kind = place, found
    return kind


def _readable_by_others(file: Path) -> bool:
    try:
        return bool(file.stat().st_mode & 0o077)
    except OSError:
        return False
