"""A pretraining that goes on: it learns, a stop changes no byte, and what it leaves is an encoder that others load."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from core.base.errors import RecipeError, WeightsError
from core.recipes.pretraining import check_pretraining, pretraining_recipe
from core.specs.model_settings import ModelSettings
from core.specs.progress import Interrupted, Progress
from core.specs.recipe import Recipe
from core.training.checkpoint import list_checkpoints
from core.training.pretrain import PretrainOutput, PretrainTask, pretrain, split_texts
from tests.training.masked_bert import write_encoder
from tests.training.stopped import Crash, checkpointing_of, written_at_once

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
TEXTS = [
    f"{who} {what} again, day {day}"
    for day, (who, what) in enumerate((a, b) for a in ("goal", "vote", "match") for b in ("wins", "loses") * 9)
]


def recipe_of(**train: Any) -> Recipe:
    usual = pretraining_recipe(MINILM, Path())
    values = {"epochs": 3, "batch_size": 16, "precision": "fp32", **train}
    return usual.model_copy(
        update={
            "optim": usual.optim.model_copy(update={"lr": 3e-3}),
            "train": usual.train.model_copy(update=values),
        }
    )


def make_task(folder: Path, recipe: Recipe | None = None, *, has_head: bool = True, **changes: Any) -> PretrainTask:
    if not (folder / "weights").exists():
        write_encoder(folder / "weights" / MINILM, has_head=has_head)
    out_dir = folder / f"out-{len(list(folder.iterdir()))}"
    out_dir.mkdir()
    return PretrainTask(recipe or recipe_of(), TEXTS, folder / "weights", out_dir, **changes)


def run(task: PretrainTask) -> tuple[PretrainOutput, list[Progress]]:
    said: list[Progress] = []
    return pretrain(task, report=said.append, should_stop=lambda: False), said


def digest_of(task: PretrainTask, output: PretrainOutput) -> str:
    found = hashlib.sha256(repr([(each.epoch, each.train_loss, each.valid_loss, each.lr) for each in output.epochs]).encode())
    for path in sorted(task.out_dir.iterdir()):
        found.update(path.read_bytes())
    return found.hexdigest()


def test_held_out_words_are_filled_in_better_and_the_encoder_leaves_as_a_plain_folder(tmp_path: Path) -> None:
    task = make_task(tmp_path, recipe_of(epochs=12))
    output, said = run(task)
    before, after = output.losses
    assert after < 0.85 * before and [report.epoch for report in output.epochs] == list(range(13))
    assert output.best_epoch == min(output.epochs, key=lambda report: report.valid_loss).epoch > 0
    steps = [(item.epoch, item.step) for item in said if item.phase == "training"]
    assert steps == sorted(steps) and steps[-1][0] == 12 and said[-1].eta_s == pytest.approx(0, abs=1e-6)
    words = AutoTokenizer.from_pretrained(task.out_dir)(TEXTS[:3], padding=True, return_tensors="pt")
    own, original = (
        AutoModel.from_pretrained(folder).eval()(**words).last_hidden_state for folder in (task.out_dir, task.weights_dir / MINILM)
    )
    assert own.shape == original.shape and not torch.allclose(own, original)
    assert (output.facts["fresh_head"], output.facts["n_texts"] + output.facts["n_held_out"]) == ([], len(TEXTS))


def test_an_encoder_without_a_head_learns_with_a_fresh_one_and_says_so(tmp_path: Path) -> None:
    output, _ = run(make_task(tmp_path, has_head=False))
    assert output.facts["fresh_head"] and output.losses[1] < output.losses[0]


@pytest.mark.parametrize("crashes", [[("training", 1, 1)], [("validating", 2, 4)], [("training", 1, 3), ("training", 3, 2)]], ids=str)
def test_a_crash_changes_no_byte(crashes: list[tuple[str, int, int]], tmp_path: Path) -> None:
    calm = make_task(tmp_path)
    output, _ = run(calm)
    task = make_task(tmp_path, checkpointing=checkpointing_of(tmp_path / "checkpoints"))
    for token, crash in enumerate(crashes, start=2):

        def report(item: Progress, at: tuple[str, int, int] = crash) -> None:
            if (item.phase, item.epoch, item.step) == at:
                raise Crash

        with written_at_once(), pytest.raises(Crash):
            pretrain(task, report=report, should_stop=lambda: False)
        assert task.checkpointing is not None
        task = make_task(tmp_path, checkpointing=replace(task.checkpointing, token=token))
    again, said = run(task)
    assert digest_of(task, again) == digest_of(calm, output)
    assert len(again.facts["resumed"]) == len([crash for crash in crashes if crash != ("training", 1, 1)])
    assert crashes[-1][:2] == ("training", 1) or not any(item.phase == "training" and item.epoch == 1 for item in said)


def test_a_stop_is_kept_to_the_step_and_half_the_rows_at_once_change_next_to_nothing(tmp_path: Path) -> None:
    task = make_task(tmp_path, checkpointing=checkpointing_of(tmp_path / "checkpoints", every_s=9999))
    heard: list[Progress] = []
    with pytest.raises(Interrupted):
        pretrain(task, report=heard.append, should_stop=lambda: bool(heard) and (heard[-1].epoch, heard[-1].step) == (1, 2))
    (newest,) = list_checkpoints(tmp_path / "checkpoints")
    assert (newest.epoch, newest.step) == (1, 3)
    still = recipe_of(epochs=1)
    losses = [run(make_task(tmp_path, still, halvings=halvings))[0].losses for halvings in (0, 1)]
    assert np.allclose(losses[0], losses[1], rtol=0.05) and losses[0][0] == pytest.approx(losses[1][0], abs=1e-5)


def test_weights_that_are_not_here_are_no_reason_to_begin_from_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    recipe = recipe_of().model_copy(update={"model": ModelSettings(backbone="klue/bert-base")})
    with pytest.raises(WeightsError) as caught:
        run(make_task(tmp_path, recipe))
    assert "weights/klue/bert-base" in caught.value.fix and "pretrained" not in caught.value.fix


@pytest.mark.parametrize("n", [2, 3, 40, 1000])
def test_texts_are_learned_from_or_held_out(n: int) -> None:
    learned, held_out = split_texts(n, 0)
    assert sorted([*learned, *held_out]) == list(range(n)) and len(held_out) == max(1, round(n / 20))
    with pytest.raises(RecipeError, match="too few texts"):
        split_texts(1, 0)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"loss": {"smoothing": 0.1}}, "loss.smoothing"),
        ({"clean": {"min_rows": 2}}, "clean.min_rows"),
        ({"optim": {"optimizer": "muon"}}, "optim.optimizer"),
        ({"model": {"backbone": "tiny_transformer", "pretrained": False}}, "model.pretrained"),
        ({"model": {"backbone": "tiny_transformer"}}, "model.backbone"),
        ({"model": {"backbone": "Qwen/Qwen3-0.6B-Base"}}, "model.backbone"),
        ({"modality": "image"}, "modality"),
    ],
)
def test_what_a_pretraining_does_not_read_is_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(RecipeError) as caught:
        check_pretraining(Recipe.model_validate({"modality": "text", "model": {"backbone": MINILM}, **changes}), Path())
    assert named in caught.value.where


def test_it_reads_texts_as_the_recipe_that_it_is_for() -> None:
    like = Recipe.model_validate(
        {
            "modality": "text",
            "input": {"max_tokens": 48, "truncation": "head_tail", "head_share": 0.5},
            "clean": {"repeats": 2},
            "train": {"seed": 7},
        }
    )
    made = pretraining_recipe(MINILM, Path(), like)
    assert (made.input.max_tokens, made.input.truncation, made.clean, made.train.seed) == (48, "windows", like.clean, 7)
    assert made.name == "all-MiniLM-L6-v2-adapted" and made.train.epochs == 10
