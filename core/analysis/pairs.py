"""Runs that differ by one thing on the same folds and labels: trained without and with a pretraining, flat and in two levels."""

from collections.abc import Callable, Collection

from core.recipes.levels import SETTINGS as LEVELS
from core.specs.recipe import Recipe, differing_settings
from core.store.database import Store
from core.store.pretrainings import Pretraining
from core.store.runs import Run, list_runs

START = ("model.start_from",)


def pretraining_pairs(store: Store, pretraining: Pretraining) -> tuple[tuple[Run, Run], ...]:
    """The finished runs (without, with) whose recipes are equal but for the weights they start from; the newest first."""
    return _pairs(
        store,
        pretraining.contest_id,
        START,
        is_changed=lambda recipe: recipe.model.start_from == pretraining.ref,
        is_plain=lambda recipe: not recipe.model.start_from,
    )


def level_pairs(store: Store, contest_id: int) -> tuple[tuple[Run, Run], ...]:
    """The finished runs (flat, in two levels) whose recipes are equal but for their levels; the newest first."""
    return _pairs(
        store,
        contest_id,
        LEVELS,
        is_changed=lambda recipe: recipe.model.two_levels,
        is_plain=lambda recipe: not recipe.model.two_levels and not recipe.loss.coarse,
    )


def _pairs(
    store: Store, contest_id: int, paths: Collection[str], *, is_changed: Callable[[Recipe], bool], is_plain: Callable[[Recipe], bool]
) -> tuple[tuple[Run, Run], ...]:
    """For each finished run that is changed the newest plain one whose recipe is equal but for settings of `paths`."""
    done = [run for run in list_runs(store, contest_id) if run.own_recipe is not None and run.is_complete]
    found: list[tuple[Run, Run]] = []
    for changed in (run for run in done if is_changed(run.recipe)):
        same = (run for run in done if (run.folds_id, run.truth_id) == (changed.folds_id, changed.truth_id) and is_plain(run.recipe))
        found += [(run, changed) for run in same if set(differing_settings([run.recipe, changed.recipe])) <= set(paths)][:1]
    return tuple(found)
