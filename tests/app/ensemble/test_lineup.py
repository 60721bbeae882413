"""Who takes part in a blend: runs that cannot are named with the reason; runs that miss folds are let in only by choice."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import update
from streamlit.testing.v1 import AppTest

from core.blend.ensemble import open_ensemble
from core.jobs import launch
from core.predictions.oof import shared_folds
from core.store import tables
from core.store.blends import list_blends
from core.store.contests import Contest
from core.store.digests import write_digests
from core.store.folds import Folds
from core.store.runs import Run, get_run
from core.workspace import Workspace
from tests.app.eyes import cv_text, state_of
from tests.app.hands import unfold
from tests.finished_workspace import claim, finish_job, finish_run, make_recipe

OpenPage = Callable[..., AppTest]


@pytest.fixture
def whole(opened: Workspace, folded: Contest, folds: Folds) -> Run:
    return finish_run(opened, folded, folds, make_recipe(folded, "whole"), strength=2.0, seed=1)


@pytest.fixture
def part(opened: Workspace, folded: Contest, folds: Folds) -> Run:
    """A run that has finished folds 0 and 1 of three."""
    return finish_run(opened, folded, folds, make_recipe(folded, "part"), strength=1.5, seed=2, n_done=2)


def last_fold_only(opened: Workspace, contest: Contest, folds: Folds) -> Run:
    recipe = make_recipe(contest, "late")
    run = launch.launch_run(opened, contest, folds, recipe, fold_numbers=[2])
    finish_job(opened, contest, folds, claim(opened), recipe, strength=1.0, seed=3)
    return get_run(opened.store, run.id)


def words(at: AppTest) -> str:
    parts = [*at.markdown, *at.caption, *at.error, *at.warning, *at.info]
    return "\n".join(str(part.value) for part in parts).replace("\\", "")


def offered(at: AppTest) -> list[str]:
    (members,) = [group for group in at.button_group if group.label == "Runs in the blend"]
    return list(members.options)


def share(at: AppTest, folds: Folds) -> AppTest:
    return at.segmented_control(key=f"pick-unfinished-{folds.id}-0").set_value("share").run()


def test_a_run_that_misses_folds_stays_out_until_it_is_let_in(
    open_page: OpenPage, opened: Workspace, folded: Contest, folds: Folds, whole: Run, part: Run
) -> None:
    at = open_page("ensemble")
    assert not at.exception
    assert [name.split(" ")[0] for name in offered(at)] == ["whole"]
    assert "part**: 2 of 3 folds done" in words(unfold(at, "left-out-")) and "stands on folds" not in words(at)
    at = share(at, folds)
    assert [name.split(" ")[0] for name in offered(at)] == ["whole", "part"] and offered(at)[1].endswith("(2/3)")
    assert state_of(at, folds.id).members == [whole.id], "offered, not chosen"
    (members,) = [group for group in at.button_group if group.label == "Runs in the blend"]
    at = members.set_value([whole.id, part.id]).run()
    assert not at.exception
    assert "stands on folds 0, 1 of 3 only. Missing: **part** 2" in words(at) and "every finished fold of each run" in words(at)
    ensemble = open_ensemble(opened, folded, [whole, part], shared_folds([whole, part]))
    assert at.metric[0].value == cv_text(ensemble.score([1, 1]))
    (save,) = [button for button in at.button if button.label == "Save blend"]
    at = save.click().run()
    assert not at.exception
    (blend,) = list_blends(opened.store, folded.id)
    assert (blend.spec.folds, blend.spec.networks) == ((0, 1), ((0, 1, 2), (0, 1)))


def test_leaving_them_out_again_takes_the_run_from_the_blend(open_page: OpenPage, folds: Folds, whole: Run, part: Run) -> None:
    at = share(open_page("ensemble"), folds)
    (members,) = [group for group in at.button_group if group.label == "Runs in the blend"]
    at = members.set_value([whole.id, part.id]).run()
    at = at.segmented_control(key=f"pick-unfinished-{folds.id}-0").set_value("leave").run()
    assert not at.exception
    assert state_of(at, folds.id).members == [whole.id]
    assert "stands on folds" not in words(at)


def test_of_many_runs_the_best_stand_side_by_side_and_the_others_join_by_name(
    open_page: OpenPage, opened: Workspace, folded: Contest, folds: Folds, whole: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.ensemble.lineup.MOST_SIDE_BY_SIDE", 1)
    monkeypatch.setattr("app.ensemble.lineup.MOST_AT_FIRST", 1)
    weak = finish_run(opened, folded, folds, make_recipe(folded, "weak"), strength=0.5, seed=4)
    weaker = finish_run(opened, folded, folds, make_recipe(folded, "weaker"), strength=0.2, seed=5)

    def others(at: AppTest) -> list[str]:
        return [name.split(" ")[0] for box in at.selectbox if box.label == "Add another run" for name in box.options]

    at = open_page("ensemble")
    assert [name.split(" ")[0] for name in offered(at)] == ["whole"] and others(at) == ["weak", "weaker"]
    for joining, left in ((weak, ["weaker"]), (weaker, [])):
        (box,) = [box for box in at.selectbox if box.label == "Add another run"]
        at = box.select(joining.id).run()
        assert not at.exception
        assert others(at) == left, "chosen, and the picker is empty again"
    assert state_of(at, folds.id).members == [whole.id, weak.id, weaker.id] and len(offered(at)) == 3
    (members,) = [group for group in at.button_group if group.label == "Runs in the blend"]
    at = members.set_value([whole.id, weaker.id]).run()
    assert not at.exception
    assert state_of(at, folds.id).members == [whole.id, weaker.id] and len(offered(at)) == 3, "what was taken out can be put back"


def test_where_no_run_has_all_folds_the_choice_is_offered(open_page: OpenPage, folds: Folds, part: Run) -> None:
    at = open_page("ensemble")
    assert not at.exception
    assert "No run has finished all its folds yet" in words(at)
    at = share(at, folds)
    (members,) = [group for group in at.button_group if group.label == "Runs in the blend"]
    at = members.set_value([part.id]).run()
    assert not at.exception and at.metric


def test_a_single_shared_fold_is_scored_and_said_to_be_beyond_judgement(
    open_page: OpenPage, opened: Workspace, folded: Contest, folds: Folds, whole: Run
) -> None:
    first = finish_run(opened, folded, folds, make_recipe(folded, "first"), n_done=1)
    at = share(open_page("ensemble"), folds)
    (members,) = [group for group in at.button_group if group.label == "Runs in the blend"]
    at = members.set_value([whole.id, first.id]).run()
    assert not at.exception
    assert "stands on folds 0 of 3 only" in words(at) and "single fold" in words(at) and at.metric


def test_runs_without_a_common_fold_are_refused_with_the_reason(
    open_page: OpenPage, opened: Workspace, folded: Contest, folds: Folds
) -> None:
    late = last_fold_only(opened, folded, folds)
    early = finish_run(opened, folded, folds, make_recipe(folded, "early"), n_done=2)
    at = share(open_page("ensemble"), folds)
    (members,) = [group for group in at.button_group if group.label == "Runs in the blend"]
    at = members.set_value([late.id, early.id]).run()
    assert not at.exception
    assert "early has 0, 1" in words(at) and "late has 2" in words(at)


def test_predictions_of_another_version_of_the_data_are_refused_on_the_page(
    open_page: OpenPage, opened: Workspace, folded: Contest, whole: Run
) -> None:
    with opened.store.transaction() as connection:
        connection.execute(update(tables.contests).where(tables.contests.c.id == folded.id).values(fingerprint="f" * 64))
        write_digests(connection, "contests")
    at = open_page("ensemble")
    assert not at.exception
    assert "another version of the contest" in "\n".join(str(card.proto) for card in at.error)
    assert not at.metric
