"""Many problems of a person's files, told together: the first twenty by file, row and column, and how many there are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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
        self.shown: list[Problem] = []
        self.count = 0
        self._of_fix: dict[str, int] = {}

    def __bool__(self) -> bool:
        return self.count > 0

    def add(self, file: str, what: str, fix: str, *, row: int | None = None, column: str = "") -> None:
        """Note one problem."""
        self.count += 1
        seen = self._of_fix[fix] = self._of_fix.get(fix, 0) + 1
        if seen <= N_SHOWN:
            self.shown.append(Problem(file, what, fix, row, column))

    def first(self) -> list[Problem]:
        """At most twenty problems; when there are several kinds, some of each kind."""
        kinds: dict[str, list[Problem]] = {}
        for problem in self.shown:
            kinds.setdefault(problem.fix, []).append(problem)
        turns = [problem for turn in range(N_SHOWN) for group in kinds.values() for problem in group[turn : turn + 1]]
        return sorted(turns[:N_SHOWN], key=self.shown.index)

    def error(self, subject: str) -> InputError:
        """The one error that tells them all; `subject` says what cannot be done, as in "the contest cannot be registered"."""
        first = self.first()
        if self.count == 1:
            return InputError(first[0].what, where=first[0].where, why=subject, fix=first[0].fix)
        lines = [str(problem) for problem in first]
        if self.count > len(first):
            lines.append(msg("… and {n:,} more", n=self.count - len(first)))
        return InputError(
            "{subject}: {n:,} problems",
            where=", ".join(_distinct(problem.file for problem in first)[:5]),
            why=joined("\n", lines),
            fix=joined("; ", _distinct(problem.fix for problem in first)),
            subject=subject,
            n=self.count,
        )

    def raise_if_any(self, subject: str) -> None:
        """Raise `error(subject)` unless nothing was noted."""
        if self:
            raise self.error(subject)


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
