"""Folds: which rows validate which model, and whether every class is in every fold."""

import streamlit as st

from app.contest.folds_view import balance_view, folds_table, make_form
from app.shell import runtime, state
from app.ui.cards import empty_state, need_contest, onward, page_header, section
from app.ui.controls import pick_folds
from app.words.text import t
from core.store.folds import list_folds

contest = need_contest(t("folds.title"))
known = list_folds(runtime.workspace().store, contest.id)
page_header(t("folds.title"), contest, state.selected_folds(contest))
left, right = st.columns([5, 7], gap="large")
with left:
    section(t("folds.make"))
    make_form(contest)
    if known:
        section(t("folds.list"))
        folds_table(contest, known)
with right:
    if not known:
        section(t("folds.balance"))
        empty_state(t("folds.empty_title"), t("folds.empty_why"), icon="stacks")
    else:
        with section(t("folds.balance")):
            chosen = pick_folds(contest)
        if chosen is not None:
            balance_view(contest, chosen)
            onward(t("folds.next"), "train")
