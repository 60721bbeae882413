"""`train`, `engine`, `demo`: the same queue, engine and worker processes as behind the pages, with a board on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.base.errors import InputError, StateError
from core.base.messages import msg
from core.commands.console import ContestArgument, JsonOption, SetOption, WorkspaceOption, opened, print_json, print_table, standard_error
from core.commands.work import metric_reader, raise_failure, work

if TYPE_CHECKING:
    from core.recipes.plan import ReadPlan
    from core.specs.recipe import Recipe
    from core.store.contests import Contest
    from core.store.folds import Folds
    from core.store.runs import Run
    from core.workspace import Workspace


def register(app: typer.Typer) -> None:
    app.command("train", short_help="Train a recipe over the folds of a contest.")(train)
    app.command("engine", short_help="Work through the queue without a browser.")(run_engine)
    app.command("demo", short_help="Both samples from data to submission, then the app.")(demo)


def train(
    contest: ContestArgument,
    recipes: Annotated[
        list[str] | None,
        typer.Option("--recipe", "-r", metavar="NAME|FILE", help="A preset, or a recipe in YAML; may be repeated.", show_default=False),
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(
            "--plan", metavar="FILE", help="Recipes, seeds, folds and weights from a file, in place of options.", show_default=False
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
    workspace: WorkspaceOption = None,
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
    from core.commands.dry_run import tell_dry_runs
    from core.commands.records import run_record
    from core.jobs.engine import Engine
    from core.jobs.queue import launch_plan, make_folds_of
    from core.recipes.plan import load_plan
    from core.store.contests import get_contest
    from core.store.runs import get_run

    house = opened(workspace)
    found = get_contest(house.store, contest)
    if plan is None:
        read = _plan_of(recipes or [], seeds, [*(sets or []), *([f"name={name}"] if name else [])])
    else:
        _refuse_beside_plan({"--recipe": recipes, "--seeds": seeds, "--set": sets, "--name": name})
        read = load_plan(plan, found.spec.modality)
    if read.plan.folds and folds_id is not None:
        raise InputError("the plan says which folds", where="--folds", fix="leave the option out, or take `folds` out of the plan")
    split = make_folds_of(house, found, read) or choose_folds(house, found, folds_id)
    if dry_run:
        n_seeds = len(read.plan.seeds)
        tell_dry_runs(house, found, split, read.recipes, folds, n_seeds=n_seeds, device=device, when=when, as_json=as_json)
        return
    if device or when:
        raise InputError("only a dry run chooses its device", where="--device, --when", fix="add --dry-run, or see PITWALL_DEVICES")
    console = standard_error()
    runs: Sequence[Run] = launch_plan(house, found, split, read, fold_numbers=folds)
    for run in runs:
        n_folds = len(run.fold_numbers)
        said = f"queued {run.name} ({run.ref}): {n_folds} fold{'s' if n_folds > 1 else ''} of {found.name}"
        console.print(said, markup=False, highlight=False)
    if not queue:
        work(Engine(house, what="python -m core train"), house, [run.id for run in runs], quiet=as_json)
    runs = [get_run(house.store, run.id) for run in runs]
    if as_json:
        records = [run_record(house, run) for run in runs]
        print_json(records[0] if len(records) == 1 else records)
    elif not queue:
        _print_scores(house, runs)
    for run in runs:
        raise_failure(run)


def run_engine(
    drain: Annotated[bool, typer.Option("--drain", help="End when the queue is empty.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Work through the queue without a browser, until Ctrl-C. Running jobs then go back to the queue."""
    from core.commands.follow import Board, follow, is_settled
    from core.jobs.engine import Engine
    from core.store.runs import list_runs

    house = opened(workspace)
    engine = Engine(house, what="python -m core engine")
    console = standard_error()
    if not engine.start():
        holder = engine.status().holder
        engine.stop()
        raise StateError(
            "another process works through this queue", where=str(house.root), why=f"it is {holder}", fix="stop that one first"
        )
    console.print(f"the engine works in {house.root}; Ctrl-C stops it", markup=False, highlight=False)
    seen = {run.id for run in list_runs(house.store) if run.state not in ("running", "queued")}

    def active() -> Sequence[Run]:
        return [run for run in reversed(list_runs(house.store)) if run.id not in seen]

    try:
        follow(engine, active, Board(console, metric_of=metric_reader(house)), is_over=lambda runs: drain and is_settled(runs))
    except KeyboardInterrupt:
        console.print("stopping: running jobs go back to the queue", markup=False, highlight=False)
    finally:
        engine.stop()


def demo(
    no_serve: Annotated[bool, typer.Option("--no-serve", help="Stop after the table.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Two sample contests from data to submission, then the workbench on them. What is there already is reused."""
    from core.commands.demo import DEMO_ROOT, run_demo

    run_demo(opened(workspace or DEMO_ROOT), serve=not no_serve)


def _plan_of(recipes: Sequence[str], seeds: str | None, sets: Sequence[str]) -> ReadPlan:
    """What the options say, as a plan."""
    from core.recipes.plan import ReadPlan, parse_seeds

    if not recipes:
        raise InputError("no recipe was given", where="--recipe", fix="name a preset or a recipe file, or give a plan with --plan")
    chosen = [read_recipe(given, sets) for given in recipes]
    chosen_seeds = parse_seeds(seeds or "", where="--seeds")
    if seeds is not None and not chosen_seeds:
        raise InputError("no seed was given", where="--seeds", fix="write 0,1,2 or 0-4, or leave the option out")
    return ReadPlan.of(chosen, chosen_seeds)


def _refuse_beside_plan(options: Mapping[str, object]) -> None:
    """Raise InputError for options that a plan file says itself."""
    given = [option for option, value in options.items() if value]
    if given:
        raise InputError(
            msg("the plan says this itself: {options}", options=", ".join(given)),
            where="--plan",
            fix="change the file, or leave these options out",
        )


def read_recipe(given: str, sets: Sequence[str]) -> Recipe:
    """A recipe from a file (a name that ends in .yaml or .yml, or a path) or from the presets, with assignments applied."""
    from core.base.settings import apply_sets, load_settings
    from core.recipes.plan import load_preset
    from core.specs.recipe import Recipe

    is_file = Path(given).suffix in (".yaml", ".yml") or Path(given).is_file()
    return apply_sets(load_settings(Recipe, Path(given)) if is_file else load_preset(given), sets, where="--set")


def choose_folds(workspace: Workspace, contest: Contest, folds_id: int | None) -> Folds:
    """The split of that id, which must be the contest's, or its newest."""
    from core.base.errors import NotFoundError
    from core.store.folds import list_folds

    known = list_folds(workspace.store, contest.id)
    if not known:
        raise StateError(
            "this contest has no folds yet",
            where=contest.name,
            why="a run needs to know who validates whom",
            fix=f"python -m core folds make {contest.name}",
        )
    for folds in known:
        if folds_id in (None, folds.id):
            return folds
    raise NotFoundError.among("split", str(folds_id), (str(folds.id) for folds in known))


def _print_scores(workspace: Workspace, runs: Sequence[Run]) -> None:
    from core.commands.records import direction, run_record, score_text

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
