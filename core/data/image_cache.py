"""Images of a contest reduced to a short side and decoded once: raw pixels in shards on the disk, shared by epochs, folds and runs.

What a network is given does not depend on it: `open_image` reduces an image in the same way where its pixels are not here. Imports no torch.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image

from core.base.errors import InputError
from core.base.files import fingerprint, sha256_file, sync, write_json, written_aside
from core.data.cache_space import hold, make_room
from core.data.images import FORMATS, LARGE_PX, open_image, reduced_size

LAYOUT = 1
SHARD_BYTES = 64 * 2**20
"""About the size of a shard, and of what is in memory while it is built."""
N_SAMPLED = 64
WAIT_S = 0.2
NO_PIXELS = np.empty((0, 0, 0), dtype=np.uint8)
"""Stand for an image that cannot be read: who needs its row reads the file, and so meets the error."""

Progress = Callable[[int, int], None]
"""Hears of (done, total) images, and may raise to stop."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Images:
    """Files in the order of rows with their sha256, and how they are read (see `open_image`)."""

    paths: Sequence[Path]
    sha256: Sequence[str]
    short_px: int
    white_level: float

    def read(self, row: int) -> Image.Image:
        """One image, from its file. Raises InputError."""
        return open_image(self.paths[row], sha256=self.sha256[row], white_level=self.white_level, short_px=self.short_px)

    @cached_property
    def key(self) -> str:
        """The fingerprint of the pixels: of the files, and of what decodes and reduces them."""
        how = {"layout": LAYOUT, "pillow": PIL.__version__, "short_px": self.short_px, "white_level": self.white_level}
        return fingerprint({**how, "sha256": list(self.sha256)})

    def estimated_bytes(self) -> int:
        """What all pixels take together, by the headers of some of the files."""
        rows, sizes = np.unique(np.linspace(0, len(self.paths) - 1, num=N_SAMPLED).astype(int)), list[int]()
        for row in rows:
            with suppress(Exception), Image.open(self.paths[row], formats=FORMATS) as image:  # one that cannot be read has no pixels
                width, height = reduced_size(image.size, self.short_px)
                sizes.append(width * height * (1 if image.mode in ("1", "L") else 3))
        return round(len(self.paths) * float(np.mean(sizes or [0])))


class CachedImages:
    """The pixels of images that are all in their cache, by their files' sha256. It can be sent to other processes; that in which it was opened
    keeps the cache from removal as long as it has it."""

    def __init__(self, folder: Path, sha256: Sequence[str], n_per_shard: int, shapes: NDArray[np.int32], descriptor: int) -> None:
        self._folder, self._n_per_shard, self._shapes = folder, n_per_shard, shapes
        self._row_of = {name: row for row, name in enumerate(sha256)}
        ends = shapes.prod(axis=1, dtype=np.int64).cumsum()
        starts = np.concatenate([[0], ends[:-1]])
        self._starts = starts - starts[np.arange(len(starts)) // n_per_shard * n_per_shard]  # within its shard
        weakref.finalize(self, os.close, descriptor)

    def size(self, sha256: str) -> tuple[int, int]:
        """Width and height; (0, 0) of an image that could not be read."""
        height, width, _ = self._shapes[self._row_of[sha256]].tolist()
        return width, height

    def pixels(self, sha256: str) -> NDArray[np.uint8] | None:
        """(height, width, 3), of grey images (height, width, 1); None where they are not there, of an image that could not be read or in a cache
        that a person removed."""
        row = self._row_of[sha256]
        found = np.empty(self._shapes[row].tolist(), dtype=np.uint8)
        try:
            with _shard_path(self._folder, row // self._n_per_shard).open("rb", buffering=0) as stream:
                is_whole = os.preadv(stream.fileno(), [found.data], int(self._starts[row])) == found.nbytes > 0
        except FileNotFoundError:
            return None
        return found if is_whole else None

    def image(self, sha256: str) -> Image.Image | None:
        """The same as an image in RGB."""
        pixels = self.pixels(sha256)
        if pixels is None:
            return None
        return Image.fromarray(pixels[:, :, 0]).convert("RGB") if pixels.shape[2] == 1 else Image.fromarray(pixels)

    def has(self, sha256: str) -> bool:
        """Whether the image of a file could be read."""
        return bool(self._shapes[self._row_of[sha256]].all())


class ImageCache:
    """The cache of some images in `root`, which may not be there yet, or in part."""

    def __init__(self, root: Path, images: Images) -> None:
        self.root, self.images = root, images
        self.folder = root / f"{images.key[:20]}-{images.short_px}"
        self._n_per_shard = max(16, SHARD_BYTES // (4 * images.short_px**2))  # three channels, sides of 3 to 4
        self._shards = range(-(-len(images.paths) // self._n_per_shard))

    def open(self) -> CachedImages | None:
        """The pixels, where all are there; their sizes are looked at, not their hashes."""
        if not self.folder.is_dir():
            return None
        descriptor = hold(self.folder)
        shapes = [self._read_index(number) for number in self._shards]
        if any(found is None for found in shapes):
            os.close(descriptor)
            return None
        whole = np.concatenate([found[0] for found in shapes if found is not None])
        return CachedImages(self.folder, self.images.sha256, self._n_per_shard, whole, descriptor)

    def build(self, progress: Progress, n_threads: int) -> CachedImages | None:
        """Decode what is not there, or does not match its sha256; None where that has no room. One process builds, others wait for it.

        A shard is whole once its index is there, so one that was killed loses a shard at the most. Raises DiskFull.
        """
        descriptor = hold(self.folder)
        pool = ThreadPoolExecutor(n_threads, thread_name_prefix="image-cache")
        try:
            wrong = self._wrong(pool, self._shards)
            if wrong:
                with self.building(progress):
                    wrong = self._wrong(pool, wrong)
                    n_left = sum(len(self._rows(number)) for number in wrong)
                    n_bytes = self.images.estimated_bytes() * n_left // len(self.images.paths)
                    if wrong and not make_room(self.root, n_bytes, keep=self.folder):
                        return None
                    self._build(wrong, pool, progress, len(self.images.paths) - n_left)
            return self.open()
        finally:
            pool.shutdown(cancel_futures=True)
            os.close(descriptor)

    def _build(self, numbers: Sequence[int], pool: ThreadPoolExecutor, progress: Progress, n_done: int) -> None:
        for number in numbers:
            shapes, digest, path = list[tuple[int, ...]](), hashlib.sha256(), _shard_path(self.folder, number)
            with written_aside(path) as aside:
                with aside.open("wb") as stream:
                    for row, pixels in zip(self._rows(number), pool.map(self._pixels, self._rows(number)), strict=True):
                        found = self._pixels(row, at_any_size=True) if pixels is None else pixels
                        assert found is not None
                        shapes.append(found.shape)
                        raw = found.tobytes()
                        digest.update(raw)
                        stream.write(raw)
                        n_done += 1
                        progress(n_done, len(self.images.paths))
                sync(aside)
            with written_aside(_index_path(self.folder, number)) as aside:
                write_json(aside, {"shapes": shapes, "sha256": digest.hexdigest()})

    def _pixels(self, row: int, *, at_any_size: bool = False) -> NDArray[np.uint8] | None:
        """(height, width, 3), of grey images (height, width, 1), NO_PIXELS of one that cannot be read; None for a large image, which the calling
        thread decodes: each thread keeps the memory of the largest that it has decoded."""
        path = self.images.paths[row]
        with suppress(Exception), Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > LARGE_PX and not at_any_size:
                return None
        try:
            pixels = np.asarray(self.images.read(row))
        except InputError as problem:
            log.warning("%s: %s", problem.what, path)
            return NO_PIXELS
        is_grey = bool((pixels[..., :1] == pixels[..., 1:]).all())
        return pixels[..., :1] if is_grey else pixels

    @contextmanager
    def building(self, progress: Progress) -> Iterator[None]:
        """The one process that builds; the kernel lets the next one in when it ends, however it ends."""
        with (self.folder / "building").open("ab") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    progress(
                        sum(len(self._rows(number)) for number in self._shards if _index_path(self.folder, number).exists()),
                        len(self.images.paths),
                    )
                    time.sleep(WAIT_S)
            for leftover in self.folder.glob(".*.tmp"):
                leftover.unlink()
            yield

    def _wrong(self, pool: ThreadPoolExecutor, numbers: Sequence[int]) -> list[int]:
        """The shards of `numbers` that are not there, or not as they were written."""

        def is_right(number: int) -> bool:
            found = self._read_index(number)
            return found is not None and sha256_file(_shard_path(self.folder, number)) == found[1]

        return [number for number, right in zip(numbers, pool.map(is_right, numbers), strict=True) if not right]

    def _read_index(self, number: int) -> tuple[NDArray[np.int32], str] | None:
        """Shapes (n, 3) and sha256 of a shard; None where it is not whole."""
        try:
            said = json.loads(_index_path(self.folder, number).read_text(encoding="ascii"))
            shapes, sha256 = np.array(said["shapes"], dtype=np.int32), str(said["sha256"])
            size = _shard_path(self.folder, number).stat().st_size
        except (OSError, ValueError, KeyError, TypeError):
            return None
        is_whole = shapes.shape == (len(self._rows(number)), 3) and shapes.prod(axis=1, dtype=np.int64).sum() == size
        return (shapes, sha256) if is_whole else None

    def _rows(self, number: int) -> range:
        start = number * self._n_per_shard
        return range(start, min(start + self._n_per_shard, len(self.images.paths)))


def _shard_path(folder: Path, number: int) -> Path:
    return folder / f"{number:05d}.pixels"


def _index_path(folder: Path, number: int) -> Path:
    return folder / f"{number:05d}.json"
