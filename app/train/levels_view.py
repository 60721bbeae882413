"""On the page Train, under the form: which coarse class each class has, and the form's recipe beside the one without levels."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from app.shell import runtime
from app.train.pretraining_view import gain_of
from app.train.recipe_view import RecipeForm, checked, launch
from app.ui.cards import guard
from app.ui.format import plain
from app.words.text import t
from core.analysis.pairs import level_pairs
from core.recipes.levels import make_flat, propose_coarse
from core.recipes.plan import ReadPlan
from core.store.contests import Contest
from core.store.folds import Folds

COARSE = "coarse"
LEAST_CLASSES = 3
MOST_ROWS, TABLE_PX = 12, 420


def levels_box(contest: Contest, folds: Folds, form: RecipeForm) -> None:
    """A table of classes and coarse classes that fills the form, and a button that queues both; drawn while it is open, where a row has one class."""
    classes = contest.spec.classes
    if contest.spec.is_multilabel or len(classes) < LEAST_CLASSES or form.values["model"]["backbone"].startswith("tfidf"):
        return
    box = st.expander(t("train.levels"), icon=":material/account_tree:", key=f"levels-{contest.id}", on_change="rerun", type="compact")
    if not box.open:
        return
    with box, guard():
        st.caption(t("train.levels_note"))
        given = tuple(form.values["loss"]["coarse"])
        begins = given if len(given) == len(classes) else propose_coarse(classes) or classes
        coarse = _table(contest, begins)
        is_none = not 1 < len(set(coarse)) < len(classes) or not all(coarse)
        with st.container(horizontal=True, gap="small"):
            st.button(
                t("train.levels_use"), icon=":material/check:", disabled=is_none, on_click=_use, args=(form, coarse), key="levels-use"
            )
            is_two = form.values["model"]["two_levels"]
            if st.button(
                t("train.levels_pair"),
                icon=":material/compare_arrows:",
                help=t("train.levels_pair_help"),
                disabled=not is_two or runtime.is_read_only(),
                key="levels-pair",
            ):
                _pair(contest, folds, form)
        if is_none:
            st.caption(t("train.levels_none"))
        _gains(contest)


def _table(contest: Contest, begins: Sequence[str]) -> tuple[str, ...]:
    """The mapping as it is edited: the coarse class of each class, in their order."""
    table = pd.DataFrame({"class": contest.shown_classes, COARSE: list(begins)})
    edited = st.data_editor(
        table,
        hide_index=True,
        disabled=["class"],
        height="content" if len(table) <= MOST_ROWS else TABLE_PX,
        key=f"levels-{contest.id}-{'|'.join(begins)}",
        column_config={
            "class": st.column_config.TextColumn(t("train.levels_class")),
            COARSE: st.column_config.TextColumn(t("train.levels_coarse"), required=True),
        },
    )
    return tuple(str(name).strip() for name in edited[COARSE])


def _use(form: RecipeForm, coarse: Sequence[str]) -> None:
    st.session_state[f"{form.key}.loss.coarse"] = "\n".join(coarse)
    st.session_state[f"{form.key}.model.two_levels"] = True


def _pair(contest: Contest, folds: Folds, form: RecipeForm) -> None:
    """Queue the form's recipe without and with its levels, on all folds."""
    recipe = checked(contest, form.values)
    if recipe is not None and launch(contest, folds, ReadPlan.of([make_flat(recipe), recipe]), [*range(folds.n_folds)]):
        st.rerun()


def _gains(contest: Contest) -> None:
    """What the finished pairs say, the newest first."""
    for flat, two in level_pairs(runtime.workspace().store, contest.id)[:3]:
        st.caption(t("train.levels_gain", name=plain(two.name), flat=plain(flat.name), gain=gain_of(flat, two)))
