"""One Workspace and one Engine per server process, and the only way from the screen to the queue.

Both are kept in `sys.__dict__`: a module global is lost on hot reload, and `cache_resource` is cleared by anyone
who opens the menu. A file lock on the workspace keeps a second process read-only.
"""

import atexit
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from typing import TypeVar

from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.base.errors import StateError
from core.jobs import launch as launch, queue as queue
from core.jobs.devices import has_gpu as _has_gpu, torch_name
from core.jobs.disk import free_bytes, size_text as size_text, with_reserve as with_reserve
from core.jobs.dry_run import DryRun as DryRun, When as When
from core.jobs.engine import DeviceStatus as DeviceStatus, Engine, EngineStatus
from core.jobs.fold import places as _places, share_of as share_of, share_of_run as share_of_run
from core.jobs.forecast import Forecast as Forecast, Neighbour as Neighbour, Outlook as Outlook, look_out
from core.jobs.plan_outlook import PlannedRun as PlannedRun, PlanOutlook as PlanOutlook, look_at_plan as look_at_plan
from core.jobs.pretrain import reports_of as reports_of
from core.jobs.preview import Picture as Picture, Previewer, Reading as Reading, Seen
from core.specs.progress import Progress
from core.specs.recipe import Recipe
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import Run
from core.tracking import board as tracking
from core.tracking.board import Board
from core.workspace import Workspace, open_workspace

T = TypeVar("T")
_PROCESS_KEY = "pitwall.runtime"
_status_by_rerun: weakref.WeakKeyDictionary[object, EngineStatus] = weakref.WeakKeyDictionary()


def _process() -> SimpleNamespace:
    """What this process has: `lock`, `engine`, `previewer`, `has_routes`, `board`. `setdefault` on a dict is atomic."""
    return sys.__dict__.setdefault(
        _PROCESS_KEY,
        SimpleNamespace(
            lock=threading.RLock(), engine=None, previewer=None, has_routes=False, at_exit=False, board=None, board_lock=threading.Lock()
        ),
    )


def workspace() -> Workspace:
    """The workspace of this server. Raises StateError as `engine` does."""
    return engine().workspace


def engine() -> Engine:
    """The engine of this server; read-only until the process that holds the workspace is gone.

    Raises StateError where none was started: a page that another program serves has nothing to show, since nobody checks there who asks.
    """
    running: Engine | None = _process().engine
    if running is None:
        raise StateError(
            "this is not the workbench's own server",
            where="streamlit run",
            why="a page that is run by itself is open to every site that a browser here visits",
            fix="stop it, and start `python -m app`",
        )
    return running


def start_engine(new: Engine | None = None) -> Engine:
    """Make `new`, else one of the workspace at PITWALL_WORKSPACE, else ./workspace, the engine of this process and start it.

    It is stopped when the process ends.
    """
    process = _process()
    with process.lock:
        process.engine = started = new or Engine(open_workspace(), what="the workbench")
        started.start()
        if not process.at_exit:
            process.at_exit = True
            atexit.register(close)
        return started


def close() -> None:
    """Stop the engine (running jobs go back to the queue), the preview and TensorBoard, and release the workspace. May be called twice."""
    stop_board()
    process = _process()
    with process.lock:
        stopping, process.engine = process.engine, None
        previewer, process.previewer = process.previewer, None
    if previewer is not None:
        previewer.stop()
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


def devices() -> tuple[str, ...]:
    """The devices this server trains on; the CPU when it trains on none."""
    return engine().devices or ("cpu",)


def has_gpu() -> bool:
    """Whether any of them is not the processor."""
    return _has_gpu(devices())


def tried_devices() -> tuple[str, ...]:
    """The devices a dry run can choose between: of several slots on the CPU the first."""
    return tuple({torch_name(device): device for device in reversed(devices())}.values())[::-1]


def start_dry_run(contest: Contest, folds: Folds, recipe: Recipe, device: str, when: When | None = None) -> DryRun:
    """Begin a dry run in a process of its own; allowed in a read-only window, since it only reads the workspace."""
    return DryRun(workspace(), contest, folds, recipe, device=device, devices=devices(), when=when).start()


def see_batch(contest: Contest, folds: Folds, recipe: Recipe, epoch: int) -> Future[tuple[Seen, ...]]:
    """The first rows of an epoch of fold 0 as the network will see them; seconds the first time, when torch comes up in a process of its own."""
    process = _process()
    with process.lock:
        process.previewer = process.previewer or Previewer(workspace())
        return process.previewer.ask(contest, folds, recipe, epoch)


def outlook(forecast: Forecast, recipe: Recipe, fold_numbers: Sequence[int]) -> Outlook:
    """What a dry run predicts for these folds with the present queue and disk."""
    end_s = engine().run_end_s(forecast.trainings_s(fold_numbers, recipe.train.n_seeds))
    here = {"weights_dir": workspace().weights_dir, "disk_free_bytes": free_bytes(workspace().root)}
    return look_out(forecast, recipe, fold_numbers, devices=devices(), end_s=end_s, **here)


def places(contest: Contest, runs: Sequence[Run]) -> dict[int, Progress]:
    """By job id, the position from which a job that went back to the queue will resume."""
    found: dict[int, Progress] = {}
    for run in runs:
        if not run.is_imported:
            found |= _places(workspace(), contest.folder, run)
    return found


def steer(change: Callable[[], T]) -> T:
    """Make a change to the queue, by functions of `runtime.launch` and `runtime.queue`, and wake the engine. Raises StateError in a read-only window."""
    if is_read_only():
        raise StateError(
            "this window is read-only",
            where=str(workspace().root),
            why="it is held by {holder}",
            fix="use that window, or stop the other process; this one takes over within seconds",
            holder=engine().status().held_by,
        )
    made = change()
    engine().wake()
    return made


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
