"""What the page Errors is built on: one run or blend with its out-of-fold predictions, the rows that were chosen, and two tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from app.words.text import t
from core.analysis.errors import report_csv
from core.predictions.matrix import OofMatrix
from core.predictions.source import Source

SCROLLED_PX = 540
FEW_CLASSES = 14

Pair = tuple[int, int]


@dataclass(frozen=True)
class Chosen:
    """Rows to look through: `places` in the evidence, in the order of the gallery, and what each tile says of its place.

    `key` names the choice within its source, so that a page number belongs to it alone.
    """

    places: NDArray[np.int64]
    caption: Callable[[int], str]
    note: str
    key: str


@dataclass(frozen=True)
class ErrorView(ABC):
    """One source and the part of its page that differs between contests: how rows are chosen."""

    source: Source
    evidence: OofMatrix

    @property
    def classes(self) -> tuple[str, ...]:
        return self.source.contest.spec.classes

    @abstractmethod
    def summary(self) -> tuple[str, str]:
        """The key of the text that sums the errors up, and a line to follow it ("" for none)."""

    @abstractmethod
    def choosers(self) -> tuple[Mapping[str, Callable[[], None]], str]:
        """What draws each way to choose rows, by the key of its name, and the key of the default."""

    @abstractmethod
    def chosen(self) -> Chosen:
        """Draw the heading of the chosen rows and return them."""


def pair_table(
    pairs: Sequence[tuple[int, int, int, float]],
    classes: Sequence[str],
    *,
    key: str,
    titles: tuple[str, str, str],
    alt: str,
    picked: Pair,
    pick: Callable[[Pair | None], None],
) -> None:
    """Draw pairs, each (first class, second class, count, share 0 to 1); `titles` head both classes and the share.

    `picked` is marked; `pick` is called with a clicked pair, or None when a row was deselected.
    """

    def choose() -> None:
        rows = st.session_state[key]["selection"]["rows"]
        pick(pairs[rows[0]][:2] if rows else None)

    table = pd.DataFrame(
        {
            "first": [classes[first] for first, *_ in pairs],
            "second": [classes[second] for _, second, *_ in pairs],
            "count": [count for _, _, count, _ in pairs],
            "share": [100 * share for *_, share in pairs],
        }
    )
    st.dataframe(
        table,
        hide_index=True,
        key=key,
        on_select=choose,
        selection_mode="single-row",
        selection_default={"selection": {"rows": [place for place, pair in enumerate(pairs) if pair[:2] == picked]}},
        alt=alt,
        column_config={
            "first": titles[0],
            "second": titles[1],
            "count": st.column_config.NumberColumn(t("errors.pair_count"), width="small"),
            "share": st.column_config.ProgressColumn(titles[2], format="%.1f %%", min_value=0, max_value=float(table["share"].max())),
        },
    )


def class_table(view: ErrorView, report: pd.DataFrame, *, picked: int, pick: Callable[[int], None]) -> None:
    """Draw the report of each class, with a download; the class `picked` is marked, and `pick` is called with a clicked one."""
    key = f"errors-classes-{view.source.ref}"

    def choose() -> None:
        rows = st.session_state[key]["selection"]["rows"]
        if rows:
            pick(rows[0])

    number = st.column_config.NumberColumn
    st.dataframe(
        report,
        hide_index=True,
        key=key,
        on_select=choose,
        selection_mode="single-row",
        selection_default={"selection": {"rows": [picked]}},
        height="content" if len(report) <= FEW_CLASSES else SCROLLED_PX,
        placeholder="–",
        alt=t("errors.view_classes"),
        column_order=["class", "f1", "precision", "recall", "support", "predicted", "threshold"],
        column_config={
            "class": st.column_config.TextColumn(t("errors.class_name"), pinned=True, width=112),
            **{name: number(t(f"errors.class_{name}"), format="%.3f", width=69) for name in ("f1", "precision", "recall")},
            "support": number(t("errors.class_support"), help=t("errors.class_support_help"), width=69),
            "predicted": number(t("errors.class_predicted"), help=t("errors.class_predicted_help"), width=69),
            "threshold": number(t("errors.class_threshold"), format="%.3f", help=t("errors.class_threshold_help"), width=69),
        },
    )
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="top"):
        st.caption(t("errors.classes_hint"), width="stretch")
        name = f"{view.source.contest.name}-{view.source.name}-classes.csv"
        st.download_button(
            t("errors.classes_download"), lambda: report_csv(report), name, "text/csv", on_click="ignore", icon=":material/download:"
        )


def clicked_cell(event: object) -> Pair | None:
    """The `customdata` of a clicked point of a Plotly chart, or None; Streamlit returns it as a dict with the keys "0" and "1"."""
    points = event["selection"]["points"] if isinstance(event, Mapping) else []
    if not points or "customdata" not in points[0]:
        return None
    data = points[0]["customdata"]
    first, second = (data["0"], data["1"]) if isinstance(data, Mapping) else data[:2]
    return int(first), int(second)
