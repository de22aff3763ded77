"""From nothing to a verdict at the MES, with the README's commands at a size that a test allows."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from edge_runtime.bundle import open_bundle
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.mes.links import open_subscriber
from edge_runtime.mes.private_broker import PrivateBroker
from tests.patience import listen_until
from tests.received import by_number


def command(program: str, *arguments: object, folder: Path) -> str:
    """Run a command of ours in `folder`; returns what it said, fails the test if it failed."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name(program)), *map(str, arguments)],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_labelled_crops_become_verdicts_at_the_mes(broker: PrivateBroker, tmp_path: Path) -> None:
    crops = ("--generation", "gen3", "--img-size", 64, "--defect-share", 0.7)
    command(
        "train", "simulate", *crops, "--count", 160, "--seed", 1, "--out", "crops", folder=tmp_path
    )
    fit = ("--data-dir", "crops", "--img-size", 64, "--epochs", 1, "--freeze-epochs", 0)
    command("train", "fit", *fit, "-b", 16, "--output", "run", folder=tmp_path)
    command("train", "export", "run", "--out", "model.onnx", folder=tmp_path)
    build = ("--int8", "model.onnx", "--calibration", "crops", "--validation", "crops")
    # A network of one epoch shows nothing with confidence; the gate has tests of its own.
    build += ("--max-flips", 1, "--min-recall", 0, "--max-false-positives", 1)
    quick = ("--latency-samples", 20)
    command("optimize", "build", *build, *quick, "--out", "bundles", folder=tmp_path)
    bundle = open_bundle(tmp_path / "bundles" / "weld-seam")
    variants = {variant.precision for variant in bundle.manifest.variants}
    assert variants == {"float32", "int8", "int8-tensorrt"}
    assert str(tmp_path) not in bundle.manifest.to_json(), "a bundle names no path of its maker"

    station = ("--station", "L07-S3", "--bundle", bundle.path, "--broker", broker.address)
    source = ("--source", "dir:crops", "--state-dir", "state")
    assert "FAIL" not in command("edge-inspect", "check", *station, *source, folder=tmp_path)
    with closing(open_subscriber(broker.address, "inspection/+/L07/S3/verdict")) as mes:
        said = command("edge-inspect", *station, *source, folder=tmp_path)
        messages = listen_until(mes, lambda seen: len(seen) == 160)
    verdicts = by_number(messages)
    assert [verdict.seq for verdict in verdicts] == list(range(1, 161))
    assert {verdict.model_sha256 for verdict in verdicts} <= set(bundle.manifest.files.values())
    assert any(verdict.verdict is Outcome.NOT_INSPECTED for verdict in verdicts)
    assert "160 frames, 160 verdicts" in said
