"""Data: what was understood of a contest, its samples and classes; and the way to add another."""

import streamlit as st

from app.contest.contest_view import distribution, found, next_step, samples, understood
from app.contest.correct_view import correction, named_classes
from app.contest.extra_rows_view import extra_rows
from app.contest.intake import NEXT_VIEW, intake
from app.shell import state
from app.shell.tables import table_of
from app.ui.cards import error_card, guard, page_header, section
from app.words.text import t
from core.base.errors import PitwallError

contest = state.selected_contest()
page_header(t("data.title"), contest)
view = "add"
if NEXT_VIEW in st.session_state:
    st.session_state["data-view"] = st.session_state.pop(NEXT_VIEW)
if contest is not None:
    if "data-view" not in st.session_state:
        st.session_state["data-view"] = "add" if st.query_params.get("view") == "add" else "contest"
    view = st.segmented_control(
        t("data.title"),
        ["contest", "add"],
        format_func=lambda name: t(f"data.view_{name}"),
        required=True,
        key="data-view",
        label_visibility="collapsed",
    )
if view == "contest" and contest is not None:
    body = st.container()
    try:
        with body.skeleton(height=620):
            table_of(contest)
    except PitwallError as error:  # the images may have been moved, and where they are now is said in the correction
        error_card(error)
        st.session_state.setdefault(f"correcting-{contest.id}", True)
        correction(contest)
        st.stop()
    left, right = body.columns([5, 7], gap="large")
    with left:
        section(t("data.understood"))
        understood(contest)
        named_classes(contest)
        correction(contest)
        with guard():
            found(contest)
        distribution(contest)
        next_step(contest)
    with right:
        samples(contest)
        extra_rows(contest)
else:
    intake()
