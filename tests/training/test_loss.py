"""Losses against the formulas of their papers, torch and timm; what they share; and what their networks predict with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from timm.loss.asymmetric_loss import AsymmetricLossMultiLabel
from timm.loss.zlpr_loss import ZlprLoss
from torch import Tensor

from core.base.errors import RecipeError
from core.data.batches import Batch
from core.specs.model_settings import LossSettings
from core.specs.recipe import Recipe
from core.training.loss import Activation, Objective, activation_of, log_tempered_softmax, make_objective, plain_losses, row_losses
from core.training.setup import set_up
from core.training.step import cut_micro_batches, train_step
from core.training.task import check_classes
from tests.training.small_tasks import N_ROWS, TEXT, make_task, recipe_of

KINDS: dict[str, dict[str, Any]] = {
    "cross-entropy": {"smoothing": 0.1, "class_weights": "auto"},
    "given weights": {"class_weights": "given", "given_weights": [1, 2, 0.5]},
    "logit adjustment": {"logit_adjustment": 1.0},
    "focal": {"kind": "focal", "gamma": 0.5, "class_weights": "given", "given_weights": [1, 2, 0.5]},
    "bi-tempered": {"kind": "bi_tempered", "t1": 0.7, "t2": 1.3, "smoothing": 0.1},
    "bce": {"kind": "bce", "class_weights": "auto"},
    "asymmetric": {"kind": "asymmetric", "gamma_neg": 0.5},
    "zlpr": {"kind": "zlpr", "class_weights": "auto"},
}
LABELS = torch.tensor([0, 2, 1, 1, 3, 0, 0, 2])
COUNTS = np.array([3.0, 2.0, 2.0, 1.0])


def objective(multilabel: bool = False, counts: np.ndarray = COUNTS, n_rows: int = 8, **loss: Any) -> Objective:
    return make_objective(Recipe.model_validate({"loss": loss}), counts, n_rows, multilabel=multilabel)


def some_logits(n: int = 8, k: int = 4, scale: float = 3.0) -> Tensor:
    return torch.randn(n, k, generator=torch.Generator().manual_seed(n * k)) * scale


def one_hot(labels: Tensor = LABELS, k: int = 4) -> Tensor:
    return F.one_hot(labels, k).float()


def several() -> Tensor:
    return (torch.rand(8, 4, generator=torch.Generator().manual_seed(1)) < 0.4).float()


def mixed() -> Tensor:
    return 0.7 * one_hot() + 0.3 * one_hot().roll(1, 0)


def bisected(logits: np.ndarray, t2: float) -> np.ndarray:
    """The tempered softmax (n, K), its normaliser found by a hundred halvings in float64."""

    def prob(normaliser: np.ndarray) -> np.ndarray:
        return np.exp(np.log1p((t2 - 1) * (normaliser - logits)) / (1 - t2))

    low = logits.max(axis=1, keepdims=True)
    high = low + (logits.shape[1] ** (t2 - 1) - 1) / (t2 - 1)  # there even K equal logits have a sum of one
    for _ in range(100):
        middle = (low + high) / 2
        is_low = prob(middle).sum(axis=1, keepdims=True) > 1
        low, high = np.where(is_low, middle, low), np.where(is_low, high, middle)
    return prob(low)


@pytest.mark.parametrize("t2", [1.001, 1.1, 1.4, 2.0, 4.0])
@pytest.mark.parametrize(("k", "scale"), [(2, 1.0), (4, 0.0), (18, 10.0), (396, 1.0), (396, 30.0), (2000, 100.0)])
def test_a_tempered_softmax_is_that_of_a_bisected_normaliser(t2: float, k: int, scale: float) -> None:
    logits = some_logits(16, k, scale).double()
    prob = log_tempered_softmax(logits, t2).exp()
    np.testing.assert_allclose(prob, bisected(logits.numpy(), t2), rtol=1e-6, atol=1e-9)
    if t2 <= 2:
        np.testing.assert_allclose(log_tempered_softmax(logits.float(), t2).exp(), prob, rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize("k", [2, 5])
def test_the_gradient_of_a_tempered_softmax_is_that_of_its_formula(k: int) -> None:
    logits = some_logits(3, k).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda given: log_tempered_softmax(given, 1.3), logits)


def test_a_bi_tempered_loss_is_the_bregman_divergence_of_its_paper() -> None:
    t1, t2, logits = 0.6, 1.4, some_logits()
    found = row_losses(logits, one_hot(), objective(kind="bi_tempered", t1=t1, t2=t2)).numpy()
    prob, truth = bisected(logits.double().numpy(), t2), one_hot().numpy()

    def log_t(x: np.ndarray) -> np.ndarray:
        return (x ** (1 - t1) - 1) / (1 - t1)

    expected = truth * (log_t(truth) - log_t(prob)) - (truth ** (2 - t1) - prob ** (2 - t1)) / (2 - t1)
    np.testing.assert_allclose(found, expected.sum(axis=1), rtol=1e-4)
    assert found.max() <= 1 / (1 - t1), "t1 below 1 bounds what a wrong label costs"


@pytest.mark.parametrize("multilabel", [False, True])
@pytest.mark.parametrize("neutral", [{"kind": "bi_tempered", "t1": 1, "t2": 1}, {"kind": "focal", "gamma": 0}])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_neutral_settings_are_the_cross_entropy_on_soft_targets_too(neutral: dict[str, Any], smoothing: float, multilabel: bool) -> None:
    logits, targets = some_logits(), several() if multilabel else mixed()
    plain = row_losses(logits, targets, objective(multilabel, smoothing=smoothing))
    torch.testing.assert_close(row_losses(logits, targets, objective(multilabel, **neutral, smoothing=smoothing)), plain)


def test_weights_and_smoothing_are_those_of_torch() -> None:
    logits, weights = some_logits(), [1.0, 2.0, 0.0, 0.5]
    given: dict[str, Any] = {"class_weights": "given", "given_weights": weights}
    for targets in (one_hot(), mixed()):
        expected = F.cross_entropy(logits, targets, weight=torch.tensor(weights), label_smoothing=0.2, reduction="none")
        torch.testing.assert_close(row_losses(logits, targets, objective(**given, smoothing=0.2)), expected)
    of_row = torch.tensor(weights)[LABELS]
    for kind in ("focal", "bi_tempered", "bce", "asymmetric"):
        plain = row_losses(logits, one_hot(), objective(kind=kind))
        torch.testing.assert_close(row_losses(logits, one_hot(), objective(kind=kind, **given)), plain * of_row)
        cells = [row_losses(logits, several(), objective(True, kind=kind, class_weights="given", given_weights=row)) for row in np.eye(4)]
        together = row_losses(logits, several(), objective(True, kind=kind, **given))
        torch.testing.assert_close(together, sum(weight * cell for weight, cell in zip(weights, cells, strict=True)))


def test_automatic_weights_are_inverse_frequencies_with_a_mean_of_one() -> None:
    one, many = objective(class_weights="auto").class_weights, objective(True, class_weights="auto").class_weights
    assert one is not None and many is not None
    np.testing.assert_allclose(one, 8 / (4 * COUNTS), rtol=1e-6)  # scikit-learn's "balanced"
    np.testing.assert_allclose(many, (1 / COUNTS) / (1 / COUNTS).mean(), rtol=1e-6)
    unseen = objective(counts=np.array([6.0, 2.0, 0.0]), class_weights="auto").class_weights
    assert unseen is not None
    assert np.average(unseen, weights=[6, 2, 0]) == pytest.approx(1)


def test_focal_loss_by_hand() -> None:
    logits, gamma, alpha = some_logits(), 4.19, torch.tensor([0.25, 1.0, 1.0, 2.0])
    prob = logits.double().softmax(1)[torch.arange(8), LABELS]
    found = row_losses(logits, one_hot(), objective(kind="focal", gamma=gamma, class_weights="given", given_weights=alpha.tolist()))
    torch.testing.assert_close(found.double(), alpha[LABELS] * -((1 - prob) ** gamma) * prob.log(), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("gamma_pos", "gamma_neg", "margin"), [(0, 4, 0.05), (1, 4, 0.0), (2, 2, 0.2), (0, 0, 0)])
def test_an_asymmetric_loss_is_that_of_timm(gamma_pos: float, gamma_neg: float, margin: float) -> None:
    logits = some_logits()
    loss = objective(True, kind="asymmetric", gamma_pos=gamma_pos, gamma_neg=gamma_neg, margin=margin)
    theirs = AsymmetricLossMultiLabel(gamma_neg, gamma_pos, clip=margin, reduction="none")
    torch.testing.assert_close(row_losses(logits, several(), loss), theirs(logits, several()).mean(1), rtol=1e-4, atol=1e-6)


def test_zlpr_is_that_of_timm_and_of_the_pairs_of_its_paper() -> None:
    logits, targets, loss = some_logits(), several(), objective(True, kind="zlpr")
    found = row_losses(logits, targets, loss)
    torch.testing.assert_close(found.mean(), ZlprLoss()(logits, targets))
    for row, (scores, has) in enumerate(zip(logits.double(), targets.bool(), strict=True)):
        yes, no = scores[has], scores[~has]
        pairs = sum((other - own).exp() for own in yes for other in no)  # equation 5: every pair, and 0 against each
        torch.testing.assert_close(found[row].double(), torch.log(1 + pairs + (-yes).exp().sum() + no.exp().sum()), check_dtype=False)
    best = row_losses(40 * (2 * targets - 1), targets, loss)
    assert best.max() < 1e-6, "least where logits above 0 are the classes that a row has"
    assert activation_of(Recipe.model_validate({"loss": {"kind": "zlpr"}}), multilabel=True) == Activation(multilabel=True)


def test_logit_adjustment_adds_the_log_of_each_share() -> None:
    logits, tau = some_logits(), 1.5
    adjusted = row_losses(logits, one_hot(), objective(logit_adjustment=tau))
    torch.testing.assert_close(adjusted, F.cross_entropy(logits + tau * torch.tensor(COUNTS / 8).float().log(), LABELS, reduction="none"))
    log_odds = torch.tensor(np.log(COUNTS / (8 - COUNTS))).float()
    for multilabel, targets in ((True, several()), (False, one_hot())):
        found = row_losses(logits, targets, objective(multilabel, kind="bce", logit_adjustment=tau))
        torch.testing.assert_close(found, F.binary_cross_entropy_with_logits(logits + tau * log_odds, targets, reduction="none").mean(1))


@pytest.mark.parametrize("multilabel", [False, True])
@pytest.mark.parametrize("loss", KINDS.values(), ids=list(KINDS))
def test_saturated_logits_have_a_finite_loss_and_gradient(loss: dict[str, Any], multilabel: bool) -> None:
    counts, targets = COUNTS[:3], (several() if multilabel else mixed())[:, :3]
    logits = torch.tensor([[0.0, 0.0, 0.0], [60.0, -60.0, 0.0], [-200.0, 200.0, 1e-4]]).repeat(3, 1)[:8].requires_grad_()
    losses = row_losses(logits, targets, objective(multilabel, counts, **loss))
    losses.sum().backward()
    assert losses.shape == (8,) and losses.isfinite().all() and logits.grad is not None and logits.grad.isfinite().all()


@pytest.mark.parametrize("multilabel", [False, True])
@pytest.mark.parametrize("loss", KINDS.values(), ids=list(KINDS))
def test_every_loss_of_a_row_is_its_own(loss: dict[str, Any], multilabel: bool) -> None:
    """So that a step can be computed in parts, and a row can have a weight."""
    logits, targets = some_logits()[:, :3], (several() if multilabel else mixed())[:, :3]
    of = objective(multilabel, COUNTS[:3], **loss)
    alone = [row_losses(logits[row : row + 1], targets[row : row + 1], of) for row in range(8)]
    torch.testing.assert_close(row_losses(logits, targets, of), torch.cat(alone))


@pytest.mark.parametrize("multilabel", [False, True])
@pytest.mark.parametrize("kind", ["bi_tempered", "bce", "cross_entropy"])
def test_a_loss_is_least_where_its_predictions_are_the_true_shares(kind: str, multilabel: bool) -> None:
    """Proper (Amid et al. 2019, section 3): among logits that are free, those of the least mean loss predict how often each class is right."""
    shares = torch.tensor([[0.5, 0.3, 0.15, 0.05]])
    recipe = Recipe.model_validate({"loss": {"kind": kind} | ({"t1": 0.7, "t2": 1.5} if kind == "bi_tempered" else {})})
    activation = activation_of(recipe, multilabel=multilabel)
    logits = torch.zeros(1, 4, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=300, tolerance_grad=1e-9, tolerance_change=1e-12, line_search_fn="strong_wolfe")

    def mean_loss() -> Tensor:  # these losses are linear in their targets
        optimizer.zero_grad()
        loss = row_losses(logits, shares, Objective(recipe.loss, activation)).sum()
        loss.backward()
        return loss

    optimizer.step(mean_loss)
    torch.testing.assert_close(activation.probabilities(logits.detach()), shares, rtol=2e-3, atol=2e-4)


def test_the_plain_loss_is_the_cross_entropy_of_what_is_predicted() -> None:
    logits = some_logits()
    for activation in (Activation(), Activation(one_vs_rest=True), Activation(t2=1.3)):
        prob = activation.probabilities(logits)
        torch.testing.assert_close(prob.sum(1), torch.ones(8))
        torch.testing.assert_close(plain_losses(logits, one_hot(), activation), -prob[torch.arange(8), LABELS].log())
    for activation in (Activation(multilabel=True), Activation(multilabel=True, t2=1.3)):
        expected = F.binary_cross_entropy(activation.probabilities(logits), several(), reduction="none").mean(1)
        torch.testing.assert_close(plain_losses(logits, several(), activation), expected)


def test_settings_of_another_loss_are_refused_and_so_are_numbers_for_other_classes() -> None:
    for loss in ({"gamma": 3}, {"t2": 1.3}, {"given_weights": [1, 2]}, {"kind": "bi_tempered", "logit_adjustment": 1}):
        with pytest.raises(ValueError, match="is only used with"):
            Recipe.model_validate({"loss": loss})
    for loss in ({"class_weights": "given"}, {"class_weights": "given", "given_weights": [1, -1]}):
        with pytest.raises(ValueError, match="weight"):
            Recipe.model_validate({"loss": loss})
    recipe = Recipe.model_validate({"loss": {"class_weights": "given", "given_weights": [1, 2]}})
    check_classes(recipe, ("a", "b"), multilabel=False)
    with pytest.raises(RecipeError, match="2 values for 3 classes"):
        check_classes(recipe, ("a", "b", "c"), multilabel=False)
    assert LossSettings(kind="focal", gamma=4.19).gamma == 4.19


def overfitted(folder: Path, loss: dict[str, Any], *, multilabel: bool) -> tuple[float, float]:
    """The plain loss of the first and of the last of some steps on one batch."""
    labels = np.eye(3, dtype=np.int8)[np.arange(N_ROWS) % 3] if multilabel else np.arange(N_ROWS) % 3
    recipe = recipe_of(TEXT, loss=loss, model={"dropout": 0.0}, optim={"lr": 0.01})
    task = make_task(folder, recipe, labels=labels, is_multilabel=multilabel)
    setup, rows = set_up(task), np.arange(9, 17)
    (batch,) = setup.loader.load(1, [rows])
    found = [train_step(task, setup, cut_micro_batches(task, rows), iter([Batch(batch)]), 1, 1).log_loss for _ in range(40)]
    return found[0], found[-1]


@pytest.mark.parametrize("multilabel", [False, True], ids=["one", "several"])
@pytest.mark.parametrize("loss", KINDS.values(), ids=list(KINDS))
def test_every_loss_overfits_one_batch(loss: dict[str, Any], multilabel: bool, tmp_path: Path) -> None:
    first, last = overfitted(tmp_path, loss, multilabel=multilabel)
    assert last < 0.5 * first
