"""A corrected label or a dropped row orphans nothing: rows, folds, runs and predictions stay, and scores are of the new truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.analysis.compare import compare_sources
from core.base.errors import CheckpointError, InputError
from core.blend.ensemble import blend_runs, open_ensemble, save_blend
from core.blend.procedure import BlendProcedure
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.contest.table import add_truth, load_truth
from core.folds import load_folds, save_folds
from core.jobs.fold import load_task
from core.metrics.scores import all_scores
from core.predictions.oof import load_oof, scores_by_fold
from core.predictions.source import load_matrix, source_of
from core.specs.folds import FoldsSpec
from core.store.contests import Contest, get_contest, get_truth, list_truths
from core.store.folds import Folds, list_folds
from core.store.runs import Run, get_run
from core.submission.write import write_submission
from core.workspace import Workspace
from tests.emotions import write_emotions
from tests.finished_workspace import add_glyphs, finish_run, make_recipe, read_fold_predictions

Case = tuple[Workspace, Contest, Folds, tuple[Run, Run]]


@pytest.fixture
def case(workspace: Workspace, tmp_path: Path) -> Case:
    contest = add_glyphs(workspace, tmp_path / "c")
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=3))
    runs = [finish_run(workspace, contest, folds, make_recipe(contest, name), strength=2.0, seed=seed) for seed, name in enumerate("ab")]
    return workspace, contest, folds, (runs[0], runs[1])


def corrected(workspace: Workspace, contest: Contest, row: int = 4) -> Contest:
    """The contest after the label of one row became the next class."""
    label = int(load_truth(workspace, contest).labels[row])
    add_truth(workspace, contest, labels={row: (label + 1) % len(contest.spec.classes)}, reason="seen by eye")
    return get_contest(workspace.store, contest.id)


def test_a_corrected_label_leaves_all_that_was_made_and_changes_scores_only(case: Case) -> None:
    workspace, contest, folds, runs = case
    before = {run.id: load_oof(workspace, run, contest) for run in runs}
    blend = blend_runs(workspace, contest, runs, BlendProcedure(way="optimal"))
    now = corrected(workspace, contest)
    assert (now.truth.version, now.truth.reason, contest.truth.version) == (2, "seen by eye", 1)
    assert now.fingerprint == contest.fingerprint and list_folds(workspace.store, now.id) == (folds,)
    truth = load_truth(workspace, now)
    assert np.flatnonzero(truth.labels != load_truth(workspace, now, contest.truth).labels).tolist() == [4]
    for run in runs:
        found = get_run(workspace.store, run.id)
        assert found.truth_id == contest.truth.id
        np.testing.assert_array_equal(load_oof(workspace, found, now), before[run.id])
        assert scores_by_fold(workspace, now, found) == {result.fold: result.scores for result in run.results}
        anew = scores_by_fold(workspace, now, found, now.truth)
        assert sum(anew[fold] != scores for fold, scores in scores_by_fold(workspace, now, found).items()) == 1
    later = finish_run(workspace, now, folds, make_recipe(now, "later"), strength=2.0, seed=7)
    assert later.truth_id == now.truth.id
    ensemble = open_ensemble(workspace, now, [*runs, later])
    assert len(ensemble.oof.rows) == contest.n_train
    assert ensemble.score([1, 0, 0]).scores == pytest.approx(all_scores(truth.labels, before[runs[0].id]), abs=1e-6)
    assert ensemble.score([1, 0, 0]).oof_score != open_ensemble(workspace, contest, runs).score([1, 0]).oof_score
    assert compare_sources(source_of(workspace, runs[0], now), source_of(workspace, later, now)).n_rows == contest.n_train
    assert source_of(workspace, blend).oof().shape == before[runs[0].id].shape
    again = save_blend(workspace, now, blend.spec, name="again")
    np.testing.assert_array_equal(source_of(workspace, again).oof(), source_of(workspace, blend).oof())
    assert again.truth_id == now.truth.id and again.fingerprint != blend.fingerprint
    assert again.scores.oof_score != blend.scores.oof_score
    lineage = write_submission(source_of(workspace, again, now)).lineage
    assert (lineage.rows, lineage.truth, lineage.folds) == (now.fingerprint, now.truth.fingerprint, folds.fingerprint)
    assert {member.truth for member in lineage.members} == {contest.truth.fingerprint}


def test_a_dropped_row_is_neither_trained_on_nor_scored_and_comes_back(case: Case, tmp_path: Path) -> None:
    workspace, contest, folds, (run, _) = case
    add_truth(workspace, contest, drop=[4], reason="a broken picture")
    now = get_contest(workspace.store, contest.id)
    assert now.truth.n_dropped == 1
    for fold in range(folds.n_folds):
        task = load_task(workspace, now, folds, run.recipe, fold, device="cpu", out_dir=tmp_path)
        assert 4 not in task.train_idx and 4 not in task.valid_idx
        with_it = load_task(workspace, now, folds, run.recipe, fold, device="cpu", out_dir=tmp_path, truth=contest.truth)
        assert (4 in with_it.train_idx) != (4 in with_it.valid_idx)
    evidence = load_matrix([source_of(workspace, run, now)])
    assert 4 not in evidence.rows and len(evidence.rows) == contest.n_train - 1 and not evidence.is_whole
    later = finish_run(workspace, now, folds, make_recipe(now, "later"), strength=2.0, seed=7)
    assert all(4 not in read_fold_predictions(workspace.absolute(result.path)).valid_idx for result in later.results)
    assert np.flatnonzero(np.isnan(load_oof(workspace, later, now)[:, 0])).tolist() == [4]
    blend = blend_runs(workspace, now, [run, later], BlendProcedure())
    assert np.isnan(source_of(workspace, blend).oof()[4]).all() and blend.scores.n_rows == contest.n_train - 1
    assert not blend.spec.is_restricted
    add_truth(workspace, now, restore=[4], reason="it opens after all")
    back = get_contest(workspace.store, contest.id)
    assert (back.truth.version, back.truth.n_dropped) == (3, 0)
    assert load_matrix([source_of(workspace, run, back)]).is_whole
    # The run that never saw the row has no prediction of it: the two are compared on the rows that both have.
    assert (
        compare_sources(source_of(workspace, run, back), source_of(workspace, later, back)).n_rows
        == len(open_ensemble(workspace, back, [run, later]).oof.rows)
        == contest.n_train - 1
    )
    assert [truth.version for truth in list_truths(workspace.store, contest.id)] == [1, 2, 3]
    assert get_truth(workspace.store, contest.truth.id) == contest.truth


def test_folds_of_equal_pairs_are_the_same_whatever_truth_they_were_made_from(case: Case) -> None:
    workspace, contest, _, _ = case
    plain = save_folds(workspace, contest, FoldsSpec(kind="kfold", n_folds=3))
    assert plain.truth_id is None
    now = corrected(workspace, contest)
    assert save_folds(workspace, now, FoldsSpec(kind="kfold", n_folds=3)) == plain
    dealt = save_folds(workspace, now, FoldsSpec(n_folds=3, seed=5))
    assert dealt.truth_id == now.truth.id
    assert load_folds(workspace, dealt).n_rows == contest.n_train


def test_labels_of_rows_with_several_classes_are_corrected_too(workspace: Workspace, tmp_path: Path) -> None:
    contest = add_contest(workspace, inspect_path(write_emotions(tmp_path / "e", layout="columns")).draft)
    add_truth(workspace, contest, labels={0: [], 1: [0, 2]}, reason="read again")
    labels = load_truth(workspace, get_contest(workspace.store, contest.id)).labels
    assert labels[0].tolist() == [0] * 6 and labels[1].tolist() == [1, 0, 1, 0, 0, 0]


def test_what_cannot_be_a_truth_is_refused_and_nothing_is_added(case: Case) -> None:
    workspace, contest, _, _ = case
    label = int(load_truth(workspace, contest).labels[0])
    rows = range(contest.n_train)
    for wrong, said in (
        ({"labels": {contest.n_train: 0}}, "no such rows"),
        ({"drop": [-1]}, "no such rows"),
        ({"labels": {0: 3}}, "a label that cannot be"),
        ({"labels": {0: [0, 1]}}, "a label that cannot be"),
        ({"labels": {0: label}}, "nothing would change"),
        ({"drop": rows}, "every row would be dropped"),
        ({"drop": [0], "reason": " "}, "needs a reason"),
    ):
        with pytest.raises(InputError, match=said):
            add_truth(workspace, contest, **{"reason": "seen", **wrong})  # type: ignore[arg-type]
    assert list_truths(workspace.store, contest.id) == (contest.truth,)


def test_what_is_no_part_of_the_rows_does_not_change_them(workspace: Workspace, tmp_path: Path) -> None:
    folder = write_emotions(tmp_path / "e", layout="columns")
    first = add_contest(workspace, inspect_path(folder, name="first", sets=["metric=log_loss"]).draft)
    other = add_contest(workspace, inspect_path(folder, name="other", sets=["metric=macro_f1"]).draft)
    assert first.fingerprint == other.fingerprint and first.truth.fingerprint == other.truth.fingerprint


def test_a_damaged_truth_is_refused_by_name(workspace: Workspace, tmp_path: Path) -> None:
    contest = add_glyphs(workspace, tmp_path / "c")
    path = workspace.absolute(contest.truth.path) / "labels.npy"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match=r"labels\.npy is damaged"):
        load_truth(workspace, contest)
