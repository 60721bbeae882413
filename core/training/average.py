"""The exponential moving average of a network's weights, which is validated and kept in its place."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def make_average(model: nn.Module, decay: float) -> AveragedModel | None:
    """A copy of the network that follows it: after update t (from 0) with a decay of min(decay, (1 + t) / (10 + t)); None for 0.

    The warm-up lets a run of a few hundred steps forget its first weights. Buffers are averaged too, but for whole numbers.
    """
    if not decay:
        return None

    @torch.no_grad()
    def follow(averaged: tuple[Tensor, ...] | list[Tensor], current: tuple[Tensor, ...] | list[Tensor], count: Tensor | int) -> None:
        if not torch.is_floating_point(averaged[0]):
            for mine, its in zip(averaged, current, strict=True):
                mine.copy_(its)
            return
        n = int(count)
        get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))(averaged, current, n)

    return AveragedModel(model, multi_avg_fn=follow, use_buffers=True)
