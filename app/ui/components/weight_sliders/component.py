"""The weights of a blend and their shrinkage as sliders that speak while they are dragged, which `st.slider` does not.

Locking and normalising happen in the browser: weights always sum to one, and moving one shares the rest among the unlocked
in proportion. Scoring happens in core; the browser is told nothing that it could score with.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import streamlit as st

from app.ui.components.files import component_from_files

THROTTLE_MS = 80


@dataclass(frozen=True)
class BankRow:
    """One run in the bank. `score` is text: the page knows how a score is written."""

    run_id: int
    name: str
    color: str
    score: str


@dataclass(frozen=True)
class BankState:
    """What the bank says: weights by run id (sum one), locked runs, and a count of gestures (one drag is one gesture).

    `shrinkage` is how far the weights are drawn to equal ones; `is_held` while the pointer has not let go.
    """

    weights: Mapping[int, float]
    locked: frozenset[int]
    gesture: int
    shrinkage: float = 0.0
    is_held: bool = False


Kind = Literal["plain", "chosen", "loose", "apart"]
"""What the weights are: the blend's own; those after a shrinkage that only the chosen runs had; a mean over classes; or no part of it."""


def heard(key: str, ids: Sequence[int], revision: int) -> BankState | None:
    """What the browser said last, before the bank is drawn again; None when it said nothing about these runs and this revision."""
    said = st.session_state.get(key)
    return read_state(said.get("bank") if isinstance(said, Mapping) else None, ids, revision)


def weight_bank(
    rows: Sequence[BankRow], state: BankState, *, revision: int, labels: Mapping[str, str], key: str, kind: Kind = "plain"
) -> None:
    """Show the bank; `heard` tells what is done in it.

    The browser owns the weights while `revision` stays the same; a new revision makes it take over `state`. `labels` are the
    texts: lock, unlock, run, score, weight, number, weights, alone, shrinkage, shrinkage_help, shrinkage_number, share.
    """
    ids = [row.run_id for row in rows]
    _COMPONENT(
        key=key,
        data={
            "rows": [{"id": row.run_id, "name": row.name, "color": row.color, "score": row.score} for row in rows],
            "weights": [state.weights[run_id] for run_id in ids],
            "locked": [run_id in state.locked for run_id in ids],
            "gesture": state.gesture,
            "shrinkage": state.shrinkage,
            "kind": kind,
            "revision": revision,
            "throttle_ms": THROTTLE_MS,
            "labels": dict(labels),
        },
        on_bank_change=_nothing,
    )


def read_state(sent: Any, ids: Sequence[int], revision: int) -> BankState | None:
    """Check what the browser sent against the runs and the revision it should be about; None when it is about something else.

    Weights that are not finite, are negative or belong to other runs are not taken.
    """
    if not isinstance(sent, Mapping) or sent.get("revision") != revision or sent.get("ids") != list(ids):
        return None
    weights, locked, gesture = sent.get("weights"), sent.get("locked"), sent.get("gesture")
    if not (isinstance(weights, list) and isinstance(locked, list) and isinstance(gesture, int)):
        return None
    if len(weights) != len(ids) or len(locked) != len(ids):
        return None
    if not all(isinstance(w, int | float) and math.isfinite(w) and w >= 0 for w in weights) or sum(weights) <= 0:
        return None
    shrinkage, is_held = sent.get("shrinkage"), sent.get("held")
    if not (isinstance(shrinkage, int | float) and 0 <= shrinkage <= 1 and isinstance(is_held, bool)):
        return None
    total = sum(weights)
    return BankState(
        weights={run_id: weight / total for run_id, weight in zip(ids, weights, strict=True)},
        locked=frozenset(run_id for run_id, is_locked in zip(ids, locked, strict=True) if is_locked),
        gesture=gesture,
        shrinkage=float(shrinkage),
        is_held=is_held,
    )


def _nothing() -> None:
    """A state key exists only where its callback is named."""


_COMPONENT = component_from_files(__file__, "pitwall_weight_bank")
