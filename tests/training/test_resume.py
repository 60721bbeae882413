"""A fold that is stopped and goes on from its checkpoint ends in the bytes of one that was never stopped."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from core.base.errors import AlignmentError, CheckpointError, PitwallError
from core.specs.progress import EpochReport, Interrupted, Progress
from core.specs.recipe import Recipe
from core.training.checkpoint import Identity, list_checkpoints, list_quarantined
from core.training.task import FoldOutput, FoldTask
from tests.training.small_tasks import IMAGE, TEXT, make_task, recipe_of, train
from tests.training.stopped import HARD, checkpointing_of, crash_at, resumed, rewrite_manifest, stopped_task, written_at_once

pytestmark = pytest.mark.slow  # networks train here, again and again

MIXED: dict[str, dict[str, Any]] = {
    "augment": {"policy": "trivialaugment", "erasing": 0.5, "mixup": 0.4, "cutmix": 1.0, "mix_prob": 0.8, "mix_off_epochs": 1},
    "input": {"first_px": 24, "full_px_epochs": 2},
}
WINDOWS: dict[str, Any] = {"max_tokens": 8, "truncation": "windows", "windows": 3}
PERTURBED: dict[str, dict[str, Any]] = {
    "augment": {"mixup": 0.4, "mix_prob": 0.8, "aeda": 0.5, "word_deletion": 0.5},
    "loss": {"rdrop": 2.0, "coarse": ("x", "y", "y")},
    "adversarial": {"kind": "fgm", "epsilon": 0.5, "start_epoch": 2},
}
LONG = recipe_of(TEXT, **{**HARD, **PERTURBED, "input": WINDOWS, "train": {**HARD["train"], "group_by_length": True}})
BOTH = pytest.mark.parametrize("recipe", [recipe_of(IMAGE, **HARD, **MIXED), LONG], ids=["image", "text"])


def digest_of(task: FoldTask, output: FoldOutput) -> str:
    """Of everything that a fold leaves: predictions, weights, scores."""
    found = hashlib.sha256(output.valid_prob.tobytes() + output.test_prob.tobytes())
    for path in sorted(path for path in task.out_dir.rglob("*") if path.is_file()):
        found.update(path.read_bytes())
    found.update(json.dumps([output.scores, output.best_epoch, output.n_epochs]).encode())
    return found.hexdigest()


def losses(epochs: list[EpochReport]) -> list[tuple[int, float, float, float]]:
    return [(report.epoch, report.train_loss, report.valid_loss, report.lr) for report in epochs]


@BOTH
@pytest.mark.parametrize(
    "crashes",
    [
        [("training", 1, 1)],
        [("training", 2, 4)],
        [("validating", 2, 4)],
        [("predicting", 4, 4)],
        [("training", 2, 2), ("training", 2, 3)],
        [("training", 1, 3), ("validating", 1, 4), ("training", 3, 1)],
    ],
    ids=["first step", "last step of an epoch", "validation", "prediction", "twice in an epoch", "three times"],
)
def test_a_crash_changes_no_byte(recipe: Recipe, crashes: list[tuple[str, int, int]], tmp_path: Path) -> None:
    calm = make_task(tmp_path, recipe)
    output, _, calm_epochs = train(calm)
    task = replace(calm, checkpointing=checkpointing_of(tmp_path / "checkpoints"), out_dir=tmp_path / "attempt-1")
    task.out_dir.mkdir()
    for token, crash in enumerate(crashes, start=1):
        crash_at(task, *crash)
        task = resumed(tmp_path, task, token + 1)
    again, said, epochs = train(task)
    assert digest_of(task, again) == digest_of(calm, output)
    assert losses(epochs) == losses(calm_epochs)
    first = next((item for item in said if item.phase == "training"), None)
    if crashes[-1][0] == "predicting":
        assert first is None
    elif crashes != [("training", 1, 1)]:
        assert first is None or (first.epoch, first.step) != (1, 1)
    assert len(again.facts["resumed"]) <= len(crashes)


@pytest.mark.parametrize(
    "sections",
    [
        {
            "average": {"keep": "swa", "swa_start": 0.3},
            "optim": {"optimizer": "muon", "layer_decay": 0.8, "schedule": "restarts", "restart_epochs": 1},
        },
        {"average": {"keep": "best_mean", "monitor": "both", "best_k": 2}, "optim": {"optimizer": "lamb", "schedule": "wsd"}},
        {"average": {"keep": "soup", "monitor": "loss", "ema": 0.9}, "optim": {"optimizer": "sgd", "lr": 0.05, "schedule": "one_cycle"}},
        {"average": {"keep": "last"}, "optim": {"optimizer": "adopt", "schedule": "linear"}},
    ],
    ids=["swa", "mean of the best", "soup", "last"],
)
def test_no_average_and_no_optimiser_loses_a_byte(sections: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    calm = make_task(tmp_path, recipe_of(IMAGE, train={"epochs": 4}, **sections))
    output, said, calm_epochs = train(calm)
    task = replace(calm, checkpointing=checkpointing_of(tmp_path / "checkpoints"), out_dir=tmp_path / "attempt-1")
    task.out_dir.mkdir()
    is_mean = any(item.phase == "averaging" for item in said)
    assert is_mean == (sections["average"]["keep"] != "last") and said[-1].eta_s == pytest.approx(0, abs=1e-6)
    for token, crash in enumerate([("training", 1, 3), ("training", 3, 2), ("averaging" if is_mean else "predicting", 4, 4)], start=2):
        with written_at_once():
            crash_at(task, *crash)
        task = resumed(tmp_path, task, token)
    again, _, epochs = train(task)
    assert digest_of(task, again) == digest_of(calm, output) and losses(epochs) == losses(calm_epochs)
    assert again.facts["kept_epochs"] == output.facts["kept_epochs"]
    best = calm_epochs[output.best_epoch - 1].scores["log_loss"]
    assert sections["average"]["keep"] != "soup" or output.scores["log_loss"] <= best + 1e-7


@BOTH
def test_a_stop_is_kept_to_the_step(recipe: Recipe, tmp_path: Path) -> None:
    calm = make_task(tmp_path, recipe)
    output, _, _ = train(calm)
    # Hours between checkpoints: only the stop itself can have written one.
    task = replace(calm, checkpointing=checkpointing_of(tmp_path / "checkpoints", every_s=9999), out_dir=tmp_path / "attempt-1")
    task.out_dir.mkdir()
    heard: list[Progress | EpochReport] = []
    from core.training.fold import train_fold

    def has_heard(epoch: int, step: int) -> bool:
        return any(isinstance(item, Progress) and (item.phase, item.epoch, item.step) == ("training", epoch, step) for item in heard)

    with pytest.raises(Interrupted):
        train_fold(task, report=heard.append, should_stop=lambda: has_heard(2, 2))
    newest = list_checkpoints(tmp_path / "checkpoints")[0]
    assert (newest.epoch, newest.step) == (2, 3)  # the step after it was under way
    task = resumed(tmp_path, task, 2)
    again, said, _ = train(task)
    steps = [(item.epoch, item.step) for item in said if item.phase == "training"]
    assert steps[0] == (2, 4)
    assert digest_of(task, again) == digest_of(calm, output)
    assert [entry["step"] for entry in again.facts["resumed"]] == [3]


def test_all_of_the_settings_were_at_work(tmp_path: Path) -> None:
    recipe = recipe_of(IMAGE, **HARD, **MIXED)
    whole, _, _ = train(make_task(tmp_path, recipe))
    for change in (
        {"train": {"accumulate": 1}},
        {"average": {"ema": 0.0}},
        {"augment": {"mixup": 0.0, "cutmix": 0.0}},
        {"input": {"first_px": 0}},
    ):
        other, _, _ = train(make_task(tmp_path, recipe_of(recipe.to_dict(), **change)))
        assert not np.array_equal(whole.valid_prob, other.valid_prob)


def test_early_stopping_is_remembered(tmp_path: Path) -> None:
    recipe = recipe_of(TEXT, optim={"lr": 1e-30, "weight_decay": 0}, train={"epochs": 20, "patience": 2})
    task = make_task(tmp_path, recipe, checkpointing=checkpointing_of(tmp_path / "checkpoints"))
    crash_at(task, "predicting", 3, 4)
    again, said, _ = train(resumed(tmp_path, task, 2))
    assert (again.best_epoch, again.n_epochs) == (1, 3)
    assert {item.phase for item in said} == {"loading", "tokenizing", "predicting"}


def test_only_the_newest_stay(tmp_path: Path) -> None:
    task = make_task(tmp_path, recipe_of(TEXT), checkpointing=checkpointing_of(tmp_path / "checkpoints", keep=3))
    with written_at_once():
        output, _, _ = train(task)
    assert len(list_checkpoints(tmp_path / "checkpoints")) == 3
    assert output.facts["checkpoints"]["written"] > 3


def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_it_used(tmp_path: Path) -> None:
    calm = make_task(tmp_path, recipe_of(TEXT, **HARD))
    output, _, _ = train(calm)
    task = stopped_task(tmp_path)
    newest, before = list_checkpoints(tmp_path / "checkpoints")[:2]
    path = newest.path / "network.safetensors"
    damaged = bytearray(path.read_bytes())
    damaged[-5] ^= 1
    path.write_bytes(damaged)
    again, said, _ = train(task)
    assert [found.path.name for found in list_quarantined(tmp_path / "checkpoints")] == [newest.path.name]
    assert again.facts["quarantined"] == [newest.path.name]
    first = next(item for item in said if item.phase == "training")
    assert (first.epoch, first.step) == (before.epoch, before.step + 1)
    assert digest_of(task, again) == digest_of(calm, output)


@pytest.mark.parametrize("name", ["contest", "folds"])
def test_other_data_or_folds_are_refused(name: str, tmp_path: Path) -> None:
    task = stopped_task(tmp_path)
    assert task.checkpointing is not None
    changed = Identity({**task.checkpointing.identity.facts, name: "a" * 64})
    with pytest.raises(AlignmentError, match=f"{name} changed") as caught:
        train(replace(task, checkpointing=replace(task.checkpointing, identity=changed)))
    assert caught.value.why == f"{name} was {name[0] * 12}, is {'a' * 12}"
    assert len(list_checkpoints(tmp_path / "checkpoints")) == 2


def as_of_fourth_layout(position: dict[str, Any]) -> None:
    """Only the weights of the best epoch were kept, and its score stood beside its number."""
    position["best_epoch"], position["best_score"] = (*position.pop("kept"), 0)[0], position["epochs"][-1]["scores"]["log_loss"]


def as_of_first_layout(task: FoldTask) -> None:
    """Rewrite a task's checkpoints as version 0.1 left them."""
    assert task.checkpointing is not None
    for checkpoint in list_checkpoints(task.checkpointing.folder):
        state = json.loads((checkpoint.path / "state.json").read_text())
        position = state["position"]
        as_of_fourth_layout(position)
        del position["log_loss_sum"], position["n_right"], position["threads"]
        for report in position["epochs"]:
            del report["train_log_loss"], report["train_accuracy"]
        (checkpoint.path / "state.json").write_text(json.dumps({"place": position, "tensors": state["tensors"]}))
        rewrite_manifest(checkpoint.path, without_facts=("layout",))


def test_a_checkpoint_of_the_first_layout_is_gone_on_from(tmp_path: Path) -> None:
    calm = make_task(tmp_path, recipe_of(TEXT, **HARD))
    output, _, calm_epochs = train(calm)
    task = stopped_task(tmp_path)
    as_of_first_layout(task)
    again, _, epochs = train(task)
    assert [(entry["epoch"], entry["step"]) for entry in again.facts["resumed"]] == [(2, 2)]
    assert digest_of(task, again) == digest_of(calm, output)
    # What no old checkpoint counted is not known of its epochs, nor of the one that it was in the middle of.
    known = [None, None, *(report.train_accuracy for report in calm_epochs[2:])]
    assert epochs == [
        replace(report, elapsed_s=again.elapsed_s, train_accuracy=accuracy)
        for report, again, accuracy in zip(calm_epochs, epochs, known, strict=True)
    ]


def as_of_layout(number: int, task: FoldTask) -> None:
    """Rewrite a task's checkpoints as versions left them that kept one epoch (4), knew no changes of threads (3), nor counted the rows that were
    right (2)."""
    assert task.checkpointing is not None
    for checkpoint in list_checkpoints(task.checkpointing.folder):
        state = json.loads((checkpoint.path / "state.json").read_text())
        as_of_fourth_layout(state["position"])
        if number < 4:
            del state["position"]["threads"]
        if number == 2:
            del state["position"]["n_right"]
            for report in state["position"]["epochs"]:
                del report["train_accuracy"]
        (checkpoint.path / "state.json").write_text(json.dumps(state | {"layout": number}))
        rewrite_manifest(checkpoint.path)


@pytest.mark.parametrize("number", [2, 3, 4])
def test_a_checkpoint_of_an_older_layout_is_gone_on_from(number: int, tmp_path: Path) -> None:
    calm = make_task(tmp_path, recipe_of(TEXT, **HARD))
    output, _, calm_epochs = train(calm)
    task = stopped_task(tmp_path)
    as_of_layout(number, task)
    again, _, epochs = train(task)
    assert [(entry["epoch"], entry["step"]) for entry in again.facts["resumed"]] == [(2, 2)]
    assert digest_of(task, again) == digest_of(calm, output)
    n_unknown = 2 if number == 2 else 0
    known = [None] * n_unknown + [report.train_accuracy for report in calm_epochs[n_unknown:]]
    assert [report.train_accuracy for report in epochs] == known


def test_a_checkpoint_of_the_first_layout_and_other_fingerprints_starts_the_fold_anew(tmp_path: Path) -> None:
    calm = make_task(tmp_path, recipe_of(TEXT, **HARD))
    output, _, _ = train(calm)
    task = stopped_task(tmp_path)
    as_of_first_layout(task)
    assert task.checkpointing is not None
    changed = Identity({**task.checkpointing.identity.facts, "contest": "a" * 64})
    task = replace(task, checkpointing=replace(task.checkpointing, identity=changed))
    again, _, _ = train(task)
    assert (again.facts["restarted_for"], again.facts["resumed"]) == ("contest", [])
    assert digest_of(task, again) == digest_of(calm, output)


def test_another_version_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import version

    task = stopped_task(tmp_path)
    monkeypatch.setattr("core.training.network.version", lambda name: "0.1" if name == "tokenizers" else version(name))
    with pytest.raises(AlignmentError) as caught:
        train(task)
    assert caught.value.why == f"tokenizers was {version('tokenizers')}, is 0.1"


def test_every_piece_of_the_state_that_is_missing_is_a_refusal_that_names_it(tmp_path: Path) -> None:
    task = stopped_task(tmp_path)
    newest = list_checkpoints(tmp_path / "checkpoints")[0].path
    whole = tmp_path / "whole"
    shutil.copytree(newest, whole)

    def refusal() -> PitwallError:
        shutil.rmtree(task.out_dir)
        task.out_dir.mkdir()
        with pytest.raises(CheckpointError) as caught:
            train(task)
        shutil.rmtree(newest)
        shutil.copytree(whole, newest)
        return caught.value

    for name in ("network", "optimizer", "average", "best"):
        file = f"{name}.safetensors"
        tensors = load_file(newest / file)
        gone = sorted(tensors)[len(tensors) // 2]
        save_file({key: value for key, value in tensors.items() if key != gone}, newest / file)
        rewrite_manifest(newest)
        assert f"{gone} of {name}" in refusal().what
    state = json.loads((whole / "state.json").read_text())
    for key in state["position"]:
        (newest / "state.json").write_text(
            json.dumps({**state, "position": {name: v for name, v in state["position"].items() if name != key}})
        )
        rewrite_manifest(newest)
        assert refusal().what == f"a checkpoint lacks position.{key}"
    for name in ("network", "optimizer", "average", "best"):
        left = {key: value for key, value in state["tensors"].items() if key != name}
        (newest / "state.json").write_text(json.dumps({**state, "tensors": left}))
        rewrite_manifest(newest)
        assert refusal().what == f"a checkpoint lacks the tensors of {name}"


def test_a_disk_that_is_full_is_raised_where_training_can_be_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.base.errors import DiskFull

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("core.training.state.save_file", full)
    with pytest.raises(DiskFull):
        train(make_task(tmp_path, recipe_of(TEXT), checkpointing=checkpointing_of(tmp_path / "checkpoints")))
    assert not list((tmp_path / "checkpoints").iterdir())


def test_a_halved_micro_batch_keeps_the_step(tmp_path: Path) -> None:
    recipe = recipe_of(TEXT, model={"dropout": 0.0}, train={"precision": "fp32"})
    whole, said, _ = train(make_task(tmp_path, recipe))
    halved = make_task(tmp_path, recipe, halvings=2)
    parts, said_halved, _ = train(halved)
    assert halved.micro_batch == 2
    assert [item.step for item in said_halved if item.phase == "training"] == [item.step for item in said if item.phase == "training"]
    # The transformer has no batch statistics and no dropout here: the same gradients, summed in another order.
    other, _, _ = train(make_task(tmp_path, recipe_of(recipe.to_dict(), train={"batch_size": 2})))
    assert np.abs(whole.valid_prob - parts.valid_prob).max() < 0.02 * np.abs(whole.valid_prob - other.valid_prob).max()
    assert parts.facts["micro_batch"] == 2
