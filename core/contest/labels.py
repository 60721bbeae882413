"""The labels of rows as the files hold them, one or several each; the classes in their order, and what is odd about them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.base.files import nfc
from core.base.messages import joined, msg
from core.contest.csv_table import Problems, Table, column_of, is_missing
from core.specs.contest import ContestSpec


def order_classes(labels: Iterable[str]) -> tuple[str, ...]:
    """Distinct labels in their order: by number when all are whole numbers, else by code point."""
    distinct = set(labels)
    if all(re.fullmatch(r"-?[0-9]{1,18}", label) for label in distinct):
        return tuple(sorted(distinct, key=lambda label: (int(label), label)))
    return tuple(sorted(distinct))


@dataclass(frozen=True)
class SeenLabels:
    """The class names of each training row as the files hold them, none for an empty cell.

    `columns` are those of 0 and 1, one per class, where the labels stand in such.
    """

    names: list[list[str]]
    is_several: bool
    source: str
    columns: tuple[str, ...] = ()

    def classes(self) -> tuple[str, ...]:
        """The classes in their order."""
        return self.columns or order_classes(name for names in self.names for name in names)

    def counts(self, classes: tuple[str, ...]) -> dict[str, int]:
        """Rows that have each class."""
        counts = Counter(name for names in self.names for name in set(names))
        return {name: counts[name] for name in classes}


def class_warnings(counts: dict[str, int], n_rows: int) -> list[str]:
    """What is odd about classes, from their rows: single rows, names that differ only in case or blanks, numbers."""
    said: list[str] = []
    classes = list(counts)
    single = [name for name in classes if counts[name] == 1]
    if single:
        what = "{n} classes occur in one row only: {names}" if len(single) > 1 else "{n} class occurs in one row only: {names}"
        said.append(msg(what, n=len(single), names=", ".join(single[:5])))
    alike: dict[str, list[str]] = {}
    for name in classes:
        alike.setdefault(" ".join(name.lower().split()), []).append(name)
    same = [" / ".join(map(repr, names)) for names in alike.values() if len(names) > 1]
    if same:
        said.append(msg("differ only in case or blanks: {names}", names=joined("; ", same[:5])))
    if len(classes) > 20 and len(classes) > n_rows / 2:
        said.append(msg("{n:,} classes in {rows:,} rows: is this the label?", n=len(classes), rows=n_rows))
    if len(classes) > 20 and all(re.fullmatch(r"-?\d*\.\d+", name) for name in classes):
        said.append("the labels are decimal numbers: predicting a number is not classification")
    return said


QUOTES = "'\""
NUMBERS = ("1", "1.0", "0", "0.0")
ON = ("1", "1.0", "True", "TRUE", "true")
FLAGS = (*ON, "0", "0.0", "False", "FALSE", "false")
"""What a column of 0 and 1 may hold; pandas and spreadsheets write true and false in words."""


def is_bracketed(cell: str) -> bool:
    """True for a cell that is written as a list."""
    text = cell.strip()
    return text[:1] + text[-1:] in ("[]", "()", "{}")


def split_cell(cell: str, separator: str) -> list[str]:
    """The class names in a cell, in their order: brackets around all and quotes around each are taken off; an empty cell has none.

    A name in quotes may hold the separator; nothing between two separators is no name. This reads what people write in all its
    spellings; `core.submission.label_cells.read_cell` reads one style to the letter, as a contest takes a submission apart.
    """
    text = nfc(cell).strip()
    if is_bracketed(text):
        text = text[1:-1].strip()
    if "'" in text or '"' in text:
        parts = [found[1] or found[2] or found[3] or "" for found in _parts(separator).finditer(text)]
    else:
        parts = text.split() if separator.isspace() else text.split(separator.strip())
    return [name for part in parts if (name := part.strip().strip(QUOTES).strip())]


@cache
def _parts(separator: str) -> re.Pattern[str]:
    """A name in quotes, or whatever stands before the next separator."""
    between = r"\s" if separator.isspace() else re.escape(separator.strip())
    end = rf"(?=\s*(?:{between}|$))"
    return re.compile(rf"""'([^']*)'{end}|"([^"]*)"{end}|((?:(?!{between})\S)(?:(?!{between}).)*)""", re.DOTALL)


def names_of_cells(cells: pd.Series, separator: str = "") -> list[list[str]]:
    """The class names in each cell, none in an empty one: a single name, or those that `separator` stands between."""
    return [
        [] if empty else split_cell(cell, separator) if separator else [nfc(cell)]
        for cell, empty in zip(cells, is_missing(cells), strict=True)
    ]


def codes_of_cells(table: Table, spec: ContestSpec, problems: Problems) -> NDArray[np.int64]:
    """The class index of every row (n,) that has one class; -1 and a problem where the cell of the label column names none."""
    labels = column_of(table.frame, spec.label_column).map(nfc)
    codes = pd.Index(spec.classes, dtype="str").get_indexer(pd.Index(labels)).astype(np.int64)
    missing, file, column = is_missing(labels), spec.train, spec.label_column
    fix = "fill the label in, or take the row out"
    problems.add_rows(file, table.lines, missing & (codes < 0), "the label is empty", fix, column=column)
    what, fix = "'{label}' is not one of the {n} classes", "correct the label, or leave `classes` out"
    problems.add_rows(file, table.lines, ~missing & (codes < 0), what, fix, column=column, label=labels, n=len(spec.classes))
    return codes


def sets_of_cells(table: Table, spec: ContestSpec, problems: Problems) -> pd.Series:
    """The class indices of every row (lists, ascending) from the cells of the label column; an empty cell is a row without a class."""
    index = {name: number for number, name in enumerate(spec.classes)}
    found: list[list[int]] = []
    for row, names in enumerate(names_of_cells(column_of(table.frame, spec.label_column), spec.label_separator)):
        for name in dict.fromkeys(name for name in names if name not in index):
            what = msg("'{label}' is not one of the {n} classes", label=name, n=len(spec.classes))
            fix = "correct the labels or label_separator, or leave `classes` out"
            problems.add(spec.train, what, fix, row=int(table.lines[row]), column=spec.label_column)
        found.append(sorted({index[name] for name in names if name in index}))
    return pd.Series(found, index=table.frame.index, dtype=object)


def sets_of_columns(table: Table, spec: ContestSpec, problems: Problems) -> pd.Series:
    """The class indices of every row (lists, ascending) from the columns that are named like the classes and hold 0 or 1."""
    fix = "write 1 where the row has the class and 0 where not, or correct the classes"
    for name in spec.classes:
        cells = column_of(table.frame, name).str.strip()
        problems.add_rows(spec.train, table.lines, ~cells.isin(FLAGS), "'{value}' is neither 0 nor 1", fix, column=name, value=cells)
    return pd.Series(flagged(table.frame, spec.classes), index=table.frame.index, dtype=object)


def flagged(frame: pd.DataFrame, classes: Sequence[str]) -> list[list[int]]:
    """For each row the classes, by their place, whose column of 0 and 1 holds a 1."""
    truth = np.stack([column_of(frame, name).str.strip().isin(ON).to_numpy(dtype=bool) for name in classes], axis=1)
    return [np.flatnonzero(row).tolist() for row in truth]
