"""What step-exact checkpoints cost: the same training with and without them, in turns, beside the usual `torch.save` that training
waits for. Prints one JSON document.

    python benchmarks/checkpoint.py [--backbone tf_efficientnet_lite0.in1k] [--rows 4500] [--pairs 3] [--every 20]

`waited` is what training itself stood still, `written` what the writing thread took beside it, each as a share of the training's
time; `ratio` compares whole trainings, whose noise is larger than either.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core.specs.progress import EpochReport, Progress  # noqa: E402
from core.specs.recipe import Recipe  # noqa: E402
from core.training.checkpoint import Checkpointing, Identity, list_checkpoints  # noqa: E402
from core.training.fold import train_fold  # noqa: E402
from core.training.state import CheckpointWriter, TrainState  # noqa: E402
from core.training.task import FoldTask  # noqa: E402

N_VALID = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="tf_efficientnet_lite0.in1k")
    parser.add_argument("--rows", type=int, default=4500, help="training rows: one epoch of them is one measured training")
    parser.add_argument("--size", type=int, default=128, help="pixels")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--every", type=float, default=20.0, help="seconds between checkpoints")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pitwall-benchmark-") as folder:
        root = Path(folder)
        paths = make_images(root, options.rows + N_VALID, options.size)
        recipe = Recipe.model_validate(
            {
                "modality": "image",
                "model": {"backbone": options.backbone, "pretrained": False},
                "input": {"size_px": options.size},
                "average": {"ema": 0.99},
                "train": {"epochs": 1, "batch_size": 16},
            }
        )
        train(root, recipe, paths[: 8 * N_VALID], checkpointing=None)  # warm
        ours, without, blocking = [], [], []
        for _ in range(options.pairs):
            without.append(train(root, recipe, paths, checkpointing=None))
            ours.append(train(root, recipe, paths, checkpointing=Checkpointing(root / "ours", Identity({}), 1, every_s=options.every)))
            blocking.append(train_blocking(root, recipe, paths, every_s=options.every))
        report = {
            "cpus": os.cpu_count(),
            "load": os.getloadavg()[0],
            "backbone": options.backbone,
            "every_s": options.every,
            "training_s": [round(item["seconds"], 1) for item in without],
            "ours": summary(ours, without),
            "torch.save": summary(blocking, without),
        }
    print(json.dumps(report, indent=2))


def summary(measured: list[dict[str, Any]], without: list[dict[str, Any]]) -> dict[str, Any]:
    """Shares of the time, and the median ratio to the training without checkpoints that ran just before."""
    return {
        "training_s": [round(item["seconds"], 1) for item in measured],
        "checkpoints": [item["n"] for item in measured],
        "megabytes_each": round(measured[0]["bytes"] / 1e6, 1),
        "waited": round(statistics.median(item["waited"] / item["seconds"] for item in measured), 5),
        "written": round(statistics.median(item["wrote"] / item["seconds"] for item in measured), 5),
        "ratio": round(statistics.median(item["seconds"] / base["seconds"] for item, base in zip(measured, without, strict=True)), 4),
    }


def train(
    root: Path, recipe: Recipe, paths: list[Path], checkpointing: Checkpointing | None, report: Callable[[object], None] | None = None
) -> dict[str, Any]:
    """One training; its seconds are those of its steps, without start and prediction."""
    times: list[float] = []

    def hear(said: Progress | EpochReport) -> None:
        if isinstance(said, Progress) and said.phase == "training":
            times.append(time.perf_counter())
            if report is not None:
                report(said)

    n_rows = len(paths) - N_VALID
    with tempfile.TemporaryDirectory(dir=root) as out_dir:
        task = FoldTask(
            recipe=recipe,
            metric="log_loss",
            classes=("a", "b"),
            inputs=paths,
            labels=np.arange(len(paths)) % 2,
            train_idx=np.arange(n_rows),
            valid_idx=np.arange(n_rows, len(paths)),
            test_inputs=[],
            fold=0,
            weights_dir=root,
            out_dir=Path(out_dir),
            checkpointing=checkpointing,
        )
        output = train_fold(task, report=hear, should_stop=lambda: False)
    facts = output.facts["checkpoints"]
    size = 0
    if checkpointing is not None:
        newest = list_checkpoints(checkpointing.folder)
        size = sum(file.stat().st_size for file in newest[0].path.iterdir())
        for found in newest:
            for file in found.path.iterdir():
                file.unlink()
            found.path.rmdir()
    return {"seconds": times[-1] - times[0], "n": facts["written"], "bytes": size, "waited": facts["waited_s"], "wrote": facts["wrote_s"]}


def train_blocking(root: Path, recipe: Recipe, paths: list[Path], *, every_s: float) -> dict[str, Any]:
    """The usual way, at the same moments: `torch.save` of network, optimiser and average, while training waits."""
    waited, n, size, saved_at = 0.0, 0, 0, time.perf_counter()
    path = root / "usual.pt"
    states: list[TrainState] = []
    original = CheckpointWriter.__init__

    def remember(self: CheckpointWriter, checkpointing: Checkpointing | None, state: TrainState, **options: Any) -> None:
        states.append(state)
        original(self, checkpointing, state, **options)

    def save(_: object) -> None:
        nonlocal waited, n, size, saved_at
        now = time.perf_counter()
        if now - saved_at < every_s:
            return
        state = states[-1]
        average = state.average.state_dict() if state.average is not None else {}
        torch.save({"network": state.model.state_dict(), "optimizer": state.optimizer.state_dict(), "average": average}, path)
        saved_at = time.perf_counter()
        waited, n, size = waited + saved_at - now, n + 1, path.stat().st_size

    CheckpointWriter.__init__ = remember  # type: ignore[method-assign]
    try:
        measured = train(root, recipe, paths, checkpointing=None, report=save)
    finally:
        CheckpointWriter.__init__ = original  # type: ignore[method-assign]
    return {**measured, "n": n, "bytes": size, "waited": waited, "wrote": 0.0}


def make_images(root: Path, n: int, size_px: int) -> list[Path]:
    """Noise in files."""
    rng = np.random.default_rng(0)
    paths = [root / f"{number}.png" for number in range(n)]
    for path in paths:
        Image.fromarray(rng.integers(0, 255, (size_px, size_px, 3), dtype=np.uint8)).save(path)
    return paths


if __name__ == "__main__":
    main()
