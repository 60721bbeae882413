"""What training keeps of the processor beside a busy program: a fold as a worker trains it, in turns with the same fold on one thread, which
a free core would carry undisturbed. Prints one JSON document; exit code 1 where the median ratio of a kind is below 0.85.

    python benchmarks/busy_cpu.py [--pairs 7] [--kinds image,text,loader]

`image` is EfficientNet-Lite0 at 128 px, `text` is MiniLM on texts of 64 tokens, `loader` is `image` with a loader process. The weights of
both are drawn anew or come from installed packages. Beside them runs a Python loop. `ratio` compares rows a second of a worker with those
of one thread, pair by pair; `all threads` is the pace where OMP_NUM_THREADS asks for one on each core.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core.jobs.devices import worker_environment  # noqa: E402

LEAST = 0.85
BATCH = 16
KINDS = ("image", "text", "loader")
STEPS, WARM = 24, 3
"""Steps of a measured fold; the first ones warm up and are not counted."""
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
ALL_THREADS = {"OMP_NUM_THREADS": str(os.cpu_count())}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--train", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, default=STEPS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        print(train(options.train, options.steps))
        return 0
    report, worst = {"cpus": os.cpu_count(), "load": round(os.getloadavg()[0], 2)}, 1.0
    for kind in options.kinds.split(","):
        alone = pace(kind, {})
        with busy_program():
            all_threads = pace(kind, ALL_THREADS)
            pairs = [(pace(kind, {}), pace(kind, ONE_THREAD)) for _ in range(options.pairs)]
        ratios = [ours / one for ours, one in pairs]
        worst = min(worst, statistics.median(ratios))
        report[kind] = {
            "rows_per_s": {
                "alone": alone,
                "beside": statistics.median(ours for ours, _ in pairs),
                "one thread beside": statistics.median(one for _, one in pairs),
                "all threads beside": all_threads,
            },
            "ratios": [round(ratio, 3) for ratio in ratios],
            "ratio": round(statistics.median(ratios), 3),
        }
    print(json.dumps(report, indent=2))
    return int(worst < LEAST)


@contextmanager
def busy_program() -> Iterator[None]:
    """One program that would take a whole core, at normal priority."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def pace(kind: str, environment: dict[str, str], steps: int = STEPS) -> float:
    """Rows a second of a fold in a process of its own, in a worker's environment and priority."""
    command = [sys.executable, str(Path(__file__).resolve()), "--train", kind, "--steps", str(steps)]
    done = subprocess.run(command, env=worker_environment(environment), stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.split()[-1])


def train(kind: str, n_steps: int) -> float:
    """In the child: one fold, and the rows a second of its steps."""
    import numpy as np
    from PIL import Image

    from core.jobs.worker import NICENESS
    from core.specs.progress import EpochReport, Progress
    from core.specs.recipe import Recipe
    from core.training.fold import train_fold
    from core.training.task import FoldTask

    os.nice(NICENESS)
    n_rows, rng, times = BATCH * n_steps, np.random.default_rng(0), list[float]()

    def hear(said: Progress | EpochReport) -> None:
        if isinstance(said, Progress) and said.phase == "training":
            times.append(time.perf_counter())

    with tempfile.TemporaryDirectory(prefix="pitwall-benchmark-") as folder:
        root = Path(folder)
        inputs: list[str] | list[Path]
        if kind == "text":
            words = np.array(["goal", "match", "vote", "minister", "shares", "profit"])
            inputs = [" ".join(rng.choice(words, 62)) for _ in range(n_rows)]
            sections = {"model": {"backbone": "sentence-transformers/all-MiniLM-L6-v2"}, "input": {"max_tokens": 64}}
        else:
            inputs = [root / f"{number}.png" for number in range(n_rows)]
            for path in inputs:
                Image.fromarray(rng.integers(0, 255, (160, 160, 3), dtype=np.uint8)).save(path)
            sections = {"model": {"backbone": "tf_efficientnet_lite0.in1k", "pretrained": False}, "input": {"size_px": 128}}
        settings = {"epochs": 1, "batch_size": BATCH, "loader_workers": int(kind == "loader")}
        modality = "text" if kind == "text" else "image"
        task = FoldTask(
            recipe=Recipe.model_validate({"modality": modality, **sections, "train": settings}),
            metric="log_loss",
            classes=("a", "b"),
            inputs=inputs,
            labels=np.arange(n_rows) % 2,
            train_idx=np.arange(n_rows),
            valid_idx=np.arange(2),
            test_inputs=[],
            fold=0,
            weights_dir=root,
            out_dir=root / "out",
        )
        task.out_dir.mkdir()
        train_fold(task, report=hear, should_stop=lambda: False)
    steps = times[-(n_steps - WARM) :]
    return BATCH * (len(steps) - 1) / (steps[-1] - steps[0])


if __name__ == "__main__":
    sys.exit(main())
