"""What the page Ensemble keeps for one browser session: one object under one key of `st.session_state`.

Widgets keep keys of their own where Streamlit demands it, because it holds a widget's value under the widget's key: the sliders, the part
that is open under the editor, and the pickers of the parts Compare, Members and Import and export. Controls that only show a value that is
held here (`control_of`) get a key for each value they show.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import streamlit as st

from app.ensemble.draft import BlendEditor, Draft, adapt, make_editor
from app.shell import runtime
from app.ui.sources import oof_of
from core.blend.ensemble import Ensemble, open_ensemble
from core.predictions.oof import shared_folds
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import Run

KEY = "ensemble"
MOST_SET_ASIDE, MOST_FOUND = 20, 100
Content = tuple[object, ...]
_T = TypeVar("_T")


@dataclass
class BlendState:
    """The blend on one set of folds: who takes part, the editor, what a control has asked for.

    `latest` is the last result of each name that is drawn live, with what it is of.
    """

    folds_id: int
    members: list[int] | None = None
    unfinished: str = "leave"
    editor: BlendEditor | None = None
    set_aside: dict[frozenset[int], BlendEditor] = field(default_factory=dict)
    asked: Mapping[str, Any] | None = None
    is_cross_fit_asked: bool = False
    chart: str = "folds"
    latest: dict[str, tuple[object, Any]] = field(default_factory=dict)

    def editor_of(self, ids: Sequence[int]) -> BlendEditor:
        """The editor for these runs. One that was left for other runs is found again, with what can be undone."""
        now = self.editor or make_editor(ids)
        if set(now.ids) != set(ids):
            before = self.set_aside.pop(frozenset(ids), None)
            self.set_aside[frozenset(now.ids)] = now
            keep_newest(self.set_aside, MOST_SET_ASIDE)
            now = now if before is None else replace(before, revision=1 + max(before.revision, now.revision))
        self.editor = adapt(now, ids)
        return self.editor

    def ask(self, **settings: Any) -> None:
        """Have settings of the procedure changed when the page is drawn."""
        self.asked = settings


@dataclass(frozen=True)
class Notice:
    """What is said after a run came in, and what nobody could check of it."""

    text: str
    is_suspect: bool
    unchecked: tuple[str, ...]


@dataclass
class EnsembleSession:
    """Everything the page keeps; `folds_ids` are the folds that were chosen, by contest, `joining` is a run
    that just came in, `to_delete` the saved blend whose deletion is to be confirmed, `to_rename` the one that is to have another name."""

    folds_ids: dict[int, int] = field(default_factory=dict)
    blends: dict[int, BlendState] = field(default_factory=dict)
    joining: Run | None = None
    to_delete: int | None = None
    to_rename: int | None = None
    notice: Notice | None = None
    n_imports: int = 0

    def on(self, folds_id: int) -> BlendState:
        """The blend on these folds."""
        return self.blends.setdefault(folds_id, BlendState(folds_id))


def session() -> EnsembleSession:
    """This browser session's."""
    return st.session_state.setdefault(KEY, EnsembleSession())


def take_joining(runs: Sequence[Run]) -> None:
    """Let the run join that the address names (`?join=r12`); the address forgets it."""
    ref = st.query_params.pop("join", None)
    session().joining = next((run for run in runs if run.ref == ref), session().joining)


@dataclass(frozen=True)
class OpenBlend:
    """What a run of the page works on: the runs' aligned predictions, named by `content`, and what the session keeps of their blend.

    It is made anew each time and not kept, so that a session holds no predictions. `n_others` runs could be members too.
    """

    contest: Contest
    ensemble: Ensemble
    content: Content
    kept: BlendState
    editor: BlendEditor
    n_others: int = 0

    @property
    def draft(self) -> Draft:
        return self.editor.draft

    @property
    def runs(self) -> tuple[Run, ...]:
        return self.ensemble.runs

    @property
    def classes(self) -> tuple[str, ...]:
        return self.contest.shown_classes

    def latest(self, name: str, of: object, make: Callable[[], _T], *, waits: bool, spinner: str) -> tuple[_T, bool]:
        """What `make` gives for `of`, and whether that is what is returned: while it `waits`, the one before it stays."""
        known = self.kept.latest.get(name)
        if known is None or (known[0] != of and not waits):
            with st.spinner(spinner):
                known = self.kept.latest[name] = of, make()
        return known[1], known[0] == of


def open_blend(contest: Contest, folds: Folds, members: Sequence[Run], n_others: int = 0) -> OpenBlend:
    """The runs that were chosen, opened. Raises AlignmentError when they do not fit each other."""
    kept, (content, ensemble) = session().on(folds.id), predictions_of(contest, folds, members)
    return OpenBlend(contest, ensemble, content, kept, kept.editor_of([run.id for run in members]), n_others)


def predictions_of(contest: Contest, folds: Folds, members: Sequence[Run]) -> tuple[Content, Ensemble]:
    """The runs' predictions on the folds that all have, from memory after the first time, and what names them, so that nothing stale is found."""
    results = [(run.id, run.name, *(result.fingerprint for result in run.results)) for run in members]
    content = (contest.id, contest.version, contest.spec.metric, folds.fingerprint, *results)
    return content, _open(content, contest, members)


@st.cache_resource(max_entries=2, show_spinner=False)
def _open(content: Content, _contest: Contest, _members: Sequence[Run]) -> Ensemble:
    return open_ensemble(runtime.workspace(), _contest, _members, shared_folds(_members), read=oof_of)


@st.cache_resource(max_entries=1, show_spinner=False)
def computed() -> dict[Content, Any]:
    """What was computed of blends, by content, for all sessions: cross-fitted scores and worths of members."""
    return {}


def keep_newest(kept: dict[Any, Any], most: int = MOST_FOUND) -> None:
    """Forget all but the newest entries."""
    for old in list(kept)[: max(0, len(kept) - most)]:
        kept.pop(old, None)  # another session may have been quicker
