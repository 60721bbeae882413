"""`queue`: what waits and runs, in which order, and what a person changes about it. The engine may be in another process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from core.commands.console import JsonOption, WorkspaceOption, opened, print_json, print_table, standard_output

if TYPE_CHECKING:
    from core.store.database import Store
    from core.store.runs import Run
    from core.workspace import Workspace

queue_app = typer.Typer(help="See the queue and steer it.")

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A reference such as r12, or a name.", show_default=False)]
OptionalRun = Annotated[
    str | None, typer.Argument(metavar="[RUN]", help="A reference such as r12, or a name; else the whole queue.", show_default=False)
]


def register(app: typer.Typer) -> None:
    app.add_typer(queue_app, name="queue")


@queue_app.callback(invoke_without_command=True)
def show_queue(context: typer.Context, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """See the queue, in the order in which it will be taken; with a command, change it."""
    if context.invoked_subcommand is None:
        _show(opened(workspace), as_json=as_json)


@queue_app.command("next", short_help="Put a run before all others.")
def next_run(run: RunArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Put a run before all others. What runs now is not stopped; a paused run is resumed."""
    from core.jobs.queue import run_next

    _steer(workspace, run, run_next, as_json)


@queue_app.command("up", short_help="Let a run change places with the one before it.")
def move_up(run: RunArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Let a run change places with the waiting run before it."""
    _step(workspace, run, "up", as_json)


@queue_app.command("down", short_help="Let a run change places with the one behind it.")
def move_down(run: RunArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Let a run change places with the waiting run behind it."""
    _step(workspace, run, "down", as_json)


@queue_app.command("move", short_help="Put a run at a place in the order.")
def move_to(
    run: RunArgument,
    place: Annotated[int, typer.Argument(min=1, metavar="PLACE", help="1 is the front.", show_default=False)],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a run at a place among the runs that wait, from 1."""
    from core.jobs.queue import move_run

    _steer(workspace, run, lambda store, run_id: move_run(store, run_id, place - 1), as_json)


@queue_app.command("priority", short_help="Give a run a priority.", context_settings={"ignore_unknown_options": True})
def prioritise(
    run: RunArgument,
    priority: Annotated[int, typer.Argument(metavar="N", help="-100 to 100; 0 is usual.", show_default=False)],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a run a priority: the higher one goes first, among equals the one that came first."""
    from core.jobs.queue import set_priority

    _steer(workspace, run, lambda store, run_id: set_priority(store, run_id, priority), as_json)


@queue_app.command("pause", short_help="Pause a run, or the whole queue.")
def pause(run: OptionalRun = None, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Take no more jobs, of one run or at all. What runs stops within a step and goes back to its place."""
    from core.jobs.queue import pause_queue, pause_run

    if run is not None:
        _steer(workspace, run, pause_run, as_json)
        return
    house = opened(workspace)
    pause_queue(house.store)
    _show(house, as_json=as_json)


@queue_app.command("resume", short_help="Resume a run, or the whole queue.")
def resume(run: OptionalRun = None, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Let one run, or the queue, go on; also a queue that a full disk has stopped."""
    from core.jobs.queue import resume_queue, resume_run

    if run is not None:
        _steer(workspace, run, resume_run, as_json)
        return
    house = opened(workspace)
    resume_queue(house.store)
    _show(house, as_json=as_json)


@queue_app.command("cancel", short_help="Take a run out of the queue.")
def cancel(run: RunArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """End a run's waiting jobs, and stop its running ones within a step."""
    from core.jobs.queue import cancel_run

    _steer(workspace, run, cancel_run, as_json)


@queue_app.command("retry", short_help="Queue a run's failed and canceled folds again.")
def retry(
    run: RunArgument,
    from_nothing: Annotated[bool, typer.Option("--from-nothing", help="Remove their checkpoints first.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Queue the failed and canceled folds of a run again, at the end; they go on from their checkpoints."""
    from core.jobs.queue import restart_run, retry_run

    if from_nothing:
        house = opened(workspace)
        _steer(workspace, run, lambda _, run_id: restart_run(house, run_id), as_json)
        return
    _steer(workspace, run, retry_run, as_json)


def queue_record(workspace: Workspace) -> dict[str, Any]:
    """The queue as plain values: whether it is paused, what each device does, and the runs in order."""
    from core.jobs.disk import free_bytes, hold_text
    from core.store.jobs import list_jobs
    from core.store.queue import EVERY_DEVICE, list_holds, read_queue

    holds, free = list_holds(workspace.store), free_bytes(workspace.root)
    return {
        "paused": any(hold.device == EVERY_DEVICE for hold in holds),
        "holds": [{"device": hold.device, "kind": hold.kind, "since": hold.since, "says": hold_text(hold, free)} for hold in holds],
        "running": [
            {
                "device": job.device,
                "job": job.id,
                "kind": job.kind,
                "title": job.title,
                "run": None if job.run_id is None else f"r{job.run_id}",
                "fold": job.fold,
            }
            for job in list_jobs(workspace.store, ("running",))
        ],
        "runs": [
            {
                "ref": run.ref,
                "run": run.run_name,
                "priority": run.priority,
                "paused": run.is_paused,
                "waiting": list(run.waiting),
                "running": list(run.running),
                "others": list(run.others),
            }
            for run in read_queue(workspace.store)
        ],
    }


def _step(workspace: WorkspaceOption, run: str, direction: Literal["up", "down"], as_json: bool) -> None:
    from core.jobs.queue import step_run

    _steer(workspace, run, lambda store, run_id: step_run(store, run_id, direction), as_json)


def _steer(workspace: WorkspaceOption, run: str, change: Callable[[Store, int], Run], as_json: bool) -> None:
    """Change something about the run of that name, and show the queue as it is then."""
    from core.store.runs import get_run

    house = opened(workspace)
    change(house.store, get_run(house.store, run).id)
    _show(house, as_json=as_json)


def _show(workspace: Workspace, *, as_json: bool) -> None:
    record = queue_record(workspace)
    if as_json:
        print_json(record)
        return
    for hold in record["holds"]:
        whole = "the queue" if hold["device"] == "*" else hold["device"]
        standard_output().print(f"{whole}: {hold['says']}", markup=False, highlight=False)
    print_table(
        [">", "ref", "run", ">priority", "running", "waiting", "state"],
        [
            (
                str(place) if run["waiting"] else "",
                run["ref"],
                run["run"],
                str(run["priority"]),
                _folds_text(run["running"]),
                ", ".join(filter(None, (_folds_text(run["waiting"]), *run["others"]))),
                "paused" if run["paused"] else "running" if run["running"] else "queued",
            )
            for place, run in _numbered(record["runs"])
        ],
        empty="the queue is empty",
    )


def _numbered(runs: list[dict[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
    """Each run with its place among those that wait, from 1."""
    place = 0
    numbered: list[tuple[int, dict[str, Any]]] = []
    for run in runs:
        place += bool(run["waiting"])
        numbered.append((place, run))
    return numbered


def _folds_text(folds: list[int]) -> str:
    return ("fold " if len(folds) == 1 else "folds ") + ", ".join(map(str, folds)) if folds else ""
