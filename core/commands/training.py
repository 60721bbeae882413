"""`train`, `engine`, `demo`: the same queue, engine and worker processes as behind the pages, with a board on the terminal."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

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
from core.commands.dry_run import doubts_of, print_dry_runs
from core.commands.follow import follow, is_settled, raise_failure, work
from core.commands.records import choose_folds, direction, folds_text, run_record, score_text
from core.contest.table import load_table
from core.jobs.devices import detect_devices, has_gpu
from core.jobs.engine import Engine
from core.jobs.launch import launch_plan, make_folds_of
from core.recipes.advice import row_facts, suggest_recipe
from core.recipes.fit import measured_row_s
from core.recipes.plan import ReadPlan, list_backbones, load_plan, load_preset, parse_seeds
from core.specs.recipe import Recipe
from core.store.contests import Contest, get_contest
from core.store.runs import Run, get_run, list_runs
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
    recipe = suggest_recipe(
        contest.spec.modality, listed, facts, has_gpu=has_gpu(detect_devices()), row_s=partial(measured_row_s, workspace.store)
    )
    size = f"{recipe.input.size_px} px" if recipe.modality == "image" else f"{recipe.input.max_tokens} tokens"
    note(f"suggested: {recipe.model.backbone}, {size}, {recipe.train.epochs} epochs, model.freeze={recipe.model.freeze}")
    return recipe


def read_recipe(given: str, sets: Sequence[str]) -> Recipe:
    """A recipe from a file (a name that ends in .yaml or .yml, or a path) or from the presets, with assignments applied."""
    is_file = Path(given).suffix in (".yaml", ".yml") or Path(given).is_file()
    return apply_sets(load_settings(Recipe, Path(given)) if is_file else load_preset(given), sets, where="--set")


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
