"""The first rows of an epoch as the network will see them: augmented, mixed, with their targets. No network is built, nothing is trained."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.data.batches import RowLoader
from core.data.pixels import ImageRows
from core.specs.network import read_network_spec
from core.training.setup import make_targets
from core.training.step import cut_steps, order_rows, put_together
from core.training.task import FoldTask
from models.image import interpolation_of


@dataclass(frozen=True)
class SeenRows:
    """Rows of a step: their numbers (n,), pixels (n, height, width, 3) uint8, and what they teach (n, K)."""

    rows: NDArray[np.int64]
    pixels: NDArray[np.uint8]
    targets: NDArray[np.float32]


def see_rows(task: FoldTask, epoch: int, n_rows: int) -> SeenRows:
    """The first `n_rows` rows of the first step of an epoch (from 1) of a task of images. Raises InputError for an image that cannot be read."""
    step = cut_steps(task, order_rows(task, epoch, np.ones(len(task.inputs), dtype=np.int64)))[0]
    # A row is mixed with the one before it, the first one with the last of the step: no others have to be read.
    asked = step if len(step) <= n_rows else np.append(step[:n_rows], step[-1])
    recipe = task.recipe
    rows = ImageRows(
        [Path(path) for path in task.inputs],
        recipe.augment,
        size_px=recipe.input.size_px,
        interpolation=read_network_spec(task.start_dir).interpolation if task.start_dir else interpolation_of(recipe.model.backbone),
        seed=recipe.train.seed,
        fold=task.fold,
        sha256=task.sha256,
        white_level=task.white_level,
        first_px=recipe.input.first_px,
        first_epochs=recipe.first_epochs,
        short_px=recipe.input.short_px,
    )
    batch = next(RowLoader(rows, workers=0).load(epoch, [asked]))
    (part,) = put_together(task, make_targets(task), [batch], epoch, 1)
    pixels = part.inputs["image"].round().byte() if part.inputs["image"].is_floating_point() else part.inputs["image"]
    return SeenRows(asked[:n_rows], pixels[:n_rows].permute(0, 2, 3, 1).numpy(), part.targets[:n_rows].numpy())
