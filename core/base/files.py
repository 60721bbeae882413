"""Files below everything else: hashes, a synced write, the gate for paths that a person or an archive names."""

import errno
import hashlib
import json
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from shlex import quote
from typing import IO, Any
from urllib.parse import unquote

from core.base.errors import DiskFull, InputError
from core.base.messages import reason

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No space, no quota, or a file over the allowed size."""


def shown_path(path: Path) -> str:
    """A path as a person would type it here: relative below the working folder, from ~ below the home folder, else whole."""
    for base, prefix in ((Path.cwd(), ""), (Path.home(), "~/")):
        if path != base and path.is_relative_to(base):
            return prefix + path.relative_to(base).as_posix()
    return str(path)


def shell_path(path: Path) -> str:
    """`shown_path` as a word of a command that a person can paste into a shell, which expands no ~ that is quoted."""
    shown = shown_path(path)
    return "~/" + quote(shown[2:]) if shown.startswith("~/") else quote(shown)


def shell_name(name: str) -> str:
    """A name as arguments of a command that a person can paste into a shell, behind all options: one that begins with a dash is none of them."""
    return f"-- {quote(name)}" if name.startswith("-") else quote(name)


def pip_command(*packages: str) -> str:
    """What brings packages into the environment that this process runs in, as a command to paste."""
    return f"{shell_path(Path(sys.executable))} -m pip install {' '.join(map(quote, packages))}"


def typed_path(text: str) -> Path:
    """The path that a person typed or pasted: without quotes around it, as Excel and Explorer copy it, and without file://; ~ is the home folder.

    Whether something is there is for the caller to see. Raises InputError where that cannot even be asked, and for nothing: an empty path would be
    the folder that one happens to stand in.
    """
    text = text.strip()
    if len(text) > 1 and text[0] + text[-1] in ('""', "''", "“”"):
        text = text[1:-1].strip()
    if not text:
        raise InputError(
            "no path is given", where="path", why="it is empty, as a variable that is not set", fix="give the path; . is this folder"
        )
    found = re.match(r"file:/+(?:localhost/+)?(?=.)", text, re.IGNORECASE)
    if found:
        text = unquote(text[found.end() :])
        text = text if re.match(r"[A-Za-z]:", text) else "/" + text
    try:
        path = Path(text).expanduser()
        os.path.realpath(path)  # `exists` would answer False to a NUL
        path.exists()
    except (OSError, ValueError, RuntimeError) as problem:
        raise InputError(
            "this path cannot be used", where=text, why=reason(problem), fix="give a path that exists and that you may read"
        ) from None
    return path


def sha256_file(path: Path) -> str:
    """The sha256 of a file's bytes, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fingerprint(value: Any) -> str:
    """The sha256 of a JSON-able value in canonical form (sorted keys, no spaces, UTF-8)."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file and sync it to disk."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    sync(path)


def is_full(problem: BaseException) -> bool:
    """Whether an exception says that a file could not be written for lack of space; safetensors says it in words only."""
    if isinstance(problem, OSError):
        return problem.errno in FULL
    said = re.search(r"\(os error (\d+)\)", str(problem))
    return said is not None and int(said[1]) in FULL


@contextmanager
def full_disk_told(where: Path | None = None) -> Iterator[None]:
    """What is raised inside for lack of space on the disk is a DiskFull; without `where` it names the file, where that is known."""
    try:
        yield
    except Exception as problem:
        if not is_full(problem):
            raise
        place = str(where or getattr(problem, "filename", None) or "")
        raise DiskFull("the disk is full", where=place, why=reason(problem), fix="make space and try again") from problem


@contextmanager
def written_aside(destination: Path) -> Iterator[Path]:
    """Give a path to write a file or a folder to; when the block ends well it becomes `destination`, whole or not at all.

    A file that is there is replaced. A folder that is there by then is kept: somebody made the same one in the meantime. Raises DiskFull.
    """
    aside = destination.with_name(f".{destination.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    try:
        with full_disk_told(destination):
            destination.parent.mkdir(parents=True, exist_ok=True)
            yield aside
            if not destination.is_dir():
                os.replace(aside, destination)
    finally:
        if aside.is_dir():
            shutil.rmtree(aside)
        aside.unlink(missing_ok=True)


def check_output(path: Path) -> None:
    """Refuse to write what a person asked for over what is no file: a folder, which would stay as it is, or a device such as /dev/null."""
    if path.exists() and not path.is_file():
        raise InputError(
            "the file cannot be written", where=str(path), why="what is there is no file", fix="name a file in a folder you may write to"
        )


def resolve_inside(root: Path, name: str) -> Path:
    """Join `name`, which a person or an archive gave, to `root`; refuse anything that leads outside, also through a symlink."""
    base = root.resolve()
    try:
        path = (base / name).resolve()
    except (OSError, ValueError) as problem:
        raise InputError("a path cannot be used", where=repr(name), why=reason(problem), fix="use a plain relative path") from None
    if not path.is_relative_to(base):
        raise InputError(
            "a path leads outside its folder",
            where=name,
            why="it must stay inside {folder}",
            fix="use a path inside the contest's folder",
            folder=base.name,
        )
    return path


def keep_upload(folder: Path, name: str, stream: IO[bytes]) -> Path:
    """Write what a person uploaded into a folder, made where it is missing, under the last part of its name; InputError where it cannot be."""
    name = nfc(PurePosixPath(name.replace("\\", "/")).name)
    with full_disk_told(folder):
        folder.mkdir(parents=True, exist_ok=True)
    path = resolve_inside(folder, name)
    try:
        with full_disk_told(path), path.open("xb") as target:
            shutil.copyfileobj(stream, target)
    except OSError as problem:
        raise InputError(
            "{file} cannot be kept", where=name, why=reason(problem), fix="give each file a short name of its own", file=name
        ) from None
    return path


def nfc(text: str) -> str:
    """Normalise to Unicode NFC, so that a name typed on macOS (NFD) and on Linux is one name."""
    return unicodedata.normalize("NFC", text)


def nfd(text: str) -> str:
    """Decompose to Unicode NFD, as names of files are on macOS."""
    return unicodedata.normalize("NFD", text)


INVISIBLE = "\u200b\u200e\u200f\u2060\ufeff"
"""Signs without any width that come with texts copied from web pages; none of them joins letters, as others do."""
AROUND = re.compile(rf"^[\s{INVISIBLE}]+|[\s{INVISIBLE}]+$")


def bare_text(text: str) -> str:
    """A name in NFC, without blanks and invisible signs around it."""
    return AROUND.sub("", nfc(text))


def can_encode(text: str, encoding: str) -> bool:
    """Whether an encoding has signs for all of a text."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def sync(path: Path) -> None:
    """Flush a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
