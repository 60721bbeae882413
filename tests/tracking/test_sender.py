"""Each tracker stands alone: what one does or fails to do, the others and the training do not notice."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

from core.base.errors import NotFoundError
from core.tracking.notes import FoldNotes, Note, read_notes, write_notes
from core.tracking.sender import listen
from core.tracking.tracker import Opener, Outcome, Point, TrackedFold
from tests.tracking.conftest import MakeFold, epoch_point, step_point


class Recorder:
    """A tracker that keeps what it is told."""

    command = "look here"

    def __init__(self, place: str = "somewhere") -> None:
        self.place = place
        self.opened: list[tuple[list[int], str]] = []
        self.steps: list[int] = []
        self.outcome: Outcome | None = None

    def __call__(self, fold: TrackedFold, history: Sequence[Point], record: str) -> Recorder:
        self.opened.append(([point.step for point in history], record))
        return self

    def log(self, points: Sequence[Point]) -> None:
        self.steps += [point.step for point in points]

    def close(self, outcome: Outcome) -> None:
        self.outcome = outcome


class Refusing(Recorder):
    """Fails at the third step, with a secret in its message."""

    def log(self, points: Sequence[Point]) -> None:
        super().log(points)
        if max(self.steps) >= 3:
            raise ConnectionError("https://me:hunter22@host refuses the key 0123456789abcdef\nand more")


class Hanging(Recorder):
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


def lines(fold: TrackedFold, begin: int, points: Sequence[Point], known: Sequence[Point] = (), end: Outcome | None = "done") -> list[bytes]:
    said = [fold.to_dict(), {"begin": begin, "known": [asdict(point) for point in known]}, *(asdict(point) for point in points)]
    return [json.dumps(item).encode() for item in [*said, *([{"end": end, "within_s": 0.5}] if end else [])]]


def notes_of(fold: TrackedFold) -> dict[str, Note]:
    said = read_notes(Path(fold.notes_path))
    assert said is not None
    return {note.tracker: note for note in said.notes}


STEPS = [step_point(step) for step in range(1, 6)]


def test_every_tracker_hears_every_point_once_and_how_it_ended(make_fold: MakeFold) -> None:
    told = {"tensorboard": Recorder(), "mlflow": Recorder("https://host/run")}
    fold = make_fold(trackers=("mlflow",))
    listen(lines(fold, 1, STEPS), told.__getitem__)
    assert {name: (tracker.steps, tracker.outcome) for name, tracker in told.items()} == dict.fromkeys(told, ([1, 2, 3, 4, 5], "done"))
    assert notes_of(fold)["mlflow"] == Note("mlflow", "closed", "https://host/run", "look here")


def test_one_that_fails_does_so_alone_and_says_no_secret(
    make_fold: MakeFold, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "0123456789abcdef")
    told = {"tensorboard": Recorder(), "wandb": Refusing()}
    fold = make_fold(trackers=("wandb",))
    listen(lines(fold, 1, STEPS), told.__getitem__)
    assert told["tensorboard"].steps == [1, 2, 3, 4, 5] and told["tensorboard"].outcome == "done" and told["wandb"].outcome is None
    note = notes_of(fold)["wandb"]
    assert note.state == "failed" and note.problem == "ConnectionError: https://***@host refuses the key ***"
    assert "Weights & Biases records no more of fold 0" in caplog.text


def test_one_that_hangs_is_given_up(make_fold: MakeFold, released: threading.Event) -> None:
    told = {"tensorboard": Recorder(), "mlflow": Hanging(released)}
    fold = make_fold(trackers=("mlflow",))
    listen(lines(fold, 1, STEPS), told.__getitem__)
    assert told["tensorboard"].outcome == "done"
    assert notes_of(fold)["mlflow"].state == "failed" and "in time" in notes_of(fold)["mlflow"].problem


def test_one_that_cannot_be_imported_says_what_brings_it(make_fold: MakeFold) -> None:
    told = Recorder()

    def find(name: str) -> Opener:
        if name == "wandb":
            raise NotFoundError("wandb is not installed", fix="pip install wandb")
        return told

    fold = make_fold(trackers=("wandb",))
    listen(lines(fold, 1, STEPS), find)
    assert told.outcome == "done"
    assert (notes_of(fold)["wandb"].problem, notes_of(fold)["wandb"].fix) == ("wandb is not installed", "pip install wandb")


def test_attempts_that_go_on_share_a_record_and_one_from_nothing_has_its_own(make_fold: MakeFold) -> None:
    tracker = Recorder()
    for token, begin, known, end in ((1, 1, (), None), (2, 4, (), None), (3, 12, (epoch_point(1),), "failed"), (4, 1, (), "done")):
        steps = [step_point(begin), step_point(begin + 1)]
        listen(lines(make_fold(token), begin, steps, known, end), lambda _: tracker)
    key = make_fold().key[:16]
    assert tracker.opened == [([], f"{key}-1"), ([1, 2], f"{key}-1"), ([1, 2, 4, 5, 10], f"{key}-1"), ([], f"{key}-4")]


def test_a_worker_that_is_gone_without_a_word_has_stopped(make_fold: MakeFold) -> None:
    tracker = Recorder()
    listen(lines(make_fold(), 1, STEPS, end=None), lambda _: tracker)
    assert tracker.outcome == "stopped" and tracker.steps == [1, 2, 3, 4, 5]


def test_a_fold_that_never_began_opens_nothing(make_fold: MakeFold) -> None:
    tracker = Recorder()
    fold = make_fold()
    listen([json.dumps(fold.to_dict()).encode(), b'{"end": "failed", "within_s": 1}'], lambda _: tracker)
    assert tracker.opened == [] and tracker.outcome is None and read_notes(Path(fold.notes_path)) is None


def test_notes_of_a_later_attempt_are_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "fold-0.json"
    write_notes(path, FoldNotes(0, 5, (Note("tensorboard"),)))
    write_notes(path, FoldNotes(0, 4, (Note("tensorboard", "failed"),)))
    said = read_notes(path)
    assert said is not None and said.token == 5
    path.write_text("{")
    assert read_notes(path) is None
