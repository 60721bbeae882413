"""All runs of a contest with the queue and live progress; `?run=r12` opens one of them."""

import streamlit as st

from app.runs.run_list import run_list
from app.runs.run_view import run_view
from app.shell import runtime, state
from app.ui.cards import empty_state, need_contest, page_header
from app.ui.format import plain
from app.words.text import t
from core.base.errors import NotFoundError
from core.store.folds import get_folds
from core.store.runs import get_run, list_runs

contest = need_contest(t("runs.title"))
store = runtime.workspace().store
ref = st.query_params.get(state.RUN_KEY)
run = None
if ref:
    try:
        run = get_run(store, ref)
    except NotFoundError:
        st.toast(t("runs.gone", ref=plain(ref)), icon=":material/search_off:")
    if run is None or run.contest_id != contest.id:  # deleted, or the contest was changed in the picker
        run = None
        state.select_run(None)

if run is not None:
    folds = get_folds(store, run.folds_id)
    page_header(t("runs.title"), contest, folds, part=run.name)
    run_view(contest, run, folds)
elif runs := list_runs(store, contest.id):
    on = {item.folds_id for item in runs}
    page_header(t("runs.title"), contest, get_folds(store, on.pop()) if len(on) == 1 else None)
    run_list(contest, runs)
else:
    page_header(t("runs.title"), contest)
    empty_state(t("runs.empty_title"), t("runs.empty_why"), t("runs.empty_button"), page="train", icon="monitoring")
