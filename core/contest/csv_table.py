"""CSV in, as people have it: utf-8 with or without BOM, utf-16, cp949, euc-kr; comma, tab, semicolon or bar. Every cell stays a string.

The lines of the file are kept, so that an error can name the line a person sees in an editor; problems of many rows are one error.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count, islice, takewhile
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from core.base.errors import InputError
from core.base.files import bare_text
from core.base.messages import msg, reason
from core.contest.encoding import decode
from core.contest.problems import Problems

# Arrow's own allocator keeps what was freed for later, which is half as much again after a large table was read piece by piece.
pa.set_memory_pool(pa.system_memory_pool())

MISSING_CELLS = ("", "nan", "NaN", "NAN", "<NA>")
MAX_CELL = 10_000_000
MEMORY_PER_BYTE = 4
"""Bytes of memory that reading takes for each byte of a file, at most: its bytes, its text, and the cells."""
PIECE = 1_000_000
"""Characters that Arrow reads at a time."""
N_CHUNK = 4096
N_EMPTY = 1000
BLANKS = b"\xef\xbb\xbf \t\r\n"
N_JUDGED = 200
"""Records by which the delimiter is found."""
DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}
SEP_LINE = re.compile(r'\ufeff?"?sep=(.)"?', re.IGNORECASE)
"""What Excel writes above the header to say which delimiter it used."""
USAGES = ("public", "private", "ignored", "both", "none")
LINE_END = re.compile("\r\n|\r|\n")
ID_NAME = re.compile(r"(.*[_ \-.])?(id|idx|index|no|번호|아이디)|unnamed: 0|\w*id|(image|img|file|file_?name|image_?name)", re.IGNORECASE)
UNNAMED = re.compile(r"Unnamed: \d+(_level_\d+|(\.\d+)*)")


@dataclass(frozen=True)
class Table:
    """A CSV file as read: `frame` of strings, `lines[i]` the 1-based line of the file where row i starts.

    `header` is the line of names as it stands in the file; `passed_over` says what was read past.
    """

    frame: pd.DataFrame
    lines: NDArray[np.int64]
    encoding: str
    delimiter: str
    header: str = ""
    passed_over: tuple[str, ...] = ()

    @property
    def said(self) -> str:
        """How the file was read, for a person."""
        return msg(
            "{rows:,} {rows:row|rows}, {encoding}, separated by {delimiter}",
            rows=len(self.frame),
            encoding=self.encoding,
            delimiter=DELIMITERS[self.delimiter],
        )

    def without(self, columns: Mapping[str, str]) -> Self:
        """The table without some columns; the reason of each is said."""
        said = [msg("column '{column}' passed over: {why}", column=name, why=why) for name, why in columns.items()]
        return replace(self, frame=self.frame.drop(columns=list(columns)), passed_over=(*self.passed_over, *said)) if columns else self

    def ids_first(self) -> Self:
        """The table of a sample submission with its ids as the first column, wherever they stand; that they were moved is said."""
        place = id_place(self.frame)
        if not place:
            return self
        name = str(self.frame.columns[place])
        names = [name, *(each for each in self.frame.columns if each != name)]
        said = msg("the ids stand in column '{column}', behind '{first}': a submission is written so", column=name, first=names[1])
        return replace(self, frame=self.frame[names], passed_over=(*self.passed_over, said))


def read_table(path: Path, encoding: str | None = "") -> Table:
    """Read a CSV file as strings: empty cells are "", nothing is taken for a number, column names are NFC.

    `encoding` is a person's answer for a file that is not UTF-8, None where nobody is asked. Raises InputError for a file that is missing, empty, too large for the
    memory, in an encoding that is not sure (with the likely one), without rows, or with lines that cannot be parsed (with their
    numbers, several at once).
    """
    raw = _read_bytes(path)
    if not raw[:N_EMPTY].strip(BLANKS) and not raw.strip(BLANKS):
        raise InputError(
            "{file} is empty", where=str(path), why="it has no text at all", fix="export or download the file again", file=path.name
        )
    text, encoding = decode(raw, path, encoding)
    del raw  # a table is large: its bytes, its text and its cells do not stand in memory together
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
    return read_text(text, path, encoding)


def read_text(text: str, path: Path, encoding: str = "utf-8") -> Table:
    """Read the text of a CSV file, named `path` in errors, as `read_table` does."""
    start, n_before, sep_line = _first_line(text)
    delimiter = sep_line or _detect_delimiter(text, start, path)
    end = _last_line(text, delimiter)
    parsed = _parse(text, (start, end), delimiter, path, n_before)
    said = ["a first line that names the delimiter is passed over"] if sep_line else []
    if parsed.n_headers:
        said.append(msg("{n:,} {n:line|lines} that {n:repeats|repeat} the names of the columns {n:is|are} passed over", n=parsed.n_headers))
    n_empty = sum(delimiter in line for line in text[end:].splitlines())
    said += [msg("{n:,} {n:row|rows} without any value at the end {n:is|are} passed over", n=n_empty)] if n_empty else []
    return Table(parsed.frame, parsed.lines, encoding, delimiter, parsed.header, tuple(said))


def _read_bytes(path: Path) -> bytes:
    try:
        size, free = path.stat().st_size, psutil.virtual_memory().available
        if size * MEMORY_PER_BYTE > free:
            raise InputError(
                "{file} is too large for the memory of this machine",
                where=str(path),
                why="reading {size:.1f} GB takes about {needed:.0f} GB of memory, {free:.1f} GB are free",
                fix="cut the table into the columns and rows that are needed, or use a machine with more memory",
                file=path.name,
                size=size / 2**30,
                needed=size * MEMORY_PER_BYTE / 2**30,
                free=free / 2**30,
            )
        return path.read_bytes()
    except OSError as problem:
        raise InputError(
            "cannot read {file}", where=str(path), why=reason(problem), fix="give the path of a CSV file", file=path.name
        ) from None


def _first_line(text: str) -> tuple[int, int, str]:
    """Where the header starts, how many lines stand before it that hold nothing, and the delimiter that one of them names ("" for none)."""
    sep_line, start, n_before = "", 0, 0
    for line in _lines(text):
        found = SEP_LINE.fullmatch(line.strip("\r\n")) if not sep_line else None
        if found and found[1] in DELIMITERS:
            sep_line = found[1]
        elif line.strip("\r\n \ufeff" + "".join(DELIMITERS)):
            break
        start, n_before = start + len(line), n_before + 1
    return start, n_before, sep_line


def _last_line(text: str, delimiter: str) -> int:
    """Where the last line ends that holds more than delimiters and blanks: Excel leaves such lines below a table."""
    last = len(text)
    while last and text[last - 1] in f"{delimiter}\r\n ":
        last -= 1
    found = LINE_END.search(text, last)
    return found.end() if found else len(text)


def _lines(text: str, start: int = 0, end: int | None = None) -> Iterator[str]:
    """The lines of a part of a text with their ends, one at a time: io.StringIO would copy it whole, in four bytes a character."""
    end = len(text) if end is None else end
    while start < end:
        found = LINE_END.search(text, start, end)
        stop = found.end() if found else end
        yield text[start:stop]
        start = stop


def _detect_delimiter(text: str, start: int, path: Path) -> str:
    """The delimiter at which most of the first records have as many fields as the header, more than one; of equals that with most fields.

    A .tsv file is always cut at tabs.
    """
    if path.suffix.lower() == ".tsv":
        return "\t"

    def fit(delimiter: str) -> tuple[bool, float, int]:
        sizes: list[int] = []
        with suppress(csv.Error):
            for record in islice(csv.reader(_lines(text, start), delimiter=delimiter), N_JUDGED):
                sizes += [len(record)] if record else []
        wanted = sizes[0] if sizes else 1
        return wanted > 1, round(sum(size == wanted for size in sizes) / max(len(sizes), 1), 2), wanted

    csv.field_size_limit(MAX_CELL)
    return max(DELIMITERS, key=fit)


@dataclass(frozen=True)
class _Parsed:
    """The line where each row starts, the rows, the header as it stands, and how often it stands there again, as in tables put together."""

    lines: NDArray[np.int64]
    frame: pd.DataFrame
    header: str
    n_headers: int


def _parse(text: str, part: tuple[int, int], delimiter: str, path: Path, n_before: int) -> _Parsed:
    """Parse with CSV quoting; tab-separated text whose quotes are plain characters (as in review corpora) is read as it stands."""
    try:
        parsed = _parse_quoted(text, part, delimiter, path, n_before, csv.QUOTE_MINIMAL)
    except InputError:
        if delimiter != "\t":
            raise
        return _parse_quoted(text, part, delimiter, path, n_before, csv.QUOTE_NONE)
    if delimiter == "\t" and (np.diff(parsed.lines) > 1).any():
        with suppress(InputError):
            return _parse_quoted(text, part, delimiter, path, n_before, csv.QUOTE_NONE)
    return parsed


def _parse_quoted(text: str, part: tuple[int, int], delimiter: str, path: Path, n_before: int, quoting: int) -> _Parsed:
    problems = Problems()
    records = _records(text, part, delimiter, path, n_before, quoting, problems)
    last, names = next(records, (1, []))
    given, n_headers = names, 0
    names = [bare_text(name) for name in names]
    twice = [name for name, n in Counter(filter(None, names)).items() if n > 1]
    if twice:
        raise InputError(
            "a column name appears twice",
            where="{file} line {line}",
            why="twice: {names}",
            fix="give every column a name of its own",
            file=path.name,
            line=n_before + 1,
            names=", ".join(twice[:20]),
        )
    for number, name in enumerate(names):
        free = (f"Unnamed: {number}" + (f".{again}" if again else "") for again in count())
        names[number] = name or next(each for each in free if each not in names)
    lines: list[int] = []
    frames: list[pd.DataFrame] = []
    if (plain := _plain_rows(text, part, delimiter, names)) is not None:
        lines, frames, records = list(range(last + 1, last + 1 + len(plain))), [plain], iter(())
    while chunk := list(islice(records, N_CHUNK)):  # strings of pandas take a fraction of the memory of Python's
        rows = [each for each in chunk if each[1] != given]
        n_headers += len(chunk) - len(rows)
        lines += [line for line, _ in rows]
        frames.append(pd.DataFrame([record for _, record in rows], columns=names, dtype="str"))
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
    header = "".join(islice(_lines(text, *part), last - n_before)).rstrip("\r\n").replace("\r\n", "\n")
    return _Parsed(np.array(lines, dtype=np.int64), pd.concat(frames, ignore_index=True), header, n_headers)


def _plain_rows(text: str, part: tuple[int, int], delimiter: str, names: list[str]) -> pd.DataFrame | None:
    """The rows below the header where no cell is quoted and every line has as many fields as the header, cut by Arrow ten times as fast as
    by `_records`; None of any other table. One piece after the other, so that little more than the cells stands in memory."""
    start, end = text.find("\n", *part) + 1, part[1]
    if len(names) < 2 or not 0 < start < end or any(text.find(mark, *part) >= 0 for mark in '"\0') or "\r" in text[part[0] : start - 2]:
        return None
    if text.find("\n" + text[part[0] : start].rstrip("\r\n"), start - 1, end) >= 0:  # the header again
        return None
    pieces: list[Any] = []
    while start < end:
        stop = text.find("\n", min(start + PIECE, end) - 1, end) + 1 or end
        piece = _plain_piece(text[start:stop], delimiter, len(names))
        if piece is None:
            return None
        pieces.append(piece)
        start = stop
    return pa.concat_tables(pieces).rename_columns(names).to_pandas()  # pieces stay where they are: cells are not copied


def _plain_piece(text: str, delimiter: str, n_fields: int) -> Any:
    """Whole lines without quotes as an Arrow table of columns 0 to n_fields - 1; None where a line has more or fewer fields, or ends in another way."""
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        return None
    signs = np.frombuffer(raw, dtype=np.uint8)
    ends, cuts = (np.flatnonzero(signs == ord(mark)) for mark in ("\n", delimiter))
    ends = ends if raw.endswith(b"\n") else np.append(ends, len(raw))
    if raw.count(b"\r") != raw.count(b"\r\n") or len(cuts) != len(ends) * (n_fields - 1) or int(np.diff(ends, prepend=-1).max()) > MAX_CELL:
        return None
    cuts = cuts.reshape(len(ends), -1)
    if (cuts[:, -1] > ends).any() or (cuts[1:, 0] < ends[:-1]).any():
        return None
    names = list(map(str, range(n_fields)))
    return pa_csv.read_csv(
        pa.BufferReader(raw),
        pa_csv.ReadOptions(column_names=names, block_size=len(raw) + 1),
        pa_csv.ParseOptions(delimiter=delimiter, quote_char=False, double_quote=False, ignore_empty_lines=False),
        pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.large_string())),
    )


def _records(
    text: str, part: tuple[int, int], delimiter: str, path: Path, n_before: int, quoting: int, problems: Problems
) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, fields) of every record that is not a blank line; of the header the line where it ends, of others where they start.

    Each has as many fields as the header: empty ones at the end are cut off or, where the header has no names, added.
    """
    # The limit belongs to the csv module, not to a reader; its default (131,072) is shorter than some articles.
    csv.field_size_limit(MAX_CELL)
    reader = csv.reader(_lines(text, *part), delimiter=delimiter, quoting=quoting, strict=True)  # pyright: ignore[reportArgumentType]
    line, wanted, named = n_before + 1, 0, 0
    try:
        for record in reader:
            if not wanted:
                wanted, named = len(record), max((place for place, name in enumerate(record, 1) if name), default=0)
                yield n_before + reader.line_num, record
            elif named <= len(record) and not any(record[wanted:]):
                yield line, [*record[:wanted], *[""] * (wanted - len(record))]
            elif record:
                what, fix = "{n} fields where the header has {wanted}", "quote cells that hold a delimiter or a line break"
                problems.add(path.name, msg(what, n=len(record), wanted=wanted), fix, row=line)
            line = n_before + reader.line_num + 1
    except csv.Error as problem:
        fix = "a cell that begins with a quote must end with one, and quotes inside it are doubled"
        problems.add(path.name, msg("unparsable: {problem}", problem=problem), fix, row=line)


def is_unnamed(name: str) -> bool:
    """True for the name of a column that has none in the file, or had none when pandas wrote it."""
    return UNNAMED.fullmatch(name) is not None


def empty_columns(frame: pd.DataFrame) -> dict[str, str]:
    """Columns without a name and without a value, as a delimiter at the end of each line leaves them, each with the reason."""
    return {name: "it has no name and no value" for name in frame.columns if is_unnamed(name) and not column_of(frame, name).any()}


def index_columns(frame: pd.DataFrame) -> dict[str, str]:
    """The first columns, without a name, that number the rows as the index of pandas does, each with the reason."""
    found: dict[str, str] = {}
    for name in takewhile(is_unnamed, map(str, frame.columns)):
        cells = column_of(frame, name)
        if cells.is_unique and cells.str.fullmatch(r"[0-9]{1,18}").all():
            found[name] = "it numbers the rows, as pandas writes its index"
    return found


def beside_answers(frame: pd.DataFrame) -> dict[str, str]:
    """Columns of a sample submission that are neither its ids nor an answer, each with the reason; a submission repeats them."""
    found = empty_columns(frame)
    if len(frame.columns) - len(found) > 2:
        found |= index_columns(frame)
    for name in frame.columns[1:] if len(frame.columns) - len(found) > 2 else ():
        if name.strip().lower() == "usage" and column_of(frame, name).str.strip().str.lower().isin(USAGES).all():
            found[name] = "it says which rows count for which leaderboard"
    return found


def id_place(frame: pd.DataFrame) -> int:
    """Which column of a sample submission holds its ids: the first, unless its values repeat and one other is named like an id and repeats none."""
    if column_of(frame, frame.columns[0]).is_unique:
        return 0
    found = [place for place, name in enumerate(frame.columns) if ID_NAME.fullmatch(name) and column_of(frame, name).is_unique]
    return found[0] if len(found) == 1 else 0


LIST = re.compile(r"\s*\[[-+0-9.eE,\s]*\]\s*")


def list_columns(frame: pd.DataFrame) -> dict[str, str]:
    """Columns of a sample submission, behind ids and label, that hold lists of numbers: all probabilities of a row, as KLUE asks for them."""
    behind = [name for name in frame.columns[2:] if column_of(frame, name).str.fullmatch(LIST.pattern).all()]
    return dict.fromkeys(behind, "a list of numbers in each row: all probabilities, in the order of the classes")


def column_of(frame: pd.DataFrame, name: str) -> pd.Series:
    """One column, typed: pandas cannot say that a name names one."""
    return cast(pd.Series, frame[name])


def is_missing(values: pd.Series) -> pd.Series:
    """True where a cell is empty or what pandas writes for a missing value."""
    return cast(pd.Series, values.str.strip().isin(MISSING_CELLS))
