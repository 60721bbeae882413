"""A2. A checkpoint, the predictions of a fold and a submission are written, and the writer is killed with -9 at every system call.

Afterwards there is a state that loads, never older than the one acknowledged before; nothing half; and the same write succeeds.
The bug to plant: a writer that writes in place instead of aside.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from core.artefacts import MANIFEST, OWN_HASH, publishing, verify
from core.base.errors import PitwallError
from core.base.files import fingerprint, sha256_file, write_json
from core.contest import samples  # noqa: F401  # imported by a submission when it is written: not to be followed
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.contest.table import load_table
from core.folds import save_folds
from core.predictions.oof import FoldPredictions, write_fold_predictions
from core.predictions.source import source_of
from core.specs.folds import FoldsSpec
from core.store.blends import list_submissions
from core.store.runs import get_run
from core.submission import write as submission
from core.training import state
from core.training.averaging import make_average
from core.training.checkpoint import Checkpointing, Identity, list_checkpoints, list_quarantined, newest_verified, remove_unfinished
from core.training.network import save_weights
from core.training.state import TrainPosition, TrainState, write_checkpoint
from core.workspace import open_workspace
from tests.conftest import write_headlines_to
from tests.faults.fault import Given, Outcome, main
from tests.faults.stepper import count_calls, kill_at
from tests.finished_workspace import finish_run, make_recipe, read_fold_predictions

FULL_N = 10**6
"""Every call of all three; how many there are depends on the libraries, and is what is printed."""


class Writer(Protocol):
    """One thing that is written. `prepare` makes a folder with what was acknowledged before, `write` is what is killed.

    `look` says what is wrong afterwards: "" when nothing is; `is_acknowledged` tells whether the write had returned.
    """

    name: str

    def prepare(self, folder: Path) -> None: ...

    def write(self, folder: Path) -> None: ...

    def look(self, folder: Path, *, is_acknowledged: bool) -> str: ...


def run(given: Given) -> Outcome:
    """`n` kills, spread evenly over the calls of the writers; as many as there are calls by default."""
    torch.set_num_threads(1)
    outcome, writers = Outcome(), (Checkpoints(), Predictions(), Submissions(given.root / "finished"))
    calls: list[tuple[Writer, int]] = []
    for writer in writers:
        folder = given.root / f"{writer.name}-calm"
        writer.prepare(folder)
        n_calls = count_calls(lambda writer=writer, folder=folder: writer.write(folder))
        if problem := writer.look(folder, is_acknowledged=True):
            outcome.wrong(f"{writer.name}, not killed: {problem}")
        n_asked = min(n_calls, -(-given.n // len(writers)))
        calls += [(writer, 1 + number * n_calls // n_asked) for number in range(n_asked)]
        outcome.notes.append(f"{writer.name}: {n_calls} system calls")
    outcome.n = len(calls)
    notes, outcome.notes = outcome.notes, []
    for writer, call in calls:
        folder = given.root / f"{writer.name}-{call}"
        writer.prepare(folder)
        _strike(writer, folder, call, given, outcome)
        shutil.rmtree(folder)
    outcome.notes += notes
    return outcome


def _strike(writer: Writer, folder: Path, call: int, given: Given, outcome: Outcome) -> None:
    def work() -> None:
        if given.is_mutant:
            for module in (state, submission, sys.modules[__name__]):
                module.publishing = _in_place  # type: ignore[attr-defined]
        writer.write(folder)

    where = f"{writer.name}, killed at call {call}"
    was_killed = kill_at(work, call)
    try:
        problem = writer.look(folder, is_acknowledged=not was_killed)
    except PitwallError as refusal:
        problem = str(refusal)
    if problem:
        outcome.wrong(f"{where}: {problem}")
        return
    try:
        writer.write(folder)
        problem = writer.look(folder, is_acknowledged=True)
    except PitwallError as refusal:
        problem = str(refusal)
    if problem:
        outcome.wrong(f"{where}, and then written again: {problem}")


class Checkpoints:
    """The third checkpoint of a fold that keeps two: the first one is removed after it is there."""

    name = "checkpoint"
    identity = Identity({"recipe": "r" * 64})

    def __init__(self) -> None:
        self.states = [self._state(number) for number in (1, 2, 3)]
        self.expected = [state.snapshot() for state in self.states]

    def prepare(self, folder: Path) -> None:
        folder.mkdir()
        for before in self.states[:2]:
            write_checkpoint(Checkpointing(folder, self.identity, 1), before.snapshot())

    def write(self, folder: Path) -> None:
        write_checkpoint(Checkpointing(folder, self.identity, 1), self.expected[2])

    def look(self, folder: Path, *, is_acknowledged: bool) -> str:
        remove_unfinished(folder)
        found = newest_verified(folder, self.identity)
        if found is None or list_quarantined(folder):
            return "nothing to resume from" if found is None else "a checkpoint had to be set aside"
        if found.epoch < (3 if is_acknowledged else 2):
            return f"older than acknowledged: epoch {found.epoch}"
        state = self._state(9)
        state.restore(found.path)
        now, expected = state.snapshot(), self.expected[found.epoch - 1]
        if now.position != expected.position or not all(
            torch.equal(now.files[name][key], tensor) for name, tensors in expected.files.items() for key, tensor in tensors.items()
        ):
            return "it is not what was written"
        n_left = len(list_checkpoints(folder))
        return f"{n_left} checkpoints are left" if is_acknowledged and n_left != 2 else ""

    @staticmethod
    def _state(number: int) -> TrainState:
        """A small network in the epoch `number`, after a step with an average."""
        torch.manual_seed(number)
        model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 2))
        average = make_average(model, 0.9)
        optimizer = torch.optim.AdamW(model.parameters())
        model(torch.randn(5, 4)).sum().backward()
        optimizer.step()
        assert average is not None
        average.update_parameters(model)
        best = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        return TrainState(model, optimizer, average, TrainPosition(epoch=number, step=2), {1: best})


class Predictions:
    """The artefact of a fold, as a worker publishes it, beside one of an attempt before that was not committed."""

    name = "predictions"

    def __init__(self) -> None:
        prob = np.random.default_rng(0).dirichlet(np.ones(3), 40).astype(np.float32)
        self.given = FoldPredictions(np.arange(30), prob[:30], prob[30:])
        self.weights = {"layer.weight": torch.randn(3, 4), "layer.bias": torch.randn(3)}

    def prepare(self, folder: Path) -> None:
        self._publish(folder / "attempt-1")

    def write(self, folder: Path) -> None:
        self._publish(folder / "attempt-2")

    def look(self, folder: Path, *, is_acknowledged: bool) -> str:
        if is_acknowledged and not (folder / "attempt-2").exists():
            return "it is gone"
        for path in sorted(folder.glob("attempt-*")):
            files = verify(path).files
            found = read_fold_predictions(path)
            same = all(np.array_equal(getattr(found, name), getattr(self.given, name)) for name in ("valid_idx", "valid_prob", "test_prob"))
            if not same or sorted(files) != sorted(file.name for file in path.iterdir() if file.name != MANIFEST):
                return f"{path.name} is not what was written"
        return "" if (folder / "attempt-1").exists() else "the attempt before is gone"

    def _publish(self, destination: Path) -> None:
        with publishing(destination, kind="fold", parents={"recipe": "r"}, facts={"fold": 0}) as folder:
            save_weights(self.weights, folder)
            write_fold_predictions(folder, self.given)
            write_json(folder / "fold.json", {"fold": 0, "scores": {"accuracy": 0.5}})


class Submissions:
    """The submission of a finished run, in a workspace where one of another run was written before."""

    name = "submission"

    def __init__(self, finished: Path) -> None:
        space = open_workspace(finished)
        contest = add_contest(space, inspect_path(write_headlines_to(finished / "source")).draft)
        folds = save_folds(space, contest, FoldsSpec(n_folds=2))
        runs = [finish_run(space, contest, folds, make_recipe(contest, f"run-{seed}"), seed=seed) for seed in (1, 2)]
        load_table(space, contest)
        self.finished, self.run_id = finished, runs[1].id
        before = submission.write_submission(source_of(space, runs[0]))
        self.before = before.sha256
        self.expected = submission.prepare(source_of(space, runs[1])).data
        space.store.close()

    def prepare(self, folder: Path) -> None:
        # Published files never change, so that a link is as good as a copy; the database does.
        shutil.copytree(self.finished, folder, copy_function=os.link)
        (folder / "pitwall.db").unlink()
        shutil.copy(self.finished / "pitwall.db", folder)

    def write(self, folder: Path) -> None:
        space = open_workspace(folder)
        run = get_run(space.store, self.run_id)
        submission.write_submission(source_of(space, run))
        space.store.close()

    def look(self, folder: Path, *, is_acknowledged: bool) -> str:
        space = open_workspace(folder)
        try:
            *new, before = list_submissions(space.store)
            if before.sha256 != self.before or sha256_file(space.absolute(before.path)) != self.before:
                return "the submission before is not as it was"
            if is_acknowledged and not new:
                return "it is gone"
            if any(submission.read_submission(space, item) != self.expected for item in new):
                return "it has other bytes"
            for path in (folder / "contests").glob("*/submissions/[!.]*"):
                verify(path)
        finally:
            space.store.close()
        with sqlite3.connect(folder / "pitwall.db") as connection:
            (said,) = connection.execute("PRAGMA integrity_check").fetchone()
        connection.close()
        return "" if said == "ok" else f"the database says: {said}"


@contextmanager
def _in_place(destination: Path, *, kind: str, parents: Mapping[str, str], facts: Mapping[str, Any] | None = None) -> Iterator[Path]:
    destination.mkdir(parents=True)
    yield destination
    files = {path.name: sha256_file(path) for path in destination.iterdir()}
    content = {"kind": kind, "parents": dict(parents), "files": files, "facts": dict(facts or {})}
    write_json(destination / MANIFEST, content | {OWN_HASH: fingerprint(content)})


if __name__ == "__main__":
    sys.exit(main(run, full_n=FULL_N))
