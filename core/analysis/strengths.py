"""How strong each class is in groups of rows, such as all reviews of one film: the mean of its probabilities over the rows of a group."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.base.errors import InputError
from core.contest.csv_table import column_of
from core.data.compose import COLUMN

GROUP, N_ROWS, N_TAKEN, STRONGEST = "group", "rows", "rows_taken", "strongest"


@dataclass(frozen=True, eq=False)
class Strengths:
    """`means` (n_groups, n_classes) of the `groups`, in the order in which they first come.

    `n_rows` are the rows of each group and `n_taken` those that its means are of, the first ones. `n_small` groups had too few.
    """

    groups: tuple[str, ...]
    classes: tuple[str, ...]
    n_rows: NDArray[np.int64]
    n_taken: NDArray[np.int64]
    means: NDArray[np.float64]
    n_small: int

    def to_table(self, apart: str = "") -> pd.DataFrame:
        """A row for each group: its name, its rows, its strongest class, and each class's mean.

        The class `apart` is no feeling but the lack of one: it is never the strongest, and its column is the last one.
        """
        order = sorted(range(len(self.classes)), key=lambda place: self.classes[place] == apart)
        ranked = [place for place in order if self.classes[place] != apart]
        names = np.asarray(self.classes, dtype=object)
        strongest = names[ranked][self.means[:, ranked].argmax(axis=1)]
        facts = {GROUP: list(self.groups), N_ROWS: self.n_rows, N_TAKEN: self.n_taken, STRONGEST: strongest}
        means = pd.DataFrame(self.means[:, order], columns=[f"{name} " if name in facts else name for name in names[order]])
        return pd.concat([pd.DataFrame(facts), means], axis=1)


def group_values(rows: pd.DataFrame, column: str) -> list[str]:
    """The group of each row of a contest's table by one of its columns. Raises InputError, naming the columns there are."""
    known = [name.removeprefix(COLUMN) for name in rows if name.startswith(COLUMN)]
    if column not in known:
        raise InputError(
            "there is no column '{name}' to group by",
            where="--by",
            why="these rows have {names}",
            fix="name one of the columns of their table",
            name=column,
            names=", ".join(known) or "no columns",
        )
    return column_of(rows, f"{COLUMN}{column}").astype("str").str.strip().tolist()


def group_columns(rows: pd.DataFrame) -> list[str]:
    """The columns of a contest's table that can group its rows: with several values, each in two rows on average."""
    sizes = {name: column_of(rows, name).nunique() for name in rows if name.startswith(COLUMN)}
    return [name.removeprefix(COLUMN) for name, n in sizes.items() if 1 < n <= len(rows) / 2]


def mean_strengths(
    prob: NDArray[np.floating], values: Sequence[str], classes: Sequence[str], *, at_least: int = 1, at_most: int = 0
) -> Strengths:
    """Means of probabilities (n, n_classes) by the `values` (n,) of a column, over the first `at_most` rows of each (0: all of them).

    Groups of fewer than `at_least` rows are left out and counted, and so are rows without a value and rows that are not predicted (NaN),
    uncounted. Raises InputError where no group is left.
    """
    keys = np.asarray(values, dtype=object)
    rows = np.flatnonzero((keys != "") & ~np.isnan(prob[:, 0]))
    codes, names = pd.factorize(keys[rows])
    n_rows = np.bincount(codes, minlength=len(names))
    kept = np.flatnonzero(n_rows >= at_least)
    if not len(kept):
        raise InputError(
            "no group has enough rows",
            where="--at-least",
            why="{n:,} {n:group has|groups have} at most {most:,} rows, {wanted:,} are asked for",
            fix="ask for fewer rows, or group by another column",
            n=len(names),
            most=int(n_rows.max(initial=0)),
            wanted=at_least,
        )
    taken = np.flatnonzero(pd.Series(codes).groupby(codes).cumcount().to_numpy() < (at_most or len(rows)))
    total = np.zeros((len(names), prob.shape[1]))
    np.add.at(total, codes[taken], prob[rows[taken]].astype(np.float64))
    n_taken = np.bincount(codes[taken], minlength=len(names))
    means = total[kept] / n_taken[kept, None]
    groups = tuple(str(names[place]) for place in kept)
    return Strengths(groups, tuple(classes), n_rows[kept], n_taken[kept], means, len(names) - len(kept))
