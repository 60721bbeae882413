"""What a fold's images are read from: equal numbers with a cache and without, and damage that is said before training."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.base.errors import InputError
from core.specs.progress import Progress
from core.specs.recipe import Recipe
from core.training.images import find_images, open_images
from core.training.predictor import load_network
from core.training.task import FoldTask
from tests.training.small_tasks import IMAGE, N_ROWS, make_task, recipe_of, train

REDUCED = recipe_of(IMAGE, input={"size_px": 32, "reduced": True}, train={"epochs": 1, "batch_size": 8})
WHOLE = recipe_of(IMAGE, train={"epochs": 1, "batch_size": 8})


def task_of(folder: Path, recipe: Recipe, **changes: Any) -> FoldTask:
    """A task whose images are larger than what they are reduced to, with their sha256."""
    task = make_task(folder, recipe)
    paths = [Path(path) for path in (*task.inputs, *task.test_inputs)]
    for path in paths:
        with Image.open(path) as image:
            image.resize((170, 150), Image.Resampling.NEAREST).save(path)
    sha256 = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    hashes = {"sha256": sha256[:N_ROWS], "test_sha256": sha256[N_ROWS:], "cache_dir": folder / "cache"}
    return make_task_again(task, {**hashes, **changes})


def make_task_again(task: FoldTask, changes: dict[str, Any]) -> FoldTask:
    out_dir = task.out_dir.with_name(f"{task.out_dir.name}-{len(list(task.out_dir.parent.iterdir()))}")
    out_dir.mkdir()
    return replace(task, **{"out_dir": out_dir, **changes})


def opened(task: FoldTask) -> tuple[Any, list[tuple[int, int]]]:
    checked: list[tuple[int, int]] = []
    source = open_images(task, caching=lambda done, total: None, checking=lambda *at: checked.append(at))
    return source, checked


@pytest.mark.slow
def test_a_fold_ends_in_the_same_bytes_cold_warm_and_without_a_cache_and_predicts_again(tmp_path: Path) -> None:
    task = task_of(tmp_path, REDUCED)
    found = []
    for changes in ({}, {}, {"cache_dir": None}):
        mine = make_task_again(task, changes)
        output, said, _ = train(mine)
        phases = [item.phase for item in said]
        found.append((output.valid_prob.tobytes(), output.test_prob.tobytes(), (mine.network_dir / "weights.safetensors").read_bytes()))
        assert ("caching" in phases) == (len(found) == 1)
        assert ("decoded once" in output.facts["images"]) == (len(found) < 3)
    assert found[0] == found[1] == found[2]
    again = load_network(mine.network_dir).predict([Path(path) for path in task.test_inputs], sha256=task.test_sha256)
    assert again.tobytes() == found[0][1]
    whole = make_task_again(task, {"recipe": WHOLE})
    assert train(whole)[0].test_prob.tobytes() != found[0][1], "images of this size are reduced"


def test_a_dry_run_builds_no_cache_and_takes_one_that_is_there(tmp_path: Path) -> None:
    task = task_of(tmp_path, REDUCED)
    assert find_images(task) is None and not (tmp_path / "cache").exists()
    assert opened(task)[0].cached is not None and find_images(task) is not None


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


@pytest.mark.parametrize("recipe", [REDUCED, WHOLE], ids=["reduced", "whole"])
@pytest.mark.parametrize("spoil", [cut, Path.unlink])
@pytest.mark.parametrize("row", [0, N_ROWS + 3], ids=["a row of the fold", "a test row"])
def test_damage_since_registration_is_said_before_training(recipe: Recipe, spoil: Callable[[Path], None], row: int, tmp_path: Path) -> None:
    task = task_of(tmp_path, recipe)
    path = Path([*task.inputs, *task.test_inputs][row])
    spoil(path)
    said: list[Progress] = []
    with pytest.raises(InputError) as problem:
        from core.training.fold import train_fold

        train_fold(task, report=lambda item: said.append(item) if isinstance(item, Progress) else None, should_stop=lambda: False)
    assert str(path) in problem.value.where and {item.phase for item in said} <= {"loading", "caching"}


def test_all_that_is_damaged_is_told_as_one_error(tmp_path: Path) -> None:
    task = task_of(tmp_path, WHOLE)
    for row in range(7):
        cut(Path(task.inputs[row]))
    with pytest.raises(InputError, match="7 images of this fold cannot be trained on") as problem:
        opened(task)
    assert problem.value.where.count(".png") == 5 and "the file changed" in problem.value.why


def test_rows_that_a_fold_does_not_take_may_be_damaged(tmp_path: Path) -> None:
    task = task_of(tmp_path, REDUCED)
    cut(Path(task.inputs[0]))
    rows = np.arange(1, N_ROWS)
    task = make_task_again(task, {"train_idx": rows[::2], "valid_idx": rows[1::2]})
    source, checked = opened(task)
    assert source.cached is not None and checked == []


def test_without_room_files_are_read_and_it_is_said(tmp_path: Path) -> None:
    task = task_of(tmp_path, REDUCED)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "settings.yaml").write_text("max_gb: 0\n", encoding="utf-8")
    source, checked = opened(task)
    assert source.cached is None and "anew in every epoch" in source.said and checked[-1] == (N_ROWS + 9, N_ROWS + 9)
