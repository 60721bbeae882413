"""A metric that is newer than a run is computed from what the run stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.contest.table import load_truth
from core.metrics.scores import METRICS, Metric
from core.predictions import scores as module
from core.predictions.oof import load_oof, read_fold_predictions
from core.predictions.scores import scores_by_fold
from core.workspace import Workspace
from tests.finished_workspace import finish_headlines


def test_an_old_run_gets_a_new_metric_from_its_predictions(
    workspace: Workspace, tmp_path: Path, write_headlines: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    contest, (run,) = finish_headlines(workspace, write_headlines(tmp_path / "headlines"), {"one": 2.0})
    stored = {result.fold: result.scores for result in run.results}

    def brier(y_true: np.ndarray, y_prob: np.ndarray) -> float:
        return float(((np.eye(y_prob.shape[1])[y_true] - y_prob) ** 2).sum(axis=1).mean())

    with monkeypatch.context() as patch:
        patch.setattr(module, "load_oof", lambda *_: pytest.fail("predictions are read although nothing is missing"))
        assert scores_by_fold(workspace, contest, run) == stored
    monkeypatch.setitem(METRICS, "brier", Metric("brier", "Brier score", "probabilities", False, (0.0, 2.0), brier, None))
    found, labels = scores_by_fold(workspace, contest, run), load_truth(workspace, contest).labels
    for result in run.results:
        part = read_fold_predictions(workspace.absolute(result.path))
        assert found[result.fold] == {**stored[result.fold], "brier": pytest.approx(brier(labels[part.valid_idx], part.valid_prob))}
    assert not np.isnan(load_oof(workspace, run, contest)).any() and all("brier" not in result.scores for result in run.results)
