"""How long pages take on large workspaces: first opening, again, and a rerun, in a real Chromium, while a program keeps the cores busy.

`python benchmarks/pages.py FOLDER [names...]` builds the workspaces it lacks below FOLDER (nothing is trained; stored predictions are made
up) and prints medians in seconds against 3, 1 and 0.3. Each page is opened in a tab of its own: once on a server that has just started, so
that nothing is kept in memory, then again, then rerun. `--rounds` counts servers, `--quiet` leaves the cores alone.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from core.blend.ensemble import make_spec, save_blend  # noqa: E402
from core.contest.inspect.draft import inspect_path  # noqa: E402
from core.contest.register import add_contest  # noqa: E402
from core.folds import save_folds  # noqa: E402
from core.jobs import launch, queue  # noqa: E402
from core.specs.folds import FoldsSpec  # noqa: E402
from core.store import attempts  # noqa: E402
from core.store.contests import list_contests  # noqa: E402
from core.workspace import Workspace, open_workspace  # noqa: E402
from tests.browser.chromium import find_chromium  # noqa: E402
from tests.browser.conftest import Server, free_port  # noqa: E402
from tests.finished_workspace import START, add_epochs, claim, finish_run, make_recipe  # noqa: E402

LIMITS_S = (3.0, 1.0, 0.3)
PAGES = ("home", "data", "folds", "train", "runs", "ensemble", "errors", "submit")
WATCH = """() => {
  const app = document.querySelector('[data-testid=stApp]')
  new MutationObserver(() => { window.hasRun = true }).observe(app, { attributeFilter: ['data-test-script-state'] })
}"""
SPIN = "while True: sum(range(100000))"


def write_texts(folder: Path, n_train: int, n_test: int, n_classes: int) -> None:
    """A contest of short texts, each with a word of its class."""
    rng = np.random.default_rng(0)
    words = np.array([f"word{number}" for number in range(5000)])

    def texts(n: int) -> list[str]:
        return [" ".join(row) for row in words[rng.integers(0, len(words), (n, 9))]]

    labels = np.concatenate([np.arange(n_classes).repeat(5), rng.integers(0, n_classes, n_train - 5 * n_classes)])
    ids = [f"t{number:06d}" for number in range(n_test)]
    classes = [f"class {number:04d}" for number in range(n_classes)]
    folder.mkdir(parents=True)
    train = {"id": [f"r{number:06d}" for number in range(n_train)], "text": texts(n_train), "label": np.array(classes)[labels]}
    pd.DataFrame(train).to_csv(folder / "train.csv", index=False)
    pd.DataFrame({"id": ids, "text": texts(n_test)}).to_csv(folder / "test.csv", index=False)
    pd.DataFrame({"id": ids, "label": classes[0]}).to_csv(folder / "sample_submission.csv", index=False)


def write_images(folder: Path, n_train: int, n_test: int, n_classes: int) -> None:
    """A contest of images: every file is small and different, for a registration refuses nothing but reads each."""
    rng = np.random.default_rng(0)
    classes = [f"car {number:03d}" for number in range(n_classes)]
    for part, n in (("train", n_train), ("test", n_test)):
        (folder / "images" / part).mkdir(parents=True)
        for number in range(n):
            Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(folder / "images" / part / f"{number:05d}.png")
    labels = np.concatenate([np.arange(n_classes).repeat(5), rng.integers(0, n_classes, n_train - 5 * n_classes)])
    train = {"id": [f"r{number}" for number in range(n_train)], "image": [f"images/train/{number:05d}.png" for number in range(n_train)]}
    pd.DataFrame(train | {"label": np.array(classes)[labels]}).to_csv(folder / "train.csv", index=False)
    ids = [f"t{number}" for number in range(n_test)]
    pd.DataFrame({"id": ids, "image": [f"images/test/{number:05d}.png" for number in range(n_test)]}).to_csv(
        folder / "test.csv", index=False
    )
    pd.DataFrame({"id": ids, **dict.fromkeys(classes, 1 / n_classes)}).to_csv(folder / "sample_submission.csv", index=False)


def build(workspace: Workspace, write: Callable[[Path], None], *, n_runs: int, n_waiting: int = 0) -> None:
    """Register what `write` writes, with finished runs, a blend of the first four, and runs that wait."""
    folder = workspace.root.parent / f"{workspace.root.name}-files"
    write(folder)
    contest = add_contest(workspace, inspect_path(folder).draft)
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=5))
    runs = [
        finish_run(workspace, contest, folds, make_recipe(contest, f"run-{number:04d}", epochs=3), strength=3.0, seed=number)
        for number in range(4)
    ]
    for number in range(4, n_runs):  # rows alone, with the first run's artefacts: a thousand runs on disk take half an hour
        recipe = make_recipe(contest, f"run-{number:04d}", epochs=3)
        launch.launch_run(workspace, contest, folds, recipe)
        for result in runs[0].results:
            job = claim(workspace)
            add_epochs(workspace, job, recipe, result.scores, np.random.default_rng(number))
            made = replace(result, run_id=job.run_id, fold=job.fold, token=job.token)
            attempts.commit(workspace.store, job.id, made, now=START + number)
    for number in range(n_waiting):
        launch.launch_run(workspace, contest, folds, make_recipe(contest, f"waiting-{number:03d}"))
    if n_waiting:
        queue.pause_queue(workspace.store)
    save_blend(workspace, contest, make_spec([run.id for run in runs[:4]], [0.25] * 4), name="equal")


WORKSPACES: dict[str, Callable[[Workspace], None]] = {
    "300,000 texts": lambda workspace: build(workspace, lambda folder: write_texts(folder, 300_000, 100_000, 5), n_runs=4),
    "33,137 images x 396": lambda workspace: build(workspace, lambda folder: write_images(folder, 33_137, 8_285, 396), n_runs=4),
    "2,000 classes": lambda workspace: build(workspace, lambda folder: write_texts(folder, 20_000, 5_000, 2_000), n_runs=4),
    "1,000 runs": lambda workspace: build(workspace, lambda folder: write_texts(folder, 500, 200, 5), n_runs=1000),
    "200 queued": lambda workspace: build(workspace, lambda folder: write_texts(folder, 500, 200, 5), n_runs=4, n_waiting=200),
}


@contextmanager
def company(n: int) -> Iterator[None]:
    """Programs that keep cores busy at the priority of a worker."""
    busy = [subprocess.Popen(["nice", "-n", "10", sys.executable, "-c", SPIN]) for _ in range(n)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def measure(browser: Browser, address: str) -> tuple[float, float, float]:
    """Seconds of an opening, of another one (the median of three), and of a rerun by the key R."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.set_default_timeout(120_000)

    def until_drawn() -> None:
        page.wait_for_selector("[data-testid=stMain] h1")
        page.wait_for_function(
            "() => document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'"
            " && !document.querySelector('[data-testid=stMain] [data-testid=stSkeleton], [data-testid=stSpinner]')",
            polling=20,
        )
        assert page.get_by_test_id("stException").count() == 0, page.get_by_test_id("stException").first.inner_text()

    taken = []
    for _ in range(4):
        start = time.perf_counter()
        page.goto(address)
        until_drawn()
        taken.append(time.perf_counter() - start)
    page.wait_for_timeout(600)
    start = time.perf_counter()
    page.evaluate(WATCH)  # a rerun may be shorter than any polling
    page.locator("body").press("r")
    page.wait_for_function("() => window.hasRun", polling=5)
    until_drawn()
    taken.append(time.perf_counter() - start)
    page.context.close()
    first, *again, rerun = taken
    return first, median(again), rerun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", help=f"workspaces, of {', '.join(WORKSPACES)}; all by default")
    parser.add_argument("--pages", nargs="*", default=PAGES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quiet", action="store_true")
    asked = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        for name in asked.names or WORKSPACES:
            root = asked.folder / name.replace(",", "").replace(" ", "-")
            workspace = open_workspace(root)
            if not list_contests(workspace.store):
                start = time.perf_counter()
                WORKSPACES[name](workspace)
                print(f"{name}: built in {time.perf_counter() - start:.0f} s", flush=True)
            seen: dict[str, list[tuple[float, float, float]]] = {page: [] for page in asked.pages}
            with company(0 if asked.quiet else 1):
                for _ in range(asked.rounds):
                    port = free_port()
                    server = Server([sys.executable, "-m", "app", "--workspace", str(root), "--port", str(port)])
                    urllib.request.urlopen(
                        f"http://127.0.0.1:{port}/_stcore/health", timeout=60
                    ).close()  # it says its address before it answers
                    for page in asked.pages:
                        path = "" if page == "home" else page
                        seen[page].append(measure(browser, f"http://127.0.0.1:{port}/{path}"))
                    server.stop()
            for page, times in seen.items():
                figures = [median(each) for each in zip(*times, strict=True)]
                marks = ["" if figure <= limit else " !" for figure, limit in zip(figures, LIMITS_S, strict=True)]
                print(f"{name:20} {page:9}", *(f"{figure:6.2f}{mark:2}" for figure, mark in zip(figures, marks, strict=True)), flush=True)
        browser.close()


if __name__ == "__main__":
    main()
