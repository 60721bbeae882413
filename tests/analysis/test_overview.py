"""Where a contest stands: only runs that have all folds compete, in the direction of the metric."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.analysis.overview import best_run, contest_overviews, expected_fold_s, furthest_from_even
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.contest.table import by_turns, count_classes
from core.folds import save_folds
from core.jobs.launch import launch_run
from core.metrics.scores import get_metric
from core.specs.folds import FoldsSpec
from core.store.runs import list_runs
from core.workspace import Workspace
from tests.finished_workspace import finish_run, make_recipe


@pytest.mark.parametrize("metric", ["log_loss", "accuracy", "macro_f1"])
def test_the_best_run_is_the_best_of_those_with_all_folds(
    workspace: Workspace, write_headlines: Callable[[Path], Path], tmp_path: Path, metric: str
) -> None:
    contest = add_contest(workspace, inspect_path(write_headlines(tmp_path / "titles"), sets=[f"metric={metric}"]).draft)
    assert contest_overviews(workspace.store)[0].best is None
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=3))
    weak = finish_run(workspace, contest, folds, make_recipe(contest, "weak"), strength=0.5)
    strong = finish_run(workspace, contest, folds, make_recipe(contest, "strong"), strength=3.0)
    finish_run(workspace, contest, folds, make_recipe(contest, "partial"), strength=9.0, n_done=2)
    (overview,) = contest_overviews(workspace.store)
    assert overview.best is not None
    assert overview.best.id == strong.id != weak.id
    assert overview.best_score == strong.cv_score(metric)
    assert overview.best_sd == strong.cv_sd(metric)
    assert best_run(list_runs(workspace.store, contest.id)[:1], [folds], get_metric(metric)) is None, "a run that misses folds is none"
    assert (overview.n_runs, overview.n_running, overview.n_queued) == (3, 0, 1)
    launch_run(workspace, contest, folds, make_recipe(contest, "waiting"))
    assert contest_overviews(workspace.store)[0].n_queued == 4


def test_the_newest_contest_comes_first(workspace: Workspace, write_headlines: Callable[[Path], Path], tmp_path: Path) -> None:
    for name in ("one", "two"):
        add_contest(workspace, inspect_path(write_headlines(tmp_path / name)).draft)
    assert [overview.contest.name for overview in contest_overviews(workspace.store)] == ["two", "one"]


def test_classes_take_turns_and_every_row_comes_once() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 2])
    order = by_turns(labels)
    assert sorted(order) == list(range(7))
    assert labels[order].tolist() == [0, 1, 2, 0, 1, 0, 0]
    assert count_classes(labels, 4).tolist() == [4, 2, 1, 0]
    assert by_turns(np.array([[0, 1], [0, 1], [1, 1], [0, 0]]), multilabel=True).tolist() == [3, 2, 0, 1]


def test_the_furthest_cell_is_found() -> None:
    balance = np.array([[10, 4], [10, 6], [10, 2]])
    assert furthest_from_even(balance) == (1, 1, pytest.approx(50.0))
    assert furthest_from_even(np.full((3, 2), 7))[2] == 0


def test_time_is_expected_after_the_newest_like_run(workspace: Workspace, write_headlines: Callable[[Path], Path], tmp_path: Path) -> None:
    contest = add_contest(workspace, inspect_path(write_headlines(tmp_path / "titles")).draft)
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=3))
    run = finish_run(workspace, contest, folds, make_recipe(contest, "done", epochs=5))
    finish_run(workspace, contest, folds, make_recipe(contest, "other", backbone="roberta-base"))
    runs = list_runs(workspace.store, contest.id)
    expected = expected_fold_s(runs, make_recipe(contest, "next", epochs=10))
    assert expected is not None
    seconds, like = expected
    assert like.id == run.id
    assert seconds == pytest.approx(10 * np.mean([result.elapsed_s / result.n_epochs for result in run.results]))
    assert expected_fold_s(runs, make_recipe(contest, "next", backbone="klue/bert-base")) is None
    assert expected_fold_s([], make_recipe(contest, "next")) is None
