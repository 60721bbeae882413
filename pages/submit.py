"""From a finished run or a saved blend to the file the contest accepts: checked, written, downloaded, remembered."""

from __future__ import annotations

import streamlit as st

from app.shell import runtime
from app.submit.submit_view import checklist, class_balance, preview, submission_table, write_form
from app.ui.cards import guard, need_contest, nothing_yet, page_header
from app.ui.sources import candidate_of, choose_source, rank_sources
from app.words.text import t
from core.store.runs import list_runs

contest = need_contest(t("submit.title"))
store = runtime.workspace().store
sources = rank_sources(contest, complete=True)
if not sources:
    page_header(t("submit.title"), contest)
    nothing_yet("submit", is_working=any(run.state in ("queued", "running") for run in list_runs(store, contest.id)), icon="outbox")
else:
    header = st.container()
    source = choose_source(contest, sources)
    with header:
        page_header(t("submit.title"), contest, source.folds)
    with guard():
        body = st.container()
        with body.skeleton(height=420):
            candidate = candidate_of(source)
        with body:
            left, middle, right = st.columns([1.2, 1, 1.1], gap="medium")
            with left:
                preview(candidate)
            with middle:
                class_balance(contest, source, candidate)
            with right:
                checklist(contest, candidate)
                write_form(contest, source, candidate)
with guard():
    submission_table(contest)
