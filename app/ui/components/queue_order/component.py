"""The waiting runs as a list that is sorted by dragging, with the mouse or the keyboard, and by buttons in each row.

The browser shows a change at once and resends it until the server confirms it; then it shows the order of the store.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import streamlit as st

from app.ui.components.files import component_from_files

ActKind = Literal["move", "next", "up", "down", "pause", "resume"]


@dataclass(frozen=True)
class OrderRow:
    """One waiting run; `facts` is the text after its name."""

    run_id: int
    name: str
    color: str
    facts: str
    is_paused: bool


@dataclass(frozen=True)
class Act:
    """A change of the queue that was made in the browser. A "move" puts it behind the run `after` (None is the front), at `place` among those that wait."""

    number: int
    kind: ActKind
    run_id: int
    after: int | None
    place: int


def queue_order(
    rows: Sequence[OrderRow], *, n_waiting: int, can_steer: bool, labels: Mapping[str, str], apply: Callable[[Act], None], key: str
) -> None:
    """Show the list, of which `rows` is the beginning; `apply` is called once for each act, in order, before the page is drawn.

    `labels` are the texts, by the names that main.js uses; `{run}`, `{place}` and `{n}` in them are filled in by the browser.
    """
    answered_key = f"{key}-answered"

    def receive() -> None:
        for act in read_acts(st.session_state[key].get("acts"), answered=st.session_state.get(answered_key, 0)):
            st.session_state[answered_key] = act.number
            apply(act)

    _COMPONENT(
        key=key,
        data={
            "rows": [
                {"id": row.run_id, "name": row.name, "color": row.color, "facts": row.facts, "is_paused": row.is_paused} for row in rows
            ],
            "n_waiting": n_waiting,
            "can_steer": can_steer,
            "answered": st.session_state.get(answered_key, 0),
            "labels": dict(labels),
        },
        on_acts_change=receive,
    )


def read_acts(sent: Any, *, answered: int) -> list[Act]:
    """The well-formed acts that the browser sent and that were not applied yet, by their number."""
    acts: list[Act] = []
    for each in sent if isinstance(sent, list) else []:
        if not isinstance(each, Mapping) or each.get("kind") not in get_args(ActKind):
            continue
        numbers = [each.get(name) for name in ("number", "run", "place")]
        if all(type(number) is int for number in numbers) and (each.get("after") is None or type(each["after"]) is int):
            acts.append(Act(numbers[0], each["kind"], numbers[1], each.get("after"), numbers[2]))
    return sorted((act for act in acts if act.number > answered), key=lambda act: act.number)


_COMPONENT = component_from_files(__file__, "pitwall_queue_order")
