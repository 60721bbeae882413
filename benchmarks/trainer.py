"""How fast an epoch of texts is, against the Trainer of transformers. Prints one JSON document.

    python benchmarks/trainer.py [--pairs 5] [--steps 48] [--kinds same,defaults]

Both train MiniLM, its weights and its classifier those of our recipe, on the same texts of mixed length (4 to 128 tokens, the median 24), tokenized
before, 32 rows a step, fused AdamW, gradients clipped, in the precision that our recipe chooses. `same`: both take the same rows in the same
random order, and pad a batch to its longest text; at least 1.0 of the Trainer's rows a second. `defaults`: our recipe groups by length, as its presets
do; at least 1.3.
Both sides run in turns in one process, in a worker's environment; ratios are of pairs. Exit code 1 where a median is below its limit.

Needs `accelerate`, which nothing else here does: pip install accelerate
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
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from core.jobs.devices import worker_environment  # noqa: E402

BACKBONE, BATCH, MAX_TOKENS, N_CLASSES = "sentence-transformers/all-MiniLM-L6-v2", 32, 128, 4
LEAST = {"same": 1.0, "defaults": 1.3}
WORDS = ("goal", "match", "vote", "minister", "shares", "profit", "film", "actor", "rain", "road", "the", "of", "a", "was", "very", "not")
ALL_CORES = {"OMP_NUM_THREADS": str(os.cpu_count())}
"""Both sides keep all threads, whatever else runs."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=48, help="steps of an epoch; the first one is not counted")
    parser.add_argument("--kinds", default=",".join(LEAST))
    parser.add_argument("--child", choices=LEAST, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(measure(given.child, given.pairs, given.steps)))
        return 0
    report: dict[str, Any] = {"cpus": os.cpu_count(), "load": round(os.getloadavg()[0], 2)}
    is_met = True
    for kind in given.kinds.split(","):
        command = [sys.executable, str(Path(__file__).resolve()), "--pairs", str(given.pairs), "--steps", str(given.steps), "--child", kind]
        said = subprocess.run(command, env=worker_environment(ALL_CORES), stdout=subprocess.PIPE, text=True, check=True).stdout
        pairs: list[dict[str, float]] = json.loads(said.splitlines()[-1])
        ratios = [pair["ours"] / pair["trainer"] for pair in pairs]
        ratio = statistics.median(ratios)
        report[kind] = {name: round(statistics.median(pair[name] for pair in pairs), 1) for name in ("ours", "trainer")}
        report[kind] |= {"ratios": [round(one, 3) for one in ratios], "ratio": round(ratio, 3), "is_met": ratio >= LEAST[kind]}
        is_met &= ratio >= LEAST[kind]
    print(json.dumps(report, indent=1))
    return int(not is_met)


def measure(kind: str, n_pairs: int, n_steps: int) -> list[dict[str, float]]:
    """Rows a second of both sides, which come first in turns, after a short run of both that loads all libraries."""
    from core.jobs.worker import NICENESS

    os.nice(NICENESS)
    with tempfile.TemporaryDirectory(prefix="pitwall-benchmark-") as scratch:
        sides = {
            "ours": lambda n: ours(kind, texts(n * BATCH), Path(scratch)),
            "trainer": lambda n: trainer(texts(n * BATCH), Path(scratch)),
        }
        for side in sides.values():
            side(3)
        return [{name: sides[name](n_steps) for name in list(sides)[:: 1 if number % 2 else -1]} for number in range(n_pairs)]


def texts(n: int) -> list[str]:
    """Texts of common words, each of which is one token; lengths as of reviews, many short ones and few long ones."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(3.1, 0.8, n).astype(int), 2, MAX_TOKENS - 2)
    return [" ".join(rng.choice(WORDS, length)) for length in lengths]


def recipe_of(kind: str) -> Any:
    from core.specs.recipe import Recipe

    return Recipe.model_validate(
        {
            "modality": "text",
            "input": {"max_tokens": MAX_TOKENS},
            "model": {"backbone": BACKBONE},
            "optim": {"lr": 1e-4},
            "train": {"epochs": 1, "batch_size": BATCH, "group_by_length": kind == "defaults"},
        }
    )


def pace(times: list[float]) -> float:
    """Rows a second, from the ends of steps."""
    return BATCH * (len(times) - 1) / (times[-1] - times[0])


def ours(kind: str, rows: list[str], scratch: Path) -> float:
    from core.specs.progress import EpochReport, Progress
    from core.training.fold import train_fold
    from core.training.task import FoldTask

    times = list[float]()

    def hear(said: Progress | EpochReport) -> None:
        if isinstance(said, Progress) and said.phase == "training":
            times.append(time.perf_counter())

    task = FoldTask(
        recipe=recipe_of(kind),
        metric="log_loss",
        classes=tuple(f"class-{number}" for number in range(N_CLASSES)),
        inputs=[*rows, "a", "b"],
        labels=np.arange(len(rows) + 2) % N_CLASSES,
        train_idx=np.arange(len(rows)),
        valid_idx=np.arange(len(rows), len(rows) + 2),
        test_inputs=[],
        fold=0,
        weights_dir=scratch,
        out_dir=Path(tempfile.mkdtemp(dir=scratch)),
    )
    train_fold(task, report=hear, should_stop=lambda: False)
    return pace(times[: len(rows) // BATCH])


def trainer(rows: list[str], scratch: Path) -> float:
    import torch
    from torch import Tensor, nn
    from transformers import AutoTokenizer, DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments

    from core.data.randomness import permutation, seed_network
    from core.training.precision import choose_precision
    from models.build import build_model
    from models.catalog import find_backbone
    from models.spec import ModelSpec
    from models.weights import find_weights

    class Network(nn.Module):
        """Our network as the Trainer calls one."""

        def __init__(self) -> None:
            super().__init__()
            seed_network(0, 0)
            self.network = build_model(ModelSpec(find_backbone(BACKBONE), N_CLASSES, scratch, dropout=0.1, max_tokens=MAX_TOKENS))

        def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> dict[str, Tensor]:
            logits = self.network({"input_ids": input_ids, "attention_mask": attention_mask})
            return {"loss": nn.functional.cross_entropy(logits.float(), labels), "logits": logits}

    times = list[float]()

    class Clock(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            times.append(time.perf_counter())

    tokenizer = AutoTokenizer.from_pretrained(find_weights(find_backbone(BACKBONE), scratch).path, local_files_only=True)
    encoded = tokenizer(rows, truncation=True, max_length=MAX_TOKENS)
    dataset = [
        {"input_ids": encoded["input_ids"][row], "attention_mask": encoded["attention_mask"][row], "labels": row % N_CLASSES}
        for row in permutation(0, 0, 1, len(rows)).tolist()  # the order of our first epoch
    ]
    arguments = TrainingArguments(
        output_dir=str(scratch / "trainer"),
        per_device_train_batch_size=BATCH,
        num_train_epochs=1,
        learning_rate=1e-4,
        weight_decay=0.05,
        warmup_steps=0.1,
        lr_scheduler_type="cosine",
        bf16=choose_precision("auto", torch.device("cpu")).name == "bf16",
        use_cpu=True,
        train_sampling_strategy="sequential",
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    Trainer(
        model=Network(),
        args=arguments,
        train_dataset=dataset,  # pyright: ignore[reportArgumentType]  # a list has all that a dataset needs
        data_collator=DataCollatorWithPadding(tokenizer),
        callbacks=[Clock()],
    ).train()
    return pace(times)


if __name__ == "__main__":
    sys.exit(main())
