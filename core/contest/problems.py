"""What is wrong with the rows of a contest's files: many problems told as one error, each with its file, line, column and fix."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.base.errors import InputError
from core.base.messages import joined, msg

N_SHOWN = 20


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. `row` is the 1-based line in the file, None where a problem has no line."""

    file: str
    what: str
    fix: str
    row: int | None = None
    column: str = ""

    @property
    def where(self) -> str:
        """File, line and column in one short phrase."""
        if self.column:
            known = "{file}, column '{column}'" if self.row is None else "{file} line {line}, column '{column}'"
        else:
            known = "{file}" if self.row is None else "{file} line {line}"
        return msg(known, file=self.file, line=self.row or 0, column=self.column)

    def __str__(self) -> str:
        return joined(": ", [self.where, self.what])


class Problems:
    """Collects problems, keeps the first twenty of each kind of fix, counts all."""

    def __init__(self) -> None:
        self.count = 0
        self._kinds: dict[str, list[tuple[int, Problem]]] = {}

    def add(self, file: str, what: str, fix: str, *, row: int | None = None, column: str = "") -> None:
        """Note one problem."""
        self.count += 1
        kind = self._kinds.setdefault(fix, [])
        if len(kind) < N_SHOWN:
            kind.append((self.count, Problem(file, what, fix, row, column)))

    def add_rows(
        self,
        file: str,
        lines: NDArray[np.int64] | None,
        mask: pd.Series,
        what: str,
        fix: str,
        *,
        column: str = "",
        hint: str = "",
        **values: Any,
    ) -> None:
        """Note a problem of each row where `mask` is true; `lines` (n,) are those of the file, None for rows of a folder.

        `what` is a template; a value that is a Series has one for each row. `hint` follows it.
        """
        for row in np.flatnonzero(mask.to_numpy(dtype=np.bool_)):
            said = msg(what, **{name: value.iloc[row] if isinstance(value, pd.Series) else value for name, value in values.items()})
            self.add(file, joined("; ", [said, hint]) if hint else said, fix, row=None if lines is None else int(lines[row]), column=column)

    def first(self) -> list[Problem]:
        """At most twenty problems, in the order in which they were noted; when there are several kinds, some of each kind."""
        turns = [numbered for turn in range(N_SHOWN) for kind in self._kinds.values() for numbered in kind[turn : turn + 1]]
        return [problem for _, problem in sorted(turns[:N_SHOWN], key=lambda numbered: numbered[0])]

    def raise_if_any(self, subject: str) -> None:
        """Raise one error with all of them, if any; `subject` says what cannot be done, as in "the contest cannot be registered"."""
        error = self.error(subject)
        if error is not None:
            raise error

    def error(self, subject: str) -> InputError | None:
        """One error with all of them, None where there is none."""
        first = self.first()
        if not first:
            return None
        if self.count == 1:
            return InputError(first[0].what, where=first[0].where, why=subject, fix=first[0].fix)
        more = [msg("… and {n:,} more", n=self.count - len(first))] if self.count > len(first) else []
        return InputError(
            "{subject}: {n:,} {n:problem|problems}",
            where=", ".join(list(dict.fromkeys(problem.file for problem in first))[:5]),
            why=joined("\n", [*map(Problem.__str__, first), *more]),
            fix=joined("; ", dict.fromkeys(problem.fix for problem in first)),
            subject=subject,
            n=self.count,
        )
