"""The classes of a contest: their order, and what is odd about them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import pandas as pd

from core.base.files import nfc
from core.base.messages import joined, msg
from core.contest.cells import is_missing


def order_classes(labels: Iterable[str]) -> tuple[str, ...]:
    """Distinct labels in their order: by number when all are whole numbers, else by code point."""
    distinct = set(labels)
    if all(re.fullmatch(r"-?[0-9]{1,18}", label) for label in distinct):
        return tuple(sorted(distinct, key=lambda label: (int(label), label)))
    return tuple(sorted(distinct))


def find_classes(labels: pd.Series) -> tuple[str, ...]:
    """The classes of a label column in their order: NFC, without empty cells."""
    return order_classes(nfc(label) for label, missing in zip(labels, is_missing(labels), strict=True) if not missing)


def count_labels(labels: pd.Series, classes: tuple[str, ...]) -> dict[str, int]:
    """Rows of each class."""
    counts = cast("dict[str, int]", labels.map(nfc).value_counts().to_dict())
    return {name: int(counts[name]) if name in counts else 0 for name in classes}


@dataclass(frozen=True)
class SeenLabels:
    """The labels of training rows as the files hold them: `names` has one name for each row, or where rows have several, a list.

    `columns` are those of 0 and 1, one per class, where the labels stand in such.
    """

    names: pd.Series
    is_several: bool
    source: str
    columns: tuple[str, ...] = ()

    def classes(self) -> tuple[str, ...]:
        """The classes in their order."""
        if self.columns:
            return self.columns
        return order_classes(name for names in self.names for name in names) if self.is_several else find_classes(self.names)

    def counts(self, classes: tuple[str, ...]) -> dict[str, int]:
        """Rows that have each class."""
        if not self.is_several:
            return count_labels(self.names, classes)
        counts = Counter(name for names in self.names for name in set(names))
        return {name: counts[name] for name in classes}


def class_warnings(counts: dict[str, int], n_rows: int) -> list[str]:
    """What is odd about classes, from their rows: single rows, names that differ only in case or blanks, numbers."""
    said: list[str] = []
    classes = list(counts)
    single = [name for name in classes if counts[name] == 1]
    if single:
        said.append(
            msg(
                "{n} classes occur in one row only: {names}" if len(single) > 1 else "{n} class occurs in one row only: {names}",
                n=len(single),
                names=", ".join(single[:5]),
            )
        )
    alike: dict[str, list[str]] = {}
    for name in classes:
        alike.setdefault(" ".join(name.lower().split()), []).append(name)
    same = [names for names in alike.values() if len(names) > 1]
    if same:
        said.append(msg("differ only in case or blanks: {names}", names=joined("; ", (" / ".join(map(repr, names)) for names in same[:5]))))
    if len(classes) > 20 and len(classes) > n_rows / 2:
        said.append(msg("{n:,} classes in {rows:,} rows: is this the label?", n=len(classes), rows=n_rows))
    if len(classes) > 20 and all(re.fullmatch(r"-?\d*\.\d+", name) for name in classes):
        said.append("the labels are decimal numbers: predicting a number is not classification")
    return said
