"""How many rows are predicted at once: by size, doubled until memory is full, halved when it ran out."""

from __future__ import annotations

import pytest

from core.base.errors import OutOfMemory
from core.training import batch_size
from core.training.batch_size import batch_of_size, halving, largest_batch


class Card:
    """Memory for some rows at once; `tried` are the batches it was asked for."""

    def __init__(self, room: int) -> None:
        self.room, self.tried = room, list[int]()

    def predict(self, n: int) -> str:
        self.tried.append(n)
        if n > self.room:
            raise OutOfMemory("the device ran out of memory")
        return f"{n} rows"


@pytest.mark.parametrize(("px", "n"), [(600, 8), (480, 8), (384, 12), (256, 16), (224, 16), (64, 32)])
def test_large_images_go_in_small_batches(px: int, n: int) -> None:
    assert batch_of_size(px) == n


def test_half_the_rows_are_tried_until_they_fit() -> None:
    card = Card(9)
    assert halving(card.predict, 37) == ("5 rows", 5) and card.tried == [37, 19, 10, 5]
    with pytest.raises(OutOfMemory):
        halving(Card(0).predict, 4)


@pytest.mark.parametrize(("room", "most", "found"), [(100, 1024, 64), (5000, 300, 300), (8, 1024, 8)])
def test_a_device_is_filled_by_doubling(room: int, most: int, found: int) -> None:
    card = Card(room)
    assert largest_batch(card.predict, 8, most, on_cpu=False) == found
    assert max(card.tried) <= min(2 * found, most)
    with pytest.raises(OutOfMemory):
        largest_batch(Card(4).predict, 8, 64, on_cpu=False)


def test_a_processor_is_not_asked_for_more_than_half_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    row, tried = 2**22, list[int]()  # far more than a large test process gives back meanwhile

    def predict(n: int) -> None:
        tried.append(n)
        assert len(bytes([1]) * (n * row))  # given back at once

    monkeypatch.setattr(batch_size, "machine_memory", lambda: (1000 * row, 400 * row))
    assert largest_batch(predict, 16, 1024, on_cpu=True) == 128, "256 rows would take more than half of what 400 take"
    assert tried == [16, 32, 64, 128]
