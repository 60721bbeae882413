"""Writes a fold's state: every so many seconds, at the ends of epochs, and at once when training is told to stop.

Training waits only for a copy in memory; a thread writes, hashes and syncs it. A write that fails is raised at the next step.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from core.artefacts import load_manifest, publishing
from core.base.errors import AlignmentError
from core.specs.progress import Interrupted
from core.training.checkpoint import (
    KIND,
    LAYOUT,
    Checkpointing,
    checkpoint_name,
    list_checkpoints,
    newest_verified,
    prune,
    remove_checkpoints,
    remove_unfinished,
)
from core.training.state import Snapshot, TrainState

AFFORDABLE = 0.01
"""The share of the time that checkpoints at the ends of epochs may take; those of the clock are few."""

log = logging.getLogger(__name__)


class CheckpointWriter:
    """Writes checkpoints of one fold. A context: when training is interrupted inside it, the state is written before it ends."""

    def __init__(self, checkpointing: Checkpointing | None, state: TrainState, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._checkpointing = checkpointing
        self._state = state
        self._clock = clock
        self._saved_at = clock()
        self._saved = (state.position.epoch, state.position.step)
        self._cost_s = 0.0
        self._waited_s = 0.0
        self._wrote_s = 0.0
        self._n_written = 0
        self._thread: threading.Thread | None = None
        self._problem: BaseException | None = None
        self.restarted_for = ""
        """What changed since checkpoints of an older version, so that the fold starts anew; "" when it does not."""

    def __enter__(self) -> CheckpointWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(problem, Interrupted):
            self.save()
        self._join()
        if kind is None or isinstance(problem, Interrupted):
            self._raise_problem()

    def resume(self) -> bool:
        """Bring the state to the newest checkpoint that verifies; False when there is none.

        Raises AlignmentError when it was made from other data, folds, settings or versions, CheckpointError when it is not whole. One of
        an older layout, whose fingerprints were computed in another way, cannot be told from that: then the fold starts anew, and says so.
        """
        if self._checkpointing is None:
            return False
        folder, identity = self._checkpointing.folder, self._checkpointing.identity
        remove_unfinished(folder)
        try:
            found = newest_verified(folder, identity)
        except AlignmentError as refusal:
            newest = load_manifest(list_checkpoints(folder)[0].path)
            if newest.facts.get("layout") == LAYOUT:
                raise
            self.restarted_for = ", ".join(identity.changed(newest))
            log.warning("its checkpoints are of an older version, so this fold starts anew: %s", refusal.why)
            remove_checkpoints(folder)
            return False
        if found is None:
            return False
        self._state.restore(found.path)
        self._saved = (found.epoch, found.step)
        log.info("resumed from %s: epoch %d, %d steps done", found.path.name, found.epoch, found.step)
        return True

    def after_step(self) -> None:
        """Write the state if it is time to."""
        self._raise_problem()
        if self._checkpointing is not None and self._clock() - self._saved_at >= self._checkpointing.every_s:
            self._start()

    def after_epoch(self, *, is_last: bool) -> None:
        """Write the state if that is affordable; after the last epoch always, so that predicting never costs the training."""
        if self._checkpointing is None:
            return
        if is_last:
            self._join()
        rested = self._clock() - self._saved_at
        if is_last or (self._n_written and rested >= self._cost_s / AFFORDABLE) or rested >= self._checkpointing.every_s:
            self._start()

    def save(self) -> None:
        """Write the state now, and wait until it is on the disk."""
        self._join()
        if self._checkpointing is not None:
            self._start()
            self._join()

    @property
    def facts(self) -> dict[str, float | int]:
        """What it took: checkpoints written, seconds that training waited for them, seconds of the writing thread."""
        return {"written": self._n_written, "waited_s": round(self._waited_s, 3), "wrote_s": round(self._wrote_s, 3)}

    def _start(self) -> None:
        """Copy the state and hand it to a thread; nothing while one is still being written, or when this state is there."""
        position = self._state.position
        now = (position.epoch, position.step)
        if now == self._saved or (self._thread is not None and self._thread.is_alive()):
            return
        self._join()
        began = self._clock()
        snapshot = self._state.snapshot()
        self._saved_at, self._saved = began, now
        self._waited_s += self._clock() - began
        self._thread = threading.Thread(target=self._write, args=(snapshot, began), name="checkpoint")
        self._thread.start()

    def _write(self, snapshot: Snapshot, began: float) -> None:
        checkpointing, position = self._checkpointing, snapshot.position
        assert checkpointing is not None
        try:
            write_checkpoint(checkpointing, snapshot)
        except BaseException as problem:  # noqa: BLE001  # raised again in the training thread, where it is typed
            self._problem = problem
            return
        spent = self._clock() - began
        self._cost_s, self._wrote_s, self._n_written = spent, self._wrote_s + spent, self._n_written + 1
        log.info("checkpoint: epoch %d, %d steps done, %.2f s", position.epoch, position.step, spent)

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _raise_problem(self) -> None:
        if self._problem is not None:
            problem, self._problem = self._problem, None
            raise problem


def write_checkpoint(checkpointing: Checkpointing, snapshot: Snapshot) -> Path:
    """Publish a snapshot as the newest checkpoint, then remove the oldest ones; returns its folder."""
    position = snapshot.position
    destination = checkpointing.folder / checkpoint_name(position.epoch, position.step, checkpointing.token)
    facts = {
        "layout": LAYOUT,
        "epoch": position.epoch,
        "step": position.step,
        "n_steps": checkpointing.n_steps,
        "best_epoch": position.best_epoch,
        "scores": position.epochs[-1]["scores"] if position.epochs else {},
        "created_at": time.time(),
    }
    with publishing(destination, kind=KIND, parents=checkpointing.identity.facts, facts=facts) as folder:
        snapshot.write(folder)
    prune(checkpointing.folder, keep=checkpointing.keep, token=checkpointing.token)
    return destination
