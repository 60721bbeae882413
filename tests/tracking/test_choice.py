"""A tracker that is not here is refused before anything is queued; and no message keeps a secret."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from core.base.errors import NotFoundError, RecipeError
from core.jobs.queue import launch_run
from core.store.jobs import list_jobs
from core.tracking import choice
from core.tracking.choice import check_trackers, install_command, is_installed, opener, without_tokens
from tests.tracking.conftest import House


def test_a_missing_library_is_named_with_the_command_that_brings_it() -> None:
    with pytest.raises(RecipeError) as caught:
        check_trackers(("wandb", "mlflow", "wandb"), lambda name: name == "mlflow")
    assert caught.value.what == "wandb is not installed" and caught.value.where == "tracking.trackers"
    assert f"{Path(sys.executable).name} -m pip install wandb" in caught.value.fix
    check_trackers(("wandb", "mlflow"), lambda _: True)
    check_trackers((), lambda _: False)


def test_nothing_is_queued_when_one_is_missing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match="mlflow is not installed"):
        launch_run(house.workspace, house.contest, house.folds, house.recipe(trackers=("mlflow",)))
    assert list_jobs(house.workspace.store) == ()
    with pytest.raises(NotFoundError) as caught:
        opener("mlflow")
    assert caught.value.fix == install_command("mlflow")


def test_a_folder_of_that_name_is_not_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "no_such_tracker").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert not is_installed("no_such_tracker") and is_installed("tensorboard")


def test_a_message_keeps_no_secret() -> None:
    environment = {"WANDB_API_KEY": "abcdef123456", "MLFLOW_TRACKING_PASSWORD": "swordfish", "HOME": "/home/me", "EMPTY_TOKEN": ""}
    said = without_tokens("abcdef123456 at http://me:pass@host:5000/x with swordfish in /home/me", environment)
    assert said == "*** at http://***@host:5000/x with *** in /home/me"
