"""Event files as TensorBoard itself reads them, and as we do; each step is in them once, whatever was killed when."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from core.tracking.tensorboard import EventFile, EventReader, read_events
from core.tracking.tracker import Point
from tests.tracking.conftest import MakeFold, epoch_point, step_point


def read(file: EventFile) -> EventAccumulator:
    accumulator = EventAccumulator(str(file.path.parent), size_guidance={"scalars": 0, "tensors": 0})
    accumulator.Reload()
    return accumulator


def test_a_fold_that_goes_on_draws_one_line(make_fold: MakeFold) -> None:
    first = EventFile(make_fold(1), 1, [])
    first.add([step_point(step) for step in range(1, 28)])
    first.add([epoch_point(1)])
    # No close: it was killed. What it added is with the system all the same.
    second = EventFile(make_fold(2), 14, [epoch_point(1)])
    second.add([step_point(step) for step in range(14, 21)])
    first.add([step_point(99)])  # frozen, and back: it writes to a file that nobody finds
    accumulator = read(second)
    events = accumulator.Scalars("loss/train_step")
    assert [event.step for event in events] == list(range(1, 21))
    assert events[12].wall_time == step_point(13).at
    assert accumulator.Tags()["scalars"] == ["loss/train_step", "loss/train", "loss/valid", "score/accuracy", "train/lr", "train/epoch"]
    assert (first.began, second.began) == (1, 1)
    first.close()
    second.close()


def test_a_fold_from_nothing_leaves_nothing_of_the_attempt_before(make_fold: MakeFold) -> None:
    first = EventFile(make_fold(1), 1, [])
    first.add([step_point(5), epoch_point(1)])
    first.close()
    second = EventFile(make_fold(2), 1, [])
    second.add([step_point(1)])
    second.close()
    accumulator = read(second)
    assert accumulator.Tags()["scalars"] == ["loss/train_step"] and [event.step for event in accumulator.Scalars("loss/train_step")] == [1]
    third = EventFile(make_fold(3), 2, [])
    assert third.began == 2, "the attempt that began from nothing"
    third.close()


def test_an_epoch_that_a_kill_kept_out_of_the_file_is_there_all_the_same_and_one_that_is_there_keeps_its_time(make_fold: MakeFold) -> None:
    first = EventFile(make_fold(1), 1, [])
    first.add([*(step_point(step) for step in range(1, 11)), epoch_point(1), step_point(11)])
    first.close()
    later = [Point(point.step, point.at + 1000, point.values) for point in (epoch_point(1), epoch_point(2))]
    second = EventFile(make_fold(2), 25, later)
    second.close()
    events = read(second).Scalars("train/epoch")
    assert [(event.step, event.wall_time) for event in events] == [(10, epoch_point(1).at), (20, later[1].at)]


def test_images_stand_beside_the_curves_of_every_attempt_and_are_no_points(make_fold: MakeFold) -> None:
    images = [np.full((8, 6, 3), shade, np.uint8) for shade in (0, 200)]
    first = EventFile(make_fold(1), 1, [], images)
    first.add([step_point(1)])
    first.close()
    second = EventFile(make_fold(2), 2, [], images)
    second.add([step_point(2)])
    second.close()
    accumulator = read(second)
    assert accumulator.Tags()["images"] == ["images/0", "images/1"]
    (shown,) = accumulator.Images("images/1")
    assert (shown.height, shown.width) == (8, 6)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(shown.encoded_image_string))), images[1])
    assert EventReader(second.path).points() == [step_point(1), step_point(2)]


def test_the_recipe_is_there_as_a_text(make_fold: MakeFold) -> None:
    file = EventFile(make_fold(), 1, [])
    file.close()
    (event,) = read(file).Tensors("recipe")
    assert event.tensor_proto.string_val == [b"```yaml\nname: base\noptim:\n  lr: 0.1\n```"]


def test_a_later_file_is_read_later(make_fold: MakeFold) -> None:
    """TensorBoard, while it looks at a folder, goes from file to file by name, and each must still be there."""
    for token in range(1, 4):
        EventFile(make_fold(token), 1, [step_point(1)]).close()
    files = sorted(Path(make_fold().events_dir).iterdir())
    assert [int(file.name.split(".")[4]) for file in files] == [1, 2, 3]
    assert [file.stat().st_size > 100 for file in files] == [False, False, True]


def test_points_are_read_while_the_file_grows(make_fold: MakeFold) -> None:
    file = EventFile(make_fold(), 1, [])
    reader = EventReader(file.path)
    assert reader.points() == []
    for step in (1, 2):
        file.add([step_point(step, value=0.5)])
        assert reader.points() == [step_point(step, value=0.5)]
    file.close()


def test_a_file_cut_anywhere_holds_whole_points_only(make_fold: MakeFold, tmp_path: Path) -> None:
    file = EventFile(make_fold(), 1, [])
    sizes = [file.path.stat().st_size]
    for step in range(1, 10):
        file.add([step_point(step)])
        sizes.append(file.path.stat().st_size)
    file.close()
    whole, cut_short = file.path.read_bytes(), tmp_path / file.path.name
    for cut in range(0, len(whole) + 1, 3):
        cut_short.write_bytes(whole[:cut])
        found = read_events(cut_short)
        n_points = max(0, sum(size <= cut for size in sizes) - 1)
        assert (0 if found is None else len(found.points)) == n_points, cut


@pytest.mark.parametrize("at", [200, 330])
def test_what_follows_a_damaged_record_is_not_believed(make_fold: MakeFold, at: int) -> None:
    file = EventFile(make_fold(), 1, [step_point(step) for step in range(1, 10)])
    file.close()
    whole = read_events(file.path)
    raw = bytearray(file.path.read_bytes())
    raw[at] ^= 1
    file.path.write_bytes(raw)
    found = read_events(file.path)
    assert whole is not None and found is not None and found.points == whole.points[: len(found.points)]
    assert len(found.points) < len(whole.points)
