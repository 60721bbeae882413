"""From the rows of an epoch to the loss of a step, each seam one function: order, steps, mixing, loss, step.

A fold does this thousands of times, a dry run a few times; both call these functions.
"""

import math
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from core.base.messages import msg
from core.data.batches import Batch, batches_of, group_by_length
from core.data.mixing import mix_rows, mix_texts
from core.data.randomness import permutation, seed_mix, seed_step
from core.specs.model_settings import AdversarialSettings
from core.specs.recipe import Recipe
from core.training.failures import not_a_number
from core.training.loss import coarse_losses, disagreement, plain_losses, row_losses
from core.training.optim import clip_gradients
from core.training.precision import LEAST_SCALE
from core.training.sampling import draw, group_rows
from core.training.setup import Setup, Targets
from core.training.task import FoldTask
from models.spec import Classifier
from models.text import TextClassifier

TINY = torch.finfo(torch.float32).tiny

MicroBatches = Sequence[NDArray[np.int64]]
"""The rows of one step, cut into what is computed at once."""


@dataclass(frozen=True)
class Part:
    """A micro-batch, loaded: inputs of the network, targets (n, K), weights (n,), and the truth as targets (n, K).

    The truth of a mixed row are the shares of its classes, or multi-label the mixed answers."""

    inputs: Batch
    targets: Tensor
    weights: Tensor
    truth: Tensor


def order_rows(task: FoldTask, epoch: int, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The training rows that an epoch takes, in their order; which, and in which order, derives from (seed, fold, epoch), and from the
    `lengths` of all rows where the recipe groups by them."""
    train, train_idx = task.recipe.train, np.asarray(task.train_idx, dtype=np.int64)
    taken = draw(group_rows(task.recipe.sampling, task.labels[train_idx]), train.seed, task.fold, epoch)
    order = train_idx[taken[permutation(train.seed, task.fold, epoch, len(taken))]]
    if train.group_by_length:
        return group_by_length(order, lengths, train.batch_size, seed=train.seed, fold=task.fold, epoch=epoch)
    return order


def cut_steps(task: FoldTask, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return batches_of(rows, task.recipe.train.batch_size)


def cut_micro_batches(task: FoldTask, rows: NDArray[np.int64]) -> MicroBatches:
    """The rows of a step as what is computed at once."""
    return batches_of(rows, task.micro_batch)


def put_together(task: FoldTask, targets: Targets, batches: Sequence[Batch], epoch: int, step: int) -> list[Part]:
    """The micro-batches of one step with their targets and weights; where the recipe says so its rows are mixed with each other.

    This sees the whole step, and mixing derives from (seed, fold, epoch, step), so its result does not depend on the size of the micro-batches.
    """
    parts = [Part(batch, targets.of(batch["row"]), targets.weights[batch["row"]], targets.truth(batch["row"])) for batch in batches]
    return _mixed(task, parts, epoch, step) if task.recipe.is_mixed(epoch) else parts


def _mixed(task: FoldTask, parts: Sequence[Part], epoch: int, step: int) -> list[Part]:
    """The parts of a step with inputs, targets, truth and weights mixed. A mixed row teaches what its two rows would teach by their weights:
    targets are mixed as weight times target, and divided by the mixed weight."""
    weights, n_classes = torch.cat([part.weights for part in parts])[:, None], parts[0].targets.shape[1]
    labels = torch.cat([weights * torch.cat([part.targets for part in parts]), torch.cat([part.truth for part in parts]), weights], dim=1)
    seed_mix(task.recipe.train.seed, task.fold, epoch, step)
    sizes = [len(part.weights) for part in parts]
    if task.recipe.modality == "text":
        inputs, labels = mix_texts([part.inputs for part in parts], labels, task.recipe.augment)
    else:
        images, labels = mix_rows(torch.cat([part.inputs["image"] for part in parts]), labels, task.recipe.augment)
        inputs = [{**part.inputs, "image": image} for part, image in zip(parts, images.split(sizes), strict=True)]
    weighted, truth, weights = labels.split([n_classes, n_classes, 1], dim=1)
    targets = weighted / weights.clamp_min(torch.finfo(weights.dtype).tiny)
    return [Part(*piece) for piece in zip(inputs, *(tensor.split(sizes) for tensor in (targets, weights[:, 0], truth)), strict=True)]


@dataclass(frozen=True)
class StepLoss:
    """Means over the rows of a step: `objective` is what was minimised, `log_loss` the plain cross-entropy against the truth. `n_right` rows
    were right: of a mixed row the class with the larger share is expected, multi-label every class with more than half."""

    objective: float
    log_loss: float
    n_right: int


def train_step(task: FoldTask, setup: Setup, micro_batches: MicroBatches, batches: Iterator[Batch], epoch: int, step: int) -> StepLoss:
    """Learn from the rows of one step, whose micro-batches come next out of `batches`.

    Where the recipe is adversarial the step is computed again with perturbed weights; what is said of it is of the weights as they were.
    Raises RecipeError when the loss is no longer a number.
    """
    recipe, model = task.recipe, setup.model
    setup.optimizer.zero_grad(set_to_none=True)
    parts = put_together(task, setup.targets, list(islice(batches, len(micro_batches))), epoch, step)
    learned = _learn(task, setup, parts, epoch, step)
    where = msg("fold {fold}, epoch {epoch}, step {step}", fold=task.fold, epoch=epoch, step=step)
    if not math.isfinite(learned.objective):
        raise not_a_number(recipe, where)
    if recipe.is_adversarial(epoch):
        with perturbed(model, recipe.adversarial):
            _learn(task, setup, parts, epoch, step)
    take_step(model, setup.optimizer, setup.scaler, recipe, where)
    if setup.average is not None:
        setup.average.update_parameters(model)
    return learned


def take_step(model: nn.Module, optimizer: torch.optim.Optimizer, scaler: GradScaler, recipe: Recipe, where: str) -> None:
    """Change the weights by the gradients that they have, clipped as the recipe says. Raises RecipeError where those of fp16 stay infinite."""
    scaler.unscale_(optimizer)
    if recipe.optim.clip_norm:
        clip_gradients(model, recipe.optim.clip_norm)
    scaler.step(optimizer)
    scaler.update()
    if scaler.get_scale() < LEAST_SCALE:
        raise not_a_number(recipe, where)


def _learn(task: FoldTask, setup: Setup, parts: Sequence[Part], epoch: int, step: int) -> StepLoss:
    """Add the gradient of a step's loss to what the parameters have, one micro-batch after the other.

    A row counts by its weight; a step is divided by its number of rows, so that rows of little weight make a small step.
    Dropout derives from (seed, fold, epoch, step, micro-batch).
    """
    n_rows, objective, log_loss, n_right, device = sum(len(part.weights) for part in parts), 0.0, 0.0, 0, setup.device
    for number, part in enumerate(parts):
        seed_step(task.recipe.train.seed, task.fold, epoch, step, number)
        inputs = {name: tensor.to(device, non_blocking=True) for name, tensor in part.inputs.items()}
        losses, logits = _losses(setup, inputs, part.targets.to(device))
        loss = (losses * part.weights.to(device)).sum() / n_rows
        setup.scaler.scale(loss).backward()
        said, truth = logits.detach(), part.truth.to(device)
        plain = plain_losses(said, truth, setup.objective.activation).sum() / n_rows
        is_right = ((said > 0) == (truth > 0.5)).all(dim=1) if task.is_multilabel else said.argmax(dim=1) == truth.argmax(dim=1)
        of_part = torch.stack([loss.detach(), plain, is_right.sum()]).tolist()  # one wait for the device
        objective, log_loss, n_right = objective + of_part[0], log_loss + of_part[1], n_right + int(of_part[2])
    return StepLoss(objective, log_loss, n_right)


def _losses(setup: Setup, inputs: Batch, targets: Tensor) -> tuple[Tensor, Tensor]:
    """What is minimised for each row (n,), and logits (n, K) in float32. With R-Drop both are computed under a second dropout mask: the loss is
    the mean of the two and alpha times their disagreement, as in the authors' code."""
    settings, alpha = setup.objective.settings, setup.objective.settings.rdrop

    def once() -> tuple[Tensor, Tensor]:
        if setup.objective.coarse is None:
            with setup.precision.autocast(setup.device):
                logits = setup.model(inputs).float()
            return row_losses(logits, targets, setup.objective), logits
        assert isinstance(setup.model, TextClassifier)  # only a recipe for texts names coarse classes
        with setup.precision.autocast(setup.device):
            logits, coarse = (both.float() for both in setup.model.forward_both(inputs))
        of_coarse = coarse_losses(coarse, targets, setup.objective.coarse, multilabel=setup.objective.activation.multilabel)
        return row_losses(logits, targets, setup.objective) + settings.coarse_weight * of_coarse, logits

    losses, logits = once()
    if not alpha:
        return losses, logits
    others, again = once()
    return (losses + others) / 2 + alpha * disagreement(logits, again, setup.objective), logits


@contextmanager
def perturbed(model: Classifier, settings: AdversarialSettings) -> Generator[None]:
    """Inside, weights are where the loss of a step is larger, by the gradient that they have of it; then they are as they were, bit by bit.

    FGM adds epsilon * g / ||g|| to the word embeddings, and their gradient stays, so that the one found inside is added to it (Miyato et al.
    2017, arXiv 1605.07725, as it is commonly done: on the matrix and over the rows of a step). AWP adds gamma * ||w|| * g / ||g|| to each matrix
    w, and all gradients are dropped, so that the one found inside takes their place (Wu et al. 2020, arXiv 2004.05884).
    """
    is_fgm = settings.kind == "fgm"
    if is_fgm:
        assert isinstance(model, TextClassifier)  # refused by the recipe
        moved = [model.word_embeddings().weight]
    else:
        moved = [parameter for parameter in model.parameters() if parameter.ndim > 1 and parameter.grad is not None]
    before = [parameter.detach().clone() for parameter in moved]
    with torch.no_grad():
        for parameter in moved:
            assert parameter.grad is not None  # it learns: `set_up` has looked
            size = settings.epsilon if is_fgm else settings.gamma * parameter.norm()
            parameter.add_(parameter.grad * (size / parameter.grad.norm().clamp_min(TINY)))
    if not is_fgm:
        model.zero_grad(set_to_none=True)
    yield
    with torch.no_grad():
        for parameter, was in zip(moved, before, strict=True):
            parameter.copy_(was)
