"""The queue on the page Runs and on the pit board: its order is changed by clicks, and whatever holds it says why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import doorway
from core.contest.inspect import inspect_path
from core.contest.register import add_contest
from core.folds import FoldsSpec, save_folds
from core.jobs import controls, queue
from core.jobs.engine import Engine
from core.store import attempts
from core.store.contests import Contest
from core.store.folds import Folds, list_folds
from core.store.holds import hold_device_for_disk, list_holds
from core.store.order import read_queue
from core.store.runs import EpochRow, Run
from core.workspace import Workspace
from tests.finished_workspace import LEASE_S, claim, finish_run, make_recipe

OpenPage = Callable[..., AppTest]


@pytest.fixture
def folds(house: Workspace, folded: Contest) -> Folds:
    return list_folds(house.store, folded.id)[0]


@pytest.fixture
def waiting(house: Workspace, folded: Contest, folds: Folds) -> list[Run]:
    """Three runs that wait in this order."""
    return [queue.launch_run(house, folded, folds, make_recipe(folded, name)) for name in ("first", "second", "third")]


def order(house: Workspace) -> list[str]:
    return [queued.run_name for queued in read_queue(house.store)]


def shown(at: AppTest) -> str:
    parts = [*at.markdown, *at.caption, *at.info, *at.warning, *at.error]
    return "\n".join([*(str(part.value) for part in parts), *(str(part.body) for part in at.get("html"))]).replace("\\", "")


def test_the_order_is_changed_by_clicks(open_page: OpenPage, house: Workspace, waiting: list[Run]) -> None:
    first, second, third = waiting
    at = open_page("runs")
    assert not at.exception
    assert at.button(key=f"queue-{first.id}-up").disabled and at.button(key=f"queue-{third.id}-down").disabled
    at = at.button(key=f"queue-{third.id}-next").click().run()
    assert order(house) == ["third", "first", "second"]
    at = at.button(key=f"queue-{second.id}-up").click().run()
    assert order(house) == ["third", "second", "first"]
    at = at.button(key=f"queue-{third.id}-down").click().run()
    assert not at.exception
    assert order(house) == ["second", "third", "first"]


def test_a_run_is_paused_and_goes_on(open_page: OpenPage, house: Workspace, waiting: list[Run]) -> None:
    at = open_page("runs").button(key=f"queue-{waiting[0].id}-pause").click().run()
    assert not at.exception
    assert read_queue(house.store)[0].is_paused
    assert "3 paused" in shown(at), "the pit board says so too"
    at.button(key=f"queue-{waiting[0].id}-resume").click().run()
    assert not read_queue(house.store)[0].is_paused


def test_the_whole_queue_is_paused_and_goes_on(open_page: OpenPage, house: Workspace, waiting: list[Run]) -> None:
    at = open_page("runs").button(key="queue-pause").click().run()
    assert not at.exception
    assert "The queue is paused since" in shown(at)
    assert "queue 9 · paused" in shown(at)
    at = at.button(key="queue-resume").click().run()
    assert list_holds(house.store) == ()
    assert "The queue is paused" not in shown(at)


def test_a_full_disk_is_said_with_what_it_needs(open_page: OpenPage, house: Workspace, waiting: list[Run]) -> None:
    doorway.close()
    full = Engine(doorway.workspace(), devices=("cpu",), free_bytes=lambda _: 200_000_000)
    hold_device_for_disk(house.store, "cpu", error={}, needed_bytes=3_100_000_000, now=1e9)
    doorway.open_house(full)
    at = open_page("runs")
    assert not at.exception
    assert "3.1 GB needed, 200 MB free. Make space, and the queue goes on by itself." in shown(at)
    assert "**cpu**  ·  disk full: 3.1 GB needed, 200 MB free" in shown(at), "on the pit board"


def test_a_click_that_comes_too_late_is_answered(open_page: OpenPage, house: Workspace, waiting: list[Run]) -> None:
    at = open_page("runs")
    queue.cancel_run(house.store, waiting[1].id)
    at = at.button(key=f"queue-{waiting[1].id}-up").click().run()
    assert not at.exception
    assert "no fold of it is in the queue" in shown(at)
    assert order(house) == ["first", "third"]


def test_a_queue_of_another_contest_is_named_by_it(
    open_page: OpenPage, house: Workspace, folded: Contest, waiting: list[Run], write_headlines: Callable[[Path], Path], tmp_path: Path
) -> None:
    controls.set_priority(house.store, waiting[2].id, 5)
    at = open_page("runs", contest=folded.name)
    assert "folds 0, 1, 2 · priority +5<" in shown(at)
    other = add_contest(house, inspect_path(write_headlines(tmp_path / "others"), name="others").draft)
    save_folds(house, other, FoldsSpec(n_folds=3))
    finish_run(house, other, list_folds(house.store, other.id)[0], make_recipe(other, "theirs"), n_done=0)
    assert f"folds 0, 1, 2 · priority +5 · {folded.name}<" in shown(open_page("runs", contest="others"))


def test_a_sign_of_trouble_is_a_badge_and_a_sentence(open_page: OpenPage, house: Workspace, folded: Contest, folds: Folds) -> None:
    calm = finish_run(house, folded, folds, make_recipe(folded, "calm"))
    wild = queue.launch_run(house, folded, folds, make_recipe(folded, "wild"))
    job = claim(house)
    row = EpochRow(wild.id, job.fold, job.token, 1, 0.9, 0.8, {"accuracy": 0.5}, 0.1, 1.0)
    rows = [row, replace(row, epoch=2, train_loss=0.7), replace(row, epoch=3, train_loss=float("nan"))]
    attempts.renew(house.store, job.id, job.token, now=1e9, epochs=rows, lease_s=LEASE_S)
    at = open_page("runs")
    assert not at.exception
    table = at.dataframe[0].value
    assert dict(zip(table["run"], map(list, table["trouble"]), strict=True)) == {"wild": ["not a number"], "calm": []}
    assert "**wild** :orange-badge[:material/flag: not a number] Fold 0: the loss is not a number since epoch 3." in shown(at)
    assert "not a number since epoch 3" in shown(open_page("runs", run=wild.ref))
    assert "orange-badge" not in shown(open_page("runs", run=calm.ref))
