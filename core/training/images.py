"""Where a fold's images are read from, made sure of before it trains: their cache, or their files, all as they were registered."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from core.base.errors import InputError
from core.base.messages import joined, msg
from core.data.cache_space import cache_settings
from core.data.image_cache import CachedImages, ImageCache, Images
from core.data.images import check_file
from core.training.machine import own_cores
from core.training.task import FoldTask

N_NAMED, N_AT_ONCE = 5, 256
Progress = Callable[[int, int], None]
"""Hears of (done, total) images, and may raise to stop."""


@dataclass(frozen=True)
class ImageSource:
    """The reduced images, where there are any on the disk, and in words what a fold reads."""

    cached: CachedImages | None
    said: str


def open_images(task: FoldTask, *, caching: Progress, checking: Progress) -> ImageSource:
    """What the images of a fold are read from. They are decoded into their cache where the recipe reduces them and there is room; all that the
    fold will read from its files is compared with what was registered.

    Raises InputError for images of the fold that are damaged, missing or changed; DiskFull.
    """
    short_px, images = task.recipe.input.short_px, _images(task)
    if images is None:
        return ImageSource(None, "")
    cached, said = None, "whole files, decoded in every epoch"
    if short_px and task.cache_dir is not None:
        cached = ImageCache(task.cache_dir, images).build(caching, len(own_cores()))
        said = msg("files reduced to {px} px, decoded once" if cached else _NO_ROOM, px=short_px, gb=cache_settings(task.cache_dir).max_gb)
    own = [*map(int, chain(task.train_idx, task.valid_idx)), *range(len(task.inputs), len(images.paths))]
    if cached is None:
        _check(own, lambda row: check_file(images.paths[row], images.sha256[row]), checking)
    else:
        _check([row for row in own if not cached.has(images.sha256[row])], images.read, checking)
    return ImageSource(cached, said)


_NO_ROOM = "files reduced to {px} px anew in every epoch: decoded they do not fit the disk, or the {gb:g} GB that the cache may take"


def find_images(task: FoldTask) -> CachedImages | None:
    """The reduced images of a task where all of them are on the disk already."""
    images = _images(task)
    return None if images is None or not images.short_px or task.cache_dir is None else ImageCache(task.cache_dir, images).open()


def _images(task: FoldTask) -> Images | None:
    """The files of all rows, then of the test rows; None for texts, and where nobody knows what the files were."""
    sha256 = [*task.sha256, *task.test_sha256]
    paths = [Path(path) for path in chain(task.inputs, task.test_inputs)] if task.recipe.modality == "image" else []
    return Images(paths, sha256, task.recipe.input.short_px, task.white_level) if paths and len(paths) == len(sha256) else None


def _check(rows: Sequence[int], read: Callable[[int], object], progress: Progress) -> None:
    """Read files; raise one error for all that cannot be read, or are not those that were registered."""
    problems: list[InputError] = []

    def check(row: int) -> InputError | None:
        try:
            read(row)
        except InputError as problem:
            return problem
        return None

    with ThreadPoolExecutor(len(own_cores()), thread_name_prefix="check-files") as pool:
        for start in range(0, len(rows), N_AT_ONCE):
            problems += filter(None, pool.map(check, rows[start : start + N_AT_ONCE]))
            progress(min(start + N_AT_ONCE, len(rows)), len(rows))
    if len(problems) > 1:
        raise InputError(
            "{n} images of this fold cannot be trained on",
            where=joined("; ", (problem.where for problem in problems[:N_NAMED])),
            why=joined("; ", dict.fromkeys(joined(": ", filter(None, (problem.what, problem.why))) for problem in problems[:N_NAMED])),
            fix="put the files back as they were, or register the contest again",
            n=len(problems),
        )
    if problems:
        raise problems[0]
