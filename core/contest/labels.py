"""From cells to classes: the names of a label cell, several in one or none, and what is strange about them."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.base.files import nfc
from core.base.messages import joined, msg
from core.contest.csv_table import MISSING_CELLS, Table, column_of
from core.contest.names import class_finder
from core.contest.problems import Problems
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


LIKE_MISSING = ("none", "nil", "n.a.", "?", "-", ".", "없음", "미상")


def class_warnings(counts: dict[str, int], n_rows: int) -> list[str]:
    """What is odd about classes, from their rows: single rows, names that say nothing or differ only in case or blanks, numbers."""
    said: list[str] = []
    classes = list(counts)
    single = [name for name in classes if counts[name] == 1]
    if single:
        what = "{n} {n:class occurs|classes occur} in one row only: {names}"
        said.append(msg(what, n=len(single), names=", ".join(single[:5])))
    unsure = [name for name in classes if name.casefold() in LIKE_MISSING]
    if unsure:
        said.append(msg("{names} may mean that there is no label: taken for a class", names=", ".join(map(repr, unsure))))
    alike: dict[str, list[str]] = {}
    for name in classes:
        alike.setdefault(_look(name), []).append(name)
    same = [" / ".join(map(repr, names)) for names in alike.values() if len(names) > 1]
    if same:
        said.append(msg("differ only in case, blanks, leading zeros or signs that look alike: {names}", names=joined("; ", same[:5])))
    if len(classes) > 20 and len(classes) > n_rows / 2:
        said.append(msg("{n:,} classes in {rows:,} {rows:row|rows}: is this the label?", n=len(classes), rows=n_rows))
    if len(classes) > 20 and all(re.fullmatch(r"-?\d*\.\d+", name) for name in classes):
        said.append("the labels are decimal numbers: predicting a number is not classification")
    return said


def _look(name: str) -> str:
    """What names have in common that look alike: letters of full width, other blanks and dashes, leading zeros, signs that are not seen."""
    seen = "".join(sign for sign in unicodedata.normalize("NFKC", name).casefold() if unicodedata.category(sign) != "Cf")
    number = re.fullmatch(r"0*([0-9]+)", seen.strip())
    return number[1] if number else "".join("-" if unicodedata.category(sign) == "Pd" else sign for sign in " ".join(seen.split()))


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
        parts = re.split(_between(separator), text)
    return [name for part in parts if (name := part.strip().strip(QUOTES).strip())]


def _between(separator: str) -> str:
    """What stands between two names, as a pattern: any blank where that is the separator; blanks around another one are no part of it, but
    belong to a word such as " and "."""
    if separator == " ":
        return r"\s"
    sign = re.escape(separator if separator.isspace() else separator.strip())
    return rf"\s+{sign}\s+" if separator.strip().isalpha() else sign


@cache
def _parts(separator: str) -> re.Pattern[str]:
    """A name in quotes, or whatever stands before the next separator."""
    between = _between(separator)
    end = rf"(?=\s*(?:{between}|$))"
    return re.compile(rf"""'([^']*)'{end}|"([^"]*)"{end}|((?:(?!{between})\S)(?:(?!{between}).)*)""", re.DOTALL)


MISSING_LABELS = (*MISSING_CELLS, "NA", "N/A", "n/a", "#N/A", "NULL", "null", "\\N")
"""Labels that programs write where there is none; one of them may be the name of a class all the same."""


def is_unlabelled(cells: pd.Series, *, words_are_classes: bool = False) -> pd.Series:
    """True where a cell holds no label: it is empty, or unless `words_are_classes` one of MISSING_LABELS."""
    return cells.str.strip().isin(("",) if words_are_classes else MISSING_LABELS)


def names_of_cells(cells: pd.Series, separator: str = "", *, words_are_classes: bool = False) -> list[list[str]]:
    """The class names in each cell, none in one without a label: a single name, or those that `separator` stands between.

    Equal cells share one list.
    """
    names_of: dict[str, list[str]] = {}
    names: list[list[str]] = []
    for cell, empty in zip(cells, is_unlabelled(cells, words_are_classes=words_are_classes), strict=True):
        if cell not in names_of:
            names_of[cell] = [] if empty else split_cell(cell, separator) if separator else [nfc(cell)]
        names.append(names_of[cell])
    return names


def codes_of_cells(table: Table, spec: ContestSpec, problems: Problems) -> NDArray[np.int64]:
    """The class index of every row (n,) that has one class; -1 and a problem where the cell of the label column names none."""
    labels, find = column_of(table.frame, spec.label_column), class_finder(spec.classes)
    codes = labels.map({label: find(label) for label in labels.unique()}).to_numpy(dtype=np.int64)
    is_empty, file, column = is_unlabelled(labels) & (codes < 0), spec.train, spec.label_column
    fix = "fill the label in, or leave such rows out: missing_labels=drop"
    problems.add_rows(file, table.lines, is_empty & (labels.str.strip() == ""), "the label is empty", fix, column=column)
    what = "the label '{label}' is a word for a missing one"
    fix = "leave such rows out: missing_labels=drop, or take the word for a class: missing_labels=class"
    problems.add_rows(file, table.lines, is_empty & (labels.str.strip() != ""), what, fix, column=column, label=labels)
    what, fix = "'{label}' is not one of the {n} classes", "correct the label, or leave `classes` out"
    problems.add_rows(file, table.lines, ~is_empty & (codes < 0), what, fix, column=column, label=labels, n=len(spec.classes))
    return codes


def sets_of_cells(table: Table, spec: ContestSpec, problems: Problems) -> pd.Series:
    """The class indices of every row (lists, ascending) from the cells of the label column; an empty cell is a row without a class."""
    find, cells = class_finder(spec.classes), column_of(table.frame, spec.label_column)
    found: list[list[int]] = []
    for row, names in enumerate(names_of_cells(cells, spec.label_separator, words_are_classes=spec.missing_labels == "class")):
        for name in dict.fromkeys(name for name in names if find(name) < 0):
            what = msg("'{label}' is not one of the {n} classes", label=name, n=len(spec.classes))
            fix = "correct the labels or label_separator, or leave `classes` out"
            problems.add(spec.train, what, fix, row=int(table.lines[row]), column=spec.label_column)
        found.append(sorted({find(name) for name in names} - {-1}))
    return pd.Series(found, index=table.frame.index, dtype=object)


def labelled(table: Table, spec: ContestSpec) -> Table:
    """The training table without the rows that have no label, where the contest leaves those out."""
    if spec.missing_labels != "drop" or spec.is_multilabel:
        return table
    kept = ~is_unlabelled(column_of(table.frame, spec.label_column)).to_numpy(dtype=np.bool_)
    return replace(table, frame=table.frame[kept].reset_index(drop=True), lines=table.lines[kept])


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


def contradicts(strange: Sequence[str], spec: ContestSpec) -> bool:
    """Whether strange values of a sample speak against the names that a person gave: several, or one that is a class of the training rows."""
    return len(strange) > 1 or any(class_finder(spec.classes)(value) >= 0 for value in strange)


def strange_values(cells: pd.Series, spec: ContestSpec) -> list[str]:
    """The values of a sample submission's label column where they name no class at all; none where some do, or the cells are empty."""
    values = list(dict.fromkeys(nfc(cell) for cell in cells.unique() if cell.strip()))
    find = class_finder(spec.submission_names or spec.classes)
    marks = (spec.label_separator or "|", ",", " ") if spec.is_multilabel else ()
    is_known = any(find(name) >= 0 for value in values for name in (value, *(part for mark in marks for part in split_cell(value, mark))))
    return [] if is_known else values
