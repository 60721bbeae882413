"""What is drawn follows from what training says, wherever an attempt begins."""

from __future__ import annotations

from core.specs.progress import EpochReport, Progress
from core.tracking.recorder import MAX_STEPS, Begin, Points
from core.tracking.tracker import Point
from tests.tracking.conftest import N_STEPS, epoch_report, step_report


def take(points: Points, *reports: Progress | EpochReport) -> list[Begin | Point]:
    return [item for report in reports for item in points.take(report, 5.0)]


def test_a_fold_from_nothing_begins_at_its_first_step() -> None:
    said = take(Points(), Progress("starting", 0), Progress("loading", 0, 0, 3), step_report(1, 1), step_report(1, 2))
    assert said[0] == Begin(1, ())
    assert said[1:] == [Point(1, 5.0, {"loss/train_step": 1.0}), Point(2, 5.0, {"loss/train_step": 0.5})]


def test_steps_count_over_all_epochs_and_an_epoch_stands_at_its_last() -> None:
    points = Points()
    said = take(points, step_report(1, 1), Progress("validating", 0, 1, 3, N_STEPS, N_STEPS), epoch_report(1), step_report(2, 3))
    assert [item.step for item in said] == [1, 1, 10, 13]
    epoch = said[2]
    assert isinstance(epoch, Point) and epoch.is_epoch
    assert dict(epoch.values) == {
        "loss/train": 1.0,
        "loss/valid": 1.0,
        "score/accuracy": 0.5,
        "train/lr": 0.1,
        "train/epoch_s": 1.0,
        "train/epoch": 1.0,
    }


def test_an_attempt_that_goes_on_knows_the_epochs_before_it() -> None:
    begin, point = take(Points(), epoch_report(1), epoch_report(2), Progress("loading", 0), step_report(3, 5))
    assert isinstance(begin, Begin) and begin.step == 25 and [known.step for known in begin.known] == [10, 20]
    assert isinstance(point, Point) and point.step == 25


def test_one_that_goes_on_behind_the_last_step_leaves_that_step_alone() -> None:
    validating, predicting = (Progress(phase, 0, 3, 3, N_STEPS, N_STEPS) for phase in ("validating", "predicting"))
    for first in (validating, predicting):
        (begin,) = take(Points(), epoch_report(1), epoch_report(2), first)
        assert isinstance(begin, Begin) and begin.step == 31


def test_a_long_training_is_thinned_to_about_a_thousand_steps() -> None:
    points = Points()
    steps = [
        item.step
        for epoch in range(1, 8)
        for step in range(1, 1001)
        for item in points.take(step_report(epoch, step, n_epochs=7, n_steps=1000), 0.0)
        if isinstance(item, Point)
    ]
    assert steps[:3] == [1, 7, 14] and steps[-1] == 7000 and len(steps) == MAX_STEPS + 1
