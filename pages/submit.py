"""From a finished run or a saved blend to the file the contest accepts: checked, written, downloaded, remembered."""

import streamlit as st

from app.submit.strengths_view import strengths
from app.submit.submit_view import checklist, class_balance, preview, submission_table, write_form
from app.ui.cards import guard, need_contest
from app.ui.sources import candidate_of, open_source
from app.words.text import t

contest = need_contest(t("submit.title"))
source = open_source(contest, "submit", complete=True, icon="outbox")
with guard():
    if source is not None:
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
    if source is not None:
        strengths(contest, source)
with guard():
    submission_table(contest)
