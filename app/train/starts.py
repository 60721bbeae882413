"""What a recipe may start from: presets, the runs of a contest, and a plan that was loaded."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from app.shell import runtime
from app.words.text import t
from core.contest.samples import SAMPLES
from core.recipes.plan import ReadPlan
from core.recipes.presets import list_presets, load_preset
from core.specs.recipe import Recipe
from core.store.contests import Contest
from core.store.runs import list_runs


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


def plan_key(contest: Contest) -> str:
    return f"plan-{contest.id}"


def loaded_plan(contest: Contest) -> LoadedPlan | None:
    """The plan that was loaded last for this contest."""
    return st.session_state.get(plan_key(contest))


def starts(contest: Contest) -> dict[str, Start]:
    """By a name that no language changes: presets of this sample, then those for any contest, then the others; then the contest's runs, and the loaded plan."""

    def rank(name: str) -> int:
        of = next((sample for sample in SAMPLES if name.startswith(sample)), "")
        return 1 if not of else 0 if of == contest.sample else 2

    names = sorted(list_presets(contest.spec.modality), key=lambda name: (rank(name), name))
    presets = {f"preset {name}": Start(load_preset(name), t("train.start_preset", name=name)) for name in names}
    trained = [run for run in list_runs(runtime.workspace().store, contest.id) if not run.is_imported]
    runs = {f"run {run.ref}": Start(run.recipe, t("train.start_run", name=run.name, ref=run.ref)) for run in trained}
    return presets | runs | _planned(loaded_plan(contest))


def _planned(loaded: LoadedPlan | None) -> dict[str, Start]:
    if loaded is None:
        return {}
    entries = zip(loaded.names, loaded.read.recipes, loaded.read.plan.recipes, strict=True)
    return {
        name: Start(recipe, t("train.start_plan", plan=loaded.read.plan.name, name=recipe.name), entry.weight)
        for name, recipe, entry in entries
    }
