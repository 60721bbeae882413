"""A plan file on the page Train: loaded into the form, queued with its weights, saved and read again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.train import plans
from core.recipes.advice import RowFacts
from core.recipes.plan import list_plan_weights, parse_plan, plan_text
from core.specs.folds import FoldsSpec
from core.specs.plan import Plan
from core.store.contests import Contest
from core.store.folds import list_folds
from core.store.runs import list_runs
from core.workspace import Workspace
from tests.app.hands import press, unfold

OpenPage = Callable[..., AppTest]
PLAN = """
name: first-night
recipes:
  - {preset: news-tiny, set: {optim.lr: 0.01, name: fast}, weight: 3}
  - {preset: news-tiny, set: {model.dropout: 0.3, name: slow}, weight: 1}
seeds: [4, 5]
folds: {n_folds: 4, seed: 9}
fold_numbers: [2]
"""


def load(at: AppTest, text: str) -> AppTest:
    at = unfold(at, "plan-file-")
    (uploader,) = [box for box in at.file_uploader if box.label == "Load a plan"]
    uploader.upload("night.yaml", text.encode())
    at = at.run()
    assert not at.exception
    return at


def test_a_plan_that_is_loaded_fills_the_page_and_is_queued_with_its_weights(
    open_page: OpenPage, opened: Workspace, folded: Contest
) -> None:
    at = load(open_page("train"), PLAN)
    assert at.selectbox(key=f"train-{folded.id}-start").value == "plan 1.0"
    (name,) = [box for box in at.text_input if box.label == "Name of the run"]
    assert name.value == "fast"
    assert "Seeds 4, 5 · recipes +1" in [str(caption.value) for caption in at.caption]
    assert list_folds(opened.store, folded.id)[0].n_folds == 4
    at = press(at, "Queue 4 folds")
    assert not at.exception
    runs = {run.name: run for run in list_runs(opened.store, folded.id)}
    assert set(runs) == {"fast-s4", "slow-s4", "fast-s5", "slow-s5"}
    assert {run.fold_numbers for run in runs.values()} == {(2,)}
    (kept,) = list_plan_weights(opened, folded)
    assert kept.name == "first-night" and kept.weights[runs["slow-s5"].id] == 0.125


def test_what_stands_on_the_page_is_saved_and_read_as_the_same_plan(
    open_page: OpenPage, folded: Contest, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts: list[str] = []

    def keep(plan: Plan) -> str:
        texts.append(plan_text(plan))
        return texts[-1]

    monkeypatch.setattr(plans, "plan_text", keep)
    at = unfold(open_page("train"), "plan-file-")
    assert parse_plan(texts[-1].encode(), "text", Path(), where="saved").plan.folds == FoldsSpec(n_folds=3)
    load(at, PLAN)
    again, given = parse_plan(texts[-1].encode(), "text", Path(), where="saved"), parse_plan(PLAN.encode(), "text", Path(), where="given")
    assert (again.recipes, again.run_weights, again.grid) == (given.recipes, given.run_weights, given.grid)
    assert (again.plan.name, again.plan.folds, again.plan.fold_numbers) == ("first-night", given.plan.folds, (2,))


def test_a_plan_with_problems_is_a_card_that_tells_all_of_them(open_page: OpenPage, opened: Workspace, folded: Contest) -> None:
    at = load(open_page("train"), "recipes: [{preset: news-tinny}, {preset: digits-small}]\nspeed: 3\n")
    said = " ".join(item.value for item in (*at.error, *at.markdown, *at.caption))
    assert all(part in said for part in ("news\\-tinny", "speed", "the contest's rows are texts")), said
    assert len(list_folds(opened.store, folded.id)) == 1


@pytest.mark.parametrize("has_hangul", [True, False])
def test_a_plan_of_korean_networks_is_offered_for_korean_texts_alone(
    has_hangul: bool, open_page: OpenPage, folded: Contest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "facts_of", lambda _: RowFacts(500, has_hangul=has_hangul))
    offered = [button.label for button in open_page("train").button]
    assert all(any(name in label for label in offered) == has_hangul for name in ("korean-sentiment", "nsmc"))
