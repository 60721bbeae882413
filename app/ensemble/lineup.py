"""Who takes part on the page Ensemble: the folds, the runs on them, and what becomes of runs that miss folds: a person's choice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import streamlit as st

from app.ensemble.session import folds_key, members_key, rank
from app.ui.controls import control_of
from app.ui.format import format_score, plain, short_hash
from app.words.text import t
from core.metrics.scores import get_metric
from core.predictions.oof import shared_folds
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import Run

MOST_AT_FIRST = 8
CHOICES = ("leave", "share")
PARTS = ("saved", "compare", "members", "exchange")
_JOINING = "joining-run"
_T = TypeVar("_T")


def choose_folds(contest: Contest, folds_list: Sequence[Folds], runs: Sequence[Run]) -> Folds:
    """The folds whose runs are blended; asked only when runs with predictions stand on several."""
    count = {folds.id: sum(run.folds_id == folds.id for run in runs) for folds in folds_list}
    options = {folds.id: folds for folds in folds_list if count[folds.id]}
    joining = _joining(contest.id)
    if joining is not None and joining.folds_id in options:
        st.session_state[folds_key(contest.id)] = joining.folds_id
    if len(options) == 1:
        return next(iter(options.values()))

    def label(folds_id: int) -> str:
        folds = options[folds_id]
        return t("members.folds_option", n=folds.n_folds, hash=short_hash(folds.fingerprint), runs=count[folds_id])

    offered = sorted(options, key=lambda key: -count[key])
    if st.session_state.get(folds_key(contest.id)) not in options:
        st.session_state[folds_key(contest.id)] = offered[0]
    key, default, changed = _kept(folds_key(contest.id), st.session_state[folds_key(contest.id)])
    chosen = st.selectbox(
        t("ensemble.folds"),
        offered,
        offered.index(default) if default in offered else 0,
        format_func=label,
        key=key,
        on_change=changed,
        width=320,
    )
    return options.get(chosen) or options[offered[0]]


def choose_members(contest: Contest, folds: Folds, runs: Sequence[Run]) -> list[Run]:
    """The runs that take part, best first; at first the best eight that have all folds.

    A run that misses folds can be chosen only after a person said that the blend may stand on the folds that all have.
    """
    metric = get_metric(contest.spec.metric)
    here = [run for run in runs if run.folds_id == folds.id and run.results]
    unfinished = [run for run in here if len(run.results) < folds.n_folds]
    whole = [run for run in here if run not in unfinished]
    is_shared = bool(unfinished) and _choose_unfinished(folds, unfinished) == "share"
    offered = rank(whole, metric) + (rank(unfinished, metric) if is_shared else [])
    by_id = {run.id: run for run in offered}
    key = members_key(folds.id)
    if key in st.session_state:  # runs may have been deleted since they were chosen
        st.session_state[key] = [run_id for run_id in st.session_state[key] if run_id in by_id]
    else:
        st.session_state[key] = [run.id for run in offered if run in whole][:MOST_AT_FIRST]
    joining = _joining(contest.id)
    if joining is not None and joining.id in by_id:
        del st.session_state[_JOINING]
        st.session_state[key] = list(dict.fromkeys([*st.session_state[key], joining.id]))

    def label(run_id: int) -> str:
        run = by_id[run_id]
        part = "" if run in whole else f" ({len(run.results)}/{folds.n_folds})"
        return f"{plain(run.name)} · {format_score(run.cv_score(metric.name))}{part}"

    widget_key, default, changed = _kept(key, st.session_state[key])
    chosen = set(
        st.pills(
            t("ensemble.members"),
            list(by_id),
            default=[run_id for run_id in default if run_id in by_id],
            format_func=label,
            selection_mode="multi",
            key=widget_key,
            on_change=changed,
        )
    )
    if not chosen:
        st.caption(t("ensemble.choose_why" if offered else "members.none_whole"))
    return [run for run in offered if run.id in chosen]


def count_others(folds: Folds, members: Sequence[Run], runs: Sequence[Run]) -> int:
    """Runs with all folds that were not chosen: a choice that may have been made by their scores."""
    chosen = {run.id for run in members}
    return sum(run.folds_id == folds.id and len(run.results) == folds.n_folds and run.id not in chosen for run in runs)


def say_restriction(folds: Folds, members: Sequence[Run]) -> None:
    """Where not all members have all folds: on which folds the blend stands, and who misses which."""
    missing = {run.name: sorted(set(range(folds.n_folds)) - {result.fold for result in run.results}) for run in members}
    if not any(missing.values()):
        return
    together = shared_folds(members)
    who = " · ".join(f"**{plain(name)}** {_numbers(gone)}" for name, gone in missing.items() if gone)
    lines = [t("members.restricted", folds=_numbers(together), n=folds.n_folds, who=who)]
    if len(together) == 1:
        lines.append(t("members.one_fold"))
    if together:
        st.warning(" ".join([*lines, t("members.restricted_test")]), icon=":material/filter_alt:")


def left_out_runs(folds: Folds, folds_list: Sequence[Folds], runs: Sequence[Run]) -> None:
    """Name the runs that cannot be blended here, each with its reason."""
    by_id = {other.id: other for other in folds_list}
    is_shared = st.session_state.get(shared_key(folds.id)) == "share"
    lines: list[str] = []
    for run in runs:
        if run.folds_id != folds.id:
            lines.append(f"**{plain(run.name)}**: " + t("ensemble.reason_folds", hash=short_hash(by_id[run.folds_id].fingerprint)))
        elif len(run.results) < folds.n_folds and not (is_shared and run.results):
            lines.append(f"**{plain(run.name)}**: " + t("ensemble.reason_unfinished", done=len(run.results), n=folds.n_folds))
    if lines:
        with st.expander(t("ensemble.left_out", n=len(lines)), icon=":material/block:"):
            st.markdown("\n".join(f"- {line}" for line in lines))


def choose_part() -> str:
    """What is shown under the bench."""
    st.session_state.setdefault("ensemble-part", PARTS[0])
    chosen = st.segmented_control(
        t("members.parts"),
        PARTS,
        format_func=lambda part: t(f"members.part_{part}"),
        required=True,
        key="ensemble-part",
        label_visibility="collapsed",
        persist_state="session",
    )
    return chosen or PARTS[0]


def join_next(contest_id: int, run: Run) -> None:
    """Make a run that just came in a member when the page is drawn next."""
    st.session_state[_JOINING] = (contest_id, run)


def _joining(contest_id: int) -> Run | None:
    contest, run = st.session_state.get(_JOINING, (None, None))
    return run if contest == contest_id else None


def shared_key(folds_id: int) -> str:
    """Where this session keeps what becomes of runs that miss folds."""
    return f"unfinished-{folds_id}"


def _choose_unfinished(folds: Folds, unfinished: Sequence[Run]) -> str:
    key, default, changed = _kept(shared_key(folds.id), st.session_state.get(shared_key(folds.id), CHOICES[0]))
    chosen = st.segmented_control(
        t("members.unfinished", n=len(unfinished)),
        CHOICES,
        default=default,
        format_func=lambda choice: t(f"members.unfinished_{choice}"),
        required=True,
        key=key,
        on_change=changed,
        help=t("members.unfinished_help"),
    )
    return chosen or CHOICES[0]


def _kept(key: str, value: _T) -> tuple[str, _T, Callable[[], None]]:
    """A control of a choice that this session keeps under `key`, where other parts of the page change it too."""
    return control_of(f"pick-{key}", value, lambda chosen: st.session_state.update({key: chosen}))


def _numbers(folds: Sequence[int]) -> str:
    return ", ".join(map(str, folds))
