"""Predictions of a team-mate or a notebook become a run, checked row by row; those of any run or blend leave in the same form.

A table (CSV or Parquet) has the id first, then one column per class by name, and perhaps `fold`. A `.npy` array has the rows and
classes in the contest's order, which nobody can check but the one who wrote it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.contest.encoding import read_csv
from core.contest.table import load_table
from core.errors import AlignmentError, InputError, PitwallError, StateError
from core.folds import load_folds
from core.metrics import all_scores
from core.predictions import TOLERANCE, FoldPredictions, load_oof, write_fold_predictions
from core.store.blends import Blend
from core.store.contests import Contest
from core.store.folds import Folds, get_folds
from core.store.runs import FoldResult, Run, add_imported_run
from core.submission import test_prob_of
from core.workspace import Workspace, load_manifest, nfc, publishing, sha256_file

FOLD = "fold"
SUFFIXES = (".npy", ".csv", ".parquet")
N_NAMED = 5


@dataclass(frozen=True)
class _Table:
    """A file as read: ids (n,) or None, probabilities (n, n_classes), folds (n,) or None."""

    ids: list[str] | None
    prob: NDArray[np.float32]
    folds: list[str] | None


def import_predictions(
    workspace: Workspace, contest: Contest, folds: Folds, *, oof: Path, test: Path | None = None, name: str = "", now: float | None = None
) -> Run:
    """Make a run of out-of-fold and test predictions (files) that were made on these folds.

    Rows may stand in any order where there are ids; a column `fold` is checked against the folds. Raises AlignmentError naming
    the ids, classes or rows that differ, InputError for a file or a value that cannot be used.
    """
    if folds.contest_id != contest.id:
        raise AlignmentError(
            "these folds belong to another contest",
            where=f"folds {folds.id}",
            why=f"they are not of {contest.name}",
            fix="choose folds of this contest",
        )
    table = load_table(workspace, contest)
    fold_of = load_folds(workspace, folds)
    y_true = table.train["label"].to_numpy(dtype=np.int64)
    classes = contest.spec.classes
    oof_prob = _aligned(_read(oof, classes), list(table.train["id"]), classes, oof, fold_of)
    if (test is None) != table.test.empty:
        raise InputError(
            "test predictions are missing" if test is None else "this contest has no test rows",
            where=contest.name if test is None else test.name,
            why=f"the contest has {len(table.test):,} test rows",
            fix="give the file of test predictions too: a blend is applied to them" if test is None else "leave the test file out",
        )
    test_prob = np.empty((0, len(classes)), dtype=np.float32)
    if test is not None:
        test_prob = _aligned(_read(test, classes), list(table.test["id"]), classes, test, None)
    key = uuid4().hex[:12]
    moment = time.time() if now is None else now
    results: list[FoldResult] = []
    for fold in range(folds.n_folds):
        rows = np.flatnonzero(fold_of == fold)
        folder = workspace.import_dir(contest.name, key) / f"fold-{fold}"
        with publishing(folder, kind="fold", parents={"contest": contest.fingerprint, "folds": folds.fingerprint}) as temporary:
            write_fold_predictions(temporary, FoldPredictions(rows, oof_prob[rows], test_prob))
        results.append(
            FoldResult(
                run_id=0,
                fold=fold,
                token=0,
                path=workspace.relative(folder),
                fingerprint=load_manifest(folder).fingerprint,
                scores=all_scores(y_true[rows], oof_prob[rows]),
                best_epoch=0,
                n_epochs=0,
                elapsed_s=0.0,
                facts={"imported": True},
                created_at=moment,
            )
        )
    origin: dict[str, Any] = {"key": key, "oof_file": oof.name, "oof_sha256": sha256_file(oof)}
    if test is not None:
        origin |= {"test_file": test.name, "test_sha256": sha256_file(test)}
    return add_imported_run(
        workspace.store,
        contest_id=contest.id,
        folds_id=folds.id,
        name=_run_name(name or oof.stem),
        origin=origin,
        results=results,
        now=moment,
    )


def export_predictions(
    workspace: Workspace, contest: Contest, source: Run | Blend, *, oof: Path | None = None, test: Path | None = None
) -> None:
    """Write predictions of a finished run or a blend to `.npy`, `.csv` or `.parquet`, as `import_predictions` reads them.

    Raises StateError for a run that is not finished, InputError for a file's name that says no form or cannot be written.
    """
    from core.blend.save import load_blend_oof

    table = load_table(workspace, contest)
    if isinstance(source, Run) and len(source.results) != get_folds(workspace.store, source.folds_id).n_folds:
        raise StateError(
            f"{source.name} is not finished",
            where=source.ref,
            why="rows that no fold has validated have no prediction",
            fix="wait for it, or retry its failed folds",
        )
    if oof is not None:
        prob = load_blend_oof(workspace, source) if isinstance(source, Blend) else load_oof(workspace, source, contest)
        fold_of = load_folds(workspace, get_folds(workspace.store, source.folds_id))
        _write(oof, list(table.train["id"]), prob, contest.spec.classes, fold_of)
    if test is not None:
        _write(test, list(table.test["id"]), test_prob_of(workspace, source), contest.spec.classes, None)


def _read(path: Path, classes: Sequence[str]) -> _Table:
    suffix = _suffix(path)
    try:
        if suffix == ".npy":
            return _Table(None, _array(np.load(path, allow_pickle=False), path), None)
        frame = read_csv(path) if suffix == ".csv" else pd.read_parquet(path)
    except PitwallError:
        raise
    except (OSError, ValueError) as problem:
        raise InputError(f"cannot read {path.name}", where=str(path), why=str(problem), fix="export the predictions again") from None
    frame.columns = pd.Index([nfc(str(column)) for column in frame.columns])
    columns = list(frame.columns)
    twice = sorted({column for column in columns if columns.count(column) > 1})
    has_fold = FOLD in columns[1:] and FOLD not in classes
    others = [column for column in columns[1:] if not (has_fold and column == FOLD)]
    missing, strange = [name for name in classes if name not in others], [name for name in others if name not in classes]
    if missing or strange or twice:
        raise AlignmentError(
            f"the columns of {path.name} are not the contest's classes",
            where=path.name,
            why="; ".join(
                f"{what}: {_named(names)}" for what, names in (("missing", missing), ("unknown", strange), ("twice", twice)) if names
            ),
            fix=f"give the id first and then one column per class: {_named(classes)}",
        )
    numbers = np.column_stack([np.asarray(pd.to_numeric(frame[name], errors="coerce"), dtype=np.float64) for name in classes])
    return _Table(
        [str(value) for value in frame.iloc[:, 0]], _array(numbers, path), [str(value) for value in frame[FOLD]] if has_fold else None
    )


def _array(values: NDArray[Any], path: Path) -> NDArray[np.float32]:
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise InputError(
            f"{path.name} holds no table of probabilities",
            where=path.name,
            why=f"its shape is {values.shape} and its type {values.dtype}",
            fix="save a float array of the shape (rows, classes)",
        )
    return values.astype(np.float32)


def _aligned(table: _Table, ids: list[str], classes: Sequence[str], path: Path, fold_of: NDArray[np.integer] | None) -> NDArray[np.float32]:
    """The probabilities in the order of the contest's rows, after every check."""
    prob, order = table.prob, np.arange(len(ids))
    if table.ids is None:
        if prob.shape != (len(ids), len(classes)):
            raise AlignmentError(
                f"{path.name} does not fit the contest",
                where=path.name,
                why=f"its shape is {prob.shape}, the contest has {len(ids)} rows and {len(classes)} classes",
                fix="save the rows and classes in the contest's order, or give a CSV with ids",
            )
    else:
        place = {row_id: number for number, row_id in enumerate(table.ids)}
        missing, strange = [row_id for row_id in ids if row_id not in place], sorted(set(place) - set(ids))
        twice = sorted(row_id for row_id, count in Counter(table.ids).items() if count > 1)
        if missing or strange or twice:
            raise AlignmentError(
                f"the ids of {path.name} are not the contest's",
                where=path.name,
                why="; ".join(
                    f"{len(names):,} {what}: {_named(names)}"
                    for what, names in (("missing", missing), ("unknown", strange), ("twice", twice))
                    if names
                ),
                fix="every row once, with the ids of the contest's own files",
            )
        order = np.array([place[row_id] for row_id in ids], dtype=np.int64)
    _check_values(prob, table.ids, path)
    if table.folds is not None and fold_of is not None:
        given = np.asarray(pd.to_numeric(pd.Series(table.folds), errors="coerce"), dtype=np.float64)[order]
        wrong = np.flatnonzero(given != fold_of)
        if len(wrong):
            raise AlignmentError(
                f"{len(wrong):,} rows were predicted on other folds",
                where=path.name,
                why="; ".join(f"{ids[row]} in fold {table.folds[order[row]]} instead of {fold_of[row]}" for row in wrong[:N_NAMED]),
                fix="choose the folds these predictions were made on, or train again on these",
            )
    return prob[order]


def _check_values(prob: NDArray[np.float32], ids: list[str] | None, path: Path) -> None:
    total = prob.sum(axis=1, dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(prob).all(axis=1) | (prob < 0).any(axis=1) | ~(np.abs(total - 1) <= TOLERANCE))
    if len(bad):
        names = [ids[row] if ids else f"row {row}" for row in bad[:N_NAMED].tolist()]
        raise InputError(
            f"{len(bad):,} rows of {path.name} are not probabilities",
            where=f"{path.name}, {_named(names)}",
            why="each row must hold finite numbers, none negative, that sum to one",
            fix="export the probabilities after the softmax, without gaps",
        )


def _write(path: Path, ids: list[str], prob: NDArray[np.float32], classes: Sequence[str], fold_of: NDArray[np.integer] | None) -> None:
    suffix = _suffix(path)
    frame = pd.DataFrame(prob, columns=list(classes))
    if fold_of is not None and FOLD not in classes:
        frame.insert(0, FOLD, fold_of.astype(np.int64))
    frame.insert(0, "id" if "id" not in classes else "row_id", ids)
    try:
        if suffix == ".npy":
            np.save(path, prob, allow_pickle=False)
        elif suffix == ".csv":
            frame.to_csv(path, index=False, float_format="%.9g")
        else:
            frame.to_parquet(path, index=False)
    except OSError as problem:
        raise InputError(
            "the file cannot be written", where=str(path), why=str(problem), fix="name a file in a folder you may write to"
        ) from None


def _suffix(path: Path) -> str:
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"{path.name} has no known form", where=str(path), why=f"known endings: {', '.join(SUFFIXES)}", fix="rename or convert the file"
        )
    return path.suffix.lower()


def _run_name(text: str) -> str:
    """A run's name of what a person or a file's name says: other signs become a dash."""
    name = "".join(sign if sign.isalnum() or sign in "._-" else "-" for sign in nfc(text)).strip("-")
    return name[:60] or "imported"


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:N_NAMED]) + (f" and {len(names) - N_NAMED:,} more" if len(names) > N_NAMED else "")
