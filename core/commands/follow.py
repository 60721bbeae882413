"""Watches runs through the store while they are trained: a live board on a terminal, a line per event elsewhere.

It reads only what the workers wrote, so it shows the same whether the engine is in this process or in another.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from core.base.errors import PitwallError, StateError
from core.commands.console import standard_error
from core.commands.records import duration_text
from core.jobs.disk import hold_text
from core.jobs.engine import Engine
from core.jobs.fold import share_of_run
from core.store.contests import get_contest
from core.store.database import Store
from core.store.jobs import list_jobs
from core.store.queue import EVERY_DEVICE, list_holds
from core.store.runs import Run, get_run

TICK_S = 0.5
LINE_EVERY_S = 15.0


def work(engine: Engine, run_ids: Sequence[int], *, quiet: bool = False) -> list[Run]:
    """Train until none of these runs has a job waiting or at work, and return them; `quiet` shows nothing.

    Starts the engine here unless another process has it, and says so. On Ctrl-C running jobs go back to the queue, and
    StateError says so.
    """
    console, store = standard_error(quiet=quiet), engine.workspace.store
    mine = {part.id for run_id in run_ids for part in get_run(store, run_id).parts}
    others = sum(job.run_id not in mine for job in list_jobs(store, ("running", "queued")))
    if others:
        console.print(Text(f"{others} job{'s' if others > 1 else ''} of other runs in the queue, trained in its order"))
    is_mine = engine.start()
    if not is_mine:
        console.print(Text(f"the engine of this workspace is in another process ({engine.status().held_by}): watching it"))

    def read() -> list[Run]:
        return [get_run(store, run_id) for run_id in run_ids]

    try:
        return list(follow(engine, read, console, is_over=is_settled))
    except KeyboardInterrupt:
        console.print("stopping")
        engine.stop()
        states = ", ".join(f"{run.name}: {len(run.results)} of {len(run.fold_numbers)} folds done" for run in read())
        raise StateError(
            "stopped before the training was finished" if is_mine else "no longer watching; the other process goes on",
            where=states,
            why="Ctrl-C or another signal stopped it; what was not finished is in the queue"
            if is_mine
            else "Ctrl-C or another signal stopped it",
            fix="`python -m core engine`, or the workbench, continues the queue",
        ) from None
    finally:
        engine.stop()


def raise_failure(run: Run) -> None:
    """Raise the typed error of a run's first failed fold; a bug in a worker points to its log."""
    if run.state == "canceled":
        raise StateError(
            f"{run.name} was canceled",
            where=run.ref,
            why="from the workbench or another terminal",
            fix="train it again, or retry it in the workbench",
        )
    for part in run.parts:
        for job in part.jobs:
            if job.state == "failed" and job.error:
                error = PitwallError.from_dict(job.error)
                where = f"{part.name} ({part.ref}), fold {job.fold}; log {job.log_path}"
                raise type(error)(error.what, where=f"{where}; {error.where}" if error.where else where, why=error.why, fix=error.fix)


def follow(
    engine: Engine, read: Callable[[], Sequence[Run]], console: Console, *, is_over: Callable[[Sequence[Run]], bool]
) -> Sequence[Run]:
    """Show the runs that `read` returns until `is_over` says so, and return them as they stood then.

    Each end is said once; what had ended before a run was first seen is not news.
    """
    store, board = engine.workspace.store, Board(console)
    was_mine, held, line_at = engine.is_mine, "", time.monotonic()
    told: set[tuple[int, int, int]] = set()
    seen: set[int] = set()
    with board.live if console.is_terminal else nullcontext():
        while True:
            runs = read()
            for run in runs:
                for part in (*run.seeds, run):
                    for event, text in _ends(store, part):
                        if event not in told and run.id in seen:
                            board.say(text)
                        told.add(event)
                seen.add(run.id)
            if (holds := _holds_text(store)) != held:
                held = holds
                board.say(held or "the queue goes on")
            end_s = engine.status().queue_end_s
            if console.is_terminal:
                board.draw(runs, end_s)
            elif time.monotonic() - line_at >= LINE_EVERY_S:
                line_at = time.monotonic()
                for run in runs:
                    if run.state == "running":
                        board.say(
                            "  ".join(filter(None, (run.name, f"{share_of_run(run, {}):.0%}", *_position(run), f"all: {_end_text(end_s)}")))
                        )
            if is_over(runs):
                return runs
            if engine.is_mine and not was_mine:
                board.say("the process that held the engine is gone: the queue goes on in this one")
            was_mine = engine.is_mine
            time.sleep(TICK_S)


def is_settled(runs: Sequence[Run]) -> bool:
    """No job of these runs is waiting or at work."""
    return all(run.state in ("done", "failed", "canceled") for run in runs)


_ALL = 0
"""In place of a run's id; a run may be called as another one of another contest, or "all"."""


class Board:
    """A bar for each run, and one for all of them with the end of the queue."""

    def __init__(self, console: Console) -> None:
        self._tasks: dict[int, TaskID] = {}
        self._started_at = time.monotonic()
        # Without markup, which rich would read in a run's name.
        fields = [TextColumn(f"{{task.fields[{name}]}}", markup=False) for name in ("where", "pace", "end")]
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=28),
            TextColumn("{task.percentage:>3.0f} %"),
            *fields,
        )
        self.live = Progress(*columns, console=console, auto_refresh=False)

    def say(self, text: str) -> None:
        """One line above the board."""
        self.live.console.print(Text(text))

    def draw(self, runs: Sequence[Run], end_s: float | None) -> None:
        """Draw the runs as they stand; the queue ends in `end_s` seconds, None while that is unknown."""
        for run in runs:
            where, pace = _position(run)
            self._bar(run.id, run.name, share_of_run(run, {}), where, pace, "" if run.state == "running" else run.state)
        if runs:
            share = sum(share_of_run(run, {}) * len(run.fold_numbers) for run in runs) / sum(len(run.fold_numbers) for run in runs)
            self._bar(_ALL, "all", share, f"{duration_text(time.monotonic() - self._started_at)} so far", "", _end_text(end_s))
        self.live.refresh()

    def _bar(self, run_id: int, name: str, share: float, where: str, pace: str, end: str) -> None:
        if run_id not in self._tasks:
            self._tasks[run_id] = self.live.add_task(name, total=1.0, where="", pace="", end="")
        self.live.update(self._tasks[run_id], completed=share, where=where, pace=pace, end=end)


def _ends(store: Store, run: Run) -> Iterator[tuple[tuple[int, int, int], str]]:
    """What ended of a run, each with what tells it from every other end."""
    metric = get_contest(store, run.contest_id).spec.metric if run.results else ""
    for result in run.results:
        said = f"{run.name}  fold {result.fold}: {metric} {result.scores[metric]:.4f} in {duration_text(result.elapsed_s)}"
        yield (run.id, result.fold, result.token), said
    for job in run.jobs if not run.seeds else ():
        if job.state == "failed" and job.error:
            yield (run.id, job.fold, job.token), f"{run.name}  fold {job.fold} failed: {job.error['type']}: {job.error['what']}"


def _holds_text(store: Store) -> str:
    """Why devices take no jobs, in one line; "" when all do."""
    texts = [f"{'the queue' if hold.device == EVERY_DEVICE else hold.device} is {hold_text(hold)}" for hold in list_holds(store)]
    return "; ".join(texts) + ("; `python -m core queue resume` lets it go on" if texts else "")


def _position(run: Run) -> tuple[str, str]:
    """Where a run is and how fast, as two short texts; the first of its jobs at work speaks for it."""
    job = next((job for job in run.jobs if job.state == "running"), None)
    if job is None or job.progress is None:
        return f"{len(run.results)} of {len(run.fold_numbers)} fold{'s' if len(run.fold_numbers) > 1 else ''}", ""
    progress = job.progress
    epoch = f", epoch {progress.epoch} of {progress.n_epochs}" if progress.phase in ("training", "validating") and progress.epoch else ""
    if progress.phase in ("caching", "tokenizing"):
        epoch = f", {progress.step:,} of {progress.n_steps:,} {'images' if progress.phase == 'caching' else 'texts'}"
    pace = f"{progress.pace_per_s:,.0f} rows/s" if progress.pace_per_s else ""
    seeds = {seed.id: f"seed {seed.recipe.train.seed}, " for seed in run.seeds}
    return f"{seeds.get(job.run_id, '')}fold {job.fold} {progress.phase}{epoch}", pace


def _end_text(seconds: float | None) -> str:
    if seconds is None:
        return "end not known yet"
    return f"{duration_text(seconds)} left, ends {time.strftime('%H:%M:%S', time.localtime(time.time() + seconds))}"
