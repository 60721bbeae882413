"""The queue on the page Runs and in the device status: its order is changed in a list, and whatever holds it says why."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.runs.progress import REFUSED_KEY, steer
from app.shell import runtime
from app.ui.components.queue_order.component import Act, ActKind, read_acts
from core.base.errors import StateError
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds import save_folds
from core.jobs import launch, queue
from core.jobs.engine import Engine
from core.jobs.kinds import KINDS, Kind
from core.specs.folds import FoldsSpec
from core.store import attempts
from core.store.contests import Contest
from core.store.folds import Folds, list_folds
from core.store.jobs import get_job
from core.store.queue import hold_device_for_disk, list_holds, read_queue
from core.store.runs import EpochRow, Run
from core.workspace import Workspace
from tests.finished_workspace import LEASE_S, claim, finish_run, make_recipe

OpenPage = Callable[..., AppTest]


@pytest.fixture
def waiting(opened: Workspace, folded: Contest, folds: Folds) -> list[Run]:
    """Three runs that wait in this order."""
    return [launch.launch_run(opened, folded, folds, make_recipe(folded, name)) for name in ("first", "second", "third")]


def order(opened: Workspace) -> list[str]:
    return [queued.run_name for queued in read_queue(opened.store)]


def shown(at: AppTest) -> str:
    parts = [*at.markdown, *at.caption, *at.info, *at.warning, *at.error]
    return "\n".join([*(str(part.value) for part in parts), *(str(part.body) for part in at.get("html"))]).replace("\\", "")


def listed(at: AppTest) -> dict[str, Any]:
    """What the list of waiting runs was told."""
    (component,) = [each for each in at.get("bidi_component") if each.proto.component_name == "pitwall_queue_order"]
    return json.loads(component.proto.json)


def do(kind: ActKind, run: Run, *, after: Run | None = None, place: int = 0) -> None:
    steer(Act(1, kind, run.id, after.id if after else None, place))


def test_the_order_is_changed_by_what_was_done_in_the_list(open_page: OpenPage, opened: Workspace, waiting: list[Run]) -> None:
    first, second, third = waiting
    assert [row["name"] for row in listed(open_page("runs"))["rows"]] == ["first", "second", "third"]
    do("next", third)
    assert order(opened) == ["third", "first", "second"]
    do("up", second)
    assert order(opened) == ["third", "second", "first"]
    do("down", third)
    assert order(opened) == ["second", "third", "first"]
    do("move", first, after=None, place=0)
    assert order(opened) == ["first", "second", "third"]
    do("move", first, after=third, place=2)
    assert order(opened) == ["second", "third", "first"]
    assert [row["name"] for row in listed(open_page("runs"))["rows"]] == ["second", "third", "first"]


def test_a_run_goes_behind_the_one_it_was_put_behind_although_others_have_begun(
    opened: Workspace, folded: Contest, folds: Folds, waiting: list[Run]
) -> None:
    first, second, third = waiting
    fourth = launch.launch_run(opened, folded, folds, make_recipe(folded, "fourth"))
    queue.cancel_run(opened.store, first.id)  # seen as the first of four while the fourth was dragged
    do("move", fourth, after=second, place=2)
    assert order(opened) == ["second", "fourth", "third"]
    queue.cancel_run(opened.store, second.id)
    do("move", third, after=second, place=0)
    assert order(opened) == ["third", "fourth"]


def test_a_run_that_is_dragged_above_a_higher_priority_takes_it_over(opened: Workspace, waiting: list[Run]) -> None:
    first, second, third = waiting
    queue.set_priority(opened.store, first.id, 5)
    do("move", third, after=None, place=0)
    assert [(queued.run_name, queued.priority) for queued in read_queue(opened.store)] == [("third", 5), ("first", 5), ("second", 0)]
    do("move", first, after=second, place=2)
    assert [(queued.run_name, queued.priority) for queued in read_queue(opened.store)] == [("third", 5), ("second", 0), ("first", 0)]


def test_a_run_is_paused_and_goes_on(open_page: OpenPage, opened: Workspace, waiting: list[Run]) -> None:
    do("pause", waiting[0])
    at = open_page("runs")
    assert listed(at)["rows"][0]["is_paused"] is True and read_queue(opened.store)[0].is_paused
    assert "3 paused" in shown(at), "the device status says so too"
    do("resume", waiting[0])
    assert not read_queue(opened.store)[0].is_paused


def test_only_acts_that_are_whole_and_new_are_taken() -> None:
    good = {"number": 4, "kind": "move", "run": 7, "after": None, "place": 2}
    assert read_acts([good], answered=3) == [Act(4, "move", 7, None, 2)]
    assert read_acts([good], answered=4) == [], "it was answered already"
    assert [act.number for act in read_acts([{**good, "number": 6}, good], answered=3)] == [4, 6]
    bad = [{**good, "kind": "delete"}, {**good, "run": "7"}, {**good, "after": "x"}, {**good, "place": True}, {"kind": "up"}, "up", None]
    assert read_acts(bad, answered=0) == [] and read_acts({"0": good}, answered=0) == [] and read_acts(None, answered=0) == []


def test_a_read_only_window_cannot_steer(open_page: OpenPage, opened: Workspace, waiting: list[Run]) -> None:
    runtime.close()
    holder = Engine(opened, devices=())
    holder.start()
    runtime.start_engine(Engine(opened, devices=()))
    assert listed(open_page("runs"))["can_steer"] is False
    with pytest.raises(StateError, match="read-only"):
        do("next", waiting[2])
    holder.stop()


def test_the_whole_queue_is_paused_and_goes_on(open_page: OpenPage, opened: Workspace, waiting: list[Run]) -> None:
    at = open_page("runs").button(key="queue-pause").click().run()
    assert not at.exception
    assert "The queue has been paused since" in shown(at)
    assert "queue 9 · paused" in shown(at)
    at = at.button(key="queue-resume").click().run()
    assert list_holds(opened.store) == ()
    assert "The queue is paused" not in shown(at)


def test_a_full_disk_is_said_with_what_it_needs(open_page: OpenPage, opened: Workspace, waiting: list[Run]) -> None:
    runtime.close()
    full = Engine(opened, devices=("cpu",), free_bytes=lambda _: 200_000_000)
    hold_device_for_disk(opened.store, "cpu", error={}, needed_bytes=3_100_000_000, now=1e9)
    runtime.start_engine(full)
    at = open_page("runs")
    assert not at.exception
    assert "3.1 GB needed, 200 MB free. Make space, and the queue goes on by itself." in shown(at)
    assert "**cpu**  ·  disk full: 3.1 GB needed, 200 MB free" in shown(at), "in the device status"


def test_an_act_that_comes_too_late_is_answered(open_page: OpenPage, opened: Workspace, waiting: list[Run]) -> None:
    queue.cancel_run(opened.store, waiting[1].id)
    with pytest.raises(StateError) as refused:
        do("up", waiting[1])
    at = open_page("runs")
    at.session_state[REFUSED_KEY] = refused.value
    assert "no fold of it is in the queue" in shown(at.run())
    assert "no fold of it is in the queue" not in shown(at.run()), "said once"
    assert order(opened) == ["first", "third"]


def test_a_job_of_any_kind_is_canceled_and_retried_in_the_panel(
    open_page: OpenPage, opened: Workspace, folded: Contest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "count", Kind(lambda *_: 0, lambda *_: lambda _connection: None, lambda *_: None))
    launch.launch_run(opened, folded, list_folds(opened.store, folded.id)[0], make_recipe(folded, "run"))
    job = launch.launch_job(opened.store, kind="count", contest_id=folded.id)
    at = open_page("runs")
    assert f"count · {folded.name} :gray[{job.ref}] :gray-badge[queued]" in shown(at)
    at = at.button(key=f"queue-cancel-{job.id}").click().run()
    assert get_job(opened.store, job.id).state == "canceled" and "canceled" in shown(at)
    at.button(key=f"queue-retry-{job.id}").click().run()
    assert get_job(opened.store, job.id).state == "queued"


def test_a_prediction_that_waits_stands_once_with_its_cancel(
    open_page: OpenPage, opened: Workspace, folded: Contest, folds: Folds, done: tuple[Run, ...]
) -> None:
    waiting = launch.launch_run(opened, folded, folds, make_recipe(folded, "waiting"))
    job = launch.launch_prediction(opened, done[0], text="a", at_once=False)
    at = open_page("runs")
    assert [row["name"] for row in listed(at)["rows"]] == [waiting.name]
    assert shown(at).count(f":gray[{job.ref}]") == 1
    at.button(key=f"queue-cancel-{job.id}").click().run()
    assert get_job(opened.store, job.id).state == "canceled"


def test_a_queue_of_another_contest_is_named_by_it(
    open_page: OpenPage, opened: Workspace, folded: Contest, waiting: list[Run], write_headlines: Callable[[Path], Path], tmp_path: Path
) -> None:
    queue.set_priority(opened.store, waiting[2].id, 5)
    at = open_page("runs", contest=folded.name)
    assert listed(at)["rows"][0]["facts"] == "folds 0, 1, 2 · priority +5"
    other = add_contest(opened, inspect_path(write_headlines(tmp_path / "others"), name="others").draft)
    save_folds(opened, other, FoldsSpec(n_folds=3))
    finish_run(opened, other, list_folds(opened.store, other.id)[0], make_recipe(other, "theirs"), n_done=0)
    assert listed(open_page("runs", contest="others"))["rows"][0]["facts"] == f"folds 0, 1, 2 · priority +5 · {folded.name}"


def test_a_sign_of_trouble_is_a_badge_and_a_sentence(open_page: OpenPage, opened: Workspace, folded: Contest, folds: Folds) -> None:
    calm = finish_run(opened, folded, folds, make_recipe(folded, "calm"))
    wild = launch.launch_run(opened, folded, folds, make_recipe(folded, "wild"))
    job = claim(opened)
    row = EpochRow(wild.id, job.fold, job.token, 1, 0.9, 0.8, {"accuracy": 0.5}, 0.1, 1.0)
    rows = [row, replace(row, epoch=2, train_loss=0.7), replace(row, epoch=3, train_loss=float("nan"))]
    attempts.renew(opened.store, job.id, job.token, now=1e9, epochs=rows, lease_s=LEASE_S)
    at = open_page("runs")
    assert not at.exception
    table = at.dataframe[0].value
    assert dict(zip(table["run"], map(list, table["trouble"]), strict=True)) == {"wild": ["loss NaN"], "calm": []}
    assert "**wild** :orange-badge[:material/flag: loss NaN] Fold 0: the loss has been NaN since epoch 3." in shown(at)
    assert "NaN since epoch 3" in shown(open_page("runs", run=wild.ref))
    assert "orange-badge" not in shown(open_page("runs", run=calm.ref))
