"""Event files as TensorBoard itself reads them."""

from __future__ import annotations

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from core.tracking.tensorboard import TensorBoardFold
from tests.tracking.conftest import MakeFold, epoch_point, step_point


def read(folder: str) -> EventAccumulator:
    accumulator = EventAccumulator(folder, size_guidance={"scalars": 0, "tensors": 0})
    accumulator.Reload()
    return accumulator


def test_a_fold_that_goes_on_draws_one_line(make_fold: MakeFold) -> None:
    first = TensorBoardFold(make_fold(1), [])
    first.log([step_point(step) for step in range(1, 28)])
    first.log([epoch_point(1)])
    # No close: it was killed. What it told is with the system all the same.
    second = TensorBoardFold(make_fold(2), [*(step_point(step) for step in range(1, 14)), epoch_point(1)])
    second.log([step_point(step) for step in range(14, 21)])
    first.log([step_point(99)])  # frozen, and back
    accumulator = read(second.place)
    events = accumulator.Scalars("loss/train_step")
    assert [event.step for event in events] == list(range(1, 21))
    assert events[12].wall_time == step_point(13).at
    assert accumulator.Tags()["scalars"] == ["loss/train_step", "loss/train", "loss/valid", "score/accuracy", "train/lr", "train/epoch"]
    first.close("stopped")
    second.close("done")


def test_a_fold_from_nothing_leaves_nothing_of_the_attempt_before(make_fold: MakeFold) -> None:
    first = TensorBoardFold(make_fold(1), [])
    first.log([step_point(5), epoch_point(1)])
    first.close("failed")
    second = TensorBoardFold(make_fold(2), [])
    second.log([step_point(1)])
    second.close("done")
    accumulator = read(second.place)
    assert accumulator.Tags()["scalars"] == ["loss/train_step"] and [event.step for event in accumulator.Scalars("loss/train_step")] == [1]


def test_the_recipe_is_there_as_a_text(make_fold: MakeFold) -> None:
    tracker = TensorBoardFold(make_fold(), [])
    tracker.close("done")
    (event,) = read(tracker.place).Tensors("recipe")
    assert event.tensor_proto.string_val == [b"```yaml\nname: base\noptim:\n  lr: 0.1\n```"]


def test_a_later_file_is_read_later(make_fold: MakeFold) -> None:
    """TensorBoard, while it looks at a folder, goes from file to file by name, and each must still be there."""
    for token in range(1, 4):
        TensorBoardFold(make_fold(token), [step_point(1)]).close("stopped")
    files = sorted(Path(make_fold().events_dir).iterdir())
    assert [int(file.name.split(".")[4]) for file in files] == [1, 2, 3]
    assert [file.stat().st_size > 100 for file in files] == [False, False, True]
