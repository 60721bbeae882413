"""CSV in, as people have it: utf-8 with or without BOM, cp949, euc-kr; comma, tab or semicolon. Every cell stays a string.

The lines of the file are kept, so that an error can name the line a person sees in an editor; problems of many rows are one error.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.base.errors import InputError
from core.base.files import nfc
from core.base.messages import joined, msg, reason

N_SHOWN = 20


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. `row` is the 1-based line in the file, None where a problem has no line."""

    file: str
    what: str
    fix: str
    row: int | None = None
    column: str = ""

    @property
    def where(self) -> str:
        """File, line and column in one short phrase."""
        if self.column:
            known = "{file}, column '{column}'" if self.row is None else "{file} line {line}, column '{column}'"
        else:
            known = "{file}" if self.row is None else "{file} line {line}"
        return msg(known, file=self.file, line=self.row or 0, column=self.column)

    def __str__(self) -> str:
        return joined(": ", [self.where, self.what])


class Problems:
    """Collects problems, keeps the first twenty of each kind of fix, counts all."""

    def __init__(self) -> None:
        self.count = 0
        self._kinds: dict[str, list[tuple[int, Problem]]] = {}

    def add(self, file: str, what: str, fix: str, *, row: int | None = None, column: str = "") -> None:
        """Note one problem."""
        self.count += 1
        kind = self._kinds.setdefault(fix, [])
        if len(kind) < N_SHOWN:
            kind.append((self.count, Problem(file, what, fix, row, column)))

    def add_rows(
        self,
        file: str,
        lines: NDArray[np.int64] | None,
        mask: pd.Series,
        what: str,
        fix: str,
        *,
        column: str = "",
        hint: str = "",
        **values: Any,
    ) -> None:
        """Note a problem of each row where `mask` is true; `lines` (n,) are those of the file, None for rows of a folder.

        `what` is a template; a value that is a Series has one for each row. `hint` follows it.
        """
        for row in np.flatnonzero(mask.to_numpy(dtype=np.bool_)):
            said = msg(what, **{name: value.iloc[row] if isinstance(value, pd.Series) else value for name, value in values.items()})
            self.add(file, joined("; ", [said, hint]) if hint else said, fix, row=None if lines is None else int(lines[row]), column=column)

    def first(self) -> list[Problem]:
        """At most twenty problems, in the order in which they were noted; when there are several kinds, some of each kind."""
        turns = [numbered for turn in range(N_SHOWN) for kind in self._kinds.values() for numbered in kind[turn : turn + 1]]
        return [problem for _, problem in sorted(turns[:N_SHOWN], key=lambda numbered: numbered[0])]

    def raise_if_any(self, subject: str) -> None:
        """Raise one error with all of them, if any; `subject` says what cannot be done, as in "the contest cannot be registered"."""
        first = self.first()
        if self.count == 1:
            raise InputError(first[0].what, where=first[0].where, why=subject, fix=first[0].fix)
        if first:
            more = [msg("… and {n:,} more", n=self.count - len(first))] if self.count > len(first) else []
            raise InputError(
                "{subject}: {n:,} {n:problem|problems}",
                where=", ".join(list(dict.fromkeys(problem.file for problem in first))[:5]),
                why=joined("\n", [*map(Problem.__str__, first), *more]),
                fix=joined("; ", dict.fromkeys(problem.fix for problem in first)),
                subject=subject,
                n=self.count,
            )


MISSING_CELLS = ("", "nan", "NaN", "NAN", "<NA>")
MAX_CELL = 10_000_000
N_CHUNK = 4096
N_JUDGED = 1_000_000
HANGUL, HANJA = re.compile("[\uac00-\ud7a3]"), re.compile("[\u4e00-\u9fff\uf900-\ufaff]")
GLUED = re.compile("[A-Za-z](?=[\uac00-\ud7a3])|[\uac00-\ud7a3](?=[A-Za-z])")
DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon"}


@dataclass(frozen=True)
class Table:
    """A CSV file as read: `frame` of strings, `lines[i]` the 1-based line of the file where row i starts."""

    frame: pd.DataFrame
    lines: NDArray[np.int64]
    encoding: str
    delimiter: str

    @property
    def said(self) -> str:
        """How the file was read, for a person."""
        return msg(
            "{rows:,} {rows:row|rows}, {encoding}, separated by {delimiter}",
            rows=len(self.frame),
            encoding=self.encoding,
            delimiter=DELIMITERS[self.delimiter],
        )


def read_table(path: Path) -> Table:
    """Read a CSV file as strings: empty cells are "", nothing is taken for a number, column names are NFC.

    Raises InputError for a file that is missing, empty, in an unknown encoding (with the offset), without rows, or with
    lines that cannot be parsed (with their numbers, several at once).
    """
    try:
        raw = path.read_bytes()
    except OSError as problem:
        raise InputError(
            "cannot read {file}", where=str(path), why=reason(problem), fix="give the path of a CSV file", file=path.name
        ) from None
    if not raw.strip(b"\xef\xbb\xbf \t\r\n"):
        raise InputError(
            "{file} is empty", where=str(path), why="it has no text at all", fix="export or download the file again", file=path.name
        )
    text, encoding = decode(raw, path)
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(
            "{file} is not a text file",
            where="{file} line {line}",
            why="it holds NUL bytes",
            fix="export the table as CSV in UTF-8",
            file=path.name,
            line=line,
        )
    delimiter = _detect_delimiter(text, path)
    lines, frame = _parse(text, delimiter, path)
    return Table(frame, lines, encoding, delimiter)


def decode(raw: bytes, path: Path) -> tuple[str, str]:
    """Decode a file's bytes; returns the text (without BOM) and the name of the encoding.

    Text is taken for cp949 only when it is not UTF-8 with some damaged bytes; otherwise the damage is named by its offset.
    """
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(
            "{file} is UTF-16",
            where=str(path),
            why="the file begins with a UTF-16 byte-order mark",
            fix="save it as CSV UTF-8",
            file=path.name,
        )
    try:
        return raw.decode("utf-8-sig"), "utf-8-sig" if raw.startswith(b"\xef\xbb\xbf") else "utf-8"
    except UnicodeDecodeError as problem:
        broken = problem
    try:
        text = raw.decode("cp949")
        if _is_korean(text[:N_JUDGED]) or _is_far_from_utf8(raw[:N_JUDGED]):
            return text, "cp949"
    except UnicodeDecodeError as problem:
        if _is_far_from_utf8(raw[:N_JUDGED]):
            broken = min(broken, problem, key=lambda error: -error.start)
    line = raw.count(b"\n", 0, broken.start) + 1
    raise InputError(
        "{file} is in an unknown encoding",
        where="{file} line {line}",
        why="byte 0x{byte:02x} at offset {offset:,} is not {encoding}; tried utf-8, utf-8-sig, cp949 (euc-kr)",
        fix="save the file as CSV UTF-8",
        file=path.name,
        line=line,
        byte=raw[broken.start],
        offset=broken.start,
        encoding=broken.encoding,
    )


def _is_korean(text: str) -> bool:
    """Whether text that was read as cp949 is Korean. UTF-8 read so is full of hanja, or of Hangul between Latin letters (caf챕)."""
    return len(HANGUL.findall(text)) > 2 * (len(HANJA.findall(text)) + len(GLUED.findall(text)))


def _is_far_from_utf8(raw: bytes) -> bool:
    """Whether bytes that are not UTF-8 are not even damaged UTF-8: far more of them make no character than make a usual one."""
    replaced = raw.decode("utf-8", errors="replace")
    n_bad = replaced.count("\ufffd")
    n_good = sum("\u00c0" <= character <= "\u017f" or character >= "\u0800" for character in replaced) - n_bad
    return n_bad > 3 * n_good


def _detect_delimiter(text: str, path: Path) -> str:
    """The delimiter that cuts the first line into most fields; a .tsv file is always cut at tabs."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    header = next((line for line in io.StringIO(text, newline="") if line.strip()), "")
    n_fields = {delimiter: len(next(csv.reader([header], delimiter=delimiter), [])) for delimiter in DELIMITERS}
    return max(DELIMITERS, key=lambda delimiter: n_fields[delimiter])


def _parse(text: str, delimiter: str, path: Path) -> tuple[NDArray[np.int64], pd.DataFrame]:
    """Parse with CSV quoting; tab-separated text whose quotes are plain characters (as in review corpora) is read as it stands."""
    try:
        lines, frame = _parse_quoted(text, delimiter, path, csv.QUOTE_MINIMAL)
    except InputError:
        if delimiter != "\t":
            raise
        return _parse_quoted(text, delimiter, path, csv.QUOTE_NONE)
    if delimiter == "\t" and (np.diff(lines) > 1).any():
        with suppress(InputError):
            return _parse_quoted(text, delimiter, path, csv.QUOTE_NONE)
    return lines, frame


def _parse_quoted(text: str, delimiter: str, path: Path, quoting: int) -> tuple[NDArray[np.int64], pd.DataFrame]:
    """The line where each row starts, and the rows."""
    problems = Problems()
    records = _records(text, delimiter, path, quoting, problems)
    _, header = next(records, (1, []))
    names = [nfc(name).strip() or f"Unnamed: {number}" for number, name in enumerate(header)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(
            "a column name appears twice",
            where="{file} line 1",
            why="twice: {names}",
            fix="give every column a name of its own",
            file=path.name,
            names=", ".join(twice[:20]),
        )
    lines: list[int] = []
    frames: list[pd.DataFrame] = []
    while chunk := list(islice(records, N_CHUNK)):  # strings of pandas take a fraction of the memory of Python's
        lines += [line for line, _ in chunk]
        frames.append(pd.DataFrame([record for _, record in chunk], columns=names, dtype="str"))
    problems.raise_if_any(msg("{file} cannot be parsed", file=path.name))
    if not lines:
        raise InputError(
            "{file} has no rows",
            where=str(path),
            why="it has only the header: {names}",
            fix="export or download the file again",
            file=path.name,
            names=", ".join(names[:20]),
        )
    return np.array(lines, dtype=np.int64), pd.concat(frames, ignore_index=True)


def _records(text: str, delimiter: str, path: Path, quoting: int, problems: Problems) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, fields) of every record that is not a blank line and has as many fields as the first."""
    # The limit belongs to the csv module, not to a reader; its default (131,072) is shorter than some articles.
    csv.field_size_limit(MAX_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True)  # pyright: ignore[reportArgumentType]
    line, wanted = 1, 0
    try:
        for record in reader:
            wanted = wanted or len(record)
            if len(record) == wanted > 0:
                yield line, record
            elif record:
                what, fix = "{n} fields where the header has {wanted}", "quote cells that hold a delimiter or a line break"
                problems.add(path.name, msg(what, n=len(record), wanted=wanted), fix, row=line)
            line = reader.line_num + 1
    except csv.Error as problem:
        fix = "a cell that begins with a quote must end with one, and quotes inside it are doubled"
        problems.add(path.name, msg("unparsable: {problem}", problem=problem), fix, row=line)


def column_of(frame: pd.DataFrame, name: str) -> pd.Series:
    """One column, typed: pandas cannot say that a name names one."""
    return cast(pd.Series, frame[name])


def is_missing(values: pd.Series) -> pd.Series:
    """True where a cell is empty or what pandas writes for a missing value."""
    return cast(pd.Series, values.str.strip().isin(MISSING_CELLS))
