"""Submit in a real browser: checked, written, downloaded; the bytes are those of the file and of the command line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds import save_folds
from core.specs.folds import FoldsSpec
from core.store.blends import list_submissions
from core.workspace import open_workspace
from tests.browser.conftest import ROOT, Open
from tests.finished_workspace import finish_run, make_recipe

pytestmark = pytest.mark.browser


def test_a_submission_is_written_downloaded_and_equal_to_the_command_line(
    tmp_path: Path, serve: Callable[[Path], str], open_page: Open, write_headlines: Callable[[Path], Path]
) -> None:
    workspace = open_workspace(tmp_path / "workspace")
    contest = add_contest(workspace, inspect_path(write_headlines(tmp_path / "headlines")).draft)
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=3))
    run = finish_run(workspace, contest, folds, make_recipe(contest, "strong"), strength=3.0)
    page = open_page(f"{serve(workspace.root)}/submit?contest={contest.name}&source={run.ref}")
    expect(page.get_by_text("checks passed", exact=False)).to_be_visible()
    expect(page.get_by_text("Order of the rows")).to_be_visible()
    page.get_by_role("button", name="Write submission").click()
    expect(page.get_by_role("button", name="Download headlines-strong.csv")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download headlines-strong.csv").click()
    assert download.value.suggested_filename == "headlines-strong.csv"
    data = Path(download.value.path()).read_bytes()
    (submission,) = list_submissions(workspace.store)
    assert data == workspace.absolute(submission.path).read_bytes()
    expect(page.get_by_text(submission.sha256, exact=False)).to_be_visible()
    out = tmp_path / "cli.csv"
    command = [sys.executable, "-m", "core", "submit", run.ref, "-o", str(out), "--workspace", str(workspace.root)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert out.read_bytes() == data
