"""One fold of one run as training sees it: what goes in, whether its backbone can be trained, and what comes out. Imports no torch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.base.errors import RecipeError
from core.base.files import pip_command, shell_name, shown_path
from core.base.messages import msg
from core.specs.network import NETWORKS_DIR
from core.specs.recipe import Recipe
from core.training.checkpoint import Checkpointing
from models.catalog import Backbone, UnknownBackbone
from models.local import NoBackbone, any_backbone
from models.weights import Miss

PEFT = "peft>=0.21,<1"
"""What pip installs for LoRA."""


@dataclass(frozen=True)
class FoldTask:
    """One fold of one run.

    `inputs` are texts, or paths of image files, of all training rows; `labels` is their truth: the class (n,), or where the contest
    says that a row may have several (`is_multilabel`), 0 or 1 for each class (n, K). Epochs are scored on it. `targets` (n, K)
    float32 are what is learned where that is not the truth (soft labels), and `row_weights` (n,) how much each row counts.

    `train_idx` and `valid_idx` are row numbers into them. `metric` decides which epoch is best. `out_dir` must exist and be empty.
    Images whose `sha256` and `test_sha256` are given are refused when they have changed; `white_level` is that of `open_image`.

    Where the recipe reduces images, those reduced are kept in `cache_dir`; without it they are made anew in every epoch.

    Texts are composed and cleaned. `special_tokens` are words of theirs that a tokenizer must not cut; `known_words` are those that the
    cleaning has kept, where it leaves out rare ones.

    `start_dir` holds a trained network of the same backbone whose weights, head included, are the first ones; or the artefact of a
    pretraining, whose encoder they are, under a fresh head.

    With `checkpointing` the fold leaves checkpoints and goes on from the newest. `halvings` of the micro-batch were needed so far
    because memory ran out: each doubles the parts in which a step is computed.
    """

    recipe: Recipe
    metric: str
    classes: tuple[str, ...]
    inputs: Sequence[str] | Sequence[Path]
    labels: NDArray[np.integer]
    train_idx: NDArray[np.int64]
    valid_idx: NDArray[np.int64]
    test_inputs: Sequence[str] | Sequence[Path]
    fold: int
    weights_dir: Path
    out_dir: Path
    device: str = "cpu"
    cache_dir: Path | None = None
    start_dir: Path | None = None
    checkpointing: Checkpointing | None = None
    halvings: int = 0
    sha256: Sequence[str] = ()
    test_sha256: Sequence[str] = ()
    is_multilabel: bool = False
    white_level: float = 0.0
    targets: NDArray[np.float32] | None = None
    row_weights: NDArray[np.float32] | None = None
    special_tokens: tuple[str, ...] = ()
    known_words: tuple[str, ...] = ()

    @property
    def network_dir(self) -> Path:
        """Where the network is left."""
        return self.out_dir / NETWORKS_DIR / "main"

    @property
    def micro_batch(self) -> int:
        """The most rows that are computed at once."""
        return self.recipe.train.micro_batch(self.halvings)


@dataclass(frozen=True)
class FoldOutput:
    """Probabilities in the order of `valid_idx` (n_valid, K) and `test_inputs` (n_test, K), and what is worth knowing.

    `scores` holds every metric on the validation rows; `n_epochs` counts the epochs that ran, `best_epoch` is the best of those
    whose weights are kept.
    `elapsed_s` are the seconds of all attempts of which something was kept.
    """

    valid_prob: NDArray[np.float32]
    test_prob: NDArray[np.float32]
    best_epoch: int
    n_epochs: int
    scores: dict[str, float]
    elapsed_s: float
    facts: dict[str, Any]


def check_classes(recipe: Recipe, classes: Sequence[str], *, multilabel: bool) -> None:
    """Raise RecipeError where a recipe does not fit the classes of a contest: something for other classes, or a sampler of rows with one."""
    loss = recipe.loss
    for path, given in (
        ("loss.given_weights", loss.given_weights),
        ("loss.coarse", loss.coarse),
        ("sampling.counts", recipe.sampling.counts),
    ):
        if given and len(given) != len(classes):
            raise RecipeError(
                "{path} has {n} {n:value|values} for {n_classes} classes",
                where=path,
                fix="give one for each class, in this order: {classes}",
                path=path,
                n=len(given),
                n_classes=len(classes),
                classes=", ".join(classes),
            )
    if multilabel and recipe.model.two_levels:
        raise RecipeError(
            "rows with several classes have no single coarse class",
            where="model.two_levels",
            why="the probabilities of a row's classes do not sum to one there",
            fix="set model.two_levels=false",
        )
    if multilabel and recipe.sampling.kind in ("balanced", "square_root", "counts"):
        raise RecipeError(
            "rows with several classes cannot be sampled by one",
            where="sampling.kind",
            why="a row counts for all of its classes at once",
            fix="set sampling.kind=repeat_factor, which goes by the rarest class of a row",
        )


def backbone_of(recipe: Recipe, weights_dir: Path) -> Backbone:
    """The backbone that a recipe names, of the catalogue or found on this machine. Raises RecipeError: unknown (with close names), no network of texts, for the other modality, without
    pretrained weights that are asked for, with fewer layers than are frozen, too short for the texts, or nothing for LoRA; or peft is missing."""
    name = recipe.model.backbone
    try:
        backbone = any_backbone(name, weights_dir)
    except UnknownBackbone as problem:
        raise RecipeError(
            "no backbone named '{name}'",
            where="model.backbone",
            why="neither the catalogue nor weights/ nor the cache of the hub has it",
            fix="did you mean {names}? Else `python -m core backbone add {quoted}`"
            if problem.close
            else "`python -m core backbone add {quoted}`, or search the catalogue on the Train page",
            name=problem.name,
            names=" or ".join(problem.close),
            quoted=shell_name(name),
        ) from None
    except NoBackbone as problem:
        raise no_backbone(name, problem) from None
    if backbone.modality != recipe.modality:
        raise RecipeError(
            "{backbone} reads images" if backbone.modality == "image" else "{backbone} reads texts",
            where="model.backbone",
            why="the contest's rows are images" if recipe.modality == "image" else "the contest's rows are texts",
            fix="choose a backbone for images" if recipe.modality == "image" else "choose a backbone for texts",
            backbone=backbone.name,
        )
    if recipe.model.pretrained and not backbone.has_pretrained:
        raise RecipeError(
            "{backbone} has no pretrained weights",
            where="model.pretrained",
            why="it always starts from nothing",
            fix="set model.pretrained=false",
            backbone=backbone.name,
        )
    if recipe.model.lora != "none":
        _check_lora(backbone)
    if recipe.model.freeze >= backbone.n_groups:
        raise RecipeError(
            "this network has {n} groups of layers, its head included",
            where="model.freeze",
            why="{asked} are to stay as they are, so that none would learn",
            fix="set model.freeze={last} or less",
            n=backbone.n_groups,
            asked=recipe.model.freeze,
            last=backbone.n_groups - 1,
        )
    if recipe.modality == "text" and recipe.input.max_tokens > (backbone.max_tokens or math.inf):
        raise RecipeError(
            "{backbone} reads at most {n} tokens",
            where="input.max_tokens",
            why=msg("{n} are asked for", n=recipe.input.max_tokens),
            fix="set input.max_tokens={n} or less",
            backbone=backbone.name,
            n=backbone.max_tokens,
        )
    return backbone


def no_backbone(name: str, problem: NoBackbone) -> RecipeError:
    """The error of a folder that is no text backbone."""
    return RecipeError(
        "{name} is no text backbone",
        where="{folder}",
        why=msg(problem.why, **problem.values),
        fix="put in its folder what transformers saves of an encoder or a decoder, or choose another backbone",
        name=name,
        folder=shown_path(problem.folder),
    )


def miss_text(miss: Miss) -> str:
    """Where pretrained weights were looked for, and what was not there."""
    lacks = msg(miss.lacks, files=miss.files)
    return msg("{place} ({where}): {lacks}" if miss.where else "{place}: {lacks}", place=miss.place, where=miss.where, lacks=lacks)


def _check_lora(backbone: Backbone) -> None:
    if backbone.library != "transformers":
        raise RecipeError(
            "{backbone} cannot be trained with LoRA",
            where="model.lora",
            why="it is for networks of transformers",
            fix="set model.lora=none, or choose another backbone",
            backbone=backbone.name,
        )
    if find_spec("peft") is None:
        raise RecipeError(
            "{names} is not installed",
            where="model.lora",
            why="LoRA is computed by it",
            fix="{command} — or set model.lora=none",
            names="peft",
            command=pip_command(PEFT),
        )
