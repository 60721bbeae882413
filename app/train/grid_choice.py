"""What is queued beside the recipe in the form: further seeds and further recipes, which make a grid of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from app.train.starts import Start, loaded_plan
from app.ui.format import plain
from app.words.text import t
from core.recipes.grid import parse_seeds
from core.recipes.plan import ReadPlan
from core.store.contests import Contest

MOST_NAMED = 4


def seeds_key(contest: Contest) -> str:
    return f"grid-seeds-{contest.id}"


def recipes_key(contest: Contest) -> str:
    return f"grid-recipes-{contest.id}"


def choose_grid(contest: Contest, first: Start, others: Mapping[str, Start]) -> ReadPlan:
    """Ask for seeds and for recipes out of `others`, and return all of it as a plan; `first`, the recipe in the form, comes first.

    Its weights are those that a loaded plan gave, where it gave one to every recipe. Raises InputError for what is no seed, RecipeError
    for a grid that is too large or holds one training twice.
    """
    seeds_at, recipes_at = seeds_key(contest), recipes_key(contest)
    before = st.session_state.get(recipes_at, [])
    if not set(before) <= set(others):  # a run was deleted since it was chosen, or is in the form now
        st.session_state[recipes_at] = [name for name in before if name in others]
    title = _title(st.session_state.get(seeds_at, ""), len(st.session_state.get(recipes_at, ())))
    with st.expander(title, icon=":material/grid_view:", key=f"grid-{contest.id}"):
        text = st.text_input(
            t("train.grid_seeds"),
            key=seeds_at,
            placeholder=t("train.grid_seeds_example"),
            help=t("train.grid_seeds_help"),
            max_chars=60,
            persist_state="session",
        )
        chosen = st.multiselect(
            t("train.grid_recipes"),
            list(others),
            format_func=lambda name: others[name].label,
            key=recipes_at,
            help=t("train.grid_recipes_help"),
            placeholder="–",
            persist_state="session",
        )
    starts = (first, *(others[name] for name in chosen))
    weights = [start.weight for start in starts if start.weight is not None]
    has_weights = len(weights) == len(starts) and any(weights)
    loaded = loaded_plan(contest)
    return ReadPlan.of(
        [start.recipe for start in starts],
        parse_seeds(text, where=t("train.grid_seeds")),
        name=loaded.read.plan.name if loaded and first.weight is not None else first.recipe.name,
        weights=weights if has_weights else (),
    )


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
