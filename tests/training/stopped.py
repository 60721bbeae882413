"""Folds that were stopped in the middle, and checkpoints that are not whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.artefacts import MANIFEST, OWN_HASH
from core.base.files import sha256_file
from core.specs.progress import Progress
from core.specs.recipe import Recipe
from core.training.checkpoint import Checkpointing, Identity
from core.training.fold import train_fold
from core.training.state import CheckpointWriter
from core.training.task import FoldTask
from tests.training.small_tasks import TEXT, make_task, recipe_of

HARD: dict[str, dict[str, Any]] = {"train": {"epochs": 4, "accumulate": 2, "patience": 2}, "average": {"ema": 0.9}}


class Crash(Exception):
    """Ends training in the middle, with nothing written in order."""


def checkpointing_of(folder: Path, token: int = 1, **changes: Any) -> Checkpointing:
    """A checkpoint whenever there can be one."""
    checkpointing = Checkpointing(folder, Identity({"contest": "c" * 64, "folds": "f" * 64}), token, every_s=1e-9)
    return replace(checkpointing, **changes)


def crash_at(task: FoldTask, phase: str, epoch: int, step: int) -> None:
    """Train until that report, and end there as a killed process does: with what was on the disk at that time."""

    def report(item: object) -> None:
        if isinstance(item, Progress) and (item.phase, item.epoch, item.step) == (phase, epoch, step):
            raise Crash

    with pytest.raises(Crash):
        train_fold(task, report=report, should_stop=lambda: False)


def resumed(folder: Path, task: FoldTask, token: int) -> FoldTask:
    """The next attempt at the same fold."""
    assert task.checkpointing is not None
    out_dir = folder / f"attempt-{token}"
    out_dir.mkdir()
    return replace(task, out_dir=out_dir, checkpointing=replace(task.checkpointing, token=token))


@contextmanager
def written_at_once() -> Iterator[None]:
    """Inside, every checkpoint is on the disk before training goes on, however slow that is."""
    start = CheckpointWriter._start  # pyright: ignore[reportPrivateUsage]

    def start_and_wait(writer: CheckpointWriter) -> None:
        start(writer)
        writer._join()  # pyright: ignore[reportPrivateUsage]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CheckpointWriter, "_start", start_and_wait)
        yield


def stopped_task(folder: Path, recipe: Recipe | None = None, **changes: Any) -> FoldTask:
    """A fold, of texts by default, that was stopped after two steps of its second epoch: its next attempt.

    Its two checkpoints are of those steps: each was on the disk before training went on.
    """
    task = make_task(folder, recipe or recipe_of(TEXT, **HARD), checkpointing=checkpointing_of(folder / "checkpoints"), **changes)
    with written_at_once():
        crash_at(task, "training", 2, 3)
    return resumed(folder, task, 2)


def rewrite_manifest(folder: Path, *, without_facts: tuple[str, ...] = ()) -> None:
    """Make the manifest true again after files were changed or removed: the checkpoint verifies, and is not whole."""
    raw = json.loads((folder / MANIFEST).read_text())
    raw["files"] = {name: sha256_file(folder / name) for name in raw["files"] if (folder / name).exists()}
    raw["facts"] = {name: value for name, value in raw["facts"].items() if name not in without_facts}
    del raw[OWN_HASH]  # it may be without one
    (folder / MANIFEST).write_text(json.dumps(raw))
