"""Notifications in a real browser: a toast on any page, and a title that says it until somebody looks, without a stolen focus."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds import save_folds
from core.jobs import queue
from core.jobs.engine import EngineLock
from core.specs.folds import FoldsSpec
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.jobs import Job, list_jobs
from core.store.runs import Run
from core.workspace import Workspace, open_workspace
from tests.browser.conftest import Open
from tests.finished_workspace import claim, fail_job, finish_job, finish_run, make_recipe

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Prepared:
    workspace: Workspace
    contest: Contest
    folds: Folds
    address: str

    def url(self, page: str, **params: str) -> str:
        return f"{self.address}/{page}?contest={self.contest.name}" + "".join(f"&{key}={value}" for key, value in params.items())

    def train(self, name: str) -> tuple[Run, Job]:
        """A run of which two folds are done and the third is being trained."""
        run = finish_run(self.workspace, self.contest, self.folds, make_recipe(self.contest, name), n_done=2)
        return run, claim(self.workspace)

    def end(self, run: Run, job: Job) -> None:
        finish_job(self.workspace, self.contest, self.folds, job, run.recipe, strength=3.0, seed=1)


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, serve: Callable[[Path], str], write_headlines: Callable[[Path], Path]
) -> Iterator[Prepared]:
    """A server that only reads, since these tests hold the workspace: no engine takes the jobs that they make up."""
    root = tmp_path_factory.mktemp("notifications")
    workspace = open_workspace(root / "workspace")
    lock = EngineLock(workspace.engine_lock_path, "a test")
    assert lock.acquire(now=0.0)
    contest = add_contest(workspace, inspect_path(write_headlines(root / "headlines")).draft)
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=3))
    yield Prepared(workspace, contest, folds, serve(workspace.root))
    lock.release()


@pytest.fixture
def prepared(served: Prepared) -> Prepared:
    """The same server with nothing that trains or waits."""
    for run_id in {job.run_id for job in list_jobs(served.workspace.store, ("running", "queued"))}:
        queue.cancel_run(served.workspace.store, run_id)
    return served


UNMARKED = re.compile(r"^[^·]+ · headlines · Pitwall$")


def marked(mark: str) -> re.Pattern[str]:
    """The tab's title on any page of the contest, with a mark before it."""
    return re.compile(rf"^{re.escape(mark)} · [^·]+ · headlines · Pitwall$")


def toasts(page: Page) -> Locator:
    return page.get_by_test_id("stToast")


def test_the_title_says_how_far_it_is_and_then_that_it_is_done_until_somebody_looks(prepared: Prepared, open_page: Open) -> None:
    run, job = prepared.train("digits")
    pages = [open_page(prepared.url("data")), open_page(prepared.url("ensemble", lang="ko"))]
    for page in pages:
        expect(page).to_have_title(marked("2/3 digits"))
        page.evaluate("document.activeElement.blur()")
    field = pages[0].get_by_role("combobox").first
    field.focus()
    prepared.end(run, job)
    expect(pages[0]).to_have_title(marked("✓ digits done"))
    expect(pages[1]).to_have_title(marked("✓ digits 완료"))
    for page, said in zip(pages, ("done: accuracy", "완료: 정확도"), strict=True):
        expect(toasts(page)).to_have_count(1)
        expect(toasts(page)).to_contain_text("digits")
        expect(toasts(page)).to_contain_text(said)
    expect(field).to_be_focused()
    pages[0].keyboard.press("Shift")
    expect(pages[0]).to_have_title(UNMARKED)
    expect(pages[1]).to_have_title(marked("✓ digits 완료"))
    pages[1].mouse.move(500, 500)
    pages[1].mouse.move(520, 500)
    expect(pages[1]).to_have_title(UNMARKED)


def test_a_toast_that_was_closed_does_not_come_back_nor_after_a_reload(prepared: Prepared, open_page: Open) -> None:
    run, job = prepared.train("second")
    page = open_page(prepared.url("data"))
    expect(page).to_have_title(marked("2/3 second"))
    prepared.end(run, job)
    expect(page).to_have_title(marked("✓ second done"))
    toasts(page).get_by_role("button", name="Close").click()
    expect(toasts(page)).to_have_count(0)
    expect(page).to_have_title(UNMARKED)
    page.get_by_test_id("stSidebar").get_by_role("link", name="Folds").click()
    expect(page.get_by_role("heading", name="Folds", exact=True)).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Folds", exact=True)).to_be_visible()
    expect(page).to_have_title(UNMARKED)
    expect(toasts(page)).to_have_count(0)


def test_a_failure_stays_until_it_is_closed_or_replaced(prepared: Prepared, open_page: Open) -> None:
    good, job = prepared.train("good")
    _, other = prepared.train("bad")
    page = open_page(prepared.url("submit"))
    expect(page).to_have_title(marked("4/6 good +1"))
    fail_job(prepared.workspace, other)
    failed = toasts(page).filter(has_text="ended: 1 of 3 folds failed")
    expect(failed).to_be_visible()
    expect(page).to_have_title(marked("✗ bad failed"))
    page.get_by_test_id("stSidebar").get_by_role("link", name="Errors").click()
    expect(page.get_by_role("heading", name="Errors", exact=True)).to_be_visible()
    expect(page).to_have_title(marked("2/3 good"))
    expect(failed).to_be_visible()
    prepared.end(good, job)
    expect(page).to_have_title(marked("✓ good done"))
    expect(toasts(page)).to_contain_text("good")


def test_the_sidebar_may_be_closed(prepared: Prepared, open_page: Open) -> None:
    run, job = prepared.train("unseen")
    page = open_page(prepared.url("data"))
    page.get_by_test_id("stSidebar").hover()
    page.locator("[data-testid=stSidebarCollapseButton] button").click()
    expect(page.get_by_test_id("stSidebar")).to_have_attribute("data-collapsed", "true")
    prepared.end(run, job)
    expect(page).to_have_title(re.compile("✓ unseen done"))
    expect(toasts(page)).to_have_count(1)
