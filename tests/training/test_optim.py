"""The optimiser decays what should decay, by any name learns and goes on from a checkpoint in the same bytes; layers have their own rates."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from timm.optim import param_groups_layer_decay
from torch import nn

from core.recipes.advice import usual_lr
from core.specs.training_settings import OptimizerName, OptimSettings
from core.training.checkpoint import Checkpointing, Identity
from core.training.optim import clip_gradients, make_groups, make_optimizer, set_lr
from core.training.state import TrainPosition, TrainState, write_checkpoint
from models.build import build_model
from models.catalog import find_backbone
from models.image import ImageClassifier
from models.spec import ModelSpec

BY_NAME = pytest.mark.parametrize("name", get_args(OptimizerName))


class Small(nn.Module):
    """A network with a kernel, norms, biases, a hidden layer, and a token its authors keep out of decay."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.hidden = nn.Linear(8, 16)
        self.head = nn.Linear(16, 2)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.head(self.hidden(self.norm(self.conv(pixels)).relu().mean((2, 3)) + self.token[0]).relu())

    def no_weight_decay(self) -> set[str]:
        return {"token"}

    def depths(self) -> dict[str, int]:
        places = {"conv": 0, "norm": 0, "token": 0, "hidden": 1, "head": 2}
        return {name: places[name.partition(".")[0]] for name, _ in self.named_parameters()}


def test_norms_biases_and_excluded_parameters_do_not_decay() -> None:
    model = Small()
    decayed, free = make_groups(model, OptimSettings(weight_decay=0.1))
    assert (decayed["weight_decay"], decayed["lr_scale"]) == (0.1, 1)
    assert (free["weight_decay"], free["lr_scale"]) == (0, 1)
    assert {id(p) for p in decayed["params"]} == {id(layer.weight) for layer in (model.conv, model.hidden, model.head)}
    assert len(decayed["params"]) + len(free["params"]) == len(list(model.parameters()))


def test_frozen_parameters_are_left_to_themselves() -> None:
    model = Small()
    model.conv.weight.requires_grad_(False)
    assert len(make_groups(model, OptimSettings())[0]["params"]) == 2


def test_without_a_gradient_of_its_own_only_decay_moves_a_weight() -> None:
    model = Small()
    optimizer = make_optimizer(model, OptimSettings(lr=0.1, weight_decay=0.5))
    before = model.head.weight.detach().clone(), model.head.bias.detach().clone()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert torch.allclose(model.head.weight, before[0] * (1 - 0.1 * 0.5))
    assert torch.equal(model.head.bias, before[1])


@pytest.mark.parametrize("backbone", ["test_vit.r160_in1k", "test_convnext.r160_in1k", "test_efficientnet.r160_in1k"])
def test_layers_have_the_rates_that_timm_gives_them(backbone: str, tmp_path: Path) -> None:
    model = build_model(ModelSpec(find_backbone(backbone), n_outputs=3, weights_dir=tmp_path, pretrained=False, input_px=160))
    assert isinstance(model, ImageClassifier)
    groups = make_groups(model, OptimSettings(weight_decay=0.1, layer_decay=0.7))
    ours = {id(parameter): (group["lr_scale"], group["weight_decay"]) for group in groups for parameter in group["params"]}
    network: Any = model.network
    no_decay = network.no_weight_decay() if hasattr(network, "no_weight_decay") else ()
    theirs = {
        id(parameter): (group["lr_scale"], group["weight_decay"])
        for group in param_groups_layer_decay(network, 0.1, no_weight_decay_list=no_decay, layer_decay=0.7)  # pyright: ignore[reportArgumentType]
        for parameter in group["params"]
    }
    assert ours.keys() == theirs.keys()
    assert all(ours[key] == pytest.approx(theirs[key]) for key in ours)
    assert max(scale for scale, _ in ours.values()) == 1 and len({scale for scale, _ in ours.values()}) > 3


def test_muon_turns_hidden_matrices_only() -> None:
    model = Small()
    optimizer, decayed = (
        make_optimizer(model, OptimSettings(optimizer="muon")),
        {id(layer.weight) for layer in (model.conv, model.hidden, model.head)},
    )
    by_muon = {id(p) for group in optimizer.param_groups if not group["use_fallback"] for p in group["params"]}
    assert by_muon == {id(model.hidden.weight)}
    assert {id(p) for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]} == decayed


def fit(state: TrainState, rate: float, n_steps: int) -> float:
    """The loss after steps on one batch whose classes differ in brightness; the state counts them."""
    pixels = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(1)) + 3 * (torch.arange(16)[:, None, None, None] % 2)
    loss = torch.zeros(())
    for _ in range(n_steps):
        state.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(state.model(pixels), torch.arange(16) % 2)
        loss.backward()
        set_lr(state.optimizer, rate)
        state.optimizer.step()
        state.position.step += 1
    return float(loss.detach())


def begun(settings: OptimSettings, seed: int) -> TrainState:
    torch.manual_seed(seed)
    model = Small().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # torch's stub misses this overload
    return TrainState(model, make_optimizer(model, settings), None, TrainPosition())


@BY_NAME
def test_it_learns_a_batch_at_its_usual_rate_and_goes_on_in_the_same_bytes(name: OptimizerName, tmp_path: Path) -> None:
    rate = usual_lr(find_backbone("resnet10t.c3_in1k"), pretrained=False, optimizer=name)
    settings = OptimSettings(optimizer=name, lr=rate, layer_decay=0.9, weight_decay=1e-3)
    calm = begun(settings, seed=0)
    fit(calm, rate, 7)
    kept = write_checkpoint(Checkpointing(tmp_path, Identity({}), 1), calm.snapshot())
    assert fit(calm, rate, 150) < 0.3
    resumed = begun(settings, seed=9)
    resumed.restore(kept)
    fit(resumed, rate, 150)
    ended, again = calm.snapshot(), resumed.snapshot()
    assert ended.position == again.position and ended.files.keys() == again.files.keys()
    for file, tensors in ended.files.items():
        assert tensors.keys() == again.files[file].keys()
        assert [key for key, tensor in tensors.items() if not torch.equal(tensor, again.files[file][key])] == []


def test_every_group_gets_its_share_of_the_rate() -> None:
    optimizer = make_optimizer(Small(), OptimSettings(layer_decay=0.5))
    set_lr(optimizer, 0.2)
    assert [group["lr"] for group in optimizer.param_groups] == [0.2, 0.2, 0.1, 0.1, 0.05, 0.05]


@pytest.mark.parametrize("size", [0.0, 1e-3, 0.5, 1.0, 1e3, float("nan"), float("inf")])
def test_clipping_is_torchs_byte_by_byte(size: float) -> None:
    mine, its = (nn.Linear(1, 1) for _ in range(2))
    for layer in (mine, its):
        layer.weight.grad, layer.bias.grad = torch.full((1, 1), size), torch.zeros(1)
    clip_gradients(mine, 1.0)
    nn.utils.clip_grad_norm_(its.parameters(), 1.0)
    found = [parameter.grad for layer in (mine, its) for parameter in layer.parameters()]
    assert all(
        a is not None and b is not None and torch.equal(a.view(torch.int32), b.view(torch.int32))
        for a, b in zip(found[:2], found[2:], strict=True)
    )
