"""Train in a real browser: only the button of a row chooses a backbone, of all rows sorted; the form survives a reload; a batch is
seen, and a plan asks."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds import save_folds
from core.jobs.queue import pause_queue
from core.recipes.plan import list_plan_weights
from core.specs.folds import FoldsSpec
from core.store.runs import list_runs
from core.workspace import open_workspace
from models.catalog import load_catalog
from tests.browser.conftest import Open, settle
from tests.finished_workspace import add_glyphs

pytestmark = pytest.mark.browser


def click_table(page: Page, across: float, down: float) -> None:
    """Click into the table of backbones, so many pixels from its corner."""
    box = page.get_by_test_id("stDataFrame").first.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + across, box["y"] + down)
    page.wait_for_timeout(700)
    settle(page)


def test_a_backbone_is_chosen_by_its_button_alone_and_stays_after_a_reload(
    tmp_path: Path, serve: Callable[[Path], str], open_page: Open, write_headlines: Callable[[Path], Path]
) -> None:
    workspace = open_workspace(tmp_path / "workspace")
    contest = add_contest(workspace, inspect_path(write_headlines(tmp_path / "headlines")).draft)
    save_folds(workspace, contest, FoldsSpec(n_folds=3))
    page = open_page(f"{serve(workspace.root)}/train?contest={contest.name}")
    card = page.locator(".st-key-backbone-card")
    expect(card).to_be_visible()
    page.get_by_text("Choose another of").click()
    expect(page.get_by_test_id("stDataFrame").first).to_be_visible()
    settle(page)
    before = card.inner_text()
    for _ in range(2):
        click_table(page, 580, 15)  # the header of the parameters: ascending, then descending
    click_table(page, 300, 44)
    page.keyboard.press("q")
    settle(page)
    assert card.inner_text() == before and list_runs(workspace.store) == ()
    click_table(page, 60, 44)
    largest = max((one for one in load_catalog() if one.modality == "text"), key=lambda one: one.params_m)
    expect(card).to_contain_text(largest.name)
    page.reload()
    settle(page)
    expect(card).to_contain_text(largest.name)
    expect(page.get_by_label("Name of the run", exact=True)).to_have_value(largest.name.rpartition("/")[2])


def test_a_batch_is_seen_before_it_costs_and_a_plan_says_what_it_takes_and_asks(
    tmp_path: Path, serve: Callable[[Path], str], open_page: Open
) -> None:
    workspace = open_workspace(tmp_path / "workspace")
    contest = add_glyphs(workspace, tmp_path / "glyphs")
    save_folds(workspace, contest, FoldsSpec(n_folds=3))
    pause_queue(workspace.store)
    page = open_page(f"{serve(workspace.root)}/train?contest={contest.name}")
    first = page.locator(".batch img").first
    page.get_by_text("A batch as the network sees it").click()
    expect(first).to_be_visible(timeout=60_000)
    before = first.get_attribute("src")
    began = time.monotonic()
    seed = page.get_by_role("spinbutton", name="Seed", exact=True)
    seed.fill("5")
    seed.press("Enter")
    expect(first).not_to_have_attribute("src", before or "", timeout=20_000)
    assert time.monotonic() - began < 8
    settle(page)

    page.get_by_role("button", name="Queue the plan used-cars").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("7 runs × 3 folds = 21 jobs")
    expect(dialog).to_contain_text("expect hours for an epoch")
    assert list_runs(workspace.store) == ()
    dialog.get_by_role("button", name="Queue 21 folds").click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    assert len(list_runs(workspace.store)) == 7
    (kept,) = list_plan_weights(workspace, contest)
    assert (kept.name, sorted(kept.weights.values())) == ("used cars", pytest.approx([0.1, 0.1, 0.1, 0.15, 0.15, 0.2, 0.2]))
