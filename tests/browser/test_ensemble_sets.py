"""The page Ensemble where rows may have several classes, in a browser: bars and score follow the pointer, thresholds stand in a table and come back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.blend.ensemble import open_ensemble
from core.blend.procedure import BlendProcedure
from core.store.blends import list_blends
from core.store.contests import Contest
from core.store.runs import Run
from core.workspace import Workspace, open_workspace
from tests.app.eyes import cv_text
from tests.browser.conftest import Open, cell, chart, settle
from tests.emotions import finish_emotions

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Served:
    """A served workspace with three finished runs on rows of several classes."""

    workspace: Workspace
    contest: Contest
    runs: tuple[Run, ...]
    address: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, serve: Callable[[Path], str]) -> Served:
    root = tmp_path_factory.mktemp("sets")
    workspace = open_workspace(root / "workspace")
    contest, runs = finish_emotions(workspace, root / "emotions")
    return Served(workspace, contest, runs, f"{serve(workspace.root)}/ensemble?contest={contest.name}")


def score(page: Page) -> str:
    return page.get_by_test_id("stMetric").first.get_by_test_id("stMetricValue").inner_text()


def show(page: Page, name: str) -> None:
    page.get_by_test_id("stButtonGroup").get_by_role("button", name=name, exact=True).or_(
        page.get_by_role("radio", name=name)
    ).first.click()
    settle(page)


def test_the_bars_and_the_score_follow_the_pointer(served: Served, open_page: Open) -> None:
    page = open_page(served.address)
    show(page, "Found and missed")
    bars = chart(page, "Which classes does the blend find")
    expect(bars).to_be_visible()
    bars.evaluate("node => { window.bars = node }")
    ensemble = open_ensemble(served.workspace, served.contest, served.runs)
    slider = page.get_by_role("slider", name="roberta")
    box = slider.bounding_box()
    assert box is not None
    track, y = box["width"] - 16, box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 8 + track / 3, y)
    page.mouse.down()
    page.mouse.move(box["x"] + 8 + 0.8 * track, y, steps=15)
    expect(slider).to_have_value("0.8")
    held = cv_text(ensemble.score([0.8, 0.1, 0.1]))
    expect(page.get_by_test_id("stMetric").first.get_by_test_id("stMetricValue")).to_have_text(held)
    assert page.evaluate("window.bars.isConnected"), "the chart is the same one: nothing blinks"
    page.mouse.up()


def test_thresholds_are_found_shown_saved_and_taken_up_again(served: Served, open_page: Open) -> None:
    page = open_page(served.address)
    page.get_by_role("button", name="Hill climbing").click()
    page.locator("label").filter(has_text="Thresholds by class").click()
    ensemble = open_ensemble(served.workspace, served.contest, served.runs)
    honest = ensemble.honest(BlendProcedure(way="greedy", thresholds=True))
    expect(page.get_by_test_id("stMetric").nth(1).get_by_test_id("stMetricValue")).to_have_text(cv_text(honest))
    settle(page)
    show(page, "Thresholds")
    for name in served.contest.spec.classes:
        expect(cell(page, name).first).to_be_attached()
    page.get_by_role("button", name="Save blend").click()
    expect(page.get_by_text("Saved blend (", exact=False)).to_be_visible()
    assert list_blends(served.workspace.store)[-1].spec.thresholds == honest.steps.thresholds
    assert score(page) == cv_text(ensemble.score(honest.steps))


def test_every_chart_is_there_in_korean_on_a_dark_page(served: Served, open_page: Open) -> None:
    page = open_page(served.address + "&lang=ko", dark=True, korean=True)
    page.locator("label").filter(has_text="클래스별 임계값").click()
    settle(page)
    for name in ("찾음과 놓침", "신뢰도", "임계값"):
        show(page, name)
    expect(page.get_by_text("교차 적합하면 임계값이 0.5보다 못한 클래스", exact=False)).to_be_visible()
