"""Charts say what they ask, name their units, and colour runs as everywhere."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pytest

from app.runs import charts as run_charts
from app.train import charts as train_charts
from app.ui import charts
from app.ui.colors import run_color
from core.metrics.scores import get_metric

EPOCHS = pd.DataFrame(
    {
        "fold": [0, 0, 1, 1],
        "epoch": [1, 2, 1, 2],
        "train_loss": [0.9, 0.5, 0.8, 0.4],
        "valid_loss": [0.8, 0.6, 0.7, float("nan")],
        "train": [0.5, 0.6, 0.55, 0.62],
        "valid": [0.6, 0.7, 0.65, 0.72],
    }
)


def rows_of(chart: charts.Chart) -> list[dict[str, Any]]:
    """The rows that a chart draws."""
    return chart.data.to_dict("records")


def check(chart: charts.Chart) -> dict[str, Any]:
    """The specification, after Vega-Lite's own schema has accepted it."""
    alt.LayerChart.from_dict({**chart.spec, "data": {"values": []}})
    return chart.spec


def titles_in(value: Any) -> set[str]:
    """Every axis and legend title in a specification."""
    if isinstance(value, dict):
        own = {value["title"]} if isinstance(value.get("title"), str) else set()
        return own.union(*(titles_in(item) for item in value.values()))
    return set().union(*(titles_in(item) for item in value)) if isinstance(value, list) else set()


def test_loss_curves_mark_the_best_epoch_and_leave_out_what_was_not_finite() -> None:
    chart = run_charts.loss_curves(EPOCHS, {0: [2]}, run_color(1), n_epochs=4)
    assert check(chart)["title"]["text"] == "Does it still learn? Loss by epoch"
    assert {"epoch", "loss (cross-entropy, nats)"} <= titles_in(check(chart))
    rows = rows_of(chart)
    assert [(row["fold"], row["epoch"], row["series"]) for row in rows if row["is_kept"]] == [(0, 2, "validation")]
    assert len(rows) == 7


def test_curves_of_a_single_epoch_can_be_drawn() -> None:
    one = pd.DataFrame(EPOCHS[EPOCHS["epoch"] == 1])
    known = run_charts.metric_curves(one, {}, run_color(1), get_metric("accuracy"), n_epochs=1)
    before = run_charts.metric_curves(one.drop(columns="train"), {}, run_color(1), get_metric("accuracy"), n_epochs=1)
    for chart, series in (
        (run_charts.loss_curves(one, {}, run_color(1), n_epochs=1), {"train", "validation"}),
        (known, {"train", "validation"}),
        (before, {"validation"}),
    ):
        assert check(chart)["encoding"]["x"]["scale"]["domain"] == [0.5, 1.5], "one epoch stands in the middle"
        assert {row["series"] for row in rows_of(chart)} == series and all(row["is_alone"] for row in rows_of(chart))


@pytest.mark.parametrize(("name", "direction"), [("log_loss", "lower is better ↓"), ("macro_f1", "higher is better ↑")])
def test_a_score_axis_says_its_direction(name: str, direction: str) -> None:
    assert direction in charts.metric_axis(get_metric(name))


def test_runs_keep_their_colours() -> None:
    scores = pd.DataFrame({"run": ["a", "a", "b"], "fold": [0, 1, 0], "score": [0.1, 0.2, 0.3]}).assign(low=None, high=None)
    colors = {"a": run_color(3), "b": run_color(9)}
    text = str(check(run_charts.compare_folds(scores, colors, get_metric("log_loss"))))
    assert run_color(3) in text
    assert run_color(9) in text
    named = scores.rename(columns={"run": "name"})
    assert run_color(9) in str(check(charts.blend_folds(named, colors, get_metric("log_loss"))))


def test_class_shares_are_percent_of_each_part() -> None:
    rows = rows_of(charts.class_shares(("개", "고양이"), (30, 10), (5, 5), (40, 10)))
    shares = {(row["class"], row["kind"]): row["share"] for row in rows}
    assert shares[("개", "training labels")] == 75
    assert shares[("고양이", "test predictions")] == 50


def test_of_many_classes_those_that_differ_most_are_shown() -> None:
    n = charts.MAX_CLASSES * 3
    in_test = [10] * n
    in_test[7] = 200
    shown = {row["class"] for row in rows_of(charts.class_shares([f"c{i}" for i in range(n)], [10] * n, in_test, (10 * n, sum(in_test))))}
    assert len(shown) == charts.MAX_CLASSES
    assert "c7" in shown


def test_a_sampler_is_drawn_on_the_classes_that_it_changes_most() -> None:
    rows, taken = np.full(40, 100.0), np.full(40, 100.0)
    rows[[5, 30]], taken[[5, 30]] = (1, 400), (50, 120)
    chart = train_charts.sampled_classes([f"c{number}" for number in range(40)], rows, taken, np.zeros(40))
    shown = [row["class"] for row in rows_of(chart)]
    assert check(chart) and len(set(shown)) == charts.MAX_CLASSES and {"c5", "c30"} <= set(shown)


def test_of_several_labels_a_share_is_of_the_rows() -> None:
    rows = rows_of(charts.class_shares(("개", "고양이"), (30, 10), (5, 0), (40, 10)))
    assert {(row["class"], row["kind"]): row["share"] for row in rows} == {
        ("개", "training labels"): 75,
        ("고양이", "training labels"): 25,
        ("개", "test predictions"): 50,
        ("고양이", "test predictions"): 0,
    }


def test_charts_of_the_pages_before_training_are_valid() -> None:
    counts = np.array([[30, 10], [28, 12]])
    assert check(charts.class_bars(("개", "고양이"), counts[0], 40)) and check(charts.size_bars([1, 5, 2]))
    assert check(train_charts.lr_curve([0.0, 0.5, 1.0], [0.0, 0.1, 0.05]))
    groups = train_charts.lr_curve([0.5, 1.0], [0.1, 0.05], (1.0, 0.5))
    assert [row["lr"] for row in rows_of(groups)] == [0.1, 0.05], "a group's share is multiplied in the browser"
    assert all(layer["transform"][0] == {"calculate": "[1, 0.5]", "as": "share"} for layer in groups.spec["layer"])
    balance = charts.fold_balance(("개", "고양이"), counts, is_dark=True)
    assert {"fold"} <= {title.lower() for title in titles_in(check(balance))}
    assert [round(row["off"], 1) for row in rows_of(balance)] == [3.4, -9.1, -3.4, 9.1]
