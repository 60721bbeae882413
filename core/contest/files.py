"""What lies in a contest's folder: an index of its files by NFC name, and its CSV files read once.

Only what the index lists is ever opened, so no path in a CSV can lead outside: symlinks are not followed, and hidden
files, archives of macOS and thumbnails of Windows are not seen.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from functools import cached_property
from pathlib import Path, PurePosixPath

from core.base.errors import InputError
from core.base.files import nfc
from core.base.messages import reason
from core.contest.encoding import Table, read_table

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
REFUSED_SUFFIXES = frozenset({".heic", ".heif", ".avif", ".svg", ".jp2", ".ico", ".psd", ".raw", ".dng", ".eps", ".pdf"})
TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".txt"})
JUNK = frozenset({"__macosx", "thumbs.db", "desktop.ini", "$recycle.bin"})
FORMATS = "JPEG, PNG, WebP, BMP, GIF or TIFF"


def is_junk(name: str) -> bool:
    """True for names that no contest means: hidden files and what operating systems leave behind."""
    return name.startswith(".") or name.lower() in JUNK


class ContestFiles:
    """The files under one root. Keys are NFC paths relative to it, with forward slashes; values the paths as they are on disk."""

    def __init__(self, root: Path) -> None:
        self.root = _existing_folder(root)
        self.files: dict[str, str] = {}
        self.folders: set[str] = set()
        self.links: set[str] = set()
        self.undecodable: list[str] = []
        self.collisions: list[str] = []
        self._tables: dict[str, Table] = {}
        self._walk()

    def _walk(self) -> None:
        for folder, names, files in os.walk(self.root, onerror=_unreadable):
            names[:] = sorted(name for name in names if not is_junk(name))
            prefix = Path(folder).relative_to(self.root).as_posix()
            prefix = "" if prefix == "." else prefix + "/"
            for name in names:
                (self.links if os.path.islink(os.path.join(folder, name)) else self.folders).add(nfc(prefix + name))
            for name in sorted(files):
                if not is_junk(name):
                    self._note(prefix + name, os.path.join(folder, name))

    def _note(self, relative: str, path: str) -> None:
        key = nfc(relative)
        if any("\ud800" <= character <= "\udfff" for character in relative):
            self.undecodable.append(os.fsencode(relative).decode("cp949", errors="replace"))
        elif os.path.islink(path) and not Path(path).resolve().is_relative_to(self.root):
            self.links.add(key)
        elif not os.path.isfile(path):
            return  # a pipe, a socket, a device: opening one could wait for ever
        elif key in self.files:
            self.collisions.append(key)
        else:
            self.files[key] = relative

    @cached_property
    def images(self) -> list[str]:
        """Keys of the files that are images by their suffix, sorted."""
        return sorted(key for key in self.files if suffix_of(key) in IMAGE_SUFFIXES)

    @cached_property
    def by_stem(self) -> dict[str, list[str]]:
        """Keys of images by their path without suffix, for tables that leave it out."""
        stems: dict[str, list[str]] = {}
        for key in self.images:
            stems.setdefault(without_suffix(key), []).append(key)
        return stems

    @cached_property
    def by_name(self) -> dict[str, list[str]]:
        """Keys of images by their bare file name and by their bare stem, to look for the folder that a table means."""
        names: dict[str, list[str]] = {}
        for key in self.images:
            path = PurePosixPath(key)
            for name in {path.name, path.stem}:
                names.setdefault(name, []).append(key)
        return names

    @cached_property
    def by_lower(self) -> dict[str, str]:
        """Keys by their lower-case form, to say what a person may have meant."""
        return {key.lower(): key for key in self.files}

    @cached_property
    def _children(self) -> dict[str, list[str]]:
        children: dict[str, list[str]] = {}
        for key in sorted(self.folders):
            children.setdefault(key.rpartition("/")[0], []).append(key)
        return children

    def children(self, folder: str) -> list[str]:
        """Keys of the folders directly inside a folder, sorted; the root is ""."""
        return self._children.get(folder, [])

    def images_under(self, folder: str) -> list[str]:
        """Keys of the images in a folder and below, sorted."""
        if not folder:
            return list(self.images)
        # "0" follows "/" in code order, so the keys of a folder stand between the two.
        return self.images[bisect_left(self.images, folder + "/") : bisect_left(self.images, folder + "0")]

    def is_behind_link(self, key: str) -> bool:
        """True when a key is a symbolic link or lies below one."""
        return any(key == link or key.startswith(link + "/") for link in self.links)

    def find_image(self, value: str, base: str) -> str | list[str]:
        """The key of the image that a table's cell means below `base`, with or without suffix; else the keys it could mean ([] for none)."""
        wanted = join(base, value)
        if wanted in self.files:
            return wanted
        candidates = self.by_stem.get(wanted, [])
        return candidates[0] if len(candidates) == 1 else candidates

    def table(self, name: str) -> Table:
        """Read a CSV of this folder by its relative name; raises InputError when it is not there or cannot be read."""
        key = clean(name)
        if key not in self._tables:
            if key not in self.files:
                known = ", ".join(self.tables()[:20]) or "none"
                raise InputError(
                    "there is no file {name}",
                    where=str(self.root),
                    why="tables in this folder: {names}",
                    fix="name one of the tables",
                    name=name,
                    names=known,
                )
            self._tables[key] = read_table(self.root / self.files[key])
        return self._tables[key]

    def tables(self) -> list[str]:
        """Keys of the files that may be tables, at most two folders deep; shallow ones first."""
        keys = [key for key in self.files if suffix_of(key) in TABLE_SUFFIXES and key.count("/") <= 2]
        return sorted(keys, key=lambda key: (key.count("/"), key))


def _existing_folder(path: Path) -> Path:
    try:
        root = path.resolve()
        is_folder, why = root.is_dir(), "there is a file at this path" if root.exists() else "there is nothing at this path"
    except (OSError, ValueError, RuntimeError) as problem:
        root, is_folder, why = path, False, str(problem)
    if not is_folder:
        raise InputError(
            "a contest is a folder", where=str(path), why=why, fix="give the folder (or the zip) that holds the contest's files"
        )
    return root


def _unreadable(problem: OSError) -> None:
    raise InputError(
        "a folder cannot be read",
        where=str(problem.filename),
        why=reason(problem),
        fix="give yourself the right to read it",
    )


def suffix_of(key: str) -> str:
    """The lower-case suffix of a key, with its dot."""
    return os.path.splitext(key)[1].lower()


def without_suffix(key: str) -> str:
    """A key without its suffix."""
    return os.path.splitext(key)[0]


def clean(value: str) -> str:
    """A path cell as a key: NFC, forward slashes, without a leading "./"."""
    return nfc(value.strip()).replace("\\", "/").removeprefix("./")


def join(base: str, value: str) -> str:
    """A path cell below a base folder, as a key."""
    return f"{base}/{clean(value)}" if base else clean(value)
