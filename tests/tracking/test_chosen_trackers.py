"""Weights & Biases and MLflow as they are, without a network. Where one is not installed, that it says so is what is tested."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

import pytest

from core.tracking.tensorboard import EventFile
from core.tracking.tracker import Note, Point, TrackedFold, is_installed, read_notes
from core.workspace import Workspace, open_workspace
from tests.tracking.conftest import MakeFold, epoch_point, step_point
from tests.tracking.wandb_file import read_records

ROOT = Path(__file__).parents[2]
SECRET = "0123456789abcdef0123456789abcdef01234567"
OURS = ("WANDB_", "MLFLOW_")


def send(fold: TrackedFold, begin: int, points: Sequence[Point], *, end: str, known: Sequence[Point] = (), **environment: str) -> Note:
    """Give one attempt to a real sender; returns what became of its one tracker."""
    file = EventFile(fold, begin, known)
    file.add(points)
    file.close()
    (tracker,) = fold.trackers
    task = {"tracker": tracker, "fold": fold.model_dump(), "file": str(file.path), "record": f"{fold.key[:16]}-{file.began}"}
    clean = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    done = subprocess.run(
        [sys.executable, "-m", "core.tracking.recorder"],
        cwd=ROOT,
        input=f"{json.dumps(task)}\n{end}\n".encode(),
        env={**clean, **environment},
        check=True,
        capture_output=True,
    )
    assert SECRET.encode() not in done.stdout + done.stderr
    notes = read_notes(fold.notes_of(tracker))
    assert notes is not None
    (note,) = notes.notes
    return note


def is_missing(note: Note) -> bool:
    """Whether the library is not installed, and the note says so."""
    if is_installed(note.tracker):
        return False
    assert note.state == "failed" and "not installed" in note.problem and "pip install" in note.fix
    return True


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace below a folder whose name would say something in an address."""
    return open_workspace(tmp_path / "what?mode=memory#1" / "50%20done" / "workspace")


@pytest.fixture
def closed_port() -> int:
    """A port at which nobody answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def twice(make_fold: MakeFold, tracker: str, **environment: str) -> tuple[Note, Note]:
    """An attempt that ended after 17 steps (as done: libraries have more time then), and one that went on from step 14; ten steps an epoch."""
    first = [*(step_point(step) for step in range(1, 11)), epoch_point(1), *(step_point(step) for step in range(11, 18))]
    second = [*(step_point(step) for step in range(14, 21)), epoch_point(2)]
    return (
        send(make_fold(1, trackers=(tracker,)), 1, first, end="done", **environment),
        send(make_fold(2, trackers=(tracker,)), 14, second, end="done", known=[epoch_point(1)], **environment),
    )


@pytest.mark.slow
def test_weights_and_biases_offline_holds_each_step_once(make_fold: MakeFold, workspace: Workspace, closed_port: int) -> None:
    """There is a key, but no server at the address: so it is kept in the workspace."""
    _, note = twice(make_fold, "wandb", WANDB_API_KEY=SECRET, WANDB_BASE_URL=f"http://127.0.0.1:{closed_port}")
    if is_missing(note):
        return
    folder = Path(note.place)
    assert note.state == "closed" and "wandb sync" in note.command
    assert list((workspace.logs_dir / "wandb").glob("offline-run-*")) == [folder], "what was begun anew is there once"
    records = list(read_records(folder))
    (run,) = (record.run for record in records if record.WhichOneof("record_type") == "run")
    assert (run.project, run.run_group, run.display_name) == ("my contests", "digits/base", "base/fold-0")
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert config["recipe"] == {"optim.lr": 0.1, "train.epochs": 3} and config["fold"] == 0
    history = [record.history for record in records if record.WhichOneof("record_type") == "history"]
    assert [row.step.num for row in history] == list(range(1, 21))
    names = [{".".join(item.nested_key) or item.key for item in row.item} for row in history]
    assert all("loss/train_step" in row for row in names)
    assert [number for number, row in enumerate(names, start=1) if "score/accuracy" in row] == [10, 20]
    assert [record.exit.exit_code for record in records if record.WhichOneof("record_type") == "exit"] == [0]
    _no_secret_in(workspace)


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # MLflow's own queries
@pytest.mark.slow
def test_mlflow_keeps_one_run_in_the_workspace_with_each_value_once(
    make_fold: MakeFold, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, note = twice(make_fold, "mlflow", MLFLOW_TRACKING_PASSWORD=SECRET)
    if is_missing(note):
        return
    folder = workspace.logs_dir / "mlflow"
    assert (before.state, note.state) == ("closed", "closed") and note.place == str(folder)
    assert note.command == f"cd {quote(str(folder))} && mlflow ui --backend-store-uri sqlite:///mlflow.db"
    assert [path.name for path in tmp_path.iterdir()] == ["what?mode=memory#1"], "nothing lies outside"
    from mlflow import MlflowClient

    monkeypatch.chdir(folder)
    client = MlflowClient("sqlite:///mlflow.db")
    experiment = client.get_experiment_by_name("my contests")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED" and run.info.run_name == "digits/base/fold-0"
    assert run.data.params == {"optim.lr": "0.1", "train.epochs": "3"}
    assert {key: run.data.tags[f"pitwall.{key}"] for key in ("contest", "run", "ref", "fold", "attempt")} == {
        "contest": "digits",
        "run": "base",
        "ref": "r7",
        "fold": "0",
        "attempt": "2",
    }
    steps = {name: [metric.step for metric in client.get_metric_history(run.info.run_id, name)] for name in run.data.metrics}
    assert steps.pop("loss/train_step") == list(range(1, 21))
    assert len(steps) == 5 and set(map(tuple, steps.values())) == {(10, 20)}
    _no_secret_in(workspace)


@pytest.mark.slow
def test_a_server_that_does_not_answer_is_said_without_its_password(make_fold: MakeFold, workspace: Workspace, closed_port: int) -> None:
    fold = make_fold(trackers=("mlflow",))
    note = send(
        fold,
        1,
        [step_point(1)],
        end="done",
        MLFLOW_TRACKING_URI=f"http://me:{SECRET}@127.0.0.1:{closed_port}",
        MLFLOW_TRACKING_PASSWORD=SECRET,
        MLFLOW_HTTP_REQUEST_MAX_RETRIES="0",
    )
    if not is_missing(note):
        assert note.state == "failed" and note.problem
    _no_secret_in(workspace)


LOUD = """
import os, subprocess, threading, warnings
key = os.environ["WANDB_API_KEY"]
def fail(): raise RuntimeError(key)
def init(**settings):
    print("the key is", key); warnings.warn(key); threading.Thread(target=fail).start()
    subprocess.run(["/bin/sh", "-c", "echo $WANDB_API_KEY; echo $WANDB_API_KEY >&2"]); os.write(2, key.encode())
    raise ValueError(f"not with {key}")
Settings = dict
"""


def test_what_a_library_prints_or_starts_leaves_no_key_in_the_log(make_fold: MakeFold, workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "wandb.py").write_text(LOUD, encoding="utf-8")
    fold = make_fold(trackers=("wandb",))
    note = send(fold, 1, [step_point(1)], end="done", WANDB_API_KEY=SECRET, PYTHONPATH=str(tmp_path / "library"))
    assert note.state == "failed" and note.problem == "ValueError: not with ***"
    _no_secret_in(workspace)


def _no_secret_in(workspace: Workspace) -> None:
    files = [path for path in workspace.root.rglob("*") if path.is_file()]
    assert files and [path for path in files if SECRET.encode() in path.read_bytes()] == []
