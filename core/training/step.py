"""One optimiser step over its micro-batches: what a fold does thousands of times, and a dry run a few times."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from core.data.batches import Batch
from core.data.randomness import seed_step
from core.training.failures import not_a_number
from core.training.setup import Setup
from core.training.task import FoldTask


def train_step(task: FoldTask, setup: Setup, parts: Sequence[NDArray[np.int64]], batches: Iterator[Batch], epoch: int, step: int) -> float:
    """Learn from the rows of one step, computed in `parts`, whose batches come next out of `batches`; returns their mean loss.

    Dropout derives from (seed, fold, epoch, step, part). Raises RecipeError when the loss is no longer a number.
    """
    recipe, model, device = task.recipe, setup.model, setup.device
    setup.optimizer.zero_grad(set_to_none=True)
    n_rows, step_loss = sum(map(len, parts)), 0.0
    for part, batch in zip(range(len(parts)), batches, strict=False):
        seed_step(recipe.train.seed, task.fold, epoch, step, part)
        target = setup.labels[batch["row"]].to(device)
        inputs = {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
        with setup.precision.autocast(device):
            logits = model(inputs)
        loss = summed_loss(logits.float(), target) / n_rows
        loss.backward()
        step_loss += loss.item()
    if not math.isfinite(step_loss):
        raise not_a_number(recipe, f"fold {task.fold}, epoch {epoch}, step {step}")
    if recipe.optim.clip_norm:
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.optim.clip_norm)
    setup.optimizer.step()
    if setup.average is not None:
        setup.average.update_parameters(model)
    return step_loss


def summed_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy summed over rows, of classes `target` (n,); of 0 and 1 for each class (n, n_classes) the mean binary cross-entropy."""
    if target.ndim == 2:
        return F.binary_cross_entropy_with_logits(logits, target.float(), reduction="sum") / target.shape[1]
    return F.cross_entropy(logits, target, reduction="sum")
