"""The weights with the least log loss, with the proof: no other weights can be better by more than the gap.

Log loss under the arithmetic and the logit mean is convex in the weights, so a local optimum is the global one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from core.base.errors import StateError
from core.blend.mean import normalise
from core.blend.scorer import Scorer

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
    found = minimize(
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
