"""The page Ensemble where rows may have several classes: thresholds in place of offsets, and every control, chart and part beside the editor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from app.ensemble.draft import BlendEditor
from app.ensemble.editor import describe_thresholds
from app.ensemble.saved import load_blend
from app.ensemble.session import KEY
from app.ensemble.set_charts import outcome_bars
from core.analysis.compare import threshold_gain
from core.analysis.errors import OUTCOMES, set_report
from core.blend.ensemble import Ensemble, blend_runs, open_ensemble
from core.blend.procedure import BlendProcedure
from core.blend.steps import apply_steps
from core.contest.register import add_contest
from core.folds import save_folds
from core.predictions.oof import shared_folds
from core.predictions.source import source_of
from core.specs.blend import BlendSteps
from core.specs.folds import FoldsSpec
from core.store.blends import get_blend, list_blends
from core.store.contests import Contest
from core.store.folds import list_folds
from core.store.runs import Run
from core.workspace import Workspace
from tests.app import eyes
from tests.app.eyes import cv_text
from tests.app.hands import choose, flip, press
from tests.emotions import EMOTIONS, emotions_spec, finish_emotions, write_emotions
from tests.finished_workspace import finish_run, make_recipe

OpenPage = Callable[..., AppTest]
Done = tuple[Contest, tuple[Run, ...]]
WAYS = {
    "By score": "by_score",
    "Optimal": "optimal",
    "Hill climbing": "greedy",
    "Search": "search",
    "By class": "by_class",
    "Stacking": "stacking",
}


@pytest.fixture
def done(opened: Workspace, tmp_path: Path) -> Done:
    return finish_emotions(opened, tmp_path / "emotions")


@pytest.fixture
def ensemble(opened: Workspace, done: Done) -> Ensemble:
    return open_ensemble(opened, *done)


def part(at: AppTest, name: str) -> AppTest:
    (parts,) = [group for group in at.button_group if "Understand members" in group.options]
    return parts.set_value(name).run()


def words(at: AppTest) -> str:
    parts = [*at.info, *at.warning, *at.success, *at.caption, *at.markdown, *at.error]
    return "\n".join(str(part.value) for part in parts).replace("\\", "")


def table(at: AppTest, column: str) -> pd.DataFrame:
    (found,) = [frame.value for frame in at.dataframe if column in frame.value.columns]
    return found


def editor_of(at: AppTest, done: Done) -> BlendEditor:
    return eyes.editor_of(at, done[1][0])


def test_thresholds_are_found_cross_fitted_saved_and_undone(open_page: OpenPage, opened: Workspace, done: Done, ensemble: Ensemble) -> None:
    at = press(open_page("ensemble"), "Hill climbing")
    assert "Class offsets" not in [toggle.label for toggle in at.toggle]
    at = flip(at, "Thresholds by class")
    assert not at.exception
    honest = ensemble.honest(BlendProcedure(way="greedy", thresholds=True))
    steps = editor_of(at, done).draft.steps
    assert steps == honest.steps and len(steps.thresholds) == len(EMOTIONS)
    assert [at.metric[0].value, at.metric[1].value] == [cv_text(ensemble.score(honest.steps)), cv_text(honest)]
    said = words(at)
    assert "**Hill climbing, thresholds by class** gains" in said and "**Thresholds:**" in said
    at = press(at, "Save blend")
    (blend,) = list_blends(opened.store, done[0].id)
    assert blend.spec.steps == honest.steps and blend.scores.procedure["thresholds"]
    np.testing.assert_array_equal(source_of(opened, blend).oof(), apply_steps(honest.steps, ensemble.oof.prob, multilabel=True))
    assert table(at, "actions")["mean"].tolist() == ["Arithmetic · thresholds"]
    at = press(at, "Undo")
    assert editor_of(at, done).draft.steps == ensemble.fit(BlendProcedure(way="greedy"))
    assert editor_of(press(at, "Redo"), done).draft.steps == honest.steps


def test_under_log_loss_thresholds_are_refused_and_say_why(open_page: OpenPage, opened: Workspace, tmp_path: Path) -> None:
    finish_emotions(opened, tmp_path / "emotions", metric="log_loss")
    at = open_page("ensemble")
    (toggle,) = [toggle for toggle in at.toggle if toggle.label == "Thresholds by class"]
    assert toggle.disabled and "log loss" in toggle.help
    at = flip(press(at, "Optimal"), "Temperature")
    assert not at.exception and "**Optimal, temperature** gains" in words(at)
    assert "optimality gap" in words(at)


@pytest.mark.parametrize("metric", ["macro_f1", "accuracy"])
def test_every_way_works_with_all_that_comes_after(open_page: OpenPage, opened: Workspace, tmp_path: Path, metric: str) -> None:
    contest, runs = finish_emotions(opened, tmp_path / "emotions", metric=metric)
    ensemble = open_ensemble(opened, contest, runs)
    at = flip(flip(open_page("ensemble"), "Temperature"), "Thresholds by class")
    after = {"temperature": True, "thresholds": True}
    for label, way in WAYS.items():
        at = press(at, label)
        assert not at.exception and not at.error, label
        settings = {"way": way, "score_by": "macro_f1" if metric == "macro_f1" else "accuracy", **after}
        assert editor_of(at, (contest, runs)).draft.steps == ensemble.fit(BlendProcedure.model_validate(settings)), label


def test_every_mean_works_with_thresholds(open_page: OpenPage, done: Done, ensemble: Ensemble) -> None:
    at = flip(open_page("ensemble"), "Thresholds by class")
    for mean in ("logit", "power", "rank", "hard", "auto"):
        at = choose(at, "Mean", mean)
        assert not at.exception and not at.error, mean
        expected = ensemble.score(ensemble.fit(BlendProcedure.model_validate({"mean": mean, "thresholds": True})))
        assert at.metric[0].value == cv_text(expected), mean


def test_every_chart_can_be_looked_at_and_goes_with_its_way(open_page: OpenPage, done: Done) -> None:
    at = flip(press(open_page("ensemble"), "Hill climbing"), "Thresholds by class")
    (charts,) = [group for group in at.button_group if group.label == "Chart"]
    assert "confusion" not in charts.options
    for chart in ("folds", "outcomes", "thresholds", "path", "reliability"):
        at = choose(at, "Chart", chart)
        assert not at.exception and not at.error, chart
    assert "Every class of every row is one answer" in words(at) and "Thresholds leave probabilities" in words(at)
    at = choose(press(at, "By class"), "Chart", "classes")
    assert not at.exception and not at.error
    assert not press(flip(at, "Thresholds by class"), "Equal").exception, "the chart of one way goes with it"


def test_the_table_of_thresholds_is_that_of_core_and_waits_while_a_pointer_holds(
    open_page: OpenPage, done: Done, ensemble: Ensemble
) -> None:
    at = choose(flip(press(open_page("ensemble"), "Optimal"), "Thresholds by class"), "Chart", "thresholds")
    steps = editor_of(at, done).draft.steps
    found = threshold_gain(ensemble, steps, EMOTIONS)
    shown = table(at, "f1_honest")
    gain = shown["f1"] - shown["f1_before"]
    assert gain.is_monotonic_decreasing
    pd.testing.assert_frame_equal(shown.sort_index()[found.table.columns], found.table, check_dtype=False)
    assert found.honest is not None and f"{found.honest:.4f}" in words(at)
    editor = editor_of(at, done)
    weights = dict(zip(editor.ids, (0.2, 0.3, 0.5), strict=True))
    editor.follow(replace(editor.state, weights=weights, gesture=7, is_held=True))
    at = at.run()
    held = BlendSteps(weights=(0.2, 0.3, 0.5), thresholds=steps.thresholds)
    assert editor_of(at, done).draft.steps == held
    assert at.metric[0].value == cv_text(ensemble.score(held)), "the score follows"
    assert "this table follows when you let go" in words(at)
    pd.testing.assert_frame_equal(table(at, "f1_honest"), shown)
    editor = editor_of(at, done)
    editor.follow(replace(editor.state, is_held=False))
    at = at.run()
    after = ensemble.fit(BlendProcedure(way="hand", weights=(0.2, 0.3, 0.5), thresholds=True))
    assert editor_of(at, done).draft.steps == after
    assert set(table(at, "f1_honest")["threshold"]) == set(after.thresholds)


@pytest.mark.parametrize("metric", ["log_loss", "accuracy", "macro_f1"])
def test_the_score_follows_a_drag(open_page: OpenPage, opened: Workspace, tmp_path: Path, metric: str) -> None:
    done = finish_emotions(opened, tmp_path / "emotions", metric=metric)
    at = choose(open_page("ensemble"), "Chart", "outcomes")
    ensemble = open_ensemble(opened, *done)
    for gesture, weights in enumerate(((0.2, 0.3, 0.5), (0.8, 0.1, 0.1)), start=3):
        editor = editor_of(at, done)
        editor.follow(replace(editor.state, weights=dict(zip(editor.ids, weights, strict=True)), gesture=gesture, is_held=True))
        at = at.run()
        assert not at.exception
        assert at.metric[0].value == cv_text(ensemble.score(weights))


@pytest.mark.parametrize("way", ["greedy", "by_class", "stacking", "hand"])
def test_a_saved_blend_goes_back_into_the_editor_with_its_thresholds(
    open_page: OpenPage, opened: Workspace, done: Done, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    given = {"weights": (1, 2, 3)} if way == "hand" else {}
    procedure = BlendProcedure.model_validate({"way": way, "thresholds": True, **given})
    contest, runs = done
    blend = get_blend(opened.store, blend_runs(opened, contest, [runs[2], runs[0], runs[1]], procedure).id)
    at = open_page("ensemble")
    load_blend(at.session_state[KEY], blend)
    at = at.run()
    assert not at.exception
    assert at.metric[0].value == cv_text(blend.scores)
    draft = editor_of(at, done).draft
    assert draft.steps.thresholds == blend.spec.thresholds and draft.procedure.thresholds
    assert [toggle.value for toggle in at.toggle if toggle.label == "Thresholds by class"] == [True]
    if way != "hand":
        assert at.metric[1].value == cv_text(blend.scores.honest)


def test_members_are_measured_and_speak_of_answers(open_page: OpenPage, done: Done, ensemble: Ensemble) -> None:
    at = part(flip(press(open_page("ensemble"), "Optimal"), "Thresholds by class"), "members")
    assert "Share of answers" in words(at)
    at = at.button(key="measure-members").click().run()
    assert not at.exception and not at.error
    assert table(at, "without")["gain"].notna().all()
    classes = table(at, "carried").set_index("class")
    assert classes["rows"].to_dict() == dict(zip(EMOTIONS, ensemble.oof.y_true.sum(axis=0).tolist(), strict=True))
    assert "Measured under the weights in this table (Optimal, thresholds by class)" in words(at)


def test_blends_with_and_without_thresholds_are_compared(open_page: OpenPage, opened: Workspace, done: Done) -> None:
    contest, runs = done
    blend_runs(opened, contest, runs, BlendProcedure(way="optimal", thresholds=True), name="cut")
    blend_runs(opened, contest, runs, BlendProcedure(), name="plain")
    at = part(open_page("ensemble"), "compare")
    assert not at.exception
    assert table(at, "oof").set_index("name").loc["cut", "mean"] == "Arithmetic · thresholds"
    assert "95 % interval" in words(at)


def test_bars_stand_for_the_counts_of_each_class() -> None:
    rng = np.random.default_rng(0)
    y_true, y_pred = ((rng.random((50, 44)) < share).astype(np.int8) for share in (0.2, 0.3))
    y_true[:, 5] = y_pred[:, 5] = 0
    names = [f"감정 {label}" for label in range(44)]
    report = set_report(y_true, y_pred, names)
    chart = outcome_bars(report, set_report(y_true, y_true, names), is_dark=True)
    alt.LayerChart.from_dict({**chart.spec, "data": {"values": []}})
    rows = chart.data
    assert rows["count"].tolist() == report[list(OUTCOMES)].to_numpy().ravel().tolist()
    sums = rows.groupby("class", sort=False)["share"].sum()
    assert sums.drop("감정 5").tolist() == pytest.approx([1.0] * 43) and sums["감정 5"] == 0
    assert rows[rows["class"] == "감정 5"]["f1"].tolist() == ["–"] * 3


def test_the_thresholds_furthest_from_one_half_come_first() -> None:
    said = describe_thresholds((0.45, 0.1, 0.5, 0.8), list("abcd"))
    assert said.endswith("0.10 to 0.80, furthest from one half: b (0.10) · d (0.80) · a (0.45)")
    assert "best for every class" in describe_thresholds((0.5, 0.5), list("ab"))


def test_a_class_of_three_rows_breaks_nothing(open_page: OpenPage, opened: Workspace, tmp_path: Path) -> None:
    folder = write_emotions(tmp_path / "emotions", layout="columns")
    for name in ("train.csv", "sample_submission.csv"):
        given = pd.read_csv(folder / name)
        given.assign(경악=[1] * 3 + [0] * (len(given) - 3)).to_csv(folder / name, index=False)
    classes = (*EMOTIONS, "경악")
    contest = add_contest(opened, emotions_spec(folder, "columns", classes=classes))
    folds = save_folds(opened, contest, FoldsSpec(n_folds=3))
    for seed in range(2):
        finish_run(opened, contest, folds, make_recipe(contest, f"run-{seed}"), seed=seed)
    at = flip(open_page("ensemble"), "Thresholds by class")
    for label in WAYS:
        at = press(at, label)
        assert not at.exception and not at.error, label
    for chart in ("outcomes", "thresholds", "reliability"):
        assert not choose(at, "Chart", chart).exception, chart
    at = part(choose(at, "Chart", "thresholds"), "members")
    assert table(at, "f1_honest").set_index("class").loc["경악", "support"] == 3
    assert not at.exception and table(at, "lead").set_index("class").loc["경악", "rows"] == 3


def test_a_blend_on_some_folds_keeps_its_thresholds(
    open_page: OpenPage, opened: Workspace, done: Done, monkeypatch: pytest.MonkeyPatch
) -> None:
    contest, runs = done
    folds = list_folds(opened.store, contest.id)[0]
    half = finish_run(opened, contest, folds, make_recipe(contest, "half"), n_done=2)
    procedure = BlendProcedure(way="greedy", thresholds=True)
    blend = blend_runs(opened, contest, [runs[0], half], procedure, fold_numbers=shared_folds([runs[0], half]))
    at = open_page("ensemble").segmented_control(key=f"pick-unfinished-{folds.id}-0").set_value("share").run()
    load_blend(at.session_state[KEY], get_blend(opened.store, blend.id))
    at = choose(at.run(), "Chart", "thresholds")
    assert not at.exception and at.metric[0].value == cv_text(blend.scores)
    draft = editor_of(at, done).draft
    assert draft.is_by_hand and draft.procedure.thresholds and draft.steps.thresholds == blend.spec.thresholds
    assert len(blend.spec.folds) == 2 and table(at, "f1_honest")["f1_honest"].notna().all()
