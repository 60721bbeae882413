"""A file of predictions as it stands: opened within limits of size and type, its columns found by the names of the classes.

A table (CSV or Parquet) has an id, one column per class by name, and perhaps `fold`. A `.npy` array has the rows in the
contest's order, which nobody can check but the one who wrote it.
"""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from core.base.errors import AlignmentError, InputError, PitwallError
from core.base.files import nfc
from core.base.messages import joined, msg, reason
from core.contest.csv_table import DELIMITERS, read_table
from core.contest.encoding import LIKELY, N_BYTES, decode, judged
from core.contest.names import naming_of_columns

FOLD = "fold"
SUFFIXES = (".npy", ".csv", ".parquet")
N_NAMED, N_CHARACTERS = 5, 60
MOST_ROWS = 3
"""A table with more than this many times the contest's rows is not read at all."""
LONGEST_WORD = 1_000
"""Characters of an id, or of a number that is written as text."""
CELL = re.compile(r"[^,;|\t\r\n\"]+")
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Expected:
    """What a file must hold: the contest's ids (n,) and classes, for training rows the folds (n,).

    Rows of `dropped` ids may be in a table too, and are left out. `array_classes` is the order of the columns of a `.npy` array where it
    is not the contest's own. Multi-label: each probability stands alone, and a row need not sum to one. `encoding` is that of the contest's
    tables where they are not UTF-8 and a person said so.
    """

    ids: Sequence[str]
    classes: Sequence[str]
    fold_of: NDArray[np.integer] | None = None
    array_classes: Sequence[str] = ()
    is_multilabel: bool = False
    dropped: frozenset[str] = frozenset()
    encoding: str = ""

    @property
    def most_bytes(self) -> int:
        """A file above this size cannot be these predictions."""
        return 1_000_000 + len(self.ids) * (1_000 + 40 * len(self.classes))


@dataclass(frozen=True)
class Sheet:
    """A file before it is aligned: ids (n,) or None, probabilities (n, n_classes) by the contest's classes, folds (n,) or None."""

    ids: list[str] | None
    prob: Array
    folds: list[str] | None


def check_size(name: str, n_bytes: int, expected: Expected) -> None:
    """Raise InputError for a file that is larger than such predictions can be."""
    if n_bytes > expected.most_bytes:
        raise InputError(
            "{file} is too large for this contest",
            where=name,
            why="it has {size:,.1f} MB; predictions of {rows:,} rows and {classes:,} classes take at most {most:,.1f} MB",
            fix="give a file with an id and one column per class, and nothing else",
            file=name,
            size=n_bytes / 1e6,
            rows=len(expected.ids),
            classes=len(expected.classes),
            most=expected.most_bytes / 1e6,
        )


def check_suffix(name: str) -> str:
    """The ending of a file's name, which says its form; InputError for any other."""
    suffix = Path(name).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(
            "{file} has no known form",
            where=name,
            why="known endings: {names}",
            fix="rename or convert the file",
            file=name,
            names=", ".join(SUFFIXES),
        )
    return suffix


def read_sheet(path: Path, expected: Expected) -> Sheet:
    """Open a file of any of the three forms. Raises InputError or AlignmentError for one that is not these predictions."""
    suffix = check_suffix(path.name)
    try:
        if suffix == ".npy":
            return _read_array(path, expected)
        if suffix == ".csv":
            table = _csv_table(path, expected)
            return _sheet(table.rename_columns(_spelled_as_classes(table.column_names, expected)), expected, path)
        with pq.ParquetFile(path) as file:
            words = _check_types(file.schema_arrow, path)
        with pq.ParquetFile(path, read_dictionary=words) as file:  # a text that is repeated is held once
            columns = _spelled_as_classes(file.schema_arrow.names, expected)
            _check_columns(columns, expected, path)
            n_rows = file.metadata.num_rows
            if n_rows > MOST_ROWS * len(expected.ids):
                raise AlignmentError(
                    "{file} has too many rows",
                    where=path.name,
                    why="it has {n:,} rows, the contest has {wanted:,}",
                    fix="every row once, with the ids of the contest's own files",
                    file=path.name,
                    n=n_rows,
                    wanted=len(expected.ids),
                )
            groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
            unpacked = sum(group.column(place).total_uncompressed_size for group in groups for place in range(group.num_columns))
            check_size(path.name, unpacked, expected)
            table = file.read().rename_columns(columns)
            texts = [table.column(file.schema_arrow.names.index(name)) for name in words]
            held = (word for text in texts for chunk in text.chunks for word in chunk.dictionary.to_pylist())
            longest = max(map(len, held), default=0)
            if longest > LONGEST_WORD:
                raise InputError(
                    "{file} has cells that are too long",
                    where=path.name,
                    why="one has {n:,} characters, an id has at most {most:,}",
                    fix="give a file with an id and one column per class, and nothing else",
                    file=path.name,
                    n=longest,
                    most=LONGEST_WORD,
                )
            return _sheet(table, expected, path)
    except PitwallError:
        raise
    except (OSError, ValueError, TokenError, pa.ArrowException) as problem:  # TokenError: of the header of a damaged .npy
        raise InputError(
            "cannot read {file}", where=path.name, why=reason(problem), fix="export the predictions again", file=path.name
        ) from None


def _check_types(schema: Any, path: Path) -> list[str]:
    """The names of the columns that hold text. Raises InputError for one that holds neither text nor numbers: it may unpack to any size."""
    of_text = [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)]
    flat = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean, pa.types.is_null, pa.types.is_dictionary)
    strange = [field for field in schema if field.name not in of_text and not any(fits(field.type) for fits in flat)]
    if strange:
        raise InputError(
            "a column of {file} holds neither text nor numbers",
            where=path.name,
            why="the column '{name}' holds {type}",
            fix="give a file with an id and one column per class, and nothing else",
            file=path.name,
            name=short(strange[0].name),
            type=short(str(strange[0].type)),
        )
    return of_text


def _read_array(path: Path, expected: Expected) -> Sheet:
    # Memory-mapped: what the header claims is compared before a byte of the array is loaded, and a pickle is never opened.
    array = np.lib.format.open_memmap(path, mode="r")
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise InputError(
            "{file} holds no table of probabilities",
            where=path.name,
            why="its shape is {shape} and its type {dtype}",
            fix="save a float array of the shape (rows, classes)",
            file=path.name,
            shape=array.shape,
            dtype=array.dtype,
        )
    if array.shape != (len(expected.ids), len(expected.classes)):
        raise AlignmentError(
            "{file} does not fit the contest",
            where=path.name,
            why="its shape is {shape}, the contest has {rows:,} rows and {classes:,} classes",
            fix="save the rows and classes in the contest's order, or give a CSV with ids",
            file=path.name,
            shape=array.shape,
            rows=len(expected.ids),
            classes=len(expected.classes),
        )
    columns: Any = slice(None)
    if expected.array_classes:
        order = [nfc(name) for name in expected.array_classes]
        said = differences(order, expected.classes)
        if said:
            raise AlignmentError(
                "the order of classes does not name the contest's classes",
                where="{file}, order of its columns",
                why=said,
                fix="name every class once: {names}",
                file=path.name,
                names=named(expected.classes),
            )
        columns = [order.index(name) for name in expected.classes]
    with np.errstate(over="ignore"):
        return Sheet(None, np.ascontiguousarray(array[:, columns], dtype=np.float32), None)


def _csv_table(path: Path, expected: Expected) -> Any:
    """A CSV file as a pyarrow table: quickly where it is as it should be, else slowly, which names what is wrong by line."""
    with path.open("rb") as stream:
        head = judged(stream.read(N_BYTES))
    meant = expected.encoding or _encoding_of_names(head, expected)
    try:
        text, encoding = decode(head, path, meant)
        header = text.splitlines()[0] if text.strip() else ""
        delimiter = max(DELIMITERS, key=header.count)
        names = next(csv.reader([header], delimiter=delimiter), [])
        words = {name: pa.string() for name in names}
        table = pa_csv.read_csv(
            path,
            pa_csv.ReadOptions(encoding="utf8" if encoding.startswith("utf-8") else encoding),
            pa_csv.ParseOptions(delimiter=delimiter),
            pa_csv.ConvertOptions(
                column_types=words | {name: pa.float64() for name in names[1:] if name != FOLD}, strings_can_be_null=False
            ),
        )
    except (PitwallError, OSError, ValueError, pa.ArrowException, csv.Error):
        table = pa.Table.from_pandas(read_table(path, meant).frame, preserve_index=False)
    return table


def _encoding_of_names(head: bytes, expected: Expected) -> str | None:
    """The encoding in which every cell beyond ASCII of a table's first lines is an id or a class of the contest; None for UTF-8, or no such."""
    with suppress(UnicodeDecodeError):
        head.decode("utf-8")
        return None
    known = {nfc(name) for name in (*expected.ids, *expected.dropped, *expected.classes)}
    for encoding in LIKELY:
        with suppress(UnicodeDecodeError):
            cells = CELL.findall(nfc(head.decode(encoding)))
            if known.issuperset(cell.strip() for cell in cells if not cell.isascii()):
                return encoding
    return None


def _spelled_as_classes(columns: Sequence[str], expected: Expected) -> list[str]:
    """The names of a table's columns, those of the classes as the contest spells them."""
    names = [nfc(name).strip() for name in columns]
    naming = naming_of_columns([name for name in names[1:] if name != FOLD], expected.classes, {})
    if naming is None or naming.is_guess or set(expected.classes) <= set(names):
        return names
    return [dict(zip(naming.names, expected.classes, strict=True)).get(name, name) for name in names]


def _check_columns(columns: Sequence[str], expected: Expected, path: Path) -> str:
    """The name of the id column. Raises AlignmentError unless there is one id, every class once, and nothing else but `fold`."""
    others = [name for name in columns if name not in expected.classes and name != FOLD]
    id_column = columns[0] if columns and columns[0] in others else next(iter(others), "")
    said = differences(
        [name for name in columns if name != id_column and not (name == FOLD and FOLD not in expected.classes)], expected.classes
    )
    if said or not id_column:
        raise AlignmentError(
            "the columns of {file} are not the contest's classes",
            where=path.name,
            why=joined("; ", filter(None, (said, "" if id_column else "there is no column with ids"))),
            fix="give the id first and then one column per class: {names}",
            file=path.name,
            names=named(expected.classes),
        )
    return id_column


def _sheet(table: Any, expected: Expected, path: Path) -> Sheet:
    id_column = _check_columns(table.column_names, expected, path)
    prob = np.empty((table.num_rows, len(expected.classes)), dtype=np.float32)
    with np.errstate(over="ignore"):
        for place, name in enumerate(expected.classes):
            prob[:, place] = _numbers(table.column(name))
    has_folds = FOLD in table.column_names and FOLD not in expected.classes
    return Sheet(_words(table.column(id_column)), prob, _words(table.column(FOLD)) if has_folds else None)


def _numbers(column: Any) -> NDArray[np.float64]:
    """A column as numbers (n,); NaN where there is none."""
    if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
        return np.asarray(column.to_numpy(), dtype=np.float64)
    cells = column.to_pandas().astype("str").str.replace(",", ".", regex=False)  # a comma is the decimal sign where a table says so
    return np.asarray(pd.to_numeric(cells, errors="coerce"), dtype=np.float64)


def _words(column: Any) -> list[str]:
    return [nfc(str(value)) for value in column.to_pylist()]


def named(names: Sequence[str]) -> str:
    """The first few of many names, and how many more there are."""
    first = ", ".join(map(short, names[:N_NAMED]))
    return msg("{names} and {n:,} more", names=first, n=len(names) - N_NAMED) if len(names) > N_NAMED else first


def short(name: str) -> str:
    """A name as an error shows it: a file may hold a book in place of an id."""
    return name if len(name) <= N_CHARACTERS else f"{name[:N_CHARACTERS]}…"


def differences(given: Sequence[str], wanted: Sequence[str]) -> str:
    """What is missing, unknown or there twice, in words; empty when both hold the same names once."""
    count, known = Counter(given), set(wanted)
    parts = {
        "{n:,} missing: {names}": [name for name in wanted if name not in count],
        "{n:,} unknown: {names}": sorted(name for name in count if name not in known),
        "{n:,} twice: {names}": sorted(name for name, times in count.items() if times > 1),
    }
    return joined("; ", (msg(known, n=len(names), names=named(names)) for known, names in parts.items() if names))
