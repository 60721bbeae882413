"""Predictions in files become a run, checked row by row; those of any run or blend are written in the same form."""

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from core.artefacts import load_manifest, publishing
from core.base.errors import AlignmentError, InputError, PitwallError, StateError
from core.base.files import sha256_file
from core.base.messages import joined, msg
from core.base.names import name_from
from core.contest.table import load_table, load_truth, parents_of
from core.exchange.doubts import suspicions
from core.exchange.files import read_predictions, write_predictions
from core.exchange.sheet import Expected
from core.folds import load_folds
from core.metrics.scores import all_scores
from core.predictions.oof import FoldPredictions, write_fold_predictions
from core.predictions.source import Source, load_matrix
from core.specs.kept import ImportOrigin
from core.specs.network import NETWORKS_DIR
from core.splitting import FoldPairs
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import FoldResult, Run, add_imported_run
from core.workspace import Workspace


@dataclass(frozen=True)
class Delivery:
    """Two files as read: out-of-fold and test predictions in the contest's order, or every reason why they cannot be a run.

    `unchecked` are those names of DOUBTS that say what the files left open.
    """

    oof: NDArray[np.float32] | None
    test: NDArray[np.float32] | None
    origin: ImportOrigin = field(default_factory=ImportOrigin)
    problems: tuple[PitwallError, ...] = ()
    unchecked: tuple[str, ...] = ()

    def raise_if_any(self) -> None:
        """Raise the one problem, or one error that tells them all."""
        if len(self.problems) == 1:
            raise self.problems[0]
        if self.problems:
            raise AlignmentError(
                "the predictions do not fit, for {n} reasons",
                where=joined("; ", dict.fromkeys(problem.where for problem in self.problems)),
                why=joined("\n", (msg("{name}: {detail}", name=problem.what, detail=problem.why) for problem in self.problems)),
                fix=joined("; ", dict.fromkeys(problem.fix for problem in self.problems)),
                n=len(self.problems),
            )


def import_predictions(
    workspace: Workspace,
    contest: Contest,
    folds: Folds,
    *,
    oof: Path,
    test: Path | None = None,
    name: str = "",
    classes: Sequence[str] = (),
    now: float | None = None,
) -> Run:
    """Make a run of out-of-fold and test predictions (files) that were made on these folds.

    Rows may stand in any order where there are ids; a column `fold` is checked against the folds. `classes` is the order of the
    columns of `.npy` arrays where it is not the contest's. What is doubtful of a run that fits in form, `doubts_of` says. Raises
    AlignmentError naming the ids, classes or rows that differ, InputError for a file or a value that cannot be used; then the
    workspace is as it was.
    """
    delivery = read_delivery(workspace, contest, folds, oof=oof, test=test, classes=classes)
    delivery.raise_if_any()
    return accept_delivery(workspace, contest, folds, delivery, name=name or oof.stem, now=now)


def expected_of(workspace: Workspace, contest: Contest, folds: Folds, classes: Sequence[str] = ()) -> tuple[Expected, Expected]:
    """What a file of out-of-fold predictions must hold (the rows that are validated and that the truth keeps), and one of test predictions."""
    table, kept = load_table(workspace, contest), load_truth(workspace, contest).kept
    rows, fold_of = _validated(load_folds(workspace, folds), kept)
    ids, names, several = table.train["id"], contest.spec.classes, contest.spec.is_multilabel
    return (
        Expected(list(ids.iloc[rows]), names, fold_of, classes, several, frozenset(ids[~kept]), contest.spec.encoding),
        Expected(list(table.test["id"]), names, None, classes, several, encoding=contest.spec.encoding),
    )


def read_delivery(
    workspace: Workspace, contest: Contest, folds: Folds, *, oof: Path, test: Path | None = None, classes: Sequence[str] = ()
) -> Delivery:
    """Read and check both files, and tell everything that does not fit; nothing is written."""
    if folds.contest_id != contest.id:
        refusal = AlignmentError(
            "these folds belong to another contest",
            where="folds {numbers}",
            why="they are not of {contest}",
            fix="choose folds of this contest",
            numbers=folds.id,
            contest=contest.name,
        )
        return Delivery(None, None, problems=(refusal,))
    of_train, of_test = expected_of(workspace, contest, folds, classes)
    reading = read_predictions(oof, of_train)
    problems, unchecked = list(reading.problems), list(reading.unchecked)
    test_prob: NDArray[np.float32] | None = np.empty((0, len(contest.spec.classes)), dtype=np.float32)
    if (test is None) != (not of_test.ids):
        problems.append(
            InputError(
                "test predictions are missing" if test is None else "this contest has no test rows",
                where=contest.name if test is None else test.name,
                why="the contest has {n:,} test rows",
                fix="give the file of test predictions too: a blend is applied to them" if test is None else "leave the test file out",
                n=len(of_test.ids),
            )
        )
    elif test is not None:
        of_file = read_predictions(test, of_test)
        problems += of_file.problems
        unchecked += [f"test_{what}" for what in of_file.unchecked]
        test_prob = of_file.prob
    if classes and all(path is None or path.suffix.lower() != ".npy" for path in (oof, test)):
        problems.append(
            InputError(
                "an order of classes was given that nothing needs",
                where="order of classes",
                why="tables name their columns; only a .npy array has to be told",
                fix="leave the order of classes out",
            )
        )
    if problems:
        return Delivery(None, None, problems=tuple(problems))
    origin = ImportOrigin(oof_file=oof.name, oof_sha256=sha256_file(oof))
    if test is not None:
        origin = origin.model_copy(update={"test_file": test.name, "test_sha256": sha256_file(test)})
    return Delivery(reading.prob, test_prob, origin, unchecked=tuple(unchecked))


def accept_delivery(
    workspace: Workspace,
    contest: Contest,
    folds: Folds,
    delivery: Delivery,
    *,
    name: str,
    now: float | None = None,
    network: Path | None = None,
) -> Run:
    """Publish what was delivered, fold by fold, and add it as a run; when that fails, nothing of it stays.

    `network` is the folder of the one that predicted it, where it is kept; every fold keeps it.
    """
    delivery.raise_if_any()
    assert delivery.oof is not None and delivery.test is not None
    truth, several = load_truth(workspace, contest), contest.spec.is_multilabel
    pairs = load_folds(workspace, folds).keeping(truth.kept)
    validated = np.flatnonzero(pairs.validated)
    oof = np.full((pairs.n_rows, delivery.oof.shape[1]), np.nan, dtype=np.float32)
    oof[validated] = delivery.oof
    parents = parents_of(contest, truth.version) | {"folds": folds.fingerprint}
    key = uuid4().hex[:12]
    home = workspace.import_dir(contest.folder, key)
    moment = time.time() if now is None else now
    suspect = suspicions(truth.labels[validated], delivery.oof, multilabel=several)
    results: list[FoldResult] = []
    try:
        for fold in range(folds.n_folds):
            rows, folder = pairs.valid_idx(fold), home / f"fold-{fold}"
            with publishing(folder, kind="fold", parents=parents) as temporary:
                if network is not None:
                    link_network(network, temporary / NETWORKS_DIR / "main")
                write_fold_predictions(temporary, FoldPredictions(rows, oof[rows], delivery.test), multilabel=several)
            scores = all_scores(truth.labels[rows], oof[rows], multilabel=several)
            path, own = workspace.relative(folder), load_manifest(folder).fingerprint
            results.append(FoldResult(0, fold, 0, path, own, scores, 0, 0, 0.0, {"imported": True}, moment))
        return add_imported_run(
            workspace.store,
            contest_id=contest.id,
            folds_id=folds.id,
            truth_id=truth.version.id,
            name=name_from(name, "imported"),
            origin=delivery.origin.model_copy(update={"key": key, "doubts": (*delivery.unchecked, *suspect)}),
            results=results,
            now=moment,
        )
    except BaseException:
        if home.exists():
            shutil.rmtree(home)
        raise


def export_predictions(source: Source, *, oof: Path | None = None, test: Path | None = None) -> None:
    """Write predictions of a finished run or a blend to `.npy`, `.csv` or `.parquet`, as `import_predictions` reads them.

    Raises StateError where rows have no out-of-fold prediction, InputError for a file's name that says no form or cannot be written.
    """
    table, classes = load_table(source.workspace, source.contest), source.contest.spec.classes
    if oof is not None:
        matrix = load_matrix([source])
        rows, fold_of = _validated(load_folds(source.workspace, source.folds), load_truth(source.workspace, source.contest).kept)
        if len(matrix.rows) < len(rows):
            is_run = source.kind == "run"
            raise StateError(
                msg("{name} is not finished", name=source.name) if is_run else msg("{name} stands on some folds only", name=source.name),
                where=source.ref,
                why="{n:,} of {rows:,} rows have no out-of-fold prediction, and none is made up",
                fix="wait for it, or retry its failed folds" if is_run else "export its runs, or blend runs that have all folds",
                n=len(rows) - len(matrix.rows),
                rows=len(rows),
            )
        write_predictions(oof, list(table.train["id"].iloc[rows]), matrix.y_prob, classes, fold_of)
    if test is not None:
        write_predictions(test, list(table.test["id"]), source.test(), classes, None)


def link_network(network: Path, folder: Path) -> None:
    """A network as a fold's own. Published files never change, so that links are as good as copies, where the disk has them."""
    folder.parent.mkdir(parents=True)
    try:
        shutil.copytree(network, folder, copy_function=os.link)
    except shutil.Error:
        shutil.copytree(network, folder, dirs_exist_ok=True)


def _validated(pairs: FoldPairs, kept: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """The rows that are validated and that a truth keeps, and the fold of each where it is one."""
    rows = np.flatnonzero(pairs.validated & kept)
    return rows, pairs.first_fold()[rows] if pairs.times_validated.max() == 1 else None
