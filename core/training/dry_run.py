"""A dry run: a few real steps of a fold, to know what all of it will cost. Nothing of it is kept.

It is set up, stepped and evaluated by the functions that train; what it adds is where to look and when to stop.
"""

import gc
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.base.errors import OutOfMemory
from core.base.messages import msg
from core.data.texts import TextRows
from core.data.tokens import TokenLengths
from core.metrics.scores import all_scores
from core.training.failures import typed_failures
from core.training.images import find_images
from core.training.machine import ProcessorShare, forget_peak, loaders_bytes, machine_memory, peak_bytes, resident_bytes
from core.training.network import copy_weights
from core.training.optim import set_lr
from core.training.predictor import EVALUATION_FACTOR, predict_task
from core.training.schedule import Costs, plan_epochs
from core.training.setup import Setup, open_device, set_up
from core.training.state import Snapshot, TrainState
from core.training.step import MicroBatches, cut_micro_batches, cut_steps, order_rows, train_step
from core.training.task import FoldTask
from models.lora import kept_bytes

TIMED_S = 4.0
"""Steps are timed for so long, within these numbers of steps."""
MIN_TIMED, MAX_TIMED = 3, 60
MAX_EVALUATED = 20
"""The most batches that are evaluated."""
LONG_S = 30.0
"""Fewer than MIN_TIMED steps are enough when they take this long together."""

Rows = NDArray[np.int64]


def dry_run(task: FoldTask, *, max_halvings: int) -> Costs:
    """Train a few steps of the task's fold and evaluate a few batches, as `train_fold` would; `out_dir` may get a tokenizer.

    Where memory runs out the micro-batch is halved, up to `max_halvings` times in all and down to one row, as the engine does.
    Raises RecipeError, WeightsError, InputError (an image that cannot be read), OutOfMemory.
    """
    while True:
        try:
            with typed_failures(task.recipe, msg("a dry run of fold {fold}, {n} {n:row|rows} at once", fold=task.fold, n=task.micro_batch)):
                return _try(task)
        except OutOfMemory:
            if task.halvings >= max_halvings or task.micro_batch <= 1:
                raise
        task = replace(task, halvings=task.halvings + 1)
        _let_go(task.device)


def _try(task: FoldTask) -> Costs:
    memory = _Memory(open_device(task.device))
    began = time.monotonic()
    setup = set_up(task, find_images(task))
    setup_s = time.monotonic() - began
    share = ProcessorShare()
    timed, row_s, _state, snapshot = _train(task, setup)
    with _counted(setup.eval_model) as logits:
        valid_row_s, score_s = _evaluate(task, setup, row_s)
    peak = memory.peak()
    return Costs(
        precision=setup.precision.name,
        precision_reason=setup.precision.reason,
        n_params=setup.n_params,
        n_trainable=setup.n_trainable,
        weights=setup.weights,
        batch_size=task.recipe.train.batch_size,
        micro_batch=task.micro_batch,
        halvings=task.halvings,
        peak_bytes=peak,
        above_start_bytes=peak - memory.start,
        loaders_bytes=loaders_bytes(),
        free_bytes=memory.free,
        total_bytes=memory.total,
        n_timed=len(timed),
        step_s=sum(timed) / len(timed),
        train_row_s=row_s,
        valid_row_s=valid_row_s,
        score_s=score_s,
        setup_s=setup_s,
        others=share.of_others(),
        checkpoint_bytes=snapshot.n_bytes,
        weights_bytes=kept_bytes(setup.model),
        n_means=task.recipe.average.n_means,
        n_logits=logits.n,
        n_not_finite=logits.n_not_finite,
        tokens=_token_lengths(task, setup),
    )


def _token_lengths(task: FoldTask, setup: Setup) -> TokenLengths | None:
    rows = setup.loader.rows
    return TokenLengths.of(rows.whole_lengths[task.train_idx], rows.cut.max_tokens) if isinstance(rows, TextRows) else None


@dataclass
class _Logits:
    n: int = 0
    n_not_finite: int = 0


@contextmanager
def _counted(model: nn.Module) -> Iterator[_Logits]:
    """Count the logits that a network gives, and those that are infinite or not a number: fp16 ends at 65,504, where bf16 has no end."""
    found = _Logits()

    def look(_model: nn.Module, _inputs: object, logits: Tensor) -> None:
        found.n += logits.numel()
        found.n_not_finite += int((~logits.isfinite()).sum())

    handle = model.register_forward_hook(look)
    try:
        yield found
    finally:
        handle.remove()


def _train(task: FoldTask, setup: Setup) -> tuple[list[float], float, TrainState, Snapshot]:
    """Make steps until their pace is known: the seconds of each, and of a row. After the first one the state is copied as for a checkpoint,
    while training goes on; it is given too, so that it takes its memory to the end."""
    recipe = task.recipe
    steps, n_first = _steps(task, setup)
    epochs = plan_epochs(recipe, task.labels[np.asarray(task.train_idx, dtype=np.int64)])
    # Where the first epochs are smaller, or not adversarial yet, the last one is the dearest.
    epoch = max(recipe.first_epochs + 1, recipe.adversarial.start_epoch)
    batches = setup.loader.load(epoch, [rows for micro_batches in steps for rows in micro_batches])
    # Loader processes have read ahead while the first steps were slow: what they then have is not their pace.
    fewest = MIN_TIMED + math.ceil(2 * setup.loader.workers / len(steps[0]))

    def step(number: int) -> float:
        setup.threads.follow()
        set_lr(setup.optimizer, epochs.lr(epoch, number + 1, recipe.optim))
        began = time.monotonic()
        train_step(task, setup, steps[number], batches, epoch, number + 1)
        return time.monotonic() - began

    setup.model.train()
    step(0)
    kept = {number: copy_weights(setup.eval_model) for number in range(recipe.average.n_copies)}
    state = TrainState(setup.model, setup.optimizer, setup.average, kept=kept, scaler=setup.scaler)
    snapshot = state.snapshot()
    for number in range(1, n_first):
        step(number)
    timed: list[float] = []
    for number in range(n_first, len(steps)):
        timed.append(step(number))
        if (sum(timed) >= TIMED_S and len(timed) >= fewest) or sum(timed) >= LONG_S:
            break
    n_rows = sum(len(rows) for micro_batches in steps[n_first : n_first + len(timed)] for rows in micro_batches)
    return timed, sum(timed) / n_rows, state, snapshot


def _evaluate(task: FoldTask, setup: Setup, train_row_s: float) -> tuple[float, float]:
    """Seconds per evaluated row, and seconds to score all of them. First come the longest rows, for memory and to warm up."""
    n_classes, valid_idx = len(task.classes), np.asarray(task.valid_idx, dtype=np.int64)
    at_once = task.micro_batch * EVALUATION_FACTOR

    predict_task(task, setup, setup.loader, _longest(setup, valid_idx, at_once))
    n_batches = min(MAX_EVALUATED, max(1, round(TIMED_S / 2 / (at_once * train_row_s))))
    some = valid_idx[: n_batches * at_once]
    began = time.monotonic()
    prob = predict_task(task, setup, setup.loader, some)
    row_s = (time.monotonic() - began) / len(some)
    # As many rows as a fold has, in memory together with its test rows
    valid_prob, _test_prob = (np.resize(np.nan_to_num(prob), (n_rows, n_classes)) for n_rows in (len(valid_idx), len(task.test_inputs)))
    began = time.monotonic()
    all_scores(task.labels[valid_idx], valid_prob, multilabel=task.is_multilabel)
    return row_s, time.monotonic() - began


def _steps(task: FoldTask, setup: Setup) -> tuple[list[MicroBatches], int]:
    """The steps that may be made, each as its micro-batches, and how many of them come first, not timed: the first of the first epoch, in its
    order, and after it one of the longest rows, where lengths differ."""
    batch_size, train_idx = task.recipe.train.batch_size, np.asarray(task.train_idx, dtype=np.int64)
    lengths = setup.loader.rows.lengths
    as_they_come = cut_steps(task, order_rows(task, 1, lengths))
    whole = [rows for rows in as_they_come if len(rows) >= batch_size] or as_they_come
    has_lengths = len(np.unique(lengths[train_idx])) > 1
    first = [whole[0], *([_longest(setup, train_idx, batch_size)] if has_lengths else [])]
    timed = (whole[number % len(whole)] for number in range(1, MAX_TIMED + 1))
    return [cut_micro_batches(task, rows) for rows in (*first, *timed)], len(first)


def _longest(setup: Setup, idx: Rows, n_rows: int) -> Rows:
    """The longest `n_rows` rows of `idx`, the longest first."""
    return idx[np.argsort(-setup.loader.rows.lengths[idx], kind="stable")[:n_rows]]


class _Memory:
    """The memory of a device, or of this process where the device is the processor, from now on."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self.free, self.total = torch.cuda.mem_get_info(device)
            self.start = torch.cuda.memory_allocated(device)
        elif device.type == "mps":
            self.total = torch.mps.recommended_max_memory()
            self.start = torch.mps.driver_allocated_memory()
            self.free = self.total - self.start
        else:
            forget_peak()
            self.start = resident_bytes()
            self.total, free = machine_memory()
            self.free = min(self.total, free + self.start)  # what this process has already is there for it

    def peak(self) -> int:
        """The most bytes so far. Of Apple's MPS what its driver holds: it gives nothing back by itself."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        return torch.mps.driver_allocated_memory() if self._device.type == "mps" else peak_bytes()


def _let_go(device: str) -> None:
    """Give back what a try that failed has left."""
    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
    elif device == "mps":
        torch.mps.empty_cache()
