"""The blend editor at the size of a real contest: seven runs, 33,137 images, 396 classes; the score follows the pointer, then the server rests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from core.blend.ensemble import Ensemble, open_ensemble
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds import save_folds
from core.specs.folds import FoldsSpec
from core.store.contests import list_contests
from core.store.runs import list_runs
from core.workspace import Workspace, open_workspace
from tests.app.eyes import cv_text
from tests.browser.conftest import Open, settle
from tests.finished_workspace import finish_run, make_recipe

pytestmark = [pytest.mark.browser, pytest.mark.slow]

N_RUNS, N_ROWS, N_CLASSES = 7, 33_137, 396
DRAG_S, MOST_TRIES = 2.0, 6
LEAST_PER_S, LEAST_PER_S_BUSY = 8, 2
REST_MS = 1000
MOST_FRAMES_AT_REST = 40
"""The device status looks at the queue every three seconds; a drag sends hundreds a second."""

COUNT = """() => {
    const value = () => document.querySelector('[data-testid=stMetricValue]')?.innerText
    window.seen = new Set([value()])
    window.watch?.disconnect()
    window.watch = new MutationObserver(() => { const now = value(); if (now) window.seen.add(now) })
    window.watch.observe(document.body, { subtree: true, childList: true, characterData: true })
}"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("scale")
    labels = np.random.default_rng(0).permutation(np.arange(N_ROWS) % N_CLASSES)
    train = {
        "id": [f"r{i}" for i in range(N_ROWS)],
        "text": [f"차 {i}" for i in range(N_ROWS)],
        "label": [f"차종 {label:03d}" for label in labels],
    }
    (root / "cars").mkdir()
    pd.DataFrame(train).to_csv(root / "cars" / "train.csv", index=False)
    pd.DataFrame({"id": ["t0", "t1"], "text": ["시험 0", "시험 1"]}).to_csv(root / "cars" / "test.csv", index=False)
    workspace = open_workspace(root / "workspace")
    contest = add_contest(workspace, inspect_path(root / "cars").draft.model_copy(update={"metric": "log_loss"}))
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=5))
    for run in range(N_RUNS):
        finish_run(workspace, contest, folds, make_recipe(contest, f"car-{run}"), strength=5 - 0.3 * run, seed=run)
    return workspace


def open_all_runs(workspace: Workspace) -> Ensemble:
    (contest,) = list_contests(workspace.store)
    return open_ensemble(workspace, contest, sorted(list_runs(workspace.store, contest.id), key=lambda run: run.name))


def drag(page: Page, name: str) -> int:
    """Hold a slider for two seconds and move it all the time; returns how many other scores were shown meanwhile."""
    slider = page.get_by_role("slider", name=name)
    box = slider.bounding_box()
    assert box is not None
    left, track, y = box["x"] + 8, box["width"] - 16, box["y"] + box["height"] / 2
    page.mouse.move(left + float(slider.input_value()) * track, y)
    page.mouse.down()
    page.evaluate(COUNT)
    start = page.evaluate("performance.now()")
    passed = 0.0
    while passed < DRAG_S:
        page.mouse.move(left + (0.05 + 0.85 * passed / DRAG_S) * track, y)
        passed = (page.evaluate("performance.now()") - start) / 1000
    n_seen = page.evaluate("window.seen.size") - 1
    page.mouse.up()
    settle(page)
    return n_seen


def test_the_score_follows_the_pointer_and_then_the_server_rests(
    workspace: Workspace, serve: Callable[[Path], str], open_page: Open
) -> None:
    page = open_page(f"{serve(workspace.root)}/ensemble?contest=cars")
    frames: list[str | bytes] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: frames.append(frame)))
    page.reload()
    settle(page)
    expect(page.get_by_role("slider", name="car-0")).to_be_visible()
    # On a machine that has more to do than it has cores no pace can be asked for, only that the score follows.
    wanted = LEAST_PER_S if os.getloadavg()[0] <= (os.cpu_count() or 1) + 1 else LEAST_PER_S_BUSY
    best = 0
    for _ in range(MOST_TRIES):
        best = max(best, drag(page, "car-1"))
        if best >= wanted * DRAG_S:
            break
    assert best >= wanted * DRAG_S, f"{best} scores in {DRAG_S} s"
    shown = [float(page.get_by_role("spinbutton", name=f"car-{run}").input_value()) for run in range(N_RUNS)]
    moved = float(page.get_by_role("slider", name="car-1").input_value())
    weights = [(1 - moved) / (N_RUNS - 1)] * N_RUNS
    weights[1] = moved
    assert shown == pytest.approx(weights, abs=1e-3)
    expect(page.get_by_test_id("stMetricValue").first).to_have_text(cv_text(open_all_runs(workspace).score(weights)))
    n_frames = len(frames)
    page.evaluate("ms => new Promise(done => setTimeout(done, ms))", REST_MS)
    assert n_frames > MOST_FRAMES_AT_REST >= len(frames) - n_frames
