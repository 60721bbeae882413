"""What a fold trains with, made once from its task: device, network, rows, optimiser. A dry run is set up by the same function."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from core.base.errors import RecipeError
from core.data.batches import RowLoader
from core.data.randomness import seed_network
from core.training.average import make_average
from core.training.device import Precision, choose_precision, open_device
from core.training.network import build_network
from core.training.optim import make_optimizer
from core.training.task import FoldTask
from models.spec import Classifier


@dataclass(frozen=True)
class Setup:
    """`labels` (n,), or (n, n_classes) multi-label, are those of all training rows, on the CPU.

    `average` is the moving average of the weights, if there is one.
    """

    device: torch.device
    precision: Precision
    model: Classifier
    average: AveragedModel | None
    optimizer: torch.optim.Optimizer
    loader: RowLoader
    test_loader: RowLoader
    labels: Tensor

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
        labels=torch.from_numpy(np.ascontiguousarray(task.labels)),
        optimizer=make_optimizer(model, task.recipe.optim),
        average=make_average(model, settings.ema),
    )
