"""The checkpoints of one fold on disk: which there are, which of them verify, which may go. Imports no torch: pages list them.

A checkpoint is an artefact `epoch-3-step-120-attempt-2`: everything that cannot be derived, after so many steps of that epoch.
Attempts of one fold share the folder; each writes under its own name and removes none of a later attempt.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.artefacts import Manifest, load_manifest, verify
from core.base.errors import AlignmentError, CheckpointError
from core.base.files import shown_path
from core.base.messages import joined, msg, reason
from core.specs.progress import EpochReport

KIND = "checkpoint"
QUARANTINE = "quarantine"
STATE_FILE = "state.json"
LAYOUT = 5
"""The layout of a checkpoint. Layout 1 (until 0.1) has no number, other fingerprints, and no sum of the plain cross-entropy;
layout 2 does not count the training rows that were right, layout 3 knows no changes of the number of threads,
layout 4 no weights but those of the best epoch."""
NAME = re.compile(r"epoch-(\d+)-step-(\d+)-attempt-(\d+)")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Identity:
    """What a fold is trained from: fingerprints and versions by name. A checkpoint of another identity is not resumed from."""

    facts: Mapping[str, str]

    def changed(self, manifest: Manifest) -> list[str]:
        """The names by which a checkpoint's identity differs from this one."""
        before = manifest.parents
        names = [*self.facts, *(name for name in before if name not in self.facts)]
        return [name for name in names if before.get(name) != self.facts.get(name)]

    def check(self, checkpoint: Checkpoint, manifest: Manifest) -> None:
        """Raise AlignmentError, naming every difference, unless the checkpoint was made from the same."""
        before, differ = manifest.parents, self.changed(manifest)
        if differ:
            raise AlignmentError(
                "this fold cannot be resumed: {names} changed",
                where=shown_path(checkpoint.path),
                why=joined(
                    "; ",
                    (
                        msg("{name} was {before}, is {now}", name=name, before=_short(before.get(name)), now=_short(self.facts.get(name)))
                        for name in differ
                    ),
                ),
                fix="bring back what it was made with, or retry the run from nothing",
                names=", ".join(differ),
            )


@dataclass(frozen=True)
class Checkpointing:
    """Where one attempt writes its checkpoints, made from what, how often (seconds), and how many stay.

    `n_steps` of an epoch are written beside the position, for those who say how far a waiting job is.
    """

    folder: Path
    identity: Identity
    token: int
    every_s: float = 20.0
    keep: int = 2
    n_steps: int = 0


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint by its name: `step` steps of `epoch` were done (0: the epoch has not begun), in attempt `token`."""

    path: Path
    epoch: int
    step: int
    token: int

    @property
    def facts(self) -> Mapping[str, Any]:
        """What its manifest says beside the hashes: best epoch, scores of the last epoch, when it was made."""
        return load_manifest(self.path).facts

    def reports(self) -> tuple[EpochReport, ...]:
        """The epochs that were finished when it was written. Raises CheckpointError where it cannot be read."""
        try:
            state = json.loads((self.path / STATE_FILE).read_text(encoding="utf-8"))
            return tuple(EpochReport(**report) for report in state["position"]["epochs"])
        except (OSError, ValueError, KeyError, TypeError) as problem:
            fix = "the checkpoint before it can be resumed from; else retry the run from nothing"
            raise CheckpointError("a checkpoint cannot be read", where=str(self.path / STATE_FILE), why=reason(problem), fix=fix) from None


def checkpoint_name(epoch: int, step: int, token: int) -> str:
    return f"epoch-{epoch}-step-{step}-attempt-{token}"


def list_checkpoints(folder: Path) -> tuple[Checkpoint, ...]:
    """The checkpoints in a fold's folder, the newest first; whether they verify is not looked at."""
    if not folder.is_dir():
        return ()
    found = [
        Checkpoint(path, *(int(number) for number in match.groups()))
        for path in folder.iterdir()
        if (match := NAME.fullmatch(path.name)) and path.is_dir()
    ]
    return tuple(sorted(found, key=lambda item: (item.epoch, item.step, item.token), reverse=True))


def list_quarantined(folder: Path) -> tuple[Checkpoint, ...]:
    """The damaged checkpoints that were set aside."""
    return list_checkpoints(folder / QUARANTINE)


def newest_verified(folder: Path, identity: Identity) -> Checkpoint | None:
    """The newest checkpoint whose every byte is as it was written; damaged ones on the way are put into quarantine.

    None when there is none. Raises AlignmentError when it was made from something else than `identity`.
    """
    for checkpoint in list_checkpoints(folder):
        try:
            manifest = verify(checkpoint.path)
        except CheckpointError as problem:
            quarantine(checkpoint, problem)
            continue
        identity.check(checkpoint, manifest)
        return checkpoint
    return None


def quarantine(checkpoint: Checkpoint, problem: CheckpointError) -> Path:
    """Set a damaged checkpoint aside, and say so in the log; returns where it is now."""
    aside = checkpoint.path.parent / QUARANTINE / checkpoint.path.name
    aside.parent.mkdir(exist_ok=True)
    if aside.exists():
        shutil.rmtree(aside)
    os.rename(checkpoint.path, aside)
    log.warning("%s is damaged (%s: %s) and was set aside; the one before it is used", checkpoint.path.name, problem.what, problem.why)
    return aside


def prune(folder: Path, *, keep: int, token: int) -> None:
    """Remove all but the newest `keep` checkpoints, and what killed attempts left half written; later attempts' stay."""
    mine = [checkpoint for checkpoint in list_checkpoints(folder) if checkpoint.token <= token]
    for checkpoint in mine[keep:]:
        # Without its manifest it is no checkpoint any more, should this be interrupted.
        (checkpoint.path / "manifest.json").unlink(missing_ok=True)
        shutil.rmtree(checkpoint.path)


def remove_unfinished(folder: Path) -> None:
    """Remove what killed attempts left half written; called before an attempt writes anything itself."""
    if folder.is_dir():
        for leftover in folder.glob(".epoch-*.tmp"):
            shutil.rmtree(leftover, ignore_errors=True)


def remove_checkpoints(folder: Path) -> None:
    """Remove all checkpoints of a fold; those in quarantine stay until their run is deleted."""
    for checkpoint in list_checkpoints(folder):
        shutil.rmtree(checkpoint.path)
    remove_unfinished(folder)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _short(value: str | None) -> str:
    if value is None:
        return "absent"
    return value[:12] if re.fullmatch(r"[0-9a-f]{64}", value) else value
