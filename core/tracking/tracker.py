"""What a tracker is: something that is told the points of one fold. The three that there are have one file each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, cast

EPOCH = "train/epoch"
"""The value that marks a point as one of a whole epoch."""

Outcome = Literal["done", "failed", "stopped"]


@dataclass(frozen=True)
class TrackedFold:
    """One attempt at one fold, in the words of a tracker. Plain values: it goes to another process as JSON.

    `key` is the same for all attempts at this fold and for no other fold in the world. `settings` are the recipe's, by dotted
    path; `recipe` is the same as YAML. Times are epoch seconds.
    """

    root: str
    contest: str
    run: str
    ref: str
    fold: int
    token: int
    started_at: float
    key: str
    events_dir: str
    notes_path: str
    points_path: str
    trackers: tuple[str, ...]
    project: str
    recipe: str
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What this fold is called where runs of all contests stand side by side."""
        return f"{self.contest}/{self.run}/fold-{self.fold}"

    @property
    def logs_dir(self) -> Path:
        """Where trackers that keep files keep them."""
        return Path(self.root) / "logs"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrackedFold:
        """The inverse of `to_dict`."""
        return cls(**cast("dict[str, Any]", {**values, "trackers": tuple(values["trackers"])}))


@dataclass(frozen=True)
class Point:
    """Some values at one optimiser step, counted from 1 over all epochs; `at` is in epoch seconds."""

    step: int
    at: float
    values: Mapping[str, float]

    @property
    def is_epoch(self) -> bool:
        """Whether these are the values of a whole epoch, told at its last step."""
        return EPOCH in self.values


class Tracker(Protocol):
    """One fold as a tracker keeps it. Opening it takes all points there are so far; afterwards each point comes once, in order.

    Any exception ends this tracker, and nothing else.
    """

    @property
    def place(self) -> str:
        """Where a person finds it: an address, or a folder."""
        ...

    @property
    def command(self) -> str:
        """What a person types to look at it, "" when the address is enough."""
        ...

    def log(self, points: Sequence[Point]) -> None:
        """Add points."""
        ...

    def close(self, outcome: Outcome) -> None:
        """End it, with all that was logged delivered."""
        ...


class Opener(Protocol):
    """How a tracker is opened: `history` is what earlier attempts left; `record` names what they and this one write, and nothing else does."""

    def __call__(self, fold: TrackedFold, history: Sequence[Point], record: str) -> Tracker: ...
