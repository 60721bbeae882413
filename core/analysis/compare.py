"""Where the settings of several runs differ: what a difference in score could come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.specs.recipe import Recipe

MISSING = "–"


def flatten_settings(recipe: Recipe) -> dict[str, Any]:
    """Every setting of a recipe by its dotted path, without the name."""
    return {path: value for path, _, value in recipe.leaves() if path != "name"}


def differing_settings(recipes: Sequence[Recipe]) -> dict[str, tuple[Any, ...]]:
    """The settings that are not equal in all recipes: dotted path -> one value per recipe, in order of the recipe's fields."""
    flats = [flatten_settings(recipe) for recipe in recipes]
    paths = dict.fromkeys(path for flat in flats for path in flat)
    table = {path: tuple(flat.get(path, MISSING) for flat in flats) for path in paths}
    return {path: values for path, values in table.items() if any(value != values[0] for value in values)}
