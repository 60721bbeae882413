"""What holds on every page: its title and language, contrast, no sideways scrolling, and the number of presses from a folder to a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from core.store.blends import list_submissions
from core.store.runs import list_runs
from core.workspace import Workspace, open_workspace
from tests.browser.conftest import Open, settle
from tests.conftest import write_headlines_to
from tests.finished_workspace import finish_headlines

pytestmark = pytest.mark.browser

PAGES = ("", "data", "folds", "train", "runs", "runs?run=r1", "ensemble", "errors", "submit")
WIDTHS = (1440, 1024, 390)
PALE = Path(__file__).with_name("pale.js").read_text(encoding="utf-8")
SIDEWAYS = "() => { const main = document.querySelector('[data-testid=stMain]'); return main.scrollWidth - main.clientWidth }"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with two finished runs on equal folds."""
    root = tmp_path_factory.mktemp("pages")
    workspace = open_workspace(root / "workspace")
    finish_headlines(workspace, write_headlines_to(root / "headlines"), {"strong": 2.5, "weak": 0.4})
    return workspace


@pytest.fixture(scope="module")
def address(finished: Workspace, serve: Callable[[Path], str]) -> str:
    return serve(finished.root)


@pytest.fixture(params=["light", "dark"])
def tab(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": WIDTHS[0], "height": 900}, color_scheme=request.param)
    yield context.new_page()
    context.close()


def test_every_text_is_readable_and_nothing_scrolls_sideways(address: str, tab: Page) -> None:
    found = {}
    for name in PAGES:
        tab.goto(f"{address}/{name}")
        settle(tab)
        tab.wait_for_timeout(500)  # charts are drawn after the script has ended
        pale = tab.evaluate(PALE)
        wide = []
        for width in WIDTHS:
            tab.set_viewport_size({"width": width, "height": 900})
            for _ in range(20):  # a table follows a new width a moment later
                tab.wait_for_timeout(150)
                if tab.evaluate(SIDEWAYS) <= 1:
                    break
            else:
                wide.append(width)
            heading = tab.get_by_test_id("stMain").get_by_role("heading", level=1)
            bar = tab.get_by_test_id("stHeader").bounding_box()
            place = heading.bounding_box()
            assert place is not None and bar is not None
            if tab.get_by_test_id("stExpandSidebarButton").count():
                assert place["y"] >= bar["y"] + bar["height"] - 2, f"{name}: the title is under the bar at {width}"
        tab.set_viewport_size({"width": WIDTHS[0], "height": 900})
        found |= {name: (pale, wide)} if pale or wide else {}
    assert not found


def test_the_tab_says_the_page_the_contest_and_the_run_and_the_page_its_language(address: str, open_page: Open) -> None:
    page = open_page(f"{address}/errors", korean=True)
    expect(page).to_have_title("오류 분석 · headlines · Pitwall")
    expect(page.locator("html")).to_have_attribute("lang", "ko")
    page.goto(f"{address}/runs?run=r1&lang=en")
    expect(page).to_have_title("strong · Runs · headlines · Pitwall")
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_a_phone_tells_the_state_of_runs(address: str, open_page: Open) -> None:
    page = open_page(f"{address}/runs")
    page.set_viewport_size({"width": 390, "height": 844})
    settle(page)
    heads = page.locator("[data-testid=stDataFrame] th")
    expect(heads.filter(has_text="State")).to_be_attached()
    said = heads.all_text_contents()
    assert said.index("State") == said.index("Run") + 1
    expect(page.get_by_test_id("stMetric").filter(has_text="Running")).to_be_visible()
    for name in PAGES:
        page.goto(f"{address}/{name}")
        expect(page.locator(".st-key-phone-status")).to_contain_text("queue empty")
        expect(page.locator(".st-key-phone-status")).to_be_visible()
    page.set_viewport_size({"width": 1024, "height": 768})
    expect(page.locator(".st-key-phone-status")).to_be_hidden()


def test_at_1024_the_table_of_backbones_shows_all_its_columns(address: str, open_page: Open) -> None:
    page = open_page(f"{address}/train")
    page.set_viewport_size({"width": 1024, "height": 768})
    page.get_by_text("Choose another of").click()
    settle(page)
    table = page.get_by_test_id("stDataFrame").first
    expect(table).to_be_visible()
    box = table.bounding_box()
    assert box is not None and box["width"] > 560


@pytest.mark.parametrize(("page_of", "thing"), [("", "headlines"), ("runs?run=r1", "strong")])
def test_a_menu_is_heard_by_the_name_of_its_thing_and_seen_as_three_dots(address: str, open_page: Open, page_of: str, thing: str) -> None:
    page = open_page(f"{address}/{page_of}")
    box = page.get_by_test_id("stMain").get_by_role("button", name=f"⋮ {thing}").bounding_box()
    assert box is not None and box["width"] < 70


def test_one_back_leaves_errors_and_submit_and_an_unknown_contest_is_said(address: str, open_page: Open) -> None:
    page = open_page(f"{address}/?contest=nowhere")
    expect(page.get_by_test_id("stToast")).to_contain_text("nowhere")
    for name in ("Errors", "Submit"):
        page.locator(".st-key-side-flow").get_by_role("link", name=name, exact=True).click()
        expect(page.get_by_test_id("stMain").get_by_role("heading", name=name, exact=True)).to_be_visible()
        settle(page)
        page.go_back()
        expect(page.get_by_test_id("stMain").get_by_role("heading", name="Home", exact=True)).to_be_visible()
        settle(page)


@dataclass
class Hand:
    """Counts what is pressed; `by_keyboard` presses Enter on the focused control instead of clicking it."""

    page: Page
    by_keyboard: bool
    presses: list[str] = field(default_factory=list)

    def press(self, control: Locator, name: str) -> None:
        expect(control).to_be_enabled()
        if self.by_keyboard:
            assert control.evaluate("node => node.tabIndex") >= 0, f"Tab never reaches {name}"
            control.press("Enter")
        else:
            control.click()
        self.presses.append(name)
        self.page.wait_for_timeout(200)
        settle(self.page)

    def button(self, name: str) -> None:
        self.press(self.page.get_by_role("button", name=name).first, name)

    def page_of(self, name: str) -> None:
        self.press(self.page.locator(".st-key-side-flow").get_by_role("link", name=name, exact=True), name)


@pytest.mark.parametrize("by_keyboard", [False, True], ids=["mouse", "keyboard"])
def test_nine_presses_from_a_folder_to_a_file_and_fifteen_to_a_blend(
    serve: Callable[[Path], str], address: str, finished: Workspace, open_page: Open, tmp_path: Path, by_keyboard: bool
) -> None:
    empty = open_workspace(tmp_path / "empty")
    hand = Hand(open_page(serve(empty.root)), by_keyboard)
    hand.button("Add a contest")
    hand.page.get_by_role("textbox", name="Folder or zip of the contest").fill(str(write_headlines_to(tmp_path / "new")))
    hand.button("Inspect")
    hand.button("Register")
    hand.button("Make folds and train")
    hand.button("Queue 5 folds")
    assert len(list_runs(empty.store)) == 1
    to_queue = len(hand.presses)

    # The same, from where a run has ended to the file.
    hand = Hand(open_page(f"{address}/runs?run=r1"), by_keyboard)
    hand.presses.append("the queued run's link on Train")
    hand.button("Submit this")
    hand.button("Write submission")
    with hand.page.expect_download():
        hand.press(hand.page.locator("[class*=st-key-download-] button"), "Download")
    assert to_queue + len(hand.presses) <= 9, hand.presses
    n_before = len(list_submissions(finished.store))

    # The blend of two: a second run is queued from another start, and Submit opens with the blend that was saved.
    hand = Hand(open_page(f"{address}/train"), by_keyboard)
    hand.presses += ["another start", "its name", "Queue"]
    hand.page_of("Ensemble")
    hand.button("Save blend")
    hand.page_of("Submit")
    hand.button("Write submission")
    with hand.page.expect_download():
        hand.press(hand.page.locator("[class*=st-key-download-] button"), "Download")
    assert to_queue + len(hand.presses) <= 15, hand.presses
    written = list_submissions(finished.store)
    assert len(written) == n_before + 1 and written[0].source.startswith("b")


def test_the_keyboard_goes_to_pages_opens_a_run_and_shows_its_list(address: str, open_page: Open) -> None:
    page = open_page(f"{address}/")
    page.wait_for_function("() => window.pitwallKeys && document.querySelectorAll('.st-key-side-flow a').length === 8")
    page.keyboard.press("g")
    page.keyboard.press("5")
    expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
    settle(page)
    page.get_by_role("combobox", name="Open a run").focus()
    page.keyboard.type("weak")
    page.keyboard.press("Enter")
    expect(page).to_have_title("weak · Runs · headlines · Pitwall")
    settle(page)
    page.locator("body").press("Shift+?")
    expect(page.get_by_role("dialog")).to_contain_text("Alt+H")
    page.goto(f"{address}/train")
    settle(page)
    assert page.evaluate(
        "() => [...document.querySelectorAll('[data-testid=stTooltipIcon] button:not([data-testid])')].every(help => help.tabIndex < 0)"
    )
    page.get_by_role("spinbutton", name="Epochs", exact=True).focus()
    page.keyboard.press("Alt+h")
    expect(page.get_by_role("tooltip")).to_be_visible()
