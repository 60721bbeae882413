"""A dry run takes the steps of the fold it stands for, and says what they cost."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.base.errors import OutOfMemory, RecipeError, WeightsError
from core.data.batches import batches_of
from core.data.randomness import permutation
from core.store.attempts import MOST_HALVINGS
from core.training import dry_run as module
from core.training.checkpoint import Checkpointing, Identity, list_checkpoints
from core.training.dry_run import dry_run
from core.training.step import StepLoss, train_step
from tests.training.small_tasks import IMAGE, TEXT, make_task, recipe_of, train

pytestmark = pytest.mark.slow  # networks train here

BOTH = pytest.mark.parametrize("settings", [IMAGE, TEXT], ids=["image", "text"])
Parts = Sequence[np.ndarray]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Parts]:
    """The steps that a dry run makes, each as its micro-batches; of those that are timed only a few."""
    steps: list[Parts] = []

    def watched(task: Any, setup: Any, parts: Parts, *rest: Any) -> StepLoss:
        steps.append(parts)
        return train_step(task, setup, parts, *rest)

    monkeypatch.setattr(module, "train_step", watched)
    monkeypatch.setattr(module, "TIMED_S", 0.0)
    return steps


@BOTH
def test_it_says_what_a_fold_costs(settings: dict[str, Any], tmp_path: Path) -> None:
    task = make_task(tmp_path, recipe_of(settings))
    costs = dry_run(task, max_halvings=MOST_HALVINGS)
    assert costs.n_timed >= module.MIN_TIMED
    assert 0 < costs.above_start_bytes < costs.peak_bytes < costs.total_bytes
    assert costs.step_s == pytest.approx(costs.train_row_s * 8, rel=0.2)
    assert (costs.batch_size, costs.micro_batch, costs.halvings) == (8, 8, 0)
    assert costs.precision in ("bf16", "fp32") and costs.precision_reason and costs.weights == "from nothing"
    assert costs.fold_s(32, 16, 9, 2) == pytest.approx(costs.setup_s + 2 * costs.epoch_s(32, 16) + 25 * costs.valid_row_s + costs.score_s)


@BOTH
def test_it_leaves_nothing_and_changes_nothing(settings: dict[str, Any], tmp_path: Path) -> None:
    recipe = recipe_of(settings)
    calm, _, _ = train(make_task(tmp_path, recipe))
    task = make_task(tmp_path, recipe)
    before = sorted(tmp_path.iterdir())
    dry_run(task, max_halvings=MOST_HALVINGS)
    assert sorted(tmp_path.iterdir()) == before
    assert {path.name for path in task.network_dir.iterdir()} <= {"tokenizer.json"}
    again, _, _ = train(make_task(tmp_path, recipe))
    assert again.valid_prob.tobytes() == calm.valid_prob.tobytes()


@BOTH
def test_a_checkpoint_has_the_size_that_was_said(settings: dict[str, Any], tmp_path: Path) -> None:
    recipe = recipe_of(settings, average={"ema": 0.9}, train={"epochs": 2})
    costs = dry_run(make_task(tmp_path, recipe), max_halvings=MOST_HALVINGS)
    kept = Checkpointing(tmp_path / "checkpoints", Identity({}), 1, every_s=1e-9)
    task = make_task(tmp_path, recipe, checkpointing=kept)
    train(task)
    files = list(list_checkpoints(kept.folder)[0].path.glob("*.safetensors"))
    headers = 8 * len(files) + sum(int.from_bytes(path.read_bytes()[:8], "little") for path in files)
    assert sum(path.stat().st_size for path in files) - headers == costs.checkpoint_bytes
    weights = task.network_dir / "weights.safetensors"
    assert costs.weights_bytes <= weights.stat().st_size <= costs.weights_bytes + 100_000


def test_its_steps_are_those_of_the_first_epoch(seen: list[Parts], tmp_path: Path) -> None:
    task = make_task(tmp_path, recipe_of(IMAGE, train={"accumulate": 2}))
    dry_run(task, max_halvings=0)
    order = task.train_idx[permutation(task.recipe.train.seed, 0, 1, len(task.train_idx))]
    first = [np.concatenate(list(parts)).tolist() for parts in seen]
    assert first[:2] == [rows.tolist() for rows in batches_of(order, 8)[:2]]
    assert [len(part) for part in seen[0]] == [4, 4]
    assert len(seen) == 1 + module.MIN_TIMED


def test_it_tries_inputs_of_full_size_where_the_first_epochs_are_smaller(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sides: set[int] = set()

    def looked_at(task: Any, setup: Any, parts: Parts, batches: Any, *rest: Any) -> StepLoss:
        found = [next(batches) for _ in parts]
        sides.update(batch["image"].shape[-1] for batch in found)
        return train_step(task, setup, parts, iter(found), *rest)

    monkeypatch.setattr(module, "train_step", looked_at)
    monkeypatch.setattr(module, "TIMED_S", 0.0)
    dry_run(make_task(tmp_path, recipe_of(IMAGE, input={"first_px": 24})), max_halvings=0)
    assert sides == {32}


def test_the_longest_texts_are_tried(seen: list[Parts], tmp_path: Path) -> None:
    task = make_task(tmp_path, recipe_of(TEXT))
    long = "one two three four five six seven eight nine ten eleven twelve"
    texts = [long if row in task.train_idx[-8:] else str(text) for row, text in enumerate(task.inputs)]
    dry_run(replace(task, inputs=texts), max_halvings=0)
    assert sorted(np.concatenate(list(seen[1])).tolist()) == sorted(task.train_idx[-8:].tolist())


def test_memory_that_was_given_back_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def hungry(*given: Any) -> StepLoss:
        torch.ones(100 * 2**20).sum()
        return train_step(*given)

    monkeypatch.setattr(module, "train_step", hungry)
    costs = dry_run(make_task(tmp_path, recipe_of(IMAGE)), max_halvings=0)
    assert costs.above_start_bytes > 380 * 2**20  # of 400: pages that were resident at the start are used again


def test_logits_that_are_no_numbers_are_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "TIMED_S", 0.0)
    task = make_task(tmp_path, recipe_of(IMAGE))
    calm, evaluate = dry_run(task, max_halvings=0), module._evaluate  # pyright: ignore[reportPrivateUsage]
    assert calm.n_logits >= len(task.valid_idx) * len(task.classes) and not calm.n_not_finite

    def overflowing(task: Any, setup: Any, row_s: float) -> tuple[float, float]:
        with torch.no_grad():
            setup.eval_model.network.get_classifier().bias[0] = torch.inf
        return evaluate(task, setup, row_s)

    monkeypatch.setattr(module, "_evaluate", overflowing)
    costs = dry_run(task, max_halvings=0)
    assert costs.n_logits == calm.n_logits and costs.n_not_finite == costs.n_logits / len(task.classes)


def runs_out_above(most_rows: int) -> Callable[..., StepLoss]:
    def step(task: Any, setup: Any, parts: Parts, *rest: Any) -> StepLoss:
        if max(map(len, parts)) > most_rows:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")
        return train_step(task, setup, parts, *rest)

    return step


def test_where_memory_runs_out_the_micro_batch_is_halved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "train_step", runs_out_above(3))
    costs = dry_run(make_task(tmp_path, recipe_of(IMAGE)), max_halvings=MOST_HALVINGS)
    assert (costs.batch_size, costs.micro_batch, costs.halvings) == (8, 2, 2)


@pytest.mark.parametrize(("most_rows", "most_halvings"), [(0, MOST_HALVINGS), (3, 1)], ids=["not even one row", "too often"])
def test_what_never_fits_is_a_typed_failure(most_rows: int, most_halvings: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "train_step", runs_out_above(most_rows))
    with pytest.raises(OutOfMemory) as caught:
        dry_run(make_task(tmp_path, recipe_of(IMAGE)), max_halvings=most_halvings)
    assert "train.batch_size" in caught.value.fix and "at once" in caught.value.where


def test_what_cannot_be_trained_fails_as_it_would(tmp_path: Path) -> None:
    with pytest.raises(WeightsError):
        dry_run(make_task(tmp_path, recipe_of(IMAGE, model={"pretrained": True})), max_halvings=0)
    with pytest.raises(RecipeError) as caught:
        dry_run(make_task(tmp_path, recipe_of(IMAGE, model={"backbone": "test_vit"}, input={"size_px": 33})), max_halvings=0)
    assert caught.value.where == "model" and caught.value.fix
    task = make_task(tmp_path, recipe_of(IMAGE))
    with pytest.raises(RecipeError, match="no rows to validate"):
        dry_run(replace(task, valid_idx=task.valid_idx[:0]), max_halvings=0)


def test_loader_processes_are_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "TIMED_S", 0.0)
    costs = dry_run(make_task(tmp_path, recipe_of(IMAGE, train={"loader_workers": 1})), max_halvings=0)
    assert costs.loaders_bytes > 2**20
    assert costs.n_timed >= module.MIN_TIMED + 2
    assert multiprocessing.active_children() == []
