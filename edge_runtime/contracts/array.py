"""A table of numbers within a JSON contract.

Packed as base64 of little-endian float32: a hundred thousand numbers stay a few hundred KB, and a file
of them has a schema and one way to be read and refused, like every other of a bundle. An .npz would be a
quarter smaller and need a second of both.
"""

import base64
import binascii
import math
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import model_validator

from edge_runtime.contracts.base import Contract

Values = npt.NDArray[np.float32]
_STORED = np.dtype("<f4")


class Array(Contract):
    """Finite numbers of any shape."""

    shape: tuple[int, ...]
    float32: str
    """Base64 of the values as little-endian float32, the last axis fastest."""

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Self:
        """The packed form; raises ValidationError where a value is not finite."""
        stored = np.asarray(values, _STORED)
        return cls(shape=stored.shape, float32=base64.b64encode(stored.tobytes()).decode("ascii"))

    def values(self) -> Values:
        """The numbers, in an array of their own."""
        data = base64.b64decode(self.float32)
        return np.frombuffer(data, _STORED).reshape(self.shape).astype(np.float32)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        try:
            size = len(base64.b64decode(self.float32, validate=True))
        except (binascii.Error, ValueError) as exc:
            raise ValueError(f"no base64: {exc}") from exc
        if min(self.shape, default=0) < 0 or size != math.prod(self.shape) * _STORED.itemsize:
            raise ValueError(f"{size} bytes for float32 of shape {self.shape}")
        if not np.isfinite(self.values()).all():
            raise ValueError("a value is NaN or infinite")
        return self
