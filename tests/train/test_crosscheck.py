"""The second builder, with torch's own network in the compiler's place: torch-tensorrt needs a GPU."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from edge_runtime.bundle import Bundle, open_bundle
from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.errors import EngineError
from optimize.cli.main import main as optimize
from train.cli.main import main
from train.crosscheck import crosscheck, torch_tensorrt
from train.errors import RunError
from train.fitting.run import Means
from train.run_folder import RunFolder


@pytest.fixture(scope="session")
def built(
    exported_model: Path, folder_of_images: Path, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    out = tmp_path_factory.mktemp("bundles") / "tiny" / "1.0.0"
    columns = ["--path-column", "file", "--label-column", "kind", "--group-column", "serial"]
    rows = str(folder_of_images / "rows.csv")
    words = ["build", str(exported_model), "--calibration", rows, "--latency-samples", "1"]
    assert optimize([*words, *columns, "--out", str(out)]) == 0
    return open_bundle(out)


def as_it_is(network: nn.Module, _size: InputSpec) -> nn.Module:
    return network


class Turned(nn.Module):
    """The control: a compiler that mixes the classes up."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        answers: torch.Tensor = self.network(images).roll(1, dims=1)
        return answers


def test_a_faithful_compiler_changes_no_verdict_and_one_that_mixes_classes_up_is_seen(
    finished_run: RunFolder, built: Bundle
) -> None:
    means = Means(device="cpu")
    found = crosscheck(finished_run, built, means, as_it_is, engine="onnxruntime")
    assert found.images > 0
    assert found.flips == ()
    assert found.engine.startswith("float32 on onnxruntime")
    turned = crosscheck(
        finished_run, built, means, lambda net, _size: Turned(net), engine="onnxruntime"
    )
    assert turned.flips


def test_a_bundle_of_another_run_is_refused(finished_run: RunFolder, built: Bundle) -> None:
    model = built.manifest.model
    other = model.model_copy(update={"provenance": {**model.provenance, "weights_sha256": "0"}})
    bundle = Bundle(path=built.path, manifest=built.manifest.model_copy(update={"model": other}))
    with pytest.raises(RunError, match="was not built from the best weights"):
        crosscheck(finished_run, bundle, Means(device="cpu"), as_it_is, engine="onnxruntime")


def test_without_torch_tensorrt_one_line_says_what_to_install(
    finished_run: RunFolder,
    built: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "torch_tensorrt", None)
    with pytest.raises(EngineError, match="pip install torch-tensorrt"):
        torch_tensorrt()
    code = main(["crosscheck", str(finished_run.path), "--bundle", str(built.path)])
    assert code == EngineError.exit_code
    assert capsys.readouterr().err.count("\n") == 1
