"""The worker's end: it never waits, never fails, draws no random number, and starts a process only where a tracker is named."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from core.jobs.launch import launch_run
from core.store.runs import get_run
from core.tracking import recorder
from core.tracking.recorder import Recorder, tracked_fold
from core.tracking.tensorboard import read_events
from core.tracking.tracker import notes_of_run, read_notes
from core.workspace import Workspace
from tests.tracking.conftest import Headlines, MakeFold, epoch_report, step_report


def children() -> set[int]:
    """The processes that this one has started."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # a thread that has just ended
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


def has_begun(pid: int) -> bool:
    """Whether a child runs its own program; before that, whoever started it still waits for it."""
    return b"core.tracking.recorder" in Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.fixture
def senders() -> Callable[[], set[int]]:
    """A function that names the processes that have come since the test began."""
    before = children()
    return lambda: children() - before


def test_what_is_reported_is_in_the_event_file_without_a_process(
    make_fold: MakeFold, workspace: Workspace, senders: Callable[[], set[int]]
) -> None:
    fold = make_fold()
    recording = Recorder(fold)
    for epoch in (1, 2):
        for step in range(1, 11):
            recording.take(step_report(epoch, step))
        recording.take(epoch_report(epoch))
    assert senders() == set()
    recording.end("done")
    (path,) = Path(fold.events_dir).iterdir()
    found = read_events(path)
    assert found is not None and [point.step for point in found.points] == [*range(1, 11), 10, *range(11, 21), 20]
    assert notes_of_run(workspace, 7, (0,)) == ()


def test_a_report_takes_no_time_and_draws_no_number(make_fold: MakeFold) -> None:
    recording = Recorder(make_fold())
    states = random.getstate(), np.random.get_state()
    started = time.perf_counter()
    for step in range(1, 1001):
        recording.take(step_report(1, step, n_steps=1000))
    per_report_s = (time.perf_counter() - started) / 1000
    recording.end("stopped")
    assert per_report_s < 1e-3
    assert random.getstate() == states[0] and all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), states[1], strict=True))


def test_a_file_that_cannot_be_written_is_noted_until_an_attempt_writes_it(make_fold: MakeFold, workspace: Workspace) -> None:
    fold = make_fold()
    blocked = Path(fold.events_dir)
    blocked.parent.mkdir(parents=True)
    blocked.write_text("a file where the folder should be")
    recording = Recorder(fold)
    recording.take(step_report(1, 1))
    recording.take(step_report(1, 2))
    recording.end("done")
    (notes,) = notes_of_run(workspace, 7, (0,))
    assert [(note.tracker, note.state) for note in notes.notes] == [("tensorboard", "failed")]
    blocked.unlink()
    again = Recorder(make_fold(2))
    again.take(step_report(1, 1))
    again.end("done")
    assert notes_of_run(workspace, 7, (0,)) == ()


def test_a_sender_that_is_killed_is_noted_and_stops_nothing(
    make_fold: MakeFold, senders: Callable[[], set[int]], wait_until: Callable[[Callable[[], object]], None]
) -> None:
    fold = make_fold(trackers=("wandb",))
    recording = Recorder(fold)
    recording.take(step_report(1, 1))
    wait_until(senders)
    (pid,) = senders()
    os.kill(pid, signal.SIGKILL)
    for step in range(2, 11):
        recording.take(step_report(1, step))
    recording.end("done")
    notes = read_notes(fold.notes_of("wandb"))
    assert notes is not None and [note.state for note in notes.notes] == ["failed"] and "code -9" in notes.notes[0].problem
    (path,) = Path(fold.events_dir).iterdir()
    found = read_events(path)
    assert found is not None and len(found.points) == 10


def test_a_sender_that_is_frozen_does_not_hold_up_a_worker_that_must_stop(
    make_fold: MakeFold,
    senders: Callable[[], set[int]],
    wait_until: Callable[[Callable[[], object]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recorder, "STOP_S", 0.2)
    fold = make_fold(trackers=("wandb",))
    recording = Recorder(fold)
    recording.take(step_report(1, 1))
    wait_until(lambda: [pid for pid in senders() if has_begun(pid)])
    (pid,) = senders()
    os.kill(pid, signal.SIGSTOP)
    started = time.monotonic()
    recording.end("stopped")
    assert time.monotonic() - started < 3
    wait_until(lambda: not senders())
    notes = read_notes(fold.notes_of("wandb"))
    assert notes is not None and "in time" in notes.notes[0].problem


def test_a_fold_is_named_by_contest_run_and_number(headlines: Headlines) -> None:
    workspace, contest = headlines.workspace, headlines.contest
    run = launch_run(workspace, contest, headlines.folds, headlines.recipe())
    first, second = (tracked_fold(workspace, contest, run, fold, 1, 0.0) for fold in (0, 1))
    assert first.name == "headlines/tiny/fold-0" and first.key != second.key
    assert Path(first.events_dir) == workspace.events_dir / "headlines" / "tiny-r1" / "fold-0"
    again = tracked_fold(workspace, contest, get_run(workspace.store, run.id), 0, 2, 9.0)
    assert again.key == first.key, "all attempts at a fold are one fold"
    assert "tiny_transformer" in first.recipe and first.settings["train.batch_size"] == 8
