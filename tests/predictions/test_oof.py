"""Out-of-fold and test predictions: written, verified, averaged, scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.artefacts import publishing, verify, write_manifest
from core.base.errors import AlignmentError, CheckpointError, StateError
from core.blend.ensemble import make_spec, open_ensemble, save_blend
from core.blend.steps import mix
from core.contest.table import load_table, load_truth
from core.folds import load_folds, save_folds
from core.metrics.scores import METRICS, Metric, all_scores
from core.predictions import oof as module
from core.predictions.oof import FoldPredictions, load_oof, load_test_prob, scores_by_fold, write_fold_predictions
from core.predictions.source import source_of
from core.specs.folds import FoldsSpec
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import Run
from core.submission.write import prepare, read_submission, write_submission
from core.workspace import Workspace
from tests.finished_workspace import add_glyphs, finish_headlines, finish_run, make_recipe, read_fold_predictions

Case = tuple[Workspace, Contest, Folds, tuple[Run, Run]]


@pytest.fixture
def case(workspace: Workspace, tmp_path: Path) -> Case:
    contest = add_glyphs(workspace, tmp_path / "차")
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=3))
    runs = [finish_run(workspace, contest, folds, make_recipe(contest, name), strength=2.0, seed=seed) for seed, name in enumerate("ab")]
    return workspace, contest, folds, (runs[0], runs[1])


def test_every_row_is_validated_by_the_fold_that_held_it_out(case: Case) -> None:
    workspace, contest, folds, (run, _) = case
    oof, fold_of = load_oof(workspace, run, contest), load_folds(workspace, folds).first_fold()
    assert oof.shape == (contest.n_train, 3) and not np.isnan(oof).any()
    for result in run.results:
        part = read_fold_predictions(workspace.absolute(result.path))
        np.testing.assert_array_equal(np.flatnonzero(fold_of == result.fold), part.valid_idx)
        np.testing.assert_array_equal(oof[fold_of == result.fold], part.valid_prob)
        assert result.scores == pytest.approx(all_scores(load_truth(workspace, contest).labels[part.valid_idx], part.valid_prob))


def test_rows_of_a_missing_fold_stay_nan_and_the_run_is_not_blended(case: Case) -> None:
    workspace, contest, folds, (whole, _) = case
    part = finish_run(workspace, contest, folds, make_recipe(contest, "part"), n_done=2)
    missing = load_folds(workspace, folds).first_fold() == 2
    assert np.isnan(load_oof(workspace, part, contest)[missing]).all()
    assert not np.isnan(load_oof(workspace, part, contest)[~missing]).any()
    with pytest.raises(AlignmentError, match="not finished"):
        open_ensemble(workspace, contest, [whole, part])
    with pytest.raises(StateError, match="not finished"):
        prepare(source_of(workspace, part))


def test_runs_on_other_folds_are_refused(case: Case) -> None:
    workspace, contest, _, (run, _) = case
    others = save_folds(workspace, contest, FoldsSpec(n_folds=4))
    stranger = finish_run(workspace, contest, others, make_recipe(contest, "other"))
    with pytest.raises(AlignmentError, match="other folds"):
        open_ensemble(workspace, contest, [run, stranger])


def test_a_fold_that_holds_the_rows_of_another_is_refused(case: Case) -> None:
    workspace, contest, _, (run, _) = case
    twice = replace(run, results=(*run.results[:2], replace(run.results[0], fold=2)))
    with pytest.raises(AlignmentError, match="fold 2 of a does not fit"):
        load_oof(workspace, twice, contest)


def test_damaged_predictions_are_never_read(case: Case) -> None:
    workspace, contest, _, (run, _) = case
    path = workspace.absolute(run.results[1].path) / "valid_prob.npy"
    raw = bytearray(path.read_bytes())
    raw[-3] ^= 1
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match=r"valid_prob\.npy is damaged"):
        load_oof(workspace, run, contest)


def test_weights_are_not_read_with_the_predictions_beside_them(tmp_path: Path) -> None:
    """Neither those of a network of its own, nor those of an earlier version, which stand in the manifest of the arrays."""
    given = FoldPredictions(np.array([0]), np.array([[0.5, 0.5]], np.float32), np.array([[0.2, 0.8]], np.float32))
    with publishing(tmp_path / "fold", kind="fold", parents={}) as folder:
        write_fold_predictions(folder, given)
        (folder / "weights.safetensors").write_bytes(b"old")
        (folder / "networks" / "main").mkdir(parents=True)
        (folder / "networks" / "main" / "weights.safetensors").write_bytes(b"new")
        write_manifest(folder / "networks" / "main", kind="network")
    assert sorted(verify(tmp_path / "fold").files)[0] == "networks/main/manifest.json"
    for name in ("weights.safetensors", "networks/main/weights.safetensors"):
        whole = (tmp_path / "fold" / name).read_bytes()
        (tmp_path / "fold" / name).write_bytes(b"x")
        np.testing.assert_array_equal(read_fold_predictions(tmp_path / "fold").test_prob, given.test_prob)
        with pytest.raises(CheckpointError, match=r"weights\.safetensors is damaged"):
            verify(tmp_path / "fold")
        (tmp_path / "fold" / name).write_bytes(whole)


def test_a_test_row_is_predicted_by_the_mean_of_the_folds(case: Case) -> None:
    workspace, _, _, (run, _) = case
    parts = [read_fold_predictions(workspace.absolute(result.path)).test_prob for result in run.results]
    np.testing.assert_allclose(load_test_prob(workspace, run), np.mean(parts, axis=0), atol=1e-7)


@pytest.mark.parametrize("bad", [[[0.5, 0.6]], [[float("nan"), 1.0]], [[-0.1, 1.1]], [[float("inf"), 0.0]]])
def test_what_is_no_probability_is_not_written(tmp_path: Path, bad: list[list[float]]) -> None:
    good, wrong = np.array([[0.5, 0.5]], np.float32), np.array(bad, np.float32)
    for valid, test in ((wrong, good), (good, wrong)):
        with pytest.raises(CheckpointError, match="not probabilities"):
            write_fold_predictions(tmp_path, FoldPredictions(np.array([0]), valid, test))
    assert list(tmp_path.iterdir()) == []


def test_a_saved_blend_is_the_mix_of_its_runs_and_can_be_made_again(case: Case) -> None:
    workspace, contest, _, runs = case
    blend = save_blend(workspace, contest, make_spec([run.id for run in runs], [3, 1]), name="블렌드")
    oof = np.stack([load_oof(workspace, run, contest) for run in runs])
    test = np.stack([load_test_prob(workspace, run) for run in runs])
    np.testing.assert_array_equal(source_of(workspace, blend).oof(), mix(oof, [3, 1]))
    np.testing.assert_array_equal(source_of(workspace, blend).test(), mix(test, [3, 1]))
    expected = all_scores(load_truth(workspace, contest).labels, mix(oof, [3, 1]))
    assert blend.scores.oof_score == pytest.approx(expected["log_loss"], abs=1e-6)
    again = save_blend(workspace, contest, blend.spec)
    assert again.fingerprint == blend.fingerprint and again.name == "blend"


def test_a_submission_knows_what_it_is_made_of_and_is_made_again_with_the_same_bytes(case: Case) -> None:
    workspace, contest, folds, runs = case
    blend = save_blend(workspace, contest, make_spec([run.id for run in runs], [3, 1]), name="블렌드")
    first, second = write_submission(source_of(workspace, blend)), write_submission(source_of(workspace, blend))
    assert first.sha256 == second.sha256 and first.id == second.id, "equal bytes under one name are one submission"
    assert read_submission(workspace, first) == prepare(source_of(workspace, blend)).data
    lineage = first.lineage
    assert (lineage.rows, lineage.folds, lineage.fingerprint) == (contest.fingerprint, folds.fingerprint, blend.fingerprint)
    assert lineage.truth == contest.truth.fingerprint
    assert [member.weight for member in lineage.members] == [0.75, 0.25]
    assert [member.recipe for member in lineage.members] == [run.recipe.fingerprint for run in runs]
    assert first.n_rows == len(load_table(workspace, contest).test) == 12
    assert first.filename == "중고차-블렌드.csv" and first.hidden_scores is None


def test_a_submission_changed_on_disk_is_not_handed_out(case: Case) -> None:
    workspace, _, _, (run, _) = case
    submission = write_submission(source_of(workspace, run))
    path = workspace.absolute(submission.path)
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    with pytest.raises(CheckpointError, match="damaged"):
        read_submission(workspace, submission)


def test_an_old_run_gets_a_new_metric_from_its_predictions(
    workspace: Workspace, tmp_path: Path, write_headlines: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    contest, (run,) = finish_headlines(workspace, write_headlines(tmp_path / "headlines"), {"one": 2.0})
    stored = {result.fold: result.scores for result in run.results}

    def brier(y_true: np.ndarray, y_prob: np.ndarray) -> float:
        return float(((np.eye(y_prob.shape[1])[y_true] - y_prob) ** 2).sum(axis=1).mean())

    with monkeypatch.context() as patch:
        patch.setattr(module, "load_oof", lambda *_: pytest.fail("predictions are read although nothing is missing"))
        assert scores_by_fold(workspace, contest, run) == stored
    monkeypatch.setitem(METRICS, "brier", Metric("brier", "Brier score", "probabilities", False, (0.0, 2.0), brier, None))
    found, labels = scores_by_fold(workspace, contest, run), load_truth(workspace, contest).labels
    for result in run.results:
        part = read_fold_predictions(workspace.absolute(result.path))
        assert found[result.fold] == {**stored[result.fold], "brier": pytest.approx(brier(labels[part.valid_idx], part.valid_prob))}
    assert not np.isnan(load_oof(workspace, run, contest)).any() and all("brier" not in result.scores for result in run.results)
