"""`runs`, `show`, `run`, `checkpoints`, `tensorboard`: what was trained, what a run keeps, and its losses."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import typer

from core.analysis.kept import list_kept
from core.base.files import shell_name
from core.base.names import check_note
from core.commands.console import (
    ContestArgument,
    ContestOption,
    JsonOption,
    NameArgument,
    RunArgument,
    WorkspaceOption,
    YesOption,
    commands,
    note,
    opened,
    print_json,
    print_records,
    print_table,
    say,
)
from core.commands.records import contest_id_of, direction, duration_text, kept_record, run_details, run_record, score_text
from core.commands.trash import delete
from core.jobs import launch
from core.jobs.disk import size_text
from core.store import runs
from core.store.contests import get_contest
from core.store.runs import Run, get_run
from core.tracking.board import board_command, start_board
from core.workspace import Workspace

app = commands()
run_app = commands("Rename, annotate and delete runs.")
app.add_typer(run_app, name="run")


@app.command("runs")
def list_runs(contest: ContestArgument, root: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List a contest's runs, newest first, with their CV score and state."""
    workspace = opened(root)
    found = get_contest(workspace.store, contest)
    records = [run_record(workspace, run) for run in runs.list_runs(workspace.store, found.id)]
    print_records(
        records,
        {
            "ref": lambda record: record["ref"],
            "run": lambda record: record["run"],
            "backbone": lambda record: record["backbone"] or "imported",
            ">folds done": lambda record: f"{sum(score is not None for score in record['fold_scores'])} of {record['n_folds']}",
            ">CV mean ± sd": lambda record: score_text(record["cv_score"], record["cv_sd"]),
            ">seeds": lambda record: str(len(record["seeds"]) or 1) if not record["imported"] else "",
            ">seed sd": lambda record: score_text(record["seed_sd"]),
            ">trained": lambda record: duration_text(record["elapsed_s"]),
            "state": _state_text,
        },
        as_json=as_json,
        title=f"{found.name}: {found.spec.metric} {direction(found.spec.metric)}",
        empty=f"no run yet: python -m core train --recipe NAME {shell_name(found.name)}",
    )


def _state_text(record: Mapping[str, Any]) -> str:
    """A run's state; until it ends, how much of it is done, and where its folds that were handed back will go on."""
    if record["state"] not in ("queued", "running"):
        return record["state"]
    places = [f"fold {fold} goes on at {_place_text(place)}" for fold, place in record["goes_on"].items()]
    return ", ".join([f"{record['state']} {record['share_done']:.0%}", *places])


def _place_text(place: Mapping[str, Any]) -> str:
    if place["phase"] != "training":
        return "its predictions"
    step = f", step {place['step']} of {place['n_steps']}" if place["n_steps"] else ""
    return f"epoch {place['epoch']} of {place['n_epochs']}{step}"


@app.command("show")
def show_run(run: RunArgument, contest: ContestOption = None, root: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Show one run: its recipe, the state and score of each fold, and why a fold failed."""
    workspace = opened(root)
    record = run_details(workspace, run_named(workspace, run, contest))
    if as_json:
        print_json(record)
        return
    score = f"{record['metric']} {direction(record['metric'])} {score_text(record['cv_score'], record['cv_sd'])}"
    say(f"{record['run']} ({record['ref']}) of {record['contest']}: {record['state']}, CV {score}")
    choice = record["cross_fitted_epochs"]
    if choice:
        say(
            f"{'single seeds: ' if record['seeds'] else ''}CV {score_text(choice['cv_score'], choice['cv_sd'])} with cross-fitted epochs: the best epoch of a fold is chosen on the rows that score it; "
            "here each fold is scored at the epoch that was best on the mean of the others"
        )
    if record["seeds"]:
        noise = "not known yet" if record["seed_sd"] is None else f"±{record['seed_sd']:.4f} (standard deviation over seeds)"
        say(f"the mean of {len(record['seeds'])} seeds; noise of a retraining, by their CV scores: {noise}")
        print_table(
            [">seed", "ref", "run", ">folds done", f">CV {record['metric']}", "state"],
            [
                (str(seed["seed"]), seed["ref"], seed["run"], str(seed["folds_done"]), score_text(seed["cv_score"]), seed["state"])
                for seed in record["seeds"]
            ],
        )
        print_table(
            [">fold", f">{record['metric']}"],
            [(str(fold), score_text(score)) for fold, score in enumerate(record["fold_scores"])],
        )
    else:
        _print_jobs(record)
    print_table(["setting", "value"], [(path, str(value)) for path, value in _leaves(record["recipe"] or {"imported": record["imported"]})])


def _print_jobs(record: Mapping[str, Any]) -> None:
    goes_on = {int(fold): f", goes on at {_place_text(place)}" for fold, place in record["goes_on"].items()}
    print_table(
        [">fold", "state", f">{record['metric']}", ">epochs kept", ">trained", "problem"],
        [
            (
                str(job["fold"]),
                job["state"] + goes_on.get(job["fold"], ""),
                score_text(job["scores"][record["metric"]] if job["scores"] else None),
                _epochs_text(job),
                duration_text(job["elapsed_s"]),
                f"{job['error']['type']}: {job['error']['what']}; log {job['log']}" if job["error"] and job["state"] == "failed" else "",
            )
            for job in record["jobs"]
        ],
    )


def _epochs_text(job: Mapping[str, Any]) -> str:
    """The epochs whose weights a finished fold kept."""
    found = (job["facts"] or {}).get("kept_epochs", [job["best_epoch"] or "-"])
    return ", ".join(map(str, sorted(found)))


@app.command("checkpoints")
def show_checkpoints(run: RunArgument, root: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List a run's checkpoints and the weights of its finished folds, after checking every byte against its hash.

    A fold that was stopped goes on from its newest checkpoint that verifies. A finished fold keeps only its best weights.
    """
    workspace = opened(root)
    found = get_run(workspace.store, run)
    metric = get_contest(workspace.store, found.contest_id).spec.metric
    every = "" if found.is_imported else f"{found.recipe.checkpoints.every_s:g} s"
    print_records(
        [kept_record(item) for item in list_kept(workspace, found)],
        {
            "run": lambda item: item["run"],
            ">fold": lambda item: str(item["fold"]),
            "what": lambda item: item["kind"],
            ">epoch": lambda item: str(item["epoch"]),
            ">step": lambda item: "" if item["step"] is None else str(item["step"]),
            ">best epoch": lambda item: str(item["best_epoch"] or ""),
            f">{metric}": lambda item: score_text(item["scores"].get(metric)),
            ">size": lambda item: size_text(item["n_bytes"]),
            "made": lambda item: f"{datetime.fromtimestamp(item['created_at']):%m-%d %H:%M:%S}" if item["created_at"] else "",
            "attempt": lambda item: str(item["attempt"]),
            "state": lambda item: item["standing"] + (f": {item['why']}" if item["standing"] != "verified" else ""),
        },
        as_json=as_json,
        empty=f"{found.name} keeps nothing yet: a fold writes its first checkpoint after {every}"
        if every
        else f"{found.name} was imported: it was not trained here",
    )


@app.command("tensorboard")
def tensorboard(
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, metavar="N", help="Else the first free one from 6006.", show_default=False)
    ] = None,
    command: Annotated[bool, typer.Option("--command", help="Only print what starts it without Pitwall.")] = False,
    root: WorkspaceOption = None,
) -> None:
    """Show the event files of every run of the workspace in TensorBoard, on 127.0.0.1, until Ctrl-C."""
    workspace = opened(root)
    if command:
        typer.echo(board_command(workspace))
        return
    board = start_board(workspace, port)
    try:
        typer.echo(board.url)
        note("Ctrl-C ends it")
        board.wait()
    except KeyboardInterrupt:
        note("stopped")
    finally:
        board.stop()


@run_app.command("rename")
def rename_run(
    run: RunArgument, name: NameArgument, contest: ContestOption = None, root: WorkspaceOption = None, as_json: JsonOption = False
) -> None:
    """Give a run another name. TensorBoard and trackers keep the name it had when it began."""
    workspace = opened(root)
    renamed = runs.rename_run(workspace.store, run_named(workspace, run, contest).id, name)
    _show_run(workspace, renamed, as_json=as_json)


@run_app.command("note")
def note_run(
    run: RunArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The note; '' removes it.", show_default=False)],
    contest: ContestOption = None,
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set the note of a run."""
    workspace = opened(root)
    _show_run(workspace, runs.note_run(workspace.store, run_named(workspace, run, contest).id, check_note(text)), as_json=as_json)


@run_app.command("seeds")
def add_seeds(
    run: RunArgument,
    n: Annotated[int, typer.Argument(min=2, metavar="N", help="How many seeds in all.", show_default=False)],
    contest: ContestOption = None,
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Queue a run's recipe with N seeds. What the run has trained is taken and not trained again; the run stays as it is."""
    workspace = opened(root)
    more = launch.launch_seeds(workspace, run_named(workspace, run, contest), n)
    n_new = sum(job.state == "queued" for job in more.jobs)
    _show_run(workspace, more, as_json=as_json)
    note(f"queued {n_new} trainings; `python -m core engine`, or the workbench, trains them")


@run_app.command("delete")
def delete_runs(
    names: Annotated[list[str], typer.Argument(metavar="RUN...", help="References such as r12, or names.", show_default=False)],
    contest: ContestOption = None,
    yes: YesOption = False,
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete runs, with the blends and submissions that are made of them. They are kept in the trash for thirty days."""
    workspace = opened(root)
    delete(workspace, {"run": [run_named(workspace, name, contest).id for name in names]}, yes=yes, as_json=as_json)


def run_named(workspace: Workspace, ref: str, contest: str | None) -> Run:
    """The run of that reference or name, of one contest where it is named."""
    return get_run(workspace.store, ref, contest_id_of(workspace, contest))


def _show_run(workspace: Workspace, run: Run, *, as_json: bool) -> None:
    if as_json:
        print_json(run_record(workspace, run))
    else:
        say(f"{run.ref} is {run.name}" + (f": {run.note}" if run.note else ""))


def _leaves(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []
    for key, value in values.items():
        leaves += _leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return leaves
