"""THE recipe: one function that trains one fold, for images and texts alike, read from top to bottom.

A technique is a pure function called in plain sight behind its setting. There is no second loop.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from core.data.batches import RowLoader
from core.errors import RecipeError
from core.metrics import all_scores, get_metric
from core.recipe import Recipe
from core.training.checkpoint import load_weights, save_weights
from core.training.device import choose_precision, open_device
from core.training.failures import not_a_number, typed_failures
from core.training.network import build_network
from core.training.optim import make_optimizer, set_lr
from core.training.pace import Pace
from core.training.predict import predict
from core.training.progress import EpochReport, Interrupted, Phase, Progress
from core.training.randomness import permutation, seed_network, seed_step
from core.training.schedule import lr_at, steps_per_epoch

Report = Callable[[Progress | EpochReport], None]
LIBRARIES = {"image": ("timm", "torchvision", "pillow"), "text": ("transformers", "tokenizers")}


@dataclass(frozen=True)
class FoldTask:
    """One fold of one run.

    `inputs` are texts, or paths of image files, of all training rows; `labels` (n,) int64 their classes. `train_idx` and
    `valid_idx` are row numbers into them. `metric` decides which epoch is best. `out_dir` must exist and be empty.
    """

    recipe: Recipe
    metric: str
    classes: tuple[str, ...]
    inputs: Sequence[str] | Sequence[Path]
    labels: NDArray[np.int64]
    train_idx: NDArray[np.int64]
    valid_idx: NDArray[np.int64]
    test_inputs: Sequence[str] | Sequence[Path]
    fold: int
    weights_dir: Path
    out_dir: Path
    device: str = "cpu"


@dataclass(frozen=True)
class FoldOutput:
    """Probabilities in the order of `valid_idx` (n_valid, K) and `test_inputs` (n_test, K), and what is worth knowing.

    `scores` holds every metric on the validation rows; `n_epochs` counts the epochs that ran, `best_epoch` is one of them.
    """

    valid_prob: NDArray[np.float32]
    test_prob: NDArray[np.float32]
    best_epoch: int
    n_epochs: int
    scores: dict[str, float]
    facts: dict[str, Any]


def train_fold(task: FoldTask, *, report: Report, should_stop: Callable[[], bool]) -> FoldOutput:
    """Train one fold and predict its validation and test rows with the best epoch's weights, left in `out_dir`.

    `report` hears of every step and every epoch, and must not block. `should_stop` is asked at every step; Interrupted is
    raised when it says so. Raises RecipeError, WeightsError, InputError (an image that cannot be read), OutOfMemory, DiskFull.
    """
    with typed_failures(task.recipe, f"fold {task.fold}"):
        return _train_fold(task, report, should_stop)


def _train_fold(task: FoldTask, report: Report, should_stop: Callable[[], bool]) -> FoldOutput:
    recipe, fold, settings = task.recipe, task.fold, task.recipe.train
    n_classes, n_epochs, metric = len(task.classes), settings.epochs, get_metric(task.metric)
    n_train, n_valid, n_test = len(task.train_idx), len(task.valid_idx), len(task.test_inputs)
    if not n_train or not n_valid:
        raise RecipeError(f"fold {fold} has no rows to {'train on' if not n_train else 'validate'}", where="folds", fix="make other folds")
    started = time.monotonic()
    pace = Pace(n_train * n_epochs, n_valid * (n_epochs + 1) + n_test)

    def tell(phase: Phase, epoch: int = 0, step: int = 0, n_steps: int = 0, loss: float | None = None) -> None:
        if should_stop():
            raise Interrupted(f"stopped while {phase}, epoch {epoch}, step {step}")
        report(Progress(phase, fold, epoch, n_epochs, step, n_steps, pace.rows_per_s, pace.eta_s, loss))

    # Device and precision
    device = open_device(task.device)
    precision = choose_precision(settings.precision, device)
    workers = 0 if device.type == "mps" else settings.loader_workers

    # Network and rows; what fresh layers draw derives from the seed
    tell("loading")
    seed_network(settings.seed, fold)
    model, rows, test_rows = build_network(task)
    model.to(device)
    if recipe.modality == "image":
        model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # torch's stub misses this overload
    loader = RowLoader(rows, workers=workers, pin_memory=device.type == "cuda")
    test_loader = RowLoader(test_rows, workers=workers, pin_memory=device.type == "cuda")
    labels = torch.from_numpy(np.asarray(task.labels, dtype=np.int64))
    train_idx, valid_idx = np.asarray(task.train_idx, dtype=np.int64), np.asarray(task.valid_idx, dtype=np.int64)

    # Optimiser and schedule
    optimizer = make_optimizer(model, recipe.optim)
    n_steps = steps_per_epoch(n_train, settings.batch_size)

    def predict_rows(loader: RowLoader, idx: NDArray[np.int64], phase: Phase, epoch: int) -> NDArray[np.float32]:
        done = 0

        def after_batch(n: int) -> None:
            nonlocal done
            done += n
            pace.did(n, training=False)
            tell(phase, epoch, n_steps, n_steps)

        tell(phase, epoch, n_steps, n_steps)
        pace.start()
        prob = predict(
            model, loader, idx, n_classes, batch_size=settings.batch_size, device=device, precision=precision, after_batch=after_batch
        )
        if not np.isfinite(prob).all():
            raise not_a_number(recipe, f"fold {fold}, epoch {epoch}, {phase}")
        return prob

    # Loop: train an epoch, validate, keep the best, stop early
    best_epoch, best_score, epoch = 0, math.nan, 0
    for epoch in range(1, n_epochs + 1):
        epoch_started, total_loss = time.monotonic(), 0.0
        order = train_idx[permutation(settings.seed, fold, epoch, n_train)]
        model.train()
        pace.start()
        for step, batch in enumerate(loader.batches(epoch, order, settings.batch_size), start=1):
            set_lr(optimizer, lr_at((epoch - 1) * n_steps + step - 1, n_epochs * n_steps, recipe.optim))
            seed_step(settings.seed, fold, epoch, step)
            target = labels[batch["row"]].to(device)
            inputs = {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
            with precision.autocast(device):
                logits = model(inputs)
            loss = F.cross_entropy(logits.float(), target)
            value = loss.item()
            if not math.isfinite(value):
                raise not_a_number(recipe, f"fold {fold}, epoch {epoch}, step {step}")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if recipe.optim.clip_norm:
                torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.optim.clip_norm)
            optimizer.step()
            total_loss += value * len(target)
            pace.did(len(target), training=True)
            tell("training", epoch, step, n_steps, value)

        valid_prob = predict_rows(loader, valid_idx, "validating", epoch)
        scores = all_scores(task.labels[valid_idx], valid_prob)
        report(
            EpochReport(
                fold=fold,
                epoch=epoch,
                n_epochs=n_epochs,
                train_loss=total_loss / n_train,
                valid_loss=scores["log_loss"],
                scores=scores,
                lr=optimizer.param_groups[0]["lr"],
                elapsed_s=time.monotonic() - epoch_started,
            )
        )
        if not best_epoch or metric.is_better(scores[metric.name], best_score):
            best_epoch, best_score = epoch, scores[metric.name]
            save_weights(model, task.out_dir)
        if settings.patience and epoch - best_epoch >= settings.patience:
            pace.drop(n_train * (n_epochs - epoch), n_valid * (n_epochs - epoch))
            break

    # Predict with the weights that were kept
    load_weights(model, task.out_dir)
    valid_prob = predict_rows(loader, valid_idx, "predicting", epoch)
    test_prob = predict_rows(test_loader, np.arange(n_test), "predicting", epoch)
    return FoldOutput(
        valid_prob=valid_prob,
        test_prob=test_prob,
        best_epoch=best_epoch,
        n_epochs=epoch,
        scores=all_scores(task.labels[valid_idx], valid_prob),
        facts={
            "device": str(device),
            "threads": torch.get_num_threads(),
            "precision": precision.name,
            "precision_reason": precision.reason,
            "n_params": sum(parameter.numel() for parameter in model.parameters()),
            "weights": f"{model.weights_place}: {model.weights_source}" if model.weights_place else "from nothing",
            "n_train": n_train,
            "n_valid": n_valid,
            "n_test": n_test,
            "elapsed_s": round(time.monotonic() - started, 2),
            "versions": {
                name: version(name) for name in ("torch", "numpy", "timm" if recipe.modality == "image" else "transformers", "tokenizers")
            },
        },
    )
