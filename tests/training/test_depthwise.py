"""Gradients of depthwise convolutions under bf16: those of fp32, of what was predicted in bf16."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from core.base.errors import AlignmentError
from core.training import setup
from core.training.depthwise import fp32_gradients
from tests.training.small_tasks import IMAGE, recipe_of, train
from tests.training.stopped import stopped_task


@pytest.mark.parametrize(("kernel", "stride"), [(5, 1), (3, 2)])
def test_the_gradients_of_a_depthwise_convolution_are_those_of_fp32(kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(32, 32, kernel, stride, kernel // 2, groups=32)
    half = copy.deepcopy(layer).bfloat16()
    layer.load_state_dict(half.state_dict())
    pixels = torch.randn(4, 32, 24, 24, dtype=torch.bfloat16)
    out = half(pixels)
    assert fp32_gradients(layer) == {"depthwise_gradients": "fp32"}

    def gradients(layer: nn.Module, pixels: torch.Tensor) -> list[torch.Tensor]:
        pixels.requires_grad_()
        return [found.bfloat16() for found in torch.autograd.grad(layer(pixels), (pixels, *layer.parameters()), out.to(pixels.dtype))]

    exact = gradients(layer, pixels.float())
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        found = gradients(half, pixels)
    calls = [event.name for event in seen.events() or ()]
    assert calls.count("aten::_to_copy") == 3 + 3  # gradient, pixels and weight into fp32, the three gradients into bf16
    assert torch.equal(half(pixels), out)
    assert all(torch.equal(*pair) for pair in zip(found, exact, strict=True))
    assert fp32_gradients(nn.Conv2d(32, 32, 3, groups=4)) == {}


@pytest.mark.slow
def test_a_fold_whose_gradients_were_computed_otherwise_is_not_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipe_of(IMAGE, model={"backbone": "test_efficientnet.r160_in1k"}, train={"precision": "bf16"})
    with monkeypatch.context() as patch:
        patch.setattr(setup, "fp32_gradients", lambda model: {})
        task = stopped_task(tmp_path, recipe)
    with pytest.raises(AlignmentError, match="depthwise_gradients changed"):
        train(task)
