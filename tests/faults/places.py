"""Places in a worker where something can be made to happen: patched into a fork of it, never into a real one."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.jobs import fold as fold_kind, worker
from core.predictions import oof as predictions
from core.specs.progress import EpochReport, Progress
from core.store import attempts
from core.training import checkpoint, fold, state
from core.training.checkpoint import Checkpointing
from core.training.state import CheckpointWriter, Snapshot

Strike = Callable[[], object]


def kill_self() -> None:
    """End this process with -9."""
    os.kill(os.getpid(), signal.SIGKILL)


def ask_to_stop() -> None:
    """Be told to stop, as by a person's terminal."""
    os.kill(os.getpid(), signal.SIGTERM)


def keep_every(seconds: float) -> None:
    """Checkpoints more often than a recipe may ask for."""

    def checkpointing(**given: Any) -> Checkpointing:
        return Checkpointing(**{**given, "every_s": seconds})

    checkpoint.Checkpointing = checkpointing  # type: ignore[misc, assignment]


def keep_every_step() -> None:
    """A checkpoint after every step and every epoch, each on the disk before training goes on."""
    keep_every(1e-9)
    start, join = CheckpointWriter._start, CheckpointWriter._join  # pyright: ignore[reportPrivateUsage]

    def start_and_wait(self: CheckpointWriter) -> None:
        start(self)
        join(self)

    CheckpointWriter._start = start_and_wait  # pyright: ignore[reportPrivateUsage]


def at_checkpoint(strike: Strike, *, before: bool, at: tuple[int, int] | None = None, number: int = 0) -> None:
    """Before or after the checkpoint `at` (epoch, steps done) is written, or the one of that number from 1."""
    write, n_written = state.write_checkpoint, 0

    def write_and_strike(checkpointing: Checkpointing, snapshot: Snapshot) -> Path:
        nonlocal n_written
        n_written += 1
        is_here = (snapshot.position.epoch, snapshot.position.step) == at or n_written == number
        if is_here and before:
            strike()
        path = write(checkpointing, snapshot)
        if is_here and not before:
            strike()
        return path

    state.write_checkpoint = write_and_strike


def at_report(strike: Strike, phase: str, at: tuple[int, int] = (0, 0)) -> None:
    """When training says that it is in this phase of (epoch, step)."""
    report = worker.Reporter.report

    def report_and_strike(self: worker.Reporter, said: Progress | EpochReport) -> None:
        report(self, said)
        if isinstance(said, Progress) and (said.phase, said.epoch, said.step) == (phase, *at):
            strike()

    worker.Reporter.report = report_and_strike  # type: ignore[method-assign]


def before_weights(strike: Strike) -> None:
    """Before the best weights are written into the artefact."""
    fold.save_network = _striking_before(fold.save_network, strike)


def before_predictions(strike: Strike) -> None:
    """Before the arrays are written into the artefact."""
    predictions.write_fold_predictions = _striking_before(predictions.write_fold_predictions, strike)


def before_manifest(strike: Strike) -> None:
    """Before the artefact's last file is written, the scores, which its manifest follows."""
    fold_kind.write_json = _striking_before(fold_kind.write_json, strike)


def before_commit(strike: Strike) -> None:
    """When the artefact is there, and its row is not."""
    attempts.finish = _striking_before(attempts.finish, strike)


def after_commit(strike: Strike) -> None:
    """When the row is there, and nothing is cleaned up yet."""
    finish = attempts.finish

    def finish_and_strike(*given: Any, **named: Any) -> None:
        finish(*given, **named)
        strike()

    attempts.finish = finish_and_strike


def _striking_before(write: Callable[..., Any], strike: Strike) -> Callable[..., Any]:
    def strike_and_write(*given: Any, **named: Any) -> Any:
        strike()
        return write(*given, **named)

    return strike_and_write
