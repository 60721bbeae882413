"""Ids of rows: each names one row; those of the test are numbered and spelled as the sample submission has them."""

import re
from collections import Counter
from collections.abc import Callable, Sequence

import pandas as pd

from core.contest.csv_table import Table, column_of, is_missing
from core.contest.files import bare, clean, spell_case, spell_number
from core.contest.problems import Problems


def tell_apart(ids: Sequence[str]) -> list[str]:
    """Ids of which none appears twice: the second row of "x" is "x (2)"."""
    seen: Counter[str] = Counter()
    told: list[str] = []
    for name in ids:
        seen[name] += 1
        told.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return told


def check_ids(table: Table, file: str, column: str, problems: Problems, *, may_repeat: bool = False) -> pd.Series:
    """The ids in a column; notes those that are empty, and those that appear twice unless they may."""
    ids = column_of(table.frame, column)
    missing, lines = is_missing(ids), table.lines
    problems.add_rows(file, lines, missing, "the id is empty", "give every row an id", column=column)
    if may_repeat:
        return ids
    twice = ids.duplicated() & ~missing
    first = pd.Series(lines).groupby(ids.to_numpy()).transform("first")
    what, fix = "the id '{id}' is already on line {line}", "give every row an id of its own, or set id_column to another column"
    problems.add_rows(file, lines, twice, what, fix, column=column, id=ids, line=first)
    return ids


BY_ORDER = "{file} names no rows: they are taken in the order of the sample submission"


def number_rows(n_rows: int, of_sample: Sequence[str]) -> tuple[list[str], str]:
    """Ids for test rows without any, and where they come from: numbers as the sample submission counts rows, whatever its own order.

    Where it does not count them and has as many rows, its ids in their order; else the numbers from 0.
    """
    numbers = {int(name): name for name in of_sample if name.strip().isascii() and name.strip().isdigit()}
    first = min(numbers, default=0)
    if numbers and sorted(numbers) == list(range(first, first + len(of_sample))) and (first == 1 or len(numbers) == n_rows):
        return [
            numbers.get(first + row, str(first + row)) for row in range(n_rows)
        ], "row numbers of {file}, as the sample submission counts them"
    if of_sample and len(of_sample) == n_rows:
        return list(of_sample), BY_ORDER
    return [str(row) for row in range(n_rows)], "row numbers of {file}, from 0"


SPELLINGS_OF_IDS: tuple[Callable[[str], str], ...] = (
    clean,
    lambda value: re.sub(r"(?<=[0-9])\.0+$", "", clean(value)),
    lambda value: spell_case(bare(clean(value))),
    lambda value: spell_number(bare(clean(value))),
)
"""How ids are compared that differ between the test and the sample submission. Leading zeros count where both are tables: a spreadsheet
has saved one of them, and which one is not known."""


def ids_of_sample(
    ids: list[str], sample: Table | None, spellings: Sequence[Callable[[str], str]]
) -> tuple[list[str], tuple[tuple[str, str], ...]]:
    """The test's ids as the sample submission writes them, where every id of the sample is that of exactly one row in one of these spellings.

    Also the ids that differ, each as the sample and as the test has it. A submission must repeat the sample's to the byte.
    """
    theirs: list[str] = [] if sample is None else sample.frame.iloc[:, 0].tolist()
    if set(theirs) <= set(ids):
        return ids, ()
    for spell in spellings:
        ours, wanted = {spell(value): value for value in ids}, {spell(value): value for value in theirs}
        if len(ours) == len(ids) and len(wanted) == len(theirs) and wanted.keys() <= ours.keys():
            renamed = {ours[key]: value for key, value in wanted.items() if ours[key] != value}
            return [renamed.get(value, value) for value in ids], tuple((value, before) for before, value in renamed.items())
    return ids, ()
