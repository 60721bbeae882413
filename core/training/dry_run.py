"""A dry run: a few real steps of a fold, to know what all of it will cost. Nothing of it is kept.

It is set up, stepped and evaluated by the functions that train; what it adds is where to look and when to stop.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from core.base.errors import OutOfMemory
from core.base.messages import msg
from core.metrics.scores import all_scores
from core.training.costs import Costs
from core.training.failures import typed_failures
from core.training.machine import ProcessorShare, forget_peak, loaders_bytes, machine_memory, peak_bytes, resident_bytes
from core.training.network import copy_weights
from core.training.predictor import EVALUATION_FACTOR, predict
from core.training.schedule import plan_epochs
from core.training.setup import Setup, open_device, set_lr, set_up
from core.training.state import Snapshot, TrainState
from core.training.step import MicroBatches, cut_micro_batches, cut_steps, order_rows, train_step
from core.training.task import FoldTask

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
            with typed_failures(task.recipe, msg("a dry run of fold {fold}, {n} rows at once", fold=task.fold, n=task.micro_batch)):
                return _try(task)
        except OutOfMemory:
            if task.halvings >= max_halvings or task.micro_batch <= 1:
                raise
        task = replace(task, halvings=task.halvings + 1)
        _let_go(task.device)


def _try(task: FoldTask) -> Costs:
    memory = _Memory(open_device(task.device))
    began = time.monotonic()
    setup = set_up(task)
    setup_s = time.monotonic() - began
    share = ProcessorShare()
    trained = _train(task, setup)
    valid_row_s, score_s = _evaluate(task, setup, trained.row_s)
    peak = memory.peak()
    return Costs(
        precision=setup.precision.name,
        precision_reason=setup.precision.reason,
        n_params=setup.n_params,
        weights=setup.weights,
        batch_size=task.recipe.train.batch_size,
        micro_batch=task.micro_batch,
        halvings=task.halvings,
        peak_bytes=peak,
        above_start_bytes=peak - memory.start,
        loaders_bytes=loaders_bytes(),
        free_bytes=memory.free,
        total_bytes=memory.total,
        n_timed=trained.n_timed,
        step_s=trained.step_s,
        train_row_s=trained.row_s,
        valid_row_s=valid_row_s,
        score_s=score_s,
        setup_s=setup_s,
        others=share.of_others(),
        checkpoint_bytes=trained.snapshot.n_bytes,
        weights_bytes=sum(tensor.nbytes for tensor in trained.state.best.values()),
    )


@dataclass(frozen=True)
class _Trained:
    """Seconds per step and per row; and, so that it takes its memory to the end, what a checkpoint would hold."""

    n_timed: int
    step_s: float
    row_s: float
    state: TrainState
    snapshot: Snapshot


def _train(task: FoldTask, setup: Setup) -> _Trained:
    """Make steps until their pace is known. After the first one the state is copied as for a checkpoint, while training goes on."""
    recipe, plan = task.recipe, _plan(task, setup)
    epochs = plan_epochs(recipe, len(task.train_idx))
    batches = setup.loader.load(1, [rows for micro_batches in plan.steps for rows in micro_batches])

    def step(number: int) -> float:
        set_lr(setup.optimizer, epochs.lr(1, number + 1, recipe.optim))
        began = time.monotonic()
        train_step(task, setup, plan.steps[number], batches, 1, number + 1)
        return time.monotonic() - began

    setup.model.train()
    step(0)
    state = TrainState(setup.model, setup.optimizer, setup.average)
    state.best = copy_weights(setup.eval_model)
    snapshot = state.snapshot()
    for number in range(1, plan.n_first):
        step(number)
    timed: list[float] = []
    for number in range(plan.n_first, len(plan.steps)):
        timed.append(step(number))
        if _is_enough(timed, plan.fewest):
            break
    n_rows = sum(len(rows) for micro_batches in plan.steps[plan.n_first : plan.n_first + len(timed)] for rows in micro_batches)
    return _Trained(len(timed), sum(timed) / len(timed), sum(timed) / n_rows, state, snapshot)


def _evaluate(task: FoldTask, setup: Setup, train_row_s: float) -> tuple[float, float]:
    """Seconds per evaluated row, and seconds to score all of them. First come the longest rows, for memory and to warm up."""
    n_classes, valid_idx = len(task.classes), np.asarray(task.valid_idx, dtype=np.int64)
    at_once = task.micro_batch * EVALUATION_FACTOR

    def evaluate(idx: Rows) -> NDArray[np.float32]:
        return predict(
            setup.eval_model,
            setup.loader,
            idx,
            n_classes,
            batch_size=task.micro_batch,
            device=setup.device,
            precision=setup.precision,
            after_batch=lambda _: None,
            multilabel=task.is_multilabel,
        )

    evaluate(_longest(setup, valid_idx, at_once))
    n_batches = min(MAX_EVALUATED, max(1, round(TIMED_S / 2 / (at_once * train_row_s))))
    some = valid_idx[: n_batches * at_once]
    began = time.monotonic()
    prob = evaluate(some)
    row_s = (time.monotonic() - began) / len(some)
    # As many rows as a fold has, in memory together with its test rows
    valid_prob, _test_prob = (np.resize(prob, (n_rows, n_classes)) for n_rows in (len(valid_idx), len(task.test_inputs)))
    began = time.monotonic()
    all_scores(task.labels[valid_idx], valid_prob, multilabel=task.is_multilabel)
    return row_s, time.monotonic() - began


@dataclass(frozen=True)
class _Plan:
    """The steps that may be made, each as its micro-batches; the first `n_first` are not timed, and `fewest` of the others are needed."""

    steps: Sequence[MicroBatches]
    n_first: int
    fewest: int


def _plan(task: FoldTask, setup: Setup) -> _Plan:
    """The first steps of the first epoch, in its order; after the first of them one of the longest rows, where lengths differ."""
    settings = task.recipe.train
    train_idx = np.asarray(task.train_idx, dtype=np.int64)
    as_they_come = cut_steps(task, order_rows(task, 1))
    whole = [rows for rows in as_they_come if len(rows) >= settings.batch_size] or as_they_come
    longest = _longest(setup, train_idx, settings.batch_size)
    first = [whole[0], longest] if len({setup.loader.rows.length(int(row)) for row in train_idx}) > 1 else [whole[0]]
    steps = [cut_micro_batches(task, rows) for rows in [*first, *(whole[number % len(whole)] for number in range(1, MAX_TIMED + 1))]]
    # Loader processes have read ahead while the first steps were slow: what they then have is not their pace.
    read_ahead = math.ceil(2 * setup.loader.workers / len(steps[0]))
    return _Plan(steps, len(first), MIN_TIMED + read_ahead)


def _longest(setup: Setup, idx: Rows, n_rows: int) -> Rows:
    """The longest `n_rows` rows of `idx`, the longest first."""
    lengths = np.array([setup.loader.rows.length(int(row)) for row in idx])
    return idx[np.argsort(-lengths, kind="stable")[:n_rows]]


def _is_enough(took: Sequence[float], fewest: int) -> bool:
    return (sum(took) >= TIMED_S and len(took) >= fewest) or sum(took) >= LONG_S


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
            machine = machine_memory()
            self.total = machine.total_bytes
            self.free = min(machine.total_bytes, machine.free_bytes + self.start)  # what this process has already is there for it

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
