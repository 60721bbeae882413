"""What each member does for the blend: measured by a click, kept by content, the same as core says, and silent during a drag."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from app.ensemble import members as members_view
from app.ensemble.draft import draft_of, equal_draft
from app.ensemble.members import pair_chart
from app.ensemble.session import computed
from core.analysis.compare import Carried, carried_classes
from core.blend.ensemble import open_ensemble, spec_of
from core.blend.procedure import BlendProcedure
from core.specs.blend import BlendSteps
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import Run
from core.workspace import Workspace
from tests.app.eyes import state_of
from tests.blend.blend_data import leave_one_out
from tests.finished_workspace import finish_run, make_recipe

OpenPage = Callable[..., AppTest]


@pytest.fixture
def runs(opened: Workspace, folded: Contest, folds: Folds) -> tuple[Run, ...]:
    """Three finished runs, the best first."""
    strengths = {"strong": 2.5, "middle": 1.2, "weak": 0.3}
    return tuple(
        finish_run(opened, folded, folds, make_recipe(folded, name), strength=strength, seed=seed)
        for seed, (name, strength) in enumerate(strengths.items())
    )


def open_members(open_page: OpenPage) -> AppTest:
    at = open_page("ensemble")
    (parts,) = [group for group in at.button_group if "Understand members" in group.options]
    return parts.set_value("members").run()


def press(at: AppTest, label: str) -> AppTest:
    (button,) = [button for button in at.button if button.label == label]
    return button.click().run()


def measure(at: AppTest) -> AppTest:
    return at.button(key="measure-members").click().run()


def table(at: AppTest, column: str) -> pd.DataFrame:
    (found,) = [frame.value for frame in at.dataframe if column in frame.value.columns]
    return found


def words(at: AppTest) -> str:
    return "\n".join(str(part.value) for part in [*at.caption, *at.markdown, *at.error]).replace("\\", "")


def test_nothing_is_measured_until_it_is_asked_for(open_page: OpenPage, runs: tuple[Run, ...]) -> None:
    at = open_members(open_page)
    assert not at.exception
    members = table(at, "without")
    assert members["run"].tolist() == ["strong", "middle", "weak"]
    assert members["without"].isna().all() and members["gain"].isna().all()
    assert "Measured" not in words(at) and "measure the worth above" in words(at)
    assert len(computed()) == 0


def test_the_worth_is_that_of_core_and_is_kept(
    open_page: OpenPage, opened: Workspace, folded: Contest, runs: tuple[Run, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    at = measure(open_members(open_page))
    assert not at.exception
    ensemble = open_ensemble(opened, folded, runs)
    worths = leave_one_out(ensemble.scorer, BlendProcedure())
    shown = table(at, "without")
    assert shown["without"].tolist() == pytest.approx([worth.other for worth in worths])
    assert [text.split(" ")[0] for text in shown["gain"]] == [f"{round(worth.gain, 4) + 0.0:+.4f}" for worth in worths]
    assert set(shown["says"]) <= {"helps", "hurts", "may be luck"}
    assert "Measured under the weights in this table (Equal)" in words(at)
    carried = carried_classes(ensemble.scorer, BlendSteps(weights=ensemble.equal_weights))
    classes = table(at, "carried").set_index("class")
    assert [classes["carried"][name] for name in folded.spec.classes] == pytest.approx(carried.f1[0].tolist())
    told = {name: bool(is_carried) for name, is_carried in zip(folded.spec.classes, carried.is_carried[0], strict=True)}
    assert {name: word == "carried by it" for name, word in classes["stands"].items()} == told

    def never(*_: object, **__: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(members_view, "worth_of", never)
    at = measure(at)
    assert not at.exception and table(at, "without")["without"].tolist() == pytest.approx([worth.other for worth in worths])


def test_what_may_be_chance_is_counted_and_not_announced(
    open_page: OpenPage, folded: Contest, runs: tuple[Run, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def made_up(*_: object, **__: object) -> Carried:
        f1 = np.array([[0.2, 0.1]] * 3)
        clear = np.array([[True, False]] * 3)
        return Carried(f1, np.full((3, 2), 9), np.full((3, 2), 1), clear)

    monkeypatch.setattr(members_view, "carried_classes", made_up)
    at = measure(open_members(open_page))
    assert not at.exception
    first, second = folded.spec.classes
    assert f"more than chance, most in **{first}** +0.200." in words(at) and f"**{second}**" not in words(at)
    assert "no more than may be chance: 1" in words(at)
    assert table(at, "stands")["stands"].tolist() == ["carried by it", "may be luck"]
    clear_of_none = Carried(np.full((3, 2), 0.1), np.full((3, 2), 1), np.zeros((3, 2), np.int64), np.zeros((3, 2), np.bool_))
    computed().clear()
    monkeypatch.setattr(members_view, "carried_classes", lambda *_, **__: clear_of_none)
    at = measure(open_members(open_page))
    assert "In no class does the blend lose F1 without it by more than chance." in words(at)
    assert "no more than may be chance: 2" in words(at)


def test_after_the_blend_has_changed_the_old_measure_is_said_to_be_old(open_page: OpenPage, runs: tuple[Run, ...]) -> None:
    at = measure(open_members(open_page))
    at = press(at, "Optimal")
    assert not at.exception
    assert "blend has changed since: these figures belong to the weights in this table (Equal)" in words(at)
    assert table(at, "without")["weight"].tolist() == pytest.approx([1 / 3] * 3)
    at = measure(at)
    assert "Measured under the weights in this table (Optimal)" in words(at)
    assert table(at, "without")["weight"].tolist() != pytest.approx([1 / 3] * 3)
    at = press(at, "Undo")
    assert "Measured under the weights in this table (Equal)" in words(at), "what was measured stays"


def test_measuring_goes_on_where_it_was_left(
    opened: Workspace, folded: Contest, runs: tuple[Run, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    ensemble, draft, measured = (
        open_ensemble(opened, folded, runs),
        equal_draft(3),
        members_view.Measured.of(equal_draft(3)),
    )
    given, asked = members_view.worth_of, []

    def interrupted(*rest: Any, **more: Any) -> Any:
        asked.append(rest[2])
        if len(asked) == 2:
            raise RuntimeError("the page was left")
        return given(*rest, **more)

    monkeypatch.setattr(members_view, "worth_of", interrupted)
    with pytest.raises(RuntimeError):
        members_view.measure(measured, ensemble, draft)
    assert sorted(measured.worths) == [0] and not measured.is_whole
    members_view.measure(measured, ensemble, draft)
    assert asked == [0, 1, 1, 2] and measured.is_whole


def test_a_saved_blend_whose_way_is_unknown_is_measured_as_it_stands(opened: Workspace, folded: Contest, runs: tuple[Run, ...]) -> None:
    ensemble = open_ensemble(opened, folded, runs)
    steps = ensemble.fit(BlendProcedure(way="by_class"))
    spec = spec_of([run.id for run in runs], steps)
    draft = draft_of(spec, None)
    measured = members_view.Measured.of(draft)
    assert not measured.is_refitted
    members_view.measure(measured, ensemble, draft)
    assert measured.is_whole and measured.everyone is not None
    score = measured.worths[0].score
    assert score == pytest.approx(ensemble.score(steps).oof_score, abs=1e-6)


def test_a_member_is_left_out_by_its_action(open_page: OpenPage, folds: Folds, runs: tuple[Run, ...]) -> None:
    at = open_members(open_page)
    state_of(at, folds.id).members = [run.id for run in runs[:2]]
    at = at.run()
    assert not at.exception
    assert table(at, "without")["run"].tolist() == ["strong", "middle"]


def test_one_member_alone_has_no_worth(open_page: OpenPage, folds: Folds, runs: tuple[Run, ...]) -> None:
    at = open_members(open_page)
    state_of(at, folds.id).members = [runs[0].id]
    at = at.run()
    assert not at.exception and "Choose at least two runs" in words(at)


def test_a_single_shared_fold_cannot_be_measured_and_says_why(
    open_page: OpenPage, opened: Workspace, folded: Contest, folds: Folds, runs: tuple[Run, ...]
) -> None:
    first = finish_run(opened, folded, folds, make_recipe(folded, "first"), n_done=1)
    at = open_members(open_page)
    at = at.segmented_control(key=f"pick-unfinished-{folds.id}-0").set_value("share").run()
    state_of(at, folds.id).members = [runs[0].id, first.id]
    at = measure(at.run())
    assert not at.exception and "needs two folds" in "\n".join(str(card.proto) for card in at.error)


def test_twenty_members_of_many_classes_make_one_square(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.ensemble.members.t", lambda key: key)
    values = np.random.default_rng(0).random((20, 20))
    values[3] = np.nan
    chart = pair_chart(values, [f"run-{place}" for place in range(20)], "correlation", is_dark=True)
    assert len(chart.data) == 400
    empty = chart.data["value"].isna()
    assert empty.sum() == 20 + 19, "the diagonal, and a run that never errs"
    one = chart.data[(chart.data["one"] == "run-1") & (chart.data["other"] == "run-2")]
    assert one["value"].item() == values[1, 2]
