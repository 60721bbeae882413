"""What lies in a contest's folder: an index of its files by NFC name, its CSV files read once, and the zip that becomes such a folder.

Only what the index lists is ever opened, so no path in a CSV can lead outside: symlinks are not followed, and hidden
files, archives of macOS and thumbnails of Windows are not seen.
"""

import os
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote

from core.base.errors import InputError
from core.base.files import nfc
from core.base.messages import reason
from core.contest.csv_table import Table, beside_answers, empty_columns, list_columns, read_table
from core.contest.encoding import N_BYTES, is_korean_beside
from core.contest.uploads import MAX_DEPTH, MAX_FILES, is_junk

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
REFUSED_SUFFIXES = frozenset({".heic", ".heif", ".avif", ".svg", ".jp2", ".ico", ".psd", ".raw", ".dng", ".eps", ".pdf"})
TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".txt"})
TRAIN_NAMES = ("train", "training", "학습", "훈련")
FORMATS = "JPEG, PNG, WebP, BMP, GIF or TIFF"
N_BESIDE = 20
"""Other tables by which the encoding of one is judged."""
MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF8", b"II*\0", b"MM\0*")
"""What files of these formats begin with; WebP says it from the eighth byte on."""


class ContestFiles:
    """The files under one root. Keys are NFC paths relative to it, with forward slashes; values the paths as they are on disk.

    `encoding` is a person's answer for tables that are not UTF-8, or what a table was found to be in by those beside it.
    """

    def __init__(self, root: Path, encoding: str = "") -> None:
        self.root, self.encoding = _existing_folder(root), encoding
        self.files: dict[str, str] = {}
        self.folders: set[str] = set()
        self.links: set[str] = set()
        self.undecodable: list[str] = []
        self.collisions: list[str] = []
        self._tables: dict[str, Table] = {}
        for folder, names, files in os.walk(self.root, onerror=_unreadable):
            names[:] = sorted(name for name in names if not is_junk(name))
            prefix = "" if folder == str(self.root) else Path(folder).relative_to(self.root).as_posix() + "/"
            if prefix.count("/") > MAX_DEPTH:
                raise InputError(
                    "the folders are nested too deep",
                    where=folder,
                    why="at most {n} in one another are read",
                    fix="give a folder nearer to the contest's files",
                    n=MAX_DEPTH,
                )
            for name in names:
                (self.links if os.path.islink(os.path.join(folder, name)) else self.folders).add(nfc(prefix + name))
            for name in sorted(name for name in files if not is_junk(name)):
                self._note(prefix + name, os.path.join(folder, name))
            if len(self.files) + len(self.folders) > MAX_FILES:
                raise InputError(
                    "the folder holds too many files",
                    where=str(self.root),
                    why="there are more than {n:,} in it",
                    fix="give the folder of the contest, not one that holds others",
                    n=MAX_FILES,
                )

    def _note(self, relative: str, path: str) -> None:
        key = nfc(relative)
        if any("\ud800" <= character <= "\udfff" for character in relative):
            self.undecodable.append(os.fsencode(relative).decode("cp949", errors="replace"))
        elif os.path.islink(path) and not _leads_inside(path, self.root):
            self.links.add(key)
        elif not os.path.isfile(path):
            return  # a pipe, a socket, a device: opening one could wait for ever
        elif key in self.files:
            self.collisions.append(key)
        else:
            self.files[key] = relative

    @cached_property
    def images(self) -> list[str]:
        """Keys of the files that are images by their suffix, or, where they have none, by their first bytes; sorted."""
        return sorted(
            key for key in self.files if suffix_of(key) in IMAGE_SUFFIXES or (not suffix_of(key) and self.begins_like_an_image(key))
        )

    def begins_like_an_image(self, key: str) -> bool:
        """Whether the first bytes of a file are those of an accepted format, whatever its name."""
        try:
            with (self.root / self.files[key]).open("rb") as stream:
                head = stream.read(16)
        except OSError:
            return False
        return head.startswith(MAGIC) or head[8:12] == b"WEBP"

    @cached_property
    def by_stem(self) -> dict[str, list[str]]:
        """Keys of images by their path without suffix, for tables that leave it out."""
        return _grouped((without_suffix(key), key) for key in self.images)

    @cached_property
    def _by_spelling(self) -> dict[str, list[str]]:
        return _grouped((spell_number(spell_percent(bare(key))), key) for key in self.images)

    def spelled_like(self, value: str) -> list[str]:
        """Keys of the images whose bare name is that of a table's cell, whatever its folder, suffix, case, leading zeros and %20."""
        return self._by_spelling.get(spell_number(spell_percent(bare(clean(value)))), [])

    @cached_property
    def _children(self) -> dict[str, list[str]]:
        return _grouped((key.rpartition("/")[0], key) for key in sorted(self.folders))

    def children(self, folder: str) -> list[str]:
        """Keys of the folders directly inside a folder, sorted; the root is ""."""
        return self._children.get(folder, [])

    def images_under(self, folder: str) -> list[str]:
        """Keys of the images in a folder and below, sorted."""
        if not folder:
            return list(self.images)
        # "0" follows "/" in code order, so the keys of a folder stand between the two.
        return self.images[bisect_left(self.images, folder + "/") : bisect_left(self.images, folder + "0")]

    @cached_property
    def _link_names(self) -> set[str]:
        return {spell_case(bare(link)) for link in self.links}

    def is_behind_link(self, key: str) -> bool:
        """True when a key is, by its name without case and suffix, a symbolic link, or lies below one."""
        return spell_case(bare(key)) in self._link_names or any(key.startswith(link + "/") for link in self.links)

    def find_image(self, value: str, base: str) -> str | list[str]:
        """The key of the image that a table's cell means below `base`, with or without suffix; else the keys it could mean ([] for none)."""
        wanted = join(base, value)
        if wanted in self.files:
            return wanted
        candidates = self.by_stem.get(wanted, [])
        return candidates[0] if len(candidates) == 1 else candidates

    def find_near(self, value: str, base: str) -> tuple[list[str], str]:
        """The keys that a cell could mean which names no file as it stands, and how it was read then: one of SPELLINGS, or "place".

        The path below `base` is compared without case and suffix, then as an address (%20 is a blank), then with numbers as numbers (7 and 7.0 are
        00007). What still names no
        file is looked for by the longest end of its path that does, anywhere in the folder. ([], "") for none.
        """
        near = self.spelled_like(value)
        if not near:
            return [], ""
        for reading, spell in SPELLINGS.items():
            wanted = spell(join(base, value))
            if keys := [key for key in near if spell(key) == wanted]:
                return keys, reading
        parts = clean(value).split("/")
        for dropped in range(len(parts)):
            for spell in SPELLINGS.values():
                end = spell("/" + "/".join(parts[dropped:]))
                if keys := [key for key in near if spell("/" + key).endswith(end)]:
                    return keys, "place"
        return [], ""

    def table(self, name: str) -> Table:
        """Read a CSV of this folder by its relative name, without columns that hold nothing.

        Raises InputError when it is not there or cannot be read.
        """
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
            if not self.encoding and is_korean_beside(
                self._head(key), (self._head(other) for other in self.tables()[:N_BESIDE] if other != key)
            ):
                self.encoding = "cp949"
            table = read_table(self.root / self.files[key], self.encoding)
            self._tables[key] = table.without(empty_columns(table.frame))
        return self._tables[key]

    def _head(self, key: str) -> bytes:
        try:
            with (self.root / self.files[key]).open("rb") as stream:
                return stream.read(N_BYTES)
        except OSError:  # told where the table itself is read
            return b""

    def sample(self, name: str) -> Table:
        """Read a sample submission: its ids, and what is asked for of each; see `beside_answers`."""
        table = self.table(name)
        table = table.without(beside_answers(table.frame)).ids_first()
        return table.without(list_columns(table.frame))

    def tables(self) -> list[str]:
        """Keys of the files that may be tables, at most two folders deep; shallow ones first."""
        keys = [key for key in self.files if suffix_of(key) in TABLE_SUFFIXES and key.count("/") <= 2]
        return sorted(keys, key=lambda key: (key.count("/"), key))


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Keys by what they are looked up by."""
    groups: dict[str, list[str]] = {}
    for name, key in pairs:
        groups.setdefault(name, []).append(key)
    return groups


def _leads_inside(link: str, root: Path) -> bool:
    """Whether a symbolic link leads to something inside `root`; one that leads to itself or behind a closed door does not."""
    try:
        return os.path.exists(link) and Path(link).resolve().is_relative_to(root)
    except (OSError, RuntimeError):
        return False


def _existing_folder(path: Path) -> Path:
    try:
        root = path.resolve()
        is_folder, why = root.is_dir(), "there is a file at this path" if root.exists() else "there is nothing at this path"
    except (OSError, ValueError, RuntimeError) as problem:
        root, is_folder, why = path, False, str(problem)
    if not is_folder:
        raise InputError(
            "no folder at this path", where=str(path), why=why, fix="give the folder (or the zip) that holds the contest's files"
        )
    return root


def unwrapped(path: Path) -> Path:
    """The folder itself, or the only folder inside it where an archive wrapped everything in one, but for one that is named train."""
    for _ in range(5):
        try:
            visible = [entry for entry in path.iterdir() if not is_junk(entry.name)] if path.is_dir() else []
        except OSError as problem:
            _unreadable(problem)
        if len(visible) == 1 and visible[0].is_dir() and not visible[0].is_symlink() and nfc(visible[0].name).lower() not in TRAIN_NAMES:
            path = visible[0]
    return path


def _unreadable(problem: OSError) -> NoReturn:
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


def bare(key: str) -> str:
    """A key without its folders."""
    return key.rpartition("/")[2]


def spell_case(key: str) -> str:
    """A key in lower case without the suffix of an image."""
    lower = key.casefold()
    return without_suffix(lower) if suffix_of(lower) in IMAGE_SUFFIXES else lower


def spell_percent(key: str) -> str:
    """The same with the signs that an address writes as %20 and the like."""
    return spell_case(nfc(unquote(key)))


def spell_number(key: str) -> str:
    """The same without leading zeros, and without the .0 of a number that a table made a decimal one."""
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", re.sub(r"(?<=[0-9])\.0+$", "", spell_case(key)))


SPELLINGS: dict[str, Callable[[str], str]] = {"case": spell_case, "percent": spell_percent, "number": spell_number}
"""How a cell may be compared with the names of files where it names none of them, strictest first."""
