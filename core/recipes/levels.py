"""Recipes of two levels: coarse classes as the names of classes propose them, and the same recipe without levels, to compare with."""

import json
from collections.abc import Sequence

from core.base.names import NAME_LENGTH
from core.specs.recipe import Recipe

SETTINGS = ("model.two_levels", "model.separate_levels", "loss.coarse")
"""What a recipe of two levels and its flat twin differ by."""
MARKS = (":", "/", ".", "-", "_", " ")
"""What may stand between a coarse class and a class within it, the surest first."""


def propose_coarse(classes: Sequence[str]) -> tuple[str, ...]:
    """A coarse class for each class: what stands before its first mark, as in org:founded, else itself; () where no mark puts any together."""
    for mark in MARKS:
        coarse = tuple(name.partition(mark)[0].strip() or name for name in classes)
        if 1 < len(set(coarse)) < len(classes):
            return coarse
    return ()


def set_of(coarse: Sequence[str]) -> str:
    """A mapping as --set takes it."""
    return f"loss.coarse={json.dumps(list(coarse), ensure_ascii=False)}"


def make_flat(recipe: Recipe) -> Recipe:
    """The recipe without levels, called after it."""
    return recipe.model_copy(
        update={
            "name": f"{recipe.name[: NAME_LENGTH - 5]}-flat",
            "model": recipe.model.model_copy(update={"two_levels": False, "separate_levels": False}),
            "loss": recipe.loss.model_copy(update={"coarse": ()}),
        }
    )
