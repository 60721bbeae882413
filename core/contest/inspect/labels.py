"""From the labels of a table to the classes, of rows with one class or with several."""

import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from itertools import islice
from typing import cast

import numpy as np
import pandas as pd

from core.base.errors import InputError
from core.base.files import nfc
from core.base.messages import joined, msg, setting
from core.contest.csv_table import column_of
from core.contest.inspect.columns import LABEL_NAME, asked_label, guess_label
from core.contest.inspect.sources import SPACE, Guess, Understanding
from core.contest.labels import (
    FLAGS,
    QUOTES,
    SeenLabels,
    class_warnings,
    flagged,
    is_bracketed,
    is_unlabelled,
    names_of_cells,
    order_classes,
    split_cell,
)
from core.contest.names import class_finder, one_name

SEPARATORS = ("|", ";", ",", "/", "+", "#", " and ", " 및 ", " ")
"""In the order in which they are tried: blanks also stand inside names, commas more often than bars."""
MOST_SIGNS, N_CELLS = 8, 5000
"""How many other signs are tried, those that stand in most of so many distinct cells."""
SIGNS = ("Pd", "Pc", "Po", "Sm", "Sk", "Cc")
"""Unicode's categories of signs that may stand between names: dashes, underscores, other punctuation, `|`, `>`, `^`, line breaks, tabs."""
NAMES_RECUR, WHOLLY_FREE, REPEATS, LISTS, FLAG_SHARE = 0.8, 0.5, 0.05, 0.9, 0.9
"""Shares. A separator is likely from NAMES_RECUR of names that recur and WHOLLY_FREE of combinations whose names all change their place,
and up to REPEATS of combinations that hold a name twice; LISTS of cells in brackets are lists. A column of FLAG_SHARE 0 and 1 is a class."""


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


def find_separation(labels: pd.Series) -> Separation | None:
    """By the separator that a person who says that rows have several classes will mean; None when no cell holds any."""
    cells = Counter(labels[~is_unlabelled(labels)])
    usual = [_separation(cells, separator) for separator in SEPARATORS if any(separator in cell.strip() for cell in cells)]
    if any(each.is_likely for each in usual):
        return max(usual, key=_rank)
    signs = Counter(sign for cell in islice(cells, N_CELLS) for sign in {*cell.strip()} if unicodedata.category(sign) in SIGNS)
    others = [sign for sign, _ in signs.most_common(MOST_SIGNS) if sign not in {*SEPARATORS, *QUOTES}]
    return max([each for each in (_separation(cells, sign) for sign in others) if each.is_likely] or usual, key=_rank, default=None)


def _rank(found: Separation) -> tuple[bool, bool, bool, int]:
    return found.is_likely, found.is_possible, not found.separator.isspace(), found.n_several


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
    n_rows: Counter[str] = Counter()
    for cell, rows in cells.items():
        n_rows.update(dict.fromkeys(parts[cell], rows))
    share = len(recurring) / max(1, len(known))
    share_of_rows = sum(n_rows[name] for name in recurring) / max(1, n_rows.total())
    n_repeats = sum(len(set(names)) < len(names) for names in combinations)
    n_free = sum(free.issuperset(names) for names in combinations)
    is_list = sum(map(is_bracketed, cells)) >= LISTS * max(1, len(cells))
    is_set = bool(combinations) and n_repeats <= REPEATS * len(combinations)
    ends_like_another = separator.isspace() and any(name[-1:] in ",;|/" for name in known)
    sizes = {len(names) for names in parts.values()}
    least = 3 if separator.isspace() else 2
    moves = len(combinations) >= least and len(sizes) > 1 and n_free >= WHOLLY_FREE * len(combinations)
    recurs = max(share, share_of_rows) >= NAMES_RECUR
    inside = recurring & places.keys()  # a thousand ordinary classes say nothing of the two that have a slash
    share_inside = max(
        len(inside) / max(1, len(places)), sum(n_rows[name] for name in inside) / max(1, sum(n_rows[name] for name in places))
    )
    return Separation(
        separator,
        n_several=sum(rows for cell, rows in cells.items() if len(parts[cell]) > 1),
        n_rows=sum(cells.values()),
        n_names=len(known),
        recurring=share,
        example=next((cell for cell in cells if len(parts[cell]) > 1), ""),
        is_likely=is_set and not ends_like_another and ((recurs and moves) or (is_list and len(sizes) > 1 and share >= 0.5)),
        is_possible=bool(combinations) and share_inside >= NAMES_RECUR and not separator.isspace(),
    )


def settle_labels(
    so_far: Understanding, train: pd.DataFrame, test: pd.DataFrame | None, sample: pd.DataFrame | None, taken: set[str]
) -> tuple[SeenLabels, set[str]]:
    """Settle which columns hold the labels, and how many a row has. Returns the labels and those columns.

    `taken` are columns that are something else. Raises InputError when a named column is not there, or none can be found.
    """
    flags = _flags(so_far, train, test, sample, taken)
    if flags is not None:
        return _labels_of_flags(so_far, train, flags)
    label = so_far.settle("label_column", lambda: guess_label(train, test, sample, taken, so_far.answers.get("group_column", "")))
    if label not in train.columns:
        raise InputError(
            "there is no column '{name}'",
            where=str(so_far.values["train"]),
            why="columns: {names}",
            fix="set label_column to one of them",
            name=label,
            names=", ".join(train.columns),
        )
    cells = column_of(train, label)
    separator = _separator(so_far, cells, label)
    words = _settle_missing(so_far, cells, sample) == "class"
    names = names_of_cells(cells, separator, words_are_classes=words)
    return (_several(so_far, names, source=label) if separator else SeenLabels(names, is_several=False, source=label)), {label}


def _settle_missing(so_far: Understanding, cells: pd.Series, sample: pd.DataFrame | None) -> str:
    """Settle what a label that reads like a missing one is: a class where the sample submission has it too, else for the person to say."""
    found = Counter(cell.strip() for cell in cells[is_unlabelled(cells)])
    if not found and "missing_labels" not in so_far.answers:
        return "refuse"
    words = [word for word in found if word]
    counts = joined(", ", [msg("{n:,} x {label}", n=n, label=repr(word)) for word, n in found.items()])
    is_shown = bool(words) and set(words) <= set(_shown(sample))
    if so_far.values["labels"] == "several" and not is_shown:
        return "refuse"
    if words and len(set(cells[~is_unlabelled(cells)])) < 2:
        guess = Guess("class", msg("{counts}: a word for a missing label, but without it there is one class", counts=counts), "warning")
    elif is_shown:
        guess = Guess("class", msg("{counts}: a word for a missing label, but the sample submission has it", counts=counts), "warning")
    else:
        ways = "left out with missing_labels=drop, classes with missing_labels=class" if words else "left out with missing_labels=drop"
        guess = Guess("refuse", joined("; ", [msg("labels that are missing, or read like it: {counts}", counts=counts), ways]), "warning")
    return so_far.settle("missing_labels", lambda: guess)


def _shown(sample: pd.DataFrame | None) -> list[str]:
    """What stands for classes in a sample submission: the values of its one column beside the ids, or the names of several columns."""
    columns = [] if sample is None else [str(name) for name in sample.columns[1:]]
    if sample is None or len(columns) != 1:
        return columns
    return [nfc(value) for value in column_of(sample, columns[0]).unique() if value.strip()]


def spelled_alike(so_far: Understanding, labels: SeenLabels) -> SeenLabels:
    """The labels of rows with one name for each class, however its cells are spelled; what was taken for one is said."""
    if labels.columns:
        return labels
    spellings = Counter(name for each in labels.names for name in each)
    if "classes" in so_far.answers:
        given = tuple(so_far.answers["classes"])
        find = class_finder(given)
        name_of = {spelling: given[place] if (place := find(spelling)) >= 0 else spelling for spelling in spellings}
    else:
        name_of = one_name(spellings)
        of_name: dict[str, list[str]] = {}
        for spelling, name in name_of.items():
            of_name.setdefault(name, []).append(repr(spelling))
        several = [" / ".join(each) for each in of_name.values() if len(each) > 1]
        odd = [each[0] for name, each in of_name.items() if each != [repr(name)]]
        if several:
            why = "spelled in several ways, each taken for one class: {names}; to keep spellings apart, name each: classes=[A, a]"
            so_far.note("classes", "", msg(why, names=", ".join(several[:5])), "warning")
        elif odd:
            so_far.note("classes", "", msg("blanks around names are left out, such as in {name}", name=odd[0]), "note")
    return replace(labels, names=[[name_of[name] for name in each] for each in labels.names])


def _flags(
    so_far: Understanding, train: pd.DataFrame, test: pd.DataFrame | None, sample: pd.DataFrame | None, taken: set[str]
) -> FlagColumns | None:
    """The class columns, unless the labels stand in one column.

    They are those named like the person's classes, else those that the sample submission names, or that the test lacks; all columns of
    0 and 1 where a person says that there is no label column. A few cells may be neither: they become problems by line when rows are read.
    """
    answers = so_far.answers
    if answers.get("label_column") or answers.get("label_separator") or answers.get("labels") == "one":
        return None
    given = tuple(answers.get("classes", ()))
    if len(given) > 1 and set(given) <= set(train.columns):
        return FlagColumns(given, msg("{n} {n:column is|columns are} named like your classes", n=len(given)))

    def are_flags(*names: str) -> bool:
        return all(column_of(train, name).str.strip().isin(FLAGS).mean() >= FLAG_SHARE for name in names)

    columns = [str(name) for name in train.columns if name not in taken]
    if asked_label(train, sample, columns) is None:
        asked = [nfc(name) for name in sample.columns[1:]] if sample is not None else []
        named = [name for name in asked if name in columns]
        if len(named) > 1 and 2 * len(named) > len(asked) and are_flags(*named):
            return FlagColumns(
                order_classes(named), msg("{n} {n:column|columns} of 0 and 1 that the sample submission names", n=len(named))
            )
        if len(named) > 1 and len(named) == len(asked) and "classes" not in answers:
            raise InputError(
                "the columns of the classes do not hold 0 and 1",
                where=msg("{file}, column '{column}'", file=so_far.values["train"], column=named[0]),
                why="the sample submission asks for {names}, and they hold {values}",
                fix=msg(
                    "write 1 where a row has the class and 0 where it has not; or name the column with the class, one contest for each: {choices}",
                    choices=joined(" / ", [setting("label_column", name) for name in named[:8]]),
                ),
                names=", ".join(named[:8]),
                values=", ".join(map(repr, column_of(train, named[0]).unique()[:3])),
            )
        only_train = [name for name in columns if test is not None and name not in test.columns]
        n_labels = sum(LABEL_NAME.fullmatch(name) is not None for name in only_train)
        if len(only_train) > 1 and n_labels in (0, len(only_train)) and are_flags(*only_train):
            return FlagColumns(
                order_classes(only_train), msg("{n} {n:column|columns} of 0 and 1 that the test does not have", n=len(only_train))
            )
    if "label_column" not in answers:
        return None
    found = [name for name in columns if are_flags(name)]
    if len(found) < 2:
        raise InputError(
            "there is no label column, and no columns of 0 and 1",
            where=str(so_far.values["train"]),
            why="columns: {names}",
            fix="name the column with the labels: label_column=NAME, or the columns of the classes: classes=[a, b]",
            names=", ".join(train.columns),
        )
    return FlagColumns(order_classes(found), msg("{n} {n:column|columns} of 0 and 1", n=len(found)))


def _labels_of_flags(so_far: Understanding, train: pd.DataFrame, flags: FlagColumns) -> tuple[SeenLabels, set[str]]:
    so_far.settle("labels", lambda: Guess("several", flags.reason))
    shown = ", ".join(flags.classes[:8]) + (", …" if len(flags.classes) > 8 else "")
    so_far.values["label_column"] = ""
    so_far.note("label_column", "", msg("a column of 0 and 1 for each class: {names}", names=shown))
    names = [[flags.classes[label] for label in row] for row in flagged(train, flags.classes)]
    return _several(so_far, names, source="the columns of 0 and 1", columns=flags.classes), set(flags.classes)


def _separator(so_far: Understanding, cells: pd.Series, label: str) -> str:
    """Settle how many classes a cell names, and what stands between them; "" where it names one."""
    asked, given = so_far.answers.get("labels"), so_far.answers.get("label_separator")
    best = find_separation(cells) if asked != "one" and not given else None
    is_several = bool(given) or (best is not None and best.is_likely and given is None)
    several = so_far.settle("labels", lambda: _labels_guess(best, is_several=is_several, label=label)) == "several"
    if not several and not given:
        return ""
    separator = given if given is not None else _doubled(best.separator, cells) if best is not None else ","
    if given is not None:
        why, level = "your answer", "ok"
    elif best is None:
        why, level = msg("no cell of '{column}' holds several names: this is a guess", column=label), "warning"
    else:
        why, level = msg("stands between the names, such as {cell}", cell=repr(best.example)), "ok" if best.is_likely else "warning"
    separator = f" {separator} " if separator.isalpha() else separator
    so_far.values["label_separator"] = separator
    so_far.note("label_separator", SPACE if separator == " " else repr(separator)[1:-1], why, level)
    return separator if several else ""


def _doubled(separator: str, cells: pd.Series) -> str:
    """The separator twice where it stands so in every cell, as in `joy||calm`."""
    runs = {found for cell in cells.unique() for found in re.findall(rf"(?:{re.escape(separator)})+", cell.strip())}
    return separator * 2 if runs == {separator * 2} and not separator.isspace() else separator


def _labels_guess(best: Separation | None, *, is_several: bool, label: str) -> Guess:
    if is_several and best is None:
        return Guess("several", "there is a label_separator")
    if is_several and best is not None:
        rows = msg("{n:,} of {rows:,} labelled rows hold several names", n=best.n_several, rows=best.n_rows)
        names = msg("of {n:,} names, {share:.0%} also stand alone or in other combinations", n=best.n_names, share=best.recurring)
        return Guess("several", joined("; ", [rows, names]))
    if best is not None and best.is_possible:
        doubt = msg(
            "in {n:,} of {rows:,} rows '{separator}' stands between several labels, or inside of one: each combination is taken for a class",
            n=best.n_several,
            rows=best.n_rows,
            separator=best.separator,
        )
        return Guess("one", joined("; ", [doubt, "correct with labels=several"]), "warning")
    return Guess("one", msg("each cell of '{column}' names one class", column=label))


def settle_classes(so_far: Understanding, labels: SeenLabels, folders: tuple[str, ...]) -> tuple[str, ...]:
    """Settle the classes: the person's, those of class folders, else those that rows have; and say what is odd about them."""
    classes = cast("tuple[str, ...]", so_far.answers["classes"]) if "classes" in so_far.answers else folders or labels.classes()
    if len(classes) < 2:
        raise InputError(
            "{n} {n:class|classes}: too few to classify",
            where=str(so_far.values["train"]),
            why="found in {column}: {classes}",
            fix="name the column with the classes: label_column=NAME, or the folder with the class folders: train=NAME",
            n=len(classes),
            column=labels.source,
            classes=", ".join(classes) or "nothing",
        )
    counts = labels.counts(classes)
    so_far.values["classes"] = classes
    shown = ", ".join(classes[:8]) + (", …" if len(classes) > 8 else "")
    so_far.note(
        "classes",
        msg("{name}: {detail}", name=len(classes), detail=shown),
        msg(
            "{most:,} {most:row|rows} per class" if len({*counts.values()}) == 1 else "{least:,} to {most:,} rows per class",
            least=min(counts.values()),
            most=max(counts.values()),
        ),
    )
    for warning in class_warnings(counts, len(labels.names) if labels.is_several else sum(counts.values())):
        so_far.note("classes", "", warning, "warning")
    return classes


def _several(so_far: Understanding, names: list[list[str]], *, source: str, columns: tuple[str, ...] = ()) -> SeenLabels:
    """Labels of rows that may have several, and a word on how many they have: one each is the mark of one class per row."""
    sizes = np.array([len(set(each)) for each in names])
    n_empty = int((sizes == 0).sum())
    so_far.note(
        "labels",
        "",
        msg("{mean:.2f} labels per row, at most {most}; {n:,} rows have none", mean=sizes.mean(), most=sizes.max(), n=n_empty),
        "note",
    )
    if (sizes == 1).all():
        so_far.note("labels", "", "every row has exactly one: a single column with the class and labels=one would fit it", "warning")
    return SeenLabels(names, is_several=True, source=source, columns=columns)
