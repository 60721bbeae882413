"""Who takes part on the page Ensemble: folds, runs, and their aligned predictions. The bench is in `bench.py`, kept blends in `saved_blends.py`."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app.desk import Desk, adapt
from app.text import t
from app.weight_bank import equal_state
from app.widgets import format_score, plain, short_hash
from core.blend.bank import Bank, open_bank
from core.metrics import Metric, get_metric
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import Run
from core.workspace import Workspace

MOST_AT_FIRST = 8


def choose_folds(contest: Contest, folds_list: Sequence[Folds], finished: Sequence[Run]) -> Folds:
    """The folds whose runs are blended; asked only when finished runs stand on several."""
    count = {folds.id: sum(run.folds_id == folds.id for run in finished) for folds in folds_list}
    options = {folds.id: folds for folds in folds_list if count[folds.id]}
    if len(options) == 1:
        return next(iter(options.values()))

    def label(folds_id: int) -> str:
        folds = options[folds_id]
        return t("ensemble.folds_option", n=folds.n_folds, hash=short_hash(folds.fingerprint), runs=count[folds_id])

    chosen = st.selectbox(
        t("ensemble.folds"),
        sorted(options, key=lambda key: -count[key]),
        format_func=label,
        key=folds_key(contest.id),
        persist_state="session",
        width=320,
    )
    return options.get(chosen) or next(iter(options.values()))


def choose_members(contest: Contest, folds: Folds, finished: Sequence[Run]) -> list[Run]:
    """The runs that take part, best first; at first the best eight."""
    metric = get_metric(contest.spec.metric)
    runs = rank([run for run in finished if run.folds_id == folds.id], metric)
    by_id = {run.id: run for run in runs}
    key = members_key(folds.id)
    if key in st.session_state:  # runs may have been deleted since they were chosen
        st.session_state[key] = [run_id for run_id in st.session_state[key] if run_id in by_id]
    else:
        st.session_state[key] = list(by_id)[:MOST_AT_FIRST]
    chosen = st.pills(
        t("ensemble.members"),
        list(by_id),
        format_func=lambda run_id: f"{plain(by_id[run_id].name)} · {format_score(by_id[run_id].cv_score(metric.name))}",
        selection_mode="multi",
        key=key,
        persist_state="session",
    )
    return [run for run in runs if run.id in set(chosen)]


def left_out_runs(folds: Folds, folds_list: Sequence[Folds], runs: Sequence[Run]) -> None:
    """Name the runs that cannot be blended here, each with its reason."""
    by_id = {other.id: other for other in folds_list}
    lines = []
    for run in runs:
        if run.folds_id != folds.id:
            lines.append(f"**{plain(run.name)}**: " + t("ensemble.reason_folds", hash=short_hash(by_id[run.folds_id].fingerprint)))
        elif len(run.results) != folds.n_folds:
            lines.append(f"**{plain(run.name)}**: " + t("ensemble.reason_unfinished", done=len(run.results), n=folds.n_folds))
    if lines:
        with st.expander(t("ensemble.left_out", n=len(lines)), icon=":material/block:"):
            st.markdown("\n".join(f"- {line}" for line in lines))


def open_desk(folds_id: int, ids: Sequence[int]) -> Desk:
    """This session's desk for the runs of these folds."""
    key = f"desk-{folds_id}"
    desk = adapt(st.session_state.get(key) or Desk(equal_state(ids)), ids)
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
    return contest.id, contest.fingerprint, contest.spec.metric, folds.fingerprint, *results


@st.cache_resource(max_entries=2, show_spinner=False)
def load_bank(content: tuple[object, ...], _workspace: Workspace, _contest: Contest, _members: Sequence[Run]) -> Bank:
    """The aligned predictions of these runs; `content` names what is in them, so nothing stale is ever found."""
    return open_bank(_workspace, _contest, _members)
