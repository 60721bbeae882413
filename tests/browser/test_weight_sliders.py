"""The weight sliders alone, in a tiny app: locking, normalising, shrinkage, throttling and the keyboard happen in the browser."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Open

pytestmark = pytest.mark.browser

APP = """
import sys
sys.path.insert(0, {root!r})
import streamlit as st
from dataclasses import replace
from app.ensemble.draft import Draft, equal_draft, make_editor
from app.ui.components.weight_sliders.component import SliderRow, read_sliders, weight_sliders
from core.blend.procedure import BlendProcedure
from core.specs.blend import BlendSteps

rows = [SliderRow(1, "lite0", "#2f8adc", "0.21"), SliderRow(2, "자동차", "#cb6620", "0.22"), SliderRow(3, "vit", "#0fa05c", "0.30")]
by_class = Draft(BlendSteps(weights=(1, 1, 1), class_weights=((0.8, 0.4), (0.1, 0.3), (0.1, 0.3))), BlendProcedure(way="by_class"))
chosen = Draft(BlendSteps(weights=(0.6, 0.4, 0)), BlendProcedure(way="greedy", chooses_members=True, shrinkage=0.5))

@st.fragment
def sliders():
    editor = st.session_state.setdefault("editor", make_editor([1, 2, 3]))
    st.session_state.setdefault("reruns", 0)
    st.session_state.reruns += 1
    state = read_sliders("weights", editor.ids, editor.revision)
    if state is not None:
        editor.follow(state)
    weight_sliders(rows, editor.state, revision=editor.revision, key="weights", kind=editor.draft.kind)
    st.text("weights " + " ".join(f"{{weight:.4f}}" for weight in editor.state.weights.values()))
    st.text(f"undo {{len(editor.history)}} locked {{sorted(editor.state.locked)}} held {{editor.is_held}} shrinkage {{editor.state.shrinkage:.2f}} {{editor.draft.kind}} reruns {{st.session_state.reruns}}")
    st.button("equal", on_click=lambda: editor.put(equal_draft(3)))
    st.button("classes", on_click=lambda: editor.put(by_class))
    st.button("chosen", on_click=lambda: editor.put(chosen))
    st.button("undo", on_click=editor.undo)

sliders()
"""


@pytest.fixture(scope="module")
def address(serve_script: Callable[[str], str]) -> str:
    return serve_script(APP)


@pytest.fixture
def page(address: str, open_page: Open) -> Page:
    page = open_page(address)
    expect(slider(page, "lite0")).to_be_visible()
    return page


def slider(page: Page, name: str) -> Locator:
    return page.get_by_role("slider", name=f"weight: {name}")


def number(page: Page, name: str) -> Locator:
    return page.get_by_role("spinbutton", name=f"Weight as a number: {name}")


def expect_weights(page: Page, *weights: float) -> None:
    expect(page.get_by_text("weights", exact=False).first).to_have_text("weights " + " ".join(f"{weight:.4f}" for weight in weights))


def drag(page: Page, name: str, by_px: int, *, release: bool = True) -> None:
    box = slider(page, name).bounding_box()
    value = float(slider(page, name).input_value())
    assert box is not None
    x, y = box["x"] + 8 + value * (box["width"] - 16), box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + by_px, y, steps=12)
    if release:
        page.mouse.up()


def test_moving_one_weight_shares_the_rest_in_proportion(page: Page) -> None:
    number(page, "lite0").fill("0.6")
    expect_weights(page, 0.6, 0.2, 0.2)
    number(page, "lite0").press("Tab")
    number(page, "자동차").fill("0.3")
    expect_weights(page, 0.525, 0.3, 0.175)


def test_a_locked_weight_stays_and_bounds_the_others(page: Page) -> None:
    page.get_by_role("button", name="Lock: vit").click()
    expect(page.get_by_text("locked [3]")).to_be_visible()
    expect(slider(page, "vit")).to_be_disabled()
    number(page, "lite0").fill("1")
    expect_weights(page, 2 / 3, 0, 1 / 3)
    expect(page.get_by_role("button", name="Unlock: vit")).to_have_attribute("aria-pressed", "true")


def test_the_last_unlocked_weight_cannot_move(page: Page) -> None:
    for name in ("lite0", "vit"):
        page.get_by_role("button", name=f"Lock: {name}").click()
    expect(slider(page, "자동차")).to_be_disabled()


def test_weights_arrive_while_the_pointer_is_still_down_and_one_drag_is_one_undo(page: Page) -> None:
    drag(page, "lite0", 120, release=False)
    expect(page.get_by_text("weights 0.3333 0.3333 0.3333")).to_have_count(0)
    page.mouse.up()
    expect(page.get_by_text("undo 1 ")).to_be_visible()
    page.get_by_role("button", name="undo").click()
    expect_weights(page, 1 / 3, 1 / 3, 1 / 3)
    expect(number(page, "lite0")).to_have_value("0.333")


def test_going_to_one_and_back_in_a_drag_keeps_the_proportions(page: Page) -> None:
    number(page, "자동차").fill("0.5")
    number(page, "자동차").press("Tab")
    expect_weights(page, 0.25, 0.5, 0.25)
    box = slider(page, "lite0").bounding_box()
    assert box is not None
    track, y = box["width"] - 16, box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 8 + 0.25 * track, y)
    page.mouse.down()
    for share in (0.6, 1.0, 0.4):
        page.mouse.move(box["x"] + 8 + share * track, y, steps=4)
    page.mouse.up()
    expect_weights(page, 0.4, 0.4, 0.2)


def test_a_hold_is_said_and_its_end_too(page: Page) -> None:
    drag(page, "lite0", 60, release=False)
    expect(page.get_by_text("held True")).to_be_visible()
    page.mouse.up()
    expect(page.get_by_text("held False")).to_be_visible()
    number(page, "vit").fill("0.5")
    expect(page.get_by_text("held True")).to_be_visible()
    number(page, "vit").press("Tab")
    expect(page.get_by_text("held False")).to_be_visible()


def test_shrinkage_is_a_slider_like_the_others_and_marks_what_each_run_has(page: Page) -> None:
    number(page, "lite0").fill("0.8")
    number(page, "lite0").press("Tab")
    shrinkage = page.get_by_role("slider", name="Shrink to equal")
    expect(page.locator(".mark").first).to_be_hidden()
    box = shrinkage.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 8, y)
    page.mouse.down()
    page.mouse.move(box["x"] + 8 + 0.5 * (box["width"] - 16), y, steps=8)
    expect(page.get_by_text("held True shrinkage 0.50")).to_be_visible()
    expect(page.locator(".mark").first).to_have_attribute("title", "Share after shrinkage: 0.567")
    page.mouse.up()
    expect_weights(page, 0.8, 0.1, 0.1)
    expect(page.get_by_text("undo 2 ")).to_be_visible()
    page.get_by_role("button", name="undo").click()
    expect(page.get_by_text("shrinkage 0.00")).to_be_visible()
    expect(shrinkage).to_have_value("0")


def test_weights_by_class_look_like_what_they_are_until_a_hand_takes_over(page: Page) -> None:
    page.get_by_role("button", name="classes").click()
    expect_weights(page, 0.6, 0.2, 0.2)
    expect(page.locator(".sliders.by_class")).to_have_count(1)
    number(page, "lite0").fill("0.2")
    number(page, "lite0").press("Tab")
    expect(page.locator(".sliders.by_class")).to_have_count(0)
    expect(page.get_by_text("plain reruns")).to_be_visible()
    page.get_by_role("button", name="undo").click()
    expect(page.locator(".sliders.by_class")).to_have_count(1)
    expect_weights(page, 0.6, 0.2, 0.2)


def test_a_hand_takes_chosen_runs_as_they_are_shown(page: Page) -> None:
    page.get_by_role("button", name="chosen").click()
    expect(page.get_by_text("shrinkage 0.50 chosen")).to_be_visible()
    number(page, "vit").fill("0.5")
    number(page, "vit").press("Tab")
    expect(page.get_by_text("shrinkage 0.00 plain")).to_be_visible()
    expect_weights(page, 0.3, 0.2, 0.5)


def test_the_keyboard_is_enough(page: Page) -> None:
    slider(page, "lite0").focus()
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    expect(slider(page, "lite0")).to_have_value("0.35")
    page.keyboard.press("End")
    expect_weights(page, 1, 0, 0)
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    expect(page.get_by_text("locked [1]")).to_be_visible()


def test_updates_are_throttled_and_the_last_one_always_comes(page: Page) -> None:
    before = reruns(page)
    page.evaluate(
        """() => {
            const root = [...document.querySelectorAll('*')].map(e => e.shadowRoot).find(r => r && r.querySelector('.sliders'))
            const input = root.querySelector('[type=range]')
            for (let step = 0; step <= 100; step++) { input.value = step / 100; input.dispatchEvent(new Event('input', { bubbles: true })) }
            input.dispatchEvent(new Event('change', { bubbles: true }))
        }"""
    )
    expect_weights(page, 1, 0, 0)
    assert reruns(page) - before <= 3


def test_equal_is_taken_over_by_the_browser(page: Page) -> None:
    number(page, "lite0").fill("0.9")
    number(page, "lite0").press("Tab")
    page.get_by_role("button", name="equal").click()
    expect_weights(page, 1 / 3, 1 / 3, 1 / 3)
    expect(slider(page, "vit")).to_have_attribute("aria-valuetext", "33.3 %")


def reruns(page: Page) -> int:
    found = re.search(r"reruns (\d+)", page.get_by_text("reruns").inner_text())
    assert found is not None
    return int(found[1])
