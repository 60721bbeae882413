"""In which order rows reach the network, and through how many processes; neither depends on the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from core.errors import PitwallError

Key = tuple[int, int]  # epoch (0: no augmentation) and row
Batch = dict[str, Tensor]


class Rows(Protocol):
    """A dataset that is asked for (epoch, row), so that an augmentation can depend on both; `collate` makes the batch.

    A batch holds `row` (n,) int64 beside the inputs of the network. A row that cannot be read makes the batch its error, which
    so comes whole out of another process.
    """

    def __getitem__(self, key: Key) -> Any: ...

    def __len__(self) -> int: ...

    def collate(self, samples: Sequence[Any]) -> Batch | PitwallError: ...


class EpochBatches(Sampler[list[Key]]):
    """The batches of one epoch, set with `begin`. The loader's processes live on from epoch to epoch."""

    def __init__(self) -> None:
        self._batches: list[list[Key]] = []

    def begin(self, epoch: int, rows: NDArray[np.int64], batch_size: int) -> None:
        """Cut `rows` into batches. A single row left over joins the batch before it: batch norm cannot train on one."""
        cuts = list(range(0, len(rows), batch_size))
        if len(cuts) > 1 and len(rows) - cuts[-1] == 1:
            cuts.pop()
        self._batches = [[(epoch, int(row)) for row in rows[start:stop]] for start, stop in zip(cuts, [*cuts[1:], len(rows)], strict=True)]

    def __iter__(self) -> Iterator[list[Key]]:
        return iter(self._batches)

    def __len__(self) -> int:
        return len(self._batches)


def make_loader(rows: Rows, batches: EpochBatches, *, workers: int, pin_memory: bool) -> DataLoader[Any]:
    """A loader over `batches`, in this process (0 workers) or in others; the batches are equal either way."""
    return DataLoader(
        rows,  # type: ignore[arg-type]
        batch_sampler=batches,
        collate_fn=rows.collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=pin_memory,
    )


def iterate(loader: DataLoader[Any]) -> Iterator[Batch]:
    """The loader's batches, in order; raises the error of a row that could not be read."""
    for batch in loader:
        if isinstance(batch, PitwallError):
            raise batch
        yield batch
