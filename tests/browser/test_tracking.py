"""From the page of a run to TensorBoard, in a real browser; both end together."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds import save_folds
from core.specs.folds import FoldsSpec
from core.workspace import open_workspace
from tests.browser.conftest import Open, Server, free_port
from tests.finished_workspace import finish_run, make_recipe

pytestmark = pytest.mark.browser


def test_a_press_leads_to_the_curves_of_this_run_alone(open_page: Open, tmp_path: Path, write_headlines: Callable[[Path], Path]) -> None:
    workspace = open_workspace(tmp_path / "workspace")
    contest = add_contest(workspace, inspect_path(write_headlines(tmp_path / "headlines")).draft)
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=3))
    run, _ = (finish_run(workspace, contest, folds, make_recipe(contest, name)) for name in ("base", "other"))
    port = free_port()
    server = Server([sys.executable, "-m", "app", "--workspace", str(workspace.root), "--port", str(port)])
    try:
        page = open_page(f"http://127.0.0.1:{port}/runs?contest={contest.name}&run={run.ref}")
        page.get_by_role("button", name="TensorBoard").click()
        page.get_by_role("button", name="Start TensorBoard").click()
        link = page.get_by_role("link", name="Open TensorBoard")
        with page.expect_popup() as opened:
            link.click()
        board = opened.value
        for fold in range(3):
            expect(board.get_by_text(f"headlines/base-r1/fold-{fold}", exact=True).first).to_be_visible()
        expect(board.get_by_text("loss/valid", exact=True).first).to_be_visible()
        expect(board.get_by_text("headlines/other-r2/fold-0", exact=True)).to_have_count(0)
        url = board.url
        page.reload()
        page.get_by_role("button", name="TensorBoard").click()
        expect(page.get_by_role("link", name="Open TensorBoard")).to_be_visible()
    finally:
        server.stop()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url.partition("#")[0], timeout=5)
