"""One fold, from rows to probabilities: what it promises for images and texts alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from core.base.errors import InputError, RecipeError, WeightsError
from core.metrics.scores import all_scores
from core.specs.progress import Interrupted, Progress
from core.specs.recipe import Recipe
from core.training.precision import choose_precision
from tests.training.small_tasks import IMAGE, N_ROWS, N_TEST, TEXT, make_task, recipe_of, train

pytestmark = pytest.mark.slow  # networks and loader processes: minutes of processor time together


BOTH = pytest.mark.parametrize("recipe", [recipe_of(IMAGE), recipe_of(TEXT)], ids=["image", "text"])


@BOTH
def test_probabilities_are_whole_and_belong_to_the_best_epoch(recipe: Recipe, tmp_path: Path) -> None:
    task = make_task(tmp_path, recipe_of(recipe.to_dict(), train={"epochs": 3}))
    output, _, epochs = train(task)
    for prob, n in ((output.valid_prob, len(task.valid_idx)), (output.test_prob, N_TEST)):
        assert prob.shape == (n, 3)
        assert prob.dtype == np.float32
        assert np.abs(prob.sum(axis=1) - 1).max() < 1e-6
    best = min(epochs, key=lambda report: report.scores["log_loss"])
    assert (output.best_epoch, output.n_epochs) == (best.epoch, 3)
    assert output.scores == best.scores == all_scores(task.labels[task.valid_idx], output.valid_prob)


@BOTH
def test_it_learns(recipe: Recipe, tmp_path: Path) -> None:
    output, _, epochs = train(make_task(tmp_path, recipe_of(recipe.to_dict(), train={"epochs": 8}), metric="accuracy"))
    assert epochs[-1].train_loss < epochs[0].train_loss - 0.2
    assert output.scores["accuracy"] > 0.6


@BOTH
def test_it_says_where_it_is_at_every_step(recipe: Recipe, tmp_path: Path) -> None:
    _, said, epochs = train(make_task(tmp_path, recipe))
    steps = [(item.epoch, item.step, item.n_steps) for item in said if item.phase == "training"]
    assert steps == [(epoch, step, 4) for epoch in (1, 2) for step in (1, 2, 3, 4)]
    assert [report.epoch for report in epochs] == [1, 2]
    before = ["loading", "tokenizing"] if recipe.modality == "text" else ["loading"]
    assert list(dict.fromkeys(item.phase for item in said)) == [*before, "training", "validating", "predicting"]
    assert said[-1].eta_s == pytest.approx(0, abs=1e-6)
    assert all(item.pace_per_s and item.eta_s is not None for item in said if item.phase == "training" and item.epoch == 2)


@pytest.mark.parametrize("stop_in", ["loading", "training", "validating", "predicting"])
def test_it_stops_within_a_step_of_being_told(stop_in: str, tmp_path: Path) -> None:
    task = make_task(tmp_path, recipe_of(TEXT))
    heard: list[Progress] = []

    def report(item: object) -> None:
        if isinstance(item, Progress):
            heard.append(item)

    from core.training.fold import train_fold

    with pytest.raises(Interrupted):
        train_fold(task, report=report, should_stop=lambda: bool(heard) and heard[-1].phase == stop_in)
    assert [item.phase for item in heard].count(stop_in) == 1


def test_it_stops_early_when_nothing_gets_better(tmp_path: Path) -> None:
    recipe = recipe_of(TEXT, optim={"lr": 1e-30, "weight_decay": 0}, train={"epochs": 20, "patience": 2})
    output, said, _ = train(make_task(tmp_path, recipe))
    assert (output.best_epoch, output.n_epochs) == (1, 3)
    assert said[-1].eta_s == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("stops", [False, True])
def test_it_stops_on_a_sign_of_trouble_only_when_the_recipe_says_so(stops: bool, tmp_path: Path) -> None:
    # The validation rows have another truth than the training rows: the better it learns, the worse it is on them.
    labels = np.arange(N_ROWS) % 3
    is_valid = np.arange(N_ROWS) // 9 % 3 == 0
    labels = np.where(is_valid, (labels + 1) % 3, labels)
    output, said, epochs = train(make_task(tmp_path, recipe_of(TEXT, train={"epochs": 12, "stop_on_trouble": stops}), labels=labels))
    assert (output.n_epochs < 12) == stops == ("the validation loss rises" in output.facts["stopped_for"])
    assert len(epochs) == output.n_epochs and said[-1].eta_s == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("is_multilabel", [False, True])
def test_the_accuracy_of_training_rows_is_that_of_what_was_said_of_them(is_multilabel: bool, tmp_path: Path) -> None:
    # A network that hardly learns and drops nothing says the same of rows while it learns from them and when it is asked.
    still = recipe_of(TEXT, model={"dropout": 0.0}, optim={"lr": 1e-30, "weight_decay": 0})
    rows = np.arange(30)
    labels = (np.arange(N_ROWS)[:, None] % 2 == [0, 1, 1]).astype(np.int8) if is_multilabel else np.arange(N_ROWS) % 3
    task = make_task(tmp_path, still, labels=labels, is_multilabel=is_multilabel, train_idx=rows, valid_idx=rows)
    _, _, epochs = train(task)
    assert [report.train_accuracy for report in epochs] == [report.scores["accuracy"] for report in epochs]


def test_a_contest_without_test_rows_has_empty_test_predictions(tmp_path: Path) -> None:
    output, _, _ = train(make_task(tmp_path, recipe_of(TEXT), test_inputs=[]))
    assert output.test_prob.shape == (0, 3)


def test_the_facts_say_what_it_computed_with(tmp_path: Path) -> None:
    output, _, _ = train(make_task(tmp_path, recipe_of(TEXT, train={"epochs": 1, "precision": "fp32"})))
    assert output.facts["precision"] == "fp32"
    assert output.facts["weights"] == "from nothing"
    assert output.facts["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert output.facts["n_train"] == 30


def test_auto_is_bf16_only_where_the_processor_computes_in_it() -> None:
    abilities = torch.cpu.get_capabilities()
    native = any(abilities.get(flag) for flag in ("amx_bf16", "avx512_bf16", "bf16"))
    assert choose_precision("auto", torch.device("cpu")).name == ("bf16" if native else "fp32")
    asked = choose_precision("bf16", torch.device("cpu"))
    assert asked.name == "bf16"
    assert ("emulated" in asked.reason) == (not native)


def test_a_loss_that_is_not_a_number_ends_with_a_fix(tmp_path: Path) -> None:
    state = timm.create_model("test_resnet").state_dict()
    state["conv1.0.weight"] = torch.full_like(state["conv1.0.weight"], torch.nan)
    (tmp_path / "weights").mkdir()
    save_file(state, tmp_path / "weights" / "test_resnet.r160_in1k.safetensors")
    with pytest.raises(RecipeError, match="not a number") as caught:
        train(make_task(tmp_path, recipe_of(IMAGE, model={"pretrained": True})))
    assert caught.value.where == "fold 0, epoch 1, step 1"
    assert "optim.lr=0.0003" in caught.value.fix


def test_weights_in_the_workspace_are_used_and_named(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "weights" / "test_resnet.r160_in1k.safetensors")
    output, _, _ = train(make_task(tmp_path, recipe_of(IMAGE, model={"pretrained": True}, train={"epochs": 1})))
    assert output.facts["weights"] == "workspace: test_resnet.r160_in1k.safetensors"


def test_missing_weights_are_a_typed_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(WeightsError) as caught:
        train(make_task(tmp_path, recipe_of(TEXT, model={"backbone": "klue/roberta-base", "pretrained": True})))
    assert caught.value.where == "workspace; package; hub cache; hub"


def test_an_unreadable_image_is_named(tmp_path: Path) -> None:
    task = make_task(tmp_path, recipe_of(IMAGE))
    Path(task.inputs[1]).write_bytes(b"")
    with pytest.raises(InputError) as caught:
        train(task)
    assert caught.value.where == str(task.inputs[1])


def test_a_fold_without_rows_to_validate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no rows to validate"):
        train(make_task(tmp_path, recipe_of(TEXT), valid_idx=np.array([], dtype=np.int64)))


def test_a_device_that_is_not_here_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cuda:7"):
        train(make_task(tmp_path, recipe_of(TEXT), device="cuda:7"))


@pytest.mark.parametrize("settings", [{"batch_size": 1}, {"batch_size": 8, "accumulate": 8}], ids=["batch", "parts"])
def test_one_row_at_a_time_under_batch_normalisation_is_refused_with_what_to_set(settings: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="one row at a time") as caught:
        train(make_task(tmp_path, recipe_of(IMAGE, train={"epochs": 1, **settings})))
    assert caught.value.where == "train.batch_size" and f"train.batch_size={max(2, settings['batch_size'])}" in caught.value.fix


@pytest.mark.parametrize(
    "recipe",
    [
        recipe_of(IMAGE, train={"epochs": 1, "batch_size": 31}),
        recipe_of(IMAGE, train={"epochs": 1, "batch_size": 9, "accumulate": 2}),
        recipe_of(TEXT, train={"epochs": 1, "batch_size": 1}),
    ],
    ids=["one row left over", "one row left over in parts", "no batch normalisation"],
)
def test_a_row_that_is_left_over_is_no_batch_of_its_own(recipe: Recipe, tmp_path: Path) -> None:
    output, _, _ = train(make_task(tmp_path, recipe))
    assert np.isfinite(output.valid_prob).all()
