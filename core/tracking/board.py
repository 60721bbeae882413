"""TensorBoard beside the workbench: one child process, which ends with the process that started it, however that ends."""

from __future__ import annotations

import select
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from shlex import quote

from core.base.errors import NotFoundError, StateError
from core.base.files import shown_path
from core.base.messages import msg
from core.tracking.tracker import install_command, is_installed
from core.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
START_S = 60.0
STOP_S = 5.0


def board_command(workspace: Workspace) -> str:
    """What a person types to start TensorBoard on this workspace without Pitwall."""
    return f"{quote(shown_path(Path(sys.executable)))} -m tensorboard.main --logdir {quote(shown_path(workspace.events_dir))}"


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
            folder=quote(shown_path(workspace.events_dir)),
        )
    log_path = workspace.logs_dir / "tensorboard.log"
    command = [sys.executable, "-m", "core.tracking.serve", "--workspace", str(workspace.root)]
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [*command, *(["--port", str(port)] if port is not None else [])],
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
