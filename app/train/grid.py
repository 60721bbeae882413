"""What a recipe may start from on the page Train, what is queued beside it (further seeds and recipes), and the plan file of it all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from app.shell import runtime
from app.shell.tables import facts_of
from app.train.backbones import catalogue
from app.ui.cards import error_card, guard
from app.ui.controls import FOLD_NUMBERS, fold_numbers_key, show_folds
from app.ui.format import plain
from app.words.text import t
from core.base.errors import PitwallError
from core.base.names import file_name
from core.contest.samples import SAMPLES
from core.recipes.advice import suggest_recipe
from core.recipes.draft import Draft, load_draft
from core.recipes.plan import ReadPlan, list_presets, load_preset, parse_plan, parse_seeds, plan_text
from core.specs.recipe import Recipe
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import list_runs

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


def starts(contest: Contest) -> dict[str, Start]:
    """By a name that no language changes, what a new form begins with first: the form as it was left, else the newest run's recipe, else a
    sample's own preset that can be trained here, else what suits this machine. Then presets, runs and the loaded plan."""
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
    trained = [run for run in list_runs(runtime.workspace().store, contest.id) if not run.is_imported]
    runs = {f"run {run.ref}": Start(run.recipe, t("train.start_run", name=run.name, ref=run.ref)) for run in trained}
    fitting = suggest_recipe(modality, catalogue(modality), facts_of(contest), has_gpu=runtime.has_gpu())
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
    seeds, n_others = st.session_state.get(seeds_at, "").strip(), len(st.session_state.get(recipes_at, ()))
    inside = [t("train.grid_title_seeds", seeds=plain(seeds))] if seeds else []  # in the title, so that nothing is queued unseen
    inside += [t("train.grid_title_recipes", n=n_others)] if n_others else []
    with st.expander(" · ".join(inside) or t("train.grid"), icon=":material/grid_view:", key=f"grid-{contest.id}"):
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


def plan_box(contest: Contest, folds: Folds, shown: ReadPlan | None, numbers: Sequence[int]) -> None:
    """Load a plan file, and save `shown` over these folds as one; None where the form holds nothing that can be trained."""
    with st.popover(t("train.plan_file"), icon=":material/description:", width="stretch"):
        upload_key, refused_key = f"plan-upload-{contest.id}", f"plan-refused-{contest.id}"
        st.file_uploader(
            t("train.plan_load"),
            type=["yaml", "yml"],
            help=t("train.plan_load_help"),
            key=upload_key,
            max_upload_size=1,
            on_change=lambda: _load(contest, folds, upload_key, refused_key),
        )
        if refused_key in st.session_state:
            error_card(st.session_state[refused_key])
        text, name = "", ""
        if shown is not None:
            some = tuple(numbers) if len(numbers) < folds.n_folds else ()
            plan = shown.plan.model_copy(update={"folds": runtime.queue.spec_of_folds(runtime.workspace(), folds), "fold_numbers": some})
            text, name = plan_text(plan), plan.name
        st.download_button(
            t("train.plan_save"),
            text,
            file_name(name, suffix=".yaml"),
            "application/yaml",
            help=t("train.plan_save_help"),
            on_click="ignore",
            icon=":material/download:",
            width="stretch",
            disabled=not text,
        )


def _load(contest: Contest, folds: Folds, upload_key: str, refused_key: str) -> None:
    """Put an uploaded plan where a person would have typed it: first recipe, further recipes, seeds, folds."""
    st.session_state.pop(refused_key, None)
    upload = st.session_state[upload_key]
    if upload is None:
        return
    try:
        read = parse_plan(upload.getvalue(), contest.spec.modality, where=upload.name)
        made = runtime.queue.make_folds_of(runtime.workspace(), contest, read)
    except PitwallError as refusal:
        st.session_state[refused_key] = refusal
        return
    before = loaded_plan(contest)
    plan = st.session_state[f"plan-{contest.id}"] = LoadedPlan(read, before.number + 1 if before else 1)
    seeds_at, recipes_at = grid_keys(contest)
    st.session_state[start_key(contest)], *st.session_state[recipes_at] = plan.names
    st.session_state[seeds_at] = ", ".join(map(str, read.plan.seeds))
    if made is not None:
        show_folds(contest, made)
    chosen = made or folds
    st.session_state[fold_numbers_key(chosen)] = list(read.plan.fold_numbers or range(chosen.n_folds))
