"""The runtime phones nobody: see docs/decisions/0004-no-telemetry.md."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import onnxruntime

CLIENT = b"Microsoft12Applications6Events"
"""Mangled namespace of the telemetry client that newer ONNX Runtime wheels carry."""

PROGRAM = """
import sys
from edge_runtime.bundle import open_bundle
from edge_runtime.engines.catalogue import open_engine

bundle = open_bundle(sys.argv[1])
variant = bundle.variant(None)
engine = open_engine("onnxruntime", bundle.model_file(variant), bundle.manifest.model, 1)
assert bundle.replay(engine, variant) == 1
"""


def written_while_running(program: str, argument: str, folder: Path) -> list[str]:
    """Files that a Python program leaves in an otherwise empty temporary folder."""
    folder.mkdir()
    subprocess.run(
        [sys.executable, "-c", program, argument],
        env={**os.environ, "TMPDIR": str(folder)},
        check=True,
        timeout=60,
    )
    return sorted(path.name for path in folder.iterdir())


def test_inference_leaves_no_trace(make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    assert written_while_running(PROGRAM, str(make_bundle()), tmp_path / "watched") == []


def test_a_trace_would_be_seen(tmp_path: Path) -> None:
    control = "import tempfile; tempfile.mkstemp(prefix='.ses')"
    assert len(written_while_running(control, "", tmp_path / "watched")) == 1


def test_the_engine_carries_no_telemetry_client() -> None:
    libraries = list((Path(onnxruntime.__file__).parent / "capi").glob("onnxruntime_pybind11*"))
    assert len(libraries) == 1
    assert CLIENT not in libraries[0].read_bytes()
