"""The blend editor: every way is one step, is cross-fitted with all that was chosen beside it, and is saved exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app.ensemble import score
from core.base.errors import StateError
from core.blend.ensemble import Ensemble
from core.blend.honest import HonestScore
from core.blend.procedure import BlendProcedure
from core.blend.steps import apply_steps
from core.predictions.source import source_of
from core.store.blends import list_blends
from core.store.contests import Contest
from core.store.runs import Run
from core.workspace import Workspace
from tests.app.eyes import NO_SCORE, cv_text, editor_of, steps_of, words
from tests.app.hands import choose, flip, press, set_option

OpenPage = Callable[..., AppTest]


WAYS = [
    ("By score", BlendProcedure(way="by_score")),
    ("Optimal", BlendProcedure(way="optimal")),
    ("Hill climbing", BlendProcedure(way="greedy")),
    ("Search", BlendProcedure(way="search")),
    ("By class", BlendProcedure(way="by_class")),
    ("Stacking", BlendProcedure(way="stacking")),
]


@pytest.mark.parametrize(("label", "procedure"), WAYS, ids=[label for label, _ in WAYS])
def test_a_way_is_one_click_and_one_undo_and_is_cross_fitted(
    open_page: OpenPage,
    opened: Workspace,
    folded: Contest,
    done: tuple[Run, ...],
    ensemble: Ensemble,
    label: str,
    procedure: BlendProcedure,
) -> None:
    at = open_page("ensemble")
    assert at.metric[1].value == NO_SCORE
    at = press(at, label)
    assert not at.exception
    honest = ensemble.honest(procedure)
    assert steps_of(at, done[0]) == honest.steps
    assert at.metric[0].value == cv_text(ensemble.score(honest.steps))
    assert at.metric[1].value == cv_text(honest)
    said = f"gains {honest.gain:+.4f}" if honest.gain >= 0 else f"is {-honest.gain:.4f} worse"
    assert f"**{label}** {said}" in words(at)
    at = press(at, "Save blend")
    (blend,) = list_blends(opened.store, folded.id)
    assert blend.spec.steps == honest.steps
    np.testing.assert_array_equal(source_of(opened, blend).oof(), apply_steps(honest.steps, ensemble.oof.prob))
    assert blend.scores.honest.gain_low == pytest.approx(honest.gain_low)
    assert blend.scores.procedure["way"] == procedure.way
    at = press(at, "Undo")
    assert editor_of(at, done[0]).draft.is_untuned
    assert "nothing was tuned" in str(at.metric[1].delta)
    at = press(at, "Redo")
    assert steps_of(at, done[0]) == honest.steps
    assert at.metric[1].value == cv_text(honest), "what was computed is remembered"


def test_everything_that_is_chosen_is_refitted_in_the_cross_fitted_score(
    open_page: OpenPage, opened: Workspace, folded: Contest, done: tuple[Run, ...], ensemble: Ensemble
) -> None:
    at = press(open_page("ensemble"), "Hill climbing")
    at = set_option(at, "Bags", 3)
    at = choose(at, "Mean", "auto")
    at = flip(at, "Temperature")
    at = flip(at, "Class offsets")
    at = flip(at, "Select runs")
    assert not at.exception
    procedure = BlendProcedure(way="greedy", n_bags=3, mean="auto", temperature=True, offsets=True, chooses_members=True)
    honest = ensemble.honest(procedure)
    assert steps_of(at, done[0]) == honest.steps
    assert at.metric[1].value == cv_text(honest)
    said = words(at)
    assert "**Hill climbing, Auto mean, temperature, class offsets, selected runs** gains" in said
    for fact in ("**Auto** took the mean", "**Left out:**", f"**Temperature {honest.steps.temperature:.3f}:**", "On test rows"):
        assert fact in said
    at = press(at, "Save blend")
    (blend,) = list_blends(opened.store, folded.id)
    assert blend.spec.steps == honest.steps
    for _ in range(5):
        at = press(at, "Undo")
    assert steps_of(at, done[0]) == ensemble.fit(BlendProcedure(way="greedy"))


def test_a_gain_that_may_be_luck_offers_equal_weights(open_page: OpenPage, done: tuple[Run, ...]) -> None:
    at = press(open_page("ensemble"), "By score")
    at = flip(at, "Temperature")
    assert "may be luck" in words(at)
    at = press(at, "Use equal weights")
    assert not at.exception
    assert editor_of(at, done[0]).draft.is_untuned
    assert "needs no cross-fitting" in words(at)
    assert [toggle.value for toggle in at.toggle if toggle.label == "Temperature"] == [False]


def test_a_choice_of_runs_is_said_not_to_be_corrected_for(open_page: OpenPage, done: tuple[Run, ...]) -> None:
    at = open_page("ensemble")
    (members,) = [group for group in at.button_group if group.label == "Runs in the blend"]
    at = members.set_value([run.id for run in done[:2]]).run()
    assert not at.exception
    assert "needs no cross-fitting" not in words(at) and "2 of 3 runs take part" in words(at)
    assert at.metric[1].delta == "runs were chosen"
    at = press(at, "Optimal")
    assert "2 of 3 runs take part" in words(at)
    (members,) = [group for group in at.button_group if group.label == "Runs in the blend"]
    at = members.set_value([run.id for run in done]).run()
    assert "of 3 runs take part" not in words(at)


def test_under_another_mean_the_way_finds_its_weights_again(open_page: OpenPage, done: tuple[Run, ...], ensemble: Ensemble) -> None:
    at = choose(open_page("ensemble"), "Mean", "logit")
    assert "The mean (Logit) is taken as given" in words(at)
    at = press(at, "Optimal")
    honest = ensemble.honest(BlendProcedure(way="optimal", mean="logit"))
    assert steps_of(at, done[0]) == honest.steps
    assert at.metric[1].value == cv_text(honest)
    at = choose(at, "Mean", "hard")
    assert [button.disabled for button in at.button if button.label == "Optimal"] == [True]
    assert steps_of(at, done[0]).normalised() == pytest.approx(honest.steps.normalised())
    assert "cannot be refitted" in words(at), "weights that nothing proves are weights by hand"
    assert not press(at, "Hill climbing").exception


def test_the_optimum_comes_with_its_proof(open_page: OpenPage, done: tuple[Run, ...]) -> None:
    at = open_page("ensemble")
    assert "optimality gap" not in words(at)
    assert "optimality gap" in words(press(at, "Optimal"))


@pytest.mark.parametrize(
    ("label", "note"), [("By class", "each slider shows the mean"), ("Stacking", "a regression makes the predictions")]
)
def test_weights_that_are_not_the_blend_say_so(open_page: OpenPage, done: tuple[Run, ...], label: str, note: str) -> None:
    at = press(open_page("ensemble"), label)
    assert note in words(at)
    (mean,) = [group for group in at.button_group if group.label == "Mean"]
    assert mean.disabled
    assert note not in words(press(at, "Equal"))


def test_an_option_of_the_way_that_is_on_refits_it_and_one_of_another_waits(
    open_page: OpenPage, done: tuple[Run, ...], ensemble: Ensemble
) -> None:
    at = press(open_page("ensemble"), "By class")
    at = set_option(at, "Prior rows", 2.0)
    assert steps_of(at, done[0]) == ensemble.fit(BlendProcedure(way="by_class", prior_rows=2))
    n_steps = len(editor_of(at, done[0]).history)
    at = set_option(at, "Metric for search and hill climbing", "log_loss")
    assert len(editor_of(at, done[0]).history) == n_steps, "nothing in the editor depends on it"
    at = press(at, "Search")
    assert steps_of(at, done[0]) == ensemble.fit(BlendProcedure(way="search", goal="log_loss"))


def test_a_shrinkage_is_part_of_the_way_and_is_said_not_to_be_refitted(
    open_page: OpenPage, done: tuple[Run, ...], ensemble: Ensemble
) -> None:
    at = press(open_page("ensemble"), "Optimal")
    editor = editor_of(at, done[0])
    editor.put(replace(editor.draft).shrunk(0.5))
    at = at.run()
    honest = ensemble.honest(BlendProcedure(way="optimal", shrinkage=0.5))
    assert at.metric[0].value == cv_text(ensemble.score(honest.steps))
    assert at.metric[1].value == cv_text(honest)
    assert "**Optimal, shrunk 0.50** gains" in words(at)
    assert "The shrinkage was set by hand" in words(at)


def test_equal_weights_keep_the_slider_of_shrinkage_for_the_next_way(
    open_page: OpenPage, done: tuple[Run, ...], ensemble: Ensemble
) -> None:
    at = open_page("ensemble")
    editor = editor_of(at, done[0])
    for gesture, shrinkage in ((3, 0.4), (4, 0.6)):
        editor.follow(replace(editor.state, shrinkage=shrinkage, gesture=gesture))
        at = flip(at.run(), "Temperature")
        editor = editor_of(at, done[0])
        assert editor.state.shrinkage == shrinkage
    assert editor.draft.is_untuned
    at = press(at, "Stacking")
    assert editor_of(at, done[0]).state.shrinkage == 0, "a regression is not shrunk"
    at = press(at, "Optimal")
    assert steps_of(at, done[0]) == ensemble.fit(BlendProcedure(way="optimal", shrinkage=0.6))


def test_a_long_cross_fit_waits_for_a_click(
    open_page: OpenPage, done: tuple[Run, ...], ensemble: Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score, "AT_ONCE_S", -1.0)
    at = press(open_page("ensemble"), "Optimal")
    assert at.metric[1].value == NO_SCORE
    assert "started by a click" in words(at)
    (button,) = [button for button in at.button if button.label.startswith("Cross-fit it")]
    at = button.click().run()
    assert at.metric[1].value == cv_text(ensemble.honest(BlendProcedure(way="optimal")))


def test_a_refit_that_is_refused_says_why_and_is_not_tried_again(
    open_page: OpenPage, done: tuple[Run, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[BlendProcedure] = []

    def refuse(self: Ensemble, procedure: BlendProcedure) -> HonestScore:
        tries.append(procedure)
        raise StateError("a regression cannot be fitted here", where="stacking", why="class 2 has no row", fix="use the optimal weights")

    monkeypatch.setattr(Ensemble, "honest", refuse)
    at = press(set_option(open_page("ensemble"), "C", 0.7), "Stacking")
    for _ in range(2):
        assert "class 2 has no row" in "".join(error.value for error in at.error)
        assert at.metric[1].value == NO_SCORE
        at = choose(at, "Chart", "confusion")
    assert len(tries) == 1
    assert not press(at, "Equal").error


def test_every_chart_can_be_looked_at_and_goes_with_its_way(open_page: OpenPage, done: tuple[Run, ...]) -> None:
    at = flip(press(open_page("ensemble"), "Hill climbing"), "Temperature")
    for chart in ("folds", "confusion", "reliability", "path"):
        at = choose(at, "Chart", chart)
        assert not at.exception and not at.error, chart
    at = choose(press(at, "By class"), "Chart", "classes")
    assert not at.exception and not at.error
    assert not press(at, "Equal").exception, "the chart of one way goes with it"


def test_a_chart_that_is_gone_when_its_control_is_drawn_again_does_no_harm(open_page: OpenPage, done: tuple[Run, ...]) -> None:
    at = open_page("ensemble")
    for label, chart in (("Hill climbing", "path"), ("Equal", None), ("Hill climbing", "folds"), ("Equal", None)):
        at = press(at, label)
        if chart is not None:
            (charts,) = [group for group in at.segmented_control if group.label == "Chart"]
            at = charts.set_value(chart).run()
        assert not at.exception
