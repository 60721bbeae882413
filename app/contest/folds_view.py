"""The parts of the page Folds: the form that makes folds, the list of them, and the balance of classes over one."""

from collections import Counter

import numpy as np
import pandas as pd
import streamlit as st

from app.contest.contest_view import kept_labels
from app.shell import runtime, state
from app.shell.tables import groups_of, pairs_of, table_of, truth_of
from app.ui.cards import guard
from app.ui.charts import draw, fold_balance
from app.ui.format import plain, short_hash
from app.ui.forms import settings_form
from app.ui.ways_back import ask_removal
from app.words.core_text import say
from app.words.text import t
from core.analysis.overview import furthest_from_even
from core.base.errors import InputError
from core.base.settings import parse_settings
from core.folds import first_spec, fold_parts, group_columns, save_folds
from core.specs.folds import FoldsSpec
from core.splitting import FoldPairs, class_balance, rare_classes, remarks, say_rare
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import list_runs

SCROLL_PX = 620
MAX_CLASSES = 100
"""A browser takes seconds to draw the cells of thousands of classes."""


UNUSED = {
    **dict.fromkeys(("stratified", "kfold"), ("group_column", "fold_column")),
    **dict.fromkeys(("group", "stratified_group"), ("fold_column",)),
    "column": ("n_folds", "seed", "group_column", "repeats"),
}
"""The settings that a kind of folds has no use for."""


def make_form(contest: Contest) -> None:
    """The form over FoldsSpec; a column is asked for only by the kinds that need one, and rare classes are named before folds are made."""
    key, start, spec = f"folds-{contest.id}", first_spec(contest), contest.spec
    kind = st.session_state.get(f"{key}.kind", start.kind)
    columns = group_columns(table_of(contest).train)
    with st.container(border=True):
        values = settings_form(
            start,
            key,
            texts="split",
            skip=(*UNUSED[kind], "keep_rare"),
            options={"group_column": columns, "fold_column": columns},
        )
        if "group_column" in UNUSED[kind]:
            values["group_column"] = ""
        labels = kept_labels(contest)
        if kind != "column" and len(rare_classes(labels, len(spec.classes), values["n_folds"], multilabel=spec.is_multilabel)):
            values["keep_rare"] = st.toggle(t("split.keep_rare"), key=f"{key}.keep_rare", persist_state="session")
            rare = say_rare(labels, contest.shown_classes, values["n_folds"], keep_rare=values["keep_rare"], multilabel=spec.is_multilabel)
            st.caption(f":orange[{plain(say(rare))}]")
        st.caption(t("folds.make_note"))
        pressed = st.button(t("folds.make"), type="primary", icon=":material/stacks:")
    if pressed:
        with guard(), st.spinner(t("folds.making")):
            folds = save_folds(runtime.workspace(), contest, parse_settings(FoldsSpec, values, where=t("folds.title"), error=InputError))
            state.select_folds(folds)
            st.toast(t("folds.made", hash=short_hash(folds.fingerprint)), icon=":material/check:")
            st.rerun()


def folds_table(contest: Contest, known: tuple[Folds, ...]) -> None:
    """All folds of the contest with the number of runs on each."""
    n_runs = Counter(run.folds_id for run in list_runs(runtime.workspace().store, contest.id))
    frame = pd.DataFrame(
        {
            "hash": [f"#{short_hash(folds.fingerprint)}" for folds in known],
            "kind": [t(f"split.kind={folds.kind}") for folds in known],
            "n": [folds.n_folds for folds in known],
            "seed": [folds.seed for folds in known],
            "group": [folds.group_column or folds.spec.fold_column or "–" for folds in known],
            "runs": [n_runs[folds.id] for folds in known],
            "made": pd.to_datetime([folds.created_at for folds in known], unit="s", utc=True),
        }
    )
    config = {name: t(f"folds.col_{name}") for name in ("hash", "kind", "n", "seed", "group", "runs")}
    made = st.column_config.DatetimeColumn(t("folds.col_made"), format="MM-DD HH:mm")
    event = st.dataframe(
        frame,
        hide_index=True,
        key="folds-" + "-".join(str(folds.id) for folds in known),
        on_select="rerun",
        selection_mode="multi-row",
        alt=t("folds.list"),
        column_config={**config, "made": made},
    )
    ticked = [known[row].id for row in event.selection.rows if row < len(known)]
    if ticked and st.button(t("trash.delete_some", n=len(ticked)), icon=":material/delete:", key="delete-folds"):
        ask_removal({"folds": ticked})


def balance_view(contest: Contest, folds: Folds) -> None:
    """Rows of every class in every fold, and the cell that is furthest from an even share."""
    classes = list(contest.shown_classes)
    truth = truth_of(contest)
    pairs, labels = pairs_of(folds).keeping(truth.kept), truth.labels
    balance = class_balance(pairs, labels, len(classes), multilabel=contest.spec.is_multilabel)
    per_fold = [len(pairs.valid_idx(fold)) for fold in range(pairs.n_folds)]
    fold, label, off = furthest_from_even(balance)
    name = plain(classes[label])
    least, most = min(per_fold), max(per_fold)
    rows = t("folds.rows_same", least=least) if least == most else t("folds.rows_range", least=least, most=most)
    st.caption(t("folds.balance_note" if abs(off) >= 0.05 else "folds.balance_even", rows=rows, name=name, fold=fold, off=off))
    if folds.kind == "column":
        parts = fold_parts(runtime.workspace(), contest, folds)
        said = " · ".join(t("folds.part", fold=number, name=plain(value)) for number, value in enumerate(parts))
        st.caption(t("folds.parts", column=plain(folds.spec.fold_column), parts=said))
    for remark in remarks(pairs, folds.spec, labels, contest.shown_classes, groups_of(contest), multilabel=contest.spec.is_multilabel):
        st.caption(f":orange[{plain(say(remark))}]")
    _say_repeats(pairs)
    if contest.spec.is_multilabel and not labels.any(axis=1).all():
        classes.append(t("folds.no_class"))
        n_empty = [int((~labels[pairs.valid_idx(fold)].any(axis=1)).sum()) for fold in range(pairs.n_folds)]
        balance = np.column_stack([balance, n_empty])
    if len(classes) > MAX_CLASSES:
        st.caption(t("folds.balance_some", n=MAX_CLASSES, total=len(classes)))
        even = balance.mean(axis=0)
        shown = np.sort(np.argsort(-np.abs(balance / np.maximum(even, 1e-9) - 1).max(axis=0), kind="stable")[:MAX_CLASSES])
        classes, balance = [classes[place] for place in shown], balance[:, shown]
    with st.container(height=SCROLL_PX if len(classes) > 30 else "content", border=False):
        draw(fold_balance(classes, balance, is_dark=st.context.theme.type == "dark"), key="fold-balance", alt=t("folds.balance"))


def _say_repeats(pairs: FoldPairs) -> None:
    """Rows that no fold validates, or more than one."""
    n_never, n_often = pairs.n_rows - int(pairs.validated.sum()), int((pairs.times_validated > 1).sum())
    if n_never:
        st.caption(t("folds.never_validated", rows=n_never, all=pairs.n_rows))
    if n_often:
        st.caption(t("folds.often_validated", rows=n_often, all=pairs.n_rows, most=int(pairs.times_validated.max())))
