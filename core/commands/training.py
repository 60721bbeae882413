"""`train`, `engine`, `demo`: the same queue, engine and worker processes as behind the pages, with a board on the terminal.

With `--dry-run` nothing is queued: it is said what recipes would take, one column each, from a few real steps of each.
"""

import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from core.base.errors import InputError, StateError
from core.base.messages import msg
from core.base.settings import apply_sets, load_settings
from core.commands.console import (
    ContestArgument,
    JsonOption,
    SetOption,
    WorkspaceOption,
    commands,
    note,
    opened,
    print_json,
    print_table,
    standard_error,
)
from core.commands.demo import DEMO_ROOT, run_demo
from core.commands.follow import follow, is_settled, raise_failure, work
from core.commands.records import choose_folds, direction, duration_text, run_record, score_text
from core.contest.table import load_table, load_truth
from core.data.tokens import TokenLengths
from core.folds import load_folds
from core.jobs.devices import detect_devices, read_devices, torch_name
from core.jobs.disk import free_bytes, size_text
from core.jobs.dry_run import DryRun, When
from core.jobs.engine import Engine, EngineStatus
from core.jobs.forecast import Outlook, look_out
from core.jobs.launch import check_launch, launch_plan, make_folds_of
from core.recipes.advice import doubts, row_facts, suggest_recipe
from core.recipes.fit import measured_row_s
from core.recipes.plan import ReadPlan, list_backbones, load_plan, load_preset, parse_seeds
from core.specs.recipe import Recipe
from core.store.contests import Contest, get_contest
from core.store.folds import Folds
from core.store.runs import Run, get_run, list_runs
from core.training.schedule import plan_epochs
from core.workspace import Workspace

app = commands()

SUGGESTED = "suggested"
"""In place of a preset's name: the recipe that the page Train starts a new contest from."""


@app.command("train")
def train(
    contest: ContestArgument,
    recipes: Annotated[
        list[str] | None,
        typer.Option(
            "--recipe", "-r", metavar="NAME|FILE", help="A preset, `suggested`, or a recipe in YAML; may be repeated.", show_default=False
        ),
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(
            "--plan",
            metavar="FILE|NAME",
            help="Recipes, seeds, folds and weights from a file or a plan that comes along, in place of options.",
            show_default=False,
        ),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option("--seeds", metavar="A,B|A-B", help="One run with each of these seeds.", show_default=False)
    ] = None,
    folds: Annotated[
        list[int] | None, typer.Option("--fold", metavar="K", help="Only this fold, from 0; may be repeated.", show_default=False)
    ] = None,
    folds_id: Annotated[int | None, typer.Option("--folds", metavar="ID", help="Which split; else the newest.", show_default=False)] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Name of the run; else that of the recipe.", show_default=False)
    ] = None,
    sets: SetOption = None,
    queue: Annotated[bool, typer.Option("--queue", help="Only put it in the queue.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would take, from a few real steps.")] = False,
    device: Annotated[
        str | None,
        typer.Option("--device", metavar="NAME", help="With --dry-run: the device to try; else the first that trains.", show_default=False),
    ] = None,
    when: Annotated[
        str | None,
        typer.Option(
            "--when",
            metavar="now|free",
            help="With --dry-run: beside a job on the device, or when it is free; else now on the processor, free on a GPU.",
            show_default=False,
        ),
    ] = None,
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a recipe over the folds of a contest, and stay until the run is finished.

    Several recipes or seeds make a grid: one run of each recipe with each seed, named after what differs. A plan file holds all of that, and
    the weights of the blend; --fold takes the place of its own. When another process (the workbench, or `engine`) works through this
    workspace's queue, it trains the run there and this command watches. Ctrl-C stops within a step; what was not finished goes back to
    the queue.

    --dry-run queues and keeps nothing: it tells the peak memory, seconds per epoch, expected end and disk needed, and fails when
    something of it does not fit.
    """
    workspace = opened(root)
    found = get_contest(workspace.store, contest)
    if plan is None:
        read = _plan_of(workspace, found, recipes or [], seeds, [*(sets or []), *([f"name={name}"] if name else [])])
    else:
        beside = {"--recipe": recipes, "--seeds": seeds, "--set": sets, "--name": name}
        if given := [option for option, value in beside.items() if value]:
            raise InputError(
                msg("the plan says this itself: {options}", options=", ".join(given)),
                where="--plan",
                fix="change the file, or leave these options out",
            )
        read = load_plan(plan, found.spec.modality, workspace.weights_dir)
    if read.plan.folds and folds_id is not None:
        raise InputError("the plan says which folds", where="--folds", fix="leave the option out, or take `folds` out of the plan")
    split = make_folds_of(workspace, found, read) or choose_folds(workspace, found, folds_id)
    if dry_run:
        n_seeds = len(read.plan.seeds)
        print_dry_runs(workspace, found, split, read.recipes, folds, n_seeds=n_seeds, device=device, when=when, as_json=as_json)
        return
    if device or when:
        raise InputError("only a dry run chooses its device", where="--device, --when", fix="add --dry-run, or see PITWALL_DEVICES")
    runs: Sequence[Run] = launch_plan(workspace, found, split, read, fold_numbers=folds)
    for recipe, found_doubts in zip(read.recipes, doubts_of(workspace, found, split, read.recipes, folds), strict=True):
        for doubt in found_doubts:
            note(f"{recipe.name}: {doubt}")
    for run in runs:
        note(f"queued {run.name} ({run.ref}): {folds_text(len(run.fold_numbers), len(run.parts))} of {found.name}")
        if there := [f"{seed.name} ({seed.ref})" for seed in run.seeds if seed.created_at < run.created_at]:
            note(f"not trained again, because there already: {', '.join(there)}")
    if not queue:
        work(Engine(workspace, what="python -m core train"), [run.id for run in runs], quiet=as_json)
    runs = [get_run(workspace.store, run.id) for run in runs]
    if as_json:
        records = [run_record(workspace, run) for run in runs]
        print_json(records[0] if len(records) == 1 else records)
    elif not queue:
        _print_scores(workspace, runs)
    for run in runs:
        raise_failure(run)


@app.command("engine")
def run_engine(
    drain: Annotated[bool, typer.Option("--drain", help="End when the queue is empty.")] = False,
    root: WorkspaceOption = None,
) -> None:
    """Run the queue without a browser, until Ctrl-C. Running jobs then go back to the queue."""
    workspace = opened(root)
    engine = Engine(workspace, what="python -m core engine")
    if not engine.start():
        holder = engine.status().held_by
        engine.stop()
        raise StateError(
            "another process works through this queue",
            where=str(workspace.root),
            why="it is {holder}",
            fix="stop that one first",
            holder=holder,
        )
    note(f"the engine works in {workspace.root}; Ctrl-C stops it")
    seen = {run.id for run in list_runs(workspace.store) if run.state not in ("running", "queued")}

    def active() -> Sequence[Run]:
        return [run for run in reversed(list_runs(workspace.store)) if run.id not in seen]

    try:
        follow(engine, active, standard_error(), is_over=lambda runs: drain and is_settled(runs))
    except KeyboardInterrupt:
        note("stopping: running jobs go back to the queue")
    finally:
        engine.stop()


@app.command("demo")
def demo(
    no_serve: Annotated[bool, typer.Option("--no-serve", help="Stop after the table.")] = False,
    root: WorkspaceOption = None,
) -> None:
    """Two sample contests from data to submission, then the workbench on them. What is there already is reused."""
    run_demo(opened(root or DEMO_ROOT), serve=not no_serve)


def _plan_of(workspace: Workspace, contest: Contest, recipes: Sequence[str], seeds: str | None, sets: Sequence[str]) -> ReadPlan:
    """What the options say, as a plan."""
    if not recipes:
        raise InputError("no recipe was given", where="--recipe", fix="name a preset or a recipe file, or give a plan with --plan")
    chosen = [
        apply_sets(suggested_recipe(workspace, contest), sets, where="--set") if given == SUGGESTED else read_recipe(given, sets)
        for given in recipes
    ]
    chosen_seeds = parse_seeds(seeds or "", where="--seeds")
    if seeds is not None and not chosen_seeds:
        raise InputError("no seed was given", where="--seeds", fix="write 0,1,2 or 0-4, or leave the option out")
    return ReadPlan.of(chosen, chosen_seeds)


def suggested_recipe(workspace: Workspace, contest: Contest) -> Recipe:
    """What the page Train starts a new contest from: what this machine can train now, on a processor in time."""
    facts, listed = row_facts(load_table(workspace, contest)), list_backbones(workspace, contest.spec.modality)
    recipe = suggest_recipe(contest.spec.modality, listed, facts, has_gpu=has_gpu(), row_s=partial(measured_row_s, workspace.store))
    size = f"{recipe.input.size_px} px" if recipe.modality == "image" else f"{recipe.input.max_tokens} tokens"
    note(f"suggested: {recipe.model.backbone}, {size}, {recipe.train.epochs} epochs, model.freeze={recipe.model.freeze}")
    return recipe


def has_gpu() -> bool:
    return any(torch_name(device) != "cpu" for device in detect_devices())


def read_recipe(given: str, sets: Sequence[str]) -> Recipe:
    """A recipe from a file (a name that ends in .yaml or .yml, or a path) or from the presets, with assignments applied."""
    is_file = Path(given).suffix in (".yaml", ".yml") or Path(given).is_file()
    return apply_sets(load_settings(Recipe, Path(given)) if is_file else load_preset(given), sets, where="--set")


def folds_text(n_folds: int, n_seeds: int) -> str:
    """How much a run trains: 5 folds, or 5 folds x 3 seeds."""
    return f"{n_folds} fold{'s' if n_folds > 1 else ''}" + (f" x {n_seeds} seeds" if n_seeds > 1 else "")


def _print_scores(workspace: Workspace, runs: Sequence[Run]) -> None:

    records = [run_record(workspace, run) for run in runs]
    numbers = runs[0].fold_numbers
    print_table(
        ["run", *(f">fold {number}" for number in numbers), ">CV mean ± sd", "metric", "state"],
        [
            (
                f"{record['run']} ({record['ref']})",
                *(score_text(record["fold_scores"][number]) for number in numbers),
                score_text(record["cv_score"], record["cv_sd"]),
                f"{record['metric']} {direction(record['metric'])}",
                record["state"],
            )
            for record in records
        ],
    )


def doubts_of(
    workspace: Workspace, contest: Contest, folds: Folds, recipes: Sequence[Recipe], fold_numbers: Sequence[int] | None
) -> list[tuple[str, ...]]:
    """What in each recipe makes no sense for the first of these folds (all for None)."""
    truth, facts = load_truth(workspace, contest), row_facts(load_table(workspace, contest))
    labels = truth.labels[load_folds(workspace, folds).keeping(truth.kept).train_idx(min(fold_numbers or [0]))]
    folder, gpu = workspace.weights_dir, has_gpu()
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
        "n_learned": costs.n_learned,
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
    learned = f"{costs.n_learned / 1e6:.2f} M of them learn, " if 0 < costs.n_learned < costs.n_params else ""
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
