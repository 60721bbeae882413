"""From a network and rows to class probabilities, in the order of the rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from core.data.batches import RowLoader, batches_of
from core.training.setup import Precision

EVALUATION_FACTOR = 2  # without gradients twice the rows fit


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
) -> NDArray[np.float32]:
    """Probabilities (len(idx), n_classes) of the rows `idx`, not augmented: by softmax, so that every row sums to one in float32, or
    multi-label by a sigmoid for each class.

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
            with precision.autocast(device):
                logits = model(inputs)
            wide = logits.float().cpu().double()
            found = (torch.sigmoid(wide) if multilabel else torch.softmax(wide, dim=1)).numpy()
            prob[done : done + len(found)] = found
            done += len(found)
            after_batch(len(found))
    return prob
