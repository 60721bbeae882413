"""One Chromium for all browser tests, and a real server (`python -m app`) on a workspace of the test's own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.browser.chromium import find_chromium

ROOT = Path(__file__).resolve().parents[2]
Open = Callable[..., Page]
WAIT_MS = 30_000
expect.set_options(timeout=WAIT_MS)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The browser; tests fail, and are not skipped, where there is none."""
    path = find_chromium()
    assert path is not None, "no Chromium: run `python -m tests.browser.chromium`, or name one with CHROMIUM=/path"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server process; what it says after it is ready is read and dropped, so that it never waits for a reader."""

    def __init__(self, command: list[str], *, ready: str = "URL: http") -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "2", "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if ready in line:
                break
        else:
            raise AssertionError("the server ended before it was ready:\n" + "".join(lines))
        self._drain = threading.Thread(target=self.process.stdout.read)
        self._drain.start()

    def stop(self) -> None:
        """End it as Ctrl-C would, and wait until it and its workers' output are gone."""
        self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._drain.join(timeout=30)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[[Path], str]]:
    """`serve(workspace_root)` starts the workbench on a workspace and gives its address."""
    servers: list[Server] = []

    def start(root: Path) -> str:
        port = free_port()
        servers.append(Server([sys.executable, "-m", "app", "--workspace", str(root), "--port", str(port)]))
        return f"http://127.0.0.1:{port}"

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def serve_script(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """`serve_script(code)` serves a Streamlit script, for a component alone, and gives its address; `{root}` in it is the project's folder."""
    servers: list[Server] = []

    def start(code: str) -> str:
        script = tmp_path_factory.mktemp("script") / "script.py"
        script.write_text(code.format(root=str(ROOT)), encoding="utf-8")
        port = free_port()
        servers.append(
            Server([sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port), "--server.headless", "true"])
        )
        return f"http://127.0.0.1:{port}"

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """`open_page(address, dark=False, korean=False)` opens a tab of 1440 x 900 and waits until the page is drawn."""
    contexts = []

    def start(address: str, *, dark: bool = False, korean: bool = False) -> Page:
        context = browser.new_context(
            viewport={"width": 1440, "height": 900},
            color_scheme="dark" if dark else "light",
            locale="ko-KR" if korean else "en-US",
            accept_downloads=True,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.goto(address)
        settle(page)
        return page

    yield start
    for context in contexts:
        context.close()


def cell(page: Page, text: str) -> Locator:
    """A cell of a table by its text; tables are drawn on a canvas, with their cells as its fallback content."""
    return page.locator("[data-testid=stDataFrame] td").filter(has_text=text)


def chart(page: Page, name: str) -> Locator:
    """A chart by the start of its name."""
    return page.locator(f'[data-testid=stVegaLiteChart][aria-label^="{name}"]')


def settle(page: Page) -> None:
    """Wait until no script runs any more, and refuse a page that shows a traceback."""
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", state="attached")
    failures = page.get_by_test_id("stException")
    assert failures.count() == 0, failures.first.inner_text()


def click_chart(page: Page, across: float, down: float, shows: Locator) -> None:
    """Click into the first Plotly chart, at shares of its width and height, until `shows` is there.

    A chart that is being drawn anew swallows a click, also a moment after the script has ended; a person clicks again.
    """
    plot = page.locator(".js-plotly-plot .nsewdrag").first
    expect(plot).to_be_visible()
    for _ in range(4):
        settle(page)
        box = plot.bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + across * box["width"], box["y"] + down * box["height"])
        try:
            expect(shows).to_be_visible(timeout=7_000)
        except AssertionError:
            continue
        return
    expect(shows).to_be_visible()
