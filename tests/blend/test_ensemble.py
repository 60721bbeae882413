"""Runs aligned and scored, and the blend that is kept of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from core.analysis.compare import compare_sources
from core.base.errors import InputError, RecipeError
from core.blend.ensemble import (
    Ensemble,
    blend_runs,
    load_networks,
    make_spec,
    open_ensemble,
    save_blend,
    spec_of,
    temperature_of_test,
)
from core.blend.procedure import BlendProcedure
from core.blend.steps import apply_steps, mix, normalise
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.contest.table import load_truth
from core.folds import save_folds
from core.metrics.scores import METRICS, decide, get_metric, macro_f1_of_sets
from core.predictions.oof import load_oof, load_test_networks, load_test_prob
from core.predictions.source import source_of
from core.specs.blend import BlendSpec
from core.specs.folds import FoldsSpec
from core.store.blends import get_blend, list_blends
from core.store.contests import Contest
from core.store.runs import Run
from core.submission.write import prepare
from core.trash import empty_trash
from core.workspace import Workspace
from tests.blend.blend_data import matrix_of
from tests.emotions import finish_emotions
from tests.finished_workspace import finish_run, make_recipe, put_away


def make_ensemble(metric: str, *, n_runs: int = 3, n_rows: int = 90, n_classes: int = 4, seed: int = 0) -> Ensemble:
    rng = np.random.default_rng(seed)
    oof = rng.dirichlet(np.full(n_classes, 0.4), size=(n_runs, n_rows)).astype(np.float32)
    runs = [SimpleNamespace(id=i, name=f"run-{i}") for i in range(n_runs)]
    fold_of = np.arange(n_rows) % 3
    return Ensemble(matrix_of(oof, rng.integers(0, n_classes, n_rows), fold_of, get_metric(metric)), runs)  # pyright: ignore[reportArgumentType]


weights_of_three = st.lists(st.floats(0, 10, allow_nan=False), min_size=3, max_size=3).filter(lambda w: sum(w) > 1e-6)


@pytest.mark.parametrize("metric", list(METRICS))
@given(weights=weights_of_three)
@settings(max_examples=60, deadline=None)
def test_a_score_equals_the_metric_on_the_mixed_predictions(metric: str, weights: list[float]) -> None:
    ensemble = make_ensemble(metric)
    score = ensemble.score(weights)
    prob = ensemble.prob(weights)
    y_true, fold_of = ensemble.oof.y_true, ensemble.oof.fold_of
    assert score.oof_score == pytest.approx(get_metric(metric).score(y_true, prob), abs=1e-6)
    by_fold = [get_metric(metric).score(y_true[fold_of == fold], prob[fold_of == fold]) for fold in range(3)]
    assert score.fold_scores == pytest.approx(by_fold, abs=1e-6)
    assert score.cv_score == pytest.approx(np.mean(by_fold), abs=1e-6)
    assert score.cv_sd == pytest.approx(np.std(by_fold, ddof=1), abs=1e-6)


@given(weights=weights_of_three, factor=st.floats(0.1, 100))
@settings(max_examples=60, deadline=None)
def test_only_the_proportion_of_weights_matters(weights: list[float], factor: float) -> None:
    ensemble = make_ensemble("log_loss")
    scaled = [factor * weight for weight in weights]
    np.testing.assert_allclose(ensemble.prob(weights), ensemble.prob(scaled), atol=1e-6)


def test_a_single_weight_is_the_run_itself() -> None:
    ensemble = make_ensemble("macro_f1")
    for i, member in enumerate(ensemble.member_scores()):
        weights = [0.0, 0.0, 0.0]
        weights[i] = 2.5
        np.testing.assert_array_equal(ensemble.prob(weights), ensemble.oof.prob[i])
        assert member == ensemble.score(weights)


def test_the_mean_of_equal_members_is_the_member() -> None:
    member = np.random.default_rng(1).dirichlet(np.ones(5), size=20).astype(np.float32)
    np.testing.assert_allclose(mix(np.stack([member] * 4), [1, 2, 3, 4]), member, atol=1e-7)


@pytest.mark.parametrize("weights", [[0, 0, 0], [1, -1, 1], [1, float("nan"), 1], [1, 2], [float("inf"), 1, 1], [1e308, 1e308, 1]])
def test_weights_that_mean_nothing_are_refused(weights: list[float]) -> None:
    with pytest.raises(InputError, match="weights cannot be used"):
        normalise(weights, 3)


@pytest.mark.parametrize(
    ("members", "weights"),
    [([], None), ([1, 1], None), ([1, 2], [1.0]), ([1, 2], [0.0, 0.0]), ([1, 2], [1.0, -2.0]), ([1, 2], [1e308, 1e308])],
)
def test_a_spec_that_cannot_be_blended_is_refused(members: list[int], weights: list[float] | None) -> None:
    with pytest.raises(RecipeError):
        make_spec(members, weights)


def test_a_spec_without_weights_is_equal() -> None:
    assert make_spec([4, 7]).normalised() == (0.5, 0.5)


Prepared = tuple[Workspace, Contest, list[Run]]


@pytest.fixture
def prepared(workspace: Workspace, tmp_path: Path, write_headlines: Callable[[Path], Path]) -> Prepared:
    contest = add_contest(workspace, inspect_path(write_headlines(tmp_path / "headlines")).draft)
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=3))
    runs = [finish_run(workspace, contest, folds, make_recipe(contest, name), seed=seed, strength=1) for seed, name in enumerate("abc")]
    return workspace, contest, runs


@pytest.mark.parametrize(
    "procedure",
    [
        BlendProcedure(way="by_score", shrinkage=0.5),
        BlendProcedure(way="greedy", mean="auto", chooses_members=True, temperature=True),
        BlendProcedure(way="by_class", prior_rows=5),
        BlendProcedure(way="stacking", temperature=True),
    ],
    ids=lambda procedure: procedure.way,
)
def test_every_step_reaches_the_test_rows(prepared: Prepared, procedure: BlendProcedure) -> None:
    workspace, contest, runs = prepared
    saved = get_blend(workspace.store, blend_runs(workspace, contest, runs, procedure).id)
    steps = open_ensemble(workspace, contest, runs).fit(procedure)
    assert BlendProcedure.model_validate(saved.scores.procedure) == procedure
    assert saved.spec.steps == steps and saved.scores.honest.gain_low <= saved.scores.honest.gain
    np.testing.assert_array_equal(
        source_of(workspace, saved).oof(), apply_steps(steps, [load_oof(workspace, run, contest) for run in runs])
    )
    test = apply_steps(saved.spec.test_steps, [load_test_prob(workspace, run) for run in runs])
    assert saved.spec.test_steps.model_copy(update={"temperature": steps.temperature}) == steps
    np.testing.assert_array_equal(source_of(workspace, saved).test(), test)
    np.testing.assert_array_equal(prepare(source_of(workspace, saved)).predicted, test.argmax(axis=1))
    again = save_blend(workspace, contest, saved.spec, name="again")
    np.testing.assert_array_equal(source_of(workspace, again).test(), test)


@pytest.mark.parametrize(
    "procedure",
    [
        BlendProcedure(way="optimal", thresholds=True),
        BlendProcedure(way="by_class", temperature=True),
        BlendProcedure(way="stacking", thresholds=True),
        BlendProcedure(mean="rank", thresholds=True),
    ],
    ids=lambda procedure: procedure.way,
)
def test_rows_with_several_classes_keep_their_thresholds(workspace: Workspace, tmp_path: Path, procedure: BlendProcedure) -> None:
    contest, runs = finish_emotions(workspace, tmp_path / "emotions", layout="cells")
    saved = get_blend(workspace.store, blend_runs(workspace, contest, runs, procedure).id)
    steps = open_ensemble(workspace, contest, runs).fit(procedure)
    assert saved.spec.steps == steps and bool(steps.thresholds) == procedure.thresholds
    oof = apply_steps(steps, [load_oof(workspace, run, contest) for run in runs], multilabel=True)
    np.testing.assert_array_equal(source_of(workspace, saved).oof(), oof)
    given = decide(oof, multilabel=True, thresholds=steps.thresholds)
    assert saved.scores.oof_score == pytest.approx(macro_f1_of_sets(load_truth(workspace, contest).labels, given))
    test = apply_steps(saved.spec.test_steps, [load_test_prob(workspace, run) for run in runs], multilabel=True)
    np.testing.assert_array_equal(source_of(workspace, saved).test(), test)
    np.testing.assert_array_equal(
        prepare(source_of(workspace, saved)).predicted, decide(test, multilabel=True, thresholds=steps.thresholds)
    )
    duel = compare_sources(source_of(workspace, saved), source_of(workspace, runs[2]))
    assert duel.comparison.score == pytest.approx(saved.scores.oof_score) and duel.verdict == "first"


def test_a_temperature_is_another_one_on_test_rows(prepared: Prepared) -> None:
    workspace, contest, runs = prepared
    ensemble = open_ensemble(workspace, contest, runs)
    steps = ensemble.fit(BlendProcedure(temperature=True))
    saved = save_blend(workspace, contest, spec_of([run.id for run in runs], steps))
    on_test = temperature_of_test(ensemble, steps, load_networks(ensemble))
    assert saved.spec.temperature == steps.temperature != on_test == saved.spec.test_steps.temperature
    np.testing.assert_array_equal(
        source_of(workspace, saved).test(),
        apply_steps(steps.model_copy(update={"temperature": on_test}), [load_test_prob(workspace, run) for run in runs]),
    )


def test_a_blend_of_before_keeps_its_temperature_on_test_rows() -> None:
    old = BlendSpec.model_validate({"members": [1, 2], "weights": [3.0, 1.0], "temperature": 1.5})
    assert old.test_steps == old.steps and "test_temperature" not in old.identity()


def test_repeated_folds_predict_a_test_row_as_they_predict_an_out_of_fold_row(prepared: Prepared) -> None:
    workspace, contest, _ = prepared
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=3, repeats=2))
    run = finish_run(workspace, contest, folds, make_recipe(contest, "twice"))
    alone = load_test_networks(workspace, run, 1)
    together = load_test_networks(workspace, run, 2, step=2)
    assert (len(alone), len(together)) == (6, 3)
    for place, prob in enumerate(together):
        np.testing.assert_allclose(prob, (alone[place] + alone[place + 3])[::2] / 2, rtol=1e-6)


def test_a_blend_stored_before_there_were_steps_is_read_as_it_was() -> None:
    old = {"members": [1, 2], "weights": [3.0, 1.0], "mean": "arithmetic"}
    assert BlendSpec.model_validate(old) == make_spec([1, 2], [3, 1])
    assert BlendSpec.model_validate(old).is_plain


def test_weights_by_hand_and_equal_ones_have_no_honest_score(prepared: Prepared) -> None:
    workspace, contest, runs = prepared
    assert blend_runs(workspace, contest, runs, BlendProcedure()).scores.honest is None
    by_hand = blend_runs(workspace, contest, runs, BlendProcedure(way="hand", weights=(1, 2, 3)))
    assert by_hand.scores.procedure is None
    assert by_hand.scores.honest is None and by_hand.spec.normalised() == pytest.approx((1 / 6, 1 / 3, 1 / 2))


def test_a_blend_goes_with_its_folder_unless_another_stands_on_it(prepared: Prepared) -> None:
    workspace, contest, runs = prepared
    spec = make_spec([run.id for run in runs])
    one, other = save_blend(workspace, contest, spec, name="one"), save_blend(workspace, contest, spec, name="other")
    assert one.path == other.path
    put_away(workspace.store, "blend", one.id)
    empty_trash(workspace)
    assert source_of(workspace, other).oof().shape == (contest.n_train, len(contest.spec.classes))
    put_away(workspace.store, "blend", other.id)
    empty_trash(workspace)
    assert not workspace.absolute(other.path).exists()
    assert list_blends(workspace.store) == ()
