"""Blends and runs side by side: scores and weights as they were saved, and a verdict in words that is that of core."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.analysis.compare import compare_sources
from core.blend.ensemble import blend_runs, make_spec, save_blend
from core.blend.procedure import BlendProcedure
from core.folds import save_folds
from core.predictions.oof import shared_folds
from core.predictions.source import source_of
from core.specs.folds import FoldsSpec
from core.store.blends import Blend
from core.store.contests import Contest
from core.store.folds import list_folds
from core.store.runs import Run
from core.workspace import Workspace
from tests.finished_workspace import finish_run, make_recipe

OpenPage = Callable[..., AppTest]


@pytest.fixture
def runs(opened: Workspace, folded: Contest) -> tuple[Run, Run]:
    folds = list_folds(opened.store, folded.id)[0]
    return (
        finish_run(opened, folded, folds, make_recipe(folded, "good"), strength=4.0, seed=1),
        finish_run(opened, folded, folds, make_recipe(folded, "poor"), strength=0.0, seed=2),
    )


@pytest.fixture
def blends(opened: Workspace, folded: Contest, runs: tuple[Run, Run]) -> tuple[Blend, Blend]:
    ids = [run.id for run in runs]
    return save_blend(opened, folded, make_spec(ids, [9, 1]), name="무거운"), save_blend(opened, folded, make_spec(ids), name="equal")


def open_compare(open_page: OpenPage) -> AppTest:
    at = open_page("ensemble")
    (parts,) = [group for group in at.button_group if "Compare" in group.options]
    return parts.set_value("compare").run()


def words(at: AppTest) -> str:
    parts = [*at.caption, *at.success, *at.info, *at.error, *at.warning]
    return "\n".join(str(part.value) for part in parts).replace("\\", "")


def table(at: AppTest, column: str) -> pd.DataFrame:
    (found,) = [frame.value for frame in at.dataframe if column in frame.value.columns]
    return found


def test_blends_stand_side_by_side_with_scores_and_weights(open_page: OpenPage, blends: tuple[Blend, Blend], runs: tuple[Run, Run]) -> None:
    at = open_compare(open_page)
    assert not at.exception
    scores, weights = table(at, "oof"), table(at, "run")
    by_name = dict(zip(scores["name"], scores["oof"], strict=True))
    assert {blend.name: blend.scores.oof_score for blend in blends}.items() <= by_name.items()
    shares = weights.set_index("run")
    assert shares.loc["good", blends[0].ref] == pytest.approx(0.9) and shares.loc["poor", blends[1].ref] == pytest.approx(0.5)


def test_the_verdict_is_that_of_the_paired_bootstrap(
    open_page: OpenPage, opened: Workspace, folded: Contest, blends: tuple[Blend, Blend], runs: tuple[Run, Run]
) -> None:
    at = open_compare(open_page)
    at = at.multiselect[0].set_value([blends[0].ref, runs[1].ref]).run()
    assert not at.exception
    gain = compare_sources(source_of(opened, blends[0]), source_of(opened, runs[1])).comparison
    assert "무거운 is better than poor" in words(at) and f"{gain.gain:+.4f} (95 % interval {gain.gain_low:+.4f}" in words(at)
    assert "무거운 was tuned on these very rows" in words(at)
    at = at.selectbox(key="compare-one").set_value(runs[1].ref).run()
    assert not at.exception
    at = at.selectbox(key="compare-other").set_value(blends[0].ref).run()
    assert "무거운 is better than poor" in words(at) and f"gain of poor {-gain.gain:+.4f}" in words(at)
    at = at.selectbox(key="compare-other").set_value(runs[1].ref).run()
    assert "Choose two different ones" in words(at)


def test_only_rows_that_both_have_are_compared_and_their_number_is_said(
    open_page: OpenPage, opened: Workspace, folded: Contest, blends: tuple[Blend, Blend], runs: tuple[Run, Run]
) -> None:
    folds = list_folds(opened.store, folded.id)[0]
    part = finish_run(opened, folded, folds, make_recipe(folded, "part"), strength=1, n_done=2)
    blend = blend_runs(opened, folded, [runs[0], part], BlendProcedure(), name="two", fold_numbers=shared_folds([runs[0], part]))
    at = open_compare(open_page)
    at = at.multiselect[0].set_value([blends[0].ref, blend.ref]).run()
    assert not at.exception
    assert "Compared on 32 of 48 rows: only folds 0, 1 were finished by both" in words(at)
    assert dict(zip(table(at, "oof")["name"], table(at, "oof")["folds"], strict=True))["two"] == "2/3"


def test_sources_on_other_folds_are_refused_with_the_reason(
    open_page: OpenPage, opened: Workspace, folded: Contest, blends: tuple[Blend, Blend]
) -> None:
    others = save_folds(opened, folded, FoldsSpec(n_folds=2, seed=3))
    stranger = finish_run(opened, folded, others, make_recipe(folded, "elsewhere"))
    at = open_compare(open_page)
    at = at.multiselect[0].set_value([blends[0].ref, stranger.ref]).run()
    assert not at.exception
    assert "they stand on other folds" in words(at)


def test_one_alone_is_asked_for_company(open_page: OpenPage, opened: Workspace, folded: Contest) -> None:
    finish_run(opened, folded, list_folds(opened.store, folded.id)[0], make_recipe(folded, "only"))
    at = open_compare(open_page)
    assert not at.exception and "Two saved blends or runs are needed" in words(at)
