from pathlib import Path

import numpy as np
import pytest
import torch

from edge_runtime.contracts.manifest import InputSpec
from train.errors import RunError, WeightsError
from train.fitting import backbones
from train.run_folder import RunFolder

SIZES = [InputSpec(height=32, width=32)]
TINY = "test_efficientnet"
LABELS = ("crack", "no_defect", "stain")


def build(classes: int = 3, model: str = TINY) -> torch.nn.Module:
    return backbones.build(model, classes, SIZES)


def weights_equal(a: torch.nn.Module, b: torch.nn.Module, *, head: bool) -> bool:
    """Whether all are, but for the first layer, which is fitted to the input."""
    theirs = b.state_dict()
    return all(
        torch.equal(value, theirs[name])
        for name, value in a.state_dict().items()
        if not name.startswith(("conv_stem", "bn1")) and (head or not name.startswith("classifier"))
    )


def test_normalisation_is_the_formula_of_the_input_spec() -> None:
    frames = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).repeat(1, 1, 1, 3)
    normalised = backbones.normalise(frames, SIZES[0])
    assert normalised.shape == (1, 3, 16, 16)
    assert normalised.is_contiguous(memory_format=torch.channels_last)
    expected = (np.arange(256, dtype=np.float32) - 128) * np.float32(1 / 127.5)
    np.testing.assert_array_equal(normalised[0, 1].flatten().numpy(), expected)
    assert frames.flatten()[3] == 1


def test_a_fresh_head_is_undecided() -> None:
    torch.manual_seed(0)
    with torch.inference_mode():
        logits = build()(torch.randn(4, 3, 32, 32))
    assert logits.shape == (4, 3)
    assert logits.abs().max() < 1


def test_an_unknown_model_is_refused_with_near_names() -> None:
    with pytest.raises(WeightsError, match=r"no model 'efficientnet_litle0'; did you mean .*lite0"):
        build(model="efficientnet_litle0")


def test_a_tag_that_timm_does_not_know_is_refused() -> None:
    with pytest.raises(
        WeightsError, match=r"cannot make resnet18\.nonesuch: Invalid pretrained tag"
    ):
        build(model="resnet18.nonesuch")


def test_paths_can_be_dropped_where_there_are_any() -> None:
    backbones.build("test_resnet", 3, SIZES, drop_path=0.1)
    with pytest.raises(WeightsError, match="vgg11 has no paths to drop"):
        backbones.build("vgg11", 3, SIZES, drop_path=0.1)


def test_a_size_that_the_model_does_not_take_is_refused() -> None:
    with pytest.raises(WeightsError, match="vit_tiny_patch16_224 does not take images of 32x32"):
        build(model="vit_tiny_patch16_224")


@pytest.mark.parametrize("classes", [3, 7])
def test_a_weights_file_fills_the_backbone_and_a_head_of_its_size(
    tmp_path: Path, classes: int
) -> None:
    donor = build(classes)
    torch.save(donor.state_dict(), tmp_path / "donor.pth")
    network = build()
    assert backbones.load_initial(network, TINY, str(tmp_path / "donor.pth"), LABELS) == (
        "file donor.pth"
    )
    assert weights_equal(network, donor, head=classes == 3)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save(build(model="test_resnet").state_dict(), tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"made for another network: .*check --model"):
        backbones.load_initial(build(), TINY, str(tmp_path / "other.pth"), LABELS)


def test_a_source_that_is_nothing_names_the_choices() -> None:
    with pytest.raises(WeightsError, match=r"expected imagenet, scratch, a \.pth"):
        backbones.load_initial(build(), TINY, "imagnet", LABELS)


@pytest.mark.parametrize("labels", [LABELS, ("crack", "good", "stain")])
def test_an_earlier_run_gives_its_head_to_the_same_labels_only(
    finished_run: RunFolder, labels: tuple[str, ...]
) -> None:
    network = build()
    origin = backbones.load_initial(network, TINY, str(finished_run.path), labels)
    assert origin == "run first (itself from scratch)"
    best = backbones.load_best(finished_run)
    state = network.state_dict()
    assert torch.equal(state["conv_stem.weight"], best["conv_stem.weight"])
    same = torch.equal(state["classifier.weight"], best["classifier.weight"])
    assert same == (labels == LABELS)


def test_a_run_of_another_model_is_refused(finished_run: RunFolder) -> None:
    with pytest.raises(WeightsError, match="trained test_efficientnet, not test_resnet"):
        backbones.load_initial(
            build(model="test_resnet"), "test_resnet", str(finished_run.path), LABELS
        )


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run folder"):
        backbones.load_initial(build(), TINY, str(tmp_path), LABELS)
