"""A fine-tuned network against TF-IDF with logistic regression, both by our presets: on the bodies of BBC news, and on Debian's packages, two columns in
43 classes of which the rarest has 20 rows. Writes a JSON line for each training, and goes on where it was stopped; --table prints the gains.

    OMP_NUM_THREADS=1 nice python benchmarks/text_baseline.py RESULTS.jsonl [--seeds 5] [--rows 1200] [--set train.epochs=8] [--only news] [--table]

A seed draws which rows train and which choose the epoch, and everything in training. Scores are of hidden rows, which nothing was chosen on.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.gains import Result, interval, read_results  # noqa: E402 isort: skip
from benchmarks.text_data import Rows, Texts, news, packages  # noqa: E402 isort: skip

import numpy as np  # noqa: E402

from core.base.settings import apply_sets  # noqa: E402
from core.metrics.scores import all_scores  # noqa: E402
from core.recipes.plan import load_preset  # noqa: E402
from core.specs.recipe import Recipe  # noqa: E402
from core.training.fold import train_fold  # noqa: E402
from core.training.task import FoldTask  # noqa: E402
from core.training.tfidf import train_tfidf  # noqa: E402

DATA = {"news": news, "packages": packages}
PRESETS = ("text-tfidf", "text-minilm")


def score(recipe: Recipe, data: Texts, train: Rows, valid: Rows, metric: str = "macro_f1") -> dict[str, float]:
    """What a recipe's network scores on the hidden rows, with the processor time that it took."""
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        task = FoldTask(
            recipe=recipe,
            metric=metric,
            classes=data.classes,
            inputs=data.texts,
            labels=data.labels,
            train_idx=train,
            valid_idx=valid,
            test_inputs=[data.texts[row] for row in data.hidden],
            fold=0,
            weights_dir=Path(folder),
            out_dir=Path(folder),
        )
        one_fold = train_tfidf if recipe.model.is_tfidf else train_fold
        output = one_fold(task, report=lambda _: None, should_stop=lambda: False)
    scores = all_scores(data.labels[data.hidden], output.test_prob)
    kept = {name: round(scores[name], 6) for name in ("macro_f1", "accuracy", "log_loss")}
    return {**kept, "valid": round(output.scores[metric], 6), "epoch": output.best_epoch, "cpu_s": round(time.process_time() - began, 1)}


def print_table(results: Sequence[Result]) -> None:
    """A row for each recipe of each set of rows; a gain is over TF-IDF, of the seeds that both have."""
    found: dict[tuple[str, int], dict[str, dict[int, Result]]] = {}
    for one in results:
        found.setdefault((one["data"], one["rows"]), {}).setdefault(one["recipe"], {})[one["seed"]] = one
    print("| training rows | recipe | seeds | macro F1 | gain | accuracy | gain | processor time |\n|---|---|---|---|---|---|---|---|")
    for (data, rows), recipes in sorted(found.items()):
        off = recipes[PRESETS[0]]
        for recipe, on in recipes.items():
            seeds = sorted(on.keys() & off.keys())
            cells = [f"{rows:,} of {data}", f"`{recipe}`", f"{len(seeds)}"]
            for name in ("macro_f1", "accuracy"):
                gains = [on[seed][name] - off[seed][name] for seed in seeds]
                cells += [f"{np.mean([on[seed][name] for seed in seeds]):.3f}", "" if on is off else interval(gains, 3)]
            print(f"| {' | '.join(cells)} | {np.median([on[seed]['cpu_s'] for seed in seeds]):.0f} s |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=0, help="train on so many rows of each set; 0 on all that are not hidden")
    parser.add_argument("--set", action="append", default=[], metavar="a.b=c", help="change the network's preset")
    parser.add_argument("--only", choices=DATA, help="one of the two sets of rows")
    parser.add_argument("--table", action="store_true", help="print what the results hold, and train nothing")
    options = parser.parse_args()
    results = read_results(options.results)
    if options.table:
        print_table(results)
        return
    done = {(one["data"], one["rows"], one["recipe"], one["seed"]) for one in results}
    with options.results.open("a") as stream:
        for name in [options.only] if options.only else DATA:
            data = DATA[name]()
            for seed in range(options.seeds):
                for preset in PRESETS:
                    sets = options.set if preset != PRESETS[0] else []
                    train, valid = data.split(seed, options.rows)
                    named = {"data": name, "rows": len(train), "recipe": " ".join([preset, *sets]), "seed": seed}
                    if tuple(named.values()) not in done:
                        recipe = apply_sets(load_preset(preset), sets, where="--set").with_seed(seed)
                        print(json.dumps(named | score(recipe, data, train, valid)), file=stream, flush=True)


if __name__ == "__main__":
    main()
