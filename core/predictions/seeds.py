"""The fold results of a run of several seeds: the mean of what its seeds predict, made when the last of them has finished a fold."""

import shutil
import time

import numpy as np
from numpy.typing import NDArray

from core.artefacts import load_manifest, publishing
from core.metrics.scores import all_scores
from core.predictions.oof import TEST_PROB, VALID_IDX, VALID_PROB, FoldPredictions, mean_of, read_fold_arrays, write_fold_predictions
from core.store.contests import Contest
from core.store.database import Connection
from core.store.runs import FoldResult, Run, add_result, runs_of_seed
from core.workspace import Workspace


def record_fold(workspace: Workspace, connection: Connection, contest: Contest, result: FoldResult, labels: NDArray[np.integer]) -> None:
    """Record what a fold ended with inside the caller's transaction, and the mean of the seeds that it is the last of; `labels` as there."""
    add_result(connection, result)
    for run in runs_of_seed(connection, result.run_id):
        average_seeds(workspace, connection, contest, run, result.fold, labels)


def average_seeds(workspace: Workspace, connection: Connection, contest: Contest, run: Run, fold: int, labels: NDArray[np.integer]) -> None:
    """Publish the mean of a fold's predictions over the seeds of `run`, and record it as the fold's result; nothing while a seed is missing.

    `run` as it stands in the caller's transaction, which is the one that records the last of them: of two that end at the same time the
    second finds the first. `labels` are the contest's training rows' by the run's truth. Raises CheckpointError for a damaged artefact.
    """
    found = {seed.recipe.train.seed: result for seed in run.seeds for result in seed.results if result.fold == fold}
    if fold not in run.fold_numbers or len(found) < run.recipe.train.n_seeds:
        return
    multilabel, folders = contest.spec.is_multilabel, [workspace.absolute(result.path) for result in found.values()]
    arrays = [read_fold_arrays(folder, VALID_IDX, VALID_PROB, TEST_PROB) for folder in folders]
    mean = FoldPredictions(arrays[0][0], mean_of(valid_prob for _, valid_prob, _ in arrays), mean_of(test_prob for *_, test_prob in arrays))
    made_from = {name: value for name, value in load_manifest(folders[0]).parents.items() if name not in ("recipe", "start")}
    parents = {f"seed {seed}": result.fingerprint for seed, result in found.items()}
    folder = workspace.seeds_dir(contest.folder, run.id, fold)
    if folder.exists():  # of an attempt that was killed before its transaction ended, or of a database that was put back
        shutil.rmtree(folder)
    with publishing(folder, kind="seeds", parents=made_from | {"recipe": run.recipe.fingerprint} | parents, facts={"fold": fold}) as to:
        write_fold_predictions(to, mean, multilabel=multilabel)
    result = FoldResult(
        run_id=run.id,
        fold=fold,
        token=0,
        path=workspace.relative(folder),
        fingerprint=load_manifest(folder).fingerprint,
        scores=all_scores(labels[mean.valid_idx], mean.valid_prob, multilabel=multilabel),
        best_epoch=0,
        n_epochs=0,
        elapsed_s=sum(each.elapsed_s for each in found.values()),
        facts={"seeds": list(found)},
        created_at=time.time(),
    )
    add_result(connection, result)
