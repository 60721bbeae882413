"""What a fold minimises, and the probabilities that a network trained so predicts with: pure functions of logits.

A loss is one number for each row, so that rows have weights and a step can be computed in parts. Targets are floats (n, K): shares of
classes that sum to one, or where a row may have several classes a share of yes for each.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from core.specs.model_settings import LossSettings
from core.specs.recipe import Recipe

EPS = 1e-8
"""The least base of a focusing power: the slope of x ** 0.5 at 0 would be infinite."""
NEWTON_STEPS = 12
"""Of the normaliser of a tempered softmax, which then is exact in float32 (tests/training/test_loss.py)."""


@dataclass(frozen=True)
class Activation:
    """How logits (n, K) become probabilities (n, K): a softmax, or where a row may have several classes a sigmoid for each.

    `t2` above 1 is the tempered softmax, or sigmoid, of the bi-tempered loss: its minimum is at the true probabilities only with that one.
    `one_vs_rest`: the network was taught a yes or no for each class of which a row has one; then the sigmoids are divided by their sum.
    """

    multilabel: bool = False
    one_vs_rest: bool = False
    t2: float = 1.0

    def probabilities(self, logits: Tensor) -> Tensor:
        """Probabilities of the shape of `logits`; in each row they sum to one unless rows may have several classes."""
        if self.t2 != 1:
            return (log_tempered_sigmoid if self.multilabel else log_tempered_softmax)(logits, self.t2).exp()
        if self.multilabel:
            return torch.sigmoid(logits)
        if self.one_vs_rest:
            return torch.softmax(F.logsigmoid(logits), dim=1)
        return torch.softmax(logits, dim=1)


def activation_of(recipe: Recipe, *, multilabel: bool) -> Activation:
    """What a recipe's networks predict with."""
    kind = recipe.loss.kind
    one_vs_rest = not multilabel and kind in ("bce", "asymmetric", "zlpr")
    return Activation(multilabel, one_vs_rest, recipe.loss.t2 if kind == "bi_tempered" else 1.0)


@dataclass(frozen=True)
class Objective:
    """The loss of a fold, made once: `class_weights` (K,), `prior` (K,), which is added to logits while training (logit adjustment), and
    `coarse` (K, n_coarse), with a 1 where a class belongs to a coarse class."""

    settings: LossSettings
    activation: Activation
    class_weights: Tensor | None = None
    prior: Tensor | None = None
    coarse: Tensor | None = None

    @property
    def asks_each_class(self) -> bool:
        """Whether each class is a yes or no of its own."""
        return self.activation.multilabel or self.activation.one_vs_rest


def make_objective(
    recipe: Recipe, class_counts: NDArray[np.float64], n_rows: int, *, multilabel: bool, device: torch.device | None = None
) -> Objective:
    """The loss of a recipe over an epoch of `n_rows` rows, of which `class_counts` (K,) have each class.

    Automatic weights are inverse frequencies, divided so that the mean weight is 1: over the rows where each has one class (as scikit-learn's
    "balanced"), over the classes where a row may have several (as timm's `inv_freq`). Logit adjustment (Menon et al. 2021, arXiv 2007.07314)
    takes tau times the log of each class's share, for a yes or no the log of its odds. A class without rows counts as having one.
    """
    settings, activation = recipe.loss, activation_of(recipe, multilabel=multilabel)
    counts, weights, prior = np.maximum(class_counts, 1), None, None
    if settings.class_weights == "auto":
        weights = np.average(1 / counts, weights=None if multilabel else class_counts) ** -1 / counts
    elif settings.class_weights == "given":
        weights = np.array(settings.given_weights)
    if settings.logit_adjustment:
        others = np.maximum(n_rows - counts, 1) if multilabel or activation.one_vs_rest else n_rows
        prior = settings.logit_adjustment * np.log(counts / others)
    coarse = np.array(settings.coarse_numbers) if settings.coarse and not recipe.model.two_levels else None
    as_tensor = partial(torch.as_tensor, dtype=torch.float32, device=device)
    return Objective(
        settings,
        activation,
        None if weights is None else as_tensor(weights),
        None if prior is None else as_tensor(prior),
        None if coarse is None else as_tensor(np.eye(coarse.max() + 1)[coarse]),
    )


def row_losses(logits: Tensor, targets: Tensor, objective: Objective) -> Tensor:
    """The loss (n,) of each row; of several answers the mean over the classes.

    A class's weight is that of its rows, shared out by the targets, as in torch's `cross_entropy`; multi-label that of its column.
    """
    settings, weights, n_classes = objective.settings, objective.class_weights, logits.shape[1]
    of_row = None if weights is None or objective.activation.multilabel else targets @ weights
    if objective.prior is not None:
        logits = logits + objective.prior
    if settings.smoothing:
        targets = smoothed(targets, settings.smoothing, 0.5 if objective.activation.multilabel else 1 / n_classes)
    if settings.kind == "zlpr":
        losses = zlpr(logits, targets, None if of_row is not None else weights)
    elif objective.asks_each_class:
        answers = answer_losses(logits, targets, settings)
        answers = answers if weights is None or of_row is not None else answers * weights
        losses = answers.mean(dim=1)
    elif settings.kind == "cross_entropy":
        return F.cross_entropy(logits, targets, weight=weights, reduction="none")
    elif settings.kind == "focal":
        return focal(logits, targets, settings.gamma, weights)
    else:
        losses = bi_tempered(log_tempered_softmax(logits, settings.t2), targets, settings.t1)
    return losses if of_row is None else losses * of_row


def coarse_losses(logits: Tensor, targets: Tensor, coarse: Tensor, *, multilabel: bool) -> Tensor:
    """The plain cross-entropy (n,) of a head for coarse classes, logits (n, n_coarse): a coarse class has the targets of its classes together, or
    where a row may have several, at most one yes."""
    of_coarse = (targets @ coarse).clamp(max=1)
    if multilabel:
        return F.binary_cross_entropy_with_logits(logits, of_coarse, reduction="none").mean(dim=1)
    return F.cross_entropy(logits, of_coarse, reduction="none")


def disagreement(logits: Tensor, again: Tensor, objective: Objective) -> Tensor:
    """The symmetric Kullback-Leibler divergence (n,) of two predictions of each row, (KL(p, q) + KL(q, p)) / 2, as R-Drop adds it (Liang et al.
    2021, arXiv 2106.14448); of a yes or no for each class the mean over the classes.

    It is half the sum of (p - q) * (log p - log q), in which logits may stand for logarithms: what normalises a row cancels out.
    """
    if objective.asks_each_class:
        return 0.5 * ((logits.sigmoid() - again.sigmoid()) * (logits - again)).mean(dim=1)
    return 0.5 * ((logits.softmax(dim=1) - again.softmax(dim=1)) * (logits - again)).sum(dim=1)


def plain_losses(logits: Tensor, truth: Tensor, activation: Activation) -> Tensor:
    """The plain cross-entropy (n,) of what a network predicts against the truth (n, K), whatever it minimises."""
    if activation == Activation(multilabel=True):
        return F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean(dim=1)
    if activation == Activation():
        return F.cross_entropy(logits, truth, reduction="none")
    prob = activation.probabilities(logits)
    if activation.multilabel:
        return F.binary_cross_entropy(prob, truth, reduction="none").mean(dim=1)
    return -(truth * prob.clamp(min=torch.finfo(prob.dtype).tiny).log()).sum(dim=1)


def smoothed(targets: Tensor, share: float, uniform: float) -> Tensor:
    """Label smoothing (Szegedy et al. 2016): a share of each target gives way to `uniform`, 1/K of one class, 1/2 of a yes or no."""
    return targets * (1 - share) + share * uniform


def focal(logits: Tensor, targets: Tensor, gamma: float, alpha: Tensor | None) -> Tensor:
    """Focal loss (n,) of a softmax: the term of each class times (1 - p) ** gamma (Lin et al. 2017, arXiv 1708.02002) and `alpha` (K,)."""
    log_prob = logits.log_softmax(dim=1)
    terms = targets * (-log_prob.expm1()).clamp(min=EPS) ** gamma * -log_prob
    return (terms if alpha is None else terms * alpha).sum(dim=1)


def answer_losses(logits: Tensor, targets: Tensor, settings: LossSettings) -> Tensor:
    """The loss (n, K) of each yes or no. Focal (Lin et al. 2017) is asymmetric with one gamma for yes and no."""
    if settings.kind == "focal":
        return asymmetric(logits, targets, settings.gamma, settings.gamma, 0.0)
    if settings.kind == "asymmetric":
        return asymmetric(logits, targets, settings.gamma_pos, settings.gamma_neg, settings.margin)
    if settings.kind == "bi_tempered":
        pairs = log_tempered_softmax(torch.stack([logits, torch.zeros_like(logits)], dim=-1), settings.t2)
        return bi_tempered(pairs, torch.stack([targets, 1 - targets], dim=-1), settings.t1)
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none")


def asymmetric(logits: Tensor, targets: Tensor, gamma_pos: float, gamma_neg: float, margin: float) -> Tensor:
    """Asymmetric loss (n, K) of each yes or no (Ridnik et al. 2021, arXiv 2009.14119): a yes is focused by gamma_pos, a no by gamma_neg,
    and a no that is said with a probability below `margin` counts nothing. On hard targets that of timm, which sums over classes."""
    yes, no = logits.sigmoid(), (-logits).sigmoid()
    of_yes = no.clamp(min=EPS) ** gamma_pos * F.logsigmoid(logits)
    said_no = (no + margin).clamp(torch.finfo(no.dtype).tiny, 1).log() if margin else F.logsigmoid(-logits)
    return -(targets * of_yes + (1 - targets) * (yes - margin).clamp(min=EPS) ** gamma_neg * said_no)


def zlpr(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """ZLPR (n,) of rows with several classes (Su et al. 2022, arXiv 2208.02955): log(1 + sum of exp(-s) over the classes a row has) plus
    log(1 + sum of exp(s) over the others), here each by its share in soft targets, and by `weights` (K,) within the sums.

    It ranks, with 0 between yes and no: the sigmoid of a logit is above 1/2 where a class is given, and no share of rows elsewhere.
    """
    of_class = 1.0 if weights is None else weights
    zero = torch.zeros_like(logits[:, :1])
    yes = torch.cat([zero, (targets * of_class).log() - logits], dim=1).logsumexp(dim=1)
    no = torch.cat([zero, ((1 - targets) * of_class).log() + logits], dim=1).logsumexp(dim=1)
    return yes + no


def bi_tempered(log_prob: Tensor, targets: Tensor, t1: float) -> Tensor:
    """Bi-tempered logistic loss (Amid et al. 2019, arXiv 1906.03361) over the last dimension, of a tempered softmax's logarithm: the Bregman
    divergence of the tempered logarithm, less what depends on soft targets alone. With t1 = t2 = 1 it is the cross-entropy."""
    tempered_log = torch.expm1((1 - t1) * log_prob) / (1 - t1) if t1 != 1 else log_prob
    return -(targets * tempered_log).sum(dim=-1) - (1 - ((2 - t1) * log_prob).exp().sum(dim=-1)) / (2 - t1)


def log_tempered_softmax(logits: Tensor, t2: float) -> Tensor:
    """The logarithm of exp_t2(logits - normaliser) over the last dimension, for t2 >= 1, where exp_t(x) = (1 + (1 - t) x) ** (1 / (1 - t)).

    The normaliser, which makes the sum S of a row 1, is found by Newton's method on S ** (1 - t2), a concave function of it: from the
    largest logit it rises to the solution. Its gradient is the escort distribution p ** t2 / sum(p ** t2).
    """
    if t2 == 1:
        return logits.log_softmax(dim=-1)

    def log_prob(normaliser: Tensor) -> Tensor:
        return torch.log1p((t2 - 1) * (normaliser - logits)) / (1 - t2)

    with torch.no_grad():
        normaliser = logits.amax(dim=-1, keepdim=True)
        for _ in range(NEWTON_STEPS):
            found = log_prob(normaliser)
            total, slope = found.exp().sum(dim=-1, keepdim=True), (t2 * found).exp().sum(dim=-1, keepdim=True)
            normaliser = normaliser + total * torch.expm1((t2 - 1) * total.log()) / ((t2 - 1) * slope)
        escort = torch.softmax(t2 * log_prob(normaliser), dim=-1)
    return log_prob(normaliser + (escort * (logits - logits.detach())).sum(dim=-1, keepdim=True))


def log_tempered_sigmoid(logits: Tensor, t2: float) -> Tensor:
    """The logarithm of the tempered softmax of a logit against 0."""
    return log_tempered_softmax(torch.stack([logits, torch.zeros_like(logits)], dim=-1), t2)[..., 0]
