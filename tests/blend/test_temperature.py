"""A temperature that was fitted on out-of-fold rows, on test rows whose truth is known here."""

import numpy as np
import pytest

from core.blend.calibrate import fit_temperature
from core.blend.steps import afterwards, apply_steps, one_vs_rest
from core.blend.temperature import estimate_test_temperature
from core.metrics.scores import log_loss_of_true
from core.specs.blend import BlendSteps, Stack

N_TEST = 3000


def softmax(logits: np.ndarray) -> np.ndarray:
    part = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (part / part.sum(axis=-1, keepdims=True)).astype(np.float32)


def networks(
    seed: int, *, sharpness: float, own: float, k: int = 5, n: int = 1500, n_classes: int = 5, n_runs: int = 2, is_multilabel: bool = False
) -> tuple[np.ndarray, list[np.ndarray], np.ndarray, list[list[np.ndarray]]]:
    """Truth and runs' predictions of out-of-fold rows by one network, then of test rows by k, each with errors of its `own`."""
    rng = np.random.default_rng(seed)

    def rows(n_rows: int, n_networks: int) -> tuple[np.ndarray, list[list[np.ndarray]]]:
        known = rng.normal(0, 2, (n_rows, n_classes))
        prob = 1 / (1 + np.exp(-known)) if is_multilabel else softmax(known)
        drawn = rng.random((n_rows, n_classes if is_multilabel else 1))
        truth = (drawn < prob).astype(int) if is_multilabel else (prob.cumsum(axis=1) > drawn * 0.999999).argmax(axis=1)
        said: list[list[np.ndarray]] = []
        for _ in range(n_runs):
            logits = [sharpness * (known + rng.normal(0, own, known.shape)) for _ in range(n_networks)]
            said.append([(1 / (1 + np.exp(-each))).astype(np.float32) if is_multilabel else softmax(each) for each in logits])
        return truth, said

    truth, oof = rows(n, 1)
    hidden, test = rows(N_TEST, k)
    return truth, [run[0] for run in oof], hidden, test


def loss(prob: np.ndarray, truth: np.ndarray, temperature: float) -> float:
    changed = afterwards(prob, BlendSteps(weights=(1.0,), temperature=temperature))
    return log_loss_of_true(changed[np.arange(len(truth)), truth])


@pytest.mark.parametrize("is_multilabel", [False, True], ids=["one-label", "several-labels"])
@pytest.mark.parametrize(
    ("sharpness", "own"),
    [(1.4, 1.5), (1.0, 2.5), (0.5, 0.5), (2.5, 0.3), (1.0, 0.0)],
    ids=["both", "spread", "unsure", "sure", "calibrated"],
)
@pytest.mark.parametrize("seed", range(3))
def test_it_never_harms_test_rows_as_the_fitted_one_does(seed: int, sharpness: float, own: float, is_multilabel: bool) -> None:
    truth, oof, hidden, test = networks(seed, sharpness=sharpness, own=own, is_multilabel=is_multilabel)
    equal = BlendSteps(weights=(1.0, 1.0))
    pooled, whole = (apply_steps(equal, prob, multilabel=is_multilabel) for prob in (oof, [np.mean(run, axis=0) for run in test]))
    if is_multilabel:
        pooled, whole = one_vs_rest(pooled), one_vs_rest(whole)
    fitted = fit_temperature(pooled, truth.ravel())
    steps = equal.model_copy(update={"temperature": fitted})
    on_test = estimate_test_temperature(steps, oof, truth, test, multilabel=is_multilabel)
    plain, found, carried = (loss(whole, hidden.ravel(), temperature) for temperature in (1.0, on_test, fitted))
    assert found <= plain + 4e-3
    assert found <= carried + 5e-3
    if own > 1:
        assert carried > plain + 0.01  # what was seen on a real contest: the fitted one makes it worse
    if own < 1 and sharpness != 1:
        assert found < plain - 5e-3  # where networks hardly differ there is nothing but their sharpness to correct


def test_a_regression_softens_too_and_what_does_not_hold_of_it_is_taken_back() -> None:
    truth, oof, hidden, test = networks(0, sharpness=1.4, own=1.5)
    equal, n_classes = BlendSteps(weights=(1.0, 1.0)), 5
    # On single networks this is what a regression comes to: half of each run's logarithms, divided by what they are too sure.
    best = fit_temperature(apply_steps(equal.model_copy(update={"mean": "logit"}), oof), truth)
    half = np.eye(n_classes) / 2 / best
    stack = Stack(coefficients=tuple(map(tuple, np.hstack([half, half]).tolist())), intercepts=(0.0,) * n_classes)
    steps = equal.model_copy(update={"stack": stack})
    on_test = estimate_test_temperature(steps, oof, truth, test)
    said = apply_steps(steps, [np.mean(run, axis=0) for run in test])
    assert on_test < 1
    assert loss(said, hidden, on_test) < loss(said, hidden, 1.0) - 0.01


def test_one_network_predicts_test_rows_as_it_does_out_of_fold_rows() -> None:
    truth, oof, _, test = networks(0, sharpness=2.0, own=0.5, k=1)
    steps = BlendSteps(weights=(1.0, 1.0), temperature=1.7)
    assert estimate_test_temperature(steps, oof, truth, test) == 1.7
    assert estimate_test_temperature(steps, oof, truth, [[own[0][:0]] * 3 for own in test]) == 1.7, "no test rows"
