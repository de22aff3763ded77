"""How a file is written: aside, then renamed, so that a reader, a crash or a full disk finds the old one
or the new one and never half of one.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge_runtime.errors import EdgeInspectError, UsageError


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
            with aside.open("rb") as written:
                os.fsync(written.fileno())
        aside.replace(target)
    except OSError as exc:
        raise error(
            f"cannot write {target}: {exc.strerror or exc}; what was there before is kept"
        ) from exc
    finally:
        with suppress(OSError):  # a folder that is none, say: then nothing was written either
            aside.unlink(missing_ok=True)
