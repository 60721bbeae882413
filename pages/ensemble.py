"""Weigh finished runs against each other: the score moves while the pointer moves, and a blend is saved with its predictions."""

import streamlit as st

from app.ensemble.editor import blend_editor
from app.ensemble.exchange import exchange_view
from app.ensemble.lineup import choose_folds, choose_members, choose_part, count_others, left_out_runs, say_epoch_choice, say_restriction
from app.ensemble.members import members_view
from app.ensemble.saved import blend_compare, plan_starts, saved_blends
from app.ensemble.session import take_joining
from app.shell import runtime
from app.ui.cards import guard, need_contest, nothing_yet, page_header
from app.words.text import t
from core.store.blends import free_blend_name
from core.store.folds import list_folds
from core.store.runs import list_runs

contest = need_contest(t("ensemble.title"))
store = runtime.workspace().store
runs = list_runs(store, contest.id)
folds_list = list_folds(store, contest.id)
begun = [run for run in runs if run.results]

if not begun:
    page_header(t("ensemble.title"), contest)
    nothing_yet("ensemble", runs, "balance")
    if folds_list:
        exchange_view(contest, folds_list[0], folds_list)
    st.stop()

take_joining(begun)
header = st.container()
folds = choose_folds(contest, folds_list, begun)
with header:
    page_header(t("ensemble.title"), contest, folds)
members = choose_members(contest, folds, begun)
left_out_runs(folds, folds_list, runs)
with guard():
    if members:
        say_restriction(folds, members)
        say_epoch_choice(contest, folds, members)
        blend_editor(contest, folds, members, count_others(folds, members, begun), free_blend_name(store, contest.id, "blend"))
part = choose_part()
with guard():
    if part == "saved":
        plan_starts(contest, begun)
        saved_blends(contest, begun)
    elif part == "compare":
        blend_compare(contest, {run.id: run.name for run in runs})
    elif part == "members":
        members_view(contest, folds, members)
    elif part == "exchange":
        exchange_view(contest, folds, folds_list)
