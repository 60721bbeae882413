"""Which rows come when, and that the number of processes changes nothing."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from core.base.errors import InputError
from core.data.batches import BLOCK, RowLoader, batches_of, cut, group_by_length
from core.data.pixels import ImageRows
from core.jobs.process import is_alive, of_pid
from core.specs.data_settings import AugmentSettings

pytestmark = pytest.mark.slow  # networks and loader processes: minutes of processor time together


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    found = [tmp_path / f"{number}.png" for number in range(7)]
    for path in found:
        Image.fromarray(rng.integers(0, 256, (20, 24, 3), np.uint8)).save(path)
    return found


def image_rows(paths: list[Path], *, seed: int = 0, fold: int = 0) -> ImageRows:
    kinds: dict[str, Any] = {"policy": "randaugment", "blur": 0.5, "noise": 0.05, "erasing": 0.5, "vflip": True}
    augment = AugmentSettings(min_crop=0.5, hflip=True, rotation_deg=20, jitter=0.3, **kinds)
    return ImageRows(paths, augment, size_px=16, interpolation="bicubic", seed=seed, fold=fold)


def pixels_of(rows: ImageRows, epoch: int, *, workers: int = 0, batch_size: int = 3) -> dict[int, torch.Tensor]:
    """The pixels of every row, by row, in an epoch."""
    found: dict[int, torch.Tensor] = {}
    for batch in RowLoader(rows, workers=workers).load(epoch, batches_of(np.arange(len(rows)), batch_size)):
        found |= {int(row): image for row, image in zip(batch["row"], batch["image"], strict=True)}
    return found


def equal(a: dict[int, torch.Tensor], b: dict[int, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[row], b[row]) for row in a)


@pytest.mark.parametrize("n_rows", [0, 1, 2, 3, 4, 8, 9, 10])
def test_every_position_comes_once_and_no_batch_is_a_single_row_left_over(n_rows: int) -> None:
    parts = [list(range(n_rows))[part] for part in cut(n_rows, 4)]
    assert [position for part in parts for position in part] == list(range(n_rows))
    assert n_rows < 2 or min(map(len, parts)) > 1


@pytest.mark.parametrize("n_rows", [1, 2, 3, 8])
def test_batches_of_one_row_stay_alone(n_rows: int) -> None:
    assert [len(range(n_rows)[part]) for part in cut(n_rows, 1)] == [1] * n_rows


@pytest.mark.parametrize("n_rows", [1, 7, 64, 1001, 2048])
def test_rows_of_similar_length_come_together_each_once_and_in_another_order_in_each_epoch(n_rows: int) -> None:
    rng = np.random.default_rng(0)
    lengths, order = rng.integers(4, 128, 3 * n_rows), rng.permutation(3 * n_rows)[:n_rows]
    grouped = group_by_length(order, lengths, 8, seed=1, fold=2, epoch=3)
    assert sorted(grouped) == sorted(order)
    assert np.array_equal(grouped, group_by_length(order, lengths, 8, seed=1, fold=2, epoch=3))

    def padding(rows: np.ndarray) -> float:
        return sum(lengths[batch].max() * len(batch) for batch in batches_of(rows, 8)) / lengths[rows].sum() - 1

    if n_rows > 8 * BLOCK:
        assert not np.array_equal(grouped, group_by_length(order, lengths, 8, seed=1, fold=2, epoch=4))
        assert padding(grouped) < 0.25 * padding(order)


def test_rows_come_in_the_order_asked_for_epoch_after_epoch(paths: list[Path]) -> None:
    loader = RowLoader(image_rows(paths), workers=0)
    for epoch in (1, 2, 0):
        order = np.random.default_rng(epoch).permutation(len(paths))
        assert [int(row) for batch in loader.load(epoch, batches_of(order, 3)) for row in batch["row"]] == order.tolist()


def test_an_augmentation_depends_on_seed_fold_epoch_and_row_alone(paths: list[Path]) -> None:
    once = pixels_of(image_rows(paths), 1)
    assert equal(once, pixels_of(image_rows(paths), 1, batch_size=7))
    assert not equal(once, pixels_of(image_rows(paths), 2))
    assert not equal(once, pixels_of(image_rows(paths, fold=1), 1))
    assert not equal(once, pixels_of(image_rows(paths, seed=1), 1))
    same_picture_twice = pixels_of(image_rows([paths[0], paths[0]]), 1)
    assert not torch.equal(same_picture_twice[0], same_picture_twice[1])


def test_epoch_zero_is_the_plain_image(paths: list[Path]) -> None:
    rows = image_rows(paths)
    assert equal(pixels_of(rows, 0), pixels_of(image_rows(paths, seed=9), 0))
    expected = np.asarray(Image.open(paths[2]).resize((16, 16), Image.Resampling.BICUBIC))
    assert np.array_equal(pixels_of(rows, 0)[2].permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_loader_processes_changes_nothing(paths: list[Path], workers: int) -> None:
    assert equal(pixels_of(image_rows(paths), 1), pixels_of(image_rows(paths), 1, workers=workers))


def test_a_row_that_an_epoch_takes_again_looks_another_way_and_so_after_a_stop(paths: list[Path]) -> None:
    loader, parts = RowLoader(image_rows(paths), workers=0), [np.array(rows, dtype=np.int64) for rows in ([0, 1, 0], [2, 0], [1, 0])]
    whole = [batch["image"] for batch in loader.load(1, parts)]
    of_row = [whole[0][0], whole[0][2], whole[1][1], whole[2][1]]
    assert not any(torch.equal(a, b) for a, b in combinations(of_row, 2))
    assert torch.equal(whole[0][0], next(iter(loader.load(1, [np.array([0])])))["image"][0]), "the first is that of a row taken once"
    (after,) = loader.load(1, parts, skip=2)
    assert torch.equal(after["image"], whole[2])


def test_batches_are_laid_out_channels_last(paths: list[Path]) -> None:
    rows = image_rows(paths)
    batch = rows.collate([rows[(1, 0, 0)], rows[(1, 1, 0)]])
    assert isinstance(batch, dict)
    assert batch["image"].shape == (2, 3, 16, 16)
    assert batch["image"].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_is_named_from_whichever_process(paths: list[Path], workers: int) -> None:
    paths[4].write_bytes(b"damaged")
    with pytest.raises(InputError) as caught:
        pixels_of(image_rows(paths), 1, workers=workers)
    assert caught.value.where == str(paths[4])
    assert caught.value.what == "a file is not an image"


READS_FOR_EVER = """
import os, sys
from pathlib import Path
import numpy as np
from core.data.batches import RowLoader, batches_of
from tests.data.test_batches import image_rows

class Telling:
    def __init__(self, rows):
        self.rows = rows
    def __len__(self):
        return len(self.rows)
    def __getitem__(self, key):
        return self.rows[key]
    def collate(self, samples):
        return {"pid": os.getpid()}

if __name__ == "__main__":
    rows = Telling(image_rows([Path(name) for name in sys.argv[1:]]))
    loader = RowLoader(rows, workers=2)
    for batch in loader.load(1, batches_of(np.arange(len(rows)), 2)):
        print(batch["pid"], flush=True)
    print("end", flush=True)
    sys.stdin.read()
"""


def test_loader_processes_end_with_the_one_they_read_for_also_when_that_is_killed(paths: list[Path], tmp_path: Path) -> None:
    script = tmp_path / "reads_for_ever.py"
    script.write_text(READS_FOR_EVER)
    command = [sys.executable, str(script), *map(str, paths)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        pids = {int(line) for line in iter(process.stdout.readline, "end\n")}
        loaders = [found for pid in pids if (found := of_pid(pid))]
        assert len(loaders) == 2
        process.kill()
        deadline = time.monotonic() + 20
        while any(is_alive(loader) for loader in loaders):
            assert time.monotonic() < deadline, "they outlive it"
            time.sleep(0.05)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_changed_since_it_was_registered_is_not_trained_on(paths: list[Path], workers: int) -> None:
    sha256 = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]

    def rows(sha256: list[str]) -> ImageRows:
        return ImageRows(paths, AugmentSettings(), size_px=16, interpolation="bicubic", seed=0, fold=0, sha256=sha256)

    assert equal(pixels_of(rows(sha256), 1, workers=workers), pixels_of(rows([]), 1))
    Image.open(paths[4]).rotate(180).save(paths[4])
    with pytest.raises(InputError, match="not the one that was registered") as caught:
        pixels_of(rows(sha256), 1, workers=workers)
    assert caught.value.where == str(paths[4])
