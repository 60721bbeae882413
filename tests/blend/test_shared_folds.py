"""A run that misses folds is refused, or by choice the blend stands on the folds that all have; nothing is ever filled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.base.errors import AlignmentError, RecipeError, StateError
from core.base.settings import parse_settings
from core.blend.ensemble import blend_runs, make_spec, open_ensemble, save_blend
from core.blend.procedure import BlendProcedure
from core.blend.steps import mix
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.contest.table import load_truth
from core.folds import load_folds, save_folds
from core.jobs import launch
from core.metrics.scores import get_metric
from core.predictions.oof import load_oof, load_test_prob, shared_folds
from core.predictions.source import load_matrix, source_of
from core.specs.blend import BlendSpec
from core.specs.folds import FoldsSpec
from core.splitting import FoldPairs
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import Run, get_run
from core.submission.write import write_submission
from core.workspace import Workspace
from tests.finished_workspace import claim, finish_job, finish_run, make_recipe, read_fold_predictions

Prepared = tuple[Workspace, Contest, Folds]


@pytest.fixture
def prepared(workspace: Workspace, tmp_path: Path, write_headlines: Callable[[Path], Path]) -> Prepared:
    contest = add_contest(workspace, inspect_path(write_headlines(tmp_path / "headlines"), sets=["metric=log_loss"]).draft)
    return workspace, contest, save_folds(workspace, contest, FoldsSpec(n_folds=4))


def run_of(prepared: Prepared, name: str, folds_done: Sequence[int], *, strength: float = 2.0, seed: int = 0) -> Run:
    """A run that has finished these folds; the others wait."""
    workspace, contest, folds = prepared
    recipe = make_recipe(contest, name)
    run = launch.launch_run(workspace, contest, folds, recipe)
    for _ in range(folds.n_folds):
        job = claim(workspace)
        if job.fold in folds_done:
            finish_job(workspace, contest, folds, job, recipe, strength=strength, seed=seed)
    return get_run(workspace.store, run.id)


def finish_fold(prepared: Prepared, run: Run, fold: int) -> Run:
    workspace, contest, folds = prepared
    (job,) = [job for job in run.jobs if job.fold == fold]
    finish_job(workspace, contest, folds, job, run.recipe, strength=2.0, seed=9)
    return get_run(workspace.store, run.id)


@pytest.fixture
def pair(prepared: Prepared) -> tuple[Run, Run]:
    """A run with all four folds and one with folds 0, 2 and 3."""
    return run_of(prepared, "whole", range(4), seed=1), run_of(prepared, "part", (0, 2, 3), seed=2)


def test_an_ensemble_holds_the_rows_that_all_runs_have_and_their_own_scores(prepared: Prepared, pair: tuple[Run, Run]) -> None:
    workspace, contest, folds = prepared
    with pytest.raises(AlignmentError, match="part has not finished") as caught:
        open_ensemble(workspace, contest, pair)
    assert "3 of 4 folds are done, without 1" in caught.value.why and "(0, 2, 3; --shared-folds)" in caught.value.fix
    together = shared_folds(pair)
    ensemble = open_ensemble(workspace, contest, pair, together)
    rows = np.flatnonzero(load_folds(workspace, folds).first_fold() != 1)
    np.testing.assert_array_equal(ensemble.oof.rows, rows)
    assert (ensemble.oof.folds, ensemble.oof.restricted_to, ensemble.oof.n_train) == ((0, 2, 3), (0, 2, 3), contest.n_train)
    y_true, metric = load_truth(workspace, contest).labels[rows], get_metric("log_loss")
    both = [load_oof(workspace, run, contest)[rows] for run in pair]
    score = ensemble.score([3, 1])
    assert score.oof_score == pytest.approx(metric.score(y_true, mix(both, [3, 1])), abs=1e-6)
    assert len(score.fold_scores) == 3
    assert ensemble.member_scores()[1].fold_scores == pytest.approx([result.scores["log_loss"] for result in pair[1].results], abs=1e-6)
    assert not open_ensemble(workspace, contest, pair[:1], shared_folds(pair[:1])).oof.restricted_to


def test_the_honest_score_is_refitted_without_each_fold_that_is_there(prepared: Prepared, pair: tuple[Run, Run]) -> None:
    workspace, contest, _ = prepared
    ensemble = open_ensemble(workspace, contest, pair, shared_folds(pair))
    honest = ensemble.honest(BlendProcedure(way="optimal"))
    assert len(honest.refits) == 3
    single = open_ensemble(workspace, contest, pair, (2,))
    assert single.score([1, 1]).fold_scores == pytest.approx([single.score([1, 1]).oof_score])
    with pytest.raises(StateError, match="two folds"):
        single.honest(BlendProcedure(way="optimal"))
    with pytest.raises(StateError, match="two folds"):
        blend_runs(workspace, contest, pair, BlendProcedure(way="optimal"), fold_numbers=(2,))


def test_the_saved_blend_says_its_folds_and_is_made_again_after_the_run_went_on(prepared: Prepared, pair: tuple[Run, Run]) -> None:
    workspace, contest, folds = prepared
    ensemble = open_ensemble(workspace, contest, pair, shared_folds(pair))
    blend = save_blend(workspace, contest, make_spec([run.id for run in pair], [3, 1]), ensemble=ensemble)
    assert (blend.spec.folds, blend.spec.networks) == ((0, 2, 3), ((0, 1, 2, 3), (0, 2, 3)))
    assert (blend.scores.folds, blend.scores.n_rows) == ((0, 2, 3), len(ensemble.oof.rows))
    oof, missing = source_of(workspace, blend).oof(), load_folds(workspace, folds).first_fold() == 1
    assert np.isnan(oof[missing]).all()
    np.testing.assert_array_equal(oof[~missing], mix(ensemble.oof.prob, [3, 1]))
    networks = [read_fold_predictions(workspace.absolute(result.path)).test_prob for result in pair[1].results]
    np.testing.assert_allclose(load_test_prob(workspace, pair[1]), np.mean(networks, axis=0), atol=1e-7)
    test = source_of(workspace, blend).test()
    np.testing.assert_array_equal(test, mix([load_test_prob(workspace, run) for run in pair], [3, 1]))
    finish_fold(prepared, pair[1], 1)
    again = save_blend(workspace, contest, blend.spec, name="again")
    assert again.fingerprint == blend.fingerprint
    whole = save_blend(workspace, contest, make_spec([run.id for run in pair], [3, 1]), name="whole")
    assert not whole.spec.is_restricted and not np.isnan(source_of(workspace, whole).oof()).any()
    assert not np.array_equal(source_of(workspace, whole).test(), test)


def test_a_submission_of_it_names_the_folds_and_only_the_networks_that_had_a_part(prepared: Prepared, pair: tuple[Run, Run]) -> None:
    workspace, contest, _ = prepared
    blend = blend_runs(workspace, contest, pair, BlendProcedure(), fold_numbers=shared_folds(pair))
    finish_fold(prepared, pair[1], 1)
    lineage = write_submission(source_of(workspace, blend)).lineage
    assert (lineage.scored_folds, lineage.n_folds) == ((0, 2, 3), 4)
    assert [sorted(member.folds) for member in lineage.members] == [["0", "1", "2", "3"], ["0", "2", "3"]]
    assert "scored_folds" not in write_submission(source_of(workspace, pair[0])).lineage.to_dict()


def test_errors_of_it_are_looked_at_on_the_rows_it_stands_on(prepared: Prepared, pair: tuple[Run, Run]) -> None:
    workspace, contest, folds = prepared
    blend = blend_runs(workspace, contest, pair, BlendProcedure(), fold_numbers=shared_folds(pair))
    evidence = load_matrix([source_of(workspace, blend)])
    np.testing.assert_array_equal(evidence.rows, np.flatnonzero(load_folds(workspace, folds).first_fold() != 1))
    assert not evidence.is_whole


def test_runs_without_a_common_fold_are_refused_with_what_each_has(prepared: Prepared) -> None:
    workspace, contest, _ = prepared
    runs = run_of(prepared, "early", (0, 1)), run_of(prepared, "late", (2, 3))
    assert shared_folds(runs) == () and shared_folds([]) == ()
    with pytest.raises(AlignmentError, match="no finished fold in common") as caught:
        open_ensemble(workspace, contest, runs, shared_folds(runs))
    assert caught.value.why == "early has 0, 1; late has 2, 3"
    with pytest.raises(AlignmentError, match="early has not finished"):
        open_ensemble(workspace, contest, runs[:1], (0, 3))


@pytest.mark.parametrize("changed", ["contest", "folds"])
def test_predictions_of_another_version_of_the_data_are_refused(
    prepared: Prepared, pair: tuple[Run, Run], changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, contest, folds = prepared
    if changed == "contest":
        contest = replace(contest, fingerprint="f" * 64)
    else:
        monkeypatch.setattr("core.predictions.oof.get_folds", lambda *_: replace(folds, fingerprint="f" * 64))
    with pytest.raises(AlignmentError, match="another version" if changed == "contest" else "other folds") as caught:
        load_oof(workspace, pair[0], contest)
    assert "ffffffffffff" in caught.value.why


def test_rows_that_a_fold_should_have_validated_are_not_filled(
    prepared: Prepared, pair: tuple[Run, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, contest, _ = prepared
    moved = FoldPairs.of_parts(np.arange(contest.n_train) % 4, 4)
    monkeypatch.setattr("core.predictions.oof.load_folds", lambda *_: moved)
    with pytest.raises(AlignmentError, match="does not fit the contest"):
        open_ensemble(workspace, contest, pair, (0, 2, 3))


@pytest.mark.parametrize(
    "part",
    [{"folds": [0]}, {"networks": [[0], [0]]}, {"folds": [0], "networks": [[0]]}, {"folds": [0, 1], "networks": [[0, 1], [0]]}],
    ids=str,
)
def test_a_restriction_that_does_not_fit_is_refused(part: dict[str, object]) -> None:
    with pytest.raises(RecipeError):
        parse_settings(BlendSpec, {"members": [1, 2], "weights": [1, 1], **part}, where="blend")


def test_a_network_that_is_gone_is_named(prepared: Prepared, pair: tuple[Run, Run]) -> None:
    with pytest.raises(AlignmentError, match="no network of fold 1"):
        load_test_prob(prepared[0], pair[1], (0, 1))


def test_a_run_on_all_folds_is_the_same_bank_whatever_was_asked(prepared: Prepared) -> None:
    workspace, contest, folds = prepared
    runs = [finish_run(workspace, contest, folds, make_recipe(contest, name)) for name in "ab"]
    blend = blend_runs(workspace, contest, runs, BlendProcedure(), fold_numbers=shared_folds(runs))
    assert not blend.spec.is_restricted and blend.spec.networks_of == (None, None)
