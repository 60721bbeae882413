"""Predictions of a team-mate, a notebook or a ready classifier become a run, checked row by row; those of any run or blend leave in the same form."""

import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from core.artefacts import load_manifest, publishing, write_manifest
from core.base.errors import AlignmentError, InputError, PitwallError, StateError
from core.base.files import nfc, sha256_file, write_json
from core.base.messages import joined, msg, reason
from core.base.names import name_from
from core.base.settings import load_yaml
from core.contest.table import load_table, load_truth, parents_of
from core.exchange.files import read_predictions, write_predictions
from core.exchange.sheet import Expected
from core.folds import load_folds
from core.metrics.scores import all_scores, decide
from core.predictions.again import rows_of_test, rows_of_train
from core.predictions.oof import FoldPredictions, write_fold_predictions
from core.predictions.source import Source, load_matrix
from core.specs.kept import ImportOrigin
from core.specs.network import NETWORK_FILE, NETWORKS_DIR, NetworkSpec
from core.splitting import FoldPairs
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import FoldResult, Run, add_imported_run
from core.workspace import Workspace

CHANCE_AUC = 0.6
"""A mean AUC below this says next to nothing of the rows, a sign of rows or classes in another order; one half is chance."""
CHANCE_SD = 2.0
"""Labels that are right no more often than with the rows shuffled, within so many standard deviations, are such a sign too."""
DOUBTS = {
    "rows": "the file of out-of-fold predictions names no rows: that they stand in the contest's order could not be checked",
    "folds": "the file names no folds: that its rows were predicted on these folds could not be checked",
    "test_rows": "the file of test predictions names no rows: that they stand in the contest's order could not be checked",
    "repeated": "ids appear several times: that rows of one id stand in the contest's order could not be checked",
    "scaled": "some rows of out-of-fold predictions sum to one only nearly, as rounded numbers do: they were scaled",
    "test_scaled": "some rows of test predictions sum to one only nearly, as rounded numbers do: they were scaled",
    "seen": "the classifier was trained elsewhere: that it has seen none of the contest's rows could not be checked",
    "frequent": "the predictions are right less often than the most frequent class alone: are the rows or the classes in another order?",
    "shuffled": "the predictions are right no more often than with their rows shuffled: are the rows or the classes in another order?",
    "ranks": "within the classes, rows are hardly ranked better than by chance: are the rows or the classes in another order?",
}
"""What may be wrong with predictions that fit in form, and what nobody could check; a run keeps the names of its own."""
UNCHECKED_OF_FILES = ("rows", "folds", "test_rows")
UNCHECKED = (*UNCHECKED_OF_FILES, "repeated", "scaled", "test_scaled", "seen")
"""Those that nobody could check, of a file and of a classifier that was trained elsewhere, and what was done to a file: no sign of a fault."""


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
        Expected(list(ids.iloc[rows]), names, fold_of, classes, several, dropped=frozenset(ids[~kept])),
        Expected(list(table.test["id"]), names, None, classes, several),
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
                    _link(network, temporary / NETWORKS_DIR / "main")
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


def doubts_of(run: Run) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What makes an imported run suspect, and what nobody could check of it, each in sentences."""
    names = run.imported.doubts if run.imported else ()
    return tuple(DOUBTS[name] for name in names if name not in UNCHECKED), tuple(DOUBTS[name] for name in names if name in UNCHECKED)


def suspicions(y_true: NDArray[np.integer], prob: NDArray[np.float32], *, multilabel: bool = False) -> tuple[str, ...]:
    """The name in DOUBTS of what speaks for rows or classes in another order: an answer as poor as one that looks at no row."""
    if multilabel:
        return ("ranks",) if mean_auc(y_true, prob) < CHANCE_AUC else ()
    n, labels = len(y_true), decide(prob)
    n_right = int((labels == y_true).sum())
    there, given = (np.bincount(of, minlength=prob.shape[1]).astype(np.float64) for of in (y_true, labels))
    if n_right < there.max():
        return ("frequent",)
    # Mean and variance of the number of right labels over all orders of the rows; one label for every row leaves nothing to shuffle.
    pairs = there * given
    variance = ((pairs * (n - there) * (n - given)).sum() + pairs.sum() ** 2 - (pairs**2).sum()) / (n**2 * max(1, n - 1))
    return ("shuffled",) if variance > 0 and n_right <= pairs.sum() / n + CHANCE_SD * np.sqrt(variance) else ()


def mean_auc(y_true: NDArray[np.integer], y_prob: NDArray[np.floating]) -> float:
    """The area under the ROC curve, as a mean over the classes that some rows have and some lack; NaN where there is none.

    `y_true` is 0 or 1, `y_prob` a probability, both (n, n_classes).
    """
    from sklearn.metrics import roc_auc_score

    n_there = y_true.sum(axis=0, dtype=np.int64)
    both = (n_there > 0) & (n_there < len(y_true))
    return float(roc_auc_score(y_true[:, both], y_prob[:, both], average="macro")) if both.any() else float("nan")


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


def _link(network: Path, folder: Path) -> None:
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


def add_ready_classifier(
    workspace: Workspace,
    contest: Contest,
    folds: Folds,
    folder: Path,
    *,
    labels: Mapping[str, Sequence[str]] | None = None,
    name: str = "",
    max_tokens: int = 256,
    device: str = "cpu",
) -> Run:
    """Predict the contest's rows by the classifier in a folder (of transformers or timm), and keep it as a run with a network in each fold.

    Nobody trained it on any fold, so that it predicts all of them; what it has seen before nobody knows, and the run says so. `labels`
    names the labels that stand for each class where names alone do not. Raises AlignmentError listing the labels and classes that have
    no partner, InputError for a folder that is no classifier of the contest's rows.
    """
    import torch

    from core.training.predictor import load_network
    from models.ready import CannotBuild, load_ready, ready_labels, ready_modality, ready_pixels

    spec = contest.spec
    table = load_table(workspace, contest)
    rows = np.flatnonzero(load_folds(workspace, folds).validated & load_truth(workspace, contest).kept)
    try:
        own = ready_labels(folder)
        modality = ready_modality(folder)
        groups = match_labels(own, spec.classes, labels or {})
        if modality != spec.modality:
            raise CannotBuild(
                "{name} reads {modality}s, the contest's rows are {rows}s",
                "choose another classifier",
                name=folder.name,
                modality=modality,
                rows=spec.modality,
            )
        model = load_ready(folder, groups, is_multilabel=spec.is_multilabel)
        pixels, size_px = ready_pixels(folder) if modality == "image" else (None, 0)
    except CannotBuild as problem:
        why, fix = msg(problem.what, **problem.values), msg(problem.fix, **problem.values)
        raise InputError("this is no classifier for the contest", where=str(folder), why=why, fix=fix) from problem
    network = NetworkSpec(
        family="ready",
        modality=spec.modality,
        labels=spec.labels,
        classes=spec.classes,
        fold=-1,
        backbone=folder.name,
        library="timm" if modality == "image" else "transformers",
        input_px=size_px,
        interpolation=pixels.interpolation if pixels else "",
        white_level=spec.white_level,
        max_tokens=0 if pixels else max_tokens,
        label_groups=groups,
        device=torch.device(device).type,
        threads=torch.get_num_threads(),
    )
    with tempfile.TemporaryDirectory(dir=workspace.root) as scratch:
        place = Path(scratch) / "classifier"
        place.mkdir()
        model.save(place)
        write_json(place / NETWORK_FILE, network.to_dict())
        write_manifest(place, kind="network")
        predictor = load_network(place, device=device)
        train, test = rows_of_train(table, rows), rows_of_test(table)
        delivery = Delivery(
            predictor.predict(train.inputs, sha256=train.sha256),
            predictor.predict(test.inputs, sha256=test.sha256),
            ImportOrigin(classifier=folder.name, classifier_fingerprint=load_manifest(place).fingerprint, n_epochs=0),
            unchecked=("seen",),
        )
        return accept_delivery(workspace, contest, folds, delivery, name=name or folder.name, network=place)


def match_labels(own: Sequence[str], classes: Sequence[str], given: Mapping[str, Sequence[str]]) -> tuple[tuple[int, ...], ...]:
    """For each class the places of the labels that stand for it: as given, else those of its name, whatever their case.

    Raises AlignmentError, listing both sides, when a class has no label or a label stands for two.
    """
    places: dict[str, list[int]] = {}
    for place, label in enumerate(own):
        places.setdefault(nfc(label).strip().casefold(), []).append(place)
    groups = []
    for name in classes:
        wanted = given.get(name, [name] if not given else [])
        groups.append(tuple(place for label in wanted for place in places.get(nfc(label).strip().casefold(), ())))
    used = [place for group in groups for place in group]
    lonely = [name for name, group in zip(classes, groups, strict=True) if not group]
    unknown = sorted({label for labels in given.values() for label in labels if nfc(label).strip().casefold() not in places})
    strangers = sorted(set(given) - set(classes))
    if lonely or unknown or strangers or len(set(used)) != len(used):
        free = [label for place, label in enumerate(own) if place not in used]
        raise AlignmentError(
            "the classifier's labels do not fit the contest's classes",
            where="classes without a label: {classes}",
            why="labels of the classifier that stand for no class: {labels}; unknown names: {names}",
            fix="give a file with `class: [label, label]` for every class, each label once",
            classes=", ".join(lonely) or "none",
            labels=", ".join(free[:40]) or "none",
            names=", ".join([*unknown, *strangers]) or "none",
        )
    return tuple(groups)


def read_labels(path: Path) -> dict[str, list[str]]:
    """The labels of each class from a YAML or JSON file, `class: label` or `class: [label, label]`. Raises InputError."""
    try:
        raw = load_yaml(path.read_text(encoding="utf-8-sig"), where=str(path))
    except (OSError, UnicodeDecodeError) as problem:
        raise InputError(
            "cannot read {file}", where=str(path), why=reason(problem), fix="give a YAML or JSON file in UTF-8", file=path.name
        ) from None
    if not isinstance(raw, dict):
        raise InputError(
            "{name} names no labels",
            where=str(path),
            why="expected `class: label` lines",
            fix="write a line for each class",
            name=path.name,
        )
    return {str(name): [str(label) for label in (labels if isinstance(labels, list) else [labels])] for name, labels in raw.items()}
