"""Charts beside the editor: they ask a question, name units, and draw exactly what core found."""

from __future__ import annotations

import altair as alt
import numpy as np
import pytest

from app.ensemble.charts import (
    MOST_CELLS,
    MOST_CLASSES,
    MOST_PAIRS,
    by_fold,
    class_shares_chart,
    confusion,
    diagram,
    diagrams_of,
    has_path,
    path_chart,
)
from app.ensemble.editor import describe_offsets, describe_temperature
from app.ensemble.score import Fixed, Scored, follows_a_drag
from app.ui.charts import Chart
from app.ui.colors import run_color
from core.analysis.errors import confusion_matrix
from core.blend.calibrate import reliability
from core.blend.ensemble import Ensemble
from core.blend.procedure import BlendProcedure
from core.blend.steps import afterwards
from core.blend.weights import greedy
from core.metrics.scores import get_metric
from core.specs.blend import BlendSteps
from core.store.runs import Run
from tests.blend.blend_data import matrix_of, skilled

NAMES = ("alpha", "베타", "gamma")


def make_ensemble(n_classes: int = 4, metric: str = "macro_f1") -> Ensemble:
    scorer = skilled(metric, [2.0, 1.0, 0.3], n_classes=n_classes)
    runs = [
        Run(
            id=place + 1,
            contest_id=1,
            folds_id=1,
            name=name,
            own_recipe=None,
            fold_numbers=(),
            created_at=0.0,
            jobs=(),
            results=(),
            is_paused=False,
            truth_id=1,
        )
        for place, name in enumerate(NAMES)
    ]
    return Ensemble(matrix_of(scorer.oof, scorer.y_true, scorer.fold_of, get_metric(metric)), runs)


def scored(ensemble: Ensemble, steps: BlendSteps) -> Scored:
    outcome = ensemble.outcome(steps)
    return Scored((), steps, outcome, ensemble.scorer(steps.mean).report(outcome))


def classes_of(n: int) -> list[str]:
    return [f"차종 {label}" for label in range(n)]


def check(chart: Chart) -> list[dict[str, object]]:
    """The rows that are drawn, after Vega-Lite's own schema has accepted the specification."""
    alt.LayerChart.from_dict({**chart.spec, "data": {"values": []}})
    return chart.data.to_dict("records")


def test_a_diagram_draws_the_bins_that_have_rows_and_says_the_error() -> None:
    ensemble = make_ensemble()
    found = reliability(ensemble.prob((1, 1, 1)), ensemble.oof.y_true)
    chart = diagram(found, "title", "#14889f")
    rows = check(chart)
    assert [row["rows"] for row in rows] == found.count[found.count > 0].tolist()
    assert sum(found.count) == len(ensemble.oof.y_true)
    assert f"{found.error:.4f}" in str(chart.spec["title"])


def test_before_and_after_are_the_mean_alone_and_the_whole_blend() -> None:
    ensemble = make_ensemble()
    steps = BlendSteps(weights=(2, 1, 1), temperature=0.6, offsets=(0.1, -0.2, 0, 0.3))
    before, after = diagrams_of(ensemble, steps)
    mean = ensemble.prob((2, 1, 1))
    assert before.error == reliability(mean, ensemble.oof.y_true).error
    assert after is not None
    assert after.error == reliability(afterwards(mean, steps), ensemble.oof.y_true).error
    assert diagrams_of(ensemble, BlendSteps(weights=(2, 1, 1)))[1] is None


@pytest.mark.parametrize(("value", "word"), [(0.8, "more sure"), (1.3, "less sure"), (1.001, "as it should be")])
def test_a_temperature_says_which_way_it_goes(value: float, word: str) -> None:
    assert word in describe_temperature(value)


def test_the_largest_offsets_come_first_whatever_their_sign() -> None:
    said = describe_offsets((0.1, -0.9, 0.0, 0.5), ["a", "b", "c", "d"])
    assert said.endswith("b -0.90 · d +0.50 · a +0.10")
    assert "none" in describe_offsets((0.0, 0.0), ["a", "b"])


def test_the_path_names_the_run_of_each_round_and_rings_where_the_weights_are_from() -> None:
    ensemble = make_ensemble()
    path = greedy(ensemble.scorer("arithmetic"), n_rounds=12)
    chart = path_chart(path, ensemble.runs, ensemble.metric)
    rows = check(chart)
    assert [row["run"] for row in rows] == [NAMES[place] for place in path.members]
    (end,) = [place for place, row in enumerate(rows) if row["is_end"]]
    counts = np.bincount(path.members[: end + 1], minlength=3) / (end + 1)
    assert counts.tolist() == pytest.approx(list(path.weights))
    assert run_color(path.members[0] + 1) in str(chart.spec)


def test_there_is_a_path_only_where_there_is_one() -> None:
    assert has_path(BlendProcedure(way="greedy"))
    assert not has_path(BlendProcedure(way="greedy", n_bags=5))
    assert not has_path(BlendProcedure(way="greedy", chooses_members=True))
    assert not has_path(BlendProcedure(way="search"))


def test_weights_by_class_are_drawn_where_they_differ_most() -> None:
    ensemble = make_ensemble(n_classes=20)
    steps = ensemble.fit(BlendProcedure(way="by_class", prior_rows=5, shrinkage=0.2))
    rows = check(class_shares_chart(steps, ensemble.runs, classes_of(20)))
    share = np.asarray(steps.share)
    far = np.abs(share - share.mean(axis=1, keepdims=True)).sum(axis=0)
    shown = {row["class"] for row in rows}
    assert len(shown) == MOST_CLASSES and f"차종 {int(far.argmax())}" in shown
    assert sum(float(str(row["share"])) for row in rows) == pytest.approx(MOST_CLASSES)


def test_few_classes_show_their_matrix_and_many_their_most_frequent_errors() -> None:
    few = make_ensemble(n_classes=MOST_CELLS)
    now = scored(few, BlendSteps(weights=(1, 1, 1)))
    matrix = confusion_matrix(few.oof.y_true, now.outcome.y_pred, MOST_CELLS)
    rows = check(confusion(few, now, classes_of(MOST_CELLS), is_dark=True))
    assert [row["count"] for row in rows] == matrix.ravel().tolist()
    many = make_ensemble(n_classes=MOST_CELLS + 8)
    rows = check(confusion(many, scored(many, BlendSteps(weights=(1, 1, 1))), classes_of(MOST_CELLS + 8), is_dark=False))
    assert len(rows) == MOST_PAIRS
    counts = [int(str(row["count"])) for row in rows]
    assert counts == sorted(counts, reverse=True)


def test_every_fold_of_every_run_is_drawn_under_its_own_number() -> None:
    ensemble = make_ensemble()
    fixed = Fixed(ensemble.member_scores(), ensemble.score(ensemble.equal_weights))
    rows = check(by_fold(ensemble, scored(ensemble, BlendSteps(weights=(3, 1, 0))), fixed))
    assert len(rows) == 5 * (len(NAMES) + 2)
    assert {row["fold"] for row in rows} == set(ensemble.oof.folds)


def test_only_what_is_light_follows_a_drag_on_large_data(monkeypatch: pytest.MonkeyPatch) -> None:
    ensemble = make_ensemble()
    heavy = [BlendSteps(weights=(1, 1, 1), temperature=1.2), BlendSteps(weights=(1, 1, 1), mean="logit")]
    light = BlendSteps(weights=(1, 2, 3), shrinkage=0.4)
    assert all(follows_a_drag(ensemble, steps) for steps in [*heavy, light])
    monkeypatch.setattr("app.ensemble.score.MOST_LIVE_VALUES", 10)
    assert [follows_a_drag(ensemble, steps) for steps in [*heavy, light]] == [False, False, True]
