"""What a device can do: which precision it really computes in, and how to be gentle with it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch

from core.base.errors import RecipeError


@dataclass(frozen=True)
class Precision:
    """`name` is "bf16" or "fp32"; `reason` says why, in one sentence, for the facts of a run."""

    name: Literal["bf16", "fp32"]
    reason: str

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """The context in which a forward pass runs."""
        if self.name == "bf16":
            return torch.autocast(device.type, dtype=torch.bfloat16)
        return nullcontext()


def open_device(name: str) -> torch.device:
    """Turn "cpu", "cuda:0" or "mps" into a device; RecipeError when this machine has none of that name."""
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as problem:
        reason = str(problem).splitlines()[0]
        raise RecipeError(
            f"the device '{name}' cannot be used", where="device", why=reason, fix="choose cpu, or install the driver of that device"
        ) from None
    return device


def choose_precision(asked: Literal["auto", "fp32", "bf16"], device: torch.device) -> Precision:
    """The precision a fold computes in. Auto never emulates: it takes bf16 only where the device has instructions for it."""
    native, reason = computes_in_bf16(device)
    if asked == "fp32":
        return Precision("fp32", "asked for")
    if asked == "bf16":
        if device.type == "mps":
            raise RecipeError("bf16 cannot be used here", where="train.precision", why=reason, fix="set train.precision=auto or fp32")
        return Precision("bf16", "asked for" if native else f"asked for; emulated, {reason}")
    return Precision("bf16" if native else "fp32", reason)


def computes_in_bf16(device: torch.device) -> tuple[bool, str]:
    """Whether the device multiplies in bf16 itself, and the sentence that says so."""
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return native, f"{torch.cuda.get_device_name(device)} {'computes' if native else 'does not compute'} in bf16"
    if device.type == "mps":
        return False, "bf16 autocast is not used on Apple's MPS"
    abilities = torch.cpu.get_capabilities()
    for flag in ("amx_bf16", "avx512_bf16", "bf16"):
        if abilities.get(flag):
            return True, f"this processor has {flag}"
    return False, "this processor has no bf16 instructions"
