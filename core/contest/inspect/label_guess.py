"""Whether rows have several classes: one cell that holds several names, or a column of 0 and 1 for each class; with the evidence."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

import pandas as pd

from core.base.files import nfc
from core.base.messages import msg
from core.contest.cells import column_of, is_missing
from core.contest.inspect.answers import SPACE
from core.contest.inspect.columns import LABEL_NAME, asked_label
from core.contest.label_sets import FLAGS, is_bracketed, split_cell
from core.contest.labels import order_classes

SEPARATORS = ("|", ";", ",", "/", "+", " ")
"""In the order in which they are tried: blanks also stand inside names, commas more often than bars."""
NAMES_RECUR, WHOLLY_FREE, REPEATS, LISTS, FLAG_SHARE = 0.8, 0.5, 0.05, 0.9, 0.9


@dataclass(frozen=True)
class Separation:
    """How label cells come apart at a separator: rows that hold several names, distinct names, and the share of them that recur.

    It is likely when the names behave as classes do, and possible when they recur but may as well be parts of one name.
    """

    separator: str
    n_several: int
    n_rows: int
    n_names: int
    recurring: float
    example: str
    is_likely: bool
    is_possible: bool


@dataclass(frozen=True)
class FlagColumns:
    """Columns of 0 and 1, one per class, and why they are taken for that."""

    classes: tuple[str, ...]
    reason: str


def name_of(separator: str) -> str:
    """A separator as a person can see it."""
    return SPACE if separator.isspace() else separator


def separations(labels: pd.Series) -> list[Separation]:
    """Every separator that some label cells hold, in the order of `SEPARATORS`."""
    cells = Counter(cell for cell, missing in zip(labels, is_missing(labels), strict=True) if not missing)
    return [_separation(cells, separator) for separator in SEPARATORS if any(separator in cell.strip() for cell in cells)]


def likeliest(found: list[Separation]) -> Separation | None:
    """The separator that a person who says that rows have several classes will mean; None when no cell holds any."""
    ranked = sorted(found, key=lambda each: (not each.is_likely, not each.is_possible, each.separator.isspace(), -each.n_several))
    return ranked[0] if ranked else None


def _separation(cells: Counter[str], separator: str) -> Separation:
    """Judge one separator by the distinct cells and their rows.

    A name recurs that stands alone somewhere, or in two combinations; it is free when it also changes its place there, which the
    parts of "Hyundai Grandeur 2020" do not. As many parts in every cell are the parts of one name; a part twice in a cell is text.
    """
    parts = {cell: split_cell(cell, separator) for cell in cells}
    combinations = [names for names in parts.values() if len(names) > 1]
    alone = {names[0] for names in parts.values() if len(names) == 1}
    places: defaultdict[str, set[int]] = defaultdict(set)
    n_combinations: Counter[str] = Counter()
    for names in combinations:
        n_combinations.update(set(names))
        for place, name in enumerate(names):
            places[name].add(place)
    known = alone | places.keys()
    recurring = {name for name in known if name in alone or n_combinations[name] > 1}
    free = {name for name in recurring if name in alone or len(places[name]) > 1}
    share = len(recurring) / max(1, len(known))
    n_repeats = sum(len(set(names)) < len(names) for names in combinations)
    n_free = sum(free.issuperset(names) for names in combinations)
    is_list = sum(map(is_bracketed, cells)) >= LISTS * max(1, len(cells))
    is_set = bool(combinations) and n_repeats <= REPEATS * len(combinations)
    ends_like_another = separator.isspace() and any(name[-1:] in ",;|/" for name in known)
    sizes = {len(names) for names in parts.values()}
    least = 3 if separator.isspace() else 2
    moves = len(combinations) >= least and len(sizes) > 1 and n_free >= WHOLLY_FREE * len(combinations)
    recurs = share >= NAMES_RECUR
    return Separation(
        separator,
        n_several=sum(rows for cell, rows in cells.items() if len(parts[cell]) > 1),
        n_rows=sum(cells.values()),
        n_names=len(known),
        recurring=share,
        example=next((cell for cell in cells if len(parts[cell]) > 1), ""),
        is_likely=is_set and not ends_like_another and ((recurs and moves) or (is_list and len(sizes) > 1 and share >= 0.5)),
        is_possible=is_set and recurs and not separator.isspace(),
    )


def find_flags(train: pd.DataFrame, test: pd.DataFrame | None, sample: pd.DataFrame | None, taken: set[str]) -> FlagColumns | None:
    """The columns of 0 and 1 that the sample submission names, or that the test lacks; None when one column is the label.

    A few cells may be neither 0 nor 1: they are told by line when the rows are read.
    """
    columns = [str(name) for name in train.columns if name not in taken]
    if asked_label(train, sample, columns) is not None:
        return None
    answers = [nfc(name) for name in sample.columns[1:]] if sample is not None else []
    named = [name for name in answers if name in columns]
    if len(named) > 1 and 2 * len(named) > len(answers) and all(_is_flag(train, name) for name in named):
        return FlagColumns(order_classes(named), msg("{n} columns of 0 and 1 that the sample submission names", n=len(named)))
    only_train = [name for name in columns if test is not None and name not in test.columns]
    n_labels = sum(LABEL_NAME.fullmatch(name) is not None for name in only_train)
    if len(only_train) > 1 and n_labels in (0, len(only_train)) and all(_is_flag(train, name) for name in only_train):
        return FlagColumns(order_classes(only_train), msg("{n} columns of 0 and 1 that the test does not have", n=len(only_train)))
    return None


def all_flags(train: pd.DataFrame, taken: set[str]) -> FlagColumns | None:
    """Every column of 0 and 1; None for fewer than two."""
    found = [str(name) for name in train.columns if name not in taken and _is_flag(train, str(name))]
    return FlagColumns(order_classes(found), msg("{n} columns of 0 and 1", n=len(found))) if len(found) > 1 else None


def _is_flag(train: pd.DataFrame, name: str) -> bool:
    return bool(column_of(train, name).str.strip().isin(FLAGS).mean() >= FLAG_SHARE)
