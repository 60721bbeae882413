"""Predictions of a team-mate that do not fit a contest, in every way that was thought of, and the contest they are for."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from core.exchange.sheet import Expected

CLASSES = ("현대 그랜저", "기아 쏘렌토", "르노 XM3")
IDS = [f"차량_{number:02d}" for number in range(30)]
FOLD_OF = np.arange(30) % 3
PROB = np.random.default_rng(0).dirichlet(np.ones(3), 30).astype(np.float32)
EXPECTED = Expected(IDS, CLASSES, FOLD_OF)
OF_SETS = Expected(IDS, CLASSES, FOLD_OF, is_multilabel=True)
"""The same rows where each may have several of the classes."""


def frame() -> pd.DataFrame:
    table = pd.DataFrame(PROB.astype(np.float64), columns=list(CLASSES))
    table.insert(0, "fold", FOLD_OF)
    table.insert(0, "id", IDS)
    return table


def pickle_array(path: Path) -> None:
    """An array of objects, which is a pickle."""
    np.save(path, np.array([[print]], dtype=object), allow_pickle=True)


def zip_array(path: Path) -> None:
    """An archive of arrays."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("prob.npy", b"nothing")


def claims_much_array(path: Path) -> None:
    """A header that claims rows that are not there."""
    np.save(path, PROB)
    path.write_bytes(path.read_bytes().replace(b"(30, 3)", b"(9999999999, 3)", 1))


def cut_array(path: Path) -> None:
    """An array without its last values."""
    np.save(path, PROB)
    path.write_bytes(path.read_bytes()[:-8])


def of_words_array(path: Path) -> None:
    """An array of words."""
    np.save(path, np.full((30, 3), "a"))


def flat_array(path: Path) -> None:
    """An array of one dimension."""
    np.save(path, PROB.ravel())


def other_shape_array(path: Path) -> None:
    """An array with a class less."""
    np.save(path, PROB[:, :2])


def text_array(path: Path) -> None:
    """A text with an array's name."""
    path.write_text("not an array", encoding="utf-8")


def empty_array(path: Path) -> None:
    """Nothing."""
    path.write_bytes(b"")


def torn_header_array(path: Path) -> None:
    """A header in which a bracket is never closed."""
    np.save(path, PROB)
    path.write_bytes(path.read_bytes().replace(b"}", b"{", 1))


ARRAYS: list[Callable[[Path], None]] = [
    pickle_array,
    zip_array,
    claims_much_array,
    cut_array,
    of_words_array,
    flat_array,
    other_shape_array,
    text_array,
    empty_array,
    torn_header_array,
]
"""Files named .npy that are no table of these predictions."""


def _cell(column: str, value: object) -> Callable[[pd.DataFrame, int], pd.DataFrame]:
    def spoil(table: pd.DataFrame, row: int) -> pd.DataFrame:
        table[column] = table[column].astype(object)
        table.loc[row, column] = value
        return table

    return spoil


TABLES: dict[str, tuple[Callable[[pd.DataFrame, int], pd.DataFrame], str]] = {
    "negative": (_cell(CLASSES[0], -0.5), "차량_{row:02d}"),
    "no number": (_cell(CLASSES[1], "much"), "차량_{row:02d}"),
    "NaN": (_cell(CLASSES[1], float("nan")), "차량_{row:02d}"),
    "infinite": (_cell(CLASSES[2], float("inf")), "차량_{row:02d}"),
    "does not sum to one": (_cell(CLASSES[2], 0.999), "차량_{row:02d}"),
    "empty cell": (_cell(CLASSES[0], ""), "차량_{row:02d}"),
    "unknown id": (_cell("id", "낯선 차"), "낯선 차"),
    "id twice": (lambda table, row: _cell("id", IDS[(row + 1) % len(IDS)])(table, row), "차량_{row:02d}"),
    "a row less": (lambda table, row: table.drop(index=row), "차량_{row:02d}"),
    "a row twice": (lambda table, row: pd.concat([table, table.iloc[[row]]]), "차량_{row:02d}"),
    "another fold": (_cell("fold", 9), "차량_{row:02d} in fold 9"),
    "a class less": (lambda table, row: table.drop(columns=CLASSES[row % 3]), "missing"),
    "a strange class": (lambda table, row: table.rename(columns={CLASSES[row % 3]: "현대 소나타"}), "현대 소나타"),
    "no ids": (lambda table, row: table.drop(columns="id"), "no column with ids"),
    "no rows": (lambda table, row: table.iloc[:0], ""),
}
"""What may be wrong with a table of these predictions in a row, and what the refusal must say of it."""

TABLES_OF_SETS = {name: spoiled for name, spoiled in TABLES.items() if name != "does not sum to one"} | {
    "above one": (_cell(CLASSES[1], 1.001), "차량_{row:02d}"),
    "logits": (lambda table, row: table.assign(**{name: table[name] * 20 - 5 for name in CLASSES}), "sigmoid"),
}
"""The same where a row may have several of the classes, and need not sum to one."""
