"""`queue`: what waits and runs, in which order, and what a person changes about it. The engine may be in another process."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from core.commands.console import JsonOption, RunArgument, WorkspaceOption, commands, opened, print_json, print_table, say
from core.jobs import queue
from core.jobs.disk import free_bytes, hold_text
from core.store.database import Store
from core.store.jobs import list_jobs
from core.store.queue import EVERY_DEVICE, list_holds, list_other_jobs, read_queue
from core.store.runs import get_run
from core.workspace import Workspace

OptionalRun = Annotated[
    str | None, typer.Argument(metavar="[RUN]", help="A reference such as r12, or a name; else the whole queue.", show_default=False)
]
RunOrJob = Annotated[
    str,
    typer.Argument(metavar="RUN|JOB", help="A reference such as r12, or a name; j7 is one job of it or of a contest.", show_default=False),
]

app = commands()
queue_app = typer.Typer(help="Show the queue and change it.")
app.add_typer(queue_app, name="queue")


@queue_app.callback(invoke_without_command=True)
def show_queue(context: typer.Context, root: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Show the queue, in the order in which it will be taken; with a command, change it."""
    if context.invoked_subcommand is None:
        _show(opened(root), as_json=as_json)


@queue_app.command("next", short_help="Put a run before all others.")
def next_run(run: RunArgument, root: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Put a run before all others. What runs now is not stopped; a paused run is resumed."""
    _steer(root, run, queue.run_next, as_json)


@queue_app.command("up", short_help="Let a run change places with the one before it.")
def move_up(run: RunArgument, root: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Let a run change places with the waiting run before it."""
    _steer(root, run, lambda store, run_id: queue.step_run(store, run_id, "up"), as_json)


@queue_app.command("down", short_help="Let a run change places with the one behind it.")
def move_down(run: RunArgument, root: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Let a run change places with the waiting run behind it."""
    _steer(root, run, lambda store, run_id: queue.step_run(store, run_id, "down"), as_json)


@queue_app.command("move", short_help="Put a run at a place in the order.")
def move_to(
    run: RunArgument,
    place: Annotated[int, typer.Argument(min=1, metavar="PLACE", help="1 is the front.", show_default=False)],
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a run at a place among the runs that wait, from 1."""
    _steer(root, run, lambda store, run_id: queue.move_run(store, run_id, place - 1), as_json)


@queue_app.command("priority", short_help="Give a run a priority.", context_settings={"ignore_unknown_options": True})
def prioritise(
    run: RunArgument,
    priority: Annotated[int, typer.Argument(metavar="N", help="-100 to 100; 0 is usual.", show_default=False)],
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a run a priority: the higher one goes first, among equals the one that came first."""
    _steer(root, run, lambda store, run_id: queue.set_priority(store, run_id, priority), as_json)


@queue_app.command("pause", short_help="Pause a run, or the whole queue.")
def pause(run: OptionalRun = None, root: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Take no more jobs, of one run or at all. What runs stops within a step and goes back to its place."""
    _steer(root, run, queue.pause_run if run else lambda store, _: queue.pause_queue(store), as_json)


@queue_app.command("resume", short_help="Resume a run, or the whole queue.")
def resume(run: OptionalRun = None, root: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Let one run, or the queue, go on; also a queue that a full disk has stopped."""
    _steer(root, run, queue.resume_run if run else lambda store, _: queue.resume_queue(store), as_json)


@queue_app.command("cancel", short_help="Take a run, or one job, out of the queue.")
def cancel(target: RunOrJob, root: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """End a run's waiting jobs, or one job, and stop what runs within a step."""
    _steer(root, target, queue.cancel_run, as_json, of_job=queue.cancel_job)


@queue_app.command("retry", short_help="Queue a run's failed and canceled folds, or one job, again.")
def retry(
    target: RunOrJob,
    from_nothing: Annotated[bool, typer.Option("--from-nothing", help="Remove a run's checkpoints first.")] = False,
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Queue the failed and canceled folds of a run, or one job, again, at the end; folds go on from their checkpoints."""
    workspace = opened(root)
    of_run = (lambda _, run_id: queue.restart_run(workspace, run_id)) if from_nothing else queue.retry_run
    _steer(root, target, of_run, as_json, of_job=None if from_nothing else queue.retry_job)


def queue_record(workspace: Workspace) -> dict[str, Any]:
    """The queue as plain values: whether it is paused, what each device does, the runs in order, and jobs of other kinds."""
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
        "jobs": [
            {"ref": job.ref, "kind": job.kind, "of": owner, "state": job.state, "error": job.error}
            for job, owner in list_other_jobs(workspace.store)
        ],
    }


def _steer(
    root: Path | None,
    target: str | None,
    of_run: Callable[[Store, int], object],
    as_json: bool,
    *,
    of_job: Callable[[Store, int], object] | None = None,
) -> None:
    """Change something about the run of that name, about the job of that reference, or (None) about all, and show the queue as it is then."""
    workspace = opened(root)
    job = re.fullmatch(r"j([0-9]{1,18})", target or "") if of_job else None
    if job and of_job:
        of_job(workspace.store, int(job[1]))
    else:
        of_run(workspace.store, get_run(workspace.store, target).id if target else 0)
    _show(workspace, as_json=as_json)


def _show(workspace: Workspace, *, as_json: bool) -> None:
    record = queue_record(workspace)
    if as_json:
        print_json(record)
        return
    for hold in record["holds"]:
        say(f"{'the queue' if hold['device'] == EVERY_DEVICE else hold['device']}: {hold['says']}")
    place, rows = 0, list[tuple[str, ...]]()
    for run in record["runs"]:
        place += bool(run["waiting"])
        waiting = ", ".join(filter(None, (_folds_text(run["waiting"]), *run["others"])))
        state = "paused" if run["paused"] else "running" if run["running"] else "queued"
        numbered = str(place) if run["waiting"] else ""
        rows.append((numbered, run["ref"], run["run"], str(run["priority"]), _folds_text(run["running"]), waiting, state))
    print_table([">", "ref", "run", ">priority", "running", "waiting", "state"], rows, empty="the queue is empty")
    if record["jobs"]:
        jobs = [
            (job["ref"], job["kind"], job["of"], job["state"] if job["state"] != "failed" else f"failed: {job['error']['what']}")
            for job in record["jobs"]
        ]
        print_table(["ref", "job", "of", "state"], jobs)


def _folds_text(folds: list[int]) -> str:
    return ("fold " if len(folds) == 1 else "folds ") + ", ".join(map(str, folds)) if folds else ""
