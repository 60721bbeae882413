"""In which order rows reach the network, and through how many processes, neither of which depends on the other."""

import multiprocessing
import os
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import count, pairwise
from multiprocessing.context import BaseContext
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from core.base.errors import PitwallError
from core.data.randomness import derive

BLOCK = 16
"""Batches among which rows are sorted by length."""

Key = tuple[int, int, int]  # epoch (0: no augmentation), row, and how often the epoch took the row before
Batch = dict[str, Tensor]


class Rows(Protocol):
    """A dataset that is asked for (epoch, row, repeat), so that an augmentation can depend on them; `collate` makes the batch.

    A batch holds `row` (n,) int64 beside the inputs of the network. A row that cannot be read makes the batch its error, which
    so comes whole out of another process.
    """

    def __getitem__(self, key: Key) -> Any: ...

    def __len__(self) -> int: ...

    def collate(self, samples: Sequence[Any]) -> Batch | PitwallError: ...

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n,): what decides how much memory each row takes in the network; only comparisons between rows count."""
        ...


def cut(n_rows: int, batch_size: int) -> list[slice]:
    """Batches over `n_rows` positions. A single row left over joins the batch before it, as batch norm cannot train on one; where
    every batch is one row, it stays alone: there may be memory for no more."""
    starts = list(range(0, n_rows, batch_size))
    if len(starts) > 1 and batch_size > 1 and n_rows - starts[-1] == 1:
        starts.pop()
    return [slice(start, stop) for start, stop in pairwise([*starts, n_rows])]


def batches_of(idx: NDArray[np.int64], batch_size: int) -> list[NDArray[np.int64]]:
    """The rows `idx` in their order, cut into batches."""
    return [idx[part] for part in cut(len(idx), batch_size)]


def group_by_length(
    order: NDArray[np.int64], lengths: NDArray[np.int64], batch_size: int, *, seed: int, fold: int, epoch: int
) -> NDArray[np.int64]:
    """The rows `order` of an epoch with rows of similar length in each batch, by the `lengths` of all rows.

    Blocks of BLOCK batches are sorted by length, so that which rows meet is still up to the order, then whole batches are shuffled. (The
    sampler of transformers sorts blocks of 50, and takes the batches of a block from the longest to the shortest.)
    """
    n_whole = len(order) // batch_size * batch_size
    order = order[np.lexsort((-lengths[order], np.arange(len(order)) // (BLOCK * batch_size)))]
    shuffled = np.random.default_rng(derive(seed, "batches", fold, epoch)).permutation(n_whole // batch_size)
    return np.concatenate([order[:n_whole].reshape(-1, batch_size)[shuffled].ravel(), order[n_whole:]])


class RowLoader:
    """Rows in batches, read in this process (0 workers) or in others, which live as long as this object."""

    def __init__(self, rows: Rows, *, workers: int, pin_memory: bool = False) -> None:
        self.rows = rows
        self.workers = workers
        self._order = _Order()
        self._loader = DataLoader(
            rows,  # type: ignore[arg-type]
            batch_sampler=self._order,
            collate_fn=rows.collate,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=pin_memory,
            multiprocessing_context=_context(rows) if workers else None,
            worker_init_fn=_end_with_parent if workers else None,
        )

    def load(self, epoch: int, parts: Sequence[NDArray[np.int64]], *, skip: int = 0) -> Iterator[Batch]:
        """One batch per part of an epoch, its rows in their order, as they look in `epoch` (0: as they are), without the first `skip` parts.

        Raises the error of a row that cannot be read.
        """
        seen = defaultdict[int, Iterator[int]](count)
        self._order.keys = [[(epoch, row, next(seen[row])) for row in part.tolist()] for part in parts][skip:]
        for batch in self._loader:
            if isinstance(batch, PitwallError):
                raise batch
            yield batch


class _Order(Sampler[list[Key]]):
    """The batches that the loader asks for next."""

    def __init__(self) -> None:
        self.keys: list[list[Key]] = []

    def __iter__(self) -> Iterator[list[Key]]:
        return iter(self.keys)

    def __len__(self) -> int:
        return len(self.keys)


def _end_with_parent(_number: int) -> None:
    """In a loader process: end when the one that trains is gone, however it ended.

    torch looks at the id of the parent process, but that is the server which these are forked from; it and they would keep each
    other alive for ever after a kill, with the memory of the dead.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, name="end-with-parent", daemon=True).start()


def _context(rows: Rows) -> BaseContext:
    """How loader processes start: from a clean process that has torch loaded, never as a fork of this one and its threads."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", type(rows).__module__])
    return context
