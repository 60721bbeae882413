"""Runs in a real browser: progress that moves by itself, opening, comparing, canceling and deleting."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds import save_folds
from core.jobs import launch
from core.specs.folds import FoldsSpec
from core.store import attempts
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.jobs import Job, list_jobs
from core.store.runs import Run, get_run, list_runs
from core.store.trash import restore
from core.workspace import Workspace, open_workspace
from tests.browser.conftest import Open, cell, chart, settle
from tests.finished_workspace import LEASE_S, claim, fail_job, finish_job, finish_run, make_recipe, run_halfway

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Prepared:
    """A served workspace: two finished runs, one to delete, one that failed, one that another machine is training."""

    workspace: Workspace
    contest: Contest
    folds: Folds
    live: Run
    address: str

    def url(self, **params: str) -> str:
        return f"{self.address}/runs?contest={self.contest.name}" + "".join(f"&{key}={value}" for key, value in params.items())

    def job(self, fold: int) -> Job:
        return next(job for job in list_jobs(self.workspace.store, run_id=self.live.id) if job.fold == fold)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, serve: Callable[[Path], str], write_headlines: Callable[[Path], Path]) -> Prepared:
    root = tmp_path_factory.mktemp("runs")
    workspace = open_workspace(root / "workspace")
    contest = add_contest(workspace, inspect_path(write_headlines(root / "headlines")).draft)
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=3))
    finish_run(workspace, contest, folds, make_recipe(contest, "strong"), strength=3.0, seed=1)
    finish_run(workspace, contest, folds, make_recipe(contest, "weak", lr=0.01), strength=1.0, seed=2)
    finish_run(workspace, contest, folds, make_recipe(contest, "unwanted"), strength=0.5, seed=3)
    launch.launch_run(workspace, contest, folds, make_recipe(contest, "huge"))
    for _ in range(3):
        fail_job(workspace, claim(workspace), log="loading\nthe device ran out of memory\n")
    recipe = make_recipe(contest, "live", epochs=6)
    live = launch.launch_run(workspace, contest, folds, recipe)
    for _ in range(3):
        run_halfway(workspace, claim(workspace), recipe)
    return Prepared(workspace, contest, folds, live, serve(workspace.root))


def click_cell(page: Page, row: int, x: int) -> None:
    """Click into the table of runs, `x` pixels from its left edge; rows count from 0, below the header."""
    table = page.get_by_test_id("stDataFrame").first
    expect(table.locator("tbody tr")).not_to_have_count(0)
    box = table.locator("canvas").first.bounding_box()
    assert box is not None
    height = box["height"] / (table.locator("tbody tr").count() + 1)
    page.mouse.click(box["x"] + x, box["y"] + height * (row + 1.5))


def test_progress_moves_by_itself_and_nothing_is_drawn_anew(prepared: Prepared, open_page: Open) -> None:
    page = open_page(prepared.url())
    expect(page.get_by_text("step 41/104").first).to_be_visible()
    expect(page.get_by_text("812 rows/s").first).to_be_visible()
    table = page.get_by_test_id("stDataFrame").first
    table.evaluate("node => { node.dataset.seen = 'yes' }")
    job = prepared.job(1)
    assert job.progress is not None
    attempts.renew(prepared.workspace.store, job.id, job.token, now=0, progress=replace(job.progress, step=77), lease_s=LEASE_S)
    expect(page.get_by_text("step 77/104")).to_be_visible()
    assert table.get_attribute("data-seen") == "yes"


def test_a_second_window_and_a_reload_show_the_same(prepared: Prepared, open_page: Open) -> None:
    first, second = open_page(prepared.url(run=prepared.live.ref)), open_page(prepared.url(run=prepared.live.ref))
    job = prepared.job(2)
    assert job.progress is not None
    attempts.renew(prepared.workspace.store, job.id, job.token, now=0, progress=replace(job.progress, step=99), lease_s=LEASE_S)
    for page in (first, second):
        expect(page.get_by_text("step 99/104")).to_be_visible()
    first.reload()
    expect(first.get_by_text("step 99/104")).to_be_visible()
    expect(first.get_by_text("live", exact=True).filter(visible=True).first).to_be_visible()


def test_a_fold_that_ends_shows_its_score(prepared: Prepared, open_page: Open) -> None:
    page = open_page(prepared.url(run=prepared.live.ref))
    expect(page.get_by_text("0 of 3 folds")).to_be_visible()
    finish_job(prepared.workspace, prepared.contest, prepared.folds, prepared.job(0), prepared.live.recipe, strength=2.0, seed=9)
    expect(page.get_by_text("1 of 3 folds")).to_be_visible()
    expect(page.get_by_role("button", name="Look at errors")).to_be_visible()


def test_a_click_on_a_name_opens_the_run_and_back_leads_to_the_list(prepared: Prepared, open_page: Open) -> None:
    page = open_page(prepared.url())
    names = [run.name for run in list_runs(prepared.workspace.store, prepared.contest.id)]
    click_cell(page, names.index("strong"), 100)
    page.wait_for_url(re.compile(r"run=r1\b"))
    expect(chart(page, "Does it still learn?")).to_be_visible()
    page.get_by_role("button", name="All runs").click()
    expect(page.locator("[data-testid=stDataFrame]")).to_be_visible()
    assert "run=" not in page.url


def test_two_ticked_rows_are_compared(prepared: Prepared, open_page: Open) -> None:
    page = open_page(prepared.url())
    names = [run.name for run in list_runs(prepared.workspace.store, prepared.contest.id)]
    for name in ("strong", "weak"):
        click_cell(page, names.index(name), 16)
        settle(page)
    expect(page.get_by_role("heading", name="Comparing 2 runs")).to_be_visible()
    expect(chart(page, "Which run is better")).to_be_visible()
    expect(cell(page, "optim.lr")).to_have_count(1)


def test_a_failure_shows_its_fix_and_its_log(prepared: Prepared, open_page: Open) -> None:
    run = get_run(prepared.workspace.store, "huge")
    page = open_page(prepared.url(run=run.ref))
    expect(page.get_by_text("halve train.batch_size", exact=False).first).to_be_visible()
    page.get_by_role("button", name="Show the log").first.click()
    expect(page.get_by_test_id("stCode")).to_contain_text("the device ran out of memory")


def test_deleting_is_confirmed(prepared: Prepared, open_page: Open) -> None:
    run = get_run(prepared.workspace.store, "unwanted")
    page = open_page(prepared.url(run=run.ref))
    for button in ("Keep it", "Delete"):
        page.locator(f".st-key-run-menu-{run.id} button:visible").click()
        page.get_by_text("Delete", exact=True).first.click()
        expect(page.get_by_role("dialog")).to_contain_text("To be moved to the trash: run unwanted")
        page.get_by_role("dialog").get_by_role("button", name=button).click()
        expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_text("Deleted run unwanted", exact=False)).to_be_visible()
    assert "unwanted" not in {each.name for each in list_runs(prepared.workspace.store)}
    restore(prepared.workspace.store, "t1")
    assert "unwanted" in {each.name for each in list_runs(prepared.workspace.store)}


def test_canceling_asks_the_running_folds_to_stop(prepared: Prepared, open_page: Open) -> None:
    page = open_page(prepared.url(run=prepared.live.ref))
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Cancel the run").click()
    expect(page.get_by_text("stopping").first).to_be_visible()
    waiting = list_jobs(prepared.workspace.store, ("running",), prepared.live.id)
    assert waiting and all(job.cancel_requested for job in waiting)
    for job in waiting:
        attempts.release(prepared.workspace.store, job.id, job.token, now=0)
    expect(page.get_by_role("button", name=re.compile(r"Retry \d folds"))).to_be_visible()
