"""A procedure's steps give the same predictions wherever they are applied, and what it chooses is the best it tried."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from core.base.errors import AlignmentError, RecipeError, StateError
from core.base.settings import parse_settings
from core.blend.optimum import optimal_log_loss
from core.blend.procedure import AUTO_MEANS, BlendProcedure, Way, fit_procedure
from core.blend.scorer import make_scorer
from core.blend.steps import apply_steps, arranged, mix
from core.metrics.scores import get_metric
from core.specs.blend import BlendSteps
from tests.blend.blend_data import matrix_of, skilled, under_any_mean

WAYS: list[Way] = ["hand", "equal", "by_score", "optimal", "greedy", "search", "by_class", "stacking"]


def procedure(**settings: object) -> BlendProcedure:
    given = {"weights": (3, 1, 1)} if settings.get("way") == "hand" else {}
    return parse_settings(BlendProcedure, {**given, **settings}, where="procedure")


@pytest.mark.parametrize("metric", ["log_loss", "macro_f1"])
@pytest.mark.parametrize("way", WAYS)
def test_the_scorer_says_what_the_applied_steps_say(way: Way, metric: str) -> None:
    scorer = skilled(metric, [1.5, 1.0, 0.3], n_rows=240)
    steps = fit_procedure(
        procedure(way=way, shrinkage=0.3, temperature=True, offsets=metric == "macro_f1", n_rounds=4), under_any_mean(scorer)
    )
    prob = apply_steps(steps, scorer.oof)
    np.testing.assert_array_equal(scorer.prob(steps), prob)
    np.testing.assert_allclose(prob.sum(axis=1), 1, atol=1e-5)
    outcome = scorer.outcome(steps)
    np.testing.assert_array_equal(outcome.y_pred, prob.argmax(axis=1))
    assert scorer.score(steps) == pytest.approx(scorer.metric.score(scorer.y_true, prob), abs=1e-6)
    rows = scorer.fold_of == 1
    np.testing.assert_allclose(scorer.take(rows).prob(steps), prob[rows], atol=1e-6)
    assert steps == BlendSteps.model_validate(steps.to_dict())


def test_shrinkage_leads_from_the_weights_to_equal_ones() -> None:
    scorer = skilled("log_loss", [2.0, 0.5, 0.0])
    free = np.asarray(optimal_log_loss(scorer).weights)
    for shrinkage in (0.0, 0.25, 1.0):
        share = fit_procedure(procedure(way="optimal", shrinkage=shrinkage), under_any_mean(scorer)).normalised()
        np.testing.assert_allclose(share, (1 - shrinkage) * free + shrinkage / 3)


def test_auto_is_the_best_of_its_means() -> None:
    scorer = skilled("log_loss", [1.5, 1.0, 0.3])
    found = fit_procedure(procedure(way="greedy", mean="auto"), under_any_mean(scorer))
    each = {mean: fit_procedure(procedure(way="greedy", mean=mean), under_any_mean(scorer)) for mean in AUTO_MEANS}
    scores = {mean: under_any_mean(scorer)(mean).score(steps) for mean, steps in each.items()}
    assert found == each[min(scores, key=lambda mean: scores[mean])]


def test_the_chosen_members_are_as_good_as_any_one_step_away() -> None:
    scorer = skilled("accuracy", [1.2, 1.0, 0.0, 0.0, -1.0])
    steps = fit_procedure(procedure(way="equal", chooses_members=True), under_any_mean(scorer))
    kept = [run for run, weight in enumerate(steps.weights) if weight]
    assert 4 not in kept and steps.normalised() == pytest.approx([1 / len(kept) if run in kept else 0 for run in range(5)])
    for rest in itertools.combinations(kept, len(kept) - 1):
        rival = mix([scorer.oof[run] for run in rest], [1] * len(rest))
        assert scorer.score(steps) >= scorer.metric.score(scorer.y_true, rival)


def test_a_run_that_knows_one_class_speaks_for_it() -> None:
    """Two runs, each sure of its own two classes and guessing among the others: weights by class find out which."""
    rng = np.random.default_rng(0)
    y_true = np.arange(2000) % 4
    oof = []
    for run in (0, 1):
        logits = rng.normal(0, 1, (2000, 4))
        logits[np.arange(2000), y_true] += np.where(y_true // 2 == run, 3, 0)
        oof.append((np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32))
    scorer = make_scorer(matrix_of(oof, y_true, np.arange(2000) % 5, get_metric("log_loss")))
    steps = fit_procedure(procedure(way="by_class"), under_any_mean(scorer))
    share = np.asarray(steps.class_weights)
    assert (share[0, :2] > share[1, :2]).all() and (share[1, 2:] > share[0, 2:]).all()
    assert scorer.score(steps) < optimal_log_loss(scorer).log_loss - 0.01


def test_few_rows_leave_a_class_at_the_common_weights() -> None:
    scorer = skilled("log_loss", [1.5, 0.5], n_rows=300)
    common = np.asarray(optimal_log_loss(scorer).weights)
    far = np.asarray(fit_procedure(procedure(way="by_class", prior_rows=1e6), under_any_mean(scorer)).class_weights)
    np.testing.assert_allclose(far, np.repeat(common[:, None], 4, axis=1), atol=1e-3)


def test_a_regression_that_would_be_too_large_is_refused() -> None:
    scorer = skilled("log_loss", [1.0] * 6, n_rows=200, n_classes=100)
    with pytest.raises(StateError, match="cannot be fitted"):
        fit_procedure(procedure(way="stacking"), under_any_mean(scorer))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_regression_is_the_one_of_scikit_learn(n_classes: int) -> None:
    from sklearn.linear_model import LogisticRegression

    scorer = skilled("log_loss", [1.5, 0.5], n_rows=300, n_classes=n_classes)
    prob = apply_steps(fit_procedure(procedure(way="stacking", stack_strength=0.1), under_any_mean(scorer)), scorer.oof)
    x = np.log(np.concatenate(scorer.oof, axis=1).astype(float))
    model = LogisticRegression(C=0.1, max_iter=300)
    expected = model.fit((x - x.mean(axis=0)) / x.std(axis=0), scorer.y_true).predict_proba((x - x.mean(axis=0)) / x.std(axis=0))
    np.testing.assert_allclose(prob, expected, atol=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        {"way": "hand", "weights": ()},
        {"way": "equal", "weights": (1, 1, 1)},
        {"way": "optimal", "mean": "rank"},
        {"way": "stacking", "mean": "logit"},
        {"way": "hand", "chooses_members": True},
        {"shrinkage": 1.5},
        {"way": "magic"},
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(RecipeError):
        procedure(**settings)


@pytest.mark.parametrize(
    "steps",
    [
        BlendSteps(weights=(1, 1)),
        BlendSteps(weights=(1, 1, 1), offsets=(0.1, 0.2)),
        BlendSteps(weights=(1, 1, 1), class_weights=((1, 1),) * 3),
    ],
)
def test_steps_for_other_runs_or_classes_are_refused(steps: BlendSteps) -> None:
    with pytest.raises(AlignmentError, match="do not fit"):
        apply_steps(steps, skilled("accuracy", [1.0] * 3, n_rows=20).oof)


@pytest.mark.parametrize("way", WAYS)
def test_settings_that_a_way_does_not_read_change_nothing(way: Way) -> None:
    scorer = skilled("macro_f1", [1.5, 1.0, 0.3], n_rows=240)
    odd = procedure(way=way, score_by="macro_f1", goal="accuracy", n_rounds=3, n_bags=2, prior_rows=9, stack_strength=0.1, shrinkage=0.2)
    prob = scorer.prob(fit_procedure(odd, under_any_mean(scorer)))
    np.testing.assert_allclose(scorer.prob(fit_procedure(odd.trimmed, under_any_mean(scorer))), prob, atol=1e-7)
    assert odd.trimmed.trimmed == odd.trimmed
    assert procedure(way=way).trimmed == procedure(way=way)


@pytest.mark.parametrize("way", ["greedy", "search"])
def test_a_goal_of_ones_own_is_climbed_and_the_contest_still_judges(way: Way) -> None:
    scorer = skilled("accuracy", [1.5, 1.2, 0.3])
    of_contest, of_goal = (fit_procedure(procedure(way=way, goal=goal), under_any_mean(scorer)) for goal in ("contest", "log_loss"))
    losses = [scorer.of(scorer.outcome(steps), "log_loss") for steps in (of_contest, of_goal)]
    assert losses[1] < losses[0]
    assert scorer.score(of_goal) <= scorer.score(of_contest)


@pytest.mark.parametrize("way", WAYS)
def test_a_blend_is_the_same_in_another_order_of_its_runs(way: Way) -> None:
    scorer = skilled("macro_f1", [1.5, 1.0, 0.3], n_rows=240)
    steps = fit_procedure(procedure(way=way, shrinkage=0.1, temperature=True, offsets=True), under_any_mean(scorer))
    order = [2, 0, 1]
    turned = arranged(steps, order)
    np.testing.assert_allclose(apply_steps(turned, [scorer.oof[run] for run in order]), apply_steps(steps, scorer.oof), atol=1e-6)
    assert arranged(turned, [1, 2, 0]) == steps
