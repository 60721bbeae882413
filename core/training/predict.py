"""From a network and rows to class probabilities, in the order of the rows: the mean over views of each row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from core.data.batches import Batch, RowLoader, batches_of
from core.training.setup import Precision

EVALUATION_FACTOR = 2  # without gradients twice the rows fit


@dataclass(frozen=True)
class View:
    """One way to look at a row: what is done to the inputs of a batch, on the device, before the network reads them."""

    name: str
    of: Callable[[Batch], Batch]


PLAIN = View("plain", lambda inputs: inputs)
"""The row as it is."""


def predict(
    model: nn.Module,
    loader: RowLoader,
    idx: NDArray[np.int64],
    n_classes: int,
    *,
    batch_size: int,
    device: torch.device,
    precision: Precision,
    after_batch: Callable[[int], None],
    multilabel: bool = False,
    views: Sequence[View] = (PLAIN,),
) -> NDArray[np.float32]:
    """Probabilities (len(idx), n_classes) of the rows `idx`, not augmented: by softmax, so that every row sums to one in float32, or
    multi-label by a sigmoid for each class. Of several views the mean.

    `after_batch(n)` is called with the number of rows of each batch, and may raise to stop.
    """
    prob = np.full((len(idx), n_classes), np.nan, dtype=np.float32)
    if not len(idx):
        return prob
    model.eval()
    done = 0
    with torch.inference_mode():
        for batch in loader.load(0, batches_of(idx, batch_size * EVALUATION_FACTOR)):
            inputs = {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
            found = np.mean([_probabilities(model, view.of(inputs), device, precision, multilabel=multilabel) for view in views], axis=0)
            prob[done : done + len(found)] = found
            done += len(found)
            after_batch(len(found))
    return prob


def _probabilities(model: nn.Module, inputs: Batch, device: torch.device, precision: Precision, *, multilabel: bool) -> NDArray[np.float64]:
    with precision.autocast(device):
        logits = model(inputs)
    wide = logits.float().cpu().double()
    return (torch.sigmoid(wide) if multilabel else torch.softmax(wide, dim=1)).numpy()
