"""Each tracker stands alone: what one does or fails to do, the others and the training do not notice."""

from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from core.base.errors import NotFoundError
from core.tracking import sender
from core.tracking.sender import deliver
from core.tracking.tensorboard import EventFile
from core.tracking.tracker import Note, Opener, Outcome, Point, TrackedFold, read_notes
from tests.tracking.conftest import MakeFold, step_point


class Fake:
    """A tracker that keeps what it is given."""

    command = "look here"

    def __init__(self, place: str = "somewhere") -> None:
        self.place = place
        self.opened: list[tuple[list[int], str]] = []
        self.steps: list[int] = []
        self.outcome: Outcome | None = None

    def __call__(self, fold: TrackedFold, history: Sequence[Point], record: str) -> Fake:
        self.opened.append(([point.step for point in history], record))
        return self

    def log(self, points: Sequence[Point]) -> None:
        self.steps += [point.step for point in points]

    def close(self, outcome: Outcome) -> None:
        self.outcome = outcome


class Refusing(Fake):
    """Refuses every point, with a secret in its message."""

    def log(self, points: Sequence[Point]) -> None:
        raise ConnectionError("https://me:hunter22@host refuses the key 0123456789abcdef\nand more")


class Hanging(Fake):
    """Never comes back from its first point."""

    def __init__(self, released: threading.Event) -> None:
        super().__init__()
        self._released = released

    def log(self, points: Sequence[Point]) -> None:
        self._released.wait()


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """Set when the test is over, so that no thread is left behind."""
    event = threading.Event()
    yield event
    event.set()


def task_of(fold: TrackedFold, file: EventFile) -> bytes:
    return json.dumps({"fold": fold.to_dict(), "file": str(file.path), "record": "abc-1"}).encode() + b"\n"


def give(fold: TrackedFold, points: Sequence[Point], find: Callable[[str], Opener]) -> None:
    """An attempt whose points come while the trackers are open, and which is done."""
    file = EventFile(fold, 1, [])
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb") as worker:
        worker.write(task_of(fold, file))
        worker.flush()
        thread = threading.Thread(target=deliver, args=(stream, find))
        thread.start()
        for point in points:
            file.add([point])
        worker.write(b"done\n")
        worker.close()
        thread.join()
    file.close()


def notes_of(fold: TrackedFold) -> dict[str, Note]:
    notes = read_notes(Path(fold.notes_path))
    assert notes is not None
    return {note.tracker: note for note in notes.notes}


STEPS = [step_point(step) for step in range(1, 6)]


def test_every_tracker_gets_every_point_once_and_how_it_ended(make_fold: MakeFold) -> None:
    found = {"wandb": Fake(), "mlflow": Fake("https://host/run")}
    fold = make_fold(trackers=("wandb", "mlflow"))
    give(fold, STEPS, found.__getitem__)
    for tracker in found.values():
        ((history, record),) = tracker.opened
        assert [*history, *tracker.steps] == [1, 2, 3, 4, 5] and (record, tracker.outcome) == ("abc-1", "done")
    assert notes_of(fold)["mlflow"] == Note("mlflow", "closed", "https://host/run", "look here")


def test_one_that_fails_does_so_alone_and_no_secret_is_kept(
    make_fold: MakeFold, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "0123456789abcdef")
    monkeypatch.setattr(sender, "EventReader", _Late)
    found = {"mlflow": Fake(), "wandb": Refusing()}
    fold = make_fold(trackers=("mlflow", "wandb"))
    give(fold, STEPS, found.__getitem__)
    assert found["mlflow"].steps == [1, 2, 3, 4, 5] and found["mlflow"].outcome == "done" and found["wandb"].outcome is None
    note = notes_of(fold)["wandb"]
    assert note.state == "failed" and note.problem == "ConnectionError: https://***@host refuses the key ***"
    assert "Weights & Biases records no more of fold 0" in caplog.text


class _Late(sender.EventReader):
    """Gives its points only after the trackers have been opened."""

    def points(self) -> list[Point]:
        if not hasattr(self, "is_open"):
            self.is_open = True
            return []
        return super().points()


def test_one_that_hangs_is_given_up(make_fold: MakeFold, released: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "EventReader", _Late)
    monkeypatch.setattr(sender, "FINISH_S", 0.5)
    found = {"wandb": Fake(), "mlflow": Hanging(released)}
    fold = make_fold(trackers=("wandb", "mlflow"))
    give(fold, STEPS, found.__getitem__)
    assert found["wandb"].outcome == "done"
    assert notes_of(fold)["mlflow"].state == "failed" and "in time" in notes_of(fold)["mlflow"].problem


def test_one_that_cannot_be_imported_names_what_brings_it(make_fold: MakeFold) -> None:
    other = Fake()

    def find(name: str) -> Opener:
        if name == "wandb":
            raise NotFoundError("wandb is not installed", fix="pip install wandb")
        return other

    fold = make_fold(trackers=("wandb", "mlflow"))
    give(fold, STEPS, find)
    assert other.outcome == "done"
    assert (notes_of(fold)["wandb"].problem, notes_of(fold)["wandb"].fix) == ("wandb is not installed", "pip install wandb")


def test_a_worker_that_is_gone_without_a_word_has_stopped(make_fold: MakeFold) -> None:
    tracker, fold = Fake(), make_fold(trackers=("wandb",))
    file = EventFile(fold, 1, STEPS)
    deliver(io.BytesIO(task_of(fold, file)), lambda _: tracker)
    file.close()
    assert tracker.outcome == "stopped" and tracker.opened == [([1, 2, 3, 4, 5], "abc-1")]
