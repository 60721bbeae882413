"""What a run leaves on the disk: the checkpoints that a fold would go on from, the weights of its finished folds, and the end of a log."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from core.artefacts import verify
from core.base.errors import CheckpointError
from core.base.messages import joined
from core.store.contests import get_contest
from core.store.runs import Run
from core.training.checkpoint import Checkpoint, list_checkpoints, list_quarantined
from core.workspace import Workspace

Kind = Literal["checkpoint", "weights"]
Standing = Literal["verified", "damaged", "quarantined"]


@dataclass(frozen=True)
class Kept:
    """One checkpoint of a run, or the weights that a finished fold published, as it stands on the disk now. `run` is the reference.

    `step` steps of `epoch` were done; of weights, `epoch` is the best one and `step` None. `scores` are those of the last epoch that
    was validated before it, by metric. `why` says what is damaged.
    """

    run: str
    fold: int
    kind: Kind
    epoch: int
    step: int | None
    attempt: int
    best_epoch: int
    scores: Mapping[str, float]
    n_bytes: int
    created_at: float
    standing: Standing
    why: str
    path: Path


def list_kept(workspace: Workspace, run: Run) -> tuple[Kept, ...]:
    """All that a run keeps, by fold and the newest first, of several seeds that of each; every byte is checked against its hash, which takes a moment. Empty for an imported run."""
    if run.is_imported:
        return ()
    if run.seeds:
        return tuple(kept for seed in run.seeds for kept in list_kept(workspace, seed))
    contest = get_contest(workspace.store, run.contest_id)
    results = {result.fold: result for result in run.results}
    found: list[Kept] = []
    for fold in run.fold_numbers:
        if result := results.get(fold):
            facts = {"best_epoch": result.best_epoch, "scores": result.scores, "created_at": result.created_at}
            found.append(_kept(run, workspace.absolute(result.path), "weights", fold, result.best_epoch, None, result.token, facts))
        folder = workspace.checkpoints_dir(contest.folder, run.id, fold)
        found += [_checkpoint(run, fold, item) for item in list_checkpoints(folder)]
        found += [replace(_checkpoint(run, fold, item), standing="quarantined") for item in list_quarantined(folder)]
    return tuple(found)


def _checkpoint(run: Run, fold: int, found: Checkpoint) -> Kept:
    try:
        facts = found.facts
    except CheckpointError:  # `_kept` names it as damaged
        facts = {}
    return _kept(run, found.path, "checkpoint", fold, found.epoch, found.step, found.token, facts)


def _kept(run: Run, path: Path, kind: Kind, fold: int, epoch: int, step: int | None, attempt: int, facts: Mapping[str, Any]) -> Kept:
    standing: Standing = "verified"
    why = ""
    try:
        verify(path)
    except CheckpointError as problem:
        standing, why = "damaged", joined(": ", [problem.what, problem.why])
    return Kept(
        run=run.ref,
        fold=fold,
        kind=kind,
        epoch=epoch,
        step=step,
        attempt=attempt,
        best_epoch=int(facts.get("best_epoch", 0)),
        scores=facts.get("scores", {}),
        n_bytes=folder_bytes(path),
        created_at=float(facts.get("created_at", 0.0)),
        standing=standing,
        why=why,
        path=path,
    )


def folder_bytes(path: Path) -> int:
    """The size of an artefact's files, in bytes; 0 when it is gone."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


@dataclass(frozen=True)
class LogTail:
    """The last lines of a log, and how long the log was when it was read."""

    text: str
    n_bytes: int
    is_cut: bool


def read_tail(path: Path, *, max_bytes: int = 64_000) -> LogTail:
    """The last `max_bytes` of a text file, from the start of a line on; a file that is not there is empty."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - max_bytes))
            raw = stream.read()
    except FileNotFoundError:
        return LogTail("", 0, is_cut=False)
    is_cut = size > max_bytes
    if is_cut:
        raw = raw[raw.find(b"\n") + 1 :]
    return LogTail(raw.decode("utf-8", errors="replace"), size, is_cut)
