"""The weights of a plan file are a start for the blend of its runs."""

from __future__ import annotations

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from core.recipes.plan import ReadPlan, keep_plan_weights
from core.store.contests import Contest
from core.store.folds import Folds
from core.workspace import Workspace
from tests.app.eyes import editor_of, state_of
from tests.finished_workspace import finish_run, make_recipe

OpenPage = Callable[..., AppTest]


def test_the_weights_of_a_plan_are_put_on_the_runs_that_have_predictions(
    open_page: OpenPage, opened: Workspace, folded: Contest, folds: Folds
) -> None:
    names, weights = ("one", "two", "late"), (0.5, 0.3, 0.2)
    recipes = [make_recipe(folded, name, lr=0.001 * (n + 1)) for n, name in enumerate(names)]
    runs = [finish_run(opened, folded, folds, recipe, seed=n, n_done=0 if n == 2 else None) for n, recipe in enumerate(recipes)]
    keep_plan_weights(opened, folded, ReadPlan.of(recipes, name="night", weights=weights), runs)
    at = open_page("ensemble")
    (button,) = [button for button in at.button if "night" in button.label]
    assert button.label == "Weights of plan night (2 of 3 runs)"
    at = button.click().run()
    assert not at.exception
    assert state_of(at, folds.id).members == [runs[0].id, runs[1].id]
    editor = editor_of(at, runs[0])
    shares = dict(zip(editor.ids, editor.draft.weights, strict=True))
    assert round(shares[runs[0].id] / shares[runs[1].id], 6) == round(0.5 / 0.3, 6)
