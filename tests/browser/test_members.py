"""Under the blend editor in a real browser: a team-mate's files go in and out, members are understood, and a drag measures nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from app.ensemble.exchange import MIMES
from core.exchange.exchange import export_predictions
from core.predictions.source import source_of
from core.store.contests import Contest
from core.store.runs import Run, list_runs
from core.workspace import Workspace, open_workspace
from tests.browser.conftest import Open, cell, settle
from tests.finished_workspace import finish_headlines

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Served:
    """A served workspace with two finished runs and one that misses a fold."""

    workspace: Workspace
    contest: Contest
    runs: tuple[Run, ...]
    url: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, serve: Callable[[Path], str], write_headlines: Callable[[Path], Path]) -> Served:
    root = tmp_path_factory.mktemp("members")
    workspace = open_workspace(root / "workspace")
    contest, runs = finish_headlines(workspace, write_headlines(root / "headlines"), {"alpha": 2.0, "beta": 2.0})
    return Served(workspace, contest, runs, f"{serve(workspace.root)}/ensemble?contest={contest.name}&lang=en")


def show(page: Page, part: str, heading: str) -> None:
    """Choose what is shown under the editor, and wait until it is there."""
    page.locator(".st-key-ensemble-part").get_by_text(part, exact=True).click()
    expect(page.get_by_role("heading", name=heading)).to_be_visible()
    settle(page)


def test_a_download_of_one_run_comes_back_as_a_member(served: Served, open_page: Open, tmp_path: Path) -> None:
    page = open_page(served.url)
    show(page, "Import and export", "Export predictions")
    chooser = page.get_by_role("combobox", name="Run or blend")
    chooser.scroll_into_view_if_needed()
    chooser.click()
    page.get_by_role("option", name=f"alpha ({served.runs[0].ref})").click()
    settle(page)
    files = []
    for part, ending in (("Out of fold", "-oof.parquet"), ("Test", "-test.parquet")):
        page.locator(".st-key-export-part").get_by_text(part, exact=True).click()
        for _ in range(10):  # until the choice has reached the server, the button gives the file before it
            settle(page)
            with page.expect_download() as download:
                page.locator(".st-key-export-download").get_by_role("button").click()
            if download.value.suggested_filename.endswith(ending):
                break
        files.append(tmp_path / f"민수 {download.value.suggested_filename}")
        download.value.save_as(files[-1])
    assert [path.suffix for path in files] == [next(iter(MIMES))] * 2
    own = tmp_path / "own.parquet"
    export_predictions(source_of(served.workspace, served.runs[0]), oof=own)
    pd.testing.assert_frame_equal(pd.read_parquet(files[0]), pd.read_parquet(own))
    uploaders = page.get_by_test_id("stFileUploaderDropzoneInput")
    expect(uploaders).to_have_count(len(files))
    for place, path in enumerate(files):
        uploaders.nth(place).set_input_files(path)
        settle(page)
    page.get_by_role("button", name="Check and add as a run").click()
    expect(page.get_by_text("is a member now")).to_be_visible()
    run = list_runs(served.workspace.store, served.contest.id)[0]
    assert run.is_imported
    expect(page.get_by_role("slider", name=run.name)).to_be_visible()


def test_a_file_that_does_not_fit_is_a_card_with_its_rows(served: Served, open_page: Open, tmp_path: Path) -> None:
    oof, test = tmp_path / "철수.csv", tmp_path / "철수-test.csv"
    export_predictions(source_of(served.workspace, served.runs[1]), oof=oof, test=test)
    pd.read_csv(oof).iloc[2:].to_csv(oof, index=False, encoding="cp949")
    before = len(list_runs(served.workspace.store, served.contest.id))
    page = open_page(served.url)
    show(page, "Import and export", "Export predictions")
    uploaders = page.get_by_test_id("stFileUploaderDropzoneInput")
    expect(uploaders).to_have_count(2)
    for place, path in enumerate((oof, test)):
        uploaders.nth(place).set_input_files(path)
        settle(page)
    page.get_by_role("button", name="Check and add as a run").click()
    expect(page.get_by_text("2 missing: h0, h1")).to_be_visible()
    settle(page)
    assert len(list_runs(served.workspace.store, served.contest.id)) == before


def test_a_drag_measures_nothing_and_a_click_finds_what_moved(served: Served, open_page: Open) -> None:
    page = open_page(served.url)
    show(page, "Understand members", "Members against each other")
    expect(page.locator('[data-testid=stVegaLiteChart][aria-label="Disagreement"]')).to_be_visible()
    page.get_by_role("button", name="Measure the worth").click()
    said = page.get_by_text("Measured under the weights in this table (Equal)")
    expect(said).to_be_visible()
    settle(page)
    slider = page.get_by_role("slider", name="weight: alpha")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    for step in range(1, 8):
        page.mouse.move(box["x"] + box["width"] * (0.5 + step / 20), box["y"] + box["height"] / 2)
    page.mouse.up()
    settle(page)
    expect(said).to_be_visible()
    page.get_by_role("button", name="Measure for the weights as they are now").click()
    expect(page.get_by_text("Measured under the weights in this table (By hand)")).to_be_visible()
    assert cell(page, "helps").count() + cell(page, "may be luck").count() + cell(page, "hurts").count() >= 2
