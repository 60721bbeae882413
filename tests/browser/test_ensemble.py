"""The live weight ensemble on its page: figures move while the pointer moves, weights survive a change of page, a blend is kept."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from core.blend.ensemble import make_spec, open_ensemble, save_blend
from core.blend.procedure import BlendProcedure
from core.store.blends import list_blends
from core.store.contests import Contest
from core.store.runs import Run
from core.store.trash import list_trash
from core.workspace import Workspace, open_workspace
from tests.app.eyes import cv_text
from tests.browser.conftest import Open, cell, settle
from tests.finished_workspace import finish_headlines

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Served:
    """A served workspace with three finished runs on equal folds."""

    workspace: Workspace
    contest: Contest
    runs: tuple[Run, ...]
    address: str

    def url(self, page: str = "ensemble") -> str:
        return f"{self.address}/{page}?contest={self.contest.name}"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, serve: Callable[[Path], str], write_headlines: Callable[[Path], Path]) -> Served:
    root = tmp_path_factory.mktemp("ensemble")
    workspace = open_workspace(root / "workspace")
    strengths = {"alpha": 3.0, "beta": 2.4, "gamma": 1.0}
    contest, runs = finish_headlines(workspace, write_headlines(root / "headlines"), strengths)
    return Served(workspace, contest, runs, serve(workspace.root))


def figure(page: Page, label: str) -> Locator:
    """The value of a figure by its label."""
    return page.get_by_test_id("stMetric").filter(has_text=label).get_by_test_id("stMetricValue")


def test_the_score_moves_while_the_pointer_is_down_and_is_the_score_of_core(served: Served, open_page: Open) -> None:
    page = open_page(served.url())
    slider = page.get_by_role("slider", name="alpha")
    expect(slider).to_be_visible()
    ensemble = open_ensemble(served.workspace, served.contest, served.runs)
    expect(figure(page, "Blend now")).to_have_text(cv_text(ensemble.score([1, 1, 1])))
    box = slider.bounding_box()
    assert box is not None
    track, y = box["width"] - 16, box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 8 + track / 3, y)
    page.mouse.down()
    page.mouse.move(box["x"] + 8 + 0.8 * track, y, steps=15)
    expect(slider).to_have_value("0.8")
    expect(figure(page, "Blend now")).to_have_text(cv_text(ensemble.score([0.8, 0.1, 0.1])))
    page.mouse.up()
    expect(figure(page, "Equal weights")).to_have_text(cv_text(ensemble.score([1, 1, 1])))
    expect(page.get_by_text("This score is optimistic.", exact=False)).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(figure(page, "Blend now")).to_have_text(cv_text(ensemble.score([1, 1, 1])))


def test_a_way_is_shrunk_under_the_pointer_fitted_at_its_end_and_undone_by_the_keyboard(served: Served, open_page: Open) -> None:
    page = open_page(served.url())
    ensemble = open_ensemble(served.workspace, served.contest, served.runs)
    page.get_by_role("button", name="Optimal").click()
    optimal = ensemble.honest(BlendProcedure(way="optimal"))
    expect(figure(page, "Cross-fitted score")).to_have_text(cv_text(optimal))
    page.locator("label").filter(has_text="Temperature").click()
    warm = ensemble.honest(BlendProcedure(way="optimal", temperature=True))
    expect(figure(page, "Cross-fitted score")).to_have_text(cv_text(warm))
    slider = page.get_by_role("slider", name="Shrink to equal")
    box = slider.bounding_box()
    assert box is not None
    track, y = box["width"] - 16, box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 8, y)
    page.mouse.down()
    page.mouse.move(box["x"] + 8 + 0.5 * track, y, steps=10)
    held = warm.steps.model_copy(update={"shrinkage": 0.5})
    expect(figure(page, "Blend now")).to_have_text(cv_text(ensemble.score(held)))
    expect(page.get_by_text("is cross-fitted when you let go", exact=False)).to_be_visible()
    page.mouse.up()
    shrunk = ensemble.honest(BlendProcedure(way="optimal", temperature=True, shrinkage=0.5))
    expect(figure(page, "Cross-fitted score")).to_have_text(cv_text(shrunk))
    expect(figure(page, "Blend now")).to_have_text(cv_text(ensemble.score(shrunk.steps)))
    for keys, score in (("Control+z", warm), ("Control+z", optimal), ("Control+Shift+Z", warm), ("Control+Shift+Z", shrunk)):
        page.keyboard.press(keys)
        expect(figure(page, "Blend now")).to_have_text(cv_text(ensemble.score(score.steps)))
        expect(figure(page, "Cross-fitted score")).to_have_text(cv_text(score))
        settle(page)
    name = page.get_by_label("Name", exact=True)
    name.fill("typed")
    name.press("Control+z")
    expect(name).not_to_have_value("typed")
    expect(figure(page, "Blend now")).to_have_text(cv_text(ensemble.score(shrunk.steps)))


def test_a_rare_way_is_in_the_menu_is_saved_exactly_and_left_by_a_hand(served: Served, open_page: Open) -> None:
    page = open_page(served.url())
    ensemble = open_ensemble(served.workspace, served.contest, served.runs)
    page.get_by_role("button", name="More").click()
    page.get_by_role("button", name="By class").click()
    honest = ensemble.honest(BlendProcedure(way="by_class"))
    expect(figure(page, "Cross-fitted score")).to_have_text(cv_text(honest))
    expect(page.get_by_text("each slider shows the mean", exact=False)).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_label("Name", exact=True).fill("classes")
    page.get_by_role("button", name="Save blend").click()
    expect(page.get_by_text("Saved classes", exact=False)).to_be_visible()
    (blend,) = [blend for blend in list_blends(served.workspace.store) if blend.name == "classes"]
    assert blend.spec.steps == honest.steps
    page.get_by_role("spinbutton", name="alpha").fill("0.2")
    expect(page.get_by_text("Weights by hand cannot", exact=False)).to_be_visible()
    expect(page.get_by_text("each slider shows the mean", exact=False)).to_have_count(0)
    page.get_by_role("spinbutton", name="alpha").press("Tab")
    page.get_by_role("button", name="Undo").click()
    expect(figure(page, "Blend now")).to_have_text(cv_text(ensemble.score(honest.steps)))
    expect(figure(page, "Cross-fitted score")).to_have_text(cv_text(honest))


def test_weights_survive_a_change_of_page(served: Served, open_page: Open) -> None:
    page = open_page(served.url())
    number = page.get_by_role("spinbutton", name="beta")
    number.fill("0.7")
    number.press("Tab")
    expect(page.get_by_role("slider", name="beta")).to_have_value("0.7")
    settle(page)
    page.get_by_role("link", name="Runs").click()
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    page.get_by_role("link", name="Ensemble").click()
    expect(page.get_by_role("slider", name="beta")).to_have_value("0.7")


def test_leaving_a_run_out_shares_its_weight(served: Served, open_page: Open) -> None:
    page = open_page(served.url())
    expect(page.get_by_role("slider", name="gamma")).to_be_visible()
    page.get_by_role("button", name="gamma · ").click()
    expect(page.get_by_role("slider", name="gamma")).to_have_count(0)
    expect(page.get_by_role("slider", name="alpha")).to_have_attribute("aria-valuetext", "50.0 %")


def test_a_blend_is_saved_with_the_weights_on_the_screen_and_leads_to_its_submission(served: Served, open_page: Open) -> None:
    page = open_page(served.url())
    for name, weight in (("alpha", "0.6"), ("beta", "0.3")):
        number = page.get_by_role("spinbutton", name=name)
        number.fill(weight)
        number.press("Tab")
        page.get_by_role("button", name=f"Lock: {name}").click()
    settle(page)
    page.get_by_label("Name", exact=True).fill("best-of-three")
    page.get_by_role("button", name="Save blend").click()
    expect(page.get_by_text("Saved best-of-three", exact=False)).to_be_visible()
    (blend,) = [blend for blend in list_blends(served.workspace.store) if blend.name == "best-of-three"]
    assert blend.spec.normalised() == pytest.approx((0.6, 0.3, 0.1), abs=1e-6)
    expect(cell(page, "best-of-three")).to_have_count(1)
    page.goto(f"{served.url('submit')}&source={blend.ref}")
    expect(page.get_by_text("checks passed", exact=False)).to_be_visible()
    expect(page.get_by_role("combobox", name="Run or blend")).to_have_value(re.compile(f"best-of-three · blend {blend.ref}"))


def test_several_blends_are_deleted_at_once(served: Served, open_page: Open) -> None:
    store = served.workspace.store
    for name in ("one", "other"):
        save_blend(served.workspace, served.contest, make_spec([run.id for run in served.runs]), name=name)
    n_blends = len(list_blends(store))
    page = open_page(served.url())
    table = page.get_by_test_id("stDataFrame").filter(has_text="other")
    table.scroll_into_view_if_needed()
    table.click(position={"x": 16, "y": 16})  # the head of the column of ticks: all of them
    page.get_by_role("button", name=f"Delete ({n_blends})").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert list_blends(store) == () and len(list_trash(store)[0].asked) == n_blends
