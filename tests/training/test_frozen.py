"""Frozen layers and a linear probe in a whole fold: what does not learn ends as it began, also after a stop at the border between the two."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch import Tensor

from core.base.errors import RecipeError
from core.training.network import WEIGHTS_FILE
from core.training.task import FoldTask
from tests.training.small_tasks import IMAGE, TEXT, make_task, recipe_of, train
from tests.training.stopped import checkpointing_of, crash_at, resumed

pytestmark = pytest.mark.slow  # networks train here

ALL: dict[str, dict[str, Any]] = {
    "image": recipe_of(IMAGE, model={"global_pool": "gem", "dropout_masks": 3}).to_dict(),
    "text": recipe_of(TEXT, model={"pooling": "gem", "dropout_masks": 3}).to_dict(),
}


def weights_of(task: FoldTask) -> dict[str, Tensor]:
    return load_file(task.network_dir / WEIGHTS_FILE)


@pytest.mark.parametrize("modality", ALL)
def test_a_probe_moves_the_head_alone_and_then_everything_that_is_not_frozen(modality: str, tmp_path: Path) -> None:
    def trained(epochs: int, lr: float = 0.003, **model: int) -> dict[str, Tensor]:
        changes = {"epochs": epochs, "probe_epochs": 1}
        task = make_task(tmp_path, recipe_of(ALL[modality], train=changes, optim={"lr": lr}, model=model))
        train(task)
        return weights_of(task)

    first, probed, tuned = trained(1, lr=1e-30), trained(1), trained(4, freeze=1)
    is_head = {key: not key.startswith(("network.", "encoder.")) or key.startswith("network.fc.") for key in first}
    moved = {key for key, value in probed.items() if not value.equal(first[key])}
    assert moved and all(is_head[key] for key in moved)
    moved = {key for key, value in tuned.items() if not value.equal(first[key])}
    stem = {"image": ("network.conv1.", "network.bn1."), "text": ("encoder.tokens", "encoder.positions")}[modality]
    assert any(not is_head[key] for key in moved) and not any(key.startswith(stem) for key in moved)


@pytest.mark.parametrize("modality", ALL)
@pytest.mark.parametrize("crash", [("training", 1, 2), ("training", 2, 1)], ids=["in the probe", "after it"])
def test_a_stop_around_the_end_of_a_probe_changes_no_byte(modality: str, crash: tuple[str, int, int], tmp_path: Path) -> None:
    calm = make_task(tmp_path, recipe_of(ALL[modality], train={"epochs": 3, "probe_epochs": 1}, model={"freeze": 1}))
    output, _, _ = train(calm)
    task = replace(calm, checkpointing=checkpointing_of(tmp_path / "checkpoints"), out_dir=tmp_path / "attempt-1")
    task.out_dir.mkdir()
    crash_at(task, *crash)
    task = resumed(tmp_path, task, 2)
    again, _, _ = train(task)
    assert again.facts["resumed"]
    assert again.valid_prob.tobytes() == output.valid_prob.tobytes()
    assert all(value.equal(weights_of(calm)[key]) for key, value in weights_of(task).items())


def test_more_frozen_groups_than_there_are_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="groups of layers") as caught:
        train(make_task(tmp_path, recipe_of(IMAGE, model={"freeze": 150})))
    assert "set model.freeze=" in str(caught.value.fix)
