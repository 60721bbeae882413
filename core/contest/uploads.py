"""An archive that a person gives: extracted whole and only when it can be trusted, kept while a contest stands on it."""

import lzma
import os
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path, PurePosixPath

from core.base.errors import DiskFull, InputError
from core.base.files import nfc, sha256_file, typed_path, written_aside
from core.base.messages import msg, reason
from core.store.jobs import REGISTER, list_jobs
from core.workspace import Workspace

MAX_FILES = 1_000_000
MAX_BYTES = 500 * 2**30
MAX_DEPTH = 100
"""Folders in folders; a thousand more and what walks through them comes to its end."""
MAX_RATIO = 200
RATIO_FROM_BYTES = 64 * 2**20
"""Below this size a high ratio is harmless: a blank table compresses well."""
UNREADABLE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError, OSError)
"""What `zipfile` raises for an archive that is damaged, encrypted (RuntimeError) or of an unknown compression (a RuntimeError too)."""

JUNK = frozenset({"__macosx", "thumbs.db", "desktop.ini", "$recycle.bin"})

WAITING = "not-registered"
"""A file beside what was extracted, until a contest is registered from it; as many bytes long as there are who opened it."""
ABANDONED_S = 86_400.0


def is_junk(name: str) -> bool:
    """True for names that no contest means: hidden files and what operating systems leave behind."""
    return name.startswith(".") or name.lower() in JUNK


def open_source(workspace: Workspace, path: Path, *, progress: Callable[[int, int], None] | None = None) -> Path:
    """What `inspect_path` takes, from a path that a person named: a zip is extracted into the workspace's uploads, all else is itself.

    The same archive is extracted once, unless what was extracted has changed since. Raises InputError for an archive that is damaged or
    not to be trusted. What comes of it: `keep_source` or `release_source`.
    """
    path = typed_path(str(path))
    if not path.is_file() or not (path.suffix.lower() == ".zip" or zipfile.is_zipfile(path)):
        return path
    stem = re.sub(r"[^\w\-]+", "-", nfc(path.stem)).strip("-")[:60] or "upload"
    home = first = workspace.uploads_dir / f"{stem}-{sha256_file(path)[:8]}"
    for number in count(2):
        if not (home / stem).is_dir():
            break
        if _is_extracted(path, home / stem):
            if (home / WAITING).exists():
                _count_in(home)
            return home / stem
        home = first.with_name(f"{first.name}-{number}")
    home.mkdir(parents=True, exist_ok=True)
    _count_in(home)
    try:
        return extract_archive(path, home / stem, progress=progress)
    except BaseException:
        shutil.rmtree(home)
        with suppress(OSError):  # others may stand there
            workspace.uploads_dir.rmdir()
        raise


def keep_source(workspace: Workspace, root: Path) -> None:
    """Note that a contest is registered from a folder, so that what was extracted for it stays."""
    home = _upload_of(workspace, root)
    if home is not None:
        (home / WAITING).unlink(missing_ok=True)


def release_source(workspace: Workspace, root: Path) -> None:
    """Delete what `open_source` extracted if no contest was registered from it and nobody else has opened it; any other folder stays."""
    home = _upload_of(workspace, root)
    if home is None or not (home / WAITING).exists() or home in _being_registered(workspace):
        return
    if (others := (home / WAITING).stat().st_size - 1) > 0:
        os.truncate(home / WAITING, others)
    else:
        shutil.rmtree(home)


def remove_abandoned(workspace: Workspace, now: float) -> int:
    """Delete uploads of a day ago that no contest was registered from, as a killed process leaves them; returns how many."""
    used = _being_registered(workspace)
    homes = [home for home in workspace.uploads_dir.resolve().iterdir() if home not in used] if workspace.uploads_dir.is_dir() else []
    old: list[Path] = []
    for home in homes:
        is_waiting = (home / WAITING).exists()
        if (is_waiting or home.name.startswith(TEMPORARY)) and now - (home / WAITING if is_waiting else home).stat().st_mtime > ABANDONED_S:
            old.append(home)
    for home in old:
        shutil.rmtree(home)
    return len(old)


TEMPORARY = ("upload-file-", "predictions-")
"""How folders begin in which a page keeps an upload while it is read."""


def _count_in(home: Path) -> None:
    with (home / WAITING).open("ab") as stream:
        stream.write(b".")


def _being_registered(workspace: Workspace) -> set[Path | None]:
    """The uploads of contests whose registration waits, runs or can be corrected."""
    jobs = list_jobs(workspace.store, ("queued", "running", "failed"))
    return {_upload_of(workspace, Path(job.payload["spec"]["root"])) for job in jobs if job.kind == REGISTER}


def _upload_of(workspace: Workspace, root: Path) -> Path | None:
    uploads, place = workspace.uploads_dir.resolve(), Path(os.path.realpath(root))  # a link to itself has a real path, but does not resolve
    inside = place.relative_to(uploads).parts if uploads in place.parents else ()
    return uploads / inside[0] if inside else None


def _is_extracted(zip_path: Path, folder: Path) -> bool:
    """Whether a folder holds what an archive holds, byte for byte."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    try:
        with zipfile.ZipFile(zip_path) as archive:
            members = _checked(archive, zip_path)
    except UNREADABLE:
        return False
    return found.keys() == members.keys() and all(
        found[name].stat().st_size == info.file_size and _crc(found[name]) == info.CRC for name, info in members.items()
    )


def _crc(path: Path) -> int:
    value = 0
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            value = zlib.crc32(block, value)
    return value


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
        raise InputError(
            "{file} cannot be extracted",
            where=zip_path.name,
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
        if len(parts) > MAX_DEPTH:
            raise refuse(
                "the folders of the archive are nested too deep", parts[0], msg("at most {n} in one another are read", n=MAX_DEPTH)
            )
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
