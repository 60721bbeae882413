"""Runs, Ensemble, Errors and Submit with runs that are done, run, wait and have failed; all without a browser."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.base.errors import StateError
from core.blend.ensemble import open_ensemble
from core.folds import save_folds
from core.jobs import launch, queue
from core.predictions.source import load_matrix, source_of
from core.specs.folds import FoldsSpec
from core.store.blends import list_blends, list_submissions
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import Run, get_run, list_runs, note_run
from core.submission.write import read_submission
from core.workspace import Workspace
from tests.app.eyes import cv_text
from tests.app.hands import unfold
from tests.finished_workspace import claim, fail_job, finish_run, make_recipe, run_halfway

OpenPage = Callable[..., AppTest]


@pytest.fixture
def done(opened: Workspace, folded: Contest, folds: Folds) -> tuple[Run, Run]:
    """Two finished runs; the first is the better one."""
    return (
        finish_run(
            opened, folded, folds, make_recipe(folded, "strong", backbone="sentence-transformers/all-MiniLM-L12-v2"), strength=3.0, seed=1
        ),
        finish_run(opened, folded, folds, make_recipe(folded, "weak", lr=0.01), strength=1.0, seed=2),
    )


def words(at: AppTest) -> str:
    """All text a page shows, its figures included, without the escapes of markdown."""
    parts = [*at.title, *at.subheader, *at.markdown, *at.caption, *at.error, *at.warning, *at.success, *at.info]
    figures = [f"{metric.label} {metric.value} {metric.delta}" for metric in at.metric]
    return "\n".join([*(str(part.value) for part in parts), *figures]).replace("\\", "")


def press(at: AppTest, label: str) -> AppTest:
    (button,) = [button for button in at.button if button.label == label]
    return button.click().run()


def test_the_list_of_runs_shows_scores_states_and_the_best(open_page: OpenPage, done: tuple[Run, Run]) -> None:
    at = open_page("runs")
    assert not at.exception
    (table,) = [frame.value for frame in at.dataframe]
    assert table["run"].tolist() == ["weak", "strong"]
    assert table["done"].tolist() == ["3/3", "3/3"]
    assert [len(scores) for scores in table["folds"]] == [3, 3]
    best = done[0].cv_score("accuracy")
    assert f"{best:.4f}" in at.metric[0].value
    assert "strong" in str(at.metric[0].delta)


def test_a_running_fold_is_shown_with_epoch_step_pace_and_end(
    open_page: OpenPage, opened: Workspace, folded: Contest, folds: Folds
) -> None:
    recipe = make_recipe(folded, "busy", epochs=6)
    launch.launch_run(opened, folded, folds, recipe)
    run_halfway(opened, claim(opened), recipe)
    at = open_page("runs")
    assert not at.exception
    assert [metric.value for metric in at.metric[1:3]] == ["1", "2"]
    text = "\n".join(str(part.body) for part in at.get("html"))
    for word in ("busy", "fold 0", "epoch 4/6", "step 41/104", "812 rows/s", "loss 0.312", "left"):
        assert word in text


def test_a_run_in_the_address_opens_with_its_curves(open_page: OpenPage, done: tuple[Run, Run]) -> None:
    at = open_page("runs", run=done[0].ref)
    assert not at.exception
    assert at.metric[0].value.startswith(f"{done[0].cv_score('accuracy'):.4f}")
    assert len(at.get("vega_lite_chart")) == 2
    for tab, shown in (("folds", "state"), ("recipe", "setting")):
        at.segmented_control(key="run-tabs-0").set_value(tab).run()
        assert not at.exception
        assert shown in at.dataframe[0].value.columns
    at.segmented_control(key="run-tabs-0").set_value("log").run()
    assert "no log" in words(at)


def test_a_run_that_is_gone_falls_back_to_the_list(open_page: OpenPage, done: tuple[Run, Run]) -> None:
    at = open_page("runs", run="r99")
    assert not at.exception
    assert len(at.dataframe) == 1


def test_a_failed_run_says_why_and_its_log_is_one_click_away(open_page: OpenPage, opened: Workspace, folded: Contest, folds: Folds) -> None:
    run = launch.launch_run(opened, folded, folds, make_recipe(folded, "huge"))
    fail_job(opened, claim(opened), log="step 1\nthe device ran out of memory\n")
    at = open_page("runs", run=run.ref)
    assert "halve train.batch_size" in words(at)
    at = press(at, "Show the log")
    assert not at.exception
    assert "the device ran out of memory" in at.code[-1].value


def test_a_note_stands_in_the_list_of_runs(open_page: OpenPage, opened: Workspace, done: tuple[Run, Run]) -> None:
    assert "note" not in open_page("runs").dataframe[0].value
    note_run(opened.store, done[0].id, "larger images")
    table = open_page("runs").dataframe[0]
    assert "note" in table.proto.column_order and sorted(table.value["note"]) == ["", "larger images"]


def test_canceling_is_asked_for_first(open_page: OpenPage, opened: Workspace, folded: Contest, folds: Folds) -> None:
    waiting = launch.launch_run(opened, folded, folds, make_recipe(folded, "waiting"))
    at = press(open_page("runs", run=waiting.ref), "Cancel")
    assert "will stop within one step" in words(at)
    assert get_run(opened.store, waiting.id).state == "queued"


def test_a_canceled_run_is_queued_again(open_page: OpenPage, opened: Workspace, folded: Contest, folds: Folds) -> None:
    run = launch.launch_run(opened, folded, folds, make_recipe(folded, "again"))
    queue.cancel_run(opened.store, run.id)
    at = press(open_page("runs", run=run.ref), "Retry 3 folds")
    assert not at.exception
    assert get_run(opened.store, run.id).state == "queued"


def test_the_editor_scores_equal_weights_and_saves_them(
    open_page: OpenPage, opened: Workspace, folded: Contest, done: tuple[Run, Run]
) -> None:
    at = open_page("ensemble")
    assert not at.exception
    ensemble = open_ensemble(opened, folded, done)
    assert at.metric[0].value == cv_text(ensemble.score([1, 1]))
    assert at.metric[3].value == cv_text(max(ensemble.member_scores(), key=lambda score: score.cv_score))
    assert "needs no cross-fitting" in words(at)
    at = press(at, "Save blend")
    assert not at.exception
    (blend,) = list_blends(opened.store, folded.id)
    assert blend.spec.normalised() == pytest.approx((0.5, 0.5))
    assert blend.name in at.dataframe[0].value["name"].tolist()


def test_a_blend_cannot_be_saved_under_what_cannot_be_seen(open_page: OpenPage, opened: Workspace, done: tuple[Run, Run]) -> None:
    at = open_page("ensemble")
    (name,) = [box for box in at.text_input if box.label == "Name"]
    name.set_value("a\u200bb")
    at = press(at, "Save blend")
    assert "cannot be a name" in words(at) + "".join(str(error.proto) for error in at.error)
    assert not list_blends(opened.store)


def test_runs_that_cannot_be_blended_are_named_with_the_reason(
    open_page: OpenPage, opened: Workspace, folded: Contest, folds: Folds, done: tuple[Run, Run]
) -> None:
    finish_run(opened, folded, folds, make_recipe(folded, "half"), n_done=1)
    queue.cancel_run(opened.store, list_runs(opened.store)[0].id)
    other = save_folds(opened, folded, FoldsSpec(n_folds=2, seed=3))
    finish_run(opened, folded, other, make_recipe(folded, "elsewhere"))
    at = open_page("ensemble")
    assert not at.exception
    said = words(unfold(at, "left-out-"))
    assert "half**: 1 of 3 folds done" in said and "elsewhere**: trained on other folds" in said
    (members,) = [group for group in at.button_group if group.label == "Runs in the blend"]
    assert {option.split(" ")[0] for option in members.options} == {"strong", "weak"}


def test_errors_lead_with_the_most_confused_pair(open_page: OpenPage, opened: Workspace, folded: Contest, done: tuple[Run, Run]) -> None:
    at = open_page("errors", source=done[1].ref)
    assert not at.exception
    evidence = load_matrix([source_of(opened, done[1])])
    n_wrong = int((evidence.y_pred != evidence.y_true).sum())
    assert f"**{n_wrong}** of 48" in words(at)
    assert " predicted as " in at.subheader[0].value
    at.segmented_control(key="errors-view-errors-3").set_value("errors.view_classes").run()
    assert not at.exception
    assert at.dataframe[0].value["support"].sum() == 48


def test_an_unfinished_run_is_looked_at_with_what_it_has(opened: Workspace, open_page: OpenPage, folded: Contest, folds: Folds) -> None:
    run = finish_run(opened, folded, folds, make_recipe(folded, "half"), n_done=2)
    evidence = load_matrix([source_of(opened, run)])
    assert not evidence.is_whole
    assert np.isfinite(evidence.y_prob).all()
    at = open_page("errors")
    assert f"{len(evidence.rows)} of 48 rows are validated so far" in words(at)
    waiting = launch.launch_run(opened, folded, folds, make_recipe(folded, "none"))
    with pytest.raises(StateError):
        load_matrix([source_of(opened, waiting)])


def test_a_submission_is_checked_written_and_remembered(
    open_page: OpenPage, opened: Workspace, folded: Contest, done: tuple[Run, Run]
) -> None:
    at = open_page("submit", source=done[0].ref)
    assert not at.exception
    assert "checks passed" in words(at)
    at = press(at, "Write submission")
    assert not at.exception
    (submission,) = list_submissions(opened.store, folded.id)
    assert submission.source == done[0].ref
    assert read_submission(opened, submission).decode().count("\n") == submission.n_rows + 1
    ledger = at.dataframe[1].value
    assert ledger["file"].tolist() == [submission.filename]
    assert submission.sha256 in words(at)
    assert f"byte for byte the file of {submission.ref}" in words(at)


def test_a_source_in_the_address_that_is_gone_becomes_the_best(open_page: OpenPage, done: tuple[Run, Run]) -> None:
    for name in ("errors", "submit"):
        at = open_page(name, source="b77")
        assert not at.exception and ["b77" in toast.value for toast in at.toast] == [True]
        assert at.selectbox(key="source-picker").value == done[0].ref
