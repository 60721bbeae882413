"""What each technique of a recipe for texts is worth where a training takes seconds: on and off over seeds, MiniLM on titles of BBC news, and on the first
64 tokens of the articles where a technique is about long texts. Writes a JSON line for each training, and goes on where it was stopped; --table
prints the gains.

    OMP_NUM_THREADS=1 nice python benchmarks/text_techniques.py RESULTS.jsonl [--seeds 5] [--only REGEX] [--table]

A seed draws which 400 rows train and which 100 choose the epoch, and everything in training; a technique and its base share it. Scores are of 1,000
other articles, which nothing was chosen on; no text occurs twice.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.gains import Base, Result, Sections, Technique, long_tail, print_tables, read_results, train_missing  # noqa: E402 isort: skip
from benchmarks.text_baseline import score  # noqa: E402 isort: skip
from benchmarks.text_data import Texts, news  # noqa: E402 isort: skip

from core.specs.recipe import Recipe  # noqa: E402

N_TRAIN = 400
TAIL = 10
"""In the long tail the most frequent class has so many times the training rows of the rarest one."""
COARSE = ("affairs", "leisure", "affairs", "leisure", "affairs")
"""Of business, entertainment, politics, sports and tech, made up for techniques that need coarse classes."""
TFIDF: Sections = {"model": {"backbone": "tfidf-logreg", "pretrained": False}}

TITLES: Sections = {
    "input": {"max_tokens": 32},
    "model": {"backbone": "sentence-transformers/all-MiniLM-L6-v2", "pretrained": True},
    "optim": {"lr": 3e-4, "weight_decay": 0.01},
    "train": {"epochs": 3, "batch_size": 32},
}
BODIES: Sections = {**TITLES, "input": {"max_tokens": 64}, "train": {"epochs": 2, "batch_size": 32}}

BASES = {
    "titles": Base("Titles: MiniLM, pretrained on sentence pairs, 3 epochs of AdamW with a cosine on 400 rows", TITLES),
    "tail": Base(
        f"The same, its training rows in a long tail: the rarest class has a {TAIL}th of the rows of the most frequent one", TITLES
    ),
    "bodies": Base("Articles, of which the first 64 tokens are read, 2 epochs", BODIES),
}
OF_BASE: Mapping[str, Mapping[str, Sections]] = {
    "titles": {
        "": {},
        "TF-IDF with logistic regression": TFIDF,
        "not pretrained": {"model": {"pretrained": False}},
        "pooling cls": {"model": {"pooling": "cls"}},
        "pooling max": {"model": {"pooling": "max"}},
        "pooling GeM": {"model": {"pooling": "gem"}},
        "pooling attention": {"model": {"pooling": "attention"}},
        "weighted layers": {"model": {"layers": "weighted"}},
        "mean of the last 4 layers": {"model": {"layers": "last4_mean"}},
        "last 4 layers side by side": {"model": {"layers": "last4_concat"}},
        "dropout .3": {"model": {"dropout": 0.3}},
        "dropout .3, 5 masks": {"model": {"dropout": 0.3, "dropout_masks": 5}},
        "first half frozen": {"model": {"freeze": 4}},
        "probe for 1 epoch": {"train": {"probe_epochs": 1}},
        "LoRA, rate 1e-3": {"model": {"lora": "all"}, "optim": {"lr": 1e-3}},
        "layer-wise decay .8": {"optim": {"layer_decay": 0.8}},
        "rate 1e-4": {"optim": {"lr": 1e-4}},
        "rate 6e-4": {"optim": {"lr": 6e-4}},
        "no warm-up": {"optim": {"warmup": 0.0}},
        "linear": {"optim": {"schedule": "linear"}},
        "constant rate": {"optim": {"schedule": "constant"}},
        "label smoothing .1": {"loss": {"smoothing": 0.1}},
        "focal 2": {"loss": {"kind": "focal"}},
        "bi-tempered .8, 1.2": {"loss": {"kind": "bi_tempered"}},
        "R-Drop 1": {"loss": {"rdrop": 1.0}},
        "coarse head": {"loss": {"coarse": COARSE}},
        "two levels": {"loss": {"coarse": COARSE}, "model": {"two_levels": True}},
        "FGM .5": {"adversarial": {"kind": "fgm", "epsilon": 0.5}},
        "AWP from epoch 2": {"adversarial": {"kind": "awp", "start_epoch": 2}},
        "MixUp .2": {"augment": {"mixup": 0.2}},
        "AEDA .3": {"augment": {"aeda": 0.3}},
        "deletion .3": {"augment": {"word_deletion": 0.3}},
        "swap .3": {"augment": {"word_swap": 0.3}},
        "last epoch": {"average": {"keep": "last"}},
        "mean of the best 2": {"average": {"keep": "best_mean", "best_k": 2}},
        "EMA .95": {"average": {"ema": 0.95}},
        "SWA at a constant rate": {"average": {"keep": "swa", "swa_start": 0.3}, "optim": {"schedule": "constant"}},
        "batches by length": {"train": {"group_by_length": True}},
        "6 epochs": {"train": {"epochs": 6}},
    },
    "tail": {
        "": {},
        "class weights": {"loss": {"class_weights": "auto"}},
        "focal 2 with class weights": {"loss": {"kind": "focal", "class_weights": "auto"}},
        "logit adjustment 1": {"loss": {"logit_adjustment": 1.0}},
        "balanced sampling": {"sampling": {"kind": "balanced"}},
        "balanced sampling, deletion .3": {"sampling": {"kind": "balanced"}, "augment": {"word_deletion": 0.3}},
        "square-root sampling": {"sampling": {"kind": "square_root"}},
    },
    "bodies": {
        "": {},
        "TF-IDF with logistic regression": TFIDF,
        "tail of the text": {"input": {"truncation": "tail"}},
        "head and tail": {"input": {"truncation": "head_tail"}},
        "4 windows": {"input": {"truncation": "windows", "windows": 4}},
        "128 tokens": {"input": {"max_tokens": 128}},
        "NFKC and white space": {"clean": {"unicode": "NFKC", "white_space": True}},
    },
}


def techniques() -> list[Technique]:
    """The bases, each with its techniques."""
    return [Technique(base, name, settings) for base, found in OF_BASE.items() for name, settings in found.items()]


def recipe_of(technique: Technique, seed: int) -> Recipe:
    sections = {"modality": "text", **technique.beside(BASES[technique.base].network)}
    if technique.settings is TFIDF:
        sections = {"modality": "text", **TFIDF}
    return Recipe.model_validate(sections).with_seed(seed)


def run(technique: Technique, seed: int, texts: Texts) -> Result:
    train, valid = texts.split(seed, N_TRAIN)
    if technique.base == "tail":
        train = long_tail(train, texts.labels, TAIL, seed)
    found = score(recipe_of(technique, seed), texts, train, valid, metric=technique.metric)
    return {"data": "news", "technique": technique.key, "seed": seed, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--only", default="", help="a regular expression: techniques whose name, with the base before it, it finds; and the bases"
    )
    parser.add_argument("--table", action="store_true", help="print what the results hold, and train nothing")
    options = parser.parse_args()
    if options.table:
        print_tables(read_results(options.results), BASES, techniques(), ["news"])
        return
    texts = {base: news("body" if base == "bodies" else "title") for base in BASES}
    train_missing(
        options.results, techniques(), ["news"], options.seeds, options.only, lambda one, _, seed: run(one, seed, texts[one.base])
    )


if __name__ == "__main__":
    main()
