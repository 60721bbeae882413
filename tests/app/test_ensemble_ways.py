"""Ways to weights on the page Ensemble: each is one click and one undo, is judged honestly, and is forgotten by a hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from app.blend_ways import Found, are_same, find, is_untuned, make_procedure
from app.desk import Desk
from app.weight_bank import BankState, equal_state
from core.blend.bank import open_bank
from core.store.blends import list_blends
from core.store.contests import Contest
from core.store.folds import list_folds
from core.store.runs import Run
from core.workspace import Workspace
from tests.finished_workspace import finish_run, make_recipe

OpenPage = Callable[..., AppTest]
NO_SCORE = "–"


@pytest.fixture
def done(house: Workspace, folded: Contest) -> tuple[Run, ...]:
    """Three finished runs, the best first."""
    folds = list_folds(house.store, folded.id)[0]
    strengths = {"strong": 2.5, "middle": 1.2, "weak": 0.3}
    return tuple(
        finish_run(house, folded, folds, make_recipe(folded, name), strength=strength, seed=seed)
        for seed, (name, strength) in enumerate(strengths.items())
    )


def words(at: AppTest) -> str:
    return "\n".join(str(part.value) for part in [*at.info, *at.warning, *at.success, *at.caption])


def press(at: AppTest, label: str) -> AppTest:
    (button,) = [button for button in at.button if button.label == label]
    return button.click().run()


def weights_of(at: AppTest, folds_id: int) -> dict[int, float]:
    return dict(at.session_state[f"desk-{folds_id}"].state.weights)


@pytest.mark.parametrize(("label", "way"), [("By score", "by_score"), ("Optimal", "optimal"), ("Greedy", "greedy")])
def test_a_way_is_one_click_and_one_undo_and_is_judged_honestly(
    open_page: OpenPage, house: Workspace, folded: Contest, done: tuple[Run, ...], label: str, way: str
) -> None:
    at = open_page("ensemble")
    assert at.metric[1].value == NO_SCORE
    at = press(at, label)
    assert not at.exception
    bank = open_bank(house, folded, done)
    honest = bank.honest(make_procedure(way, "arithmetic", bank.metric.name))  # pyright: ignore[reportArgumentType]
    weights = weights_of(at, done[0].folds_id)
    assert weights == pytest.approx(dict(zip([run.id for run in done], honest.steps.normalised(), strict=True)))
    assert at.metric[0].value == f"{honest.optimistic:.4f}"
    assert at.metric[1].value == f"{honest.score:.4f}"
    assert f"**{label}** gains {honest.gain:+.4f}" in words(at)
    at = press(at, "Save blend")
    (blend,) = list_blends(house.store, folded.id)
    assert blend.scores["honest"]["gain_low"] == pytest.approx(honest.gain_low)
    at = press(at, "Undo")
    assert weights_of(at, done[0].folds_id) == pytest.approx(equal_state([run.id for run in done]).weights)
    assert "nothing was tuned" in str(at.metric[1].delta)


def test_a_gain_that_may_be_luck_offers_equal_weights(open_page: OpenPage, done: tuple[Run, ...]) -> None:
    at = press(open_page("ensemble"), "By score")
    assert "may be luck" in words(at)
    at = press(at, "Use equal weights")
    assert not at.exception
    assert weights_of(at, done[0].folds_id) == pytest.approx(equal_state([run.id for run in done]).weights)
    assert "their score is honest as it stands" in words(at)


def test_a_saved_blend_keeps_its_mean_and_gives_it_back(
    open_page: OpenPage, house: Workspace, folded: Contest, done: tuple[Run, ...]
) -> None:
    at = open_page("ensemble")
    (means,) = [group for group in at.button_group if group.label == "Mean"]
    means.set_value("logit").run()
    assert "cannot be refitted" in words(at), "the mean was chosen by looking"
    bank = open_bank(house, folded, done)
    at = press(at, "Optimal")
    honest = bank.honest(make_procedure("optimal", "logit", bank.metric.name))
    assert at.metric[1].value == f"{honest.score:.4f}"
    press(at, "Save blend")
    (blend,) = list_blends(house.store, folded.id)
    assert blend.spec.mean == "logit"
    assert blend.scores["oof_score"] == pytest.approx(honest.optimistic)


def test_no_optimum_is_promised_where_none_can_be_proved(open_page: OpenPage, done: tuple[Run, ...]) -> None:
    at = open_page("ensemble")
    (means,) = [group for group in at.button_group if group.label == "Mean"]
    at = means.set_value("hard").run()
    assert not at.exception
    assert [button.disabled for button in at.button if button.label == "Optimal"] == [True]
    assert not press(at, "Greedy").exception


def test_weights_that_were_moved_by_hand_are_no_longer_those_of_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    content = ("runs",)
    found = Found(content, make_procedure("greedy", "arithmetic", "accuracy"), {1: 0.75, 2: 0.25})
    monkeypatch.setattr("app.blend_ways.st.session_state", {"ways-found-1": [found]})
    desk = Desk(BankState({1: 0.75 + 1e-12, 2: 0.25 - 1e-12}, frozenset(), 0))
    assert find(desk, 1, "arithmetic", content) is found
    assert find(desk, 1, "logit", content) is None
    assert find(desk, 1, "arithmetic", ("other runs",)) is None
    desk.follow(BankState({1: 0.76, 2: 0.24}, frozenset(), 1))
    assert find(desk, 1, "arithmetic", content) is None
    desk.undo()
    assert find(desk, 1, "arithmetic", content) is found


def test_equal_weights_count_as_untuned_only_under_the_plain_mean() -> None:
    desk = Desk(equal_state([1, 2, 3]))
    assert is_untuned(desk, "arithmetic")
    assert not is_untuned(desk, "rank")
    assert not are_same({1: 1.0}, {2: 1.0})
