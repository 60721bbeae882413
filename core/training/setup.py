"""What a fold trains with, made once from its task: device, network, rows, optimiser. A dry run is set up by the same function."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from core.base.errors import AlignmentError, RecipeError
from core.data.batches import RowLoader
from core.data.randomness import seed_network
from core.metrics.decide import improbable_rows
from core.training.average import make_average
from core.training.device import Precision, choose_precision, open_device
from core.training.network import build_network
from core.training.optim import make_optimizer
from core.training.task import FoldTask
from models.spec import Classifier


@dataclass(frozen=True)
class Targets:
    """What all training rows teach, on the CPU: floats (n, K) and a weight per row (n,).

    Without `soft` targets a row teaches its truth: `labels` are classes (n,), or multi-label 0 and 1 for each class (n, K).
    """

    labels: Tensor
    n_classes: int
    is_multilabel: bool
    soft: Tensor | None
    weights: Tensor

    def of(self, rows: Tensor) -> Tensor:
        """The targets (len(rows), K) of some rows."""
        return self.truth(rows) if self.soft is None else self.soft[rows]

    def truth(self, rows: Tensor) -> Tensor:
        """The truth of some rows as floats (len(rows), K): one 1 in each row, or multi-label any number of them."""
        labels = self.labels[rows]
        return labels.float() if self.is_multilabel else F.one_hot(labels, self.n_classes).float()


def make_targets(task: FoldTask) -> Targets:
    """The targets of a task. Raises AlignmentError where they do not fit its rows and classes, or are no shares of classes."""
    n_rows, n_classes = len(task.labels), len(task.classes)
    soft, weights = task.targets, np.ones(n_rows, dtype=np.float32) if task.row_weights is None else task.row_weights
    is_fit = weights.shape == (n_rows,) and bool((np.isfinite(weights) & (weights >= 0)).all())
    is_fit &= soft is None or (soft.shape == (n_rows, n_classes) and not improbable_rows(soft, multilabel=task.is_multilabel).any())
    if not is_fit:
        raise AlignmentError(
            "the targets of a fold do not fit its rows",
            where=f"fold {task.fold}",
            why=f"each of {n_rows} rows needs a weight that is not negative, and from 0 to 1 for each of {n_classes} classes",
            fix="make the targets again",
        )
    return Targets(
        labels=torch.from_numpy(np.ascontiguousarray(task.labels)),
        n_classes=n_classes,
        is_multilabel=task.is_multilabel,
        soft=None if soft is None else torch.from_numpy(np.ascontiguousarray(soft, dtype=np.float32)),
        weights=torch.from_numpy(np.ascontiguousarray(weights, dtype=np.float32)),
    )


@dataclass(frozen=True)
class Setup:
    """`targets` are those of all training rows; `average` is the moving average of the weights, if there is one."""

    device: torch.device
    precision: Precision
    model: Classifier
    average: AveragedModel | None
    optimizer: torch.optim.Optimizer
    loader: RowLoader
    test_loader: RowLoader
    targets: Targets

    @property
    def judged(self) -> nn.Module:
        """The network that is validated and kept: the average where there is one."""
        return self.model if self.average is None else self.average.module

    @property
    def n_params(self) -> int:
        """How many numbers the network learns."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def weights(self) -> str:
        """Where its first weights came from."""
        return f"{self.model.weights_place}: {self.model.weights_source}" if self.model.weights_place else "from nothing"


def set_up(task: FoldTask) -> Setup:
    """Open the device and build everything on it; what fresh layers draw derives from the seed.

    Raises RecipeError (also for a fold without rows), WeightsNotFound, CannotBuild.
    """
    settings = task.recipe.train
    for idx, purpose in ((task.train_idx, "train on"), (task.valid_idx, "validate")):
        if not len(idx):
            raise RecipeError(f"fold {task.fold} has no rows to {purpose}", where="folds", fix="make other folds")
    device = open_device(task.device)
    precision = choose_precision(settings.precision, device)
    seed_network(settings.seed, task.fold)
    model, rows, test_rows = build_network(task)
    model.to(device)
    if task.recipe.modality == "image":
        model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # torch's stub misses this overload
    workers = 0 if device.type == "mps" else settings.loader_workers
    return Setup(
        device=device,
        precision=precision,
        model=model,
        loader=RowLoader(rows, workers=workers, pin_memory=device.type == "cuda"),
        test_loader=RowLoader(test_rows, workers=workers, pin_memory=device.type == "cuda"),
        targets=make_targets(task),
        optimizer=make_optimizer(model, task.recipe.optim),
        average=make_average(model, settings.ema),
    )
