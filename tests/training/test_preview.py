"""What the preview shows is what the first step of an epoch trains on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.base.errors import InputError
from core.data.batches import RowLoader
from core.training.network import build_network
from core.training.preview import see_rows
from core.training.setup import make_targets
from core.training.step import cut_micro_batches, cut_steps, order_rows, put_together
from tests.training.small_tasks import IMAGE, make_task, recipe_of


@pytest.mark.parametrize("augment", [{}, {"mixup": 0.4, "policy": "augmix"}, {"cutmix": 1.0, "erasing": 1.0}], ids=str)
@pytest.mark.parametrize("epoch", [1, 2])
def test_it_shows_the_rows_of_a_step(augment: dict[str, Any], epoch: int, tmp_path: Path) -> None:
    recipe = recipe_of(IMAGE, augment=augment, input={"first_px": 24}, train={"accumulate": 2})
    task = make_task(tmp_path, recipe)
    _, rows, _ = build_network(task)
    step = cut_micro_batches(task, cut_steps(task, order_rows(task, epoch, rows.lengths))[0])
    parts = put_together(task, make_targets(task), list(RowLoader(rows, workers=0).load(epoch, step)), epoch, 1)
    pixels = torch.cat([part.inputs["image"] for part in parts]).float().round().byte().permute(0, 2, 3, 1).numpy()
    targets = torch.cat([part.targets for part in parts]).numpy()
    for n in (3, 8, 12):
        seen = see_rows(task, epoch, n)
        assert seen.rows.tolist() == np.concatenate(list(step))[:n].tolist()
        assert np.array_equal(seen.pixels, pixels[:n]) and np.array_equal(seen.targets, targets[:n])
        assert seen.pixels.shape[1:] == ((24, 24, 3) if epoch == 1 else (32, 32, 3))


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    task = make_task(tmp_path, recipe_of(IMAGE))
    Path(task.inputs[int(order_rows(task, 1, np.ones(len(task.inputs), dtype=np.int64))[0])]).unlink()
    with pytest.raises(InputError, match="an image is missing"):
        see_rows(task, 1, 4)
