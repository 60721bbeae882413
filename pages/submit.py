"""From a finished run or a saved blend to the file the contest accepts: checked, written, downloaded, remembered."""

from __future__ import annotations

import streamlit as st

from app.shell import runtime
from app.submit.submit_view import checklist, class_balance, preview, submission_table, write_form
from app.ui.cards import empty_state, guard, need_contest, page_header
from app.ui.sources import candidate_of, choose_source, rank_sources
from app.words.text import t
from core.store.runs import list_runs

contest = need_contest(t("submit.title"))
store = runtime.workspace().store
sources = rank_sources(contest, complete=True)
if not sources:
    page_header(t("submit.title"), contest)
    is_working = any(run.state in ("queued", "running") for run in list_runs(store, contest.id))
    empty_state(
        t("submit.empty_title"),
        t("submit.empty_why"),
        t("submit.empty_button_runs" if is_working else "submit.empty_button"),
        page="runs" if is_working else "train",
        icon="outbox",
    )
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
                preview(contest, candidate)
            with middle:
                class_balance(contest, source, candidate)
            with right:
                checklist(contest, candidate)
                write_form(contest, source, candidate)
with guard():
    submission_table(contest)
