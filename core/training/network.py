"""From a task to its network and its rows, and back to a network from what was saved of it: weights as safetensors, the rest as JSON, and
a manifest of both. Imports only the libraries of the modality."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from core.artefacts import verify, write_manifest
from core.base.errors import CheckpointError
from core.base.files import write_json
from core.data.batches import Rows
from core.data.image_cache import CachedImages
from core.data.texts import TextRows, WordEdits
from core.data.token_cache import Progress, tokens_of
from core.data.tokens import Cut, TokenLimits
from core.specs.data_settings import AugmentSettings
from core.specs.network import NETWORK_FILE, NetworkSpec, PrecisionName, read_network_spec
from core.specs.recipe import Recipe
from core.specs.training_settings import IN_TORCH
from core.training.loss import activation_of
from core.training.sampling import group_rows, repeated_places
from core.training.task import FoldTask, backbone_of
from models.build import build_model
from models.catalog import Backbone
from models.head import Pooling
from models.local import any_backbone
from models.lora import add_lora
from models.spec import Classifier, ModelSpec, Pixels
from models.text import COARSE_HEAD, TextClassifier
from models.weights import Weights

WEIGHTS_FILE = "weights.safetensors"
READ_OF_TEXTS = ("max_tokens", "truncation", "head_share", "windows", "overlap")
"""The input settings that a network of texts keeps."""
LIBRARIES = {"image": ("torch", "numpy", "timm", "torchvision", "pillow"), "text": ("torch", "numpy", "transformers", "tokenizers")}

MakeRows = Callable[[Sequence[str] | Sequence[Path], Sequence[str]], Rows]
"""Rows of texts or paths, and the sha256 of each file where they are known."""


def build_network(
    task: FoldTask, cached: CachedImages | None = None, tokenizing: Progress = lambda done, total: None
) -> tuple[Classifier, Rows, Rows]:
    """The network, the rows that have labels, and the test rows. Its tokenizer and configuration are left in the task's `network_dir`.

    Images that `cached` has are not read from their files; `tokenizing` hears of texts that have no tokens yet. Raises CheckpointError where the weights it is to start from are damaged or of another shape.
    """
    recipe = task.recipe
    spec, start = model_spec(task)
    task.network_dir.mkdir(parents=True, exist_ok=True)
    if recipe.modality == "image":
        model, rows = _image_network(
            spec,
            recipe.augment,
            recipe.train.seed,
            task.fold,
            task.white_level,
            recipe.first_epochs,
            short_px=recipe.input.short_px,
            cached=cached,
        )
    else:
        model, rows = _text_network(
            spec,
            recipe.input,
            [str(task.inputs[row]) for row in task.train_idx],
            keep=task.network_dir,
            seed=recipe.train.seed,
            fold=task.fold,
            cache_dir=task.cache_dir,
            tokenizing=tokenizing,
            augment=recipe.augment,
            edited_rows=edited_rows(task),
        )
    model.save_description(task.network_dir)
    if start is not None and task.start_dir is not None:
        load_weights(model, task.start_dir)
        model.weights_place, model.weights_source = "run", recipe.model.start_from
    if recipe.model.lora != "none":
        assert isinstance(model, TextClassifier)  # a setting of texts
        rank, alpha, dropout = recipe.model.lora_rank, recipe.model.lora_alpha, recipe.model.lora_dropout
        add_lora(model, rank=rank, alpha=alpha, dropout=dropout, layers=recipe.model.lora)
    if recipe.loss.coarse and not recipe.model.two_levels:
        assert isinstance(model, TextClassifier)  # only a recipe for texts names coarse classes
        model.add_coarse_head(len(set(recipe.loss.coarse)))
    if recipe.model.grad_checkpointing:
        model.checkpoint_gradients()
    if recipe.model.freeze:
        model.freeze(recipe.model.freeze)
    return model, rows(task.inputs, task.sha256), rows(task.test_inputs, task.test_sha256)


def model_spec(task: FoldTask) -> tuple[ModelSpec, NetworkSpec | None]:
    """What the network of a task is built from, and the trained network that it starts from, if any. Raises CheckpointError."""
    recipe, start, adapted = task.recipe, None, None
    if task.start_dir is not None:
        if verify(task.start_dir).kind == "network":
            start = read_network_spec(task.start_dir)
        else:
            adapted = Weights("pretraining", task.start_dir, recipe.model.start_from)
    spec = ModelSpec(
        backbone=backbone_of(recipe, task.weights_dir),
        n_outputs=len(task.classes),
        weights_dir=task.weights_dir,
        pretrained=adapted is not None or (recipe.model.pretrained and start is None),
        dropout=recipe.model.dropout,
        drop_path=recipe.model.drop_path,
        dropout_masks=recipe.model.dropout_masks,
        pooling=_pooling(recipe),
        layers=recipe.model.layers,
        coarse=_levels(recipe),
        is_separate=recipe.model.separate_levels,
        resized_by=start.resized_by if start is not None else "set_input_size",
        learns_words=recipe.model.lora == "none",
        base_dtype=recipe.model.base_dtype,
        saved=task.start_dir if start is not None else None,
        weights=adapted,
        pixels=Pixels(start.interpolation, start.mean, start.std) if start is not None and start.mean else None,
    )
    if recipe.modality == "image":
        return replace(spec, input_px=recipe.input.size_px, first_px=recipe.input.first_px), start
    return replace(spec, max_tokens=recipe.input.max_tokens, special_tokens=task.special_tokens), start


def describe_network(task: FoldTask, model: Classifier, precision: PrecisionName) -> NetworkSpec:
    """What has to be known to predict with the network of a task as it predicts at the end of its training."""
    recipe, backbone = task.recipe, backbone_of(task.recipe, task.weights_dir)
    pixels = model.pixels
    activation = activation_of(recipe, multilabel=task.is_multilabel)
    return NetworkSpec(
        modality=recipe.modality,
        labels="several" if task.is_multilabel else "one",
        classes=task.classes,
        fold=task.fold,
        seed=recipe.train.seed,
        one_vs_rest=activation.one_vs_rest,
        t2=activation.t2,
        views=recipe.predict.views,
        backbone=backbone.name,
        library=backbone.library,
        dropout=recipe.model.dropout,
        drop_path=recipe.model.drop_path,
        input_px=recipe.input.size_px if recipe.modality == "image" else 0,
        short_px=recipe.input.short_px,
        interpolation=pixels.interpolation if pixels else "",
        mean=pixels.mean if pixels else (),
        std=pixels.std if pixels else (),
        white_level=task.white_level,
        pooling=_pooling(recipe),
        layers=recipe.model.layers,
        coarse=_levels(recipe),
        is_separate=recipe.model.separate_levels,
        dtype=recipe.model.kept_dtype,
        resized_by=model.resized_by,
        **(recipe.input.model_dump(include={*READ_OF_TEXTS}) if recipe.modality == "text" else {}),
        by_length=recipe.train.group_by_length,
        compose=recipe.input.compose_settings,
        clean=recipe.clean,
        known_words=task.known_words,
        device=torch.device(task.device).type,
        precision=precision,
        threads=torch.get_num_threads(),
        micro_batch=task.micro_batch,
        versions=versions_of(recipe),
    )


def _pooling(recipe: Recipe) -> Pooling:
    """What the head reads, as networks name it; "" is a backbone's own pooling."""
    if recipe.modality == "text":
        return recipe.model.pooling
    return "" if recipe.model.global_pool == "own" else recipe.model.global_pool


def edited_rows(task: FoldTask) -> frozenset[int] | None:
    """The training rows whose words are changed; None are all."""
    if task.recipe.augment.word_rows == "all":
        return None
    train_idx = np.asarray(task.train_idx, dtype=np.int64)
    return frozenset(train_idx[repeated_places(group_rows(task.recipe.sampling, task.labels[train_idx]))].tolist())


def _levels(recipe: Recipe) -> tuple[int, ...]:
    """The coarse class of each class, where it is predicted first."""
    return recipe.loss.coarse_numbers if recipe.model.two_levels else ()


def restore_network(spec: NetworkSpec, saved: Path | None, weights_dir: Path) -> tuple[Classifier, MakeRows]:
    """A network as described, its weights drawn anew, and what makes rows for it.

    `saved` is the folder with its tokenizer and configuration; without one those of the pretrained backbone are searched for, as while
    training. Raises CannotBuild, WeightsUnreadable, WeightsNotFound.
    """
    tokens = spec.max_tokens
    backbone = Backbone(spec.backbone, spec.modality, spec.library, "", 0.0, spec.input_px, tokens, "", "", "", "")
    if saved is None and spec.modality == "text":  # its tokenizer is where its pretrained weights are
        backbone = any_backbone(spec.backbone, weights_dir)
    pixels = Pixels(spec.interpolation, spec.mean, spec.std) if spec.mean else None
    model_spec = ModelSpec(
        backbone=backbone,
        n_outputs=len(spec.classes),
        weights_dir=weights_dir,
        pretrained=False,
        dropout=spec.dropout,
        drop_path=spec.drop_path,
        input_px=spec.input_px,
        pooling=spec.pooling,
        layers=spec.layers,
        coarse=spec.coarse,
        is_separate=spec.is_separate,
        base_dtype=spec.dtype,
        resized_by=spec.resized_by,
        max_tokens=tokens,
        saved=saved,
        pixels=pixels,
    )
    if spec.modality == "image":
        return _image_network(model_spec, AugmentSettings(), spec.seed, spec.fold, spec.white_level, short_px=spec.short_px)
    return _text_network(model_spec, spec, [])


def versions_of(recipe: Recipe) -> dict[str, str]:
    """The versions of the libraries that a recipe is trained with: others compute other numbers."""
    own = () if recipe.optim.optimizer in IN_TORCH else ("timm",)
    lora = () if recipe.model.lora == "none" else ("peft",)
    return {name: version(name) for name in dict.fromkeys((*LIBRARIES[recipe.modality], *own, *lora))}


def _image_network(
    spec: ModelSpec,
    augment: AugmentSettings,
    seed: int,
    fold: int,
    white_level: float,
    first_epochs: int = 0,
    *,
    short_px: int,
    cached: CachedImages | None = None,
) -> tuple[Classifier, MakeRows]:
    from core.data.pixels import ImageRows

    model = build_model(spec)
    assert model.pixels is not None  # it reads images
    interpolation = model.pixels.interpolation

    def rows(inputs: Sequence[str] | Sequence[Path], sha256: Sequence[str]) -> ImageRows:
        paths = [Path(path) for path in inputs]
        return ImageRows(
            paths,
            augment,
            size_px=spec.input_px,
            interpolation=interpolation,
            seed=seed,
            fold=fold,
            sha256=sha256,
            white_level=white_level,
            first_px=spec.first_px,
            first_epochs=first_epochs,
            short_px=short_px,
            cached=cached,
        )

    return model, rows


def _text_network(
    spec: ModelSpec,
    limits: TokenLimits,
    train_texts: list[str],
    *,
    keep: Path | None = None,
    seed: int = 0,
    fold: int = 0,
    cache_dir: Path | None = None,
    tokenizing: Progress = lambda done, total: None,
    augment: AugmentSettings | None = None,
    edited_rows: frozenset[int] | None = None,
) -> tuple[Classifier, MakeRows]:
    from models.text import build_tokenizer

    tokenizer = build_tokenizer(spec, train_texts)
    if keep is not None:
        tokenizer.save(keep)
    model = build_model(replace(spec, vocab_size=tokenizer.vocab_size))

    def rows(inputs: Sequence[str] | Sequence[Path], _sha256: Sequence[str]) -> TextRows:
        texts = [str(text) for text in inputs]
        edits = WordEdits(texts, tokenizer, augment, edited_rows) if augment is not None and augment.edits_words else None
        tokens = tokens_of(texts, tokenizer, cache_dir, tokenizing)
        return TextRows(tokens, Cut.made(limits, *tokenizer.ends), pad_id=tokenizer.pad_id, seed=seed, fold=fold, edits=edits)

    return model, rows


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
    """Make an artefact of its own of a network: what it is and its weights, beside what its building left in the folder. A head for coarse
    classes, which only helped it learn, is left out."""
    save_weights({name: tensor for name, tensor in weights.items() if not name.startswith(COARSE_HEAD)}, folder)
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
