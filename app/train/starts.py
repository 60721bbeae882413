"""What a recipe may start from: presets, and the runs of a contest."""

from __future__ import annotations

from dataclasses import dataclass

from app.shell import runtime
from app.words.text import t
from core.contest.samples import SAMPLES
from core.recipes.presets import list_presets, load_preset
from core.specs.recipe import Recipe
from core.store.contests import Contest
from core.store.runs import list_runs


@dataclass(frozen=True)
class Start:
    """A recipe, and what it is called on the screen."""

    recipe: Recipe
    label: str


def starts(contest: Contest) -> dict[str, Start]:
    """By a name that no language changes: presets of this sample, then those for any contest, then the others; then the contest's runs."""

    def rank(name: str) -> int:
        of = next((sample for sample in SAMPLES if name.startswith(sample)), "")
        return 1 if not of else 0 if of == contest.sample else 2

    names = sorted(list_presets(contest.spec.modality), key=lambda name: (rank(name), name))
    presets = {f"preset {name}": Start(load_preset(name), t("train.start_preset", name=name)) for name in names}
    trained = [run for run in list_runs(runtime.workspace().store, contest.id) if not run.is_imported]
    runs = {f"run {run.ref}": Start(run.recipe, t("train.start_run", name=run.name, ref=run.ref)) for run in trained}
    return presets | runs
