"""Techniques in a step against their formulas: perturbed weights, two dropout masks, mixed word embeddings, a head for coarse classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from core.base.errors import RecipeError
from core.data.batches import Batch
from core.data.mixing import mix_texts
from core.data.randomness import seed_mix, seed_step
from core.specs.data_settings import AugmentSettings
from core.specs.model_settings import LossSettings
from core.specs.recipe import Recipe
from core.training.loss import Activation, Objective, coarse_losses, disagreement
from core.training.network import WEIGHTS_FILE
from core.training.optim import set_lr
from core.training.predictor import load_network
from core.training.setup import Setup, set_up
from core.training.step import cut_micro_batches, train_step
from core.training.task import check_classes
from models.text import COARSE_HEAD, TextClassifier
from tests.training.small_tasks import IMAGE, TEXT, make_task, recipe_of, train

EXACT: dict[str, dict[str, Any]] = {"model": {"dropout": 0.0}, "optim": {"clip_norm": 0, "weight_decay": 0}, "train": {"precision": "fp32"}}
ROWS = np.arange(9, 17)
"""Rows of the training part of `make_task`."""


def step_of(folder: Path, recipe: Recipe) -> tuple[Setup, list[Tensor], dict[str, Tensor]]:
    """A step over ROWS at a learning rate of 0: what it was set up with, weights before it, and gradients that it left."""
    task = make_task(folder, recipe)
    setup = set_up(task)
    set_lr(setup.optimizer, 0)
    before = [parameter.detach().clone() for parameter in setup.model.parameters()]
    setup.model.train()
    parts = cut_micro_batches(task, ROWS)
    train_step(task, setup, parts, setup.loader.load(1, parts), 1, 1)
    gradients = {name: parameter.grad for name, parameter in setup.model.named_parameters() if parameter.grad is not None}
    return setup, before, gradients


def gradients_at(setup: Setup, moved: dict[str, Tensor]) -> dict[str, Tensor]:
    """The gradient of the plain loss over ROWS with some weights moved, by autograd alone."""
    weights = {name: parameter.detach() + moved.get(name, 0) for name, parameter in setup.model.named_parameters()}
    for weight in weights.values():
        weight.requires_grad_()
    batch = next(setup.loader.load(1, [ROWS]))
    logits = torch.func.functional_call(setup.model, weights, (batch,))
    loss = F.cross_entropy(logits, torch.from_numpy(ROWS % 3))
    return dict(zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True))


@pytest.mark.parametrize("accumulate", [1, 2], ids=["whole", "in two parts"])
def test_fgm_adds_the_gradient_at_moved_word_embeddings(accumulate: int, tmp_path: Path) -> None:
    recipe = recipe_of(
        TEXT, **{**EXACT, "train": {"precision": "fp32", "accumulate": accumulate}}, adversarial={"kind": "fgm", "epsilon": 0.7}
    )
    setup, before, found = step_of(tmp_path, recipe)
    plain, name = gradients_at(setup, {}), "encoder.tokens.weight"
    moved = gradients_at(setup, {name: 0.7 * plain[name] / plain[name].norm()})
    for path, gradient in found.items():
        torch.testing.assert_close(gradient, plain[path] + moved[path], atol=2e-6, rtol=1e-4)
    assert all(torch.equal(one, other) for one, other in zip(before, setup.model.parameters(), strict=True)), "bit by bit as they were"


@pytest.mark.parametrize("accumulate", [1, 2], ids=["whole", "in two parts"])
def test_awp_takes_the_gradient_at_moved_matrices(accumulate: int, tmp_path: Path) -> None:
    recipe = recipe_of(
        TEXT, **{**EXACT, "train": {"precision": "fp32", "accumulate": accumulate}}, adversarial={"kind": "awp", "gamma": 0.02}
    )
    setup, before, found = step_of(tmp_path, recipe)
    plain, weights = gradients_at(setup, {}), dict(setup.model.named_parameters())
    moves = {
        name: 0.02 * weights[name].detach().norm() * gradient / gradient.norm() for name, gradient in plain.items() if gradient.ndim > 1
    }
    moved = gradients_at(setup, moves)
    for path, gradient in found.items():
        torch.testing.assert_close(gradient, moved[path], atol=2e-6, rtol=1e-4)
    assert any((moved[path] - plain[path]).abs().max() > 1e-4 for path in found)
    assert all(torch.equal(one, other) for one, other in zip(before, setup.model.parameters(), strict=True)), "bit by bit as they were"


def test_before_its_first_epoch_a_step_is_plain(tmp_path: Path) -> None:
    recipe = recipe_of(TEXT, **EXACT, adversarial={"kind": "awp", "start_epoch": 2})
    setup, _, found = step_of(tmp_path, recipe)
    plain = gradients_at(setup, {})
    assert all(torch.allclose(gradient, plain[path], atol=1e-7) for path, gradient in found.items())
    assert [recipe.is_adversarial(epoch) for epoch in (1, 2)] == [False, True]


@pytest.mark.parametrize(
    ("base", "changes", "path"),
    [
        (IMAGE, {"adversarial": {"kind": "fgm"}}, "adversarial.kind=fgm"),
        (TEXT, {"adversarial": {"kind": "awp", "start_epoch": 3}}, "start_epoch = 3 of 2"),
        (TEXT, {"adversarial": {"kind": "fgm"}, "train": {"probe_epochs": 1}}, "from epoch 2"),
        (TEXT, {"loss": {"rdrop": 1, "kind": "bi_tempered"}}, "loss.rdrop"),
        (TEXT, {"loss": {"coarse": ("a", "a", "a")}}, "one coarse class only"),
        (IMAGE, {"loss": {"coarse": ("a", "b", "b")}}, "loss.coarse"),
        (TEXT, {"model": {"two_levels": True}}, "set loss.coarse"),
        (TEXT, {"model": {"two_levels": True, "backbone": "tfidf-svm"}, "loss": {"coarse": ("a", "b", "b")}}, "not for TF-IDF"),
        (IMAGE, {"model": {"two_levels": True}, "loss": {"coarse": ("a", "b", "b"), "kind": "bce"}}, "cross_entropy or focal"),
        (TEXT, {"model": {"separate_levels": True}}, "set both, or neither"),
    ],
    ids=[
        "images",
        "too late",
        "probe",
        "tempered",
        "one coarse class",
        "coarse images",
        "no coarse classes",
        "linear",
        "no softmax",
        "apart, one level",
    ],
)
def test_what_cannot_be_is_refused_by_the_recipe(base: dict[str, Any], changes: dict[str, Any], path: str) -> None:
    with pytest.raises(ValueError, match=path):
        recipe_of(base, **changes)


def test_fgm_needs_word_embeddings_that_learn(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="word embeddings") as problem:
        set_up(make_task(tmp_path, recipe_of(TEXT, adversarial={"kind": "fgm"}, model={"freeze": 1})))
    assert "model.freeze=0" in problem.value.fix
    set_up(make_task(tmp_path, recipe_of(TEXT, adversarial={"kind": "awp"}, model={"freeze": 1})))


# R-Drop


@pytest.mark.parametrize("activation", [Activation(), Activation(multilabel=True), Activation(one_vs_rest=True)], ids=str)
def test_disagreement_is_the_symmetric_divergence(activation: Activation) -> None:
    one, other = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0)).double()
    if activation == Activation():
        p, q = one.softmax(1), other.softmax(1)
    else:
        p, q = (torch.stack([logits.sigmoid(), (-logits).sigmoid()], dim=2) for logits in (one, other))
    divergence = (p * (p / q).log() + q * (q / p).log()) / 2
    expected = divergence.sum(1) if activation == Activation() else divergence.sum(2).mean(1)
    objective = Objective(LossSettings(), activation)
    torch.testing.assert_close(disagreement(one, other, objective), expected)
    assert not disagreement(one, one + (3 if activation == Activation() else 0), objective).any()


def test_rdrop_is_the_mean_loss_under_two_masks_and_alpha_times_their_disagreement(tmp_path: Path) -> None:
    task = make_task(tmp_path, recipe_of(TEXT, loss={"rdrop": 3.0}, train={"precision": "fp32"}))
    setup = set_up(task)
    setup.model.train()
    batch, classes = next(setup.loader.load(1, [ROWS])), torch.from_numpy(ROWS % 3)
    seed_step(0, 0, 1, 1, 0)
    one, other = setup.model(batch), setup.model(batch)
    assert not torch.equal(one, other)
    expected = (F.cross_entropy(one, classes) + F.cross_entropy(other, classes)) / 2 + 3 * disagreement(one, other, setup.objective).mean()
    found = train_step(task, setup, [ROWS], setup.loader.load(1, [ROWS]), 1, 1)
    assert found.objective == pytest.approx(expected.item(), rel=1e-5)
    assert found.log_loss == pytest.approx(F.cross_entropy(one, classes).item(), rel=1e-5)


# Mixed word embeddings


def texts_of(lengths: Sequence[int]) -> list[Batch]:
    """Batches of one text each."""
    return [
        {
            "input_ids": torch.arange(1, n + 1)[None] + 10 * row,
            "attention_mask": torch.ones(1, n, dtype=torch.int64),
            "row": torch.tensor([row]),
        }
        for row, n in enumerate(lengths)
    ]


def test_each_text_is_mixed_with_the_one_before_it_whatever_the_micro_batches(tmp_path: Path) -> None:
    settings, lengths = AugmentSettings(mixup=0.4), (3, 5, 2, 4)
    setup = set_up(make_task(tmp_path, recipe_of(TEXT)))
    model = setup.model
    assert isinstance(model, TextClassifier)

    def mixed(batches: Sequence[Batch]) -> tuple[list[Batch], Tensor]:
        seed_mix(0, 0, 1, 1)
        return mix_texts(batches, torch.eye(4), settings)

    alone, labels = mixed(texts_of(lengths))
    share = float(labels[0, 0])
    assert 0 < share < 1 and torch.allclose(labels, share * torch.eye(4) + (1 - share) * torch.eye(4).roll(1, 0))
    model.eval()
    logits = torch.cat([model(batch) for batch in alone])
    table = model.word_embeddings().weight
    for row, n in enumerate(lengths):
        own, other = (torch.zeros(max(lengths), table.shape[1]) for _ in range(2))
        own[:n] = table[torch.arange(1, n + 1) + 10 * row]
        before = (row - 1) % 4
        other[: lengths[before]] = table[torch.arange(1, lengths[before] + 1) + 10 * before]
        mask = (torch.arange(max(lengths)) < max(n, lengths[before])).long()[None]
        hidden = model.encoder(inputs_embeds=(share * own + (1 - share) * other)[None], attention_mask=mask).last_hidden_state
        expected = model.head((hidden * mask[..., None]).sum(1) / mask.sum())
        torch.testing.assert_close(logits[row : row + 1], expected, atol=1e-5, rtol=1e-5)

    def padded(rows: Sequence[int]) -> Batch:
        """A micro-batch as rows of texts make it, padded by another token than 0."""
        longest, found = max(lengths[row] for row in rows), [texts_of(lengths)[row] for row in rows]
        ids = torch.cat([F.pad(one["input_ids"], (0, longest - one["input_ids"].shape[1]), value=7) for one in found])
        mask = torch.cat([F.pad(one["attention_mask"], (0, longest - one["attention_mask"].shape[1])) for one in found])
        return {"input_ids": ids, "attention_mask": mask, "row": torch.tensor(list(rows))}

    for parts in ([[0, 1, 2, 3]], [[0, 1], [2, 3]], [[0], [1, 2, 3]]):
        batches, same = mixed([padded(rows) for rows in parts])
        assert torch.equal(same, labels)
        torch.testing.assert_close(torch.cat([model(batch) for batch in batches]), logits, atol=1e-5, rtol=1e-5)


# Coarse classes


@pytest.mark.parametrize("is_multilabel", [False, True])
def test_a_coarse_class_has_the_targets_of_its_classes_together(is_multilabel: bool) -> None:
    coarse, logits = torch.tensor([[1.0, 0], [0, 1], [0, 1]]), torch.tensor([[0.3, -1.2]])
    targets = torch.tensor([[0.0, 1, 1]]) if is_multilabel else torch.tensor([[0.5, 0.3, 0.2]])
    found = coarse_losses(logits, targets, coarse, multilabel=is_multilabel)
    log_prob = logits.log_softmax(1)[0]
    expected = (F.softplus(logits[0, 0]) + F.softplus(-logits[0, 1])) / 2 if is_multilabel else -(log_prob[0] + log_prob[1]) / 2
    torch.testing.assert_close(found, expected[None])


@pytest.mark.slow
def test_a_head_for_coarse_classes_teaches_the_network_and_is_not_kept(tmp_path: Path) -> None:
    task = make_task(tmp_path, recipe_of(TEXT, loss={"coarse": ("x", "y", "y"), "coarse_weight": 1.0}))
    output, _, _ = train(task)
    plain, _, _ = train(make_task(tmp_path, recipe_of(TEXT)))
    assert output.valid_prob.tobytes() != plain.valid_prob.tobytes()
    kept = load_file(task.network_dir / WEIGHTS_FILE)
    assert kept and not any(name.startswith(COARSE_HEAD) for name in kept)
    texts = [str(task.inputs[row]) for row in task.valid_idx]
    np.testing.assert_allclose(load_network(task.network_dir).predict(texts), output.valid_prob, atol=1e-6)
    start = replace(make_task(tmp_path, recipe_of(TEXT, loss={"coarse": ("x", "y", "y")})), start_dir=task.network_dir)
    assert np.isfinite(train(start)[0].valid_prob).all(), "a run with such a head starts from it"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("base", "separate"), [(TEXT, False), (IMAGE, False), (TEXT, True), (IMAGE, True)], ids=["text", "image", "texts apart", "images apart"]
)
def test_two_levels_train_to_probabilities_that_sum_to_one_and_are_predicted_again(
    base: dict[str, Any], separate: bool, tmp_path: Path
) -> None:
    two = {"two_levels": True, "separate_levels": separate}
    task = make_task(tmp_path, recipe_of(base, model=two, loss={"coarse": ("x", "y", "y")}, average={"ema": 0.9}))
    output, _, _ = train(task)
    np.testing.assert_allclose(output.valid_prob.sum(1), 1, atol=1e-5)
    network = load_network(task.network_dir)
    assert network.spec.coarse == (0, 1, 1)
    rows = [task.inputs[row] for row in task.valid_idx]
    np.testing.assert_allclose(network.predict(rows), output.valid_prob, atol=1e-5)  # pyright: ignore[reportArgumentType]


def test_rows_with_several_classes_have_no_two_levels() -> None:
    with pytest.raises(RecipeError, match="no single coarse class"):
        check_classes(recipe_of(TEXT, model={"two_levels": True}, loss={"coarse": ("x", "y")}), ("a", "b"), multilabel=True)


def test_there_is_a_coarse_class_for_each_class() -> None:
    recipe = recipe_of(TEXT, loss={"coarse": ("x", "y")})
    check_classes(recipe, ("a", "b"), multilabel=False)
    with pytest.raises(RecipeError, match=r"loss\.coarse has 2 values for 3 classes"):
        check_classes(recipe, ("a", "b", "c"), multilabel=False)


# What texts share with images


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"average": {"keep": "swa", "swa_start": 0.5}},
        {"average": {"keep": "best_mean", "best_k": 2, "monitor": "both"}},
        {"loss": {"kind": "focal", "class_weights": "given", "given_weights": (1, 2, 0.5), "smoothing": 0.1}},
        {"adversarial": {"kind": "awp"}, "loss": {"rdrop": 1.0}, "augment": {"mixup": 0.3}},
    ],
    ids=["swa", "mean of the best", "focal, alpha, smoothing", "awp, r-drop, mixup"],
)
def test_texts_train_with_averages_and_losses(changes: dict[str, Any], tmp_path: Path) -> None:
    output, _, epochs = train(make_task(tmp_path, recipe_of(TEXT, **changes, train={"epochs": 4})))
    plain, _, _ = train(make_task(tmp_path, recipe_of(TEXT, train={"epochs": 4})))
    assert np.isfinite(output.valid_prob).all() and len(epochs) == 4
    assert output.valid_prob.tobytes() != plain.valid_prob.tobytes()
