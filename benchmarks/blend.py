"""How fast a blend is scored and tuned at a contest's full size, beside NumPy with scikit-learn and, where they are installed
in an environment of their own, beside AutoGluon's EnsembleSelection and `hillclimbers`. Prints one JSON document.

    python benchmarks/blend.py [--shape 7x33137x396]... [--peers PATH_OF_A_PYTHON] [--peer-rounds 25]
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as reference

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.predictions_at_scale import make_predictions  # noqa: E402
from core.analysis.errors import confusion_matrix  # noqa: E402
from core.blend.honest import honest_score  # noqa: E402
from core.blend.optimum import optimal_log_loss  # noqa: E402
from core.blend.procedure import BlendProcedure, fit_of  # noqa: E402
from core.blend.scorer import Scorer, make_scorer  # noqa: E402
from core.blend.steps import mix  # noqa: E402
from core.blend.weights import greedy  # noqa: E402
from core.metrics.scores import get_metric  # noqa: E402
from core.predictions.source import OofMatrix  # noqa: E402
from core.specs.blend import MeanName  # noqa: E402

SHAPES = ("7x33137x396", "20x100000x10")
N_STEPS = 40
N_DRAGS = 4
N_NAIVE = 3
N_OF_MEAN = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", action="append", metavar="RUNSxROWSxCLASSES", help="default: 7x33137x396 and 20x100000x10")
    parser.add_argument("--peers", metavar="PYTHON", help="a Python that has autogluon.core and hillclimbers")
    parser.add_argument("--peer-rounds", type=int, default=25, help="rounds of AutoGluon's selection")
    options = parser.parse_args()
    shapes = options.shape or SHAPES
    report = {
        "cpus": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "shapes": {shape: measure(shape, options.peers, options.peer_rounds) for shape in shapes},
        "load_after": os.getloadavg()[0],
    }
    print(json.dumps(report, indent=2))


def measure(shape: str, peers: str | None, peer_rounds: int) -> dict[str, Any]:
    """Every figure at one size."""
    n_runs, n_rows, n_classes = map(int, shape.split("x"))
    prob, y_true, fold_of = make_predictions(n_runs, n_rows, n_classes)
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "prob.npy", prob)
        np.save(Path(folder) / "y_true.npy", y_true)
        del prob
        mapped = np.load(Path(folder) / "prob.npy", mmap_mode="r")
        result: dict[str, Any] = {"preparation": prepare(mapped, y_true, fold_of)[1]}
        by_loss = make_scorer(matrix_of(mapped, y_true, fold_of, "log_loss"))
        by_f1 = make_scorer(matrix_of(mapped, y_true, fold_of, "macro_f1"))
        draws = np.random.default_rng(1).dirichlet(np.ones(n_runs), N_STEPS)

        def naive_loss(w: NDArray[np.float64]) -> float:
            return reference.log_loss(y_true, blended(mapped, w), labels=range(n_classes))

        dragged = drags(draws[:N_DRAGS])
        result["log_loss_step"] = steps(dragged, lambda w: by_loss.score(w.tolist()), naive_loss)
        result["log_loss_any_weights"] = steps(draws, lambda w: by_loss.score(w.tolist()), naive_loss)
        result["label_step"] = steps(draws, lambda w: ours_by_label(by_f1, w), lambda w: naive_by_label(mapped, y_true, w))
        result["means"] = {mean: under(mean, mapped, y_true, fold_of, draws[:N_OF_MEAN]) for mean in get_args(MeanName)}
        result["log_loss_optimum"] = optimum(by_loss)
        path, took_ms = timed(lambda: greedy(by_f1, n_rounds=25))
        result["greedy_macro_f1"] = {"took_ms": took_ms, "rounds": 25, "score": by_f1.score(path.weights)}
        honest, took_ms = timed(lambda: honest_score(lambda _: by_loss, fit_of(BlendProcedure(way="optimal"))))
        result["honest_optimum"] = {"took_ms": took_ms, "score": honest.score, "optimistic": honest.optimistic, "equal": honest.other}
        if peers:
            result["peers"] = run_peers(peers, folder, peer_rounds)
    return result


def matrix_of(mapped: NDArray[np.float32], y_true: NDArray[np.int64], fold_of: NDArray[np.int64], metric: str) -> OofMatrix:
    return OofMatrix(tuple(mapped), y_true, fold_of, get_metric(metric), np.arange(len(y_true)), len(y_true))


def prepare(
    mapped: NDArray[np.float32], y_true: NDArray[np.int64], fold_of: NDArray[np.int64], mean: MeanName = "arithmetic"
) -> tuple[Scorer, dict[str, float]]:
    """The scorer of memory-mapped predictions: the time to it, and the most memory that it takes meanwhile, as a share of the arrays."""
    _, took_ms = timed(lambda: make_scorer(matrix_of(mapped, y_true, fold_of, "macro_f1"), mean))
    tracemalloc.start()
    scorer = make_scorer(matrix_of(mapped, y_true, fold_of, "macro_f1"), mean)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return scorer, {
        "took_ms": took_ms,
        "arrays_mb": mapped.nbytes / 1e6,
        "peak_share_of_arrays": peak / mapped.nbytes,
        "kept_share_of_arrays": kept / mapped.nbytes,
        "candidates_per_row": float(sum(group.classes.size for group in scorer.candidates.groups) + n_single(scorer)) / len(y_true),
        "most_candidates": max((len(group.classes) for group in scorer.candidates.groups), default=1),
    }


def under(
    mean: MeanName, mapped: NDArray[np.float32], y_true: NDArray[np.int64], fold_of: NDArray[np.int64], draws: NDArray[np.float64]
) -> dict[str, float]:
    """Preparation and label step of one mean; AssertionError when the labels are not those of the full blend."""
    scorer, figures = prepare(mapped, y_true, fold_of, mean)
    full, full_ms = timed(lambda: mix(mapped, draws[0].tolist(), mean).argmax(axis=1))
    np.testing.assert_array_equal(scorer.labels(draws[0].tolist()), full)
    took_ms = [timed(lambda weights=weights: ours_by_label(scorer, weights))[1] for weights in draws]
    equal_ms = [timed(lambda: ours_by_label(scorer, np.ones(scorer.n_runs)))[1] for _ in range(N_NAIVE)]
    return figures | {
        "label_step_ms": min(took_ms),
        "label_step_median_ms": statistics.median(took_ms),
        "label_step_equal_weights_ms": min(equal_ms),
        "full_blend_ms": full_ms,
    }


def n_single(scorer: Scorer) -> int:
    """Rows with one candidate only."""
    return scorer.n_rows - sum(len(group.rows) for group in scorer.candidates.groups)


def drags(starts: NDArray[np.float64]) -> NDArray[np.float64]:
    """From each start (n_runs,) ten steps of one slider to its end; the other weights keep their proportions."""
    moved = []
    for run, start in enumerate(starts):
        for value in np.linspace(start[run], 1, N_STEPS // len(starts) + 1)[:-1]:
            weights = start * (1 - value) / (1 - start[run])
            weights[run] = value
            moved.append(weights)
    return np.array(moved)


def steps(draws: NDArray[np.float64], ours: Callable[[Any], Any], naive: Callable[[Any], Any]) -> dict[str, float]:
    """One step of a slider, both ways, on the same weights; AssertionError when they do not agree."""
    fast = [timed(lambda weights=weights: ours(weights)) for weights in draws]
    slow = [timed(lambda weights=weights: naive(weights)) for weights in draws[:N_NAIVE]]
    for (one, _), (other, _) in zip(fast, slow, strict=False):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    ours_ms, naive_ms = ([took_ms for _, took_ms in times] for times in (fast, slow))
    best = {"ours_ms": min(ours_ms), "naive_ms": min(naive_ms)}
    return best | {"ours_median_ms": statistics.median(ours_ms), "times_faster": best["naive_ms"] / best["ours_ms"]}


def ours_by_label(scorer: Scorer, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    y_pred = scorer.labels(weights.tolist())
    matrix = confusion_matrix(scorer.y_true, y_pred, scorer.n_classes)
    hit, total = np.diag(matrix), matrix.sum(axis=0) + matrix.sum(axis=1)
    f1 = (2 * hit[total > 0] / total[total > 0]).mean()
    return np.append(matrix.ravel(), [hit.sum() / matrix.sum(), f1]).astype(np.float64, copy=False)


def naive_by_label(prob: NDArray[np.float32], y_true: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    y_pred = blended(prob, weights).argmax(axis=1)
    matrix = reference.confusion_matrix(y_true, y_pred, labels=range(prob.shape[2]))
    scores = reference.accuracy_score(y_true, y_pred), reference.f1_score(y_true, y_pred, average="macro")
    return np.append(matrix.ravel(), scores)


def blended(prob: NDArray[np.float32], weights: NDArray[np.float64]) -> NDArray[np.float32]:
    return mix(prob, weights.tolist())


def optimum(scorer: Scorer) -> dict[str, float]:
    """The proved optimum beside greedy selection and equal weights."""
    found, took_ms = min((timed(lambda: optimal_log_loss(scorer)) for _ in range(5)), key=lambda pair: pair[1])
    path, greedy_ms = timed(lambda: greedy(scorer, n_rounds=25))
    return {
        "took_ms": took_ms,
        "log_loss": found.log_loss,
        "gap": found.gap,
        "greedy_25_ms": greedy_ms,
        "greedy_25_log_loss": scorer.score(path.weights),
        "equal_log_loss": scorer.score([1.0] * scorer.n_runs),
    }


def run_peers(python: str, folder: str, rounds: int) -> dict[str, Any]:
    """Run the peers in their own environment on the same arrays."""
    command = [python, str(ROOT / "benchmarks" / "blend_peers.py"), folder, str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    gc.collect()
    start = time.perf_counter()
    result = work()
    return result, 1e3 * (time.perf_counter() - start)


if __name__ == "__main__":
    main()
