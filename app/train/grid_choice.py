"""What is queued beside the recipe in the form: further seeds and further recipes, which make a grid of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from app.train.starts import Start
from app.ui.format import plain
from app.words.text import t
from core.recipes.grid import make_grid, parse_seeds
from core.specs.recipe import Recipe
from core.store.contests import Contest

MOST_NAMED = 4


@dataclass(frozen=True)
class Grid:
    """The recipes and seeds to run over the same folds; without seeds each recipe keeps its own.

    `names` are those of the runs, apart from a number where a name is taken.
    """

    recipes: tuple[Recipe, ...]
    seeds: tuple[int, ...]
    names: tuple[str, ...]


def choose_grid(contest: Contest, recipe: Recipe, others: Mapping[str, Start]) -> Grid:
    """Ask for seeds and for recipes out of `others`; `recipe` comes first.

    Raises InputError for what is no seed, RecipeError for a grid that is too large or holds one training twice.
    """
    seeds_key, recipes_key = f"grid-seeds-{contest.id}", f"grid-recipes-{contest.id}"
    before = st.session_state.get(recipes_key, [])
    if not set(before) <= set(others):  # a run was deleted since it was chosen, or is in the form now
        st.session_state[recipes_key] = [name for name in before if name in others]
    title = _title(st.session_state.get(seeds_key, ""), len(st.session_state.get(recipes_key, ())))
    with st.expander(title, icon=":material/grid_view:", key=f"grid-{contest.id}"):
        text = st.text_input(
            t("train.grid_seeds"),
            key=seeds_key,
            placeholder=t("train.grid_seeds_example"),
            help=t("train.grid_seeds_help"),
            max_chars=60,
            persist_state="session",
        )
        chosen = st.multiselect(
            t("train.grid_recipes"),
            list(others),
            format_func=lambda name: others[name].label,
            key=recipes_key,
            help=t("train.grid_recipes_help"),
            placeholder="–",
            persist_state="session",
        )
    recipes = (recipe, *(others[name].recipe for name in chosen))
    seeds = parse_seeds(text, where=t("train.grid_seeds"))
    return Grid(recipes, seeds, tuple(run.name for run in make_grid(recipes, seeds)))


def names_line(names: Sequence[str]) -> str:
    """The names of a grid's runs in a line, the first ones where they are many."""
    line = ", ".join(plain(name) for name in names[:MOST_NAMED])
    return line if len(names) <= MOST_NAMED else t("train.grid_names", n=len(names), names=line)


def _title(seeds: str, n_others: int) -> str:
    """What is in the closed box, so that nothing is queued unseen."""
    parts = [t("train.grid_title_seeds", seeds=plain(seeds.strip()))] if seeds.strip() else []
    if n_others:
        parts.append(t("train.grid_title_recipes", n=n_others))
    return " · ".join(parts) or t("train.grid")
