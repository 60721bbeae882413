"""Notifications of runs: shown once, on every page, and only what happened while the page was open."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.sidebar.devices import CLOCK_SLACK_S, SHOWN_S, Watch
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds import save_folds
from core.jobs import launch
from core.specs.folds import FoldsSpec
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.queue import RunTally
from core.store.runs import Run
from core.store.trash import restore
from core.workspace import Workspace
from tests.finished_workspace import claim, fail_job, finish_job, finish_run, make_recipe, put_away

OpenPage = Callable[..., AppTest]
T0 = 1e9
RUNNING = RunTally(1, "a", 1, n_folds=3, n_done=1, n_failed=0, n_canceled=0, n_running=2, failed_at=0.0, ended_at=T0)


def kinds(watch: Watch, *tallies: RunTally) -> list[str]:
    return [event.kind for event in watch.look(tallies, now=0.0)]


def watching(*tallies: RunTally) -> Watch:
    watch = Watch(since=0.0)
    assert watch.look(tallies, now=0.0) == []
    return watch


def test_what_ended_before_the_page_was_opened_is_no_event() -> None:
    done, failing = replace(RUNNING, n_done=3, n_running=0), replace(RUNNING, run_id=2, n_failed=1, n_running=1, failed_at=T0)
    watch = watching(done, failing)
    assert kinds(watch, done, failing) == []
    assert kinds(watch, done, replace(failing, n_done=2, n_running=0, ended_at=T0 + 1)) == ["failed"]


def test_an_end_is_one_event() -> None:
    watch = watching(RUNNING)
    done = replace(RUNNING, n_done=3, n_running=0, ended_at=T0 + 9)
    assert kinds(watch, done) == ["done"]
    assert kinds(watch, done) == []
    assert kinds(watch) == []
    assert kinds(watch, done) == []


def test_a_run_that_began_and_ended_between_two_looks_is_said() -> None:
    assert kinds(watching(), replace(RUNNING, n_done=3, n_running=0)) == ["done"]


def test_the_first_failed_fold_is_an_event_and_the_end_another() -> None:
    watch = watching(RUNNING)
    failing = replace(RUNNING, n_failed=1, n_running=1, failed_at=T0 + 5, ended_at=T0 + 5)
    assert kinds(watch, failing) == ["fold_failed"]
    worse = replace(failing, n_failed=2, n_running=0, ended_at=T0 + 6)
    assert kinds(watch, replace(worse, n_folds=4, n_running=1)) == [], "the second failed fold is no event while others go on"
    assert kinds(watch, worse) == ["failed"]
    again = replace(worse, n_done=1, n_failed=0, n_running=2, failed_at=0.0, ended_at=T0)
    assert kinds(watch, again) == []
    assert kinds(watch, replace(again, n_done=2, n_running=0, n_failed=1, failed_at=T0 + 50, ended_at=T0 + 50)) == ["failed"], "retried"


def test_a_failure_that_is_the_end_is_one_event() -> None:
    assert kinds(watching(RUNNING), replace(RUNNING, n_done=2, n_failed=1, n_running=0, failed_at=T0 + 5, ended_at=T0 + 5)) == ["failed"]


def test_a_canceled_run_is_no_event() -> None:
    assert kinds(watching(RUNNING), replace(RUNNING, n_canceled=2, n_running=0, ended_at=T0 + 5)) == []


def test_a_clock_that_was_put_back_hides_nothing() -> None:
    watch = watching(replace(RUNNING, ended_at=T0))
    assert watch.since == T0 - CLOCK_SLACK_S
    assert kinds(watch, replace(RUNNING, run_id=2, n_done=3, n_running=0, ended_at=T0 - 600)) == ["done"]


def test_a_toast_repeats_what_the_one_that_it_replaces_still_shows() -> None:
    watch = watching(RUNNING)
    runs = [replace(RUNNING, run_id=number, n_done=3, n_running=0) for number in (2, 3, 4)]
    said: list[list[int]] = []
    for place, now in enumerate((0.0, SHOWN_S - 1.0, 2.0 * SHOWN_S)):
        assert len(watch.look(runs[: place + 1], now)) == 1
        said.append([event.tally.run_id for event in watch.shown(now)])
    assert said == [[2], [2, 3], [4]]


@pytest.fixture
def live(opened: Workspace, folded: Contest, folds: Folds) -> Run:
    """A run of which two folds are done and the last is being trained."""
    return finish_run(opened, folded, folds, make_recipe(folded, "live_1"), n_done=2)


def said(at: AppTest) -> list[str]:
    """The toasts of the last run of the script, each in one line of text."""
    assert not at.exception
    return [re.sub(r"\\(.)", r"\1", str(toast.value)).replace("  \n", " / ").replace("\n\n", " | ") for toast in at.toast]


@pytest.mark.parametrize("page", ["home", "data", "ensemble", "runs"])
def test_an_end_is_said_on_any_page_and_once(
    open_page: OpenPage, opened: Workspace, folded: Contest, folds: Folds, live: Run, page: str
) -> None:
    at = open_page(page)
    assert said(at) == []
    finish_job(opened, folded, folds, claim(opened), live.recipe, strength=3.0, seed=5)
    (text,) = said(at.run())
    assert text.startswith("**live_1** / done: accuracy ↑ ") and text.endswith(", 2 min of training")
    assert said(at.run()) == []
    assert said(open_page(page)) == [], "a page that is opened or reloaded now"


def test_two_tabs_are_both_said(open_page: OpenPage, opened: Workspace, folded: Contest, live: Run) -> None:
    english, korean = open_page("home"), open_page("data", lang="ko")
    fail_job(opened, claim(opened))
    assert said(english.run()) == ["**live_1** / ended: 1 of 3 folds failed / fold 2: the device ran out of memory"]
    assert said(korean.run()) == ["**live_1** / 종료: 폴드 3개 중 1개 실패 / 폴드 2: 장치의 메모리가 모자랍니다"]


def test_a_fold_that_fails_is_said_while_the_others_go_on(open_page: OpenPage, opened: Workspace, folded: Contest, folds: Folds) -> None:
    launch.launch_run(opened, folded, folds, make_recipe(folded, "wide"))
    at = open_page("home")
    fail_job(opened, claim(opened))
    assert said(at.run()) == ["**wide** / fold 0 failed, the others go on / fold 0: the device ran out of memory"]


def test_a_run_of_another_contest_is_named_with_it(
    open_page: OpenPage, opened: Workspace, folded: Contest, live: Run, write_headlines: Callable[[Path], Path], tmp_path: Path
) -> None:
    other = add_contest(opened, inspect_path(write_headlines(tmp_path / "others"), name="others").draft)
    save_folds(opened, other, FoldsSpec(n_folds=3))
    at = open_page("home", contest="others")
    fail_job(opened, claim(opened))
    (text,) = said(at.run())
    assert text.startswith(f"**live_1 ({folded.name})** / ended")


def test_many_events_at_once_are_one_sentence(open_page: OpenPage, opened: Workspace, folded: Contest, folds: Folds) -> None:
    at = open_page("home")
    for number in range(3):
        finish_run(opened, folded, folds, make_recipe(folded, f"many-{number}"))
    launch.launch_run(opened, folded, folds, make_recipe(folded, "bad"))
    for _ in range(3):
        fail_job(opened, claim(opened))
    assert said(at.run()) == ["**Several runs**: 3 done, 1 failed"]


def test_a_run_that_was_deleted_meanwhile_is_not_mentioned(open_page: OpenPage, opened: Workspace, folded: Contest, folds: Folds) -> None:
    at = open_page("home")
    run = finish_run(opened, folded, folds, make_recipe(folded, "brief"))
    put_away(opened.store, "run", run.id)
    assert said(at.run()) == []


def test_a_run_that_is_restored_did_not_end_now(open_page: OpenPage, opened: Workspace, folded: Contest, folds: Folds) -> None:
    run = finish_run(opened, folded, folds, make_recipe(folded, "back"))
    entry = put_away(opened.store, "run", run.id)
    at = open_page("home")
    restore(opened.store, entry.ref)
    assert said(at.run()) == []


def test_a_phone_is_told_what_failed(open_page: OpenPage, opened: Workspace, folded: Contest, folds: Folds) -> None:
    run = launch.launch_run(opened, folded, folds, make_recipe(folded, "first"), fold_numbers=(0, 1))
    fail_job(opened, claim(opened))
    links = [link.proto for link in open_page("folds").main.get("page_link")]
    assert [link.query_string for link in links if "1 of 2 folds failed" in link.label] == [f"contest={folded.name}&run={run.ref}"]
