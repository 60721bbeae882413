"""A tracker that is not here is refused before anything is queued; and no message keeps a secret."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from core.base.errors import NotFoundError, RecipeError
from core.base.messages import Message, msg
from core.jobs.launch import launch_run
from core.store.jobs import list_jobs
from core.tracking import tracker
from core.tracking.tracker import (
    FoldNotes,
    Note,
    check_trackers,
    install_command,
    is_installed,
    opener,
    read_notes,
    write_notes,
)
from tests.tracking.conftest import Headlines


def test_a_missing_library_is_named_with_the_command_that_brings_it() -> None:
    with pytest.raises(RecipeError) as caught:
        check_trackers(("wandb", "mlflow", "wandb"), lambda name: name == "mlflow")
    assert caught.value.what == "wandb is not installed" and caught.value.where == "tracking.trackers"
    assert f"{Path(sys.executable).name} -m pip install wandb" in caught.value.fix
    check_trackers(("wandb", "mlflow"), lambda _: True)
    check_trackers((), lambda _: False)


def test_nothing_is_queued_when_one_is_missing(headlines: Headlines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match="mlflow is not installed"):
        launch_run(headlines.workspace, headlines.contest, headlines.folds, headlines.recipe(trackers=("mlflow",)))
    assert list_jobs(headlines.workspace.store) == ()
    with pytest.raises(NotFoundError) as caught:
        opener("mlflow")
    assert caught.value.fix == install_command("mlflow")


def test_a_folder_of_that_name_is_not_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "no_such_tracker").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert not is_installed("no_such_tracker") and is_installed("tensorboard")


def test_a_sentence_in_a_note_keeps_its_template(tmp_path: Path) -> None:
    path, problem = tmp_path / "fold-0.json", msg("its process ended with code {code}; the log has more", code=-9)
    write_notes(path, FoldNotes(0, 1, (Note("wandb", "failed", problem=problem),)))
    found = read_notes(path)
    assert found is not None and found.notes[0].problem == problem
    assert isinstance(found.notes[0].problem, Message) and found.notes[0].problem.template == problem.template


def test_notes_of_a_later_attempt_are_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "fold-0.json"
    write_notes(path, FoldNotes(0, 5, (Note("wandb"),)))
    write_notes(path, FoldNotes(0, 4, (Note("wandb", "failed"),)))
    found = read_notes(path)
    assert found is not None and found.token == 5
    path.write_text("{")
    assert read_notes(path) is None
