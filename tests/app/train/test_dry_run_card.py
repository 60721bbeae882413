"""The dry run on the page Train, in each of its states. One is real; else the answers are made up."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.shell import runtime
from app.train.grid import start_key
from core.base.errors import WeightsError
from core.jobs.dry_run import DryRunStatus
from core.jobs.forecast import Forecast, Neighbour
from core.jobs.queue import pause_queue
from core.store.contests import Contest
from core.store.jobs import list_jobs
from core.store.runs import list_runs
from core.workspace import Workspace
from tests.jobs.test_forecast import COSTS, FORECAST, GB

OpenPage = Callable[..., AppTest]
ROOT = Path(__file__).parents[3]
ANSWER = replace(FORECAST, device="cpu", rows=((32, 16),) * 3)
BIG = (Neighbour("big (r1)", "fold 2"),)


class Made:
    """A dry run whose status is set by the test."""

    def __init__(self, device: str, when: str | None) -> None:
        self.device, self.when, self.is_stopped = device, when, False
        self.now = DryRunStatus("working", 12.0, None, None, ())

    def status(self) -> DryRunStatus:
        return self.now

    def stop(self) -> None:
        self.is_stopped = True

    def answers(self, forecast: Forecast) -> None:
        self.now = DryRunStatus("done", 20.0, forecast, None, ())


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, opened: Workspace) -> list[Made]:
    """The dry runs that the page has begun."""
    begun: list[Made] = []

    def start_dry_run(contest: Any, folds: Any, recipe: Any, device: str, when: str | None = None) -> Made:
        begun.append(Made(device, when))
        return begun[-1]

    monkeypatch.setattr(runtime, "start_dry_run", start_dry_run)
    return begun


def press(at: AppTest, key: str) -> AppTest:
    return at.button(key=key).click().run()


def start(at: AppTest) -> AppTest:
    at = press(at, "dry-run-start")
    assert not at.exception
    return at


def rows(at: AppTest) -> dict[str, str]:
    """The card's table: what is said, by the name of the row."""
    table = at.table[-1].value
    return {str(name).removeprefix(":gray[").removesuffix("]"): str(value) for name, value in table.iloc[:, 0].items()}


def captions(at: AppTest) -> str:
    return "\n".join(str(caption.value) for caption in at.caption)


def test_while_it_works_one_may_leave_and_come_back(open_page: OpenPage, folded: Contest, made: list[Made]) -> None:
    at = start(open_page("train"))
    assert (made[0].device, made[0].when) == ("cpu", None)
    (status,) = at.get("status")
    assert status.label.endswith("· 12 s") and status.state == "running"
    assert "leave this page" in captions(at)
    assert at.button(key="dry-run-start").disabled
    made[0].answers(ANSWER)
    at = at.switch_page(str(ROOT / "pages" / "runs.py")).run()
    at = at.switch_page(str(ROOT / "pages" / "train.py")).run()
    assert not at.get("status")
    assert rows(at)["Memory"] == "2.0 GB peak, of 10.0 GB free"


def test_its_answer_has_a_row_for_each_question(
    open_page: OpenPage, folded: Contest, made: list[Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime.engine(), "devices", ("cpu",))
    at = start(open_page("train"))
    made[0].answers(ANSWER)
    at = at.run()
    assert not at.exception and not at.error
    assert list(rows(at)) == ["Memory", "Epoch", "Fold", "Ends", "Disk", "Computed"]
    assert rows(at)["Epoch"] == "484 ms · a step 640 ms" and rows(at)["Ends"].endswith("if queued now")


def test_without_a_device_the_end_is_not_known(open_page: OpenPage, folded: Contest, made: list[Made]) -> None:
    at = start(open_page("train"))
    made[0].answers(ANSWER)
    assert rows(at.run())["Ends"].startswith("not known")


def test_while_the_queue_is_paused_the_end_is_not_known(
    open_page: OpenPage, folded: Contest, made: list[Made], opened: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime.engine(), "devices", ("cpu",))
    pause_queue(opened.store)
    at = start(open_page("train"))
    made[0].answers(ANSWER)
    assert rows(at.run())["Ends"] == "not known, the queue is paused"


def test_the_folds_that_are_chosen_count(open_page: OpenPage, folded: Contest, made: list[Made]) -> None:
    at = start(open_page("train"))
    made[0].answers(ANSWER)
    assert "all 3 in" in rows(at.run())["Fold"]
    (pills,) = [item for item in at.get("pills") if item.label == "Folds to train"]
    at = pills.set_value([1]).run()
    assert "all" not in rows(at)["Fold"] and len(made) == 1


def test_an_answer_is_of_one_recipe_and_is_remembered(open_page: OpenPage, folded: Contest, made: list[Made]) -> None:
    at = start(open_page("train"))
    made[0].answers(ANSWER)
    at = at.run()
    n_tables = len(at.table)
    (batch,) = [field for field in at.number_input if field.label == "Batch size"]
    before = batch.value
    at = batch.set_value(8).run()
    assert len(at.table) == n_tables - 1 and not at.button(key="dry-run-start").disabled
    (batch,) = [field for field in at.number_input if field.label == "Batch size"]
    at = batch.set_value(before).run()
    assert len(at.table) == n_tables and len(made) == 1


def test_what_does_not_fit_is_red_and_has_its_fix(open_page: OpenPage, folded: Contest, made: list[Made]) -> None:
    at = start(open_page("train"))
    made[0].answers(replace(ANSWER, costs=replace(COSTS, peak_bytes=12 * GB, checkpoint_bytes=10**15)))
    at = at.run()
    assert rows(at)["Memory"].startswith(":red[") and rows(at)["Disk"].startswith(":red[")
    assert not rows(at)["Epoch"].startswith(":red[")
    assert ["Fix" in str(card.value) for card in at.error] == [True, True]


def test_a_failure_is_a_card_until_it_is_tried_again(open_page: OpenPage, folded: Contest, made: list[Made]) -> None:
    at = start(open_page("train"))
    made[0].now = DryRunStatus("failed", 3.0, None, WeightsError("no weights", fix="fetch them"), ())
    at = at.run()
    assert "fetch them" in str(at.error[0].value)
    at = start(at)
    assert not at.error and len(made) == 2


def test_what_one_must_know_is_said(open_page: OpenPage, folded: Contest, made: list[Made]) -> None:
    at = start(open_page("train"))
    made[0].answers(replace(ANSWER, costs=replace(COSTS, halvings=2, micro_batch=16, others=0.7), busy_with=BIG))
    at = at.run()
    assert "to 4" in captions(at) and "big" in captions(at) and "70%" not in captions(at)
    at = press(at, "dry-run-free")
    assert [tried.when for tried in made] == [None, "free"]
    made[1].answers(replace(ANSWER, costs=replace(COSTS, others=0.7)))
    assert "70%" in captions(at.run())


def test_slots_of_one_processor_are_one_device_to_try(
    open_page: OpenPage, folded: Contest, made: list[Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    def devices(at: AppTest) -> list[str]:
        return [box.value for box in at.selectbox if box.key == "dry-run-device"]

    monkeypatch.setattr(runtime.engine(), "devices", ("cpu:0", "cpu:1"))
    at = start(open_page("train"))
    assert devices(at) == [] and made[0].device == "cpu:0"
    made[0].answers(replace(ANSWER, device="cpu:0"))
    assert "2 folds train there at once, with 2.0 GB each" in captions(at.run())
    monkeypatch.setattr(runtime.engine(), "devices", ("cuda:0", "cuda:1"))
    at = start(at.run())
    assert devices(at) == ["cuda:0"] and made[1].device == "cuda:0"
    at = at.selectbox(key="dry-run-device").select("cuda:1").run()
    start(at)
    assert made[2].device == "cuda:1"


def test_one_that_waits_can_be_begun_at_once(open_page: OpenPage, folded: Contest, made: list[Made]) -> None:
    at = start(open_page("train"))
    made[0].now = DryRunStatus("waiting", 12.0, None, None, BIG)
    at = at.run()
    assert "fold 2" in captions(at)
    press(at, "dry-run-now")
    assert made[0].is_stopped and made[1].when == "now"


def test_it_is_stopped_by_a_click_and_by_what_is_queued(open_page: OpenPage, opened: Workspace, folded: Contest, made: list[Made]) -> None:
    at = press(start(open_page("train")), "dry-run-stop")
    assert made[0].is_stopped and not at.get("status") and not at.error
    at = start(at)
    (button,) = [button for button in at.button if button.label == "Queue 3 folds"]
    button.click().run()
    assert made[1].is_stopped and len(list_runs(opened.store)) == 1


def test_the_plan_takes_the_time_of_a_calm_one(open_page: OpenPage, folded: Contest, made: list[Made]) -> None:
    def plan(at: AppTest) -> str:
        return str(at.table[0].value)

    at = open_page("train")
    assert "a dry run or the first epoch" in plan(at)
    at = start(at)
    made[0].answers(ANSWER)
    assert "by the dry run" in plan(at.run())


@pytest.mark.slow
def test_a_real_one(open_page: OpenPage, opened: Workspace, folded: Contest) -> None:
    at = start(open_page("train"))
    start_from = at.selectbox(key=start_key(folded))
    at = start_from.select(next(name for name in start_from.options if "news-tiny" in name)).run()
    at = start(at)
    deadline = time.monotonic() + 120
    while at.get("status"):
        assert time.monotonic() < deadline
        at = at.run()
    assert not at.error and not at.exception
    assert rows(at)["Computed"].endswith("rows at once")
    assert list_jobs(opened.store) == ()
