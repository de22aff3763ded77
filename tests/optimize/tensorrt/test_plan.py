import sys
from pathlib import Path

import pytest

from edge_runtime.errors import EngineError
from optimize.tensorrt.plan import build_plan, timing_cache


def test_timings_have_a_file_per_device_and_version_in_the_users_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    one = timing_cache("Tesla T4", "10.16.1.11")
    assert one == tmp_path / "edge-inspect" / "tensorrt" / "Tesla-T4-10.16.1.11.timings"
    assert timing_cache("Tesla T4", "11.4.0.106") != one
    assert timing_cache("../../etc", "1").parent == one.parent
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert timing_cache("Tesla T4", "1").is_relative_to(tmp_path / ".cache")


def test_without_polygraphy_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("polygraphy", "polygraphy.backend", "polygraphy.backend.trt"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(EngineError, match=r"edge-inspect\[tensorrt\]"):
        build_plan(tmp_path / "model.onnx", tmp_path / "timings")
