"""Files of tensors: written aside, read without running anything that they contain."""

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edge_runtime.errors import first_line
from train.errors import RunError
from train.written_aside import written_aside

FORMAT = 2
"""Of `last.pth` and `best.pth`; raised when their keys change."""

DAMAGED = (RuntimeError, ValueError, LookupError, TypeError, EOFError, pickle.UnpicklingError)
"""What torch makes of a file that is cut short, altered, or something else altogether."""


def save(target: Path, state: Mapping[str, object]) -> None:
    """Write `state` with its format; raises RunError when that is impossible, the old file stays."""
    buffer = io.BytesIO()  # torch turns a full disk into errors of its own making
    torch.save({"format": FORMAT, **state}, buffer)
    with written_aside(target) as aside:
        aside.write_bytes(buffer.getbuffer())


def load(source: Path, device: torch.device) -> dict[str, Any]:
    """What `save` wrote; raises FileNotFoundError, or RunError when the file is damaged."""
    try:
        state: dict[str, Any] = torch.load(source, map_location=device, weights_only=True)
        if state["format"] != FORMAT:
            raise RunError(f"{source} has format {state['format']}, this version reads {FORMAT}")
    except DAMAGED as exc:
        raise RunError(f"{source} is damaged: {first_line(exc)}; start a new run") from exc
    return state


def finite(content: object) -> bool:
    """Whether no tensor, however deep it lies, holds NaN or infinity."""
    if isinstance(content, Tensor):
        return bool(torch.isfinite(content).all())
    if isinstance(content, Mapping):
        return all(finite(value) for value in content.values())
    if isinstance(content, list | tuple):
        return all(finite(value) for value in content)
    return True
