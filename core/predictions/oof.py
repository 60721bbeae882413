"""Out-of-fold and test predictions: written once per fold, verified when read, never filled where they are missing."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.artefacts import load_manifest, read_array, verify_file
from core.base.errors import AlignmentError, CheckpointError, StateError
from core.base.messages import joined, msg
from core.contest.table import load_kept, load_truth
from core.folds import load_folds
from core.metrics.scores import invalid_rows, metrics_for
from core.store.contests import Contest, TruthVersion, get_truth
from core.store.folds import Folds, get_folds
from core.store.runs import FoldResult, Run
from core.workspace import Workspace

VALID_IDX = "valid_idx.npy"
VALID_PROB = "valid_prob.npy"
TEST_PROB = "test_prob.npy"

Array = NDArray[np.float32]


@dataclass(frozen=True)
class FoldPredictions:
    """What one fold's network said: of the rows it never trained on, and of the test rows."""

    valid_idx: NDArray[np.int64]
    valid_prob: Array
    test_prob: Array


def write_fold_predictions(folder: Path, predictions: FoldPredictions, *, multilabel: bool = False) -> None:
    """Write the three arrays of a fold into an artefact's folder; refuse what is not a probability (see `check_probabilities`).

    `valid_idx` (n_valid,) are rows of the training table, `valid_prob` (n_valid, n_classes), `test_prob` (n_test, n_classes).
    """
    check_probabilities(predictions.valid_prob, where="validation rows", multilabel=multilabel)
    check_probabilities(predictions.test_prob, where="test rows", multilabel=multilabel)
    np.save(folder / VALID_IDX, predictions.valid_idx.astype(np.int64), allow_pickle=False)
    np.save(folder / VALID_PROB, predictions.valid_prob.astype(np.float32), allow_pickle=False)
    np.save(folder / TEST_PROB, predictions.test_prob.astype(np.float32), allow_pickle=False)


def read_fold_arrays(folder: Path, *names: str) -> tuple[NDArray[Any], ...]:
    """Arrays of a fold by the names of their files, each checked against the manifest. The networks beside them are not read."""
    manifest = load_manifest(folder)
    return tuple(read_array(verify_file(folder, manifest, name), fix="retry the fold") for name in names)


def mean_of(probs: Iterable[Array]) -> Array:
    """What the networks of a fold, or its seeds, say together: their mean, accumulated in float64."""
    parts = list(probs)
    return parts[0] if len(parts) == 1 else np.stack(parts).mean(axis=0, dtype=np.float64).astype(np.float32)


def _read_ahead(workspace: Workspace, results: Sequence[FoldResult], *names: str) -> Iterator[tuple[NDArray[Any], ...]]:
    """The arrays of each result, in order; the next ones are read and hashed while these are used."""
    with ThreadPoolExecutor(1) as pool:
        reading = [pool.submit(read_fold_arrays, workspace.absolute(result.path), *names) for result in results[:1]]
        for result in results[1:]:
            following = pool.submit(read_fold_arrays, workspace.absolute(result.path), *names)
            yield reading.pop().result()
            reading.append(following)
        for last in reading:
            yield last.result()


def load_oof(workspace: Workspace, run: Run, contest: Contest, fold_numbers: Collection[int] | None = None) -> Array:
    """The run's out-of-fold predictions (n_train, n_classes): of each row the mean over the finished folds that validate it.

    `fold_numbers` are the folds to take where not all. A row that none of them validates is NaN, and so is one that the run's own truth
    drops. Raises AlignmentError when a fold was made on other rows than the contest's, on other folds than the run's, or holds other rows
    than it validates.
    """
    folds = get_folds(workspace.store, run.folds_id)
    pairs = load_folds(workspace, folds).keeping(load_kept(workspace, contest, run.truth_id))
    expected = {"rows": contest.fingerprint, "folds": folds.fingerprint}
    n_classes = len(contest.spec.classes)
    repeats = bool((pairs.times_validated > 1).any())  # else each row is written once, and nothing is summed in float64
    total = (np.zeros if repeats else np.empty)((contest.n_train, n_classes), dtype=np.float64 if repeats else np.float32)
    times = np.zeros(contest.n_train, dtype=np.int64)
    chosen = [result for result in run.results if fold_numbers is None or result.fold in fold_numbers]
    for result in chosen:
        _check_parents(load_manifest(workspace.absolute(result.path)).parents, expected, run, result.fold)
    for result, (valid_idx, valid_prob) in zip(chosen, _read_ahead(workspace, chosen, VALID_IDX, VALID_PROB), strict=True):
        rows = pairs.valid_idx(result.fold)
        if valid_prob.shape != (len(rows), n_classes) or not np.array_equal(valid_idx, rows):
            raise AlignmentError(
                "fold {fold} of {run} does not fit the contest",
                where=result.path,
                why="its predictions are {shape}, the fold validates {rows} rows and there are {classes} classes",
                fix="train the run again on this version of the contest",
                fold=result.fold,
                run=run.name,
                shape=valid_prob.shape,
                rows=len(rows),
                classes=n_classes,
            )
        if repeats:
            total[rows] += valid_prob
        else:
            total[rows] = valid_prob
        times[rows] += 1
    if not repeats:
        total[times == 0] = np.nan
        return total.astype(np.float32, copy=False)
    with np.errstate(invalid="ignore"):
        return (total / times[:, None]).astype(np.float32)


def load_test_prob(workspace: Workspace, run: Run, fold_numbers: Collection[int] | None = None) -> Array:
    """The run's test predictions (n_test, n_classes): the mean over its finished folds' networks, accumulated in float64.

    `fold_numbers` names the networks to take where not all. Every network is as honest as another here: no test row has a truth.
    """
    total: NDArray[np.float64] | None = None
    chosen = finished_folds(run, fold_numbers)
    for (test_prob,) in _read_ahead(workspace, chosen, TEST_PROB):
        prob = test_prob.astype(np.float64)
        total = prob if total is None else total + prob
    assert total is not None
    return (total / len(chosen)).astype(np.float32)


def load_test_networks(
    workspace: Workspace, run: Run, repeats: int, fold_numbers: Collection[int] | None = None, *, step: int = 1
) -> list[Array]:
    """The run's test predictions by as many networks as predict an out-of-fold row: by each of its finished folds alone, or where folds
    are repeated by as many together. Every `step`th row only; arguments and errors are else those of `load_test_prob`."""
    chosen = finished_folds(run, fold_numbers)
    alone = [read_fold_arrays(workspace.absolute(result.path), TEST_PROB)[0][::step] for result in chosen]
    n_parts = max(1, len(alone) // repeats)
    return [np.asarray(np.mean(alone[part::n_parts], axis=0, dtype=np.float64), dtype=np.float32) for part in range(n_parts)]


def finished_folds(run: Run, fold_numbers: Collection[int] | None = None) -> tuple[FoldResult, ...]:
    """The results of a run in the order of its folds, or of some of its folds. AlignmentError when one of those is gone, StateError
    when there is none at all."""
    chosen = [result for result in run.results if fold_numbers is None or result.fold in fold_numbers]
    gone = sorted(set(fold_numbers or ()) - {result.fold for result in chosen})
    if gone:
        raise AlignmentError(
            "{run} has no network of fold {folds}",
            where=run.ref,
            why="the blend was made with it",
            fix="make the blend again from the folds that are there",
            run=run.name,
            folds=", ".join(map(str, gone)),
        )
    if not chosen:
        raise StateError(
            "{name} has no finished fold",
            where=run.ref,
            why="there are no test predictions yet",
            fix="wait until a fold is done, or retry the run",
            name=run.name,
        )
    return tuple(sorted(chosen, key=lambda item: item.fold))


def shared_folds(runs: Sequence[Run]) -> tuple[int, ...]:
    """The folds that every one of the runs has finished, in order."""
    finished = [{result.fold for result in run.results} for run in runs]
    return tuple(sorted(set.intersection(*finished))) if finished else ()


def check_alignment(runs: Sequence[Run], folds: Folds, fold_numbers: Sequence[int] | None = None) -> None:
    """Raise AlignmentError unless every run is of the folds' contest, was trained on these folds, and has finished them.

    `fold_numbers` are the folds that must be finished; all of them when left out.
    """
    for run in runs:
        if run.contest_id != folds.contest_id:
            raise AlignmentError(
                "{name} belongs to another contest",
                where=run.ref,
                why="its rows are other rows",
                fix="choose runs of one contest",
                name=run.name,
            )
        if run.folds_id != folds.id:
            raise AlignmentError(
                "{run} was trained on other folds than {other}",
                where=run.ref,
                why="a row that one validated, the other may have trained on; their scores cannot be compared",
                fix="choose runs with equal folds",
                run=run.name,
                other=runs[0].name,
            )
    if fold_numbers is not None and not fold_numbers:
        raise AlignmentError(
            "these runs have no finished fold in common",
            where=", ".join(run.ref for run in runs),
            why=joined(
                "; ", (msg("{run} has {folds}", run=run.name, folds=_numbers(result.fold for result in run.results)) for run in runs)
            ),
            fix="leave out the run that has the fewest folds, or wait for it",
        )
    wanted = range(folds.n_folds) if fold_numbers is None else fold_numbers
    for run in runs:
        missing = sorted(set(wanted) - {result.fold for result in run.results})
        if missing:
            together = shared_folds(runs)
            raise AlignmentError(
                "{name} has not finished all its folds",
                where=run.ref,
                why="{done} of {n} folds are done, without {missing}, and missing rows are never filled",
                fix="wait for it, retry its failed folds, leave it out, or blend on the folds that all have finished ({together}; --shared-folds)"
                if together
                else "wait for it, retry its failed folds, or leave it out",
                together=_numbers(together),
                name=run.name,
                done=len(run.results),
                n=folds.n_folds,
                missing=_numbers(missing),
            )


def _check_parents(parents: Mapping[str, str], expected: Mapping[str, str], run: Run, fold: int) -> None:
    names = {"rows": "another version of the contest's rows", "folds": "other folds"}
    if "contest" in parents:  # until version 0.1 one name stood for rows and truth
        parents = {**parents, "rows": parents["contest"]}
    wrong = [name for name, fingerprint in expected.items() if parents.get(name) != fingerprint]
    if wrong:
        raise AlignmentError(
            msg("fold {fold} of {run} was made on {what}", fold=fold, run=run.name, what=joined(" and ", (names[name] for name in wrong))),
            where=run.ref,
            why=joined(
                "; ",
                (
                    msg(
                        "its {name} is {found}, here it is {wanted}",
                        name=name,
                        found=parents.get(name, "unknown")[:12],
                        wanted=expected[name][:12],
                    )
                    for name in wrong
                ),
            ),
            fix="train the run again on what is here",
        )


def _numbers(folds: Iterable[int]) -> str:
    """Folds in words."""
    return ", ".join(str(fold) for fold in sorted(folds)) or "none"


def check_probabilities(prob: NDArray[np.floating], *, where: str, multilabel: bool = False) -> None:
    """Raise CheckpointError when a row is none of probabilities (see `invalid_rows`)."""
    if prob.ndim != 2:
        raise CheckpointError(
            "predictions have the wrong shape",
            where=where,
            why="expected (rows, classes), got {shape}",
            fix="train again",
            shape=prob.shape,
        )
    bad = invalid_rows(prob, multilabel=multilabel)
    if bad.any():
        raise CheckpointError(
            "{n} of {rows} predictions are not probabilities",
            where="{place}, first in row {row}",
            why="a row must be finite and from 0 to 1" if multilabel else "a row must be finite, not negative, and sum to one",
            fix="the network diverged: lower the learning rate and train again",
            n=int(bad.sum()),
            rows=len(prob),
            place=where,
            row=int(bad.argmax()),
        )


def scores_by_fold(workspace: Workspace, contest: Contest, run: Run, truth: TruthVersion | None = None) -> dict[int, dict[str, float]]:
    """Every metric that is defined for the contest's labels, by finished fold and name. What is stored stays as it is.

    Scores are of the truth that the run was trained on, which are stored; of another `truth` where one is given, which are not. Only a
    fold that lacks a metric, because that is newer than the fold, has its predictions read and verified: raises as `load_oof`.
    """
    known = truth or get_truth(workspace.store, run.truth_id)
    multilabel = contest.spec.is_multilabel
    metrics, found = metrics_for(multilabel=multilabel), {result.fold: dict[str, float]() for result in run.results}
    if known.id == run.truth_id:
        found = {result.fold: dict(result.scores) for result in run.results}
    for fold, scores in found.items():
        lacking = [metric for name, metric in metrics.items() if name not in scores]
        if lacking:
            oof = load_oof(workspace, run, contest, [fold])
            labelled = load_truth(workspace, contest, known)
            rows = np.flatnonzero(~np.isnan(oof[:, 0]) & labelled.kept)
            y_true = labelled.labels[rows]
            scores |= {metric.name: metric.score(y_true, oof[rows], multilabel=multilabel) for metric in lacking}
    return found
