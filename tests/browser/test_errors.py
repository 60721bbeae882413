"""Errors in a real browser: a cell is clicked, its pictures load from the route, keys move, the inspector follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from core.analysis.errors import cell_rows, confused_pairs, confusion_matrix
from core.folds import save_folds
from core.predictions.source import OofMatrix, load_matrix, source_of
from core.specs.folds import FoldsSpec
from core.store.contests import Contest
from core.workspace import open_workspace
from tests.browser.conftest import Open, cell, click_chart, settle
from tests.finished_workspace import add_glyphs, finish_run, make_recipe

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Served:
    """A served workspace with one finished run over pictures in three Hangul classes."""

    contest: Contest
    evidence: OofMatrix
    address: str

    @property
    def url(self) -> str:
        return f"{self.address}/errors?contest={self.contest.name}"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, serve: Callable[[Path], str]) -> Served:
    root = tmp_path_factory.mktemp("errors")
    workspace = open_workspace(root / "workspace")
    contest = add_glyphs(workspace, root / "glyphs")
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=3))
    run = finish_run(workspace, contest, folds, make_recipe(contest, "차-기본"), strength=1.2, seed=4)
    return Served(contest, load_matrix([source_of(workspace, run)]), serve(workspace.root))


def click_matrix(page: Page, true: int, pred: int, n_classes: int, *, shows: str) -> Locator:
    """Click a cell until the heading `shows` is there, and return it."""
    heading = page.get_by_role("heading", name=shows)
    click_chart(page, (pred + 0.5) / n_classes, (true + 0.5) / n_classes, heading)
    return heading


def test_a_click_on_a_cell_shows_its_samples_and_keys_move_through_them(served: Served, open_page: Open) -> None:
    classes, evidence = served.contest.spec.classes, served.evidence
    page = open_page(served.url)
    matrix = confusion_matrix(evidence.y_true, evidence.y_pred, 3)
    first, second = confused_pairs(matrix)[:2]
    expect(page.get_by_role("heading", name=f"{classes[first.first]} predicted as {classes[first.second]}")).to_be_visible()
    shown = click_matrix(page, second.first, second.second, 3, shows=f"{classes[second.first]} predicted as {classes[second.second]}")
    expect(shown).to_be_visible()
    rows = evidence.rows[cell_rows(evidence.y_true, evidence.y_prob, second.first, second.second)]
    tiles = page.get_by_role("option")
    expect(tiles).to_have_count(len(rows))
    page.wait_for_function(
        "() => [...document.querySelectorAll('*')].some(e => e.shadowRoot && [...e.shadowRoot.querySelectorAll('.tile img')]"
        ".some(i => i.src.includes('/thumb/') && i.naturalWidth > 0))"
    )
    expect(page.get_by_text(f"row {rows[0]} ", exact=False)).to_be_visible()
    tiles.first.click()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text(f"row {rows[1]} ", exact=False)).to_be_visible()
    expect(tiles.nth(1)).to_have_attribute("aria-selected", "true")


def test_the_diagonal_shows_what_was_right(served: Served, open_page: Open) -> None:
    page = open_page(served.url)
    expect(click_matrix(page, 1, 1, 3, shows=f"{served.contest.spec.classes[1]}, predicted right")).to_be_visible()


def test_hangul_labels_and_the_other_views_in_korean_and_dark(served: Served, open_page: Open) -> None:
    page = open_page(served.url, dark=True, korean=True)
    expect(page.get_by_role("heading", name="오류 분석")).to_be_visible()
    expect(page.locator(".js-plotly-plot .xtick text").filter(has_text="현대 그랜저")).to_be_visible()
    page.get_by_text("클래스별", exact=True).click()
    settle(page)
    expect(cell(page, "르노 XM3")).to_have_count(1)
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV로 내려받기").click()
    text = Path(download.value.path()).read_bytes().decode("utf-8-sig")
    assert text.startswith("class,precision,recall,f1,support,predicted\n")
    assert "현대 그랜저" in text
