"""How optimistic a score at the best epoch is, where the truth of other rows is known: small networks trained by folds on data inside
packages, over seeds. Prints the CV score as it is and with cross-fitted epochs, and beside each what the same networks score on hidden rows.

    nice -n 10 python benchmarks/epoch_choice.py [--seeds 12]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.oof_to_test import Labels, digits, handwriting, log_loss, news, perceptron, predicted  # noqa: E402 isort: skip

import numpy as np  # noqa: E402
import torch  # noqa: E402
from sklearn.model_selection import StratifiedKFold  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from core.analysis.epoch_choice import cross_fit_epochs  # noqa: E402
from core.metrics.scores import get_metric  # noqa: E402
from core.store.runs import EpochRow  # noqa: E402

N_FOLDS, N_EPOCHS, N_HIDDEN = 5, 15, 1000


def accuracy(y_true: Labels, prob: np.ndarray) -> float:
    return float((prob.argmax(axis=1) == y_true).mean())


SCORES = {"accuracy": accuracy, "log_loss": log_loss}


def trained(inputs: Tensor, labels: Labels, n: int, seed: int) -> dict[str, tuple[float, float, float, float]]:
    """By metric the CV score and what its networks score on hidden rows on average, and both with cross-fitted epochs."""
    order = np.random.default_rng(seed).permutation(len(labels))
    rows, hidden, targets = order[:n], order[n:][:N_HIDDEN], torch.tensor(labels)
    epochs: list[EpochRow] = []
    on_hidden: dict[int, list[dict[str, float]]] = {}
    for fold, (inside, outside) in enumerate(StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed).split(rows, labels[rows])):
        torch.manual_seed(10 * seed + fold)
        model = perceptron(inputs.shape[1], 0.2)(int(labels.max()) + 1)
        optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
        for epoch in range(1, N_EPOCHS + 1):
            model.train()
            for batch in torch.tensor(rows[inside])[torch.randperm(len(inside))].split(32):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(inputs[batch]), targets[batch]).backward()
                optimizer.step()
            valid, other = (predicted(model, inputs[part]) for part in (rows[outside], hidden))
            scores = {name: of(labels[rows[outside]], valid) for name, of in SCORES.items()}
            epochs.append(EpochRow(1, fold, 1, epoch, 0.0, 0.0, scores, 0.0, 0.0))
            on_hidden.setdefault(fold, []).append({name: of(labels[hidden], other) for name, of in SCORES.items()})
    found: dict[str, tuple[float, float, float, float]] = {}
    for name in SCORES:
        metric = get_metric(name)
        pick = np.argmax if metric.greater_is_better else np.argmin
        curves = [[row.scores[name] for row in epochs if row.fold == fold] for fold in range(N_FOLDS)]
        best = [int(pick(curve)) for curve in curves]
        crossed, at_epochs = cross_fit_epochs(epochs, metric, N_FOLDS, range(N_FOLDS))
        chosen = [curve[at] for curve, at in zip(curves, best, strict=True)]
        of_best = [on_hidden[fold][at][name] for fold, at in enumerate(best)]
        of_crossed = [on_hidden[fold][epoch - 1][name] for fold, epoch in at_epochs.items()]
        means = [float(np.mean(each)) for each in (chosen, of_best, list(crossed.values()), of_crossed)]
        found[name] = means[0], means[1], means[2], means[3]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=12)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{'data':24s}{'metric':10s}{'CV':>8s}{'hidden':>8s}{'too good':>10s}{'±':>7s}{'cross-fitted':>14s}{'hidden':>8s}{'too good':>10s}{'±':>7s}"
    )
    for name, (inputs, labels), n in (("digits", digits(), 300), ("handwriting", handwriting(), 300), ("news", news(), 300)):
        runs = [trained(inputs, labels, n, seed) for seed in range(options.seeds)]
        for metric in SCORES:
            sign = 1 if get_metric(metric).greater_is_better else -1
            said = f"{f'{name}, {n} rows':24s}{metric:10s}"
            for place, width in ((0, 8), (2, 14)):
                told, true = np.array([run[metric][place : place + 2] for run in runs]).T
                error = float(np.std(told - true, ddof=1) / len(runs) ** 0.5)
                said += f"{told.mean():{width}.4f}{true.mean():8.4f}{(sign * (told - true)).mean():+10.4f}{error:7.4f}"
            print(said, flush=True)


if __name__ == "__main__":
    main()
