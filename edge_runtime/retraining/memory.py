"""The triggers' memory as a file in the state folder: written aside, renamed, read at the next start.

Owns `retrain.json`. One that is damaged is put aside and said; a station never refuses to start for it.
"""

import logging
from pathlib import Path

from pydantic import ValidationError

from edge_runtime.errors import StateError
from edge_runtime.retraining.triggers import Memory
from edge_runtime.written_aside import written_aside

_LOG = logging.getLogger(__name__)
NAME = "retrain.json"


def read_memory(state_dir: Path, *, bundle: str, model_sha256: str) -> Memory:
    """What is remembered of this model; of another one, or of nothing, a fresh memory."""
    fresh = Memory(bundle=bundle, model_sha256=model_sha256)
    file = state_dir / NAME
    try:
        found = Memory.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return fresh
    except (OSError, ValidationError) as exc:
        _LOG.error("%s is damaged and begun anew (kept as %s.damaged): %s", file, NAME, exc)
        try:
            file.replace(file.with_suffix(".json.damaged"))
        except OSError:
            _LOG.error("%s cannot be put aside", file)
        return fresh
    return found if (found.bundle, found.model_sha256) == (bundle, model_sha256) else fresh


def write_memory(state_dir: Path, memory: Memory) -> None:
    """Keep it; raises StateError where the disk refuses, what was there before stays."""
    with written_aside(state_dir / NAME, error=StateError) as aside:
        aside.write_text(memory.to_json(indent=2) + "\n", encoding="utf-8")
