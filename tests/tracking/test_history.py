"""Each step of a fold is in its history once, whatever was killed when."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.tracking.history import History, read_told
from core.tracking.tracker import Point
from tests.tracking.conftest import epoch_point, step_point


def tell(path: Path, token: int, first: int, last: int, known: tuple[Point, ...] = ()) -> History:
    """One attempt that tells the steps from `first` to `last`."""
    history = History(path, token)
    history.begin(first, known)
    for step in range(first, last + 1):
        history.add(step_point(step, value=float(token)))
        if step % 10 == 0:
            history.add(epoch_point(step // 10))
    return history


def test_a_later_attempt_keeps_what_is_before_its_first_step(tmp_path: Path) -> None:
    path = tmp_path / "points.jsonl"
    killed = tell(path, 1, 1, 27)
    tell(path, 2, 14, 21, known=(epoch_point(1),)).close()
    killed.add(step_point(28))  # frozen, and back: it writes to a file that nobody finds
    killed.close()
    told = read_told(path)
    assert told is not None and told.began == 1
    losses = {point.step: point.values["loss/train_step"] for point in told.points if not point.is_epoch}
    assert losses == {step: 1.0 if step < 14 else 2.0 for step in range(1, 22)}
    assert [point.step for point in told.points if point.is_epoch] == [10, 20]


def test_one_from_nothing_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "points.jsonl"
    tell(path, 1, 1, 27).close()
    tell(path, 4, 1, 3).close()
    told = read_told(path)
    assert told is not None and told.began == 4 and [point.step for point in told.points] == [1, 2, 3]


def test_an_epoch_that_a_kill_kept_out_of_the_file_is_there_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "points.jsonl"
    tell(path, 1, 1, 9).close()
    history = History(path, 2)
    told = history.begin(15, (epoch_point(1),))
    history.close()
    assert [point.step for point in told.points if point.is_epoch] == [10]


@given(cut=st.integers(0, 400))
def test_a_file_cut_anywhere_holds_whole_points_only(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "points.jsonl"
    tell(path, 1, 1, 9).close()
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    told = read_told(path)
    n_lines = whole[:cut].count(b"\n")
    assert (told is None) == (n_lines == 0) and (told is None or len(told.points) == n_lines - 1)


def test_what_follows_a_damaged_line_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "points.jsonl"
    tell(path, 1, 1, 9).close()
    lines = path.read_bytes().split(b"\n")
    lines[4] = b"\0" * len(lines[4])
    path.write_bytes(b"\n".join(lines))
    told = read_told(path)
    assert told is not None and [point.step for point in told.points] == [1, 2, 3]


def test_only_one_process_at_a_time_has_the_history_of_a_fold(tmp_path: Path) -> None:
    path = tmp_path / "points.jsonl"
    first, second = History(path, 1), History(path, 2)
    assert first.wait(0) and not second.wait(0)
    second.close()
    first.close()
    assert second.wait(0)
    second.close()
