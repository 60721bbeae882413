"""The classes of a contest: their order, and what is odd about them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import cast

import pandas as pd

from core.contest.cells import is_missing
from core.workspace import nfc


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


def class_warnings(counts: dict[str, int]) -> list[str]:
    """What is odd about classes, from their rows: single rows, names that differ only in case or blanks, numbers, several in a cell."""
    said: list[str] = []
    classes, n_rows = list(counts), sum(counts.values())
    single = [name for name in classes if counts[name] == 1]
    if single:
        said.append(f"{len(single)} class{'es occur' if len(single) > 1 else ' occurs'} in one row only: {', '.join(single[:5])}")
    alike: dict[str, list[str]] = {}
    for name in classes:
        alike.setdefault(" ".join(name.lower().split()), []).append(name)
    same = [names for names in alike.values() if len(names) > 1]
    if same:
        said.append("differ only in case or blanks: " + "; ".join(" / ".join(map(repr, names)) for names in same[:5]))
    if len(classes) > 20 and len(classes) > n_rows / 2:
        said.append(f"{len(classes):,} classes in {n_rows:,} rows: is this the label?")
    if len(classes) > 20 and all(re.fullmatch(r"-?\d*\.\d+", name) for name in classes):
        said.append("the labels are decimal numbers: predicting a number is not classification")
    several = [name.split(",") for name in classes if "," in name]
    alone = {name.strip() for name in classes}
    if several and all(part.strip() in alone for parts in several for part in parts):
        said.append("some cells hold several labels with commas between: each combination is taken for a class of its own")
    return said
