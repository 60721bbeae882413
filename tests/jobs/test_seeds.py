"""Seeds are trained by jobs of their own: one that is stopped goes on, and each ends in the bytes that its seed alone ends in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from core.contest.table import load_table
from core.jobs.engine import Engine
from core.jobs.launch import launch_run
from core.jobs.queue import cancel_run, retry_run
from core.predictions.again import predict_run, rows_of_test
from core.predictions.oof import load_test_prob
from core.specs.recipe import Recipe
from tests.jobs.conftest import Ready, is_training


@pytest.fixture
def engine(ready: Ready) -> Iterator[Engine]:
    engine = Engine(ready.workspace, ("cpu",))
    yield engine
    engine.stop()


@pytest.mark.slow
def test_a_seed_that_was_stopped_ends_in_the_bytes_of_its_seed_alone(
    ready: Ready, engine: Engine, wait_for: Callable[..., float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    settings: dict[str, Any] = {
        "name": "tiny",
        "model": {"backbone": "test_vit", "pretrained": False},
        "input": {"size_px": 32},
        "augment": {"hflip": False},
        "train": {"epochs": 120, "batch_size": 10, "n_seeds": 2},
        "checkpoints": {"every_s": 1},
    }
    run = launch_run(ready.workspace, ready.contest, ready.folds, Recipe.model_validate(settings), fold_numbers=(0,))
    first, second = run.seeds
    engine.start()
    wait_for(lambda: ready.read(first).state == "done" and is_training(ready.job(second)))
    assert ready.read(run).results == ()
    cancel_run(ready.workspace.store, run.id)
    wait_for(lambda: ready.read(run).state == "canceled")
    retry_run(ready.workspace.store, run.id)
    engine.wake()
    settings["train"] = {**settings["train"], "seed": 1, "n_seeds": 1}
    alone = launch_run(ready.workspace, ready.contest, ready.folds, Recipe.model_validate(settings), fold_numbers=(0,))
    wait_for(lambda: ready.read(alone).state == "done")
    (stopped,), (result,) = ready.read(second).results, ready.read(run).results
    assert stopped.token == 2 and stopped.facts["resumed"]
    assert stopped.fingerprint == ready.read(alone).results[0].fingerprint and result.facts == {"seeds": [0, 1]}
    again = predict_run(ready.workspace, ready.contest, ready.read(run), rows_of_test(load_table(ready.workspace, ready.contest)))
    assert np.abs(again - load_test_prob(ready.workspace, ready.read(run))).max() < 1e-6
