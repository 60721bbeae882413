"""What a pretraining gained: runs that were trained without and with it, on the same folds."""

from core.specs.recipe import differing_settings
from core.store.database import Store
from core.store.pretrainings import Pretraining
from core.store.runs import Run, list_runs

START = "model.start_from"


def pairs_of(store: Store, pretraining: Pretraining) -> tuple[tuple[Run, Run], ...]:
    """The finished runs (without, with) whose recipes are equal but for the weights they start from, on equal folds and labels; the newest first."""
    done = [run for run in list_runs(store, pretraining.contest_id) if run.own_recipe is not None and run.is_complete]
    found: list[tuple[Run, Run]] = []
    for adapted in (run for run in done if run.recipe.model.start_from == pretraining.ref):
        same = (run for run in done if (run.folds_id, run.truth_id) == (adapted.folds_id, adapted.truth_id) and _is_without(run, adapted))
        found += [(run, adapted) for run in same][:1]
    return tuple(found)


def _is_without(run: Run, adapted: Run) -> bool:
    return not run.recipe.model.start_from and set(differing_settings([run.recipe, adapted.recipe])) == {START}
