"""A trained network on disk: its weights as safetensors, what it is as JSON, and a manifest of both."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from core.artefacts import write_manifest
from core.base.errors import CheckpointError
from core.base.files import write_json
from core.specs.network import NETWORK_FILE, NetworkSpec

WEIGHTS_FILE = "weights.safetensors"


def copy_weights(model: nn.Module) -> dict[str, Tensor]:
    """The network's parameters and buffers as they are now: copies on the CPU, contiguous, sharing nothing."""
    return {
        name: tensor.detach().to("cpu", memory_format=torch.contiguous_format, copy=True) for name, tensor in model.state_dict().items()
    }


def save_weights(weights: Mapping[str, Tensor], folder: Path) -> Path:
    """Write weights of `copy_weights` to `folder`: aside, and renamed, so that a file that is there is whole."""
    path = folder / WEIGHTS_FILE
    aside = path.with_suffix(".tmp")
    save_file(dict(weights), aside)
    os.replace(aside, path)
    return path


def save_network(folder: Path, spec: NetworkSpec, weights: Mapping[str, Tensor]) -> None:
    """Make an artefact of its own of a network: what it is and its weights, beside what its building left in the folder."""
    save_weights(weights, folder)
    write_json(folder / NETWORK_FILE, spec.to_dict())
    write_manifest(folder, kind="network")


def load_weights(model: nn.Module, folder: Path) -> None:
    """Read them back into a network of the same shape; CheckpointError when the file is damaged or belongs to another."""
    path = folder / WEIGHTS_FILE
    try:
        model.load_state_dict(load_file(path), strict=True)
    except (OSError, SafetensorError, RuntimeError) as problem:
        reason = " ".join(str(problem).split())[:300]
        raise CheckpointError("weights cannot be loaded", where=str(path), why=reason, fix="train this fold again") from None
