"""One doorway to every network: a spec goes in, a module with one forward() comes out, for image and text alike."""

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
    """The backbone exists but not with these settings; the message says which, `fix` what to change."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.fix = fix


class Classifier(nn.Module):
    """What every network here is: `forward(batch)` takes a dict of tensors and gives logits (n, n_outputs).

    `weights_place` and `weights_source` say where its pretrained weights came from, "" when it starts from nothing.
    """

    weights_place: str = ""
    weights_source: str = ""

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        raise NotImplementedError


def build_model(spec: ModelSpec) -> Classifier:
    """Build the network on the CPU in float32. What it draws at random comes from torch's generator, so seed that first.

    Raises WeightsNotFound when pretrained weights (or a text backbone's config) are nowhere, WeightsUnreadable when they are
    damaged, CannotBuild when the backbone does not take the settings. Only the library of the backbone is imported.
    """
    if spec.pretrained and not spec.backbone.has_pretrained:
        raise CannotBuild(f"{spec.backbone.name} has no pretrained weights", "set model.pretrained=false, or choose a pretrained backbone")
    if spec.backbone.modality == "image":
        from models.image import build_image_model

        return build_image_model(spec)
    from models.text import build_text_model

    return build_text_model(spec)
