"""The temperature of test rows; that of out-of-fold rows is fitted in calibrate.py. Out-of-fold rows are predicted by one network, test rows
by the mean of several: that mean is less sure and more often right, so the temperature of the first does not hold on the second. Measured
by benchmarks/oof_to_test.py, see docs/ensemble.md.
"""

from collections.abc import Callable, Sequence

import numpy as np
import scipy
from numpy.typing import NDArray

from core.blend.steps import FLOOR, Members, apply_steps, one_vs_rest, without_after
from core.specs.blend import MAX_TEMPERATURE, MIN_TEMPERATURE, BlendSteps

Array = NDArray[np.float32]
Networks = Sequence[Sequence[Array]]
MOST_VALUES = 1_000_000
"""Probabilities of each network that the estimates need; of more, every so many rows are enough."""


def step_of(n_rows: int, n_classes: int) -> int:
    """Every how many rows the estimates read."""
    return max(1, n_rows * n_classes // MOST_VALUES)


def estimate_test_temperature(
    steps: BlendSteps, oof: Members, y_true: NDArray[np.integer], networks: Networks, *, multilabel: bool = False
) -> float:
    """The temperature for test rows, from that of `steps`, which was fitted on out-of-fold rows `oof` with the truth `y_true`.

    `networks` are for each run the predictions (n_test, n_classes) of test rows by as many networks as predict an out-of-fold row: one,
    or the mean of several where folds are repeated. No truth of a test row is needed; assumed is that test rows are like training rows.

    Two estimates err on opposite sides. Under the first the blend is as sure of test rows as the calibrated blend is of out-of-fold rows
    (equal mean entropy), though a mean of networks is more often right. Under the second a single calibrated network has the log loss that
    it has on out-of-fold rows, if truth were drawn from the mean of the others, though these share its errors. Taken is what lies between
    them and nearest to 1: nothing is sharpened or softened unless both say so.
    """
    if all(len(own) < 2 or not len(own[0]) for own in networks):
        return steps.temperature
    plain = without_after(steps)

    def logs(members: Members) -> NDArray[np.float64]:
        prob = apply_steps(plain, members, multilabel=multilabel)
        return np.log(np.maximum(one_vs_rest(prob) if multilabel else prob, FLOOR)).astype(np.float64)

    places = range(min(map(len, networks)))
    single = [np.log(_tempered(logs([own[place] for own in networks]), steps.temperature)) for place in places]
    others = [logs([_mean([*own[:place], *own[place + 1 :]] or own) for own in networks]) for place in places]
    whole = logs([_mean(own) for own in networks])
    calibrated = _tempered(logs(oof), steps.temperature)
    entropy, loss = _entropy(calibrated), -float(np.log(calibrated[np.arange(len(calibrated)), y_true.ravel()]).mean())
    as_sure = _solve(lambda temperature: _entropy(_tempered(whole, temperature)) - entropy)
    as_right = _solve(
        lambda temperature: (
            -float(np.mean([(_tempered(rest, temperature) * own).sum(axis=1).mean() for rest, own in zip(others, single, strict=True)]))
            - loss
        )
    )
    low, high = sorted((as_sure, as_right))
    return min(max(1.0, low), high)


def _mean(networks: Sequence[Array]) -> Array:
    return np.asarray(np.mean(networks, axis=0, dtype=np.float64), dtype=np.float32)


def _tempered(logs: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Probabilities (n, n_classes), none of them zero, of logarithms divided by a temperature."""
    part = np.exp((logs - logs.max(axis=1, keepdims=True)) / temperature)
    return np.maximum(part / part.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)


def _entropy(prob: NDArray[np.float64]) -> float:
    """The mean over rows, in nats."""
    return -float((prob * np.log(prob)).sum(axis=1).mean())


def _solve(excess: Callable[[float], float]) -> float:
    """The temperature where `excess`, which grows with it, is zero; the nearest possible one where it has no zero."""
    if excess(MIN_TEMPERATURE) >= 0:
        return MIN_TEMPERATURE
    if excess(MAX_TEMPERATURE) <= 0:
        return MAX_TEMPERATURE
    ends = float(np.log(MIN_TEMPERATURE)), float(np.log(MAX_TEMPERATURE))
    return float(np.exp(scipy.optimize.root_scalar(lambda log: excess(float(np.exp(log))), bracket=ends, xtol=1e-4).root))
