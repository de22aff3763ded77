"""What is compared: starts, each with the recipe it is taught by.

Owns the names of the starts and how the weights of one are come by. A start through the source data is a
whole run of its own, taught once and kept in the comparison's folder.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from edge_runtime.contracts.base import Contract, Sha256
from edge_runtime.errors import UsageError
from train.data.augment import Augmentation
from train.errors import RunError
from train.fitting.backbones import IMAGENET, SCRATCH
from train.fitting.recipe import Recipe
from train.run_folder import RunFolder

SOURCE, IMAGENET_SOURCE = "source", "imagenet+source"
THROUGH_SOURCE = {SOURCE: SCRATCH, IMAGENET_SOURCE: IMAGENET}
"""Starts that lead through the source data, and what the run on it starts from."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


class Arm(Contract):
    """One of the starts, and what it is taught by. All arms show equally many images."""

    name: Annotated[str, Field(pattern=_NAME.pattern)]
    start: str
    """`scratch`, `imagenet`, `source`, `imagenet+source`, a weights file or a run folder."""
    recipe: Recipe
    augmentation: Augmentation | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where an arm's initial weights lie."""

    initial_weights: str
    """As `train fit --initial-weights` takes it."""
    sha256: Sha256 | None
    """Of the file that holds them; None for `scratch` and `imagenet`."""


def default_starts(*, with_source: bool) -> tuple[str, ...]:
    """The starts that are compared unless arms are named; each arm is then called like its start."""
    return (SCRATCH, IMAGENET, *(THROUGH_SOURCE if with_source else ()))


def name_and_start(text: str) -> tuple[str, str]:
    """Read `NAME=FROM`, or the name of a start alone; raises UsageError that says the form."""
    name, sign, start = text.partition("=")
    start = start if sign else name
    if not start or not _NAME.fullmatch(name):
        raise UsageError(
            f"--arm {text!r}: expected NAME=FROM, the name of letters, digits and . _ + - alone"
        )
    return name, start


def require_distinct(arms: Sequence[Arm]) -> None:
    """Raise UsageError unless there are arms and each has a name of its own."""
    names = [arm.name for arm in arms]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"--arm {name} is there twice: give each arm a name of its own")


def find_start(start: str, source_run: Path | None) -> Start:
    """Where the weights of a start lie; `source_run` is the run that it leads through, if it does.

    Raises RunError for a run folder without weights. What is no run and no file is left to the loading
    to refuse.
    """
    if start in {SCRATCH, IMAGENET}:
        return Start(initial_weights=start, sha256=None)
    place = source_run or Path(start)
    file = RunFolder(path=place).best if place.is_dir() else place
    try:
        digest = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None
    except OSError as exc:
        raise RunError(f"cannot read {file}: {exc.strerror}") from exc
    return Start(initial_weights=str(place), sha256=digest)
