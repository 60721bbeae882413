"""What is to come. When the queue will be empty: from the pace of what runs, and from finished folds of the same run for what waits.

What a run would take, from a dry run of one of its folds: memory, seconds, disk; and what of it does not fit, with the fix.
"""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Self

from pydantic import TypeAdapter

from core.base.errors import DiskFull, OutOfMemory, PitwallError, RecipeError
from core.base.messages import joined, msg
from core.jobs.devices import torch_name
from core.jobs.disk import fold_bytes, run_bytes, size_text
from core.specs.recipe import Recipe
from core.store.jobs import FoldJob, Job
from core.training.schedule import Costs

MUCH = 0.15
"""The share of the processor that other programs may use before times are said to be upper bounds."""


@dataclass(frozen=True)
class Neighbour:
    """A job that runs on the same device: of which run or contest, and what it does."""

    owner: str
    title: str

    def __str__(self) -> str:
        return msg("{owner}, {job}", owner=self.owner, job=self.title)


@dataclass(frozen=True)
class Forecast:
    """A dry run's answer: the costs of a few steps, and the rows over which they add up.

    `rows` are those that an epoch of each fold trains on and validates. `start_s` is what a process takes before it builds anything.
    `busy_with` are the jobs that ran on the device meanwhile, so that the times are upper bounds. `area_share` is the recipe's.
    """

    device: str
    costs: Costs
    rows: tuple[tuple[int, int], ...]
    n_test: int
    n_classes: int
    n_epochs: int
    start_s: float
    busy_with: tuple[Neighbour, ...] = ()
    area_share: float = 1.0

    @property
    def epoch_s(self) -> float:
        """Seconds of an epoch with its validation, the mean over the folds of the split and all epochs."""
        return fmean(self.costs.epoch_s(self.area_share * n_train, n_valid) for n_train, n_valid in self.rows)

    @property
    def is_disturbed(self) -> bool:
        """Whether its times are upper bounds, because the device had something else to do."""
        return bool(self.busy_with) or (self.costs.others or 0.0) > MUCH

    def trainings_s(self, fold_numbers: Sequence[int], n_seeds: int) -> tuple[float, ...]:
        """Seconds of each training of a run, in the order of the queue: fold by fold, each with every seed."""
        return tuple(self.fold_s(fold) for fold in fold_numbers for _ in range(n_seeds))

    def fold_s(self, fold: int) -> float:
        """Seconds of a fold from the start of its process to the end, if no epoch is saved by stopping early."""
        n_train, n_valid = self.rows[fold]
        return self.start_s + self.costs.fold_s(self.area_share * n_train, n_valid, self.n_test, self.n_epochs)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From the JSON of `python -m core.jobs.dry_run`."""
        return TypeAdapter(cls).validate_python(values)


@dataclass(frozen=True)
class Outlook:
    """A forecast for a choice of folds, each trained with `n_seeds` seeds, at one moment; `fold_s` are seconds of one training of each fold. Of `n_at_once` trainings together `memory_bytes` are needed, of which there are
    `memory_limit_bytes`; `disk_bytes` for the whole run, of which `disk_free_bytes` are free.

    `end_s` are the seconds until the run would end behind all that waits now, None while that is unknown; `run_s` without
    waiting. `problems` do not fit, each with its fix.
    """

    forecast: Forecast
    fold_s: tuple[float, ...]
    n_seeds: int
    n_at_once: int
    memory_bytes: int
    memory_limit_bytes: int
    disk_bytes: int
    disk_free_bytes: int
    run_s: float
    end_s: float | None
    problems: tuple[PitwallError, ...]


def look_out(
    forecast: Forecast,
    recipe: Recipe,
    fold_numbers: Sequence[int],
    *,
    devices: Sequence[str],
    weights_dir: Path,
    disk_free_bytes: int,
    end_s: float | None,
) -> Outlook:
    """What a forecast means for these folds on the engine's `devices`; `end_s` as in Outlook."""
    costs, n_seeds = forecast.costs, recipe.train.n_seeds
    n_folds = len(fold_numbers) * n_seeds
    n_sharing = sum(torch_name(name) == torch_name(forecast.device) for name in devices)
    n_at_once = max(1, min(n_folds, n_sharing))
    memory = n_at_once * (costs.peak_bytes + costs.loaders_bytes)
    # What a job that ran meanwhile holds will be free when this one runs.
    limit = costs.total_bytes if forecast.busy_with else costs.free_bytes
    n_rows = sum(forecast.rows[0])  # a training of every fold predicts them once
    shape = {"n_test": forecast.n_test, "n_classes": forecast.n_classes}
    sizes = {"checkpoint_bytes": costs.checkpoint_bytes, "weights_bytes": costs.weights_bytes}
    n_devices = max(1, min(n_folds, len(devices)))
    disk = max(
        run_bytes(recipe, **sizes, n_folds=n_folds, n_at_once=n_devices, n_rows=n_seeds * n_rows, **shape),
        fold_bytes(recipe, weights_dir=weights_dir, n_rows=n_rows, **shape),  # the engine asks for so much before it starts a fold
    )
    problems: list[PitwallError] = [_memory_problem(forecast, recipe, memory, limit, n_at_once)] if memory > limit else []
    problems += [_disk_problem(recipe, disk, disk_free_bytes, n_folds)] if disk > disk_free_bytes else []
    problems += [_number_problem(costs, recipe)] if costs.n_not_finite else []
    trainings_s = forecast.trainings_s(fold_numbers, n_seeds)
    return Outlook(
        forecast=forecast,
        fold_s=trainings_s[::n_seeds],
        n_seeds=n_seeds,
        n_at_once=n_at_once,
        memory_bytes=memory,
        memory_limit_bytes=limit,
        disk_bytes=disk,
        disk_free_bytes=disk_free_bytes,
        run_s=run_end_s([], [], {}, trainings_s, n_slots=n_devices, now=0.0) or 0.0,
        end_s=end_s,
        problems=tuple(problems),
    )


def _memory_problem(forecast: Forecast, recipe: Recipe, needed: int, limit: int, n_at_once: int) -> PitwallError:
    train = recipe.train
    several = [msg("{n} folds train there at once", n=n_at_once)] if n_at_once > 1 else []
    taken = msg("a fold takes {size}", size=size_text(forecast.costs.peak_bytes + forecast.costs.loaders_bytes))
    halved = (
        msg("set train.accumulate={n} (fewer rows at once, the same batch)", n=train.accumulate * 2)
        if forecast.costs.micro_batch > 1
        else ""
    )
    fixes = [part for part in ("use fewer slots" if n_at_once > 1 else "", halved, "choose a smaller backbone or input") if part]
    return OutOfMemory(
        "{needed} of memory needed, {limit} are there",
        where=forecast.device,
        why=joined("; ", [*several, taken]),
        fix=joined(", or ", fixes),
        needed=size_text(needed),
        limit=size_text(limit),
    )


def _disk_problem(recipe: Recipe, needed: int, free: int, n_folds: int) -> PitwallError:
    fixes = ["make space", "set checkpoints.keep=1" if recipe.checkpoints.keep > 1 else "", "train fewer folds" if n_folds > 1 else ""]
    return DiskFull(
        "{needed} of disk needed, {free} free",
        where="the workspace's disk",
        why="each fold keeps its weights and predictions, and checkpoints while it trains",
        fix=joined(", or ", (fix for fix in fixes if fix)),
        needed=size_text(needed),
        free=size_text(free),
    )


def _number_problem(costs: Costs, recipe: Recipe) -> PitwallError:
    is_fp16 = costs.precision == "fp16"
    return RecipeError(
        "{n:,} of {all:,} logits are not finite",
        where="train.precision" if is_fp16 else "optim.lr",
        why="fp16 holds no number above 65,504, and the network predicts in it" if is_fp16 else "training diverges within the first steps",
        fix="set train.precision=auto or fp32" if is_fp16 else msg("set optim.lr={lr:g}", lr=recipe.optim.lr / 10),
        n=costs.n_not_finite,
        all=costs.n_logits,
    )


def remaining_s(job: Job, mean_s: Mapping[int, float], *, now: float) -> float | None:
    """Seconds until a running job ends: its own estimate, else the mean of its run's finished folds; None when neither is known.

    `mean_s` gives the mean duration in seconds of the finished folds of a run, by run id.
    """
    if job.progress is not None and job.progress.eta_s is not None:
        return job.progress.eta_s
    if isinstance(job, FoldJob) and job.run_id in mean_s and job.started_at is not None:
        return max(0.0, mean_s[job.run_id] - (now - job.started_at))
    return None


def queue_end_s(running: Sequence[Job], queued: Sequence[Job], mean_s: Mapping[int, float], *, n_slots: int, now: float) -> float | None:
    """Seconds until everything that runs and waits is done on `n_slots` devices; None when that cannot be known yet, 0 when idle."""
    slots = _deal(running, queued, mean_s, n_slots=n_slots, now=now)
    return None if slots is None else max(slots, default=0.0)


def run_end_s(
    running: Sequence[Job], queued: Sequence[Job], mean_s: Mapping[int, float], fold_s: Sequence[float], *, n_slots: int, now: float
) -> float | None:
    """Seconds until a run would end that came last in the queue, its folds taking `fold_s`; None when that cannot be known yet."""
    slots = _deal(running, queued, mean_s, n_slots=n_slots, now=now)
    if not slots:
        return None
    return max((_take_first(slots, seconds) for seconds in fold_s), default=0.0)


def _deal(running: Sequence[Job], queued: Sequence[Job], mean_s: Mapping[int, float], *, n_slots: int, now: float) -> list[float] | None:
    """Seconds until each device has nothing left to do, as a heap; None when that cannot be known."""
    expected = dict(mean_s)
    slots: list[float] = []
    for job in running:
        remaining = remaining_s(job, mean_s, now=now)
        if remaining is None:
            return None
        slots.append(remaining)
        if isinstance(job, FoldJob) and job.run_id not in expected and job.started_at is not None:
            expected[job.run_id] = now - job.started_at + remaining
    slots += [0.0] * (n_slots - len(slots))
    if queued and not slots:
        return None
    heapq.heapify(slots)
    for job in queued:
        if not isinstance(job, FoldJob) or job.run_id not in expected or not slots:
            return None
        _take_first(slots, expected[job.run_id])
    return slots


def _take_first(slots: list[float], seconds: float) -> float:
    """Give a job to the slot that is free first; returns when it ends."""
    end = heapq.heappop(slots) + seconds
    heapq.heappush(slots, end)
    return end
