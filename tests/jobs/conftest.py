"""A real contest of 36 small images, and ways to queue runs on it and to wait for a state."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.contest.register import add_contest
from core.folds import save_folds
from core.jobs.launch import launch_run
from core.specs.contest import ContestSpec
from core.specs.folds import FoldsSpec
from core.specs.recipe import Recipe
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.jobs import FoldJob
from core.store.runs import Run, get_run
from core.workspace import Workspace

CLASSES = ("red", "green", "blue")
ENDLESS = 1000
"""Epochs of a run that no test waits for."""
BROKEN_PX = 33


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A contest folder: 30 training and 6 test images of 32 pixels, each mostly of its class's colour."""
    root = tmp_path_factory.mktemp("colours")
    (root / "images").mkdir()
    rng = np.random.default_rng(0)
    rows: list[tuple[int, str, str]] = []
    for number in range(36):
        pixels = rng.integers(0, 80, (32, 32, 3)).astype(np.uint8)
        pixels[..., number % 3] += 150
        path = f"images/{number}.png"
        Image.fromarray(pixels).save(root / path)
        rows.append((number, path, CLASSES[number % 3]))
    for name, chosen, width in (("train.csv", rows[:30], 3), ("test.csv", rows[30:], 2)):
        with (root / name).open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(("id", "path", "label")[:width])
            writer.writerows(row[:width] for row in chosen)
    return root


@dataclass
class Ready:
    """A workspace with the contest and three folds of it."""

    workspace: Workspace
    contest: Contest
    folds: Folds

    def launch(
        self,
        *,
        epochs: int = 1,
        fold_numbers: tuple[int, ...] = (0,),
        backbone: str = "test_vit",
        size_px: int = 32,
        name: str = "tiny",
        loader_workers: int = 0,
    ) -> Run:
        """Queue a run of a network small enough for an epoch to take a fraction of a second."""
        recipe = Recipe.model_validate(
            {
                "name": name,
                "modality": "image",
                "model": {"backbone": backbone, "pretrained": False},
                "input": {"size_px": size_px},
                "augment": {"hflip": False},
                "train": {"epochs": epochs, "batch_size": 10, "loader_workers": loader_workers},
            }
        )
        return launch_run(self.workspace, self.contest, self.folds, recipe, fold_numbers=fold_numbers)

    def launch_broken(self) -> Run:
        """Queue a run that only its worker finds to be untrainable: the network's patches do not fit the size."""
        return self.launch(size_px=BROKEN_PX, name="broken")

    def read(self, run: Run) -> Run:
        """The run as it stands now."""
        return get_run(self.workspace.store, run.id)

    def job(self, run: Run, fold: int = 0) -> FoldJob:
        """The job of a fold as it stands now."""
        return next(job for job in self.read(run).jobs if job.fold == fold)

    def log(self, job: FoldJob) -> str:
        """What the worker of the job's last attempt said."""
        return self.workspace.absolute(job.log_path).read_text(encoding="utf-8")


@pytest.fixture
def ready(workspace: Workspace, colours: Path) -> Ready:
    spec = ContestSpec(
        name="colours",
        root=str(colours),
        modality="image",
        layout="csv",
        train="train.csv",
        test="test.csv",
        id_column="id",
        input_columns=("path",),
        label_column="label",
        classes=CLASSES,
        metric="accuracy",
    )
    contest = add_contest(workspace, spec)
    return Ready(workspace, contest, save_folds(workspace, contest, FoldsSpec(n_folds=3)))


@pytest.fixture
def wait_for() -> Callable[[Callable[[], object]], float]:
    """Wait until something holds, and return after how many seconds; fails when it does not within `limit_s`."""

    def wait(holds: Callable[[], object], limit_s: float = 90.0) -> float:
        started = time.monotonic()
        while not holds():
            assert time.monotonic() - started < limit_s, f"not reached within {limit_s} s"
            time.sleep(0.02)
        return time.monotonic() - started

    return wait


def is_training(job: FoldJob) -> bool:
    """Whether the worker has made a training step."""
    return job.state == "running" and job.progress is not None and job.progress.phase == "training" and job.progress.step > 0
