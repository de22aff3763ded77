"""A measurement made of commands: each as a person would type it, none done twice.

Owns running them and remembering how long each took. Which commands there are is the business of the
benchmark.
"""

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A command and what it leaves behind."""

    words: tuple[str, ...]
    """Without the program's name."""
    leaves: str
    """What there is when it is done, within the folder of the work."""
    prepare: Callable[[Path], None] | None = None
    """Done before it, in that folder; must be quick and do nothing the second time."""
    program: str = "train"
    allowed: tuple[int, ...] = ()
    """Exit codes besides 0 that are an answer and no failure."""

    @property
    def line(self) -> str:
        """As typed."""
        return f"{self.program} {shlex.join(self.words)}"


def step(
    line: str,
    leaves: str,
    prepare: Callable[[Path], None] | None = None,
    *,
    program: str = "train",
    allowed: tuple[int, ...] = (),
) -> Step:
    """The step that a line of a shell, without the program's name, describes."""
    words = tuple(shlex.split(line))
    return Step(words=words, leaves=leaves, prepare=prepare, program=program, allowed=allowed)


def carry_out(steps: Sequence[Step], work: Path) -> list[dict[str, Any]]:
    """Do what is not done yet in the folder `work`, which keeps a log and the seconds of each step.

    Returns each command with its seconds, None where these are not known. Ends the program where a
    command fails.
    """
    work.mkdir(parents=True, exist_ok=True)
    seconds_file = work / "seconds.json"
    seconds = read_json(seconds_file) if seconds_file.exists() else {}
    for each in steps:
        if each.prepare:
            each.prepare(work)
        if (work / each.leaves).exists():
            continue
        print(each.line, flush=True)
        seconds[each.line] = round(_run(each, work))
        seconds_file.write_text(json.dumps(seconds), encoding="utf-8")
    return [{"command": each.line, "seconds": seconds.get(each.line)} for each in steps]


def read_json(file: Path) -> dict[str, Any]:
    """What a step left."""
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _run(step: Step, work: Path) -> float:
    began = time.perf_counter()
    with (work / "log").open("a", encoding="utf-8") as log:
        done = subprocess.run(
            [sys.executable, "-m", f"{step.program}.cli", *step.words],
            check=False,
            cwd=work,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    if done.returncode not in (0, *step.allowed):
        raise SystemExit(f"{step.line} ended with {done.returncode}: see {work / 'log'}")
    return time.perf_counter() - began
