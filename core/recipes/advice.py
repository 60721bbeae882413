"""What fits a backbone, a machine and some rows: the recipe to start from, what a new backbone brings, and which settings make no sense."""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from core.base.messages import msg
from core.contest.table import ContestTable
from core.recipes.fit import LEAST_EPOCHS, fit_in_time, usual_row_s
from core.recipes.plan import Listed, load_preset
from core.specs.recipe import Recipe
from core.specs.training_settings import OptimizerName
from core.training.schedule import EpochPlan
from core.training.task import backbone_of
from models.catalog import Backbone, find_backbone

FINE_TUNED = {"image": ((10, 1e-3), (40, 3e-4), (150, 1e-4), (math.inf, 5e-5)), "text": ((30, 3e-4), (150, 3e-5), (math.inf, 1e-5))}
FROM_SCRATCH = {"image": 3e-3, "text": 2e-3}
"""Peak learning rates of AdamW at batches of about 32: by millions of parameters up to the bound, and without pretrained weights."""
LORA = 1e-4
"""That of LoRA, which moves small matrices from nothing, whatever the size of the network beside them."""
OWN_LR = {"sgd": (1e-2, 5e-2), "lamb": (2e-3, 5e-3)}
SHARE_OF_ADAMW = {"adamw": 1.0, "nadamw": 1.0, "adopt": 1.0, "muon": 1.0, "lion": 0.2}
"""Peak learning rates of the others: their own (fine-tuned, from scratch) where their steps have another size whatever the network, else a share of
AdamW's. timm's Muon scales its steps to the size of AdamW's (Liu et al. 2025)."""
SCRATCH = {"image": "resnet10t.c3_in1k", "text": "tiny_transformer"}
TWO_CORES = "image-two-cores"
MOST_PARAMS_M = {"gpu": 120, "cpu": 30}
USUAL = {
    "model.dropout": (0, 0.6),
    "model.drop_path": (0, 0.5),
    "optim.weight_decay": (0, 0.3),
    "optim.layer_decay": (0.5, 1),
    "optim.warmup": (0, 0.5),
    "augment.min_crop": (0.05, 1),
    "augment.magnitude": (0, 20),
    "augment.noise": (0, 0.2),
    "augment.erasing": (0, 0.6),
    "augment.mixup": (0, 2),
    "augment.cutmix": (0, 2),
    "input.max_tokens": (16, 4096),
}
MOST_PROMPT = 2000
"""Characters of a proposed template: more classes than that takes are no help to a model that reads a few hundred tokens."""
HANGUL = re.compile("[가-힣]")


@dataclass(frozen=True)
class RowFacts:
    """What of a contest's rows decides how they are trained on: how many, the usual side of its images in pixels, how many words and pieces of
    words all but the longest twentieth of its texts have, and whether these are Korean."""

    n_train: int
    side_px: int = 0
    n_tokens: int = 0
    has_hangul: bool = False


def row_facts(table: ContestTable) -> RowFacts:
    """Of at most 16 images, whose headers are read, or of at most 2,000 texts."""
    rows, n = table.train["input"], len(table.train)
    if table.image_base is not None:
        sides: list[int] = []
        for name in rows.iloc[np.linspace(0, n - 1, num=min(n, 16)).astype(int)]:
            with suppress(OSError), Image.open(table.image_path(name)) as image:  # one that cannot be read is said where it is trained on
                sides.append(max(image.size))
        return RowFacts(n, side_px=int(median(sides or [0])))
    texts = rows.iloc[np.linspace(0, n - 1, num=min(n, 2000)).astype(int)].tolist()
    has_hangul = sum(bool(HANGUL.search(text)) for text in texts) * 2 > len(texts)
    pieces = np.quantile([len(text) / 2 if has_hangul else 1.4 * len(text.split()) for text in texts], 0.95)
    return RowFacts(n, n_tokens=int(pieces) + 2, has_hangul=has_hangul)


def usual_lr(backbone: Backbone, *, pretrained: bool, optimizer: OptimizerName = "adamw", lora: bool = False) -> float:
    """The peak learning rate that a backbone is usually trained with."""
    if optimizer in OWN_LR:
        return OWN_LR[optimizer][not pretrained]
    of_adamw = (
        LORA
        if lora
        else next(lr for most_m, lr in FINE_TUNED[backbone.modality] if backbone.params_m <= most_m)
        if pretrained
        else FROM_SCRATCH[backbone.modality]
    )
    return float(f"{SHARE_OF_ADAMW[optimizer] * of_adamw:.3g}")


def brought_by(backbone: Backbone, recipe: Recipe) -> dict[str, Any]:
    """The settings of a recipe that belong to its backbone, by path, as this backbone would have them."""
    pretrained = backbone.has_pretrained
    if backbone.library == "sklearn":
        return {"model.pretrained": False}
    rate = usual_lr(backbone, pretrained=pretrained, optimizer=recipe.optim.optimizer, lora=recipe.model.lora != "none")
    own = {"model.pretrained": pretrained, "optim.lr": rate}
    if recipe.modality == "image":
        return {**own, "input.size_px": backbone.input_px}
    pooling = "last" if backbone.is_decoder else "mean" if recipe.model.pooling == "last" else recipe.model.pooling
    return {**own, "input.max_tokens": min(recipe.input.max_tokens, backbone.max_tokens), "model.pooling": pooling}


def suggest_recipe(
    modality: str, listed: Sequence[Listed], facts: RowFacts, *, has_gpu: bool, row_s: Callable[[Backbone], float] = usual_row_s
) -> Recipe:
    """A recipe that can be trained now: the largest network with weights here that a GPU trains well, on a processor the smallest; without any
    weights a small network from scratch. Size, batch and epochs follow the rows.

    On a processor a pretrained network for images ends in time (`fit_in_time`) where a row takes the seconds that `row_s` says of it; for
    EfficientNet-Lite0 that starts from the preset for two cores.
    """
    most = MOST_PARAMS_M["gpu" if has_gpu else "cpu"]
    able = [one.backbone for one in listed if one.place and one.backbone.params_m <= most and _reads(one.backbone, facts)]
    pick = max if has_gpu else min
    backbone = pick(able, key=lambda one: one.params_m) if able else find_backbone(SCRATCH[modality])
    pretrained = bool(able)
    n_fold = max(1, facts.n_train * 4 // 5)
    batch = min(32, max(4, 2 ** int(math.log2(max(1, n_fold / 8)))))
    least = {"image": 10, "text": 4}[modality] if has_gpu or facts.n_train <= 3_000 else 3
    epochs = min(30, max(least if pretrained else 2 * least, math.ceil(200 * batch / n_fold)))
    values: dict[str, Any] = {
        "name": re.sub(r"[^\w.\-]+", "-", backbone.short_name)[:60],
        "modality": modality,
        "model": {"backbone": backbone.name, "pretrained": pretrained},
        "optim": {"lr": usual_lr(backbone, pretrained=pretrained)},
        "train": {"epochs": epochs, "batch_size": batch, "patience": 3},
    }
    if modality == "image":
        own = backbone.input_px if pretrained else min(128, backbone.input_px)
        of_rows = 32 * max(1, math.ceil(1.5 * facts.side_px / 32)) if facts.side_px else own
        values |= {"input": {"size_px": min(own, of_rows), "reduced": True}}
        if pretrained and not has_gpu:
            return _in_time(values, backbone, facts.n_train, row_s(backbone))
    else:
        wanted = next((size for size in (32, 64, 128, 256) if size >= facts.n_tokens), 256)
        values |= {"input": {"max_tokens": min(wanted if has_gpu else min(wanted, 128), backbone.max_tokens)}}
        values["train"]["group_by_length"] = True
    return Recipe.model_validate(values)


def _in_time(values: dict[str, Any], backbone: Backbone, n_rows: int, row_s: float) -> Recipe:
    preset, batch = load_preset(TWO_CORES), values["train"]["batch_size"]
    if backbone.name == preset.model.backbone:
        values = {**preset.to_dict(), **values, "model": preset.to_dict()["model"], "train": preset.to_dict()["train"] | values["train"]}
    least = min(30, max(LEAST_EPOCHS, math.ceil(200 * batch / max(1, n_rows * 4 // 5))))
    return fit_in_time(Recipe.model_validate(values), row_s, n_rows, most_px=values["input"]["size_px"], least_epochs=least)


def doubts(recipe: Recipe, plan: EpochPlan, facts: RowFacts | None = None, *, weights_dir: Path, has_gpu: bool = True) -> tuple[str, ...]:
    """What in a recipe makes no sense for its backbone, the device and a fold with these epochs, though it can be trained."""
    backbone, n_rows = backbone_of(recipe, weights_dir), plan.n_rows
    if backbone.library == "sklearn":  # fitted in one go: no rule about steps and rates says anything of it
        return ()
    lr, optimizer = recipe.optim.lr, recipe.optim.optimizer
    usual = usual_lr(backbone, pretrained=recipe.model.pretrained, optimizer=optimizer, lora=recipe.model.lora != "none")
    px, patch = recipe.input.size_px, _patch_px(backbone)
    named = {"backbone": backbone.name, "lr": lr, "usual": usual, "px": px, "own": backbone.input_px, "patch": patch}
    named |= {
        "optimizer": optimizer,
        "decay": recipe.optim.weight_decay,
        "first": recipe.first_epochs,
        "batch": recipe.train.batch_size,
        "n": n_rows,
        "steps": plan.total_steps,
        "params": backbone.params_m,
    }
    is_image, is_from_nothing = recipe.modality == "image", not recipe.model.pretrained and not recipe.model.start_from
    rules = (
        (
            lr >= 30 * usual,
            "a learning rate of {lr:g}, where {usual:g} is usual for {backbone} with {optimizer}: training will most likely diverge",
        ),
        (lr * 300 <= usual, "a learning rate of {lr:g}, where {usual:g} is usual for {backbone} with {optimizer}: it will hardly learn"),
        (
            optimizer == "sgd" and recipe.optim.weight_decay > 0.01,
            "optim.weight_decay = {decay:g} with sgd, where 1e-05 to 0.001 is usual: its decay is a part of the gradient, ten times as strong by momentum",
        ),
        (recipe.train.batch_size > n_rows, "a batch of {batch:,} for {n:,} training rows: every epoch is a single step"),
        (
            recipe.train.batch_size <= n_rows and plan.total_steps < 20,
            "{steps} steps in all, too few to learn from: choose a smaller batch or more epochs",
        ),
        (
            is_image and patch and px < 4 * patch,
            "{px} px for patches of {patch} px: the network sees next to nothing; it was made for {own} px",
        ),
        (is_image and not patch and px < 24, "{px} px: the network sees next to nothing; it was made for {own} px"),
        (
            is_image and patch and px >= 4 * patch and px % patch,
            "{px} px are no whole number of patches of {patch} px: the rest is cut off",
        ),
        (is_image and recipe.train.micro_batch() == 1, "one image is computed at a time: batch normalisation learns nothing from it"),
        (
            is_from_nothing and backbone.params_m > 20 and n_rows < 20_000,
            "{params:g} M parameters from scratch on {n:,} rows: it will hardly learn; use pretrained weights or a small network",
        ),
        (
            recipe.augment.mixes and min(recipe.train.batch_size, n_rows) == 1,
            "one row in a step: MixUp and CutMix have no other row to mix it with",
        ),
        (recipe.augment.mixes and not recipe.is_mixed(1), "MixUp and CutMix are off in all epochs: lower augment.mix_off_epochs"),
        (
            recipe.first_epochs and 0 < recipe.train.patience < recipe.first_epochs,
            "train.patience may end the training before its inputs are {px} px: set it to 0, or to {first} or more",
        ),
        (
            is_from_nothing and (recipe.model.freeze or recipe.train.probe_epochs or recipe.model.lora != "none"),
            "layers that start from scratch are frozen: they stay as they were drawn at random",
        ),
        (
            recipe.model.dropout_masks > 1 and not recipe.model.dropout,
            "several dropout masks without dropout are all the same: set model.dropout above 0",
        ),
        (
            recipe.loss.rdrop and not recipe.model.dropout and not recipe.model.drop_path and backbone.library != "transformers",
            "R-Drop compares two dropout masks, and there is no dropout: set model.dropout above 0",
        ),
        (
            backbone.is_decoder and recipe.model.pooling == "cls",
            "the first token of {backbone} has read nothing of its text: set model.pooling=last",
        ),
        (not has_gpu and backbone.params_m > 60, "more than 60 M parameters on a processor: expect hours for an epoch; a dry run tells"),
        (
            facts is not None and recipe.model.pretrained and not _reads(backbone, facts),
            "{backbone} reads English, and most of these texts are Korean: choose a Korean or multilingual backbone"
            if facts is not None and facts.has_hangul
            else "{backbone} reads Korean, and most of these texts are not: choose a backbone of their language, or a multilingual one",
        ),
    )
    values = {path: value for path, _, value in recipe.leaves()}
    unusual = (
        msg("{path} = {value:g}, where {low:g} to {high:g} is usual", path=path, value=values[path], low=low, high=high)
        for path, (low, high) in USUAL.items()
        if path in values and not low <= values[path] <= high
    )
    idle = (
        msg("{path} changes nothing without {needed}", path=path, needed=needed)
        for needed, is_there, paths in _needs(recipe)
        for path, field, value in recipe.leaves()
        if path in paths and not is_there and value != field.default
    )
    return (*(msg(said, **named) for is_met, said in rules if is_met), *unusual, *idle)


def _needs(recipe: Recipe) -> tuple[tuple[str, object, tuple[str, ...]], ...]:
    """Settings that say nothing by themselves: what they belong to, whether it is there, and their paths."""
    augment = recipe.augment
    return (
        ("augment.mixup, augment.cutmix", augment.mixes, ("augment.mix_prob", "augment.mix_off_epochs")),
        ("augment.mixup, augment.cutmix", augment.mixup and augment.cutmix, ("augment.mix_switch_prob",)),
        ("input.first_px", recipe.input.first_px, ("input.full_px_epochs",)),
        ("augment.word_deletion, augment.word_swap", augment.word_deletion or augment.word_swap, ("augment.word_share",)),
        ("augment.aeda, augment.word_deletion, augment.word_swap", augment.edits_words, ("augment.word_rows",)),
        ("loss.coarse", recipe.loss.coarse and not recipe.model.two_levels, ("loss.coarse_weight",)),
    )


def propose_prompt(classes: Sequence[str], columns: Sequence[str]) -> str:
    """A template that names the classes behind the text of some columns, for a language model: behind it, so that a cut from the left
    (`input.truncation=tail`) leaves them in. "" where that would be too long, or a class has square brackets, which stand for a token."""
    named = ", ".join(classes).replace("{", "{{").replace("}", "}}")
    texts = "\\n".join(f"{{{column}}}" for column in columns)
    prompt = f"{texts}\\n\\nWhich of these is it: {named}?\\nAnswer:"
    return "" if "[" in named or not columns or len(prompt) > MOST_PROMPT else prompt


def all_read(recipes: Iterable[Recipe], facts: RowFacts) -> bool:
    """Whether the network of every recipe knows the language of the rows."""
    return all(_reads(find_backbone(recipe.model.backbone), facts) for recipe in recipes)


def _reads(backbone: Backbone, facts: RowFacts) -> bool:
    """Whether a network knows the language of the rows."""
    return not (backbone.note == "English" if facts.has_hangul else backbone.note.startswith("Korean"))


def _patch_px(backbone: Backbone) -> int:
    """The side of the patches that a network cuts images into, by its name; 0 where it says none."""
    found = re.search(r"patch(\d+)", backbone.name)
    return int(found[1]) if found else 0
