"""A blend's score is the metric of the mixed predictions, whatever the weights."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.base.errors import InputError, RecipeError
from core.blend.ensemble import Ensemble
from core.blend.mean import mix, normalise
from core.blend.save import make_spec
from core.metrics.scores import METRICS, get_metric
from core.predictions.matrix import matrix_of


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


@pytest.mark.parametrize("weights", [[0, 0, 0], [1, -1, 1], [1, float("nan"), 1], [1, 2], [float("inf"), 1, 1]])
def test_weights_that_mean_nothing_are_refused(weights: list[float]) -> None:
    with pytest.raises(InputError, match="weights cannot be used"):
        normalise(weights, 3)


@pytest.mark.parametrize(("members", "weights"), [([], None), ([1, 1], None), ([1, 2], [1.0]), ([1, 2], [0.0, 0.0]), ([1, 2], [1.0, -2.0])])
def test_a_spec_that_cannot_be_blended_is_refused(members: list[int], weights: list[float] | None) -> None:
    with pytest.raises(RecipeError):
        make_spec(members, weights)


def test_a_spec_without_weights_is_equal() -> None:
    assert make_spec([4, 7]).normalised() == (0.5, 0.5)
