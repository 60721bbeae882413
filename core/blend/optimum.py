"""The weights with the least log loss, with the proof: no other weights can be better by more than the gap. And the richer fits of the
log loss: a weight per run and class, and a regression on all members.

Log loss under the arithmetic and the logit mean is convex in the weights, so a local optimum is the global one.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from core.base.errors import StateError
from core.base.messages import msg
from core.blend.scorer import Scorer
from core.blend.steps import features, log_odds, normalise
from core.specs.blend import Stack

GAP_WANTED = 1e-9
"""Stop polishing once no weights can be better by more than this, in nats."""
MOST_STEPS = 200
FEW_ROWS = 20_000
RIDGE = 1e-12
BLOCK = 256


@dataclass(frozen=True)
class Optimum:
    """Weights (n_runs,), their log loss, and `gap`: no other weights can have a log loss lower by more than this."""

    weights: tuple[float, ...]
    log_loss: float
    gap: float


def optimal_log_loss(scorer: Scorer) -> Optimum:
    """The weights with the least log loss over all non-negative weights, under the arithmetic or the logit mean.

    Both are convex in the weights, so a local optimum is the global one, and Frank and Wolfe's gap bounds what any other
    weights could gain. Raises StateError for a mean under which that does not hold.
    """
    if scorer.mean == "arithmetic":
        return optimal_of_true(np.maximum(scorer.true, np.finfo(np.float32).eps))
    if scorer.mean == "logit":
        return _optimal_logit(scorer)
    raise _no_proof(scorer)


def gap_at(scorer: Scorer, weights: Sequence[float]) -> float:
    """How much lower the log loss of other weights can be at most, in nats: Frank and Wolfe's gap at `weights`, zero at the optimum.

    Raises StateError for a mean whose log loss is not convex in the weights.
    """
    w = normalise(weights, scorer.n_runs)
    if scorer.mean == "logit":
        _, gradient = scorer.logit_loss(w)
        return max(0.0, float(gradient @ w - gradient.min()))
    if scorer.mean != "arithmetic":
        raise _no_proof(scorer)
    q = np.maximum(scorer.true, np.finfo(np.float32).eps)
    return max(0.0, float((q / np.einsum("m,mn->n", w, q)).mean(axis=1).max() - 1))


def _no_proof(scorer: Scorer) -> StateError:
    return StateError(
        "the {mean} mean has no optimum that can be proved",
        where="optimal",
        why="its log loss is not convex in the weights",
        fix="use the arithmetic or the logit mean, or greedy selection",
        mean=scorer.mean,
    )


def _optimal_logit(scorer: Scorer) -> Optimum:
    """Minimise mean(log(sum_c exp(w . v_c)) - w . v_true), v the log-probabilities: its gradient is E_blend[v] - v_true."""

    n = scorer.n_runs
    found = scipy.optimize.minimize(
        scorer.logit_loss,
        np.full(n, 1 / n),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * n,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(n)},
        options={"ftol": 1e-12, "maxiter": 100},
    )
    w = np.clip(found.x, 0, None)
    w /= w.sum()
    value, gradient = scorer.logit_loss(w)
    return Optimum(tuple(w.tolist()), value, max(0.0, float(gradient @ w - gradient.min())))


def optimal_of_true(
    q: NDArray[np.float64],
    *,
    times: NDArray[np.float64] | None = None,
    start: NDArray[np.float64] | None = None,
    gap_wanted: float = GAP_WANTED,
) -> Optimum:
    """`optimal_log_loss` from the probabilities of the true class (n_runs, n_rows), all positive; row i counts `times[i]` times.

    Newton's method on the runs that carry weight: a tenth of the rows gives the place to start from, all rows the answer.
    """
    n_runs, n_rows = q.shape
    w = np.full(n_runs, 1 / n_runs) if start is None else start
    part = np.full(n_rows, 1 / n_rows) if times is None else times / times.sum()
    if n_rows >= FEW_ROWS and times is None:
        some = np.ascontiguousarray(q[:, ::10])
        w, _ = _newton(some, np.full(some.shape[1], 1 / some.shape[1]), w, gap_wanted=1e-6)
    w, gap = _newton(q, part, w, gap_wanted=gap_wanted)
    return Optimum(tuple(w.tolist()), float(-part @ np.log(w @ q)), gap)


def _newton(
    q: NDArray[np.float64], part: NDArray[np.float64], w: NDArray[np.float64], *, gap_wanted: float
) -> tuple[NDArray[np.float64], float]:
    """Minimise -part . log(w . q) over the simplex from `w`, `part` (n_rows,) with sum one; returns the weights and their gap."""
    gap = np.inf
    share = np.empty_like(q)
    for _ in range(MOST_STEPS):
        p = np.einsum("m,mn->n", w, q)
        np.divide(q, p, out=share)
        ratio = np.einsum("mn,n->m", share, part)
        gap = max(0.0, float(ratio.max() - 1))
        if gap <= gap_wanted:
            break
        free = (w > 0) | (ratio > 1)
        # The second derivative is needed, and computed, only among the runs that can move.
        hessian = np.zeros((len(w), len(w)))
        hessian[np.ix_(free, free)] = _gram(share[free], part)
        step = _newton_step(hessian, ratio, w, free)
        shrinking = step < 0
        longest = min(1.0, float((w[shrinking] / -step[shrinking]).min())) if shrinking.any() else 1.0
        now, length = float(part @ np.log(p)), longest
        while length > 1e-12 and float(part @ np.log(np.maximum(np.einsum("m,mn->n", w + length * step, q), 1e-300))) < now:
            length /= 2
        w = w + length * step
        w[w < 1e-14] = 0
        w /= w.sum()
    return w, gap


def _gram(share: NDArray[np.float64], part: NDArray[np.float64]) -> NDArray[np.float64]:
    """share . diag(part) . share^T, in blocks so small that BLAS stays on one thread and waits for no core that is training."""
    n_runs, n_rows = share.shape
    whole = n_rows - n_rows % BLOCK
    weighted = share * part
    cut = (n_runs, whole // BLOCK, BLOCK)
    one, other = (each[:, :whole].reshape(cut).transpose(1, 0, 2) for each in (weighted, share))
    return np.matmul(one, other.transpose(0, 2, 1)).sum(axis=0) + weighted[:, whole:] @ share[:, whole:].T


def _newton_step(
    hessian: NDArray[np.float64], ratio: NDArray[np.float64], w: NDArray[np.float64], free: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The Newton step that keeps the sum of weights; a run at zero that it would push below is held at zero."""
    step = np.zeros_like(w)
    while True:
        names = np.flatnonzero(free)
        n = len(names)
        system = np.zeros((n + 1, n + 1))
        system[:n, :n] = hessian[np.ix_(names, names)] + RIDGE * np.trace(hessian) * np.eye(n)
        system[n, :n] = system[:n, n] = 1
        step[:] = 0
        step[names] = np.linalg.solve(system, np.append(ratio[names], 0))[:n]
        held = free & (w == 0) & (step < 0)
        if not held.any():
            return step
        free = free & ~held


NEGLIGIBLE = 0.01
CLASS_GAP_WANTED = 1e-6
LEAST = 1e-6
MOST_COEFFICIENTS = 50_000


def class_weights(scorer: Scorer, weights: tuple[float, ...], *, prior_rows: float) -> NDArray[np.float64]:
    """Weights (n_runs, n_classes), each column positive with sum one, drawn to `weights` where a class has few rows.

    Column c holds the optimum of the log loss of "is it class c", sum over rows of -log(w . p_c) or -log(1 - w . p_c): the same
    convex problem as for one weight per run. It counts n_c / (n_c + prior_rows) against `weights`, for n_c rows of the class. Where
    rows may have several classes, that question is what the scorer's rows are, and a class is one of `n_labels`.
    """
    common = np.asarray(weights, dtype=np.float64)
    share = np.empty((scorer.n_runs, scorer.n_labels or scorer.n_classes))
    for label in range(share.shape[1]):
        q, times, n_own = _asked_of_label(scorer, label) if scorer.n_labels else _asked_of_class(scorer, label)
        own = np.asarray(optimal_of_true(q, times=times, start=common, gap_wanted=CLASS_GAP_WANTED).weights) if n_own else common
        part = n_own / (n_own + prior_rows)
        share[:, label] = part * own + (1 - part) * common
    share = np.maximum(share, LEAST)
    return share / share.sum(axis=0)


def _asked_of_class(scorer: Scorer, label: int) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, int]:
    """The probabilities (n_runs, n) of the true answer to "is it this class", how often each counts, and the rows of the class."""
    is_label = scorer.y_true == label
    p = np.stack([member[scorer.rows, label] for member in scorer.oof]).astype(np.float64)
    counts = is_label | (p.max(axis=0) > NEGLIGIBLE)
    q, times = np.where(is_label[counts], p[:, counts], 1 - p[:, counts]), np.ones(counts.sum())
    if not counts.all():
        # All rows that no member takes for this class stand for one, at their mean: -log(1 - w . p) is straight there.
        q = np.concatenate([q, 1 - p[:, ~counts].mean(axis=1, keepdims=True)], axis=1)
        times = np.append(times, (~counts).sum())
    return np.clip(q, np.finfo(np.float32).eps, 1), times, int(is_label.sum())


def _asked_of_label(scorer: Scorer, label: int) -> tuple[NDArray[np.float64], None, int]:
    rows = slice(label, None, scorer.n_labels)
    q = np.ascontiguousarray(np.maximum(scorer.true[:, rows], np.finfo(np.float32).eps))
    return q, None, int(scorer.y_true[rows].sum())


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
