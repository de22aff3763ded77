import numpy as np
import pytest
import torch
from torch.nn import functional

from train.fitting.draws import drawing_shares
from train.fitting.losses import TrainingLoss, class_weights, focal, generalized, symmetric
from train.fitting.recipe import LOSSES, LossName, Recipe

CPU = torch.device("cpu")
COUNTS = [2, 90, 8]
LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, -3.0], [-2.0, 4.0, 1.0]])
CLASSES = torch.tensor([0, 2, 1])
P = torch.softmax(LOGITS.double(), dim=1)[range(3), CLASSES].numpy()
"""Probability of each true class."""


def test_focal_is_its_formula_and_without_gamma_the_cross_entropy() -> None:
    np.testing.assert_allclose(focal(LOGITS, CLASSES, 2.0), -((1 - P) ** 2) * np.log(P), rtol=1e-5)
    plain = functional.cross_entropy(LOGITS, CLASSES, reduction="none")
    torch.testing.assert_close(focal(LOGITS, CLASSES, 0.0), plain)


def test_generalized_runs_from_the_cross_entropy_to_the_mean_absolute_error() -> None:
    np.testing.assert_allclose(generalized(LOGITS, CLASSES, 0.7), (1 - P**0.7) / 0.7, rtol=1e-5)
    np.testing.assert_allclose(generalized(LOGITS, CLASSES, 1.0), 1 - P, rtol=1e-5)
    np.testing.assert_allclose(generalized(LOGITS, CLASSES, 1e-4), -np.log(P), rtol=1e-3)


def test_symmetric_is_half_of_each_direction() -> None:
    expected = (-np.log(P) + 4 * (1 - P)) / 2
    np.testing.assert_allclose(symmetric(LOGITS, CLASSES, 0.0), expected, rtol=1e-5)


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.999])
def test_class_weights_fall_with_the_effective_number_and_have_a_mean_of_1(beta: float) -> None:
    shares = drawing_shares(COUNTS, 1.0)
    weights = class_weights(np.array(COUNTS), shares, beta)
    effective = np.array([sum(beta**i for i in range(count)) for count in COUNTS])
    np.testing.assert_allclose(weights / weights[0], effective[0] / effective, rtol=1e-6)
    assert float(weights @ shares) == pytest.approx(1)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_has_a_gradient_however_sure_or_wrong_the_network_is(name: LossName) -> None:
    recipe = Recipe(loss=name, focal_gamma=0.5)
    loss = TrainingLoss(recipe, COUNTS, drawing_shares(COUNTS, 0.5), CPU)
    logits = torch.tensor([[500.0, 0.0, 0.0], [0.0, 500.0, 0.0]], requires_grad=True)
    value = loss(logits, torch.tensor([0, 2]))
    value.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(value)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("name", LOSSES)
def test_the_undecided_loss_is_that_of_equal_logits_over_the_draws(name: LossName) -> None:
    shares = drawing_shares(COUNTS, 1.0)
    loss = TrainingLoss(Recipe(loss=name), COUNTS, shares, CPU)
    drawn = torch.from_numpy(np.repeat([0, 1, 2], COUNTS))
    assert loss.undecided() == pytest.approx(float(loss(torch.zeros(100, 3), drawn)), rel=1e-5)


def test_the_adjusted_loss_of_equal_logits_is_the_entropy_of_the_draws() -> None:
    shares = drawing_shares(COUNTS, 1.0)
    loss = TrainingLoss(Recipe(smoothing=0.0), COUNTS, shares, CPU)
    assert loss.undecided() == pytest.approx(-float(shares @ np.log(shares)), rel=1e-5)


def test_a_wrong_label_pulls_less_under_the_robust_losses_and_an_easy_image_under_focal() -> None:
    def pull(name: LossName, margin: float) -> float:
        recipe = Recipe(loss=name, logit_adjustment=0.0, smoothing=0.0)
        loss = TrainingLoss(recipe, [1, 1], np.array([0.5, 0.5]), CPU)
        logits = torch.tensor([[margin, 0.0]], requires_grad=True)
        loss(logits, torch.tensor([0])).backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None
        return float(logits.grad.norm())

    assert pull("generalized", -4) < 0.2 * pull("cross-entropy", -4)
    assert pull("symmetric", -4) < 0.8 * pull("cross-entropy", -4)
    assert pull("focal", 4) < 0.2 * pull("cross-entropy", 4)
