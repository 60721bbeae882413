"""What lies in a contest's folder: an index of its files by NFC name, its CSV files read once, and the zip that becomes such a folder.

Only what the index lists is ever opened, so no path in a CSV can lead outside: symlinks are not followed, and hidden
files, archives of macOS and thumbnails of Windows are not seen.
"""

import errno
import lzma
import os
import re
import shutil
import stat
import zipfile
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path, PurePosixPath

from core.base.errors import DiskFull, InputError
from core.base.files import nfc, sha256_file, written_aside
from core.base.messages import msg, reason
from core.contest.csv_table import Table, beside_answers, empty_columns, read_table
from core.workspace import Workspace

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
REFUSED_SUFFIXES = frozenset({".heic", ".heif", ".avif", ".svg", ".jp2", ".ico", ".psd", ".raw", ".dng", ".eps", ".pdf"})
TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".txt"})
JUNK = frozenset({"__macosx", "thumbs.db", "desktop.ini", "$recycle.bin"})
FORMATS = "JPEG, PNG, WebP, BMP, GIF or TIFF"
MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF8", b"II*\0", b"MM\0*")
"""What files of these formats begin with; WebP says it from the eighth byte on."""


def is_junk(name: str) -> bool:
    """True for names that no contest means: hidden files and what operating systems leave behind."""
    return name.startswith(".") or name.lower() in JUNK


class ContestFiles:
    """The files under one root. Keys are NFC paths relative to it, with forward slashes; values the paths as they are on disk."""

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
            for name in names:
                (self.links if os.path.islink(os.path.join(folder, name)) else self.folders).add(nfc(prefix + name))
            for name in sorted(name for name in files if not is_junk(name)):
                self._note(prefix + name, os.path.join(folder, name))

    def _note(self, relative: str, path: str) -> None:
        key = nfc(relative)
        if any("\ud800" <= character <= "\udfff" for character in relative):
            self.undecodable.append(os.fsencode(relative).decode("cp949", errors="replace"))
        elif os.path.islink(path) and not (os.path.exists(path) and Path(path).resolve().is_relative_to(self.root)):
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
            key for key in self.files if suffix_of(key) in IMAGE_SUFFIXES or (not suffix_of(key) and self._begins_like_an_image(key))
        )

    def _begins_like_an_image(self, key: str) -> bool:
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
        return _grouped((spell_number(bare(key)), key) for key in self.images)

    def spelled_like(self, value: str) -> list[str]:
        """Keys of the images whose bare name is that of a table's cell, whatever its folder, suffix, case and leading zeros."""
        return self._by_spelling.get(spell_number(bare(clean(value))), [])

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

        The path below `base` is compared without case and suffix, then with numbers as numbers (7 and 7.0 are 00007). What still names no
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
            table = read_table(self.root / self.files[key], self.encoding)
            self._tables[key] = table.without(empty_columns(table.frame))
        return self._tables[key]

    def sample(self, name: str) -> Table:
        """Read a sample submission: its ids, and what is asked for of each; see `beside_answers`."""
        table = self.table(name)
        return table.without(beside_answers(table.frame))

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


def bare(key: str) -> str:
    """A key without its folders."""
    return key.rpartition("/")[2]


def spell_case(key: str) -> str:
    """A key in lower case without the suffix of an image."""
    lower = key.casefold()
    return without_suffix(lower) if suffix_of(lower) in IMAGE_SUFFIXES else lower


def spell_number(key: str) -> str:
    """The same without leading zeros, and without the .0 of a number that a table made a decimal one."""
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", re.sub(r"(?<=[0-9])\.0+$", "", spell_case(key)))


SPELLINGS: dict[str, Callable[[str], str]] = {"case": spell_case, "number": spell_number}
"""How a cell may be compared with the names of files where it names none of them, strictest first."""


MAX_FILES = 1_000_000
MAX_BYTES = 500 * 2**30
MAX_RATIO = 200
RATIO_FROM_BYTES = 64 * 2**20
"""Below this size a high ratio is harmless: a blank table compresses well."""
UNREADABLE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError, OSError)
"""What `zipfile` raises for an archive that is damaged, encrypted (RuntimeError) or of an unknown compression (a RuntimeError too)."""


def open_source(workspace: Workspace, path: Path, *, name: str | None = None, progress: Callable[[int, int], None] | None = None) -> Path:
    """What `inspect_path` takes, from what a person named: a zip is extracted into the workspace's uploads, all else is itself.

    The same archive is extracted once. Raises InputError for an archive that is damaged or not to be trusted.
    """
    path = path.expanduser()
    if not path.is_file() or not (path.suffix.lower() == ".zip" or zipfile.is_zipfile(path)):
        return path
    stem = re.sub(r"[^\w\-]+", "-", nfc(name or path.stem)).strip("-")[:60] or "upload"
    destination = workspace.uploads_dir / f"{stem}-{sha256_file(path)[:8]}" / stem
    return destination if destination.is_dir() else extract_archive(path, destination, progress=progress)


def extract_archive(zip_path: Path, destination: Path, *, progress: Callable[[int, int], None] | None = None) -> Path:
    """Extract a zip into `destination`, which must not exist, and return it; `progress(done, total)` counts files.

    Names are decoded (UTF-8, else cp949) and made NFC; hidden and system files are left out. Raises InputError before
    anything is written: not a zip, encrypted, names that lead outside, symbolic links, too many or too large files, a zip
    bomb, two files of one name. Raises DiskFull when it does not fit.
    """
    if destination.exists():
        raise InputError(
            "the folder is there already",
            where=str(destination),
            why="an archive is extracted into a new folder",
            fix="choose another name",
        )
    try:
        with zipfile.ZipFile(zip_path) as archive:
            members = _checked(archive, zip_path)
            made = [folder for folder in (destination.parent, *destination.parent.parents) if not folder.exists()]
            _check_space(made[-1].parent if made else destination.parent, sum(info.file_size for info in members.values()))
            try:
                with written_aside(destination) as aside:
                    for done, (name, info) in enumerate(members.items(), start=1):
                        (aside / name).parent.mkdir(parents=True, exist_ok=True)
                        with archive.open(info) as source, (aside / name).open("xb") as target:
                            shutil.copyfileobj(source, target)
                        if progress and (done % 64 == 0 or done == len(members)):
                            progress(done, len(members))
            finally:
                for folder in made:
                    if not any(folder.iterdir()):
                        folder.rmdir()
    except UNREADABLE as problem:
        if isinstance(problem, OSError) and problem.errno == errno.ENOSPC:
            fix = "make space, or extract the archive elsewhere and give the folder"
            raise DiskFull("the disk is full", where=str(destination), why="the archive was being extracted", fix=fix) from None
        raise InputError(
            "{file} cannot be extracted",
            where=str(zip_path),
            why=reason(problem),
            fix="download the archive again, or extract it yourself and give the folder",
            file=zip_path.name,
        ) from None
    return destination


def _checked(archive: zipfile.ZipFile, zip_path: Path) -> dict[str, zipfile.ZipInfo]:
    """Members to extract by their decoded names."""

    trust = "get the archive from a place you trust, or extract it yourself and give the folder"

    def refuse(what: str, member: str, why: str, fix: str = trust) -> InputError:
        place = msg("{name}: {detail}", name=zip_path.name, detail=member) if member else zip_path.name
        return InputError(what, where=place, why=why, fix=fix)

    infos = archive.infolist()
    if len(infos) > MAX_FILES:
        raise refuse("the archive holds too many files", "", msg("{n:,} files, the limit is {limit:,}", n=len(infos), limit=MAX_FILES))
    total = sum(info.file_size for info in infos)
    packed = sum(info.compress_size for info in infos)
    if total > MAX_BYTES:
        why = msg("{n:.0f} GB extracted, the limit is {limit:.0f} GB", n=total / 2**30, limit=MAX_BYTES / 2**30)
        raise refuse("the archive is too large", "", why)
    if packed > zip_path.stat().st_size or (total > RATIO_FROM_BYTES and total > MAX_RATIO * max(packed, 1)):
        why = msg("{n:,} bytes would become {total:,}", n=zip_path.stat().st_size, total=total)
        raise refuse("the archive looks like a zip bomb", "", why)
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        raw = decode_name(info)
        name = raw.replace("\\", "/")
        parts = PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:", name) or "\0" in name:
            raise refuse("a file of the archive leads outside its folder", raw, "absolute names and .. are refused")
        mode = info.external_attr >> 16
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise refuse("the archive holds a symbolic link or a special file", raw, "only files and folders are extracted")
        if name.endswith("/") or not parts or any(is_junk(part) for part in parts):
            continue
        if info.flag_bits & 1:
            raise refuse("the archive is encrypted", raw, "it needs a password", "extract it yourself and give the folder")
        key = "/".join(parts)
        if key in members:
            raise refuse("two files of the archive have one name", key, "the second would overwrite the first")
        members[key] = info
    folders = {str(parent) for key in members for parent in PurePosixPath(key).parents}
    clash = next((key for key in members if key in folders), None)
    if clash:
        raise refuse("a name of the archive is a file and a folder", clash, "both cannot be written")
    if not members:
        raise refuse("the archive is empty", "", "it holds no file", "give the archive of the contest")
    return members


def decode_name(info: zipfile.ZipInfo) -> str:
    """A member's name in NFC: UTF-8 where it says so or is so, else cp949 (Windows in Korea), else as zipfile read it."""
    for encoding in () if info.flag_bits & 0x800 else ("utf-8", "cp949"):
        try:
            return nfc(info.filename.encode("cp437").decode(encoding))
        except UnicodeError:
            continue
    return nfc(info.filename)


def _check_space(place: Path, n_bytes: int) -> None:
    free = shutil.disk_usage(place).free
    if n_bytes > free:
        raise DiskFull(
            "the archive does not fit on the disk",
            where=str(place),
            why="{needed:.1f} GB needed, {free:.1f} GB free",
            fix="make space, or extract it elsewhere and give the folder",
            needed=n_bytes / 2**30,
            free=free / 2**30,
        )
