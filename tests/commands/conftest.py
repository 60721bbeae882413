"""A terminal that calls commands on one workspace: empty, with a contest and folds, or with two finished runs; nothing is trained here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.__main__ import main
from core.store.contests import get_contest
from core.store.folds import list_folds
from core.workspace import Workspace
from tests.finished_workspace import finish_run, make_recipe


class Terminal:
    """Calls commands on one workspace and keeps what they say."""

    def __init__(self, workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
        self.workspace = workspace
        self._capsys = capsys

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        self._capsys.readouterr()
        code = main(["--workspace", str(self.workspace.root), *arguments])
        said = self._capsys.readouterr()
        return code, said.out, said.err

    def read(self, *arguments: str) -> Any:
        """What a command prints with --json; all of standard output must be that one document."""
        code, out, err = self.run(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)

    def refused(self, *arguments: str) -> dict[str, str]:
        """The one typed error of a command that fails."""
        code, out, err = self.run(*arguments, "--json")
        assert (code, out) == (2, "")
        return json.loads(err)["error"]


@pytest.fixture
def terminal(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(workspace, capsys)


@pytest.fixture
def headlines(terminal: Terminal, tmp_path: Path, write_headlines: Callable[[Path], Path]) -> Terminal:
    """A terminal on a workspace that has the contest `headlines` and three folds."""
    terminal.read("contest", "add", str(write_headlines(tmp_path / "headlines")), "--set", "metric=accuracy")
    terminal.read("folds", "make", "headlines", "--n", "3")
    return terminal


@pytest.fixture
def finished(headlines: Terminal) -> Terminal:
    """The same with two finished runs, `good` and `poor`."""
    store = headlines.workspace.store
    contest = get_contest(store, "headlines")
    folds = list_folds(store, contest.id)[0]
    for name, strength, seed in (("good", 3.0, 1), ("poor", 0.5, 2)):
        finish_run(headlines.workspace, contest, folds, make_recipe(contest, name), strength=strength, seed=seed)
    return headlines
