"""TensorBoard beside the workbench: one child process, which ends with the process that started it, however that ends.

The child is `python -m core.tracking.board DIR [PORT]`, on loopback; it ends with its standard input. Runs that have no event files
(trained before Pitwall wrote them, or copied without their logs) get them first, from the store's epochs.
"""

import logging
import os
import select
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.base.errors import NotFoundError, StateError
from core.base.files import shell_path, shown_path
from core.base.local import OWN_FRAMES_ONLY, is_known_host, is_own_origin
from core.base.messages import msg
from core.contest.table import load_truth
from core.folds import load_folds
from core.store.contests import Contest, get_truth, list_contests
from core.store.folds import get_folds
from core.store.runs import EpochRow, Run, list_epochs, list_runs
from core.tracking.recorder import ROOT, epoch_values, tracked_fold
from core.tracking.tracker import Point, install_command, is_installed
from core.training.schedule import plan_epochs
from core.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication

START_S = 60.0
STOP_S = 5.0


def board_command(workspace: Workspace) -> str:
    """What a person types to start TensorBoard on this workspace without Pitwall."""
    return f"{shell_path(Path(sys.executable))} -m tensorboard.main --logdir {shell_path(workspace.events_dir)}"


class Board:
    """A TensorBoard that runs; `url` is where."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self._process = process
        self.url = url

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def wait(self) -> None:
        self._process.wait()

    def stop(self) -> None:
        """End it. Idempotent."""
        _end(self._process)


def start_board(workspace: Workspace, port: int | None = None) -> Board:
    """Start TensorBoard on 127.0.0.1, at `port` or the first free one from 6006, and wait until it answers.

    Raises NotFoundError when it is not installed, StateError when it does not come up.
    """
    if not is_installed("tensorboard"):
        raise NotFoundError(
            "TensorBoard is not installed",
            where=shown_path(Path(sys.executable)),
            why="the event files are there, but nothing that shows them",
            fix="{command}, or elsewhere: tensorboard --logdir {folder}",
            command=install_command("tensorboard"),
            folder=shell_path(workspace.events_dir),
        )
    log_path = workspace.logs_dir / "tensorboard.log"
    command = [sys.executable, "-m", "core.tracking.board", str(workspace.root)]
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [*command, *([str(port)] if port is not None else [])],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    url = _first_line(process)
    if not url:
        _end(process)
        lines = log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise StateError(
            "TensorBoard did not start",
            where=shown_path(log_path),
            why=lines[-1] if lines else msg("it said nothing for {n:.0f} s", n=START_S),
            fix="read that log, or start it yourself: {command}",
            command=board_command(workspace),
        )
    return Board(process, url)


def _first_line(process: subprocess.Popen[bytes]) -> str:
    """The address, once it serves; "" when it ended, or said nothing in time."""
    if process.stdout is None or not select.select([process.stdout], [], [], START_S)[0]:
        return ""
    return process.stdout.readline().decode().strip()


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with suppress(BrokenPipeError):
            process.stdin.close()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def serve(workspace: Workspace, port: int | None = None) -> None:
    """Serve until standard input ends; the first line on standard output is the address."""
    from tensorboard import program

    workspace.events_dir.mkdir(parents=True, exist_ok=True)
    rebuild_events(workspace)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    board = program.TensorBoard(server_class=lambda app, flags: program.create_port_scanning_werkzeug_server(_own_pages_only(app), flags))
    board.configure(logdir=str(workspace.events_dir), host="127.0.0.1", port=port, window_title="Pitwall", reload_interval=5.0)
    sys.stdout.write(f"{board.launch()}\n")
    sys.stdout.flush()
    while os.read(0, 4096):
        pass


def _own_pages_only(app: "WSGIApplication") -> "WSGIApplication":
    """TensorBoard itself answers whatever host it is asked by, and in any frame."""

    def asked(environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
        host = environ.get("HTTP_HOST", "")
        if not is_known_host(host) or not is_own_origin(environ.get("HTTP_ORIGIN"), host):
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"ask for this address by its own name\n"]
        return app(environ, lambda status, headers, *rest: start_response(status, [*headers, *OWN_FRAMES_ONLY.items()], *rest))

    return asked


def rebuild_events(workspace: Workspace) -> int:
    """Write the event file of each fold that has epochs and no event file, and is not at work; returns how many."""
    return sum(
        _rebuild(workspace, contest, part)
        for contest in list_contests(workspace.store)
        for run in list_runs(workspace.store, contest.id)
        for part in run.parts
    )


def _rebuild(workspace: Workspace, contest: Contest, run: Run) -> int:
    from core.tracking.tensorboard import FILES, EventFile

    jobs = {job.fold: job for job in run.jobs}
    folder = workspace.run_events_dir(contest.folder, run.name, run.id)
    wanted = {fold for fold, job in jobs.items() if job.state != "running" and not any((folder / f"fold-{fold}").glob(FILES))}
    if not wanted:
        return 0
    truth = load_truth(workspace, contest, get_truth(workspace.store, run.truth_id))
    pairs = load_folds(workspace, get_folds(workspace.store, run.folds_id)).keeping(truth.kept)
    written = 0
    for fold, rows in groupby(list_epochs(workspace.store, run.id), lambda row: row.fold):
        if fold in wanted:
            job = jobs[fold]
            started_at = job.started_at or run.created_at
            n_steps = plan_epochs(run.recipe, truth.labels[pairs.train_idx(fold)]).n_steps
            EventFile(
                tracked_fold(workspace, contest, run, fold, job.token, started_at), 1, _points(list(rows), n_steps, started_at)
            ).close()
            written += 1
    return written


def _points(rows: list[EpochRow], n_steps: int, started_at: float) -> list[Point]:
    at = started_at + np.cumsum([row.elapsed_s for row in rows])
    return [Point(row.epoch * n_steps, float(when), epoch_values(row)) for row, when in zip(rows, at, strict=True)]


if __name__ == "__main__":
    serve(open_workspace(Path(sys.argv[1])), *map(int, sys.argv[2:]))
    sys.stderr.flush()
    os._exit(0)
