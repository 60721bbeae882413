"""What `train --dry-run` says: what recipes would take, one column each, from a few real steps of each; and what in a recipe makes no sense."""

import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any, get_args

from core.base.errors import InputError
from core.commands.console import note, print_json, print_table, standard_error
from core.commands.records import duration_text, folds_text
from core.contest.table import load_table, load_truth
from core.data.tokens import TokenLengths
from core.folds import load_folds
from core.jobs.devices import detect_devices, has_gpu, read_devices
from core.jobs.disk import free_bytes, size_text
from core.jobs.dry_run import DryRun, When
from core.jobs.engine import Engine, EngineStatus
from core.jobs.forecast import Outlook, look_out
from core.jobs.launch import check_launch
from core.recipes.advice import doubts, row_facts
from core.specs.recipe import Recipe
from core.store.contests import Contest
from core.store.folds import Folds
from core.training.schedule import plan_epochs
from core.workspace import Workspace


def doubts_of(
    workspace: Workspace, contest: Contest, folds: Folds, recipes: Sequence[Recipe], fold_numbers: Sequence[int] | None
) -> list[tuple[str, ...]]:
    """What in each recipe makes no sense for the first of these folds (all for None)."""
    truth, facts = load_truth(workspace, contest), row_facts(load_table(workspace, contest))
    labels = truth.labels[load_folds(workspace, folds).keeping(truth.kept).train_idx(min(fold_numbers or [0]))]
    folder, gpu = workspace.weights_dir, has_gpu(detect_devices())
    return [doubts(recipe, plan_epochs(recipe, labels), facts, weights_dir=folder, has_gpu=gpu) for recipe in recipes]


def print_dry_runs(
    workspace: Workspace,
    contest: Contest,
    folds: Folds,
    recipes: Sequence[Recipe],
    fold_numbers: Sequence[int] | None,
    *,
    n_seeds: int,
    device: str | None,
    when: str | None,
    as_json: bool,
) -> None:
    """Try each recipe and print what it would take over these folds (all for None), with `n_seeds` seeds (0: its own).

    The recipes count as queued one after another, behind what waits now. Raises as a dry run does, and, after the table, the first
    problem of what does not fit.
    """
    moment: When | None = next((each for each in get_args(When) if each == when), None)
    if when is not None and moment is None:
        raise InputError(f"'{when}' is no moment", where="--when", fix="write now or free")
    engine = Engine(workspace, what="python -m core train --dry-run")
    chosen = read_devices(device)[0] if device else engine.devices[0]
    numbers = tuple(sorted(set(fold_numbers))) if fold_numbers else tuple(range(folds.n_folds))
    for recipe in recipes:
        check_launch(workspace, contest, folds, recipe, numbers)
    outlooks: list[Outlook] = []
    before: list[float] = []
    for recipe in recipes:
        dry_run = DryRun(workspace, contest, folds, recipe, device=chosen, devices=engine.devices, when=moment)
        shows = sys.stderr.isatty() and not as_json
        with standard_error().status(f"a dry run of {recipe.name} on {chosen}") if shows else nullcontext():
            forecast = dry_run.run()
        before += forecast.trainings_s(numbers, recipe.train.n_seeds) * max(1, n_seeds)
        outlook = look_out(
            forecast,
            recipe,
            numbers,
            devices=engine.devices,
            weights_dir=workspace.weights_dir,
            disk_free_bytes=free_bytes(workspace.root),
            end_s=engine.run_end_s(before),
        )
        outlooks.append(outlook)
    now, doubted = time.time(), doubts_of(workspace, contest, folds, recipes, numbers)
    if as_json:
        records = [
            outlook_record(recipe, outlook, now=now) | {"doubts": list(said)}
            for recipe, outlook, said in zip(recipes, outlooks, doubted, strict=True)
        ]
        print_json(records[0] if len(records) == 1 else records)
    else:
        _print(recipes, outlooks, engine.status(), now=now)
        for recipe, said in zip(recipes, doubted, strict=True):
            for doubt in said:
                note(f"{recipe.name}: {doubt}")
    for outlook in outlooks:
        for problem in outlook.problems:
            raise problem


def outlook_record(recipe: Recipe, outlook: Outlook, *, now: float) -> dict[str, Any]:
    """What a dry run says, as plain values: bytes, seconds, and `ends_at` in epoch seconds (null while it is unknown)."""
    forecast, costs = outlook.forecast, outlook.forecast.costs
    return {
        "recipe": recipe.name,
        "device": forecast.device,
        "fits": not outlook.problems,
        "precision": costs.precision,
        "precision_reason": costs.precision_reason,
        "n_params": costs.n_params,
        "n_trainable": costs.n_trainable,
        "weights": costs.weights,
        "batch_size": costs.batch_size,
        "micro_batch": costs.micro_batch,
        "halvings": costs.halvings,
        "tokens": None if costs.tokens is None else asdict(costs.tokens),
        "memory": {
            "peak_bytes": costs.peak_bytes,
            "above_start_bytes": costs.above_start_bytes,
            "loaders_bytes": costs.loaders_bytes,
            "folds_at_once": outlook.n_at_once,
            "needed_bytes": outlook.memory_bytes,
            "free_bytes": costs.free_bytes,
            "total_bytes": costs.total_bytes,
        },
        "time": {
            "step_s": costs.step_s,
            "steps_timed": costs.n_timed,
            "epoch_s": forecast.epoch_s,
            "fold_s": list(outlook.fold_s),
            "n_seeds": outlook.n_seeds,
            "run_s": outlook.run_s,
            "ends_at": None if outlook.end_s is None else now + outlook.end_s,
            "busy_with": [str(job) for job in forecast.busy_with],
            "others_share": costs.others,
        },
        "disk": {
            "checkpoint_bytes": costs.checkpoint_bytes,
            "weights_bytes": costs.weights_bytes,
            "needed_bytes": outlook.disk_bytes,
            "free_bytes": outlook.disk_free_bytes,
        },
        "problems": [problem.to_dict() for problem in outlook.problems],
    }


def _print(recipes: Sequence[Recipe], outlooks: Sequence[Outlook], status: EngineStatus, *, now: float) -> None:
    unknown = "not known: the queue is paused"
    if any(device.hold is None for device in status.devices):
        unknown = "not known: nobody knows yet how long what is in the queue will take"
    columns = [_column(outlook, unknown, now=now) for outlook in outlooks]
    print_table(["", *(recipe.name for recipe in recipes)], [(name, *(column[name] for column in columns)) for name in columns[0]])
    for recipe, outlook in zip(recipes, outlooks, strict=True):
        for line in _notes(recipe, outlook):
            note(f"{recipe.name}: {line}")


def _column(outlook: Outlook, unknown: str, *, now: float) -> dict[str, str]:
    """What is said of one recipe, by the name of its row; `unknown` is why its end is, where it is."""
    forecast, costs = outlook.forecast, outlook.forecast.costs
    at_once = f"{outlook.n_at_once} folds at once: " if outlook.n_at_once > 1 else ""
    there = "free" if outlook.memory_limit_bytes == costs.free_bytes else "in all"
    learned = f"{costs.n_trainable / 1e6:.2f} M trainable, " if 0 < costs.n_trainable < costs.n_params else ""
    weights = "from scratch" if costs.weights == "from nothing" else f"pretrained, {costs.weights}"
    return {
        "device": f"{forecast.device}, {costs.precision} ({costs.precision_reason})",
        "parameters": f"{costs.n_params / 1e6:.2f} M, {learned}{weights}",
        "rows": f"{costs.batch_size} in a step" + ("" if costs.micro_batch >= costs.batch_size else f", {costs.micro_batch} at once"),
        "memory": f"{at_once}{size_text(outlook.memory_bytes)} at the most, {size_text(outlook.memory_limit_bytes)} {there}",
        "step": f"{_step_text(costs.step_s)}, the mean of {costs.n_timed}",
        "epoch": f"{_short_text(forecast.epoch_s)}, with its validation",
        "fold": f"{duration_text(max(outlook.fold_s))}, {forecast.n_epochs} epoch{'s' if forecast.n_epochs > 1 else ''}",
        "run": f"{duration_text(outlook.run_s)}, {folds_text(len(outlook.fold_s), outlook.n_seeds)}",
        "ends": unknown if outlook.end_s is None else f"about {_clock(now + outlook.end_s, now)}, if queued now",
        "disk": f"{size_text(outlook.disk_bytes)} at the most, {size_text(outlook.disk_free_bytes)} free",
    }


def lengths_text(lengths: TokenLengths, recipe: Recipe) -> str:
    """How long texts are, and what becomes of the long ones."""
    truncation, most = recipe.input.truncation, recipe.input.max_tokens
    kept = (
        f"read in up to {recipe.input.windows} windows" if truncation == "windows" else f"cut to their {truncation.replace('_', ' and ')}"
    )
    long = (
        f"{lengths.share_cut:.1%} are longer than {most} tokens and are {kept}"
        if lengths.share_cut
        else f"none is longer than {most} tokens"
    )
    spread = f"median {lengths.median}, 95 % at most {lengths.most_of_95}, longest {lengths.longest} tokens"
    return f"{spread}, of {lengths.n_texts:,} texts; {long}"


def _notes(recipe: Recipe, outlook: Outlook) -> list[str]:
    """What must be known to read the table."""
    costs, forecast, notes = outlook.forecast.costs, outlook.forecast, list[str]()
    if costs.tokens is not None:
        notes.append(lengths_text(costs.tokens, recipe))
    if costs.halvings:
        notes.append(
            f"memory ran out, so {costs.micro_batch} of {costs.batch_size} rows are computed at once; a training would do the same. "
            f"To begin so: --set train.accumulate={recipe.train.accumulate * 2**costs.halvings}"
        )
    if forecast.busy_with:
        notes.append(
            f"{forecast.device} was busy with {', '.join(map(str, forecast.busy_with))}: so these times are upper bounds (--when free waits)"
        )
    elif forecast.is_disturbed and costs.others is not None:
        notes.append(f"other programs used {costs.others:.0%} of the processor meanwhile, so these times are upper bounds")
    return notes


def _step_text(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _short_text(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else duration_text(seconds)


def _clock(moment: float, now: float) -> str:
    """Time of day, with the date when it is not today's."""
    same_day = time.localtime(moment)[:3] == time.localtime(now)[:3]
    return time.strftime("%H:%M" if same_day else "%Y-%m-%d %H:%M", time.localtime(moment))
