"""How inspection speaks: a guess with its reason, and a point of what was understood."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.base.messages import joined


@dataclass(frozen=True)
class Guess:
    """A proposed answer with its evidence; `level` is ok, note (worth reading) or warning (may well be wrong)."""

    value: str
    reason: str
    level: str = "ok"


@dataclass(frozen=True)
class Check:
    """One point of what was understood. `level`: ok, note (worth reading) or warning (may be wrong, or will be refused)."""

    key: str
    value: str
    detail: str
    level: str = "ok"


@dataclass(frozen=True)
class Understanding:
    """Settings as they become clear, one after the other, with the evidence of each; a person's answers win over guesses."""

    answers: Mapping[str, Any]
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    checks: list[Check] = field(default_factory=list[Check])

    def settle(self, key: str, guess: Callable[[], Guess], seen: str = "") -> str:
        """The answer for a setting when there is one, else the guess, which is made only then; notes the evidence."""
        found = Guess(self.answers[key], "your answer") if key in self.answers else guess()
        self.values[key] = found.value
        self.note(key, found.value, joined("; ", [seen, found.reason]) if seen else found.reason, found.level)
        return found.value

    def note(self, key: str, value: str, detail: str, level: str = "ok") -> None:
        """Add a point that is not a setting's answer, or says more about one."""
        self.checks.append(Check(key, value, detail, level))
