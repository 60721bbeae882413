"""One file of predictions: read with every check against the contest's ids, classes and folds, or written.

A table (CSV or Parquet) has an id, one column per class by name, and perhaps `fold`. A `.npy` array has the rows in the
contest's order, which nobody can check but the one who wrote it.
"""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from core.base.files import check_output, nfc, written_aside
from core.base.messages import joined, msg, reason
from core.contest.csv_table import read_table
from core.contest.encoding import decode
from core.contest.ids import tell_apart
from core.contest.names import naming_of_columns
from core.metrics.scores import invalid_rows

FOLD = "fold"
SUFFIXES = (".npy", ".csv", ".parquet")
N_NAMED, N_SIGNS = 5, 60
HEAD_BYTES = 1_000_000
CHUNK_VALUES = 4_000_000
MOST_ROWS = 3
"""A table with more than this many times the contest's rows is not read at all."""
LONGEST_WORD = 1_000
"""Signs of an id, or of a number that is written as text."""
NEAR_ZERO, NEAR_ONE = 1e-6, 0.02
"""What rounding makes of probabilities: so far below 0 (or above 1, where each stands alone) is 0 (or 1), and rows whose sum is so near to one are scaled."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Expected:
    """What a file must hold: the contest's ids (n,) and classes, for training rows the folds (n,).

    Rows of `dropped` ids may be in a table too, and are left out. `array_classes` is the order of the columns of a `.npy` array where it is not the contest's own. Multi-label: each probability
    stands alone, and a row need not sum to one.
    """

    ids: Sequence[str]
    classes: Sequence[str]
    fold_of: NDArray[np.integer] | None = None
    array_classes: Sequence[str] = ()
    is_multilabel: bool = False
    dropped: frozenset[str] = frozenset()

    @property
    def most_bytes(self) -> int:
        """A file above this size cannot be these predictions."""
        return 1_000_000 + len(self.ids) * (1_000 + 40 * len(self.classes))


@dataclass(frozen=True)
class Reading:
    """A file as read: probabilities (n_rows, n_classes) in the contest's order, or every reason why there are none.

    `unchecked` is what is to be said of it: what is taken on trust, as which "rows" it has, on which "folds" they were predicted, and that
    rows of "repeated" ids stand in the contest's order; and that rows were "scaled" to sum to one.
    """

    prob: Array | None
    problems: tuple[PitwallError, ...] = ()
    unchecked: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Sheet:
    """A file before it is aligned: ids (n,) or None, probabilities (n, n_classes) by the contest's classes, folds (n,) or None."""

    ids: list[str] | None
    prob: Array
    folds: list[str] | None


def read_predictions(path: Path, expected: Expected) -> Reading:
    """Read a file and compare it with what it must hold. Nothing is raised: what does not fit is told, all of it."""
    try:
        check_size(path.name, path.stat().st_size if path.exists() else 0, expected)
        sheet = _read(path, expected)
    except PitwallError as problem:
        return Reading(None, (problem,))
    is_repeated = sheet.ids is not None and len(set(sheet.ids)) < len(sheet.ids)
    if sheet.ids is not None and is_repeated and set(told := tell_apart(sheet.ids)) == set(map(nfc, expected.ids)):
        sheet = replace(sheet, ids=told)
    order, problems = _order(sheet, expected, path)
    sheet, is_scaled = _without_rounding(sheet, expected)
    problems += _wrong_values(sheet, expected, path) + _wrong_folds(sheet, expected, path)
    if problems:
        return Reading(None, tuple(problems))
    unchecked = {"rows": sheet.ids is None, "folds": sheet.folds is None and expected.fold_of is not None}
    unchecked |= {"repeated": is_repeated, "scaled": is_scaled}
    return Reading(
        sheet.prob if order is None else sheet.prob[order], unchecked=tuple(what for what, is_open in unchecked.items() if is_open)
    )


def check_size(name: str, n_bytes: int, expected: Expected) -> None:
    """Raise InputError for a file that is larger than such predictions can be."""
    if n_bytes > expected.most_bytes:
        raise InputError(
            "{file} is too large for this contest",
            where=name,
            why="it has {size:,.1f} MB; predictions of {rows:,} rows and {classes:,} classes take at most {most:,.1f} MB",
            fix="give a file with an id and one column per class, and nothing else",
            file=name,
            size=n_bytes / 1000000.0,
            rows=len(expected.ids),
            classes=len(expected.classes),
            most=expected.most_bytes / 1000000.0,
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


def write_predictions(path: Path, ids: Sequence[str], prob: Array, classes: Sequence[str], fold_of: NDArray[np.integer] | None) -> None:
    """Write predictions in the form that the file's name says, a part at a time; a `.npy` array has neither ids nor folds.

    Raises InputError for an unknown form, and when the file cannot be written; DiskFull. A file that is there is replaced by a whole one.
    """
    suffix = check_suffix(path.name)
    check_output(path)
    try:
        path.parent.stat()  # a folder that a person mistyped is not made
        with written_aside(path) as aside:
            _write_predictions(aside, suffix, ids, prob, classes, fold_of)
    except OSError as problem:
        raise InputError(
            "the file cannot be written", where=str(path), why=reason(problem), fix="name a file in a folder you may write to"
        ) from None


def _write_predictions(
    path: Path, suffix: str, ids: Sequence[str], prob: Array, classes: Sequence[str], fold_of: NDArray[np.integer] | None
) -> None:
    if suffix == ".npy":
        with path.open("wb") as stream:
            np.save(stream, prob, allow_pickle=False)
        return
    has_folds = fold_of is not None and FOLD not in classes
    fields = [("id" if "id" not in classes else "row_id", pa.string()), *([(FOLD, pa.int64())] if has_folds else [])]
    schema = pa.schema([*fields, *((name, pa.float32()) for name in classes)])
    writer: Any = (
        pa_csv.CSVWriter(path, schema, write_options=pa_csv.WriteOptions(quoting_style="needed"))
        if suffix == ".csv"
        else pq.ParquetWriter(path, schema, use_dictionary=False, compression="zstd")
    )
    with writer:
        step = max(1, CHUNK_VALUES // len(classes))
        for rows in (slice(start, start + step) for start in range(0, len(prob), step)):
            named_rows: list[Any] = [pa.array(ids[rows], pa.string())]
            if fold_of is not None and has_folds:
                named_rows.append(pa.array(fold_of[rows].astype(np.int64)))
            values = map(pa.array, np.ascontiguousarray(prob[rows].T))
            writer.write_batch(pa.record_batch([*named_rows, *values], schema=schema))


def named(names: Sequence[str]) -> str:
    """The first few of many names, and how many more there are."""
    first = ", ".join(map(short, names[:N_NAMED]))
    return msg("{names} and {n:,} more", names=first, n=len(names) - N_NAMED) if len(names) > N_NAMED else first


def short(name: str) -> str:
    """A name as an error shows it: a file may hold a book in place of an id."""
    return name if len(name) <= N_SIGNS else f"{name[:N_SIGNS]}…"


def _rows(n: int) -> str:
    return msg("{n:,} {n:row|rows}", n=n)


def differences(given: Sequence[str], wanted: Sequence[str]) -> str:
    """What is missing, unknown or there twice, in words; empty when both hold the same names once."""
    count, known = Counter(given), set(wanted)
    parts = {
        "{n:,} missing: {names}": [name for name in wanted if name not in count],
        "{n:,} unknown: {names}": sorted(name for name in count if name not in known),
        "{n:,} twice: {names}": sorted(name for name, times in count.items() if times > 1),
    }
    return joined("; ", (msg(known, n=len(names), names=named(names)) for known, names in parts.items() if names))


def _read(path: Path, expected: Expected) -> _Sheet:
    suffix = check_suffix(path.name)
    try:
        if suffix == ".npy":
            return _read_array(path, expected)
        if suffix == ".csv":
            table = _csv_table(path)
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
                    why="one has {n:,} signs, an id has at most {most:,}",
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


def _read_array(path: Path, expected: Expected) -> _Sheet:
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
        return _Sheet(None, np.ascontiguousarray(array[:, columns], dtype=np.float32), None)


def _csv_table(path: Path) -> Any:
    """A CSV file as a pyarrow table: quickly where it is as it should be, else slowly, which names what is wrong by line."""
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
        text, encoding = decode(head[: head.rfind(b"\n") + 1] or head, path)
        header = text.splitlines()[0] if text.strip() else ""
        delimiter = max(",\t;", key=header.count)
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
        table = pa.Table.from_pandas(read_table(path).frame, preserve_index=False)
    return table


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


def _sheet(table: Any, expected: Expected, path: Path) -> _Sheet:
    id_column = _check_columns(table.column_names, expected, path)
    prob = np.empty((table.num_rows, len(expected.classes)), dtype=np.float32)
    with np.errstate(over="ignore"):
        for place, name in enumerate(expected.classes):
            prob[:, place] = _numbers(table.column(name))
    has_folds = FOLD in table.column_names and FOLD not in expected.classes
    return _Sheet(_words(table.column(id_column)), prob, _words(table.column(FOLD)) if has_folds else None)


def _numbers(column: Any) -> NDArray[np.float64]:
    """A column as numbers (n,); NaN where there is none."""
    if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
        return np.asarray(column.to_numpy(), dtype=np.float64)
    cells = column.to_pandas().astype("str").str.replace(",", ".", regex=False)  # a comma is the decimal sign where a table says so
    return np.asarray(pd.to_numeric(cells, errors="coerce"), dtype=np.float64)


def _words(column: Any) -> list[str]:
    return [nfc(str(value)) for value in column.to_pylist()]


def _order(sheet: _Sheet, expected: Expected, path: Path) -> tuple[NDArray[np.int64] | None, list[PitwallError]]:
    """Where each of the contest's rows stands in the file; None when the order is the contest's own."""
    wanted = [nfc(row_id) for row_id in expected.ids]
    if sheet.ids is None or sheet.ids == wanted:
        return None, []
    dropped = set(map(nfc, expected.dropped))
    said = differences([row_id for row_id in sheet.ids if row_id not in dropped], wanted)
    if said:
        return None, [
            AlignmentError(
                "the ids of {file} are not the contest's",
                where=path.name,
                why=said,
                fix="every row once, with the ids of the contest's own files",
                file=path.name,
            )
        ]
    place = {row_id: number for number, row_id in enumerate(sheet.ids)}
    return np.array([place[row_id] for row_id in wanted], dtype=np.int64), []


def _without_rounding(sheet: _Sheet, expected: Expected) -> tuple[_Sheet, bool]:
    """The predictions without what rounding left in them, and whether rows were scaled."""
    rows = np.flatnonzero(invalid_rows(sheet.prob, multilabel=expected.is_multilabel))
    if not len(rows):
        return sheet, False
    prob = sheet.prob[rows].astype(np.float64)
    prob[(prob < 0) & (prob >= -NEAR_ZERO)] = 0
    is_scaled = False
    if expected.is_multilabel:
        prob[(prob > 1) & (prob <= 1 + NEAR_ZERO)] = 1
    else:
        total = prob.sum(axis=1)
        near = invalid_rows(prob) & (np.abs(total - 1) <= NEAR_ONE)
        prob[near] /= total[near, None]
        is_scaled = bool(near.any())
    mended = sheet.prob.copy()
    mended[rows] = prob
    return replace(sheet, prob=mended), is_scaled


def _wrong_values(sheet: _Sheet, expected: Expected, path: Path) -> list[PitwallError]:
    bad = np.flatnonzero(invalid_rows(sheet.prob, multilabel=expected.is_multilabel))
    if not len(bad):
        return []
    rows = [sheet.ids[row] if sheet.ids else msg("row {n}", n=row) for row in bad.tolist()]
    what = msg(
        "{rows} of {file} is no probability" if len(bad) == 1 else "{rows} of {file} are not probabilities",
        rows=_rows(len(bad)),
        file=path.name,
    )
    several, first = expected.is_multilabel, sheet.prob[bad[0]].astype(np.float64)
    if several:
        why = "each number must be finite and from 0 to 1"
    elif not np.isfinite(first).all():
        why = "each row must hold finite numbers, and {row} does not"
    elif (first < 0).any():
        why = "no number may be negative, and {row} has {least:.3g}"
    else:
        why = "each row must sum to one, within {most:g}, and {row} sums to {total:.4g}"
    return [
        InputError(
            what,
            where=joined(", ", [path.name, named(rows)]),
            why=why,
            fix="export the probabilities after the sigmoid, without gaps"
            if several
            else "export the probabilities after the softmax, without gaps",
            row=short(rows[0]),
            least=float(first.min()),
            most=NEAR_ONE,
            total=float(first.sum()),
        )
    ]


def _wrong_folds(sheet: _Sheet, expected: Expected, path: Path) -> list[PitwallError]:
    """Rows whose fold is another one, whatever the file calls its folds; rows that the contest does not know are told elsewhere."""
    if sheet.folds is None or sheet.ids is None or expected.fold_of is None:
        return []
    fold_of = dict(zip(map(nfc, expected.ids), expected.fold_of.tolist(), strict=True))
    known = [row for row, row_id in enumerate(sheet.ids) if row_id in fold_of]
    pairs = Counter((sheet.folds[row], fold_of[sheet.ids[row]]) for row in known)
    meant = dict(pair for pair, _ in reversed(pairs.most_common()))  # the fold of most rows, for each name that the file has for one
    if len(set(meant.values())) < len(meant):
        meant = {name: number for name in meant if (number := _whole(name)) is not None}
    wrong = [row for row in known if meant.get(sheet.folds[row], -1) != fold_of[sheet.ids[row]]]
    if not wrong:
        return []
    return [
        AlignmentError(
            "{rows} was predicted on other folds" if len(wrong) == 1 else "{rows} were predicted on other folds",
            where=path.name,
            why=joined(
                "; ",
                (
                    msg(
                        "{id} in fold {fold} instead of {wanted}",
                        id=short(sheet.ids[row]),
                        fold=short(sheet.folds[row]),
                        wanted=fold_of[sheet.ids[row]],
                    )
                    for row in wrong[:N_NAMED]
                ),
            ),
            fix="choose the folds these predictions were made on, or train again on these",
            rows=_rows(len(wrong)),
        )
    ]


def _whole(text: str) -> int | None:
    """The whole number that a text is, None where it is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if number.is_integer() else None
