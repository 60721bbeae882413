"""In which precision a fold computes on its device, and what keeps gradients of fp16 from vanishing."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch.amp.grad_scaler import GradScaler

from core.base.errors import RecipeError
from core.base.messages import msg
from core.specs.network import PrecisionName

HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
LEAST_SCALE = 1.0
"""Gradients that are not finite at this scale are not so because of it."""


@dataclass(frozen=True)
class Precision:
    """`reason` says why it is this one, in one sentence, for the facts of a run."""

    name: PrecisionName
    reason: str

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        return nullcontext() if self.name == "fp32" else torch.autocast(device.type, dtype=HALF[self.name])

    def scaler(self, device: torch.device) -> GradScaler:
        """What multiplies the loss while its gradients are computed (Micikevicius et al. 2018, arXiv 1710.03740), since fp16 knows nothing below
        6e-8; it halves where that makes one infinite, whose step is left out, and doubles after 2,000 good steps. Only fp16 needs it: it does nothing for others."""
        return GradScaler(device.type, enabled=self.name == "fp16")


def choose_precision(asked: Literal["auto", "fp32", "bf16", "fp16"], device: torch.device) -> Precision:
    """The precision a fold computes in. Auto never emulates: it takes bf16 only where the device has instructions for it.

    Raises RecipeError for one in which the device does not compute.
    """
    native, reason = computes_in_bf16(device)
    if asked == "fp32":
        return Precision("fp32", "asked for")
    if asked == "bf16":
        if device.type == "mps":
            raise _unusable("bf16", reason)
        return Precision("bf16", "asked for" if native else msg("asked for; emulated, {reason}", reason=reason))
    if asked == "fp16":
        if (missing := _lacks_fp16(device)) is not None:
            raise _unusable("fp16", missing)
        return Precision("fp16", "asked for")
    return Precision("bf16" if native else "fp32", reason)


def computes_in_bf16(device: torch.device) -> tuple[bool, str]:
    """Whether the device multiplies in bf16 itself, and the sentence that says so."""
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return native, msg(
            "{device} computes in bf16"
            if native
            else "{device} does not compute in bf16; train.precision=fp16 is usually faster there than fp32",
            device=torch.cuda.get_device_name(device),
        )
    if device.type == "mps":
        return False, "bf16 autocast is not used on Apple's MPS"
    abilities = torch.cpu.get_capabilities()
    for flag in ("amx_bf16", "avx512_bf16", "bf16"):
        if abilities.get(flag):
            return True, msg("this processor has {flag}", flag=flag)
    return False, "this processor has no bf16 instructions"


def _lacks_fp16(device: torch.device) -> str | None:
    """Why a device does not compute in fp16; None where it does, as every CUDA device."""
    if device.type == "cuda":
        return None
    if device.type == "mps":
        return "fp16 autocast is not used on Apple's MPS"
    abilities = torch.cpu.get_capabilities()
    return None if any(map(abilities.get, ("amx_fp16", "avx512_fp16"))) else "this processor has no fp16 instructions"


def _unusable(name: PrecisionName, why: str) -> RecipeError:
    return RecipeError(
        "{precision} cannot be used here", where="train.precision", why=why, fix="set train.precision=auto or fp32", precision=name
    )
