"""Errors where rows have several classes: scores of decided labels, rows behind each number, for runs, blends, texts and pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.analysis.errors import given_in_place, set_report
from core.blend.ensemble import save_blend
from core.contest.register import add_contest
from core.folds import save_folds
from core.predictions.source import load_matrix, source_of
from core.specs.blend import BlendSpec
from core.specs.contest import ContestSpec
from core.specs.folds import FoldsSpec
from core.store.blends import Blend
from core.store.contests import Contest
from core.store.runs import Run
from core.workspace import Workspace
from tests.emotions import finish_emotions
from tests.finished_workspace import finish_run, make_recipe

OpenPage = Callable[..., AppTest]
THRESHOLDS = (0.5, 0.4, 0.3, 0.6, 0.2, 0.7)


@pytest.fixture
def emotions(opened: Workspace, tmp_path: Path) -> tuple[Contest, tuple[Run, ...]]:
    """Texts with several emotions each, and three finished runs."""
    return finish_emotions(opened, tmp_path / "emotions")


def save_with_thresholds(workspace: Workspace, contest: Contest, runs: tuple[Run, ...]) -> Blend:
    spec = BlendSpec(members=tuple(run.id for run in runs), weights=(1.0,) * len(runs), thresholds=THRESHOLDS)
    return save_blend(workspace, contest, spec)


def words(at: AppTest) -> str:
    """All text a page shows, without the escapes of markdown."""
    parts = [*at.title, *at.subheader, *at.markdown, *at.caption, *at.error, *at.warning]
    return "\n".join(str(part.value) for part in parts).replace("\\", "")


def show(at: AppTest, view: str) -> AppTest:
    at.segmented_control(key="errors-view-misses-3").set_value(view).run()
    assert not at.exception
    return at


def test_errors_lead_with_the_most_frequent_kind_of_error(
    open_page: OpenPage, opened: Workspace, emotions: tuple[Contest, tuple[Run, ...]]
) -> None:
    contest, runs = emotions
    at = open_page("errors", source=runs[2].ref)
    assert not at.exception
    evidence = load_matrix([source_of(opened, runs[2])])
    wrong = (evidence.y_pred != evidence.y_true).any(axis=1)
    assert f"**{wrong.sum()}** of 240" in words(at)
    assert f"macro F1 ↑ {evidence.scores['macro_f1']:.4f}" in words(at)
    assert "above one half" in words(at)
    report = set_report(evidence.y_true, evidence.y_pred, contest.spec.classes)
    most = report[["missed", "false_alarm"]].to_numpy().max()
    assert f"{most} rows" in words(at)


def test_a_blend_is_judged_by_its_thresholds(open_page: OpenPage, opened: Workspace, emotions: tuple[Contest, tuple[Run, ...]]) -> None:
    contest, runs = emotions
    blend = save_with_thresholds(opened, contest, runs)
    at = show(open_page("errors", source=blend.ref), "errors.view_classes")
    evidence = load_matrix([source_of(opened, blend)])
    assert f"macro F1 ↑ {evidence.scores['macro_f1']:.4f}" in words(at)
    assert f"accuracy ↑ {evidence.scores['accuracy']:.4f}" in words(at)
    assert "the blend's threshold" in words(at)
    table = at.dataframe[0].value
    assert tuple(table["threshold"]) == THRESHOLDS
    assert table["support"].tolist() == evidence.y_true.sum(axis=0).tolist()
    assert table["predicted"].tolist() == evidence.y_pred.sum(axis=0).tolist()


def test_the_outcomes_of_a_class_are_switched_with_their_numbers(open_page: OpenPage, emotions: tuple[Contest, tuple[Run, ...]]) -> None:
    at = open_page("errors", source=emotions[1][0].ref)
    key = f"set-outcome-{emotions[1][0].ref}-0"
    for outcome, said in (("found", ", found"), ("missed", ", missed"), ("false_alarm", ", false alarms")):
        at.segmented_control(key=key).set_value(outcome).run()
        assert not at.exception
        assert at.subheader[0].value.endswith(said)
        assert at.segmented_control(key=key).value == outcome


def test_pairs_name_what_was_given_in_place_of_what(
    open_page: OpenPage, opened: Workspace, emotions: tuple[Contest, tuple[Run, ...]]
) -> None:
    contest, runs = emotions
    evidence = load_matrix([source_of(opened, runs[2])])
    pairs = given_in_place(evidence.y_true, evidence.y_pred)
    table = show(open_page("errors", source=runs[2].ref), "misses.view_pairs").dataframe[0].value
    assert table["count"].tolist() == [pair.count for pair in pairs]
    assert table["first"].tolist()[0] == contest.spec.classes[pairs[0].first]


def test_pictures_of_a_run_that_has_not_finished(open_page: OpenPage, opened: Workspace, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((60, 3)) < (0.5, 0.3, 0.2)
    (tmp_path / "img").mkdir()
    lines = ["id,path,red,green,blue"]
    for row, sets in enumerate(truth):
        pixels = (rng.integers(0, 60, (24, 24, 3)) + 150 * sets).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "img" / f"{row}.png")
        lines.append(",".join([str(row), f"img/{row}.png", *map(str, sets.astype(int))]))
    (tmp_path / "train.csv").write_text("\n".join(lines) + "\n")
    spec = ContestSpec(
        name="colors",
        root=str(tmp_path),
        modality="image",
        layout="csv",
        train="train.csv",
        id_column="id",
        input_columns=("path",),
        labels="several",
        classes=("red", "green", "blue"),
        metric="macro_f1",
        submission="flags",
    )
    contest = add_contest(opened, spec)
    folds = save_folds(opened, contest, FoldsSpec(n_folds=3))
    run = finish_run(opened, contest, folds, make_recipe(contest, "half"), strength=2.0, n_done=2)
    at = open_page("errors", contest="colors", source=run.ref)
    assert not at.exception
    assert "of 60 rows are validated so far" in words(at)


def test_a_class_that_is_right_everywhere_leaves_nothing_to_pair(open_page: OpenPage, opened: Workspace, tmp_path: Path) -> None:
    contest, _ = finish_emotions(opened, tmp_path / "emotions")
    folds = save_folds(opened, contest, FoldsSpec(n_folds=3))
    run = finish_run(opened, contest, folds, make_recipe(contest, "perfect"), strength=60.0)
    at = show(open_page("errors", source=run.ref), "misses.view_pairs")
    assert "**0** of 240" in words(at)
    assert at.subheader[0].value.endswith(", found")
    assert not at.dataframe
