"""A real TensorBoard: it comes up on loopback, shows the folds, and ends with whoever started it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from core.base.errors import NotFoundError, StateError
from core.tracking import board, tracker
from core.tracking.board import Board, board_command, start_board
from core.tracking.tensorboard import EventFile
from core.workspace import Workspace
from tests.tracking.conftest import MakeFold, step_point

ROOT = Path(__file__).parents[2]


def read(url: str) -> object:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.loads(answer.read())


def is_up(url: str) -> bool:
    try:
        read(f"{url}data/environment")
    except OSError:
        return False
    return True


@pytest.mark.slow
def test_it_shows_the_folds_on_loopback_until_it_is_stopped(
    workspace: Workspace, make_fold: MakeFold, wait_until: Callable[[Callable[[], object]], None]
) -> None:
    EventFile(make_fold(), 1, [step_point(step) for step in range(1, 4)]).close()
    started = start_board(workspace)
    try:
        assert started.url.startswith("http://127.0.0.1:") and started.is_alive
        wait_until(lambda: read(f"{started.url}data/runs") == ["digits/base-r7/fold-0"])
        scalars = f"{started.url}data/plugin/scalars/scalars?run=digits/base-r7/fold-0&tag=loss/train_step"
        wait_until(lambda: [event[1] for event in read(scalars)] == [1, 2, 3])  # type: ignore[union-attr]
        with urllib.request.urlopen(started.url, timeout=10) as answer:
            assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
        for strange in ({"Host": "evil.example:6006"}, {"Origin": "http://localhost:3000"}):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(urllib.request.Request(started.url, headers=strange), timeout=10)
            assert refused.value.code == 403
            refused.value.close()
    finally:
        started.stop()
        started.stop()
    assert not started.is_alive and not is_up(started.url)


@pytest.mark.slow
def test_it_ends_when_the_process_that_started_it_is_killed(
    workspace: Workspace, wait_until: Callable[[Callable[[], object]], None]
) -> None:
    program = (
        "import sys, time; from core.workspace import open_workspace; from core.tracking.board import start_board\n"
        f"print(start_board(open_workspace({str(workspace.root)!r})).url, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        assert is_up(url)
        parent.kill()
    wait_until(lambda: not is_up(url))


def test_one_that_does_not_come_up_says_its_last_words(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(board, "ROOT", tmp_path)  # where there is no package `core`
    with pytest.raises(StateError) as caught:
        start_board(workspace)
    assert "No module named" in caught.value.why and board_command(workspace) in caught.value.fix


def test_without_the_package_the_command_for_elsewhere_is_said(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker, "find_spec", lambda name: None)
    with pytest.raises(NotFoundError) as caught:
        start_board(workspace)
    assert "pip install tensorboard" in caught.value.fix and f"tensorboard --logdir {workspace.events_dir}" in caught.value.fix


def test_a_board_whose_process_is_gone_is_not_alive() -> None:
    with subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.wait()
        ended = Board(process, "http://127.0.0.1:1/")
        assert not ended.is_alive
        ended.stop()
