"""Train: pick a backbone, fill in the recipe, see what it will do, queue it."""

import streamlit as st

from app.shell import state
from app.train.levels_view import levels_box
from app.train.pretraining_view import pretraining_box
from app.train.recipe_view import choose_backbone, queue_view, recipe_form
from app.ui.cards import empty_state, need_contest, page_header
from app.words.text import t

contest = need_contest(t("train.title"))
folds = state.selected_folds(contest)
page_header(t("train.title"), contest, folds)
if folds is None:
    if empty_state(t("train.no_folds_title"), t("train.no_folds_why"), t("train.no_folds_button"), icon="stacks"):
        state.go_to("folds")
    st.stop()

top = st.container()
left, right = st.columns([7, 4.6], gap="medium")
with left:
    form = recipe_form(contest)
    levels_box(contest, folds, form)
with top:
    listed = choose_backbone(contest, form)
    pretraining_box(contest, folds, form, listed.backbone if listed else None)
with right, st.container(key="train-plan"):
    queue_view(contest, folds, form, listed)
