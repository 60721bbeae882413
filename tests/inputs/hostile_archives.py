"""Archives that are not to be trusted, each in its own way, and what the refusal must say."""

from __future__ import annotations

import random
import stat
import struct
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

Fill = Callable[[zipfile.ZipFile], object]


def packed(path: Path, fill: Fill, **options: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        fill(archive)
    return path


def with_raw_names(path: Path, names: dict[str, bytes]) -> Path:
    """Put raw bytes in place of ASCII names of equal length, as archivers do that know no Unicode flag."""
    raw = path.read_bytes()
    for placeholder, name in names.items():
        assert len(placeholder) == len(name)
        raw = raw.replace(placeholder.encode(), name)
    path.write_bytes(raw)
    return path


def link(archive: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("link")
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive.writestr(info, "/etc/passwd")


def twice(archive: zipfile.ZipFile) -> None:
    archive.writestr(unicodedata.normalize("NFC", "가.txt"), b"a")
    archive.writestr(unicodedata.normalize("NFD", "가.txt"), b"b")


HOSTILE: list[tuple[Fill, str]] = [
    (lambda archive: archive.writestr("../evil.txt", b"x"), "leads outside"),
    (lambda archive: archive.writestr("a/../../evil.txt", b"x"), "leads outside"),
    (lambda archive: archive.writestr("/evil.txt", b"x"), "leads outside"),
    (lambda archive: archive.writestr("C:/evil.txt", b"x"), "leads outside"),
    (lambda archive: archive.writestr("..\\evil.txt", b"x"), "leads outside"),
    (link, "symbolic link"),
    (twice, "one name"),
    (lambda archive: [archive.writestr("a", b"x"), archive.writestr("a/b", b"x")], "is a file and a folder"),
    (lambda archive: archive.writestr("zeros", b"\0" * (80 * 2**20)), "zip bomb"),
    (lambda archive: archive.writestr(".hidden", b"x"), "is empty"),
    (lambda archive: archive.writestr("n" * 300, b"x"), "cannot be extracted"),
    (lambda archive: archive.writestr("d/" * 101 + "x.txt", b"x"), "nested too deep"),
]


def hostile(path: Path, fill: Fill, said: str) -> Path:
    """An archive that begins harmlessly, with one of `HOSTILE` after it."""
    return packed(path, lambda archive: [archive.writestr("first.txt", b"x") if said != "is empty" else None, fill(archive)])


def encrypted(path: Path) -> Path:
    """An archive that says that it needs a password."""
    packed(path, lambda archive: archive.writestr("a.txt", b"x"))
    raw = bytearray(path.read_bytes())
    raw[6] |= 1
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(raw))
    return path


def overlapping(path: Path) -> Path:
    """Five entries that are the same bytes of the file."""
    packed(path, lambda archive: archive.writestr("a.txt", bytes(range(256)) * 40))
    raw = path.read_bytes()
    start, end = raw.index(b"PK\x01\x02"), raw.index(b"PK\x05\x06")
    entry = raw[start:end]
    entries = b"".join(entry.replace(b"a.txt", f"{number}.txt".encode()) for number in range(5))
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 5, 5, len(entries), start, 0)
    path.write_bytes(raw[:start] + entries + tail)
    return path


def cut(path: Path, rng: random.Random) -> Path:
    """Only the beginning of an archive."""
    packed(path, lambda archive: archive.writestr("train.csv", b"id,text,label\n" * 40))
    raw = path.read_bytes()
    path.write_bytes(raw[: rng.randrange(len(raw) - 1)])
    return path


def wrong_content(path: Path, rng: random.Random) -> Path:
    """An archive whose packed bytes are not those of its checksum."""
    packed(path, lambda archive: archive.writestr("train.csv", bytes(rng.randrange(256) for _ in range(500))))
    raw = bytearray(path.read_bytes())
    start = 30 + len("train.csv")
    raw[rng.randrange(start, start + 400)] ^= 1 << rng.randrange(8)
    path.write_bytes(bytes(raw))
    return path
