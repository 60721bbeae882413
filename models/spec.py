"""What a network is to be, and what every network here is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from models.catalog import Backbone


@dataclass(frozen=True)
class ModelSpec:
    """What to build. `input_px` belongs to images; `pooling`, `max_tokens` and `vocab_size` to texts.

    `vocab_size` is asked only for a network without a tokenizer of its own (library "builtin").
    """

    backbone: Backbone
    n_outputs: int
    weights_dir: Path
    pretrained: bool = True
    dropout: float = 0.0
    drop_path: float = 0.0
    input_px: int = 0
    pooling: Literal["cls", "mean"] = "mean"
    max_tokens: int = 0
    vocab_size: int = 0


class CannotBuild(ValueError):
    """The backbone exists but not with these settings; `what` says which, `fix` what to change: templates for `values`."""

    def __init__(self, what: str, fix: str, **values: object) -> None:
        super().__init__(what.format(**values))
        self.what, self.fix, self.values = what, fix, values


class Classifier(nn.Module):
    """What every network here is: `forward(batch)` takes a dict of tensors and gives logits (n, n_outputs).

    `weights_place` and `weights_source` say where its pretrained weights came from, "" when it starts from nothing.
    """

    weights_place: str = ""
    weights_source: str = ""

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        raise NotImplementedError
