"""A tracker gets every point, and its failure is a note: the training does not notice."""

from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from core.base.errors import NotFoundError
from core.tracking import recorder, tensorboard
from core.tracking.recorder import deliver
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


def task_of(fold: TrackedFold, file: EventFile, tracker: str = "wandb") -> bytes:
    task = {"tracker": tracker, "fold": fold.model_dump(), "file": str(file.path), "record": "abc-1"}
    return json.dumps(task).encode() + b"\n"


def give(
    fold: TrackedFold, points: Sequence[Point], tracker: str, find: Callable[[str], Opener], give_up: Callable[[], object] = lambda: None
) -> None:
    """An attempt whose points come while the tracker is open, and which is done."""
    file = EventFile(fold, 1, [])
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb") as worker:
        worker.write(task_of(fold, file, tracker))
        worker.flush()
        thread = threading.Thread(target=deliver, args=(stream, find, give_up))
        thread.start()
        for point in points:
            file.add([point])
        worker.write(b"done\n")
        worker.close()
        thread.join()
    file.close()


def note_of(fold: TrackedFold, tracker: str) -> Note:
    notes = read_notes(fold.notes_of(tracker))
    assert notes is not None
    (note,) = notes.notes
    return note


STEPS = [step_point(step) for step in range(1, 6)]


def test_a_tracker_gets_every_point_once_and_how_it_ended(make_fold: MakeFold) -> None:
    tracker, fold = Fake("https://host/run"), make_fold(trackers=("wandb", "mlflow"))
    give(fold, STEPS, "mlflow", {"mlflow": tracker}.__getitem__)
    ((history, record),) = tracker.opened
    assert [*history, *tracker.steps] == [1, 2, 3, 4, 5] and (record, tracker.outcome) == ("abc-1", "done")
    assert note_of(fold, "mlflow") == Note("mlflow", "closed", "https://host/run", "look here")


def test_of_one_that_fails_no_secret_is_kept(
    make_fold: MakeFold, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "0123456789abcdef")
    monkeypatch.setattr(tensorboard, "EventReader", _Late)
    tracker, fold = Refusing(), make_fold(trackers=("mlflow", "wandb"))
    give(fold, STEPS, "wandb", lambda _: tracker)
    note = note_of(fold, "wandb")
    assert note.state == "failed" and note.problem == "ConnectionError: https://***@host refuses the key ***"
    assert tracker.outcome is None and "Weights & Biases records no more of fold 0" in caplog.text


class _Late(tensorboard.EventReader):
    """Gives its points only after the trackers have been opened."""

    def points(self) -> list[Point]:
        if not hasattr(self, "is_open"):
            self.is_open = True
            return []
        return super().points()


def test_one_that_hangs_is_given_up(make_fold: MakeFold, released: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorboard, "EventReader", _Late)
    monkeypatch.setattr(recorder, "FINISH_S", 0.5)
    fold, found = make_fold(trackers=("mlflow",)), list[Note]()

    def give_up() -> None:
        found.append(note_of(fold, "mlflow"))
        released.set()

    give(fold, STEPS, "mlflow", lambda _: Hanging(released), give_up)
    assert [note.state for note in found] == ["failed"] and "in time" in found[0].problem


def test_one_that_cannot_be_imported_names_what_brings_it(make_fold: MakeFold) -> None:
    def find(name: str) -> Opener:
        raise NotFoundError("wandb is not installed", fix="pip install wandb")

    fold = make_fold(trackers=("wandb",))
    give(fold, STEPS, "wandb", find)
    assert (note_of(fold, "wandb").problem, note_of(fold, "wandb").fix) == ("wandb is not installed", "pip install wandb")


def test_a_worker_that_is_gone_without_a_word_has_stopped(make_fold: MakeFold) -> None:
    tracker, fold = Fake(), make_fold(trackers=("wandb",))
    file = EventFile(fold, 1, STEPS)
    deliver(io.BytesIO(task_of(fold, file)), lambda _: tracker)
    file.close()
    assert tracker.outcome == "stopped" and tracker.opened == [([1, 2, 3, 4, 5], "abc-1")]
