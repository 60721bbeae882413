"""What Errors and Submit look at: a run or a saved blend, chosen once and kept in the address as `?source=b2`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import streamlit as st

from app.shell import runtime
from app.ui.format import format_score, metric_label
from app.words.text import t
from core.analysis.evidence import Evidence, load_evidence
from core.metrics.scores import Metric, get_metric
from core.store.blends import Blend, list_blends
from core.store.contests import Contest
from core.store.folds import list_folds
from core.store.runs import Run, list_runs
from core.submission.write import Candidate, prepare
from core.workspace import Workspace

SOURCE_KEY = "source"
_PICKER = "source-picker"
_LAST = "selected_source"


def score_of(source: Run | Blend, metric: Metric) -> float | None:
    """What a source scores: the mean of its folds, of a blend as it was saved."""
    return source.scores["cv_score"] if isinstance(source, Blend) else source.cv_score(metric.name)


def spread_of(source: Run | Blend, metric: Metric) -> float | None:
    """The standard deviation of a source's fold scores."""
    return source.scores["cv_sd"] if isinstance(source, Blend) else source.cv_sd(metric.name)


def list_sources(contest: Contest, *, complete: bool) -> list[Run | Blend]:
    """Blends and runs with predictions, the best first; `complete` leaves out runs that miss a fold.

    Those that stand on some folds only come last: their scores are of other rows.
    """
    store, metric = runtime.workspace().store, get_metric(contest.spec.metric)
    runs = [run for run in list_runs(store, contest.id) if run.results and (run.is_complete or not complete)]
    n_folds = {folds.id: folds.n_folds for folds in list_folds(store, contest.id)}
    sign = -1 if metric.greater_is_better else 1
    found: list[Run | Blend] = [*list_blends(store, contest.id), *runs]
    return sorted(
        found, key=lambda source: (n_scored(source, n_folds) < n_folds[source.folds_id], sign * (score_of(source, metric) or 0.0))
    )


def n_scored(source: Run | Blend, n_folds: Mapping[int, int]) -> int:
    """The number of folds that a source's score is of; `n_folds` of each split by its id."""
    if isinstance(source, Blend):
        return len(source.spec.folds) or n_folds[source.folds_id]
    return len(source.results)


def choose_source(contest: Contest, sources: Sequence[Run | Blend]) -> Run | Blend:
    """The source in the address, else the best; an address that names something else is corrected."""
    metric = get_metric(contest.spec.metric)
    n_folds = {folds.id: folds.n_folds for folds in list_folds(runtime.workspace().store, contest.id)}
    by_ref = {source.ref: source for source in sources}
    asked = (st.query_params.get(SOURCE_KEY), st.session_state.get(_LAST))
    st.session_state[_PICKER] = next((ref for ref in asked if ref in by_ref), next(iter(by_ref)))

    def label(ref: str) -> str:
        source = by_ref[ref]
        kind = t("errors.kind_blend" if isinstance(source, Blend) else "errors.kind_run")
        score = format_score(score_of(source, metric), spread_of(source, metric))
        done, n = n_scored(source, n_folds), n_folds[source.folds_id]
        part = "" if done == n else f" ({done}/{n})"
        return f"{source.name} · {kind} {ref} · {metric_label(metric.name)} {score}{part}"

    ref = st.selectbox(t("errors.source"), list(by_ref), format_func=label, key=_PICKER, on_change=_remember, width=460)
    if st.query_params.get(SOURCE_KEY) != ref:
        st.query_params[SOURCE_KEY] = ref
    return by_ref[ref]


def _remember() -> None:
    """A choice goes into the address, which comes first, and into the session, for a link that does not name a source."""
    st.query_params[SOURCE_KEY] = st.session_state[_LAST] = st.session_state[_PICKER]


def evidence_of(contest: Contest, source: Run | Blend) -> Evidence:
    """Out-of-fold predictions of a source, read once per process and content. Shared by all sessions: never change them."""
    return _evidence(contest.id, content_of(source), runtime.workspace(), contest, source)


def candidate_of(contest: Contest, source: Run | Blend) -> Candidate:
    """The submission a source would make, built once per process and content."""
    return _candidate(contest.id, content_of(source), runtime.workspace(), contest, source)


def digest_of(contest: Contest, source: Run | Blend) -> str:
    """The sha256 of the file a source would make, as the ledger keeps it."""
    return _digest(contest.id, content_of(source), candidate_of(contest, source))


def content_of(source: Run | Blend) -> tuple[str, ...]:
    """What a source's predictions are made of: equal content is equal predictions."""
    return (source.fingerprint,) if isinstance(source, Blend) else tuple(result.fingerprint for result in source.results)


@st.cache_resource(max_entries=4, show_spinner=False)
def _evidence(contest_id: int, content: tuple[str, ...], _workspace: Workspace, _contest: Contest, _source: Run | Blend) -> Evidence:
    return load_evidence(_workspace, _contest, _source)


@st.cache_resource(max_entries=4, show_spinner=False)
def _candidate(contest_id: int, content: tuple[str, ...], _workspace: Workspace, _contest: Contest, _source: Run | Blend) -> Candidate:
    return prepare(_workspace, _contest, _source)


@st.cache_resource(max_entries=64, show_spinner=False)
def _digest(contest_id: int, content: tuple[str, ...], _made: Candidate) -> str:
    return hashlib.sha256(_made.data).hexdigest()
