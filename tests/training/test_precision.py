"""Precision: what a device computes in, the scale of fp16's gradients, and that nothing of it is lost in a stop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.base.errors import RecipeError
from core.specs.network import read_network_spec
from core.training import precision as module
from core.training.precision import LEAST_SCALE, choose_precision
from core.training.predictor import load_torch
from core.training.setup import Setup, set_up
from core.training.step import cut_micro_batches, cut_steps, order_rows, train_step
from core.training.task import FoldTask
from tests.training.small_tasks import IMAGE, make_task, recipe_of, train
from tests.training.stopped import checkpointing_of, crash_at, resumed

CPU = torch.device("cpu")
FP16 = recipe_of(IMAGE, train={"precision": "fp16"})


@pytest.fixture
def scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything of fp16 but its numbers, which not every processor computes with."""
    monkeypatch.setattr(module, "_lacks_fp16", lambda device: None)
    monkeypatch.setitem(module.HALF, "fp16", torch.bfloat16)


def test_fp16_is_refused_where_it_would_be_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_fp16": True})
    assert choose_precision("fp16", CPU).name == "fp16"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    for device in (CPU, torch.device("mps")):
        with pytest.raises(RecipeError) as caught:
            choose_precision("fp16", device)
        assert caught.value.where == "train.precision" and "auto" in caught.value.fix


def _steps(task: FoldTask, setup: Setup, n: int) -> None:
    for number, rows in enumerate(cut_steps(task, order_rows(task, 1, setup.loader.rows.lengths))[:n], start=1):
        parts = cut_micro_batches(task, rows)
        train_step(task, setup, parts, setup.loader.load(1, parts), 1, number)


@pytest.mark.slow
def test_a_step_whose_gradients_overflow_is_left_out(scaled: None, tmp_path: Path) -> None:
    task = make_task(tmp_path, recipe_of(IMAGE, train={"precision": "fp16", "batch_size": 1}, model={"backbone": "test_vit.r160_in1k"}))
    setup = set_up(task)
    weight = next(setup.model.parameters())
    before, scale = weight.detach().clone(), setup.scaler.get_scale()
    spoiled = weight.register_hook(lambda gradient: gradient * float("inf"))
    _steps(task, setup, 2)
    assert torch.equal(weight, before) and setup.scaler.get_scale() == scale / 4
    spoiled.remove()
    _steps(task, setup, 1)
    assert not torch.equal(weight, before) and setup.scaler.get_scale() == scale / 4
    weight.register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(RecipeError, match="not a number"):
        _steps(task, setup, 20)
    assert setup.scaler.get_scale() < LEAST_SCALE


@pytest.mark.slow
def test_the_scale_survives_a_stop(scaled: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = torch.amp.grad_scaler.GradScaler.__init__
    monkeypatch.setattr(
        torch.amp.grad_scaler.GradScaler, "__init__", lambda self, *given, **named: first(self, *given, **named, growth_interval=3)
    )
    calm = make_task(tmp_path, FP16)
    output, _, _ = train(calm)
    task = replace(calm, checkpointing=checkpointing_of(tmp_path / "checkpoints"), out_dir=tmp_path / "attempt-1")
    task.out_dir.mkdir()
    crash_at(task, "training", 2, 1)
    again, _, _ = train(resumed(tmp_path, task, 2))
    assert again.valid_prob.tobytes() == output.valid_prob.tobytes()
    assert again.facts["resumed"] and again.facts["precision"] == "fp16"


@pytest.mark.slow
@pytest.mark.skipif(module._lacks_fp16(CPU) is not None, reason="this processor does not compute in fp16")
def test_fp16_learns_what_fp32_learns(tmp_path: Path) -> None:
    half, _, _ = train(make_task(tmp_path, FP16))
    whole, _, _ = train(make_task(tmp_path, recipe_of(IMAGE, train={"precision": "fp32"})))
    assert half.facts["precision"] == "fp16" and np.abs(half.valid_prob - whole.valid_prob).max() < 0.1


@pytest.mark.slow
def test_on_another_kind_of_device_a_network_predicts_in_what_that_computes_in(tmp_path: Path) -> None:
    task = make_task(tmp_path, recipe_of(IMAGE, train={"epochs": 1}))
    train(task)
    spec = read_network_spec(task.network_dir).model_copy(update={"device": "cuda", "precision": "fp16"})
    network = load_torch(task.network_dir, spec, "cpu", saved=task.network_dir, weights_dir=tmp_path)
    assert network.precision == choose_precision("auto", CPU)
