"""Trackers: what there are, what each is told of a fold, and what became of it. Imports none of their libraries."""

import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel

from core.base.errors import NotFoundError, RecipeError
from core.base.files import pip_command
from core.base.messages import from_json, to_json
from core.workspace import Workspace

TITLES = {"tensorboard": "TensorBoard", "wandb": "Weights & Biases", "mlflow": "MLflow"}
"""Each as its makers write it; it is in the file of its name here, which imports the library of that name."""
OPENERS = {"wandb": "WandbFold", "mlflow": "MlflowFold"}
PACKAGES = {"tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow-skinny"}
EPOCH = "train/epoch"
"""The value that marks a point as one of a whole epoch."""

Outcome = Literal["done", "failed", "stopped"]
NoteState = Literal["open", "closed", "failed"]
IsInstalled = Callable[[str], bool]

log = logging.getLogger(__name__)


class TrackedFold(BaseModel, frozen=True):
    """One attempt at one fold, in the words of a tracker. It goes to another process as JSON.

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
    tracking_dir: str
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

    def notes_of(self, tracker: str) -> Path:
        """Where it is kept what became of a tracker."""
        return notes_path(Path(self.tracking_dir), self.fold, tracker)


@dataclass(frozen=True)
class Point:
    """Some values at one optimiser step, counted from 1 over all epochs; `at` is in epoch seconds."""

    step: int
    at: float
    values: Mapping[str, float]

    @property
    def is_epoch(self) -> bool:
        """Whether these are the values of a whole epoch, given at its last step."""
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

    def log(self, points: Sequence[Point]) -> None: ...

    def close(self, outcome: Outcome) -> None:
        """End it, with all that was logged delivered."""
        ...


class Opener(Protocol):
    """How a tracker is opened: `history` is what earlier attempts left; `record` names what they and this one write, and nothing else does."""

    def __call__(self, fold: TrackedFold, history: Sequence[Point], record: str) -> Tracker: ...


def is_installed(tracker: str) -> bool:
    """Whether the library can be imported; a folder that happens to have its name (W&B makes one) does not count."""
    spec = find_spec(tracker)
    return spec is not None and spec.origin is not None


def install_command(tracker: str) -> str:
    """What brings the library into the environment that this process runs in."""
    return pip_command(PACKAGES[tracker])


def check_trackers(trackers: Sequence[str], is_installed: IsInstalled = is_installed) -> None:
    """Refuse a choice of trackers whose libraries are not here, with the command that brings them."""
    missing = [tracker for tracker in dict.fromkeys(trackers) if not is_installed(tracker)]
    if missing:
        raise RecipeError(
            "{names} is not installed" if len(missing) == 1 else "{names} are not installed",
            where="tracking.trackers",
            why="the recipe asks that the run is recorded there",
            fix="{command} — or take it out of the recipe",
            names=" and ".join(missing),
            command=" && ".join(map(install_command, missing)),
        )


def opener(tracker: str) -> Opener:
    """The function that opens a tracker; imports its library. NotFoundError says how to install what is missing."""
    if not is_installed(tracker):
        raise NotFoundError(
            "{names} is not installed", where="tracking", why="it is needed to record the run", fix=install_command(tracker), names=tracker
        )
    return getattr(import_module(f"core.tracking.{tracker}"), OPENERS[tracker])


@dataclass(frozen=True)
class Note:
    """One tracker of one fold: where a person finds it, and what to type to look at it. `problem` and `fix` are for one that failed."""

    tracker: str
    state: NoteState = "open"
    place: str = ""
    command: str = ""
    problem: str = ""
    fix: str = ""

    @property
    def title(self) -> str:
        """The tracker's name as its makers write it."""
        return TITLES[self.tracker]


@dataclass(frozen=True)
class FoldNotes:
    """A tracker of the newest attempt at a fold. No fact of the project depends on it: it is a file beside the logs."""

    fold: int
    token: int
    notes: tuple[Note, ...]


def read_notes(path: Path) -> FoldNotes | None:
    """The notes in one file; None where there is none, or none that can be read."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        kept: list[dict[str, Any]] = [{**note, **{name: from_json(note[name]) for name in ("problem", "fix")}} for note in raw["notes"]]
        return FoldNotes(raw["fold"], raw["token"], tuple(Note(**note) for note in kept))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as problem:
        log.warning("%s cannot be read: %s", path, problem)
        return None


def write_notes(path: Path, notes: FoldNotes) -> None:
    """Replace the notes, unless those of a later attempt are there already; an error of the disk is logged."""
    try:
        before = read_notes(path)
        if before is not None and before.token > notes.token:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        kept = [{**asdict(note), "problem": to_json(note.problem), "fix": to_json(note.fix)} for note in notes.notes]
        content = {"fold": notes.fold, "token": notes.token, "notes": kept}
        aside.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        aside.replace(path)
    except OSError as problem:
        log.warning("what became of the trackers could not be kept: %s", problem)


def notes_path(folder: Path, fold: int, tracker: str = "") -> Path:
    """Where the notes of a fold's tracker are; without one, of all trackers that its recipe named, as until 0.1."""
    return folder / (f"fold-{fold}.{tracker}.json" if tracker else f"fold-{fold}.json")


def notes_of_run(workspace: Workspace, run_id: int, folds: Iterable[int]) -> tuple[FoldNotes, ...]:
    """The notes of a run's folds, those that there are."""
    paths = [notes_path(workspace.tracking_dir(run_id), fold, tracker) for fold in folds for tracker in ("", *TITLES)]
    return tuple(notes for path in paths if (notes := read_notes(path)) is not None)
