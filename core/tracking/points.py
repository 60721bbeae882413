"""From what a training fold says to what is drawn: thinned losses by step, and one row of values per epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.specs.progress import EpochReport, Progress
from core.store.runs import EpochRow
from core.tracking.tracker import EPOCH, Point

MAX_STEPS = 1000
"""About how many losses of single steps are kept of a fold."""


@dataclass(frozen=True)
class Begin:
    """Where an attempt begins: what an earlier one told of this step or later ones is void. `known` are the epochs before it."""

    step: int
    known: tuple[Point, ...]


class Points:
    """Reports of one attempt in, points out. One that goes on from a checkpoint first tells the finished epochs again."""

    def __init__(self) -> None:
        self._n_steps = 0
        self._told: list[tuple[EpochReport, float]] = []

    def take(self, said: Progress | EpochReport, at: float) -> tuple[Begin | Point, ...]:
        """What one report adds; most add nothing."""
        if isinstance(said, EpochReport):
            if self._n_steps:
                return (self._of_epoch(said, at),)
            self._told.append((said, at))
            return ()
        if said.phase in ("starting", "loading", "saving") or not said.epoch or not said.n_steps:
            return ()
        is_training = said.phase == "training"
        step = (said.epoch - 1) * said.n_steps + said.step if is_training else said.epoch * said.n_steps
        begun = () if self._n_steps else (self._begin(step if is_training else step + 1, said.n_steps),)
        stride = -(-said.n_epochs * said.n_steps // MAX_STEPS)
        if is_training and said.train_loss is not None and (step == 1 or step % stride == 0):
            return (*begun, Point(step, at, {"loss/train_step": said.train_loss}))
        return begun

    def _begin(self, step: int, n_steps: int) -> Begin:
        self._n_steps = n_steps
        return Begin(step, tuple(self._of_epoch(said, at) for said, at in self._told))

    def _of_epoch(self, said: EpochReport, at: float) -> Point:
        return Point(said.epoch * self._n_steps, at, epoch_values(said))


def epoch_values(said: EpochReport | EpochRow) -> Mapping[str, float]:
    """The values of one epoch by the names under which they are drawn."""
    scores = {f"score/{name}": score for name, score in said.scores.items()}
    return {"loss/train": said.train_loss, "loss/valid": said.valid_loss, **scores, "train/lr": said.lr, EPOCH: float(said.epoch)}
