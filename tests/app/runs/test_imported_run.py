"""A run that was trained elsewhere stands on every page like any other, and says that it has no recipe, log or curves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.blend.ensemble import blend_runs
from core.blend.procedure import BlendProcedure
from core.exchange.exchange import export_predictions, import_predictions
from core.predictions.oof import shared_folds
from core.predictions.source import source_of
from core.store.contests import Contest
from core.store.folds import list_folds
from core.store.runs import Run
from core.submission.write import write_submission
from core.workspace import Workspace
from tests.finished_workspace import finish_run, make_recipe

OpenPage = Callable[..., AppTest]


@pytest.fixture
def imported(opened: Workspace, folded: Contest, tmp_path: Path) -> Run:
    """A team-mate's run beside one that was trained here."""
    folds = list_folds(opened.store, folded.id)[0]
    own = finish_run(opened, folded, folds, make_recipe(folded, "own"), strength=2)
    oof, test = tmp_path / "minsu.parquet", tmp_path / "minsu-test.parquet"
    export_predictions(source_of(opened, own), oof=oof, test=test)
    return import_predictions(opened, folded, folds, oof=oof, test=test)


@pytest.mark.parametrize("page", ["home", "train", "runs", "ensemble", "errors", "submit"])
def test_every_page_opens_beside_it(open_page: OpenPage, imported: Run, page: str) -> None:
    at = open_page(page)
    assert not at.exception and not at.error


@pytest.mark.parametrize("tab", ["curves", "folds", "recipe", "log"])
def test_each_part_of_its_own_page_is_shown(open_page: OpenPage, imported: Run, tab: str) -> None:
    at = open_page("runs", run=imported.ref)
    at.segmented_control(key="run-tabs-0").set_value(tab).run()
    assert not at.exception and not at.error
    assert ("imported", "minsu.parquet") in [(metric.value, str(metric.delta).replace("\\", "")) for metric in at.metric]


def test_it_is_listed_as_imported(open_page: OpenPage, imported: Run) -> None:
    (table,) = [frame.value for frame in open_page("runs").dataframe]
    assert dict(zip(table["run"], table["backbone"], strict=True)) == {"minsu": "imported", "own": "sentence-transformers/all-MiniLM-L6-v2"}


def test_a_submission_says_what_of_it_was_imported_and_on_which_folds_it_stands(
    open_page: OpenPage, opened: Workspace, folded: Contest, imported: Run
) -> None:
    folds = list_folds(opened.store, folded.id)[0]
    part = finish_run(opened, folded, folds, make_recipe(folded, "part"), n_done=2)
    both = [imported, part]
    blend = blend_runs(opened, folded, both, BlendProcedure(), fold_numbers=shared_folds(both))
    for source in (imported, blend):
        write_submission(source_of(opened, source))
    at = open_page("submit", source=blend.ref)
    assert not at.exception and not at.error
    assert "weighed and scored on folds 0, 1 of 3 only" in "\n".join(part.value for part in at.warning)
    lineage = at.dataframe[-1].value
    assert lineage["recipe"].tolist() == ["imported", f"#{part.recipe.fingerprint[:12]}"]
    assert [len(folds) for folds in lineage["folds"]] == [3, 2]
    picker = at.selectbox(key="source-picker")
    assert picker.value == blend.ref and "(2/3)" in picker.options[-1], "a score of some rows never leads the list"
