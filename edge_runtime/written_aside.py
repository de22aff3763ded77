"""How a file or a folder is written: aside, then renamed, so that a reader, a crash or a full disk finds
the old one or the new one and never half of one.

Owns the way to the name, not what is written. Any thread. Several writers of one folder do not disturb
each other; the first to be done has the name. Of one file there is one writer in a process at a time.
"""

import ctypes
import errno
import fcntl
import glob
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from edge_runtime.errors import EdgeInspectError, UsageError

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of Linux's fcntl.h and stdio.h


@contextmanager
def written_aside(
    target: Path, *, error: type[EdgeInspectError] = UsageError, synced: bool = True
) -> Iterator[Path]:
    """A path beside `target` to write to; it takes the target's name when the block succeeds.

    Without `synced` a power cut may leave an empty file or half of one; a kill still leaves none.
    Raises `error` in place of an OSError (disk full, no permission); the old file then stays.
    """
    aside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield aside
        if synced:
            sync(aside)
        aside.replace(target)
    except OSError as exc:
        raise error(
            f"cannot write {target}: {exc.strerror or exc}; what was there before is kept"
        ) from exc
    finally:
        with suppress(OSError):  # a folder that is none, say: then nothing was written either
            aside.unlink(missing_ok=True)


def rename(aside: Path, target: Path) -> None:
    """Give a folder a name that is free; raises FileExistsError where something stands there."""
    if os.path.lexists(target):  # the system itself would take the place of an empty folder
        raise FileExistsError(errno.EEXIST, "it exists already", str(target))
    aside.rename(target)


def exchange(one: Path, other: Path) -> None:
    """Let two folders take each other's place in one step; raises OSError where that cannot be done."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        raise OSError(errno.ENOSYS, "this system cannot exchange two folders") from None
    if renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE):
        number = ctypes.get_errno()
        why = os.strerror(number)
        if number in {errno.EINVAL, errno.ENOSYS}:
            why = "its file system cannot exchange two folders; copy the folder to a local disk"
        raise OSError(number, why)


@contextmanager
def folder_written_aside(
    target: Path,
    *,
    error: Callable[[Path, str], EdgeInspectError],
    move: Callable[[Path, Path], object] = rename,
    synced: bool = True,
) -> Iterator[Path]:
    """A new folder beside `target` to fill; it takes the target's name when the block succeeds.

    All of it is on the disk before it does. When the block fails it vanishes, with the folders above
    that were made for it. A kill leaves it under its own name, and the next writer of `target` removes
    it. `move(aside, target)` is the step in which it takes the name. Without `synced` a power cut may
    leave files that are empty or half there; a kill still leaves none.

    Raises what `error` makes, in place of an OSError, of the place that cannot be written (the folder
    above, then `target`) and the reason; what stood under the name then stays.
    """
    made = [above for above in target.parents if not above.exists()]
    aside = target.with_name(f".{target.name}.{token_hex(4)}.part")
    place = target.parent
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside.mkdir()
        place = target
        with _opened(aside) as ours:
            with suppress(OSError):  # a file system without locks: there nothing is swept either
                fcntl.flock(ours, fcntl.LOCK_EX)
            _sweep(target)
            yield aside
            if synced:
                for path in (*aside.rglob("*"), aside):
                    sync(path)
            move(aside, target)
            if synced:
                sync(target.parent)
    except OSError as exc:
        raise error(place, exc.strerror or str(exc)) from exc
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        for above in made:
            with suppress(OSError):  # the target stands in it, or what somebody else put there
                above.rmdir()


def sync(path: Path) -> None:
    """Have a file's content, or the names in a folder, on the disk."""
    with _opened(path) as descriptor:
        os.fsync(descriptor)


def _sweep(target: Path) -> None:
    """Remove what writers of `target` left that were killed: a kill lets go of the lock."""
    for left in target.parent.glob(f".{glob.escape(target.name)}.*.part"):
        with suppress(OSError), _opened(left) as theirs:
            fcntl.flock(theirs, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if any(left.iterdir()):  # an empty one may be about to be locked
                shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
