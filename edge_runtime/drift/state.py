"""What has been learnt as arrays by name: how it is put together, and taken over again.

Every part of the monitor that remembers has `state`, its own arrays, and `resume`, which takes over
those of another one of the same make.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

State: TypeAlias = Mapping[str, npt.NDArray[Any]]


def named(prefix: str, state: State) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a part under names of its own."""
    return {f"{prefix}.{name}": array for name, array in state.items()}


def portion(prefix: str, state: State) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a part, from those of the whole."""
    return {
        name.removeprefix(f"{prefix}."): array
        for name, array in state.items()
        if name.startswith(f"{prefix}.")
    }


def take_over(arrays: State, state: State) -> None:
    """Copy into arrays what was saved of them; raises ValueError where name, shape or type differ."""
    for name, array in arrays.items():
        saved = state.get(name)
        if saved is None:
            raise ValueError(f"{name} is missing")
        if saved.shape != array.shape or saved.dtype != array.dtype:
            raise ValueError(
                f"{name} is {saved.dtype} {saved.shape}, expected {array.dtype} {array.shape}"
            )
        np.copyto(array, saved)


def number(state: State, name: str) -> int:
    """A whole number of 0 or more; raises ValueError where it is none."""
    saved = state.get(name)
    if saved is None or saved.shape or saved.dtype.kind != "i" or saved < 0:
        raise ValueError(f"{name} is no whole number")
    return int(saved)
