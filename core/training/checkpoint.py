"""The best weights of a fold on disk, as safetensors; written aside and renamed, so a file that is there is whole."""

from __future__ import annotations

import os
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from core.errors import CheckpointError

WEIGHTS_FILE = "weights.safetensors"


def save_weights(model: nn.Module, folder: Path) -> Path:
    """Write the network's parameters and buffers, float32 and contiguous, to `folder`."""
    path = folder / WEIGHTS_FILE
    aside = path.with_suffix(".tmp")
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}, aside)
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
