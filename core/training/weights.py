"""The best weights of a fold on disk, as safetensors; written aside and renamed, so a file that is there is whole."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from core.base.errors import CheckpointError

WEIGHTS_FILE = "weights.safetensors"


def copy_weights(model: nn.Module) -> dict[str, Tensor]:
    """The network's parameters and buffers as they are now: copies on the CPU, contiguous, sharing nothing."""
    return {
        name: tensor.detach().to("cpu", memory_format=torch.contiguous_format, copy=True) for name, tensor in model.state_dict().items()
    }


def save_weights(weights: Mapping[str, Tensor], folder: Path) -> Path:
    """Write weights of `copy_weights` to `folder`."""
    path = folder / WEIGHTS_FILE
    aside = path.with_suffix(".tmp")
    save_file(dict(weights), aside)
    os.replace(aside, path)
    return path


def load_weights(model: nn.Module, folder: Path) -> None:
    """Read them back into a network of the same shape; CheckpointError when the file is damaged or belongs to another."""
    path = folder / WEIGHTS_FILE
    try:
        model.load_state_dict(load_file(path), strict=True)
    except (OSError, SafetensorError, RuntimeError) as problem:
        reason = " ".join(str(problem).split())[:300]
        raise CheckpointError("weights cannot be loaded", where=str(path), why=reason, fix="train this fold again") from None
