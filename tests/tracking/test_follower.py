"""The worker's end: it never waits, never fails, and draws no random number."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.jobs.queue import launch_run
from core.store.runs import get_run
from core.tracking import follower
from core.tracking.follower import Follower, tracked_fold
from core.tracking.history import read_told
from core.tracking.notes import read_notes
from tests.tracking.conftest import House, MakeFold, epoch_report, step_report


def children() -> set[int]:
    """The processes that this one has started."""
    return {int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


def has_begun(pid: int) -> bool:
    """Whether a child runs its own program; before that, whoever started it still waits for it."""
    return b"core.tracking.sender" in Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.fixture
def senders() -> Callable[[], set[int]]:
    """A function that tells which processes have come since the test began."""
    before = children()
    return lambda: children() - before


def test_what_is_reported_arrives(make_fold: MakeFold) -> None:
    fold = make_fold()
    following = Follower(fold)
    for epoch in (1, 2):
        for step in range(1, 11):
            following.report(step_report(epoch, step))
        following.report(epoch_report(epoch))
    following.end("done")
    following.close()
    told, said = read_told(Path(fold.points_path)), read_notes(Path(fold.notes_path))
    assert told is not None and [point.step for point in told.points] == [*range(1, 11), 10, *range(11, 21), 20]
    assert said is not None and [(note.tracker, note.state) for note in said.notes] == [("tensorboard", "closed")]


def test_a_report_takes_no_time_and_draws_no_number(make_fold: MakeFold) -> None:
    following = Follower(make_fold())
    states = random.getstate(), np.random.get_state()
    started = time.perf_counter()
    for step in range(1, 1001):
        following.report(step_report(1, step, n_steps=1000))
    per_report_s = (time.perf_counter() - started) / 1000
    assert per_report_s < 1e-3
    assert random.getstate() == states[0] and all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), states[1], strict=True))
    following.end("stopped")
    following.close()


def test_a_sender_that_is_killed_is_said_and_stops_nothing(
    make_fold: MakeFold, senders: Callable[[], set[int]], wait_until: Callable[[Callable[[], object]], None]
) -> None:
    fold = make_fold(trackers=("wandb",))
    following = Follower(fold)
    wait_until(senders)
    (pid,) = senders()
    os.kill(pid, signal.SIGKILL)
    for step in range(1, 11):
        following.report(step_report(1, step))
    following.end("done")
    following.close()
    said = read_notes(Path(fold.notes_path))
    assert said is not None and {note.state for note in said.notes} == {"failed"} and "code -9" in said.notes[0].problem


def test_a_sender_that_is_frozen_does_not_hold_up_a_worker_that_must_stop(
    make_fold: MakeFold,
    senders: Callable[[], set[int]],
    wait_until: Callable[[Callable[[], object]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(follower, "STOP_S", 0.2)
    fold = make_fold()
    following = Follower(fold)
    wait_until(lambda: [pid for pid in senders() if has_begun(pid)])
    (pid,) = senders()
    os.kill(pid, signal.SIGSTOP)
    following.report(step_report(1, 1))
    following.end("stopped")
    started = time.monotonic()
    following.close()
    assert time.monotonic() - started < 3
    wait_until(lambda: not senders())
    said = read_notes(Path(fold.notes_path))
    assert said is not None and "in time" in said.notes[0].problem


def test_a_fold_is_named_by_contest_run_and_number(house: House) -> None:
    run = launch_run(house.workspace, house.contest, house.folds, house.recipe())
    first, second = (tracked_fold(house.workspace, house.contest, run, fold, 1, 0.0) for fold in (0, 1))
    assert first.name == "headlines/tiny/fold-0" and first.key != second.key
    assert Path(first.events_dir) == house.workspace.events_dir / "headlines" / "tiny-r1" / "fold-0"
    again = tracked_fold(house.workspace, house.contest, get_run(house.workspace.store, run.id), 0, 2, 9.0)
    assert again.key == first.key, "all attempts at a fold are one fold"
    assert "tiny_transformer" in first.recipe and first.settings["train.batch_size"] == 8
