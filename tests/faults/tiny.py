"""Two contests so small that a fold trains in a second or two, runs on them, and what a run left: the bytes that a fault must not change.

Some labels are wrong on purpose: the best epoch is then not the last one, and early stopping has something to stop.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import Image

from core.artefacts import verify
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds import save_folds
from core.jobs.launch import launch_run
from core.specs.folds import FoldsSpec
from core.specs.recipe import Recipe
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import Run, get_run, list_epochs
from core.workspace import Workspace

N_TRAIN, N_TEST = 36, 9
CLASSES = ("red", "초록", "blue")
SECTIONS: dict[str, dict[str, Any]] = {
    "image": {
        "modality": "image",
        "model": {"backbone": "test_resnet.r160_in1k", "pretrained": False, "dropout": 0.2},
        "input": {"size_px": 32},
        "augment": {"min_crop": 0.6, "rotation_deg": 15, "jitter": 0.2},
    },
    "text": {
        "modality": "text",
        "model": {"backbone": "tiny_transformer", "pretrained": False, "dropout": 0.2},
        "input": {"max_tokens": 16},
        "augment": {"aeda": 0.5},
        "loss": {"rdrop": 1.0},
        "adversarial": {"kind": "fgm", "start_epoch": 2},
    },
}
HARD: dict[str, dict[str, Any]] = {"train": {"epochs": 12, "batch_size": 8, "accumulate": 2, "patience": 3}, "average": {"ema": 0.9}}
"""All that has a state: parts of a step, a moving average, early stopping."""


@dataclass(frozen=True)
class Tiny:
    """A contest of one modality in a workspace, with three folds."""

    workspace: Workspace
    contest: Contest
    folds: Folds

    def launch(self, *, model: Mapping[str, Any] = MappingProxyType({}), checkpoint_s: float = 20.0, **train: Any) -> Run:
        """Queue fold 0 of a run; `train` changes its settings of HARD, `model` those of the network."""
        sections = SECTIONS[self.contest.spec.modality]
        recipe = {
            **sections,
            "model": {**sections["model"], **model},
            "optim": {"lr": 0.005},
            **HARD,
            "train": {**HARD["train"], **train},
            "checkpoints": {"every_s": checkpoint_s},
        }
        return launch_run(self.workspace, self.contest, self.folds, Recipe.model_validate(recipe), fold_numbers=(0,))

    def fold_dir(self, run: Run) -> Path:
        """Where all attempts at the run's fold write."""
        return self.workspace.run_dir(self.contest.name, run.id) / "fold-0"


def add_tiny(workspace: Workspace, modality: str, source: Path) -> Tiny:
    """Write the contest's files to `source` and register it."""
    source.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows: list[tuple[str, str, str]] = []
    for number in range(N_TRAIN + N_TEST):
        label = CLASSES[number % 3] if rng.random() < 0.7 else CLASSES[rng.integers(3)]
        rows.append((f"r{number}", _write_row(source, modality, number, rng), label))
    column = "path" if modality == "image" else "text"
    for name, chosen, width in (("train.csv", rows[:N_TRAIN], 3), ("test.csv", rows[N_TRAIN:], 2)):
        with (source / name).open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(("id", column, "label")[:width])
            writer.writerows(row[:width] for row in chosen)
    contest = add_contest(workspace, inspect_path(source, name=f"tiny-{modality}").draft)
    return Tiny(workspace, contest, save_folds(workspace, contest, FoldsSpec(n_folds=3)))


def _write_row(source: Path, modality: str, number: int, rng: np.random.Generator) -> str:
    if modality == "text":
        words = (("rose", "cherry", "노을"), ("grass", "forest", "숲"), ("sea", "sky", "바다"))[number % 3]
        return f"{words[number // 3 % 3]} {('at dawn', 'in summer', 'from afar')[rng.integers(3)]}, number {number}"
    pixels = rng.integers(0, 120, (28, 28, 3)).astype(np.uint8)
    pixels[8:20, 8:20, number % 3] += 130
    Image.fromarray(pixels).save(source / f"{number}.png")
    return f"{number}.png"


def left_by(workspace: Workspace, run: Run) -> dict[str, Any]:
    """What a finished run left, to be compared: the sha256 of every file after checking it, scores, and every epoch but its seconds."""
    run = get_run(workspace.store, run.id)
    (result,) = run.results
    epochs = [(row.epoch, row.train_loss, row.valid_loss, row.scores, row.lr) for row in list_epochs(workspace.store, run.id)]
    return {
        **verify(workspace.absolute(result.path)).files,
        "scores": json.dumps([result.scores, result.best_epoch, result.n_epochs]),
        "epochs": json.dumps(epochs),
    }


def differences(left: Mapping[str, Any], calm: Mapping[str, Any]) -> str:
    """The names of what is not equal; empty when all is."""
    return ", ".join(sorted(name for name in {*left, *calm} if left.get(name) != calm.get(name)))
