"""Parameter groups and the optimiser over them: what decays, what learns at a smaller rate, what Muon leaves to AdamW, and clipping."""

from typing import Any

import torch
from torch import nn

from core.specs.training_settings import OptimSettings

MOMENTUM = 0.9
CLIP_EPS = 1e-6
"""What torch adds to a norm before it divides by it."""
IN_TIMM: dict[str, tuple[str, dict[str, Any]]] = {
    "nadamw": ("nadamw", {}),
    "adopt": ("adoptw", {}),
    "muon": ("nmuon", {"momentum": 0.95}),
    "lion": ("lion", {}),
    "lamb": ("lamb", {"max_grad_norm": None}),
}
"""What timm's registry calls an optimiser, with what differs from its defaults: decay is decoupled but in LAMB, where it is a part of the
trust ratio; Muon has the Nesterov momentum of its author; LAMB does not clip by itself, `optim.clip_norm` does."""


def make_groups(model: nn.Module, settings: OptimSettings) -> list[dict[str, Any]]:
    """Parameter groups, the deepest layers first: matrices and kernels decay; vectors (norms, biases) and what the network excludes do not.

    `lr_scale` of a group is its share of the schedule's learning rate (as in timm): `layer_decay` to the power of the layers between it and
    the head, by the network's `depths()` (ELECTRA, Clark et al. 2020; BEiT, Bao et al. 2022). Muon is for hidden matrices: it leaves the first
    layer, the head and vectors to AdamW (`use_fallback`), as its author does.
    """
    excluded: set[str] = getattr(model, "no_weight_decay", set)()
    has_layers, is_muon = settings.layer_decay < 1, settings.optimizer == "muon"
    depths: dict[str, int] = model.depths() if has_layers or is_muon else {}  # pyright: ignore[reportCallIssue]
    last = max(depths.values(), default=0)
    found: dict[tuple[int, bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_free = parameter.ndim <= 1 or name in excluded
            n_above = last - depths[name] if has_layers else 0
            found.setdefault((n_above, is_free, is_muon and depths[name] in (0, last)), []).append(parameter)
    return [
        {
            "params": found[key],
            "weight_decay": 0.0 if key[1] else settings.weight_decay,
            "lr_scale": settings.layer_decay ** key[0],
            **({"use_fallback": key[1] or key[2]} if is_muon else {}),
        }
        for key in sorted(found)
    ]


def make_optimizer(model: nn.Module, settings: OptimSettings) -> torch.optim.Optimizer:
    """The optimiser that a recipe names, over `make_groups`. Those of torch work in one fused kernel: AdamW (Loshchilov and Hutter 2019), seven
    times faster so on a processor, and SGD with Nesterov momentum; the others are timm's."""
    groups = make_groups(model, settings)
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=settings.lr, fused=True)
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=settings.lr, momentum=MOMENTUM, nesterov=True, fused=True)
    from timm.optim._optim_factory import create_optimizer_v2

    name, options = IN_TIMM[settings.optimizer]
    return create_optimizer_v2(groups, name, lr=settings.lr, **options)


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every group its share of the learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_scale"]


def clip_gradients(model: nn.Module, most: float) -> None:
    """`clip_grad_norm_`, byte by byte; on the processor gradients of a smaller norm are left alone and not multiplied by 1."""
    norm = torch.nn.utils.get_total_norm([parameter.grad for parameter in model.parameters() if parameter.grad is not None])
    if norm.device.type != "cpu" or not most / (norm + CLIP_EPS) >= 1:
        torch.nn.utils.clip_grads_with_norm_(model.parameters(), most, norm)
