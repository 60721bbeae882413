"""How many rows a network predicts at once: as many as in training, by the size of images, or as many as memory holds."""

import logging
from collections.abc import Callable
from typing import TypeVar

from core.base.errors import OutOfMemory
from core.training.machine import forget_peak, machine_memory, peak_bytes, resident_bytes

BY_SIZE = ((480, 8), (384, 12), (224, 16), (0, 32))
"""From this side in pixels on, so many images at once: what the plan of the used-car contest gives for test-time augmentation, and 32 below it."""
MOST = 1024
SHARE_OF_FREE = 0.5
"""Of the memory that nobody uses on a processor, where a process that takes too much is killed, and not told so."""

T = TypeVar("T")
log = logging.getLogger(__name__)


def batch_of_size(px: int) -> int:
    """Images of `px` pixels at once, as `BY_SIZE` has it."""
    return next(n for side, n in BY_SIZE if px >= side)


def largest_batch(predict: Callable[[int], object], start: int, most: int, *, on_cpu: bool) -> int:
    """The largest doubling of `start` rows, `most` at the most, that memory holds; `predict(n)` predicts n rows at once.

    A device says when its memory is full. On a processor the peak of each try is measured, and twice as many rows are tried only where
    twice what they took is at most half of what is free. Raises OutOfMemory where not even `start` rows fit.
    """
    found, n = 0, min(start, most)
    while True:
        before = resident_bytes()
        is_measured = forget_peak() or not on_cpu
        try:
            predict(n)
        except OutOfMemory:
            if not found:
                raise
            break
        found = n
        taken, free = max(0, peak_bytes() - before), machine_memory()[1]
        if n >= most or (on_cpu and not (is_measured and 2 * taken <= SHARE_OF_FREE * free)):
            break
        n = min(2 * n, most)
    log.info("%d rows at once", found)
    return found


def halving(predict: Callable[[int], T], batch_size: int) -> tuple[T, int]:
    """What `predict` gives of `batch_size` rows at once, or of half as many each time that memory runs out, and how many that were at last.

    Raises OutOfMemory where a single row does not fit.
    """
    while True:
        try:
            return predict(batch_size), batch_size
        except OutOfMemory:
            if batch_size == 1:
                raise
            batch_size = (batch_size + 1) // 2
            log.warning("memory ran out: %d rows at once from here on", batch_size)
