"""Contests with one thing wrong: by kind, in any row, and what the error must say. Each is a way to spoil a good contest.

`FAULTS` are of the contest that `image_contest` writes, `FOLDER_FAULTS` of `folder_contest`, `TEXT_FAULTS` of `text_contest`.
"""

from __future__ import annotations

import gzip
import io
import os
import random
import unicodedata
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tests.contest.contest_folders import CARS, write_image
from tests.emotions import Layout, write_emotions
from tests.inputs.hard_images import PIXELS, encoded, huge_png

N_TRAIN, N_TEST = 9, 4


@dataclass(frozen=True)
class Fault:
    """`spoil(root, row)` damages a row: of the training table for kinds that are not of the test; `said` must be in the error.

    In `said`, {row} is the row's number as in its names, {line} its line in the table.
    """

    kind: str
    name: str
    spoil: Callable[[Path, int], object]
    said: tuple[str, ...]

    @property
    def is_of_test(self) -> bool:
        """The row is one of the test's."""
        return self.kind in ("test CSV", "sample submission")

    def rows(self) -> range:
        """The numbers of the rows that can be spoiled."""
        return range(N_TRAIN, N_TRAIN + N_TEST) if self.is_of_test else range(N_TRAIN)

    def words(self, row: int) -> list[str]:
        """What the error must say of this row. The sample submission lists the test's rows backwards."""
        line = row + 2 if not self.is_of_test else row - N_TRAIN + 2 if self.kind == "test CSV" else N_TRAIN + N_TEST - row + 1
        return [said.format(row=f"{row:03d}", line=line) for said in self.said]


def edit(root: Path, name: str, old: str, new: str) -> None:
    """Replace the first `old` in a text file, which must be there."""
    text = (root / name).read_text(encoding="utf-8-sig")
    assert old in text, f"{name} has no {old!r}"
    (root / name).write_text(text.replace(old, new, 1), encoding="utf-8")


def edit_line(root: Path, name: str, start: str, change: Callable[[str], str]) -> None:
    """Change the line of a table that begins so."""
    lines = (root / name).read_text(encoding="utf-8-sig").split("\n")
    at = next(number for number, line in enumerate(lines) if line.startswith(start))
    lines[at] = change(lines[at])
    (root / name).write_text("\n".join(lines), encoding="utf-8")


def _cells(name: str, change: Callable[[list[str]], list[str]]) -> Callable[[Path, int], object]:
    """Change the cells of a row of a table."""
    return lambda root, row: edit_line(root, name, f"{row:03d},", lambda line: ",".join(change(line.split(","))))


def _whole(name: str, raw: bytes) -> Callable[[Path, int], object]:
    return lambda root, row: (root / name).write_bytes(raw)


def _insert(name: str, raw: bytes) -> Callable[[Path, int], object]:
    """Put bytes into the middle of a row's line."""

    def spoil(root: Path, row: int) -> None:
        whole = (root / name).read_bytes()
        at = whole.index(f"\n{row:03d},".encode()) + 3
        (root / name).write_bytes(whole[:at] + raw + whole[at:])

    return spoil


def _image(raw: bytes) -> Callable[[Path, int], object]:
    return lambda root, row: (root / f"images/{row:03d}.png").write_bytes(raw)


def _replaced(make: Callable[[Path], object]) -> Callable[[Path, int], object]:
    """Put something else in an image's place."""

    def spoil(root: Path, row: int) -> None:
        path = root / f"images/{row:03d}.png"
        path.unlink()
        make(path)

    return spoil


def _link_out(path: Path) -> None:
    secret = path.parents[2] / "outside" / "secret.png"
    write_image(secret, 1)
    path.symlink_to(secret)


def _named(name: str) -> Callable[[Path, int], object]:
    """Let a row of the training table name another file; {other} is the number of the row after it."""
    return _cells("train.csv", lambda cells: [cells[0], name.replace("{other}", f"{(int(cells[0]) + 1) % N_TRAIN:03d}"), cells[2]])


def _of_tables(kind: str, name: str) -> list[Fault]:
    """What any table can have wrong."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("sheet.xml", "x" * 100)
    return [
        Fault(kind, "ragged line", _cells(name, lambda cells: [*cells, "more"]), (f"{name} line {{line}}", "fields where the header has")),
        Fault(kind, "short line", _cells(name, lambda cells: cells[:1]), (f"{name} line {{line}}", "fields where the header has")),
        Fault(
            kind,
            "unclosed quote",
            _cells(name, lambda cells: [cells[0], '"' + cells[1], *cells[2:]]),
            (f"{name} line {{line}}", "unparsable"),
        ),
        Fault(kind, "empty", _whole(name, b""), (f"{name} is empty",)),
        Fault(kind, "blank", _whole(name, b"\xef\xbb\xbf \r\n\n"), (f"{name} is empty",)),
        Fault(kind, "NUL byte", _insert(name, b"\0"), (f"{name} line {{line}}", "not a text file")),
        Fault(kind, "picture", _whole(name, encoded(PIXELS, "PNG")), (name,)),
        Fault(kind, "spreadsheet", _whole(name, archive.getvalue()), (name,)),
        Fault(kind, "gzip", _whole(name, gzip.compress(b"id,path,label\n" * 50, mtime=0)), (name,)),
    ]


TABLE_FAULTS = [
    *_of_tables("train CSV", "train.csv"),
    Fault("train CSV", "header only", _whole("train.csv", b"id,path,label\n"), ("train.csv has no rows",)),
    Fault("train CSV", "empty id", _cells("train.csv", lambda cells: ["", *cells[1:]]), ("train.csv line {line}", "the id is empty")),
    Fault(
        "train CSV",
        "empty label",
        _cells("train.csv", lambda cells: [*cells[:2], ""]),
        ("train.csv line {line}", "'label'", "the label is empty"),
    ),
    Fault(
        "train CSV",
        "NaN label",
        _cells("train.csv", lambda cells: [*cells[:2], "NaN"]),
        ("train.csv line {line}", "'label'", "'NaN' is a word for a missing one"),
    ),
    Fault("train CSV", "empty path", _named(""), ("train.csv line {line}", "'path'", "the image path is empty")),
    Fault(
        "train CSV",
        "missing image",
        lambda root, row: (root / f"images/{row:03d}.png").unlink(),
        ("train.csv line {line}", "'path'", "images/{row}.png"),
    ),
    Fault(
        "train CSV",
        "a column is twice",
        lambda root, row: edit(root, "train.csv", "id,path,label", "id,path,path"),
        ("appears twice", "path"),
    ),
    Fault(
        "train CSV",
        "one class",
        lambda root, row: [edit(root, "train.csv", name, "cat") for name in ("dog", "owl") * 3],
        ("too few to classify",),
    ),
    *_of_tables("test CSV", "test.csv"),
    Fault("test CSV", "header only", _whole("test.csv", b"id,path\n"), ("test.csv has no rows",)),
    Fault("test CSV", "empty id", _cells("test.csv", lambda cells: ["", *cells[1:]]), ("test.csv line {line}", "the id is empty")),
    Fault(
        "test CSV",
        "id twice",
        lambda root, row: edit(root, "test.csv", f"\n{row:03d},", f"\n{N_TRAIN + (row + 1) % N_TEST:03d},"),
        ("test.csv line", "already on line"),
    ),
    Fault(
        "test CSV",
        "missing image",
        lambda root, row: (root / f"images/{row:03d}.png").unlink(),
        ("test.csv line {line}", "images/{row}.png"),
    ),
    Fault(
        "test CSV",
        "without its path column",
        lambda root, row: edit(root, "test.csv", "id,path", "id,file"),
        ("test.csv", "there is no column 'path'"),
    ),
    *_of_tables("sample submission", "sample_submission.csv"),
    Fault("sample submission", "header only", _whole("sample_submission.csv", b"id,cat,dog,owl\n"), ("sample_submission.csv has no rows",)),
    Fault(
        "sample submission",
        "unknown class",
        lambda root, row: edit(root, "sample_submission.csv", "owl", "fox"),
        ("sample_submission.csv", "'fox'", "'owl'"),
    ),
    Fault(
        "sample submission",
        "unknown id",
        _cells("sample_submission.csv", lambda cells: ["999", *cells[1:]]),
        ("sample_submission.csv line {line}", "'999' is not in test.csv"),
    ),
    Fault(
        "sample submission",
        "id twice",
        lambda root, row: edit(root, "sample_submission.csv", f"\n{row:03d},", f"\n{N_TRAIN + (row + 1) % N_TEST:03d},"),
        ("sample_submission.csv line", "already on line"),
    ),
    Fault(
        "sample submission",
        "empty id",
        _cells("sample_submission.csv", lambda cells: ["", *cells[1:]]),
        ("sample_submission.csv line {line}", "the id is empty"),
    ),
    Fault(
        "sample submission",
        "leading zeros lost",
        lambda root, row: [edit(root, "sample_submission.csv", f"\n0{number}", f"\n{number}") for number in (10, 11, 12)],
        ("'12' is not in test.csv", "leading zeros"),
    ),
]

IMAGE_FAULTS = [
    Fault("image", "empty", _image(b""), ("train.csv line {line}", "0 bytes")),
    Fault("image", "no image", _image(b"hello"), ("train.csv line {line}", "accepted format")),
    Fault("image", "drawing", _image(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), ("train.csv line {line}", "accepted format")),
    *(
        Fault("image", kind, _image(encoded(PIXELS, kind)), ("train.csv line {line}", "accepted format"))
        for kind in ("PPM", "ICO", "PDF", "TGA")
    ),
    Fault("image", "huge", _replaced(lambda path: Image.new("1", (12_000, 9_000)).save(path)), ("train.csv line {line}", "pixels")),
    Fault("image", "claims to be huge", _image(huge_png()), ("train.csv line {line}", "pixels")),
    *(
        Fault(
            "image",
            f"{kind} cut at {share:.0%}",
            _image(encoded(PIXELS, kind)[: int(share * len(encoded(PIXELS, kind)))]),
            ("train.csv line {line}", "{row}.png"),
        )
        for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
        for share in (0.02, 0.3, 0.6, 0.9)
    ),
    Fault(
        "image",
        "first half of one, second of another",
        _image(encoded(PIXELS, "PNG")[:400] + encoded(PIXELS, "JPEG")[400:]),
        ("train.csv line {line}", "{row}.png"),
    ),
]

NAME_FAULTS = [
    Fault("file names", "leads outside", _named("../../etc/passwd"), ("train.csv line {line}", "there is no image")),
    Fault("file names", "absolute", _named("/etc/passwd"), ("train.csv line {line}", "there is no image")),
    Fault(
        "file names", "of Windows, absolute", _named("C:\\images\\{other}.png"), ("train.csv line {line}", "one file would be the image of")
    ),
    Fault(
        "file names",
        "back and forth",
        _named("images/../../c/images/{other}.png"),
        ("train.csv line {line}", "one file would be the image of"),
    ),
    Fault("file names", "too long", _named("x" * 300 + ".png"), ("train.csv line {line}", "there is no image")),
    Fault("file names", "another case", _named("IMAGES/{other}.PNG"), ("train.csv line {line}", "one file would be the image of")),
    Fault(
        "file names",
        "a format off the list",
        lambda root, row: [(root / "images/x.heic").write_bytes(b"x"), _named("images/x.heic")(root, row)],
        ("train.csv line {line}", ".heic"),
    ),
    Fault("file names", "a folder", _named("images"), ("train.csv line {line}", "there is no image")),
    Fault("file names", "a pipe", _replaced(os.mkfifo), ("train.csv line {line}", "there is no image")),
    Fault("file names", "a link out", _replaced(_link_out), ("train.csv line {line}", "symbolic link")),
    Fault(
        "file names",
        "a broken link",
        _replaced(lambda path: path.symlink_to("nothing.png")),
        ("train.csv line {line}", "symbolic link"),
    ),
    Fault(
        "file names",
        "one name in two forms",
        lambda root, row: [write_image(root / "images" / unicodedata.normalize(form, f"가{row}.png"), row) for form in ("NFC", "NFD")],
        ("가", "two files have this name"),
    ),
    Fault("file names", "in cp949", lambda root, row: _in_cp949(root / "images", f"자동차{row}.jpg"), ("자동차",)),
]

FAULTS = [*TABLE_FAULTS, *IMAGE_FAULTS, *NAME_FAULTS]


def _in_cp949(folder: Path, name: str) -> None:
    """A file whose name is not UTF-8, as archivers of Windows in Korea leave it."""
    with open(os.path.join(os.fsencode(folder), name.encode("cp949")), "wb") as stream:
        stream.write(encoded(PIXELS, "JPEG"))


FOLDER_FAULTS: list[tuple[str, Callable[[Path], object], tuple[str, ...]]] = [
    ("class folder without images", lambda root: (root / "train" / "empty").mkdir(), ("train/empty", "holds no image")),
    (
        "damaged image",
        lambda root: (root / f"train/{CARS[0]}/{CARS[0]}_0000.jpg").write_bytes(b"\xff\xd8\xff\xe0"),
        (f"train/{CARS[0]}/{CARS[0]}_0000.jpg",),
    ),
    (
        "format outside the list",
        lambda root: (root / f"train/{CARS[0]}/x.heic").write_bytes(b"x"),
        ("x.heic", ".heic files are not accepted"),
    ),
    ("test image missing", lambda root: (root / "test/TEST_00001.jpg").unlink(), ("test.csv line 3", "'img_path'", "TEST_00001.jpg")),
    (
        "sample lacks a class",
        lambda root: edit(root, "sample_submission.csv", f",{CARS[2]}", ",other"),
        (f"no column for the class '{CARS[2]}'", "'other'"),
    ),
]

Lines = list[list[str]]

SEVERAL_FAULTS: list[tuple[str, Layout, Callable[[Lines, int], object], tuple[str, ...]]] = [
    (
        "no class",
        "cells",
        lambda lines, row: lines[row].__setitem__(2, "1,77"),
        ("train.tsv line {line}", "'77' is not one of the 6 classes"),
    ),
    ("no labels at all", "cells", lambda lines, row: [cells.__setitem__(2, "") for cells in lines], ("too few to classify",)),
    (
        "neither 0 nor 1",
        "columns",
        lambda lines, row: lines[row].__setitem__(3, "yes"),
        ("train.csv line {line}", "'yes' is neither 0 nor 1"),
    ),
    (
        "an empty flag",
        "columns",
        lambda lines, row: lines[row].__setitem__(4, " "),
        ("train.csv line {line}", "'' is neither 0 nor 1"),
    ),
    (
        "a class that no row has",
        "columns",
        lambda lines, row: [cells.__setitem__(5, "0") for cells in lines],
        ("train.csv", "no row has the class"),
    ),
]
"""What rows with several classes can have wrong: kind, layout of `write_emotions`, how to spoil a line, what is said of it."""


def spoil_several(folder: Path, row: int, layout: Layout, spoil: Callable[[Lines, int], object]) -> None:
    """Write a contest of rows with several classes and spoil its training table; `row` counts its rows from 0."""
    write_emotions(folder, layout=layout)
    path, separator = (folder / "train.tsv", "\t") if layout == "cells" else (folder / "train.csv", ",")
    header, *lines = [line.split(separator) for line in path.read_text(encoding="utf-8").splitlines()]
    spoil(lines, row)
    path.write_text("\n".join(separator.join(cells) for cells in [header, *lines]) + "\n", encoding="utf-8")


TEXT = "id,review,label\n" + "".join(f"{number:03d},가나다라마바사아자차카타파하 {number},{number % 4}\n" for number in range(12))


def damaged_utf8(rng: random.Random) -> bytes:
    """Korean text in which one byte of a character is another."""
    raw = bytearray(TEXT.encode())
    at = rng.choice([place for place, byte in enumerate(raw) if 0x80 <= byte < 0xC0])
    raw[at] = rng.choice(b"Az0 ~")
    return bytes(raw)


def mixed_encodings(rng: random.Random) -> bytes:
    """UTF-8 in which some lines are cp949, as two tables put together by hand."""
    lines = TEXT.splitlines(keepends=True)
    foreign = set(rng.sample(range(1, len(lines)), rng.randrange(1, 4)))
    return b"".join(line.encode("cp949" if number in foreign else "utf-8") for number, line in enumerate(lines))


WRONG_ENCODINGS: dict[str, Callable[[random.Random], bytes]] = {
    "utf-16": lambda rng: TEXT.encode(rng.choice(("utf-16-le", "utf-16-be"))),
    "utf-32": lambda rng: TEXT.encode(rng.choice(("utf-32", "utf-32-le", "utf-32-be"))),
    "damaged utf-8": damaged_utf8,
    "cut inside a character": lambda rng: TEXT.encode()[: -len(" 11,3\n")][: -rng.choice((1, 2))],
    "two encodings": mixed_encodings,
    "surrogates": lambda rng: TEXT.replace("가", "\ud800", 1).encode("utf-8", "surrogatepass"),
    "a byte that is in no encoding": lambda rng: (
        TEXT.replace("나", "\xff", rng.randrange(1, 5)).encode("latin-1", "ignore") + b"\xff\xff\xff"
    ),
}
