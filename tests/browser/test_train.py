"""Train in a real browser: only the button of a row chooses a backbone, of all rows sorted; the form survives a reload."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds import save_folds
from core.specs.folds import FoldsSpec
from core.store.runs import list_runs
from core.workspace import open_workspace
from models.catalog import load_catalog
from tests.browser.conftest import Open, settle

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
    before = card.inner_text()
    for _ in range(2):
        click_table(page, 250, 15)  # the header of the parameters: ascending, then descending
    click_table(page, 120, 44)
    page.keyboard.press("q")
    settle(page)
    assert card.inner_text() == before and list_runs(workspace.store) == ()
    click_table(page, 28, 44)
    largest = max((one for one in load_catalog() if one.modality == "text"), key=lambda one: one.params_m)
    expect(card).to_contain_text(largest.name)
    page.reload()
    settle(page)
    expect(card).to_contain_text(largest.name)
    expect(page.get_by_label("Name of the run", exact=True)).to_have_value(largest.name.rpartition("/")[2])
