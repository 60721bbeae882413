"""What a fold says survives the store, and knows how far it is."""

from __future__ import annotations

import json

import pytest

from core.specs.progress import EpochReport, Progress


def test_progress_survives_the_way_through_json() -> None:
    progress = Progress("training", 2, 3, 5, 10, 40, 123.4, 60.0, 0.25, "half way")
    assert Progress.from_dict(json.loads(json.dumps(progress.to_dict()))) == progress


def test_the_fraction_grows_from_nothing_to_all() -> None:
    steps = [Progress("training", 0, epoch, 3, step, 4).fraction for epoch in (1, 2, 3) for step in (1, 2, 3, 4)]
    assert steps == sorted(steps)
    assert Progress("loading", 0).fraction == 0
    assert steps[-1] == Progress("predicting", 0, 2, 3, 4, 4).fraction == 1
    assert Progress("predicting", step=1, n_steps=4).fraction == 0.25, "a job that only predicts"


def test_an_unknown_key_is_an_error() -> None:
    with pytest.raises(TypeError):
        Progress.from_dict({"phase": "starting", "fold": 0, "mood": "good"})


def test_an_epoch_report_is_plain_values() -> None:
    report = EpochReport(fold=0, epoch=1, n_epochs=2, train_loss=0.5, valid_loss=0.6, scores={"accuracy": 0.9}, lr=1e-3, elapsed_s=2.0)
    assert json.loads(json.dumps(report.to_dict()))["scores"] == {"accuracy": 0.9}
