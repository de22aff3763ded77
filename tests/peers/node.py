"""Node and its packages, where they are installed: what the tests of this folder need to ask them.

A package is found where it was installed globally, or in a folder that NODE_PATH names.
"""

import os
import shutil
import subprocess
from typing import Final

import pytest

_PLACES: Final = (
    os.environ.get("NODE_PATH", ""),
    "/usr/lib/node_modules",
    "/usr/local/lib/node_modules",
)
ENVIRONMENT: Final = os.environ | {"NODE_PATH": ":".join(filter(None, _PLACES))}


def interpreter(package: str) -> str:
    """The program `node`; skips the test where it or the package is missing."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("node is not installed")
    looked = subprocess.run(
        [program, "-e", f"require('{package}')"],
        capture_output=True,
        check=False,
        env=ENVIRONMENT,
    )
    if looked.returncode != 0:
        pytest.skip(f"the npm package {package} is not installed: npm install -g {package}")
    return program


def answer(package: str, program: str, *arguments: str) -> str:
    """What a program that uses the package prints."""
    done = subprocess.run(
        [interpreter(package), "-e", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
