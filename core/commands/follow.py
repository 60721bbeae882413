"""Watches runs through the store while they are trained: a live board on a terminal, a line per event elsewhere.

It reads only what the workers wrote, so it shows the same whether the engine is in this process or in another.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from core.base.errors import PitwallError, StateError
from core.commands.console import standard_error
from core.commands.records import duration_text
from core.jobs.disk import hold_text
from core.jobs.engine import Engine
from core.store.contests import get_contest
from core.store.jobs import list_jobs
from core.store.queue import EVERY_DEVICE, list_holds
from core.store.runs import Run, get_run
from core.workspace import Workspace

TICK_S = 0.5
LINE_EVERY_S = 15.0


def work(
    engine: Engine, workspace: Workspace, run_ids: Sequence[int], *, quiet: bool = False, expected_fold_s: dict[str, float] | None = None
) -> list[Run]:
    """Train until none of these runs has a job waiting or at work, and return them; `quiet` shows nothing.

    Starts the engine here unless another process has it, and says so. On Ctrl-C running jobs go back to the queue, and
    StateError says so.
    """

    console = standard_error(quiet=quiet)
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


def follow(engine: Engine, read: Callable[[], Sequence[Run]], board: Board, *, is_over: Callable[[Sequence[Run]], bool]) -> Sequence[Run]:
    """Show the runs that `read` returns until `is_over` says so, and return them as they stood then."""
    was_mine, held = engine.is_mine, ""
    with board:
        while True:
            runs = read()
            board.show(runs)
            if (holds := _holds_text(engine)) != held:
                held = holds
                board.say(held or "the queue goes on")
            if is_over(runs):
                return runs
            if engine.is_mine and not was_mine:
                board.say("the process that held the engine is gone: the queue goes on in this one")
            was_mine = engine.is_mine
            time.sleep(TICK_S)


def _holds_text(engine: Engine) -> str:
    """Why devices take no jobs, in one line; "" when all do."""
    holds = list_holds(engine.workspace.store)
    texts = [f"{'the queue' if hold.device == EVERY_DEVICE else hold.device} is {hold_text(hold)}" for hold in holds]
    return "; ".join(texts) + ("; `python -m core queue resume` lets it go on" if texts else "")


def is_settled(runs: Sequence[Run]) -> bool:
    """No job of these runs is waiting or at work."""
    return all(run.state in ("done", "failed", "canceled") for run in runs)


def done_share(run: Run) -> float:
    """How much of a run is done, 0 to 1: finished folds, and the shares of those at work."""
    at_work = sum(job.progress.fraction for job in run.jobs if job.state == "running" and job.progress)
    share = (len(run.results) + at_work) / len(run.fold_numbers)
    return 1.0 if run.is_complete else min(0.99, share)


def remaining_s(run: Run, expected_fold_s: float | None = None, *, now: float) -> float | None:
    """Seconds until a run ends if its folds go one after another; None while that is unknown. `now` is in epoch seconds.

    A fold takes what the finished ones took on average; before the first, what the fold at work has taken and says it still
    needs; before that, what is expected.
    """
    if run.state not in ("running", "queued"):
        return 0.0
    left: list[float] = []
    n_unknown = sum(job.state == "queued" for job in run.jobs)
    per_fold = expected_fold_s
    for job in run.jobs:
        eta = job.progress.eta_s if job.state == "running" and job.progress else None
        if eta is not None:
            left.append(eta)
            per_fold = now - (job.started_at or now) + eta
        n_unknown += job.state == "running" and eta is None
    if run.results:
        per_fold = statistics.fmean(result.elapsed_s for result in run.results)
    if n_unknown and per_fold is None:
        return None
    return sum(left) + n_unknown * (per_fold or 0.0)


class Board:
    """What a terminal shows of some runs. `expected_fold_s` gives, by recipe name, the seconds a fold is expected to take."""

    def __init__(self, console: Console, *, metric_of: Callable[[Run], str], expected_fold_s: Mapping[str, float] | None = None) -> None:
        self._console = console
        self._metric_of = metric_of
        self._expected = dict(expected_fold_s or {})
        self._tasks: dict[int, TaskID] = {}
        self._all: TaskID | None = None
        self._told: set[tuple[int, int, int]] = set()
        self._shown: set[int] = set()
        self._started_at = self._line_at = time.monotonic()
        self._live = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[where]}"),
            TextColumn("{task.fields[pace]}", justify="right"),
            TextColumn("{task.fields[end]}"),
            console=console,
            auto_refresh=False,
        )

    def __enter__(self) -> Board:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def say(self, text: str) -> None:
        """One line above the board."""
        self._live.console.print(Text(text))

    def show(self, runs: Sequence[Run]) -> None:
        """Draw the runs as they stand, and tell what ended since the last time."""
        for run in runs:
            self._tell_what_ended(run, silently=run.id not in self._shown)
            self._shown.add(run.id)
        left = self._remaining(runs)
        if self._console.is_terminal:
            self._draw(runs, left)
        elif time.monotonic() - self._line_at >= LINE_EVERY_S:
            self._line_at = time.monotonic()
            for run in runs:
                if run.state == "running":
                    self.say(
                        "  ".join(part for part in (run.name, f"{done_share(run):.0%}", *_position(run), f"all: {_end_text(left)}") if part)
                    )

    def _tell_what_ended(self, run: Run, *, silently: bool) -> None:
        """Say each end once; what had ended before the run was first shown is not news."""
        metric = self._metric_of(run)
        for result in run.results:
            if (run.id, result.fold, result.token) not in self._told:
                self._told.add((run.id, result.fold, result.token))
                if silently:
                    continue
                self.say(f"{run.name}  fold {result.fold}: {metric} {result.scores[metric]:.4f} in {duration_text(result.elapsed_s)}")
        for job in run.jobs:
            if job.state == "failed" and job.error and (run.id, job.fold, job.token) not in self._told:
                self._told.add((run.id, job.fold, job.token))
                self.say(f"{run.name}  fold {job.fold} failed: {job.error['type']}: {job.error['what']}")

    def _draw(self, runs: Sequence[Run], left: float | None) -> None:
        for run in runs:
            if run.id not in self._tasks:
                self._tasks[run.id] = self._live.add_task(run.name, total=1.0, where="", pace="", end="")
            where, pace = _position(run)
            end = _end_text(remaining_s(run, self._expected.get(run.recipe.name), now=time.time())) if run.state == "running" else run.state
            self._live.update(self._tasks[run.id], completed=done_share(run), where=where, pace=pace, end=end)
        if len(runs) > 1:
            if self._all is None:
                self._all = self._live.add_task("all", total=1.0, where="", pace="", end="")
            weights = [self._expected.get(run.recipe.name, 1.0) * len(run.fold_numbers) for run in runs]
            share = sum(weight * done_share(run) for weight, run in zip(weights, runs, strict=True)) / sum(weights)
            passed = duration_text(time.monotonic() - self._started_at)
            self._live.update(self._all, completed=share, where=f"{passed} so far", pace="", end=_end_text(left) if left else "")
        self._live.refresh()

    def _remaining(self, runs: Sequence[Run]) -> float | None:
        """Seconds until all are done one after another. What was expected is scaled by how the finished folds compare to it."""
        took = [
            (result.elapsed_s, self._expected[run.recipe.name])
            for run in runs
            if run.recipe.name in self._expected
            for result in run.results
        ]
        pace = sum(seconds for seconds, _ in took) / sum(expected for _, expected in took) if took else 1.0
        parts = [
            remaining_s(run, self._expected[run.recipe.name] * pace if run.recipe.name in self._expected else None, now=time.time())
            for run in runs
        ]
        return None if any(part is None for part in parts) else sum(part or 0.0 for part in parts)


def _position(run: Run) -> tuple[str, str]:
    """Where a run is and how fast, as two short texts; the first of its jobs at work speaks for it."""
    job = next((job for job in run.jobs if job.state == "running"), None)
    if job is None or job.progress is None:
        return f"{len(run.results)} of {len(run.fold_numbers)} fold{'s' if len(run.fold_numbers) > 1 else ''}", ""
    progress = job.progress
    epoch = f", epoch {progress.epoch} of {progress.n_epochs}" if progress.phase in ("training", "validating") and progress.epoch else ""
    pace = f"{progress.pace_per_s:,.0f} rows/s" if progress.pace_per_s else ""
    return f"fold {job.fold} {progress.phase}{epoch}", pace


def _end_text(seconds: float | None) -> str:
    if seconds is None:
        return ""
    ends = time.strftime("%H:%M:%S", time.localtime(time.time() + seconds))
    return f"{duration_text(seconds)} left, ends {ends}"
