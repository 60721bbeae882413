"""A mark before the title of the browser's tab: a notification until somebody looks, else the progress of training."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from app.ui.components.files import component_from_files


@dataclass(frozen=True)
class Mark:
    """A text that the title shows until somebody looks at the tab; `number` grows within a session."""

    number: int
    text: str
    is_bad: bool


def tab_title(session: str, *, marks: Sequence[Mark], training: str) -> None:
    """Put the marks that nobody has seen, or else `training`, before the tab's title; of several the newest bad one.

    `session` names the session: the numbers of another one begin anew.
    """
    _COMPONENT(key="tab-title", data={"session": session, "marks": [asdict(mark) for mark in marks], "training": training})


_COMPONENT = component_from_files(__file__, "pitwall_tab_title")
