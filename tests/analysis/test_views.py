"""The chooser of views: one that helps is found, one that harms or only may help is not taken, and its intervals hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from core.analysis.views import ViewChoice, choose_views
from core.blend.honest import compare
from core.blend.scorer import make_scorer
from core.metrics.scores import get_metric
from core.predictions.source import OofMatrix
from core.specs.data_settings import ViewName
from tests.blend.blend_data import matrix_of, several

N_ROWS, N_CLASSES = 900, 4
VIEWS: tuple[ViewName, ...] = ("plain", "mirror", "flip", "zoom_in")


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float32]:
    prob = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (prob / prob.sum(axis=1, keepdims=True)).astype(np.float32)


def planted(metric: str, *, seed: int = 0, n_folds: int = 3, n_rows: int = N_ROWS) -> OofMatrix:
    """Four views: plain; mirror, as good, with errors of its own; flip, which takes two classes for each other, as of a 6 and a 9; zoom_in, the
    plain view again but for noise."""
    rng = np.random.default_rng(seed)
    y_true = rng.integers(0, N_CLASSES, n_rows)
    signal = 2.0 * np.eye(N_CLASSES)[y_true]
    turned = 2.0 * np.eye(N_CLASSES)[np.array([1, 0, 2, 3])[y_true]]
    base, other = rng.normal(0, 1.2, (2, n_rows, N_CLASSES))
    logits = (signal + base, signal + other, turned + base, signal + base + rng.normal(0, 1e-3, base.shape))
    return matrix_of([softmax(each) for each in logits], y_true, np.arange(n_rows) % n_folds, get_metric(metric))


def choose(oof: OofMatrix, *, most: int = 0) -> ViewChoice:
    return choose_views(oof, VIEWS, (1.0, 1.1, 1.2, 1.3), most=most)


@pytest.mark.parametrize("metric", ["log_loss", "accuracy", "macro_f1"])
def test_a_view_that_helps_is_taken_and_one_that_harms_is_refused(metric: str) -> None:
    choice = choose(planted(metric))
    effects = {effect.view: effect for effect in choice.effects}
    assert {view: effect.verdict for view, effect in effects.items()} == {"mirror": "helps", "flip": "harms", "zoom_in": "unclear"}
    assert choice.chosen == ("plain", "mirror")
    assert choice.honest is not None and choice.honest.gain_low > 0
    assert [effect.view for effect in choice.effects] == ["mirror", "zoom_in", "flip"]
    assert effects["flip"].n_broken > 5 * effects["flip"].n_mended and effects["mirror"].n_mended > effects["mirror"].n_broken
    assert (effects["mirror"].cost_s, choice.plain_cost_s, choice.n_rows) == (1.1, 1.0, N_ROWS)
    assert ViewChoice.from_dict(choice.to_dict()) == choice


def test_a_choice_may_be_limited_and_one_fold_judges_none() -> None:
    assert choose(planted("log_loss"), most=1).chosen == ("plain",)
    alone = choose(planted("log_loss", n_folds=1))
    assert alone.honest is None and alone.chosen == ("plain", "mirror")


def test_rows_of_several_classes_are_right_when_all_of_them_are() -> None:
    prob, y_true = several(2, 400, 3, 0)
    broken = np.where(np.arange(400)[:, None] < 300, 1 - prob[0], prob[0]).astype(np.float32)
    oof = matrix_of([prob[0], prob[1], broken], y_true, np.arange(400) % 3, get_metric("macro_f1"), is_multilabel=True)
    choice = choose_views(oof, ("plain", "mirror", "flip"), (1.0, 1.0, 1.0))
    effects = {effect.view: effect for effect in choice.effects}
    right = ((prob[0] > 0.5) == y_true).all(axis=1)
    after = (((prob[0] + broken) / 2 > 0.5) == y_true).all(axis=1)
    assert (effects["flip"].n_broken, effects["flip"].n_mended) == (int((right & ~after).sum()), int((~right & after).sum()))
    assert effects["flip"].verdict == "harms" and "flip" not in choice.chosen and choice.n_rows == 400


def test_the_interval_of_a_gain_covers_the_true_one() -> None:
    """The true gain is that of very many rows. Of 60 intervals at 95 % chance leaves out eight or more once in 60 times."""

    def gain(oof: OofMatrix) -> float:
        plain, mirror = oof.prob[:2]
        return oof.metric.score(oof.y_true, plain) - oof.metric.score(oof.y_true, (plain + mirror) / 2)

    true, inside = gain(planted("log_loss", seed=99, n_rows=100_000)), 0
    for seed in range(60):
        scorer = make_scorer(planted("log_loss", seed=seed, n_rows=200))
        found = compare(scorer, scorer.outcome((0.5, 0.5, 0, 0)), scorer.outcome((1, 0, 0, 0)), n_draws=200)
        inside += found.gain_low <= true <= found.gain_high
    assert inside >= 52, inside
