"""Whether a recipe's backbone exists and takes its settings, said before anything is started. Imports no torch."""

from __future__ import annotations

from core.base.errors import RecipeError
from core.specs.recipe import Recipe
from models.catalog import Backbone, UnknownBackbone, find_backbone


def backbone_of(recipe: Recipe) -> Backbone:
    """The backbone that a recipe names. Raises RecipeError: unknown (with close names), for the other modality, without
    pretrained weights that are asked for, without stochastic depth, or too short for the texts."""
    name = recipe.model.backbone
    try:
        backbone = find_backbone(name)
    except UnknownBackbone as problem:
        close = f"did you mean {' or '.join(problem.close)}?" if problem.close else "search the catalogue on the Train page"
        raise RecipeError(str(problem), where="model.backbone", why="the catalogue has no such row", fix=close) from None
    if backbone.modality != recipe.modality:
        raise RecipeError(
            f"{backbone.name} reads {backbone.modality}s",
            where="model.backbone",
            why=f"the contest's rows are {recipe.modality}s",
            fix=f"choose a backbone for {recipe.modality}s",
        )
    if recipe.model.pretrained and not backbone.has_pretrained:
        raise RecipeError(
            f"{backbone.name} has no pretrained weights",
            where="model.pretrained",
            why="it always starts from nothing",
            fix="set model.pretrained=false",
        )
    if recipe.text and recipe.model.drop_path:
        raise RecipeError(
            "a text backbone has no stochastic depth",
            where="model.drop_path",
            why=f"it is {recipe.model.drop_path:g}",
            fix="set model.drop_path=0",
        )
    if recipe.text and recipe.text.max_tokens > backbone.max_tokens:
        raise RecipeError(
            f"{backbone.name} reads at most {backbone.max_tokens} tokens",
            where="text.max_tokens",
            why=f"{recipe.text.max_tokens} are asked for",
            fix=f"set text.max_tokens={backbone.max_tokens} or less",
        )
    return backbone
