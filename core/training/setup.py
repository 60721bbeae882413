"""What a fold trains with, made once from its task: device and precision, targets, network and rows, optimiser, average of weights.

A dry run is set up by the same function.
"""

from contextlib import nullcontext
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim.swa_utils import AveragedModel

from core.base.errors import AlignmentError, RecipeError
from core.base.files import pip_command
from core.base.messages import msg
from core.data.batches import RowLoader
from core.data.image_cache import CachedImages
from core.data.randomness import seed_network
from core.data.token_cache import Progress
from core.metrics.scores import invalid_rows
from core.specs.recipe import Recipe
from core.training.averaging import make_average
from core.training.depthwise import fp32_gradients
from core.training.loss import Objective, make_objective
from core.training.machine import keep_freed_memory
from core.training.network import build_network
from core.training.optim import make_optimizer
from core.training.precision import Precision, choose_precision
from core.training.sampling import class_counts, group_rows
from core.training.schedule import plan_epochs
from core.training.task import FoldTask, check_classes
from core.training.threads import Threads
from models.spec import Classifier
from models.text import TextClassifier


def open_device(name: str) -> torch.device:
    """Turn "cpu", "cuda:0" or "mps" into a device; RecipeError when this machine has none of that name."""
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as problem:
        reason = str(problem).splitlines()[0]
        raise RecipeError(
            "the device '{name}' cannot be used",
            where="device",
            why=reason,
            fix="choose cpu, or install the driver of that device",
            name=name,
        ) from None
    return device


def freeze_in_epoch(model: Classifier, recipe: Recipe, epoch: int) -> None:
    """Let only the head learn in the epochs of a linear probe, then all that the recipe does not freeze (Kumar et al. 2022, arXiv 2202.10054).

    A parameter that never learned has no state in the optimiser, so its moments begin when it begins to learn.
    """
    if recipe.train.probe_epochs:
        model.freeze(model.n_groups - 1 if epoch <= recipe.train.probe_epochs else recipe.model.freeze)


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
    is_fit &= soft is None or (soft.shape == (n_rows, n_classes) and not invalid_rows(soft, multilabel=task.is_multilabel).any())
    if not is_fit:
        raise AlignmentError(
            "the targets of a fold do not fit its rows",
            where="fold {fold}",
            why="each of {rows} rows needs a weight that is not negative, and from 0 to 1 for each of {classes} classes",
            fix="make the targets again",
            fold=task.fold,
            rows=n_rows,
            classes=n_classes,
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
    """`targets` are those of all training rows, `objective` is what is minimised against them; `average` is the moving average of the weights, if
    there is one. `numerics` says by name how numbers are computed otherwise than the libraries do by themselves."""

    device: torch.device
    threads: Threads
    precision: Precision
    model: Classifier
    average: AveragedModel | None
    optimizer: torch.optim.Optimizer
    scaler: GradScaler
    loader: RowLoader
    test_loader: RowLoader
    targets: Targets
    objective: Objective
    numerics: dict[str, str]

    @property
    def eval_model(self) -> nn.Module:
        """The network that is validated and kept: the average where there is one."""
        return self.model if self.average is None else self.average.module

    @property
    def n_params(self) -> int:
        """How many numbers the network has."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def n_trainable(self) -> int:
        """How many of them are trained, at first."""
        return sum(parameter.numel() for parameter in self.model.parameters() if parameter.requires_grad)

    @property
    def weights(self) -> str:
        """Where its first weights came from."""
        return (
            msg("{name}: {detail}", name=self.model.weights_place, detail=self.model.weights_source)
            if self.model.weights_place
            else "from nothing"
        )


def set_up(task: FoldTask, cached: CachedImages | None = None, tokenizing: Progress = lambda done, total: None) -> Setup:
    """Open the device and build everything on it; what fresh layers draw derives from the seed. `cached` and `tokenizing` as in `build_network`.

    Raises RecipeError (also for a fold without rows), WeightsNotFound, CannotBuild.
    """
    settings = task.recipe.train
    check_classes(task.recipe, task.classes, multilabel=task.is_multilabel)
    labels = task.labels[np.asarray(task.train_idx, dtype=np.int64)]
    n_rows = plan_epochs(task.recipe, labels).n_rows
    for n, purpose in ((n_rows, "train on"), (len(task.valid_idx), "validate")):
        if not n:
            raise RecipeError(
                "fold {fold} has no rows to {purpose}", where="folds", fix="make other folds", fold=task.fold, purpose=purpose
            )
    device = open_device(task.device)
    threads = Threads(device)
    precision = choose_precision(settings.precision, device)
    seed_network(settings.seed, task.fold)
    if task.recipe.model.base_dtype in ("int8", "nf4"):
        _check_bitsandbytes(task.recipe.model.base_dtype, device)
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        model, rows, test_rows = build_network(task, cached, tokenizing)
    counts = class_counts(group_rows(task.recipe.sampling, labels), labels, len(task.classes))
    model.to(device)
    if task.recipe.adversarial.kind == "fgm":
        _check_embeddings(model)
    if task.recipe.modality == "image":
        model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # torch's stub misses this overload
        if device.type == "cpu":
            keep_freed_memory()
    workers = 0 if device.type == "mps" else settings.loader_workers
    return Setup(
        device=device,
        threads=threads,
        precision=precision,
        model=model,
        loader=RowLoader(rows, workers=workers, pin_memory=device.type == "cuda"),
        test_loader=RowLoader(test_rows, workers=workers, pin_memory=device.type == "cuda"),
        targets=make_targets(task),
        objective=make_objective(task.recipe, counts, n_rows, multilabel=task.is_multilabel, device=device),
        optimizer=make_optimizer(model, task.recipe.optim),
        scaler=precision.scaler(device),
        average=make_average(model, task.recipe.average.ema),
        numerics=fp32_gradients(model) if precision.name == "bf16" and device.type == "cpu" else {},
    )


def _check_bitsandbytes(dtype: str, device: torch.device) -> None:
    """Raise RecipeError unless weights can be held in eight or four bits on the device."""
    if device.type != "cuda":
        raise RecipeError(
            "{dtype} weights are for CUDA cards",
            where="model.base_dtype",
            why="bitsandbytes computes with them there, and the device is {device}",
            fix="set model.base_dtype=bfloat16 or float32, or train on a CUDA card",
            dtype=dtype,
            device=str(device),
        )
    if find_spec("bitsandbytes") is None:
        raise RecipeError(
            "{names} is not installed",
            where="model.base_dtype",
            why="it holds {dtype} weights and computes with them",
            fix="{command} — or set model.base_dtype=bfloat16",
            names="bitsandbytes",
            dtype=dtype,
            command=pip_command("bitsandbytes"),
        )


def _check_embeddings(model: Classifier) -> None:
    """Raise RecipeError unless a network of texts has word embeddings that learn."""
    if isinstance(model, TextClassifier) and not model.word_embeddings().weight.requires_grad:
        raise RecipeError(
            "the word embeddings of this network do not learn",
            where="adversarial.kind",
            why="FGM perturbs them by their gradient, and they have none",
            fix="set model.freeze=0, or adversarial.kind=awp",
        )
