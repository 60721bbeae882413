"""One Workspace and one Engine per server process, and the only way from the screen to the queue.

Both are kept in `sys.__dict__`: a module global is lost on hot reload, and `cache_resource` is cleared by anyone
who opens the menu. A file lock on the workspace keeps a second process read-only.
"""

from __future__ import annotations

import atexit
import sys
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import BinaryIO, Literal

from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.base.errors import StateError
from core.jobs import queue
from core.jobs.devices import torch_name
from core.jobs.disk import free_bytes
from core.jobs.disk import size_text as size_text
from core.jobs.dry_run import DryRun as DryRun
from core.jobs.dry_run import When as When
from core.jobs.engine import DeviceStatus as DeviceStatus
from core.jobs.engine import Engine, EngineStatus
from core.jobs.fold import places as _places
from core.jobs.fold import share_of as share_of
from core.jobs.forecast import Forecast as Forecast
from core.jobs.forecast import Neighbour as Neighbour
from core.jobs.forecast import Outlook as Outlook
from core.jobs.forecast import look_out
from core.recipes.plan import ReadPlan
from core.specs.folds import FoldsSpec
from core.specs.progress import Progress
from core.specs.recipe import Recipe
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.jobs import Job
from core.store.runs import Run
from core.tracking import board as tracking
from core.tracking.board import Board
from core.workspace import Workspace, open_workspace

_PROCESS_KEY = "pitwall.runtime"
_status_by_rerun: weakref.WeakKeyDictionary[object, EngineStatus] = weakref.WeakKeyDictionary()


def _process() -> SimpleNamespace:
    """What this process has: `lock`, `workspace`, `engine`, `has_routes`, `board`. `setdefault` on a dict is atomic."""
    return sys.__dict__.setdefault(
        _PROCESS_KEY,
        SimpleNamespace(
            lock=threading.RLock(), workspace=None, engine=None, has_routes=False, at_exit=False, board=None, board_lock=threading.Lock()
        ),
    )


def workspace() -> Workspace:
    """The workspace of this server: PITWALL_WORKSPACE, else ./workspace."""
    process = _process()
    with process.lock:
        if process.workspace is None:
            process.workspace = open_workspace()
        return process.workspace


def engine() -> Engine:
    """The engine of this server, started at first use; read-only until the process that holds the workspace is gone."""
    process = _process()
    with process.lock:
        return process.engine or start_engine(Engine(workspace(), what="the workbench"))


def start_engine(new: Engine) -> Engine:
    """Make `new` the engine of this process and start it; it is stopped when the process ends."""
    process = _process()
    with process.lock:
        process.engine = new
        new.start()
        if not process.at_exit:
            process.at_exit = True
            atexit.register(close)
        return new


def close() -> None:
    """Stop the engine (running jobs go back to the queue) and TensorBoard, and release the workspace. May be called twice."""
    stop_board()
    process = _process()
    with process.lock:
        process.workspace, stopping, process.engine = None, process.engine, None
    if stopping is not None:
        stopping.stop()


def status() -> EngineStatus:
    """What the devices do and who holds the workspace, read once for each rerun of a page or of a fragment."""
    context = get_script_run_ctx(suppress_warning=True)
    rerun = None if context is None else context.parallel_coordinator  # a new one for each rerun
    if rerun is None:
        return engine().status()
    if rerun not in _status_by_rerun:
        _status_by_rerun[rerun] = engine().status()
    return _status_by_rerun[rerun]


def is_read_only() -> bool:
    """Whether another process holds this workspace, so that nothing can be queued from here."""
    return not engine().is_mine


def launch(contest: Contest, folds: Folds, read: ReadPlan, *, fold_numbers: Sequence[int] | None = None) -> tuple[Run, ...]:
    """Queue every run of a plan: one job per fold."""
    _refuse_read_only()
    runs = queue.launch_plan(workspace(), contest, folds, read, fold_numbers=fold_numbers)
    engine().wake()
    return runs


def make_folds_of(contest: Contest, read: ReadPlan) -> Folds | None:
    """The folds that a plan describes, made where they are not there yet; None where it describes none."""
    return queue.make_folds_of(workspace(), contest, read)


def spec_of_folds(folds: Folds) -> FoldsSpec:
    """The settings that folds were made with."""
    return queue.spec_of_folds(workspace(), folds)


def devices() -> tuple[str, ...]:
    """The devices this server trains on; the CPU when it trains on none."""
    return engine().devices or ("cpu",)


def tried_devices() -> tuple[str, ...]:
    """The devices a dry run can choose between: of several slots on the CPU the first."""
    return tuple({torch_name(device): device for device in reversed(devices())}.values())[::-1]


def start_dry_run(contest: Contest, folds: Folds, recipe: Recipe, device: str, when: When | None = None) -> DryRun:
    """Begin a dry run in a process of its own; allowed in a read-only window, since it only reads the workspace."""
    return DryRun(workspace(), contest, folds, recipe, device=device, devices=devices(), when=when).start()


def outlook(forecast: Forecast, recipe: Recipe, fold_numbers: Sequence[int]) -> Outlook:
    """What a dry run predicts for these folds with the present queue and disk."""
    end_s = engine().run_end_s([forecast.fold_s(fold) for fold in fold_numbers])
    return look_out(forecast, recipe, fold_numbers, devices=devices(), disk_free_bytes=free_bytes(workspace().root), end_s=end_s)


def places(contest: Contest, runs: Sequence[Run]) -> dict[int, dict[int, Progress]]:
    """By run id and fold, the position from which a job that went back to the queue will resume."""
    return {run.id: _places(workspace(), contest.name, run) for run in runs if not run.is_imported}


def run_next(run: Run) -> None:
    """Put a run before all others."""
    _steer(lambda: queue.run_next(workspace().store, run.id))


def move(run: Run, place: int) -> None:
    """Put a run at a position among the waiting ones, counted from 0."""
    _steer(lambda: queue.move_run(workspace().store, run.id, place))


def step(run: Run, direction: Literal["up", "down"]) -> None:
    """Swap a run with its neighbour in the queue."""
    _steer(lambda: queue.step_run(workspace().store, run.id, direction))


def set_priority(run: Run, priority: int) -> None:
    """Give a run a priority, -100 to 100."""
    _steer(lambda: queue.set_priority(workspace().store, run.id, priority))


def pause(run: Run | None = None) -> None:
    """Pause a run, or the whole queue; running folds stop within a step and keep their position."""
    _steer(lambda: queue.pause_queue(workspace().store) if run is None else queue.pause_run(workspace().store, run.id))


def resume(run: Run | None = None) -> None:
    """Resume a run, or the whole queue with the devices that a full disk has stopped."""
    _steer(lambda: queue.resume_queue(workspace().store) if run is None else queue.resume_run(workspace().store, run.id))


def cancel(run: Run) -> None:
    """Take the waiting jobs of a run out of the queue, and stop its running ones within one step."""
    _refuse_read_only()
    queue.cancel_run(workspace().store, run.id)
    engine().wake()


def retry(run: Run) -> None:
    """Queue the failed and canceled folds of a run again."""
    _refuse_read_only()
    queue.retry_run(workspace().store, run.id)
    engine().wake()


def restart(run: Run) -> None:
    """Remove the checkpoints of a run's failed and canceled folds and queue them again."""
    _refuse_read_only()
    queue.restart_run(workspace(), run.id)
    engine().wake()


def delete(run: Run) -> None:
    """Delete a run that has no job running, with its files."""
    _refuse_read_only()
    queue.delete_run(workspace(), run.id)


def predict(run: Run, *, text: str = "", files: Mapping[str, BinaryIO] | None = None, at_once: bool = True) -> Job:
    """Queue the prediction of a text, of files, or of the test set, by the networks of a run."""
    _refuse_read_only()
    job = queue.launch_prediction(workspace(), run, text=text, files=files, at_once=at_once)
    engine().wake()
    return job


def cancel_job(job: Job) -> None:
    """Take one job out of the queue, or stop it."""
    _steer(lambda: queue.cancel_job(workspace().store, job.id))


def board() -> Board | None:
    """The TensorBoard of this server; None when none runs."""
    running: Board | None = _process().board
    return running if running is not None and running.is_alive else None


def start_board() -> Board:
    """Start TensorBoard on this workspace, or return the one that runs. It ends with this server."""
    process = _process()
    with process.board_lock:
        running = board()
        if running is None:
            stop_board()
            running = process.board = tracking.start_board(workspace())
        return running


def stop_board() -> None:
    """Stop TensorBoard, if it runs."""
    process = _process()
    stopping, process.board = process.board, None
    if stopping is not None:
        stopping.stop()


def serve_thumbnails(has_routes: bool) -> None:
    """Record whether this server has the thumbnail route; `streamlit run app/main.py` has none."""
    _process().has_routes = has_routes


def has_thumbnails() -> bool:
    """Whether /thumb/... is served by this process."""
    return _process().has_routes


def _steer(change: Callable[[], object]) -> None:
    _refuse_read_only()
    change()
    engine().wake()


def _refuse_read_only() -> None:
    if is_read_only():
        raise StateError(
            "this window is read-only",
            where=str(workspace().root),
            why=f"the workspace is held by {engine().status().holder}",
            fix="use that window, or stop the other process; this one takes over within seconds",
        )
