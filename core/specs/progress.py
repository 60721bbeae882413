"""What a training fold says while it works, and how it ends when it is told to stop.

Imports nothing heavy: the store, the engine and the pages read these without torch.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

Phase = Literal[
    "starting", "loading", "caching", "tokenizing", "checking", "training", "validating", "averaging", "predicting", "saving", "exporting"
]


@dataclass(frozen=True)
class Progress:
    """Where a job is, `fold` where it trains one. Epochs and steps count from 1; 0 means that none has begun.

    `pace_per_s` is in rows per second, `eta_s` the seconds until this fold ends; both are None while unknown.
    """

    phase: Phase
    fold: int | None = None
    epoch: int = 0
    n_epochs: int = 0
    step: int = 0
    n_steps: int = 0
    pace_per_s: float | None = None
    eta_s: float | None = None
    train_loss: float | None = None
    message: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; a key that is not a field is an error (TypeError)."""
        return cls(**values)

    @property
    def fraction(self) -> float:
        """Share of this fold's training that is done, 0 to 1, counted in steps over all epochs; of a job that trains nothing, of its own steps."""
        if self.phase in ("checking", "exporting") or (self.phase == "predicting" and not self.n_epochs):
            return self.step / max(1, self.n_steps)
        if self.phase in ("averaging", "predicting", "saving"):
            return 1.0
        if not self.n_epochs or not self.n_steps or not self.epoch:
            return 0.0
        return min(1.0, ((self.epoch - 1) * self.n_steps + self.step) / (self.n_epochs * self.n_steps))


@dataclass(frozen=True)
class EpochReport:
    """What one epoch ended with. `scores` holds every metric by name, on the fold's validation rows.

    `train_loss` is the mean of what was minimised, `train_log_loss` the plain cross-entropy of the same rows against their truth,
    which compares with `valid_loss`; None in epochs of before it was recorded, when both were the same. `train_accuracy` is the share of
    them that was right when they were learned from, augmented and under dropout, so it may lie below that of validation rows; where
    a row has shares of several classes, the largest is its truth. Where MixUp or CutMix mixes rows, both are of mixed rows. None where a part of the epoch was trained before it was recorded.
    """

    fold: int
    epoch: int
    n_epochs: int
    train_loss: float
    valid_loss: float
    scores: dict[str, float]
    lr: float
    elapsed_s: float
    train_log_loss: float | None = None
    train_accuracy: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able values."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


class Interrupted(Exception):
    """Training was told to stop and did, within a step. Not an error: a job that is cancelled or handed back raises it."""
