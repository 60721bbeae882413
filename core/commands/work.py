"""Wait for runs on a terminal: start the engine where nobody else has it, follow the runs, raise what ended one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from core.base.errors import PitwallError, StateError
from core.commands.console import standard_error

if TYPE_CHECKING:
    from core.jobs.engine import Engine
    from core.store.runs import Run
    from core.workspace import Workspace


def work(
    engine: Engine, workspace: Workspace, run_ids: Sequence[int], *, quiet: bool = False, expected_fold_s: dict[str, float] | None = None
) -> list[Run]:
    """Train until none of these runs has a job waiting or at work, and return them; `quiet` shows nothing.

    Starts the engine here unless another process has it, and says so. On Ctrl-C running jobs go back to the queue, and
    StateError says so.
    """
    from rich.console import Console

    from core.commands.follow import Board, follow, is_settled
    from core.store.jobs import list_jobs
    from core.store.runs import get_run

    console = Console(stderr=True, quiet=True) if quiet else standard_error()
    others = sum(job.run_id not in run_ids for job in list_jobs(workspace.store, ("running", "queued")))
    if others:
        console.print(
            f"{others} job{'s' if others > 1 else ''} of other runs in the queue, trained in its order", markup=False, highlight=False
        )
    is_mine = engine.start()
    if not is_mine:
        console.print(
            f"the engine of this workspace is in another process ({engine.status().holder}): watching it", markup=False, highlight=False
        )

    def read() -> list[Run]:
        return [get_run(workspace.store, run_id) for run_id in run_ids]

    try:
        board = Board(console, metric_of=metric_reader(workspace), expected_fold_s=expected_fold_s)
        return list(follow(engine, read, board, is_over=is_settled))
    except KeyboardInterrupt:
        console.print("stopping", markup=False, highlight=False)
        engine.stop()
        states = ", ".join(f"{run.name}: {len(run.results)} of {len(run.fold_numbers)} folds done" for run in read())
        raise StateError(
            "stopped before the training was finished" if is_mine else "no longer watching; the other process goes on",
            where=states,
            why="you pressed Ctrl-C; what was not finished is in the queue" if is_mine else "you pressed Ctrl-C",
            fix="`python -m core engine`, or the workbench, continues the queue",
        ) from None
    finally:
        engine.stop()


def metric_reader(workspace: Workspace) -> Callable[[Run], str]:
    """A function from a run to the name of its contest's metric, asking the store once per contest."""
    from functools import cache

    from core.store.contests import get_contest

    @cache
    def of_contest(contest_id: int) -> str:
        return get_contest(workspace.store, contest_id).spec.metric

    return lambda run: of_contest(run.contest_id)


def raise_failure(run: Run) -> None:
    """Raise the typed error of a run's first failed fold; a bug in a worker points to its log."""
    if run.state == "canceled":
        raise StateError(
            f"{run.name} was canceled",
            where=run.ref,
            why="from the workbench or another terminal",
            fix="train it again, or retry it in the workbench",
        )
    failed = [job for job in run.jobs if job.state == "failed" and job.error]
    if not failed:
        return
    error = PitwallError.from_dict(failed[0].error or {})
    where = f"{run.name} ({run.ref}), fold {failed[0].fold}; log {failed[0].log_path}"
    raise type(error)(error.what, where=f"{where}; {error.where}" if error.where else where, why=error.why, fix=error.fix)
