"""The list of waiting runs, alone in a tiny app that redraws it all the time, and once on its page: dragging, keys, the server's last word."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds import save_folds
from core.jobs import launch, queue
from core.specs.folds import FoldsSpec
from core.store.queue import read_queue
from core.workspace import open_workspace
from tests.browser.conftest import Open
from tests.finished_workspace import make_recipe

pytestmark = pytest.mark.browser

APP = """
import sys
sys.path.insert(0, {root!r})
import streamlit as st
from app.ui.components.queue_order.component import OrderRow, queue_order

labels = {{name: name for name in ("list", "how", "read_only", "next")}}
labels |= {{name: name + " {{run}} {{place}}/{{n}}" for name in ("lifted", "moved", "dropped", "given_up")}}
labels |= {{name + "_help": name + " {{run}}" for name in ("grip", "next", "up", "down", "pause", "resume")}}
can_steer = "locked" not in st.query_params

def apply(act):
    runs, acts = st.session_state.runs, st.session_state.acts
    acts.append(f"{{act.kind}} {{act.run_id}}")
    if act.run_id == 4:  # refuses whatever is asked of it
        return
    at = next(at for at, row in enumerate(runs) if row[0] == act.run_id)
    row = runs.pop(at)
    if act.kind == "move":
        at = [other[0] for other in runs].index(act.after) + 1 if act.after else 0
        assert at == act.place
    elif act.kind in ("up", "down", "next"):
        at = {{"up": at - 1, "down": at + 1, "next": 0}}[act.kind]
    else:
        row = (row[0], row[1], act.kind == "pause")
    runs.insert(at, row)

@st.fragment(run_every=0.25)
def page():
    state = st.session_state
    runs = state.setdefault("runs", [(1, "lite0", False), (2, "자동차", False), (3, "vit", True), (4, "fixed", False)])
    state.setdefault("acts", [])
    state.ticks = state.get("ticks", 0) + 1
    rows = [OrderRow(number, name, "#2f8adc", "folds 0, 1", is_paused) for number, name, is_paused in runs]
    queue_order(rows, n_waiting=len(rows), can_steer=can_steer, labels=labels, apply=apply, key="order")
    st.text("acts " + ", ".join(state.acts))
    st.text("store " + " ".join(name + "*" * is_paused for _, name, is_paused in runs))
    st.text(f"ticks {{state.ticks}}")
    st.button("elsewhere", on_click=lambda: runs.insert(0, runs.pop()))

page()
"""


@pytest.fixture(scope="module")
def address(serve_script: Callable[[str], str]) -> str:
    return serve_script(APP)


@pytest.fixture
def page(address: str, open_page: Open) -> Page:
    page = open_page(address)
    expect(page.locator(".order .row")).to_have_count(4)
    return page


def expect_order(page: Page, *names: str) -> None:
    expect(page.locator(".order .name")).to_have_text(list(names))


def expect_text(page: Page, text: str) -> None:
    expect(page.get_by_text(text, exact=True)).to_be_visible()


def grip(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=f"grip {name}", exact=True)


def middle(page: Page, name: str, x: float = 14) -> tuple[float, float]:
    """A point of a row; 14 px from its left edge is the handle, further right is the row itself."""
    box = page.locator(".order .row").filter(has_text=name).bounding_box()
    assert box is not None
    return box["x"] + x, box["y"] + box["height"] / 2


def drag(page: Page, name: str, onto: str, *, x: float = 14, release: bool = True) -> None:
    page.mouse.move(*middle(page, name, x))
    page.mouse.down()
    page.mouse.move(*middle(page, onto, x), steps=8)
    if release:
        page.mouse.up()


def ticks(page: Page) -> int:
    found = re.search(r"ticks (\d+)", page.get_by_text("ticks").inner_text())
    assert found is not None
    return int(found[1])


def test_a_row_is_dragged_up_and_down(page: Page) -> None:
    drag(page, "vit", "lite0")
    expect_order(page, "vit", "lite0", "자동차", "fixed")
    expect_text(page, "store vit* lite0 자동차 fixed")
    drag(page, "vit", "자동차")
    expect_text(page, "store lite0 자동차 vit* fixed")
    expect_text(page, "acts move 3, move 3")
    expect_order(page, "lite0", "자동차", "vit", "fixed")


def test_a_row_in_the_air_is_not_disturbed_by_the_polls(page: Page) -> None:
    drag(page, "자동차", "vit", x=150, release=False)
    before = ticks(page)
    expect(page.get_by_text(f"ticks {before + 3}")).to_be_visible()
    lifted = page.locator(".order .row.lifted")
    expect(lifted).to_have_count(1)
    expect(lifted).to_contain_text("자동차")
    page.mouse.up()
    expect_text(page, "store lite0 vit* 자동차 fixed")
    expect_order(page, "lite0", "vit", "자동차", "fixed")


def test_escape_leaves_the_row_where_it_was(page: Page) -> None:
    drag(page, "vit", "lite0", release=False)
    page.keyboard.press("Escape")
    expect(page.locator(".order .row.lifted")).to_have_count(0)
    page.mouse.up()
    expect_order(page, "lite0", "자동차", "vit", "fixed")
    expect_text(page, "acts")


def test_a_click_moves_nothing(page: Page) -> None:
    grip(page, "vit").click()
    page.mouse.click(*middle(page, "lite0"))
    expect(page.locator(".order .row.lifted")).to_have_count(0)
    expect_text(page, "acts")


def test_the_keyboard_is_enough_and_every_step_is_said(page: Page) -> None:
    grip(page, "vit").focus()
    said = page.locator(".order .said")
    page.keyboard.press("Space")
    expect(said).to_have_text("lifted vit 3/4")
    expect(grip(page, "vit")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(said).to_have_text("moved vit 1/4")
    page.keyboard.press("Space")
    expect(said).to_have_text("dropped vit 1/4")
    expect_text(page, "store vit* lite0 자동차 fixed")
    expect(grip(page, "vit")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("End")
    page.keyboard.press("Escape")
    expect(said).to_have_text("given_up vit 1/4")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    expect(said).to_have_text("given_up vit 1/4")
    expect(page.locator(".order .row.lifted")).to_have_count(0)
    expect(grip(page, "vit")).not_to_be_focused()
    expect_text(page, "acts move 3")


def test_the_buttons_still_do_their_work(page: Page) -> None:
    for name in ("up lite0", "down fixed"):
        expect(page.get_by_role("button", name=name, exact=True)).to_be_disabled()
    page.get_by_role("button", name="up vit", exact=True).click()
    expect_text(page, "store lite0 vit* 자동차 fixed")
    page.get_by_role("button", name="resume vit", exact=True).click()
    expect_text(page, "store lite0 vit 자동차 fixed")
    page.get_by_role("button", name="next: 자동차", exact=True).click()
    expect_text(page, "store 자동차 lite0 vit fixed")
    page.get_by_role("button", name="pause 자동차", exact=True).click()
    expect_text(page, "store 자동차* lite0 vit fixed")
    expect(page.get_by_role("button", name="next: 자동차", exact=True)).to_be_enabled()


def test_a_change_is_shown_before_the_server_knows_of_it_and_of_quick_ones_none_is_lost(page: Page) -> None:
    seen = page.evaluate(
        """() => {
            const root = [...document.querySelectorAll('*')].map(e => e.shadowRoot).find(r => r && r.querySelector('.order'))
            const seen = []
            for (let time = 0; time < 2; time++) {
                [...root.querySelectorAll('.row')].find(row => row.textContent.includes('vit')).querySelector('.up').click()
                seen.push([...root.querySelectorAll('.name')].map(name => name.textContent).join(' '))
            }
            return seen
        }"""
    )
    assert seen == ["lite0 vit 자동차 fixed", "vit lite0 자동차 fixed"]
    expect_text(page, "acts up 3, up 3")
    expect_text(page, "store vit* lite0 자동차 fixed")


def test_the_stores_truth_has_the_last_word(page: Page) -> None:
    drag(page, "fixed", "lite0")
    expect_text(page, "acts move 4")
    expect_order(page, "lite0", "자동차", "vit", "fixed")
    page.get_by_role("button", name="elsewhere").click()
    expect_order(page, "fixed", "lite0", "자동차", "vit")
    drag(page, "vit", "lite0")
    expect_text(page, "store fixed vit* lite0 자동차")


def test_who_may_only_look_cannot_drag(address: str, open_page: Open) -> None:
    page = open_page(f"{address}/?locked=1")
    expect(page.locator(".order .row")).to_have_count(4)
    expect(page.locator(".order .grip").first).to_be_hidden()
    for button in page.locator(".order button").all():
        expect(button).to_be_disabled()
    drag(page, "vit", "lite0", x=150, release=False)
    expect(page.locator(".order .row.lifted")).to_have_count(0)
    page.mouse.up()
    expect_order(page, "lite0", "자동차", "vit", "fixed")
    expect_text(page, "acts")


def test_the_queue_of_the_page_follows(
    tmp_path: Path, serve: Callable[[Path], str], open_page: Open, write_headlines: Callable[[Path], Path]
) -> None:
    workspace = open_workspace(tmp_path / "workspace")
    contest = add_contest(workspace, inspect_path(write_headlines(tmp_path / "headlines")).draft)
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=3))
    queue.pause_queue(workspace.store)
    first, *_ = [launch.launch_run(workspace, contest, folds, make_recipe(contest, name)) for name in ("first", "second", "third")]
    queue.set_priority(workspace.store, first.id, 3)
    page = open_page(f"{serve(workspace.root)}/runs?contest={contest.name}")
    expect_order(page, "first", "second", "third")
    drag(page, "third", "first")
    expect(page.locator(".order .row").first).to_have_text(re.compile("third.*priority \\+3"))
    expect_order(page, "third", "first", "second")
    assert [(run.run_name, run.priority) for run in read_queue(workspace.store)] == [("third", 3), ("first", 3), ("second", 0)]
