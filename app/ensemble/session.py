"""What the parts of the page Ensemble share: the desk of the session, and the aligned predictions of the runs on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from app.ensemble.draft import Desk, adapt, make_desk
from app.ui.sources import oof_of
from core.blend.ensemble import Ensemble, open_ensemble
from core.metrics.scores import Metric
from core.predictions.oof import shared_folds
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import Run
from core.workspace import Workspace

MOST_LEFT = 20


def open_desk(folds_id: int, ids: Sequence[int]) -> Desk:
    """This session's desk for the runs of these folds. One that was left for other runs is found again, with what can be undone."""
    key = f"desk-{folds_id}"
    now: Desk = st.session_state.get(key) or make_desk(ids)
    if set(now.ids) != set(ids):
        left_key = f"desks-left-{folds_id}"
        left: dict[frozenset[int], Desk] = {**(st.session_state.get(left_key) or {}), frozenset(now.ids): now}
        before = left.pop(frozenset(ids), None)
        if before is not None:
            now = replace(before, revision=1 + max(before.revision, now.revision))
        st.session_state[left_key] = dict(list(left.items())[-MOST_LEFT:])
    desk = adapt(now, ids)
    st.session_state[key] = desk
    return desk


def rank(runs: Sequence[Run], metric: Metric) -> list[Run]:
    """Finished runs, the best first."""
    sign = -1 if metric.greater_is_better else 1
    return sorted(runs, key=lambda run: (sign * (run.cv_score(metric.name) or 0.0), run.id))


def folds_key(contest_id: int) -> str:
    return f"ensemble-folds-{contest_id}"


def members_key(folds_id: int) -> str:
    return f"members-{folds_id}"


def content_of(contest: Contest, folds: Folds, members: Sequence[Run]) -> tuple[object, ...]:
    """What the scores of a blend of these runs depend on, and nothing else."""
    results = [(run.id, *(result.fingerprint for result in run.results)) for run in members]
    return contest.id, contest.version, contest.spec.metric, folds.fingerprint, *results


@st.cache_resource(max_entries=2, show_spinner=False)
def load_ensemble(content: tuple[object, ...], _workspace: Workspace, _contest: Contest, _members: Sequence[Run]) -> Ensemble:
    """The aligned predictions of these runs, on the folds that all have; `content` names what is in them, so nothing stale is found."""
    return open_ensemble(_workspace, _contest, _members, shared_folds(_members), read=oof_of)
