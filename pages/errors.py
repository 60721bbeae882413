"""Where a run or a blend is wrong: which classes are confused or missed, down to the sample and its probabilities."""

from __future__ import annotations

import streamlit as st

from app.errors.confusion import Confusion
from app.errors.outcomes import Outcomes
from app.shell import runtime
from app.ui.cards import guard, need_contest, nothing_yet, page_header
from app.ui.sources import choose_source, matrix_of_sources, rank_sources
from app.words.text import t
from core.store.runs import list_runs

contest = need_contest(t("errors.title"))
store = runtime.workspace().store
sources = rank_sources(contest, complete=False)
if not sources:
    page_header(t("errors.title"), contest)
    nothing_yet("errors", is_working=any(run.state in ("queued", "running") for run in list_runs(store, contest.id)), icon="grid_on")
    st.stop()

header = st.container()
source = choose_source(contest, sources)
with header:
    page_header(t("errors.title"), contest, source.folds)
with guard():
    body = st.container()
    with body.skeleton(height=520):
        oof = matrix_of_sources(source)
    with body:
        (Outcomes if oof.is_multilabel else Confusion)(source, oof).show()
