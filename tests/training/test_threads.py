"""Training computes with the threads that other programs leave cores for, and says when their number changes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from core.training import setup
from core.training.threads import FIRST_LOOK_S, LOOK_S, Threads
from tests.training.small_tasks import TEXT, make_task, recipe_of, train
from tests.training.stopped import checkpointing_of, crash_at, resumed

CPU = torch.device("cpu")


class Machine:
    """A clock, and what others use: a share of four cores."""

    def __init__(self) -> None:
        self.now, self.others = 0.0, 0.0

    def of_others(self) -> float | None:
        return self.others

    def threads(self, device: torch.device = CPU) -> Threads:
        share: Callable[[], Any] = lambda: self  # noqa: E731
        return Threads(device, share=share, clock=lambda: self.now)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """Four cores with as many threads, and nobody has said how many there shall be."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield Machine()
    torch.set_num_threads(before)


def test_there_is_a_thread_for_each_core_that_others_leave(machine: Machine) -> None:
    threads = machine.threads()
    seen = []
    for others in (0.1, 0.24, 0.5, 0.5, 1.0, 0.0):
        machine.now, machine.others = machine.now + LOOK_S, others
        seen.append((threads.follow(), torch.get_num_threads()))
    assert seen == [(None, 4), (3, 3), (2, 2), (None, 2), (1, 1), (4, 4)]


def test_cores_without_a_thread_are_left_to_others_first(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    threads = machine.threads()
    machine.now, machine.others = LOOK_S, 0.5
    assert threads.follow() is None
    machine.now, machine.others = 2 * LOOK_S, 0.75
    assert threads.follow() == 2


def test_others_are_watched_for_a_while_before_the_number_changes(machine: Machine) -> None:
    threads = machine.threads()
    machine.others = 0.5
    assert threads.follow() is None
    machine.now = FIRST_LOOK_S
    assert threads.follow() == 2
    machine.now, machine.others = FIRST_LOOK_S + LOOK_S - 0.1, 0.0
    assert threads.follow() is None
    machine.now = FIRST_LOOK_S + LOOK_S
    assert threads.follow() == 4


def test_a_number_that_a_person_set_stays(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.others = 1.0
    on_another_device = machine.threads(torch.device("meta"))
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    as_set = machine.threads()
    machine.now = LOOK_S
    assert on_another_device.follow() is None and as_set.follow() is None and torch.get_num_threads() == 4


@pytest.fixture
def watched(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """The machine that a fold looks at, at every step."""
    share: Callable[[], Any] = lambda: machine  # noqa: E731
    ticks = iter(range(0, 10**6, 20))
    monkeypatch.setattr(setup, "Threads", partial(Threads, share=share, clock=lambda: float(next(ticks))))
    machine.others = 0.5
    return machine


@pytest.mark.usefixtures("watched")
def test_a_fold_says_from_which_step_on_it_had_other_threads(tmp_path: Path) -> None:
    output, _, _ = train(make_task(tmp_path, recipe_of(TEXT)))
    assert output.facts["threads"] == 4
    assert output.facts["thread_changes"][0] == [1, 1, 2]
    assert torch.get_num_threads() == 4, "as many as before it"


def test_a_fold_that_goes_on_says_that_it_has_all_threads_again(watched: Machine, tmp_path: Path) -> None:
    task = make_task(tmp_path, recipe_of(TEXT), checkpointing=checkpointing_of(tmp_path / "checkpoints"))
    crash_at(task, "training", 2, 2)
    watched.others = 0.0
    output, _, _ = train(resumed(tmp_path, task, 2))
    (place,) = output.facts["resumed"]
    assert output.facts["thread_changes"] == [[1, 1, 2], [place["epoch"], place["step"] + 1, 4]]
