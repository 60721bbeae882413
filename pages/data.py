"""Data: what was understood of a contest, its samples and classes; and the way to add another."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app import state
from app.class_charts import MOST_BARS, class_bars
from app.contest_intake import NEXT_VIEW, class_table, intake
from app.gallery import Tile, gallery, picture
from app.tables import table_of
from app.text import t
from app.widgets import guard, metric_label, page_header, plain, section, short_hash
from core.analysis.overview import by_turns, class_counts
from core.contest.table import ContestTable
from core.store.contests import Contest

PER_PAGE = 48


def understood(contest: Contest, table: ContestTable) -> None:
    """What the contest is, as the list of answers that was accepted."""
    spec, counts = contest.spec, class_counts(table.train, len(contest.spec.classes))
    least, most = int(counts.min()), int(counts.max())
    columns = ", ".join(spec.input_columns)
    column = "data.columns_value" if len(spec.input_columns) > 1 else "data.column_value"
    facts = {
        "modality": t(f"data.modality_{spec.modality}"),
        "rows": t("data.rows_value", train=contest.n_train, test=contest.n_test),
        "classes": t("data.classes_even", n=len(counts), rows=least)
        if least == most
        else t("data.classes_value", n=len(counts), least=least, most=most, ratio=most / max(1, least)),
        "input": t(column, name=plain(columns)) if columns else t("data.folders_value"),
        "label": t("data.column_value", name=plain(spec.label_column)) if spec.label_column else t("data.folders_value"),
        "id": t("data.column_value", name=plain(spec.id_column)) if spec.id_column else t("data.numbered_value"),
        "group": t("data.column_value", name=plain(spec.group_column)) if spec.group_column else t("data.none_value"),
        "metric": metric_label(spec.metric),
        "submission": t(f"data.submission_{spec.submission}"),
        "files": plain(" · ".join(name for name in (spec.train, spec.test, spec.sample_submission) if name)),
        "data": f"`{short_hash(contest.fingerprint)}`",
    }
    st.table({f":gray[{t(f'data.fact_{key}')}]": value for key, value in facts.items()}, border="horizontal", alt=t("data.understood"))


def distribution(contest: Contest, table: ContestTable) -> None:
    """Rows per class: bars while they can be read at a glance, a searchable table beyond."""
    counts = class_counts(table.train, len(contest.spec.classes))
    if len(counts) <= MOST_BARS:
        st.altair_chart(class_bars(contest.spec.classes, counts), alt=t("data.distribution"))
        return
    class_table(pd.DataFrame({"class": contest.spec.classes, "rows": counts}))


@st.fragment
def samples(contest: Contest) -> None:
    """The samples, in a part of the page that runs again alone, and so needs a guard of its own."""
    with guard():
        show_samples(contest)


def show_samples(contest: Contest) -> None:
    """Images or texts of one part and class, page by page; the picked one is named below."""
    table, spec = table_of(contest), contest.spec
    with section(t("data.samples")):
        part = st.segmented_control(
            t("data.samples"),
            ["train", "test"],
            format_func=lambda name: t(f"data.part_{name}"),
            default="train",
            required=True,
            key=f"data-part-{contest.id}",
            label_visibility="collapsed",
        )
        chosen = None
        if part == "train":
            chosen = st.selectbox(
                t("data.class_filter"),
                range(len(spec.classes)),
                index=None,
                format_func=spec.classes.__getitem__,
                placeholder=t("data.all_classes"),
                key=f"data-class-{contest.id}",
                label_visibility="collapsed",
                width=220,
            )
    frame = table.train if part == "train" else table.test
    if part == "test":
        rows = frame.index.to_numpy()
    else:
        rows = by_turns(frame) if chosen is None else frame.index[frame["label"] == chosen].to_numpy()
    if not len(rows):
        st.caption(t("data.no_test"))
        return
    n_pages = -(-len(rows) // PER_PAGE)
    slot = st.container(height=620, border=False)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        note = st.container(width="content")
        page = st.pagination(n_pages, key=f"data-page-{contest.id}-{part}-{chosen}") if n_pages > 1 else 1
    shown = rows[(page - 1) * PER_PAGE : page * PER_PAGE]
    tiles = [
        Tile(
            row=int(row),
            caption=spec.classes[frame.at[row, "label"]] if part == "train" else str(frame.at[row, "id"]),
            src=picture(contest, part, int(row)) if spec.modality == "image" else "",
            text="" if spec.modality == "image" else str(frame.at[row, "input"]),
        )
        for row in shown
    ]
    label = t("data.gallery_label", first=(page - 1) * PER_PAGE + 1, last=(page - 1) * PER_PAGE + len(shown), total=len(rows))
    with slot:
        picked = gallery(tiles, selected=None, label=label, key=f"data-gallery-{contest.id}", tile_px=76)
    note.caption(label if picked is None else t("data.sample_row", row=picked, id=plain(frame.at[picked, "id"])))


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
    with body.skeleton(height=620):
        table = table_of(contest)
    left, right = body.columns([5, 7], gap="large")
    with left:
        section(t("data.understood"))
        understood(contest, table)
        section(t("data.distribution"))
        distribution(contest, table)
    with right:
        samples(contest)
else:
    intake()
