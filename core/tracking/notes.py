"""What became of the trackers of a fold, for the screen: where each one is, and why one stopped. Files beside the logs.

No fact of the project depends on them: a note that is lost costs a line on the page of a run.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from core.workspace import Workspace

TITLES = {"tensorboard": "TensorBoard", "wandb": "Weights & Biases", "mlflow": "MLflow"}
NoteState = Literal["open", "closed", "failed"]

log = logging.getLogger(__name__)


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
    """All trackers of the newest attempt at a fold."""

    fold: int
    token: int
    notes: tuple[Note, ...]


def read_notes(path: Path) -> FoldNotes | None:
    """The notes in one file; None where there is none, or none that can be read."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return FoldNotes(raw["fold"], raw["token"], tuple(Note(**note) for note in raw["notes"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as problem:
        log.warning("%s cannot be read: %s", path, problem)
        return None


def write_notes(path: Path, said: FoldNotes) -> None:
    """Replace the notes, unless those of a later attempt are there already."""
    before = read_notes(path)
    if before is not None and before.token > said.token:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    aside.write_text(json.dumps(asdict(said), ensure_ascii=False), encoding="utf-8")
    aside.replace(path)


def notes_of_run(workspace: Workspace, run_id: int, folds: Iterable[int]) -> tuple[FoldNotes, ...]:
    """The notes of a run's folds, those that there are."""
    found = (read_notes(workspace.tracking_dir(run_id) / f"fold-{fold}.json") for fold in folds)
    return tuple(notes for notes in found if notes is not None)
