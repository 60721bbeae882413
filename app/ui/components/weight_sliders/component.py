"""The weights of a blend and their shrinkage as sliders that speak while they are dragged, which `st.slider` does not.

Locking and sharing out happen in the browser: moving one weight shares the rest among the unlocked in proportion. Scoring happens in core;
the browser is told nothing that it could score with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import streamlit as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.ui.components.files import component_from_files
from app.words.text import t

THROTTLE_MS = 80
LABELS = (
    *("lock", "unlock", "run", "own_score", "weight", "weight_number", "weights", "alone"),
    *("shrinkage", "shrinkage_help", "shrinkage_number", "share"),
)
"""Texts of `ensemble.yaml` that the browser shows."""

Kind = Literal["plain", "chosen", "by_class", "stacking"]
"""What the weights are: the blend's own; those after a shrinkage that only the chosen runs had; a mean over classes; or no part of it."""


@dataclass(frozen=True)
class SliderRow:
    """One run. `score` is text: the page knows how a score is written."""

    run_id: int
    name: str
    color: str
    score: str


@dataclass(frozen=True)
class SliderState:
    """Weights by run id, locked runs, and a count of gestures (one drag is one gesture).

    `shrinkage` is how far the weights are drawn to equal ones; `is_held` while the pointer has not let go.
    """

    weights: Mapping[int, float]
    locked: frozenset[int]
    gesture: int
    shrinkage: float = 0.0
    is_held: bool = False


class _Sent(BaseModel):
    """A message of the browser."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)
    ids: list[int]
    revision: int
    weights: list[Annotated[float, Field(ge=0)]]
    locked: list[bool]
    gesture: int
    shrinkage: float = Field(ge=0, le=1)
    held: bool


def read_sliders(key: str, ids: Sequence[int], revision: int) -> SliderState | None:
    """The browser's last message, before the sliders are drawn again; None when it is not about these runs and this revision."""
    kept = st.session_state.get(key)
    return check_sent(kept.get("weights") if isinstance(kept, Mapping) else None, ids, revision)


def weight_sliders(rows: Sequence[SliderRow], state: SliderState, *, revision: int, key: str, kind: Kind = "plain") -> None:
    """Show the sliders; `read_sliders` says what is done with them.

    The browser owns the weights while `revision` stays the same; a new revision makes it take over `state`.
    """
    _COMPONENT(
        key=key,
        data={
            "rows": [{"id": row.run_id, "name": row.name, "color": row.color, "score": row.score} for row in rows],
            "weights": [state.weights[row.run_id] for row in rows],
            "locked": [row.run_id in state.locked for row in rows],
            "gesture": state.gesture,
            "shrinkage": state.shrinkage,
            "kind": kind,
            "revision": revision,
            "throttle_ms": THROTTLE_MS,
            "labels": {name: t(f"ensemble.{name}") for name in LABELS},
        },
        on_weights_change=lambda: None,  # a state exists only where its callback is named
    )


def check_sent(message: Any, ids: Sequence[int], revision: int) -> SliderState | None:
    """A message of the browser about these runs and this revision; None for any other, and for weights that are none."""
    try:
        sent = _Sent.model_validate(message)
    except ValidationError:
        return None
    is_ours = sent.revision == revision and sent.ids == list(ids) and len(sent.weights) == len(sent.locked) == len(ids)
    if not is_ours or sum(sent.weights) <= 0:
        return None
    locked = frozenset(run_id for run_id, is_locked in zip(ids, sent.locked, strict=True) if is_locked)
    return SliderState(dict(zip(ids, sent.weights, strict=True)), locked, sent.gesture, sent.shrinkage, sent.held)


_COMPONENT = component_from_files(__file__, "pitwall_weight_sliders")
