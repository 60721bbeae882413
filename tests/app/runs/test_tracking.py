"""What the page of a run says of its trackers, and TensorBoard as one child of the server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from app.shell import runtime
from core.base.errors import NotFoundError
from core.folds import save_folds
from core.specs.folds import FoldsSpec
from core.store.contests import Contest
from core.store.runs import Run
from core.tracking import board as tracking
from core.tracking.board import Board
from core.tracking.tracker import FoldNotes, Note, write_notes
from core.workspace import Workspace
from tests.app.conftest import OpenPage
from tests.finished_workspace import finish_run, make_recipe


@pytest.fixture
def run(opened: Workspace, folded: Contest) -> Run:
    return finish_run(opened, folded, save_folds(opened, folded, FoldsSpec(n_folds=3)), make_recipe(folded, "base"))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Board]]:
    """Stands where TensorBoard would be started: a child that ends with its standard input, too."""
    boards: list[Board] = []

    def start(_: Workspace) -> Board:
        process = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        boards.append(Board(process, f"http://127.0.0.1:{7000 + len(boards)}/"))
        return boards[-1]

    monkeypatch.setattr(tracking, "start_board", start)
    yield boards
    for board in boards:
        board.stop()


def test_a_press_starts_tensorboard_and_leaves_a_link_to_this_run(open_page: OpenPage, run: Run, started: list[Board]) -> None:
    at = open_page("runs", contest="headlines", run=run.ref)
    assert not at.exception
    assert any("tensorboard.main --logdir" in code.value for code in at.code)
    at.button(key="board-start").click().run()
    assert len(started) == 1 and started[0].is_alive
    (link,) = at.get("link_button")
    assert link.proto.url == "http://127.0.0.1:7000/?runFilter=%5Eheadlines%2Fbase-r1%2F#timeseries"
    at.run()
    assert len(started) == 1, "it survives a rerun"
    at.button(key="board-stop").click().run()
    assert not started[0].is_alive and not at.get("link_button")


def test_one_for_the_server_and_gone_with_it(opened: Workspace, started: list[Board]) -> None:
    assert runtime.board() is None
    assert runtime.start_board() is runtime.start_board() is runtime.board()
    started[0].stop()  # it died
    assert runtime.board() is None
    again = runtime.start_board()
    assert again is started[1] and again.is_alive
    runtime.close()
    assert not again.is_alive and runtime.board() is None


def test_where_it_is_not_installed_the_page_says_what_brings_it(open_page: OpenPage, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Workspace) -> Board:
        raise NotFoundError("TensorBoard is not installed", fix="pip install tensorboard")

    monkeypatch.setattr(tracking, "start_board", refuse)
    at = open_page("runs", contest="headlines", run=run.ref)
    at.button(key="board-start").click().run()
    assert not at.exception
    assert any("pip install tensorboard" in element.value for element in [*at.markdown, *at.error, *at.caption])


def test_where_the_others_keep_a_run_and_which_of_them_stopped(opened: Workspace, open_page: OpenPage, run: Run) -> None:
    for fold in range(3):
        notes = (
            Note("tensorboard", "closed", "x"),
            Note("wandb", "closed", f"https://wandb.example/{fold}"),
            Note("mlflow", "failed", "sqlite:///x", "mlflow ui --backend-store-uri sqlite:///x", "the server *refuses*", "ask it"),
        )
        write_notes(opened.tracking_dir(run.id) / f"fold-{fold}.json", FoldNotes(fold, 1, notes))
    at = open_page("runs", contest="headlines", run=run.ref, lang="en")
    texts = [element.value for element in at.markdown]
    assert any("[fold 2](https://wandb.example/2)" in text for text in texts)
    assert [code.value for code in at.code][1:] == ["mlflow ui --backend-store-uri sqlite:///x"]
    (trouble,) = [text for text in texts if "stopped recording" in text]
    assert "fold 0, 1, 2" in trouble and r"\*refuses\*" in trouble and "ask it" in trouble and "MLflow" in trouble
