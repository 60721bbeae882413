"""The peers of `benchmarks/blend.py`, in an environment of their own: the last line printed is their figures as JSON."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from autogluon.core.metrics import f1_macro, log_loss
from autogluon.core.models.greedy_ensemble.ensemble_selection import EnsembleSelection
from hillclimbers import climb_hill, partial


def main() -> None:
    folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
    prob, y_true = np.load(folder / "prob.npy"), np.load(folder / "y_true.npy")
    figures = {f"autogluon_{metric.name}": autogluon(prob, y_true, metric, rounds) for metric in (log_loss, f1_macro)}
    figures["hillclimbers_log_loss"] = hillclimbers(prob, y_true)
    print(json.dumps(figures))


def autogluon(prob: np.ndarray, y_true: np.ndarray, metric: object, rounds: int) -> dict[str, object]:
    """AutoGluon's greedy selection with replacement."""
    selection = EnsembleSelection(ensemble_size=rounds, problem_type="multiclass", metric=metric)
    start = time.perf_counter()
    selection.fit(list(prob), y_true)
    took_ms = 1e3 * (time.perf_counter() - start)
    return {
        "took_ms": took_ms,
        "rounds": rounds,
        "weights": selection.weights_.tolist(),
        "log_loss": loss(prob, y_true, selection.weights_),
    }


def hillclimbers(prob: np.ndarray, y_true: np.ndarray) -> dict[str, object]:
    """The package knows one number per row: it gets what log loss needs, the true class's probability, which flatters its time."""
    columns = [f"run-{run}" for run in range(len(prob))]
    true = pd.DataFrame(prob[:, np.arange(len(y_true)), y_true].astype(np.float64).T, columns=columns)

    def negative_log(_: pd.Series, p_true: pd.Series) -> float:
        return float(-np.log(np.clip(p_true, 1e-7, 1)).mean())

    start = time.perf_counter()
    _, best = climb_hill(
        train=pd.DataFrame({"label": y_true}),
        oof_pred_df=true,
        test_pred_df=true,
        target="label",
        objective="minimize",
        eval_metric=partial(negative_log),
        plot_hill=False,
        return_oof_preds=True,
    )
    return {"took_ms": 1e3 * (time.perf_counter() - start), "log_loss": float(-np.log(np.clip(best, 1e-7, 1)).mean())}


def loss(prob: np.ndarray, y_true: np.ndarray, weights: np.ndarray) -> float:
    """Log loss of a weighted mean, from the column of the true class."""
    true = prob[:, np.arange(len(y_true)), y_true].astype(np.float64)
    return float(-np.log(np.clip(weights @ true, 1e-7, 1)).mean())


if __name__ == "__main__":
    main()
