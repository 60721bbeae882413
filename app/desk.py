"""The weights that a session is working on, and how they were before.

Plain arithmetic apart from the page, so that it can be tested without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from app.weight_bank import BankState

MOST_UNDO = 100


@dataclass
class Desk:
    """The weights now, what can be undone, and the revision that the browser should hold."""

    state: BankState
    revision: int = 0
    history: list[BankState] = field(default_factory=list)

    def put(self, state: BankState) -> None:
        """Take over weights from outside the browser; they can be undone."""
        self.history.append(self.state)
        self.state = replace(state, gesture=self.state.gesture)
        self.revision += 1

    def follow(self, state: BankState) -> None:
        """Take over what the browser says; the first word of a new gesture keeps what was before it."""
        if state.gesture != self.state.gesture:
            self.history = [*self.history[-MOST_UNDO:], self.state]
        self.state = state

    def undo(self) -> None:
        """Back to before the last gesture or button; locks stay as they are now."""
        if self.history:
            self.state = replace(self.state, weights=self.history.pop().weights)
            self.revision += 1


def adapt(desk: Desk, ids: Sequence[int]) -> Desk:
    """The desk for these runs: the same one while they are the same; else the others keep their proportions, a new run gets its equal share.

    What can be undone is forgotten then, because it spoke of other runs.
    """
    if list(desk.state.weights) == list(ids):
        return desk
    known = {run_id: weight for run_id, weight in desk.state.weights.items() if run_id in ids}
    fresh, total = 1 / len(ids), sum(known.values())
    room = 1 - fresh * (len(ids) - len(known))
    weights = {run_id: room * known[run_id] / total if run_id in known and total else fresh for run_id in ids}
    whole = sum(weights.values())
    state = BankState({run_id: weight / whole for run_id, weight in weights.items()}, desk.state.locked & set(ids), desk.state.gesture)
    return Desk(state, desk.revision + 1)
