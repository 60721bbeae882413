"""The table of coarse classes on the page Train: it fills the form, and both recipes are queued by one click."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from streamlit.testing.v1 import AppTest

from app.train.grid import start_key
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds import save_folds
from core.specs.folds import FoldsSpec
from core.store.runs import list_runs
from core.workspace import Workspace
from tests.app.hands import press, unfold
from tests.finished_workspace import finish_jobs

OpenPage = Callable[..., AppTest]


def test_a_proposed_mapping_fills_the_form_and_the_recipe_is_queued_flat_and_in_two_levels(
    open_page: OpenPage, opened: Workspace, write_headlines: Callable[[Path], Path], tmp_path: Path
) -> None:
    table = write_headlines(tmp_path / "headlines") / "train.csv"
    table.write_text(re.sub(r"([36]),(.*),politik\n", r"\1,\2,politik:local\n", table.read_text("utf-8")), "utf-8")
    contest = add_contest(opened, inspect_path(table.parent).draft)
    folds = save_folds(opened, contest, FoldsSpec(n_folds=2))
    at = open_page("train").selectbox(key=start_key(contest)).select("preset news-tiny").run()
    at = unfold(at, f"levels-{contest.id}")
    assert at.button(key="levels-pair").disabled, "the recipe has no levels yet"
    at = press(press(at, "Use this mapping"), "Queue flat and two levels")
    two, flat = list_runs(opened.store, contest.id)
    assert two.recipe.model.two_levels and not flat.recipe.model.two_levels and not at.exception
    assert dict(zip(contest.spec.classes, two.recipe.loss.coarse, strict=True))["politik:local"] == "politik"
    for run, strength in ((flat, 1.0), (two, 3.0)):
        finish_jobs(opened, contest, folds, run.recipe, folds.n_folds, strength=strength)
    assert any("on the same folds: +" in caption.value.replace("\\", "") for caption in at.run().caption)
