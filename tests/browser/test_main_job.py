"""The main job, as a person does it in a browser: from a folder to a file whose bytes are the command line's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from core.store.blends import list_submissions
from core.store.runs import list_runs
from core.workspace import Workspace, open_workspace
from tests.browser.conftest import ROOT, Open, click_chart, settle

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CLASSES = ("고양이", "토끼")
TRAINED_MS = 300_000  # two cores that others use too


def write_contest(folder: Path) -> Path:
    """A folder per class with Hangul names, a folder of test images, and a sample submission of probabilities in its own order."""
    rng = np.random.default_rng(7)

    def draw(path: Path, label: int) -> None:
        pixels = rng.normal(128, 55, (40, 40, 3))
        pixels[:, :, 0 if label else 2] += 45
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)

    for label, name in enumerate(CLASSES):
        for number in range(24):
            draw(folder / "train" / name / f"{name} {number:02d}.png", label)
    lines = ["ID," + ",".join(reversed(CLASSES))]
    for number in range(10):
        draw(folder / "test" / f"TEST_{number:02d}.png", number % 2)
        lines.append(f"TEST_{number:02d},0.5,0.5")
    (folder / "sample_submission.csv").write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    return folder


def go(page: Page, name: str) -> None:
    """Follow a link of the sidebar."""
    page.locator(".st-key-side-flow").get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    settle(page)


def fill(page: Page, label: str, value: str) -> None:
    """Type a number into the form."""
    box = page.get_by_role("spinbutton", name=label, exact=True).or_(page.get_by_role("textbox", name=label, exact=True))
    box.fill(value)
    box.press("Enter")
    expect(box).to_have_value(value)
    settle(page)


def submit_headless(workspace: Workspace, ref: str, path: Path) -> bytes:
    """The same submission by the command line."""
    command = [sys.executable, "-m", "core", "submit", ref, "-o", str(path), "-w", str(workspace.root), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
    return path.read_bytes()


def test_from_a_folder_to_the_submission(serve: Callable[[Path], str], open_page: Open, tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path / "workspace")
    page = open_page(serve(workspace.root))

    # Home leads to the way in; the folder is inspected, and registered when it is accepted.
    page.get_by_role("button", name="Add a contest").click()
    page.get_by_role("textbox", name="Folder or zip of the contest").fill(str(write_contest(tmp_path / "동물")))
    page.get_by_role("button", name="Inspect").click()
    expect(page.get_by_text("one column per class").first).to_be_visible()
    page.get_by_role("button", name="Register 동물").click()
    expect(page.locator(".st-key-contest input")).to_have_value("동물", timeout=TRAINED_MS)
    expect(page.get_by_role("heading", name="Rows per class")).to_be_visible()

    # Two folds.
    go(page, "Folds")
    fill(page, "Folds", "2")
    page.get_by_role("button", name="Make folds").click()
    expect(page.get_by_role("button", name="Train on these folds")).to_be_visible()

    # Two runs, queued one after the other.
    go(page, "Train")
    page.get_by_role("combobox", name="Start from", exact=True).click()
    page.get_by_role("option", name="preset digits-small").click()
    expect(page.get_by_role("textbox", name="Name of the run", exact=True)).to_have_value("digits-small")
    fill(page, "Epochs", "2")
    fill(page, "Batch size", "8")
    for name, seed in (("first", "0"), ("second", "1")):
        fill(page, "Name of the run", name)
        fill(page, "Seed", seed)
        page.get_by_role("button", name="Queue 2 folds").click()
        expect(page.get_by_role("link", name=f"{name} · 2 folds")).to_be_visible()
        settle(page)

    # The run is watched until it ends; another tab and F5 in the middle of it show the same truth.
    page.get_by_role("link", name="first · 2 folds").click()
    running = page.get_by_text("running", exact=True).first
    expect(running).to_be_visible(timeout=TRAINED_MS)
    expect(page.locator(".st-key-device-status").get_by_role("link")).to_contain_text("first")
    address = page.url
    other = open_page(address)
    page.reload()
    settle(page)
    assert page.url == address
    for tab in (page, other):
        expect(tab.get_by_text("first", exact=True).filter(visible=True).first).to_be_visible()
        expect(tab.locator(".st-key-contest input")).to_have_value("동물")
    for tab in (page, other):
        expect(tab.get_by_text("2 of 2 folds").first).to_be_visible(timeout=TRAINED_MS)
    expect(page.locator(".st-key-device-status")).to_contain_text("queue empty", timeout=TRAINED_MS)
    expect(page.locator(".st-key-device-status")).to_contain_text("idle", timeout=TRAINED_MS)
    assert [run.state for run in list_runs(workspace.store)] == ["done", "done"]

    # A weight is dragged; the score moves while the pointer is still down.
    go(page, "Ensemble")
    slider = page.get_by_role("slider").first
    expect(slider).to_be_visible()
    blend_now = page.get_by_test_id("stMetric").filter(has_text="Blend now").get_by_test_id("stMetricValue")
    before = blend_now.inner_text()
    box = slider.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.85 * box["width"], box["y"] + box["height"] / 2, steps=10)
    expect(blend_now).not_to_have_text(before)
    page.mouse.up()
    settle(page)
    page.get_by_role("textbox", name="Name").fill("both")
    page.get_by_role("button", name="Save blend").click()
    expect(page.get_by_text("Saved both")).to_be_visible()
    settle(page)

    # A cell of the confusion matrix opens the samples behind it.
    go(page, "Errors")
    for place, name in ((0.25, CLASSES[0]), (0.75, CLASSES[1])):
        click_chart(page, place, place, page.get_by_role("heading", name=f"{name}, predicted right"))
    expect(page.get_by_text("true · predicted").first).to_be_visible()  # the class probabilities of the first sample
    settle(page)

    # The submission is written and downloaded; its bytes are those of the command line.
    go(page, "Submit")
    page.get_by_role("combobox", name="Run or blend").click()
    page.get_by_role("option", name="both").click()
    settle(page)
    page.get_by_role("button", name="Write submission").click()
    download_button = page.locator("[class*=st-key-download-] button")
    expect(download_button).to_be_visible()
    with page.expect_download() as download:
        download_button.click()
    downloaded = Path(download.value.path()).read_bytes()
    (written,) = list_submissions(workspace.store)
    assert written.source.startswith("b")
    assert downloaded == submit_headless(workspace, written.source, tmp_path / "headless.csv")
    header = downloaded.decode("utf-8-sig").splitlines()[0]
    assert header == "ID,토끼,고양이", "the sample's own columns, in its own order"
