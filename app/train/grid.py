"""What a recipe may start from on the page Train, and what is queued beside it: further seeds and recipes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import streamlit as st

from app.shell import runtime
from app.shell.tables import facts_of
from app.train.backbones import catalogue
from app.ui.cards import guard
from app.ui.controls import FOLD_NUMBERS
from app.ui.format import plain
from app.words.text import t
from core.contest.samples import SAMPLES
from core.recipes.advice import suggest_recipe
from core.recipes.draft import Draft, load_draft
from core.recipes.fit import measured_row_s
from core.recipes.plan import ReadPlan, list_presets, load_preset, parse_seeds
from core.specs.recipe import Recipe
from core.store.contests import Contest
from core.store.runs import Run

LEFT, SUGGESTED = "left", "suggested"


@dataclass(frozen=True)
class Start:
    """A recipe, what it is called on the screen, and the weight in a blend that its plan gives it."""

    recipe: Recipe
    label: str
    weight: float | None = None


@dataclass(frozen=True)
class LoadedPlan:
    """A plan that was loaded in this session; `number` counts them, so that each has controls of its own."""

    read: ReadPlan
    number: int

    @property
    def names(self) -> tuple[str, ...]:
        """What its recipes are called among the starting points."""
        return tuple(f"plan {self.number}.{place}" for place in range(len(self.read.recipes)))


def loaded_plan(contest: Contest) -> LoadedPlan | None:
    """The plan that was loaded last for this contest."""
    return st.session_state.get(f"plan-{contest.id}")


def left_form(contest: Contest) -> Draft | None:
    """What this session found kept of the form when it first came here; its controls are put back then."""
    key = f"train-left-{contest.id}"
    if key not in st.session_state:
        st.session_state[key] = None
        with guard():
            st.session_state[key] = load_draft(runtime.workspace(), contest)
        left: Draft | None = st.session_state[key]
        seeds_at, recipes_at = grid_keys(contest)
        for name, value in (left.controls if left else {}).items():
            if isinstance(value, str) if name == seeds_at else name == recipes_at or name.startswith(FOLD_NUMBERS):
                st.session_state.setdefault(name, value)
    return st.session_state[key]


def starts(contest: Contest, known: Sequence[Run]) -> dict[str, Start]:
    """By a name that no language changes, what a new form begins with first: the form as it was left, else the newest run's recipe, else a
    sample's own preset that can be trained here, else what suits this machine. Then presets, runs and the loaded plan. `known` are all runs,
    newest first."""
    left, sample, modality = left_form(contest), contest.sample, contest.spec.modality
    places = {one.backbone.name: one.place for one in catalogue(modality)}
    of = {name: next((sample for sample in SAMPLES if name.startswith(sample)), None) for name in list_presets(modality)}
    names = sorted(of, key=lambda name: (of[name] != sample, of[name] is not None, name))
    presets = {name: load_preset(name) for name in names}
    is_here = {name: not recipe.model.pretrained or places.get(recipe.model.backbone) is not None for name, recipe in presets.items()}
    offered = {
        f"preset {name}": Start(recipe, t("train.start_preset" if is_here[name] else "train.start_preset_hub", name=name))
        for name, recipe in presets.items()
    }
    trained = [run for run in known if not run.is_imported]
    runs = {f"run {run.ref}": Start(run.recipe, t("train.start_run", name=run.name, ref=run.ref)) for run in trained}
    pace = partial(measured_row_s, runtime.workspace().store)
    fitting = suggest_recipe(modality, catalogue(modality), facts_of(contest), has_gpu=runtime.has_gpu(), row_s=pace)
    usual = {SUGGESTED: Start(fitting, t("train.start_suggested"))}
    own = next((f"preset {name}" for name in names if of[name] is not None and of[name] == sample and is_here[name]), SUGGESTED)
    loaded = loaded_plan(contest)
    planned = zip(loaded.names, loaded.read.recipes, loaded.read.plan.recipes, strict=True) if loaded else ()
    every = (
        ({LEFT: Start(left.recipe, t("train.start_left", name=left.recipe.name))} if left else {})
        | usual
        | offered
        | runs
        | {
            name: Start(recipe, t("train.start_plan", plan=loaded.read.plan.name if loaded else "", name=recipe.name), entry.weight)
            for name, recipe, entry in planned
        }
    )
    first = LEFT if left else next(iter(runs), own)
    return {first: every[first]} | every


MOST_NAMED = 4


def start_key(contest: Contest) -> str:
    """Of the control that holds what the form began with."""
    return f"train-{contest.id}-start"


def grid_keys(contest: Contest) -> tuple[str, str]:
    """Of the controls that hold the seeds and the further recipes."""
    return f"grid-seeds-{contest.id}", f"grid-recipes-{contest.id}"


def choose_grid(contest: Contest, first: Start, others: Mapping[str, Start]) -> ReadPlan:
    """Ask for seeds and for recipes out of `others`, and return all of it as a plan; `first`, the recipe in the form, comes first.

    Its weights are those that a loaded plan gave, where it gave one to every recipe. Raises InputError for what is no seed, RecipeError
    for a grid that is too large or holds one training twice.
    """
    seeds_at, recipes_at = grid_keys(contest)
    before = st.session_state.get(recipes_at, [])
    if not set(before) <= set(others):  # a run was deleted since it was chosen, or is in the form now
        st.session_state[recipes_at] = [name for name in before if name in others]
    text, chosen = st.session_state.get(seeds_at, ""), st.session_state.get(recipes_at, [])
    box = st.expander(t("train.grid"), icon=":material/grid_view:", key=f"grid-box-{contest.id}", on_change="rerun")
    if box.open:
        with box:
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
    inside = [t("train.grid_title_seeds", seeds=plain(text.strip()))] if text.strip() else []
    inside += [t("train.grid_title_recipes", n=len(chosen))] if chosen else []
    if inside:  # below the section, so that nothing is queued unseen
        st.caption(" · ".join(inside))
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
