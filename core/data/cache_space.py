"""The folder of a workspace with reduced images and tokens of texts: what is in it, how large it may become, and what leaves it first.

Each cache is a folder of its own (image_cache.py, token_cache.py). Who reads one holds a shared lock on its file `used`, whose time says when that was last;
what is held is not removed. Imports neither arrays nor images: the engine makes space here.
"""

import fcntl
import logging
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import Field

from core.base.errors import InputError
from core.base.files import written_aside
from core.base.settings import Settings, parse_settings, yaml_settings

SETTINGS_FILE = "settings.yaml"
USED = "used"
TOKENS = "tokens"
"""The end of the name of a folder with tokens of texts; that of images is their short side."""
SPARE_BYTES = 2 * 2**30
"""So much of the disk is left to others."""
LEAVING = ".removed-"

log = logging.getLogger(__name__)


class CacheSettings(Settings):
    """How a workspace keeps reduced images and tokens of texts."""

    max_gb: float = Field(
        default=20.0, ge=0, le=1e6, description="The most that reduced images and tokens of texts take on the disk, in GB; 0 keeps none."
    )

    @property
    def max_bytes(self) -> int:
        return round(self.max_gb * 1e9)


@dataclass(frozen=True)
class CacheEntry:
    """The reduced images of one contest at one short side, or tokens of its texts: where, how large, and when they were last used (epoch seconds)."""

    folder: Path
    n_bytes: int
    used_at: float

    @property
    def what(self) -> str:
        """The short side of its images in pixels, or TOKENS."""
        return self.folder.name.rpartition("-")[2]


def cache_settings(root: Path) -> CacheSettings:
    """What was set for the caches in `root`. Raises InputError for a file that cannot be read."""
    path = root / SETTINGS_FILE
    if not path.exists():
        return CacheSettings()
    values = yaml_settings(path, where=str(path), start="delete the file", error=InputError)
    return parse_settings(CacheSettings, values, where=str(path), error=InputError)


def save_cache_settings(root: Path, settings: CacheSettings) -> None:
    """Keep settings in place of those before."""
    with written_aside(root / SETTINGS_FILE) as path:
        path.write_text(yaml.safe_dump(settings.to_dict()), encoding="utf-8")


def list_caches(root: Path) -> tuple[CacheEntry, ...]:
    """Every cache in `root`, the least recently used first."""
    found: list[CacheEntry] = []
    for folder in root.iterdir() if root.is_dir() else ():
        with suppress(FileNotFoundError):  # it is being removed
            if folder.is_dir() and not folder.name.startswith("."):
                found.append(CacheEntry(folder, sum(file.stat().st_size for file in folder.iterdir()), (folder / USED).stat().st_mtime))
    return tuple(sorted(found, key=lambda entry: entry.used_at))


def remove_caches(root: Path, is_enough: Callable[[], bool] = lambda: False, *, keep: Path | None = None) -> tuple[CacheEntry, ...]:
    """Remove caches, the least recently used first, until it is enough; returns those that went. What a process reads stays, and `keep`."""
    for leftover in root.glob(f"{LEAVING}*"):  # of a process that was killed while it removed one
        shutil.rmtree(leftover, ignore_errors=True)
    removed: list[CacheEntry] = []
    for entry in list_caches(root):
        if is_enough():
            break
        if entry.folder != keep and _remove(entry.folder):
            removed.append(entry)
            log.warning("the cache of %s, last used longest ago, was removed for its space (%d bytes)", entry.folder.name, entry.n_bytes)
    return tuple(removed)


def make_room(root: Path, needed: int, *, keep: Path) -> bool:
    """Remove other caches until `needed` more bytes fit what is allowed and the disk; False, and nothing is removed, where they never would."""
    most, free = cache_settings(root).max_bytes, shutil.disk_usage(root).free
    others = sum(entry.n_bytes for entry in list_caches(root) if entry.folder != keep)
    mine = sum(file.stat().st_size for file in keep.iterdir())

    def fits(others: int, free: int) -> bool:
        return others + mine + needed <= most and free >= needed + SPARE_BYTES

    if not fits(0, free + others):
        return False

    def is_enough() -> bool:
        left = sum(entry.n_bytes for entry in list_caches(root) if entry.folder != keep)
        return fits(left, shutil.disk_usage(root).free)

    remove_caches(root, is_enough, keep=keep)
    return is_enough()


def hold(folder: Path) -> int:
    """Make a cache's folder where it is missing, and lock it against removal; returns the descriptor that holds the lock until it is closed."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # removed in this moment: made again
            descriptor = os.open(folder / USED, os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.flock(descriptor, fcntl.LOCK_SH)  # waits only while another process removes it
            if _is_at(descriptor, folder / USED):
                os.utime(descriptor)
                return descriptor
            os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _remove(folder: Path) -> bool:
    """Remove a cache that nobody holds; False for one that is held, or gone."""
    try:
        descriptor = os.open(folder / USED, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        aside = folder.with_name(f"{LEAVING}{folder.name}-{os.getpid()}")
        folder.rename(aside)
    except (BlockingIOError, FileNotFoundError):
        return False
    finally:
        os.close(descriptor)
    shutil.rmtree(aside, ignore_errors=True)
    return True
