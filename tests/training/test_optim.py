"""The optimiser decays what should decay, and the schedule goes up, then down."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from core.specs.recipe import OptimSettings
from core.training.schedule import lr_at
from core.training.setup import make_groups, make_optimizer, set_lr


class Small(nn.Module):
    """A network with a kernel, norms, biases, and a token its authors keep out of decay."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.token = nn.Parameter(torch.zeros(1, 1, 4))
        self.head = nn.Linear(4, 2)

    def no_weight_decay(self) -> set[str]:
        return {"token"}


def test_norms_biases_and_excluded_parameters_do_not_decay() -> None:
    model = Small()
    decayed, free = make_groups(model, 0.1)
    assert decayed["weight_decay"] == 0.1
    assert free["weight_decay"] == 0
    assert {id(p) for p in decayed["params"]} == {id(model.conv.weight), id(model.head.weight)}
    assert len(decayed["params"]) + len(free["params"]) == len(list(model.parameters()))


def test_frozen_parameters_are_left_to_themselves() -> None:
    model = Small()
    model.conv.weight.requires_grad_(False)
    assert len(make_groups(model, 0.1)[0]["params"]) == 1


def test_without_a_gradient_of_its_own_only_decay_moves_a_weight() -> None:
    model = Small()
    optimizer = make_optimizer(model, OptimSettings(lr=0.1, weight_decay=0.5))
    before = model.head.weight.detach().clone(), model.head.bias.detach().clone()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert torch.allclose(model.head.weight, before[0] * (1 - 0.1 * 0.5))
    assert torch.equal(model.head.bias, before[1])


@pytest.mark.parametrize("n_steps", [1, 2, 7, 100])
def test_the_schedule_rises_to_the_peak_once_and_ends_low(n_steps: int) -> None:
    settings = OptimSettings(lr=1e-3, warmup=0.2, min_lr_ratio=0.01)
    rates = [lr_at(step, n_steps, settings) for step in range(n_steps)]
    peak = rates.index(max(rates))
    assert max(rates) == pytest.approx(1e-3)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert all(rate > 0 for rate in rates)
    if n_steps > 2:
        assert rates[-1] == pytest.approx(1e-5)


def test_every_group_gets_its_share_of_the_rate() -> None:
    optimizer = make_optimizer(Small(), OptimSettings())
    set_lr(optimizer, 0.123)
    assert [group["lr"] for group in optimizer.param_groups] == [0.123, 0.123]
    optimizer.param_groups[1]["lr_scale"] = 0.5
    set_lr(optimizer, 0.2)
    assert [group["lr"] for group in optimizer.param_groups] == [0.2, 0.1]
