"""`train --dry-run`: what recipes would take, one column each, from a few real steps of each."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from core.base.errors import InputError
from core.commands.console import print_json, print_table, standard_error
from core.commands.records import duration_text

if TYPE_CHECKING:
    from core.jobs.engine import EngineStatus
    from core.jobs.forecast import Outlook
    from core.specs.recipe import Recipe
    from core.store.contests import Contest
    from core.store.folds import Folds
    from core.workspace import Workspace


def tell_dry_runs(
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
    from core.jobs.devices import read_devices
    from core.jobs.disk import free_bytes
    from core.jobs.dry_run import DryRun
    from core.jobs.engine import Engine
    from core.jobs.forecast import look_out
    from core.jobs.queue import check_launch

    moment = _read_when(when)
    engine = Engine(workspace, what="python -m core train --dry-run")
    chosen = read_devices(device)[0] if device else engine.devices[0]
    numbers = tuple(sorted(set(fold_numbers))) if fold_numbers else tuple(range(folds.n_folds))
    for recipe in recipes:
        check_launch(contest, folds, recipe, numbers)
    outlooks: list[Outlook] = []
    before: list[float] = []
    for recipe in recipes:
        dry_run = DryRun(workspace, contest, folds, recipe, device=chosen, devices=engine.devices, when=moment)
        console = standard_error()
        shows = sys.stderr.isatty() and not as_json
        with console.status(f"a dry run of {recipe.name} on {chosen}") if shows else nullcontext():
            forecast = dry_run.run()
        before += [forecast.fold_s(fold) for fold in numbers] * max(1, n_seeds)
        outlook = look_out(
            forecast,
            recipe,
            numbers,
            devices=engine.devices,
            disk_free_bytes=free_bytes(workspace.root),
            end_s=engine.run_end_s(before),
        )
        outlooks.append(outlook)
    now = time.time()
    if as_json:
        records = [outlook_record(recipe, outlook, now=now) for recipe, outlook in zip(recipes, outlooks, strict=True)]
        print_json(records[0] if len(records) == 1 else records)
    else:
        _print(recipes, outlooks, engine.status(), now=now)
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
        "weights": costs.weights,
        "batch_size": costs.batch_size,
        "micro_batch": costs.micro_batch,
        "halvings": costs.halvings,
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
    console = standard_error()
    for recipe, outlook in zip(recipes, outlooks, strict=True):
        for note in _notes(recipe, outlook):
            console.print(f"{recipe.name}: {note}", markup=False, highlight=False)


def _column(outlook: Outlook, unknown: str, *, now: float) -> dict[str, str]:
    """What is said of one recipe, by the name of its row; `unknown` is why its end is, where it is."""
    from core.jobs.disk import size_text

    forecast, costs = outlook.forecast, outlook.forecast.costs
    at_once = f"{outlook.n_at_once} folds at once: " if outlook.n_at_once > 1 else ""
    there = "free" if outlook.memory_limit_bytes == costs.free_bytes else "in all"
    weights = "from nothing" if costs.weights == "from nothing" else f"pretrained, {costs.weights}"
    return {
        "device": f"{forecast.device}, {costs.precision} ({costs.precision_reason})",
        "parameters": f"{costs.n_params / 1e6:.2f} M, {weights}",
        "rows": f"{costs.batch_size} in a step" + ("" if costs.micro_batch >= costs.batch_size else f", {costs.micro_batch} at once"),
        "memory": f"{at_once}{size_text(outlook.memory_bytes)} at the most, {size_text(outlook.memory_limit_bytes)} {there}",
        "step": f"{_step_text(costs.step_s)}, the mean of {costs.n_timed}",
        "epoch": f"{_short_text(forecast.epoch_s)}, with its validation",
        "fold": f"{duration_text(max(outlook.fold_s))}, {forecast.n_epochs} epoch{'s' if forecast.n_epochs > 1 else ''}",
        "run": f"{duration_text(outlook.run_s)}, {len(outlook.fold_s)} fold{'s' if len(outlook.fold_s) > 1 else ''}",
        "ends": unknown if outlook.end_s is None else f"about {_clock(now + outlook.end_s, now)}, if queued now",
        "disk": f"{size_text(outlook.disk_bytes)} at the most, {size_text(outlook.disk_free_bytes)} free",
    }


def _notes(recipe: Recipe, outlook: Outlook) -> list[str]:
    """What must be known to read the table."""
    costs, forecast, notes = outlook.forecast.costs, outlook.forecast, list[str]()
    if costs.halvings:
        notes.append(
            f"memory ran out, so {costs.micro_batch} of {costs.batch_size} rows are computed at once; a training would do the same. "
            f"To begin so: --set train.accumulate={recipe.train.accumulate * 2**costs.halvings}"
        )
    if forecast.busy_with:
        notes.append(
            f"{forecast.device} was busy with {', '.join(map(str, forecast.busy_with))}: the times are too long (--when free waits)"
        )
    elif forecast.is_disturbed and costs.others is not None:
        notes.append(f"other programs used {costs.others:.0%} of the processor meanwhile: the times are too long")
    return notes


def _read_when(given: str | None) -> Literal["now", "free"] | None:
    from core.jobs.dry_run import When

    if given is not None and given not in get_args(When):
        raise InputError(f"'{given}' is no moment", where="--when", fix="write now or free")
    return cast("Literal['now', 'free'] | None", given)


def _step_text(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _short_text(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else duration_text(seconds)


def _clock(moment: float, now: float) -> str:
    """Time of day, with the date when it is not today's."""
    same_day = time.localtime(moment)[:3] == time.localtime(now)[:3]
    return time.strftime("%H:%M" if same_day else "%Y-%m-%d %H:%M", time.localtime(moment))
