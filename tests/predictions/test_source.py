"""What a source said of rows it never trained on: labels are decided as the source decides them, and the scores are of those labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.blend.ensemble import save_blend
from core.metrics.scores import all_scores
from core.predictions.source import load_matrix, source_of
from core.specs.blend import BlendSpec
from core.workspace import Workspace
from tests.emotions import EMOTIONS, finish_emotions
from tests.finished_workspace import finish_headlines


def test_a_run_decides_at_one_half(workspace: Workspace, tmp_path: Path) -> None:
    _, runs = finish_emotions(workspace, tmp_path / "emotions")
    oof = load_matrix([source_of(workspace, runs[0])])
    assert oof.is_multilabel
    assert oof.y_true.shape == oof.y_pred.shape == (240, len(EMOTIONS))
    assert (oof.y_pred == (oof.y_prob > 0.5)).all()
    assert oof.scores == pytest.approx(all_scores(oof.y_true, oof.y_prob, multilabel=True))


def test_a_blend_decides_at_its_thresholds(workspace: Workspace, tmp_path: Path) -> None:
    contest, runs = finish_emotions(workspace, tmp_path / "emotions")
    thresholds = (0.5, 0.4, 0.3, 0.6, 0.2, 0.7)
    spec = BlendSpec(members=tuple(run.id for run in runs), weights=(1.0, 1.0, 1.0), thresholds=thresholds)
    oof = load_matrix([source_of(workspace, save_blend(workspace, contest, spec))])
    assert (oof.y_pred == (oof.y_prob > np.array(thresholds))).all()
    usual = all_scores(oof.y_true, oof.y_prob, multilabel=True)
    assert oof.scores["log_loss"] == usual["log_loss"]
    assert oof.scores["macro_f1"] != usual["macro_f1"]
    assert oof.scores["accuracy"] == (oof.y_pred == oof.y_true).all(axis=1).mean()


def test_rows_of_one_class_are_decided_by_the_most_probable(
    workspace: Workspace, tmp_path: Path, write_headlines: Callable[[Path], Path]
) -> None:
    _, runs = finish_headlines(workspace, write_headlines(tmp_path / "headlines"), {"one": 2.0})
    oof = load_matrix([source_of(workspace, runs[0])])
    assert not oof.is_multilabel
    assert (oof.y_pred == oof.y_prob.argmax(axis=1)).all()
    assert oof.scores == all_scores(oof.y_true, oof.y_prob)
