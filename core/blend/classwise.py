"""Richer ways than one weight per run: a weight per run and class, and a regression on all members.

Any class can win under them, so their labels are computed in full, not from the candidates.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from core.base.errors import StateError
from core.base.messages import msg
from core.blend.optimum import optimal_of_true
from core.blend.scorer import Scorer
from core.blend.steps import features, log_odds
from core.specs.blend import Stack

NEGLIGIBLE = 0.01
GAP_WANTED = 1e-6
LEAST = 1e-6
MOST_COEFFICIENTS = 50_000


def class_weights(scorer: Scorer, weights: tuple[float, ...], *, prior_rows: float) -> NDArray[np.float64]:
    """Weights (n_runs, n_classes), each column positive with sum one, drawn to `weights` where a class has few rows.

    Column c holds the optimum of the log loss of "is it class c", sum over rows of -log(w . p_c) or -log(1 - w . p_c): the same
    convex problem as for one weight per run. It counts n_c / (n_c + prior_rows) against `weights`, for n_c rows of the class. Where
    rows may have several classes, that question is what the scorer's rows are, and a class is one of `n_labels`.
    """
    if scorer.n_labels:
        return _label_weights(scorer, np.asarray(weights, dtype=np.float64), prior_rows=prior_rows)
    common = np.asarray(weights, dtype=np.float64)
    share = np.empty((scorer.n_runs, scorer.n_classes))
    for label in range(scorer.n_classes):
        is_label = scorer.y_true == label
        n_own = int(is_label.sum())
        own = common
        if n_own:
            p = np.stack([member[scorer.rows, label] for member in scorer.oof]).astype(np.float64)
            counts = is_label | (p.max(axis=0) > NEGLIGIBLE)
            q = np.where(is_label[counts], p[:, counts], 1 - p[:, counts])
            # All rows that no member takes for this class stand for one, at their mean: -log(1 - w . p) is straight there.
            rest = 1 - p[:, ~counts].mean(axis=1, keepdims=True) if not counts.all() else np.empty((scorer.n_runs, 0))
            times = np.append(np.ones(q.shape[1]), [(~counts).sum()] * rest.shape[1])
            q = np.clip(np.concatenate([q, rest], axis=1), np.finfo(np.float32).eps, 1)
            own = np.asarray(optimal_of_true(q, times=times, start=common, gap_wanted=GAP_WANTED).weights)
        part = n_own / (n_own + prior_rows) if n_own else 0.0
        share[:, label] = part * own + (1 - part) * common
    share = np.maximum(share, LEAST)
    return share / share.sum(axis=0)


def _label_weights(scorer: Scorer, common: NDArray[np.float64], *, prior_rows: float) -> NDArray[np.float64]:
    share = np.empty((scorer.n_runs, scorer.n_labels))
    q = np.maximum(scorer.true, np.finfo(np.float32).eps)
    for label in range(scorer.n_labels):
        n_own = int(scorer.y_true[label :: scorer.n_labels].sum())
        asked = np.ascontiguousarray(q[:, label :: scorer.n_labels])
        own = np.asarray(optimal_of_true(asked, start=common, gap_wanted=GAP_WANTED).weights)
        part = n_own / (n_own + prior_rows)
        share[:, label] = part * own + (1 - part) * common
    share = np.maximum(share, LEAST)
    return share / share.sum(axis=0)


def fit_stack(scorer: Scorer, *, strength: float, seed: int = 0) -> Stack:
    """Multinomial regression on the members' log-probabilities; `strength` is scikit-learn's C, smaller is more regularised.

    Where rows may have several classes, a logistic regression for each class on the log-odds that the members give to it.
    Raises StateError where it would need more than 50,000 coefficients (n_runs x n_classes^2), or a class has no row.
    """
    if scorer.n_labels:
        return _fit_label_stack(scorer, strength=strength, seed=seed)
    n_coefficients = scorer.n_runs * scorer.n_classes**2
    missing = np.setdiff1d(np.arange(scorer.n_classes), scorer.y_true)
    if n_coefficients > MOST_COEFFICIENTS or len(missing):
        raise _no_stack(
            msg(
                "it would have {n:,} coefficients ({runs} runs x {one} x {other} classes), more than {most:,}",
                n=n_coefficients,
                runs=scorer.n_runs,
                one=scorer.n_classes,
                other=scorer.n_classes,
                most=MOST_COEFFICIENTS,
            )
            if n_coefficients > MOST_COEFFICIENTS
            else msg("classes {names} have no row among those it is fitted on", names=", ".join(map(str, missing[:10]))),
        )
    x = features([member[scorer.rows] for member in scorer.oof])
    coefficients, intercepts = _regress(x, scorer.y_true, strength, seed)
    if len(coefficients) == 1:  # two classes: scikit-learn keeps only the second one's
        coefficients, intercepts = np.vstack([-coefficients, coefficients]) / 2, np.append(-intercepts, intercepts) / 2
    return Stack(coefficients=tuple(map(tuple, coefficients.tolist())), intercepts=tuple(intercepts.tolist()))


def _fit_label_stack(scorer: Scorer, *, strength: float, seed: int) -> Stack:
    y_true = scorer.y_true.reshape(-1, scorer.n_labels)
    alike = np.flatnonzero(y_true.min(axis=0) == y_true.max(axis=0))
    if len(alike):
        raise _no_stack(msg("every row it is fitted on has, or none has, classes {names}", names=", ".join(map(str, alike[:10]))))
    x = log_odds([member[scorer.rows] for member in scorer.oof])
    fits = [_regress(x[label :: scorer.n_labels], y_true[:, label], strength, seed) for label in range(scorer.n_labels)]
    return Stack(
        coefficients=tuple(tuple(coefficients[0].tolist()) for coefficients, _ in fits),
        intercepts=tuple(float(intercepts[0]) for _, intercepts in fits),
    )


def _no_stack(why: str) -> StateError:
    return StateError("a regression cannot be fitted here", where="stacking", why=why, fix="use weights by class, or the optimal weights")


def _regress(
    x: NDArray[np.float64], y_true: NDArray[np.integer], strength: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coefficients and intercepts of a regression on x (n_rows, n_features), which is standardised inside."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    mean, spread = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-6)
    model = LogisticRegression(C=strength, max_iter=300, random_state=seed)
    with warnings.catch_warnings():
        # A strongly regularised fit that stops at its last iteration is a fit all the same: the honest score says what it is worth.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit((x - mean) / spread, y_true)
    coefficients = model.coef_ / spread
    return coefficients, model.intercept_ - coefficients @ mean
