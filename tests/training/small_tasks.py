"""Two contests so small that a fold trains in seconds: squares and stripes as PNG files, and sentences of two subjects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core.specs.progress import EpochReport, Progress
from core.specs.recipe import Recipe
from core.training.fold import train_fold
from core.training.task import FoldOutput, FoldTask

N_ROWS = 48
N_TEST = 9
IMAGE = {
    "modality": "image",
    "model": {"backbone": "test_resnet.r160_in1k", "pretrained": False, "dropout": 0.2},
    "input": {"size_px": 32},
    "augment": {"min_crop": 0.6, "rotation_deg": 15, "jitter": 0.2},
    "optim": {"lr": 0.003},
    "train": {"epochs": 2, "batch_size": 8},
}
TEXT = {
    "modality": "text",
    "model": {"backbone": "tiny_transformer", "pretrained": False, "dropout": 0.2},
    "input": {"max_tokens": 16},
    "optim": {"lr": 0.003},
    "train": {"epochs": 2, "batch_size": 8},
}


def recipe_of(base: dict[str, Any], **sections: dict[str, Any]) -> Recipe:
    """A recipe with some settings of some sections changed."""
    return Recipe.model_validate({**base, **{name: {**base.get(name, {}), **values} for name, values in sections.items()}})


def write_images(folder: Path) -> list[Path]:
    """Noise with a bright square (class 0), vertical (1) or horizontal stripes (2), N_ROWS + N_TEST files."""
    rng = np.random.default_rng(0)
    paths = []
    for number in range(N_ROWS + N_TEST):
        pixels = rng.integers(0, 120, (28, 28, 3))
        if number % 3 == 0:
            pixels[8:20, 8:20] += 130
        elif number % 3 == 1:
            pixels[:, ::4] += 130
        else:
            pixels[::4] += 130
        paths.append(folder / f"{number}.png")
        Image.fromarray(pixels.astype(np.uint8)).save(paths[-1])
    return paths


def write_texts() -> list[str]:
    """Sentences of three subjects, in English and Korean."""
    words = (("goal", "match", "경기"), ("vote", "minister", "투표"), ("shares", "profit", "주가"))
    return [
        f"{words[number % 3][number // 3 % 3]} {'rises again' if number % 2 else 'falls once more'} {number}"
        for number in range(N_ROWS + N_TEST)
    ]


def make_task(folder: Path, recipe: Recipe, **changes: Any) -> FoldTask:
    """The task of fold 0 of three; its output goes to a fresh folder inside `folder`."""
    source = folder / "images"
    source.mkdir(exist_ok=True)
    inputs: list[Any] = write_images(source) if recipe.modality == "image" else write_texts()
    out_dir = folder / f"out-{len(list(folder.iterdir()))}"
    out_dir.mkdir()
    rows = np.arange(N_ROWS)
    task = {
        "recipe": recipe,
        "metric": "log_loss",
        "classes": ("a", "나", "c"),
        "inputs": inputs[:N_ROWS],
        "labels": rows % 3,
        "train_idx": rows[rows // 9 % 3 != 0],
        "valid_idx": rows[rows // 9 % 3 == 0],
        "test_inputs": inputs[N_ROWS:],
        "fold": 0,
        "weights_dir": folder / "weights",
        "out_dir": out_dir,
    }
    return FoldTask(**{**task, **changes})


def train(task: FoldTask, should_stop: Callable[[], bool] = lambda: False) -> tuple[FoldOutput, list[Progress], list[EpochReport]]:
    """Train, and keep what was said."""
    said: list[Progress | EpochReport] = []
    output = train_fold(task, report=said.append, should_stop=should_stop)
    return output, [item for item in said if isinstance(item, Progress)], [item for item in said if isinstance(item, EpochReport)]
