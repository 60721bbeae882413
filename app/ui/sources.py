"""The run or saved blend that Errors and Submit show; it is kept in the address as `?source=b2`."""

import hashlib
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from app.shell import runtime, state
from app.shell.state import SOURCE_KEY
from app.shell.tables import table_of
from app.ui.cards import nothing_yet, page_header
from app.ui.format import format_score, metric_label, plain
from app.words.text import t
from core.analysis.strengths import Strengths, group_values, mean_strengths
from core.metrics.scores import get_metric
from core.predictions.source import OofMatrix, Source, list_sources, load_matrix
from core.store.contests import Contest
from core.store.runs import list_runs
from core.submission.write import Candidate, prepare

_PICKER = "source-picker"


def rank_sources(contest: Contest, *, complete: bool) -> list[Source]:
    """Blends and runs with predictions, the best first; `complete` leaves out runs that miss a fold.

    Those that stand on some folds only come last: their scores are of other rows.
    """
    metric = get_metric(contest.spec.metric)
    sign = -1 if metric.greater_is_better else 1
    found = [source for source in list_sources(runtime.workspace(), contest) if source.is_complete or not complete]
    return sorted(found, key=lambda source: (not source.is_whole, sign * (source.score(metric) or 0.0)))


def source_label(source: Source) -> str:
    """A source by name, kind and reference."""
    return f"{source.name} · {t(f'errors.kind_{source.kind}')} {source.ref}"


def open_source(contest: Contest, words: str, *, complete: bool, icon: str) -> Source | None:
    """The head of a page that shows one source, with its picker; where there is none, an empty state by the texts in `words`."""
    sources, header = rank_sources(contest, complete=complete), st.container()
    source = _choose(contest, sources) if sources else None
    with header:
        page_header(t(f"{words}.title"), contest, source and source.folds)
    if source is None:
        nothing_yet(words, list_runs(runtime.workspace().store, contest.id), icon)
    return source


def _choose(contest: Contest, sources: Sequence[Source]) -> Source:
    """The source in the address, else the last, else the best; an address that names something else is corrected, which is said.

    One that names none is left as it is: each change is a step of the browser's Back.
    """
    metric = get_metric(contest.spec.metric)
    by_ref = {source.ref: source for source in sources}
    addressed = st.query_params.get(SOURCE_KEY)
    asked = (addressed, state.remembered_source())
    st.session_state[_PICKER] = next((ref for ref in asked if ref in by_ref), next(iter(by_ref)))

    def label(ref: str) -> str:
        source = by_ref[ref]
        score = format_score(source.score(metric), source.spread(metric))
        part = "" if source.is_whole else f" ({len(source.scored_folds)}/{source.folds.n_folds})"
        return f"{source_label(source)} · {metric_label(metric.name)} {score}{part}"

    ref = st.selectbox(t("errors.source"), list(by_ref), format_func=label, key=_PICKER, on_change=_remember, width=460)
    if addressed and addressed != ref:
        st.toast(t("errors.source_gone", ref=plain(addressed)), icon=":material/search_off:", duration="long")
        st.query_params[SOURCE_KEY] = ref
    return by_ref[ref]


def _remember() -> None:
    """Put the choice into the address, which comes first."""
    state.remember_source(st.session_state[_PICKER])
    st.query_params[SOURCE_KEY] = st.session_state[_PICKER]


def _identity(source: Source) -> tuple[object, ...]:
    return source.contest.version, source.contest.class_names, source.content


BY_CONTENT: dict[Any, Any] = {"show_spinner": False, "hash_funcs": {Source: _identity}}
"""What is made of a source is kept once per process and content."""


@st.cache_resource(max_entries=24, **BY_CONTENT)
def oof_of(source: Source, fold_numbers: Collection[int] | None = None) -> NDArray[np.float32]:
    """A source's out-of-fold predictions. Shared by all sessions: never change them."""
    return source.oof(fold_numbers)


@st.cache_resource(max_entries=4, **BY_CONTENT)
def matrix_of_sources(*sources: Source) -> OofMatrix:
    """Out-of-fold predictions of sources beside the truth. Never change them."""
    return load_matrix(sources, read=oof_of)


@st.cache_resource(max_entries=4, **BY_CONTENT)
def candidate_of(source: Source) -> Candidate:
    """The submission a source would make."""
    return prepare(source)


@st.cache_resource(max_entries=8, **BY_CONTENT)
def strengths_of(source: Source, column: str, at_least: int, at_most: int) -> Strengths:
    """Means of a source's test predictions over a column. Never change them."""
    values = group_values(table_of(source.contest).test, column)
    return mean_strengths(source.test(), values, source.contest.shown_classes, at_least=at_least, at_most=at_most)


@st.cache_resource(max_entries=64, **BY_CONTENT)
def digest_of(source: Source) -> str:
    """The sha256 of the file a source would make, as it is kept for submissions."""
    return hashlib.sha256(candidate_of(source).data).hexdigest()
