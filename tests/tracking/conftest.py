"""A fold as the trackers know it, points of it, and a small contest of texts to train for real."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds import save_folds
from core.specs.folds import FoldsSpec
from core.specs.progress import EpochReport, Progress
from core.specs.recipe import Recipe
from core.store.contests import Contest
from core.store.folds import Folds
from core.tracking.tracker import Point, TrackedFold
from core.workspace import Workspace

N_STEPS = 10
MakeFold = Callable[..., TrackedFold]


@pytest.fixture
def make_fold(workspace: Workspace) -> MakeFold:
    """A function that makes one attempt at fold 0 of run r7."""

    def make(token: int = 1, *, trackers: tuple[str, ...] = ()) -> TrackedFold:
        return TrackedFold(
            root=str(workspace.root),
            contest="digits",
            run="base",
            ref="r7",
            fold=0,
            token=token,
            started_at=1_760_000_000.0 + token,
            key="ab" * 32,
            events_dir=str(workspace.run_events_dir("digits", "base", 7) / "fold-0"),
            tracking_dir=str(workspace.tracking_dir(7)),
            trackers=trackers,
            project="my contests",
            recipe="name: base\noptim:\n  lr: 0.1",
            settings={"optim.lr": 0.1, "train.epochs": 3},
        )

    return make


def step_point(step: int, value: float | None = None) -> Point:
    """The loss of one step."""
    return Point(step, 1_760_000_000.0 + step, {"loss/train_step": 1 / step if value is None else value})


def epoch_point(epoch: int) -> Point:
    """What an epoch of ten steps ended with."""
    values = {"loss/train": 1 / epoch, "loss/valid": 1 / epoch, "score/accuracy": 0.5, "train/lr": 0.1, "train/epoch": float(epoch)}
    return Point(epoch * N_STEPS, 1_760_000_000.0 + epoch * N_STEPS, values)


def step_report(epoch: int, step: int, *, n_epochs: int = 3, n_steps: int = N_STEPS) -> Progress:
    """What training says after one step."""
    return Progress("training", 0, epoch, n_epochs, step, n_steps, train_loss=1 / ((epoch - 1) * n_steps + step))


def epoch_report(epoch: int) -> EpochReport:
    """What training says after an epoch."""
    return EpochReport(0, epoch, 3, 1 / epoch, 1 / epoch, {"accuracy": 0.5}, 0.1, 1.0)


@dataclass
class Headlines:
    """A workspace with a contest of headlines in three folds."""

    workspace: Workspace
    contest: Contest
    folds: Folds

    def recipe(self, *, epochs: int = 2, trackers: tuple[str, ...] = (), name: str = "tiny") -> Recipe:
        """A network that trains an epoch in a tenth of a second."""
        return Recipe.model_validate(
            {
                "name": name,
                "modality": "text",
                "model": {"backbone": "tiny_transformer", "pretrained": False},
                "train": {"epochs": epochs, "batch_size": 8},
                "tracking": {"trackers": trackers},
            }
        )


@pytest.fixture
def headlines(workspace: Workspace, write_headlines: Callable[[Path], Path], tmp_path: Path) -> Headlines:
    contest = add_contest(workspace, inspect_path(write_headlines(tmp_path / "headlines")).draft)
    return Headlines(workspace, contest, save_folds(workspace, contest, FoldsSpec(n_folds=3)))


@pytest.fixture
def wait_until() -> Callable[[Callable[[], object]], None]:
    """Wait until something holds."""

    def wait(holds: Callable[[], object], limit_s: float = 30.0) -> None:
        until = time.monotonic() + limit_s
        while not holds():
            assert time.monotonic() < until, f"not reached within {limit_s} s"
            time.sleep(0.02)

    return wait
