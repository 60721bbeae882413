"""Whether a recipe's backbone exists and takes its settings, said before anything is started. Imports no torch."""

from __future__ import annotations

from core.base.errors import RecipeError
from core.base.messages import msg
from core.specs.recipe import Recipe
from models.catalog import Backbone, UnknownBackbone, find_backbone


def backbone_of(recipe: Recipe) -> Backbone:
    """The backbone that a recipe names. Raises RecipeError: unknown (with close names), for the other modality, without
    pretrained weights that are asked for, or too short for the texts."""
    name = recipe.model.backbone
    try:
        backbone = find_backbone(name)
    except UnknownBackbone as problem:
        close = (
            msg("did you mean {names}?", names=" or ".join(problem.close)) if problem.close else "search the catalogue on the Train page"
        )
        what = msg("no backbone named '{name}'", name=problem.name)
        raise RecipeError(what, where="model.backbone", why="the catalogue has no such row", fix=close) from None
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
    if recipe.modality == "text" and recipe.input.max_tokens > backbone.max_tokens:
        raise RecipeError(
            "{backbone} reads at most {n} tokens",
            where="input.max_tokens",
            why=msg("{n} are asked for", n=recipe.input.max_tokens),
            fix="set input.max_tokens={n} or less",
            backbone=backbone.name,
            n=backbone.max_tokens,
        )
    return backbone
