"""The cache of reduced images: what a network is given does not depend on it, and nothing that happens to it loses more than time."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.base.errors import InputError
from core.data import cache_space, image_cache
from core.data.cache_space import CacheSettings, hold, list_caches, remove_caches, save_cache_settings
from core.data.image_cache import CachedImages, ImageCache, Images
from core.data.images import open_image
from core.data.pixels import ImageRows
from core.specs.data_settings import AugmentSettings, InputSettings

ROOT = Path(__file__).parents[2]
N = 40
"""Files: two shards of 16, and one of 8."""


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Images:
    monkeypatch.setattr(image_cache, "SHARD_BYTES", 1)  # the fewest files in a shard
    return write_images(tmp_path / "files")


def write_images(folder: Path) -> Images:
    """Photographs, turned ones, grey ones, deep ones, small ones, and transparent ones."""
    folder.mkdir()
    rng, paths = np.random.default_rng(0), list[Path]()
    for number in range(N):
        small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
        image = small.resize((320 + number, 200), Image.Resampling.BICUBIC)
        paths.append(folder / f"{number}.{'jpg' if number % 6 < 2 else 'png'}")
        exif = Image.Exif()
        exif[0x0112] = 6  # a quarter turn
        match number % 6:
            case 0:
                image.resize((700, 600)).save(paths[-1])
            case 1:
                image.save(paths[-1], exif=exif)
            case 2:
                image.convert("L").save(paths[-1])
            case 3:
                Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 16).save(paths[-1])
            case 4:
                small.save(paths[-1])
            case _:
                image.putalpha(128)
                image.save(paths[-1])
    return Images(paths, [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths], 128, 4095.0)


def build(images: Images, root: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> CachedImages | None:
    return ImageCache(root, images).build(progress, n_threads=2)


def builds(images: Images, root: Path) -> tuple[CachedImages, list[int]]:
    """The images, and how many were there after each that had to be decoded."""
    said: list[int] = []
    cached = build(images, root, lambda done, total: said.append(done))
    assert cached is not None
    return cached, said


def assert_equal(images: Images, cached: CachedImages) -> None:
    for row, sha256 in enumerate(images.sha256):
        found = cached.image(sha256)
        assert found is not None and np.array_equal(np.asarray(found), np.asarray(images.read(row))), images.paths[row]


@pytest.mark.parametrize(
    ("size", "reduced"), [((320, 200), (205, 128)), ((200, 320), (128, 205)), ((100, 900), (100, 900)), ((128, 129), (128, 129))]
)
def test_an_image_is_reduced_to_its_short_side_and_never_enlarged(size: tuple[int, int], reduced: tuple[int, int], tmp_path: Path) -> None:
    Image.linear_gradient("L").resize(size).save(tmp_path / "a.png")
    Image.linear_gradient("L").resize(size).save(tmp_path / "a.jpg", quality=95)
    once, jpeg = (open_image(tmp_path / name, short_px=128) for name in ("a.png", "a.jpg"))
    assert once.size == jpeg.size == reduced and open_image(tmp_path / "a.png").size == size
    assert abs(np.asarray(once).astype(int) - np.asarray(jpeg)).mean() < 2


def test_a_turned_photograph_is_reduced_upright_and_computed_at_a_part_of_its_lines(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    gradient = Image.linear_gradient("L").convert("RGB").resize((2000, 1600))
    gradient.save(tmp_path / "a.jpg", exif=exif, quality=95)
    reduced = open_image(tmp_path / "a.jpg", short_px=128)
    assert reduced.size == (128, 160)
    whole = gradient.transpose(Image.Transpose.ROTATE_270).resize((128, 160), Image.Resampling.BICUBIC)
    assert abs(np.asarray(reduced).astype(int) - np.asarray(whole)).mean() < 2


@pytest.mark.parametrize(("size_px", "short_px"), [(16, 128), (106, 128), (128, 256), (224, 384), (384, 512), (600, 768), (1024, 1024)])
def test_the_short_side_follows_the_input(size_px: int, short_px: int) -> None:
    assert InputSettings(size_px=size_px, reduced=True).short_px == short_px >= size_px
    assert InputSettings(size_px=size_px).short_px == 0


@pytest.mark.parametrize("epoch", [0, 1, 2])
@pytest.mark.parametrize("more", [{}, {"erasing": 0.5}, {"rotation_deg": 20, "policy": "randaugment"}], ids=str)
def test_a_network_is_given_the_same_bytes_with_a_cache_and_without(
    images: Images, tmp_path: Path, epoch: int, more: dict[str, Any]
) -> None:
    cached, said = builds(images, tmp_path / "cache")
    assert said == list(range(1, N + 1))
    assert_equal(images, cached)

    def pixels(**source: Any) -> np.ndarray:
        augment = AugmentSettings(min_crop=0.5, jitter=0.3, **more)
        how: dict[str, Any] = {
            "size_px": 32,
            "interpolation": "bicubic",
            "seed": 0,
            "fold": 0,
            "sha256": images.sha256,
            "white_level": 4095.0,
        }
        rows = ImageRows(images.paths, augment, **how, short_px=128, **source)
        found = [*rows.__getitems__([(epoch, row, 0) for row in range(N - 1)]), rows[epoch, N - 1, 0]]  # the last one without threads
        return np.stack([np.asarray(sample[1]) for sample in found if isinstance(sample, tuple)])

    from_files = pixels()
    for path in images.paths:
        path.unlink()
    assert np.array_equal(pixels(cached=cached), from_files) and len(from_files) == N


def test_what_is_there_is_not_decoded_again_by_other_runs(images: Images, tmp_path: Path) -> None:
    builds(images, tmp_path / "cache")
    cached, said = builds(images, tmp_path / "cache")
    assert said == []
    assert_equal(images, cached)
    assert ImageCache(tmp_path / "cache", images).open() is not None
    other = Images(images.paths, images.sha256, 256, 4095.0)
    assert ImageCache(tmp_path / "cache", other).open() is None and len(list_caches(tmp_path / "cache")) == 1


KILLED = """
import os, signal, sys
from pathlib import Path
from core.data import image_cache
from tests.data.test_image_cache import Images, build
image_cache.SHARD_BYTES = 1
paths = [Path(path) for path in sys.argv[3:]]
images = Images(paths, sys.argv[2].split(","), 128, 4095.0)
build(images, Path(sys.argv[1]), lambda done, total: os.kill(os.getpid(), signal.SIGKILL) if done == 35 else None)
"""


def test_a_killed_build_goes_on_with_the_shard_that_it_lost(images: Images, tmp_path: Path) -> None:
    root = tmp_path / "cache"
    arguments = [str(root), ",".join(images.sha256), *map(str, images.paths)]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], cwd=ROOT, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (folder,) = root.iterdir()
    assert list(folder.glob(".*.tmp")) and ImageCache(root, images).open() is None
    cached, said = builds(images, root)
    assert said == list(range(33, N + 1)) and not list(folder.glob(".*.tmp"))
    assert_equal(images, cached)


def spoil_truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def spoil_changed(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def spoil_index(path: Path) -> None:
    path.with_suffix(".json").write_text("{", encoding="ascii")


@pytest.mark.parametrize("spoil", [spoil_truncated, spoil_changed, spoil_index, Path.unlink])
def test_a_damaged_shard_is_found_and_made_again_alone(images: Images, tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    builds(images, tmp_path / "cache")
    (folder,) = (tmp_path / "cache").iterdir()
    spoil(folder / "00001.pixels")
    cached, said = builds(images, tmp_path / "cache")
    assert said == list(range(25, N + 1))  # 16 were decoded
    assert_equal(images, cached)


def test_two_that_build_at_once_decode_each_image_once(images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    read = Images.read

    def counted(self: Images, row: int) -> Image.Image:
        decoded.append(row)
        return read(self, row)

    monkeypatch.setattr(Images, "read", counted)
    monkeypatch.setattr(image_cache, "WAIT_S", 0.01)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: build(images, tmp_path / "cache"), range(2)))
    assert None not in both and sorted(decoded) == list(range(N))


def test_one_that_waits_for_another_can_be_stopped(images: Images, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise Stopped

    cache = ImageCache(tmp_path / "cache", images)
    descriptor = hold(cache.folder)
    with cache.building(lambda done, total: None), pytest.raises(Stopped):
        cache.build(stop, n_threads=1)
    os.close(descriptor)


def test_a_file_that_cannot_be_read_is_left_to_who_needs_its_row(images: Images, tmp_path: Path) -> None:
    raw = images.paths[7].read_bytes()
    images.paths[7].write_bytes(raw[:-40])
    cached, _ = builds(images, tmp_path / "cache")
    assert [row for row, sha256 in enumerate(images.sha256) if not cached.has(sha256)] == [7]
    assert cached.image(images.sha256[7]) is None and cached.image(images.sha256[8]) is not None
    rows = ImageRows(
        images.paths, AugmentSettings(), size_px=32, interpolation="", seed=0, fold=0, sha256=images.sha256, short_px=128, cached=cached
    )
    assert isinstance(rows[0, 7, 0], InputError)


def test_the_least_recently_used_gives_way_what_is_read_does_not(images: Images, tmp_path: Path) -> None:
    root = tmp_path / "cache"
    sizes = dict.fromkeys((128, 256, 384))
    for at, short_px in enumerate(sizes):
        assert build(Images(images.paths, images.sha256, short_px, 4095.0), root)
        os.utime(next(root.glob(f"*-{short_px}")) / cache_space.USED, (at, at))
    left = {int(entry.what): entry.n_bytes for entry in list_caches(root)}
    assert list(left) == [128, 256, 384]
    reading = hold(next(root.glob("*-128")))
    os.utime(next(root.glob("*-128")) / cache_space.USED, (0, 0))
    large = Images(images.paths, images.sha256, 512, 4095.0)
    save_cache_settings(root, CacheSettings(max_gb=(left[128] + left[384] + large.estimated_bytes() + 5_000) / 1e9))
    assert build(large, root)
    assert [entry.what for entry in list_caches(root)] == ["128", "384", "512"]
    os.close(reading)
    assert [entry.what for entry in remove_caches(root)] == ["128", "384", "512"] and not list_caches(root)


def test_what_has_no_room_is_not_built_and_removes_nothing(images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "cache"
    assert build(images, root)
    large = Images(images.paths, images.sha256, 768, 4095.0)
    save_cache_settings(root, CacheSettings(max_gb=0.001))
    assert build(large, root) is None
    save_cache_settings(root, CacheSettings())
    monkeypatch.setattr(cache_space, "SPARE_BYTES", 2**62)
    assert build(large, root) is None
    assert "128" in [entry.what for entry in list_caches(root)]
