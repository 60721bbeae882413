"""A grid: several recipes over several seeds becomes the recipes of runs whose names say what differs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from core.base.errors import InputError, RecipeError
from core.base.settings import apply_sets
from core.specs.recipe import Recipe

MAX_RUNS = 200
MAX_SEED = 2**31 - 1
NAME_LENGTH = 60


def parse_seeds(text: str, *, where: str = "seeds") -> tuple[int, ...]:
    """The seeds of `0,1,2`, of `0-4` or of both, each once; none of an empty text. Raises InputError."""
    seeds: dict[int, None] = {}
    parts = [part for piece in re.split(r"[,\uff0c\u3001]", text) for part in re.sub(r"\s*[-~\u2013]\s*", "-", piece).split()]
    for part in parts:
        found = re.fullmatch(r"(\d{1,10})(?:-(\d{1,10}))?", part)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if not first <= last <= MAX_SEED or last - first >= MAX_RUNS:
            raise InputError(
                "'{part}' is no seed and no range of seeds",
                where=where,
                why="a seed is a whole number from 0 to {last}, a range holds at most {most}",
                fix="write 0,1,2 or 0-4",
                part=part[:40],
                last=MAX_SEED,
                most=MAX_RUNS,
            )
        seeds |= dict.fromkeys(range(first, last + 1))
    return tuple(seeds)


def make_grid(recipes: Sequence[Recipe], seeds: Sequence[int] = ()) -> tuple[Recipe, ...]:
    """Every recipe with every seed, seed by seed, so that the first folds of all recipes can be compared early.

    Runs of one recipe are named after it and what differs between them: `digits-s0`, `digits-s1`, `digits-lr0.01`. Without
    seeds every recipe keeps its own. Raises RecipeError for a grid that is empty, too large, or holds one training twice.
    """
    chosen = tuple(dict.fromkeys(seeds))
    n_runs = len(recipes) * (len(chosen) or 1)
    if not 0 < n_runs <= MAX_RUNS:
        raise RecipeError(
            "a grid of {n} runs cannot be queued",
            where="grid",
            why="it holds 1 to {most}",
            fix="name fewer recipes or seeds" if n_runs else "name at least one recipe",
            n=n_runs,
            most=MAX_RUNS,
        )
    cells = [_with_seed(recipe, seed) for seed in chosen for recipe in recipes] if chosen else list(recipes)
    seen: dict[str, Recipe] = {}
    for cell in cells:
        first = seen.setdefault(cell.fingerprint, cell)
        if first is not cell:
            raise RecipeError(
                "the grid holds the same training twice",
                where="grid",
                why="every setting of {one} and {other} is equal",
                fix="leave one of them out",
                one=first.name,
                other=cell.name,
            )
    return tuple(cell.model_copy(update={"name": name}) for cell, name in zip(cells, _names(cells), strict=True))


def _with_seed(recipe: Recipe, seed: int) -> Recipe:
    return apply_sets(recipe, [f"train.seed={seed}"], where="seeds")


def _names(cells: Sequence[Recipe]) -> list[str]:
    """Each recipe's name, followed by the settings in which it differs from recipes of the same name."""
    leaves = [{path: value for path, _, value in cell.leaves()} for cell in cells]
    values: dict[str, dict[str, dict[str, object]]] = {}
    for cell, mine in zip(cells, leaves, strict=True):
        for path, value in mine.items():
            values.setdefault(cell.name, {}).setdefault(path, {})[repr(value)] = value
    return [_name(cell.name, mine, values[cell.name]) for cell, mine in zip(cells, leaves, strict=True)]


def _name(name: str, mine: Mapping[str, object], values: Mapping[str, Mapping[str, object]]) -> str:
    """`values` are those of every setting among the namesakes, each once."""
    suffix = ""
    for path, value in mine.items():
        others = values[path].values()
        if path != "name" and len(others) > 1:
            short = len({_text(path, other, short=True) for other in others}) == len(others)
            suffix += "-" + _text(path, value, short=short)
    return name[: max(1, NAME_LENGTH - len(suffix))] + suffix[: NAME_LENGTH - 1]


def _text(path: str, value: object, *, short: bool) -> str:
    """A setting as part of a name: `s1` for a seed, `lr0.01`, and for a text the text alone, without its tag when `short`."""
    if isinstance(value, str):
        text = value.rpartition("/")[2].partition(".")[0] if short else value
    else:
        name = "s" if path == "train.seed" else path.rpartition(".")[2]
        text = f"{name}{value:g}" if isinstance(value, float) else f"{name}{value}"
    return "".join(char if char.isalnum() or char in ".-_" else "-" for char in text)
