"""Several classes in a row: read from one cell ("0,3,17", "[joy, relief]"), or from a column of 0 and 1 for each class."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pandas as pd

from core.base.files import nfc
from core.base.messages import msg
from core.contest.cells import column_of, is_missing
from core.contest.encoding import Table
from core.contest.problems import Problems
from core.specs.contest import ContestSpec

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
    spellings; `core.label_cells.read_cell` reads one style to the letter, as a contest takes a submission apart.
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


def sets_of_cells(table: Table, spec: ContestSpec, problems: Problems) -> pd.Series:
    """The class indices of every row (lists, ascending) from the cells of the label column; an empty cell is a row without a class."""
    index = {name: number for number, name in enumerate(spec.classes)}
    cells = column_of(table.frame, spec.label_column)
    empty = is_missing(cells)
    found: list[list[int]] = []
    for row, cell in enumerate(cells):
        names = [] if empty.iloc[row] else split_cell(cell, spec.label_separator)
        for name in dict.fromkeys(name for name in names if name not in index):
            what = msg("'{label}' is not one of the {n} classes", label=name, n=len(spec.classes))
            fix = "correct the labels or label_separator, or leave `classes` out"
            problems.add(spec.train, what, fix, row=int(table.lines[row]), column=spec.label_column)
        found.append(sorted({index[name] for name in names if name in index}))
    return pd.Series(found, index=table.frame.index, dtype=object)


def sets_of_columns(table: Table, spec: ContestSpec, problems: Problems) -> pd.Series:
    """The class indices of every row (lists, ascending) from the columns that are named like the classes and hold 0 or 1."""
    truth = np.zeros((len(table.frame), len(spec.classes)), dtype=bool)
    for number, name in enumerate(spec.classes):
        cells = column_of(table.frame, name).str.strip()
        for row in np.flatnonzero(~cells.isin(FLAGS).to_numpy(dtype=bool)):
            what, fix = (
                msg("'{value}' is neither 0 nor 1", value=cells.iloc[row]),
                "write 1 where the row has the class and 0 where not, or correct the classes",
            )
            problems.add(spec.train, what, fix, row=int(table.lines[row]), column=name)
        truth[:, number] = cells.isin(ON).to_numpy(dtype=bool)
    return pd.Series([np.flatnonzero(row).tolist() for row in truth], index=table.frame.index, dtype=object)
