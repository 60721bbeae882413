"""The parts of the page Errors: left where a cell of the confusion matrix is chosen, right the samples behind it and one of them closely."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from app.errors.matrix import clicked_cell, confusion_figure, overview_pixels
from app.errors.pair_table import pair_table
from app.errors.samples import browse, closely
from app.ui.cards import guard
from app.ui.format import metric_label, plain
from app.ui.probability_bars import probability_bars
from app.ui.sources import evidence_of
from app.words.text import t
from core.analysis.confusion import cell_rows, class_report, confused_pairs, confusion_matrix, most_confused_classes
from core.analysis.evidence import Evidence
from core.analysis.report import report_csv
from core.predictions.source import Source
from core.store.contests import Contest

MOST_SHOWN = 40
MOST_PAIRS = 200
N_BARS = 5


@dataclass(frozen=True)
class ErrorView:
    """One source under the lens: its evidence and its confusion matrix (row = true class)."""

    contest: Contest
    source: Source
    evidence: Evidence
    matrix: NDArray[np.int64]

    @property
    def classes(self) -> tuple[str, ...]:
        return self.contest.spec.classes

    @property
    def cell_key(self) -> str:
        """Where this session keeps the chosen (true, pred) of this source."""
        return f"cell-{self.source.ref}"

    @property
    def cell(self) -> tuple[int, int]:
        """The chosen cell; at first the most confused pair, or the first class when nothing is wrong."""
        chosen = st.session_state.get(self.cell_key)
        if chosen is not None and max(chosen) < len(self.classes):
            return chosen
        pairs = confused_pairs(self.matrix, most=1)
        return (pairs[0].true, pairs[0].pred) if pairs else (0, 0)

    def choose(self, cell: tuple[int, int] | None) -> None:
        """Take over a click; a click that let go of a cell changes nothing."""
        if cell is not None:
            st.session_state[self.cell_key] = cell


def show_errors(contest: Contest, source: Source) -> None:
    """The page's body for a contest whose rows have one class each."""
    body = st.container()
    with body.skeleton(height=520):
        view = open_view(contest, source)
    with body:
        summary(view)
        left, right = st.columns([1.15, 1], gap="large")
        with left:
            chooser(view)
        with right:
            samples(view)


def open_view(contest: Contest, source: Source) -> ErrorView:
    """Read a source's evidence and count its matrix."""
    evidence = evidence_of(source)
    return ErrorView(contest, source, evidence, confusion_matrix(evidence.y_true, evidence.y_pred, len(contest.spec.classes)))


def summary(view: ErrorView) -> None:
    """How much is wrong at all, in one line."""
    evidence = view.evidence
    n_wrong = int((evidence.y_pred != evidence.y_true).sum())
    scores = " · ".join(f"{metric_label(name)} {score:.4f}" for name, score in evidence.scores.items())
    st.markdown(
        t(
            "errors.summary",
            wrong=f"{n_wrong:,}",
            rows=f"{len(evidence.rows):,}",
            share=f"{n_wrong / len(evidence.rows):.2%}",
            scores=scores,
        )
    )
    warn_of_part(evidence)


def warn_of_part(evidence: Evidence) -> None:
    """Say it where some rows were not validated yet."""
    if not evidence.is_whole:
        st.warning(t("errors.partial", rows=f"{len(evidence.rows):,}", all=f"{evidence.n_rows:,}"), icon=":material/hourglass_top:")


def chooser(view: ErrorView) -> None:
    """Where a cell is chosen: the list of pairs, the matrix, the classes, and for many classes the whole matrix as a picture."""
    is_large = len(view.classes) > MOST_SHOWN
    names = ["pairs", "matrix", "classes", *(["overview"] if is_large else [])]
    kind = st.segmented_control(
        t("errors.title"),
        names,
        default="pairs" if is_large else "matrix",
        format_func=lambda name: t(f"errors.view_{name}"),
        key=f"errors-view-{is_large}",
        required=True,
        label_visibility="collapsed",
        persist_state="session",
    )
    {"pairs": _pairs, "matrix": _matrix, "classes": _classes, "overview": _overview}[kind](view)


def _pairs(view: ErrorView) -> None:
    pairs = confused_pairs(view.matrix, most=MOST_PAIRS)
    if not pairs:
        st.caption(t("errors.pairs_none"))
        return
    pair_table(
        [(pair.true, pair.pred, pair.count, pair.share) for pair in pairs],
        view.classes,
        key=f"pairs-{view.source.ref}",
        titles=(t("errors.pair_true"), t("errors.pair_pred"), t("errors.pair_share")),
        alt=t("errors.view_pairs"),
        picked=view.cell,
        pick=view.choose,
    )
    st.caption(t("errors.pairs_hint"))


def _matrix(view: ErrorView) -> None:
    shown = most_confused_classes(view.matrix, most=MOST_SHOWN)
    key = f"matrix-{view.source.ref}"
    figure = confusion_figure(view.matrix, view.classes, shown, selected=view.cell, is_dark=st.context.theme.type == "dark")
    st.plotly_chart(
        figure,
        key=key,
        on_select=lambda: view.choose(clicked_cell(st.session_state[key])),
        selection_mode="points",
        alt=t("charts.confusion_title"),
        config={
            "displaylogo": False,
            "modeBarButtonsToRemove": ["select2d", "lasso2d", "zoom2d", "pan2d", "autoScale2d", "zoomIn2d", "zoomOut2d", "resetScale2d"],
        },
    )
    some = t("errors.matrix_some", n=len(shown), total=len(view.classes)) + " " if len(shown) < len(view.classes) else ""
    st.caption(some + t("errors.matrix_hint"))


def _classes(view: ErrorView) -> None:
    report = class_report(view.matrix, view.classes)
    rate = {name: st.column_config.NumberColumn(t(f"errors.class_{name}"), format="%.4f") for name in ("precision", "recall", "f1")}
    st.dataframe(
        report,
        hide_index=True,
        key="class-report",
        height="content" if len(report) <= 14 else 460,
        placeholder="–",
        alt=t("errors.view_classes"),
        column_config={
            "class": st.column_config.TextColumn(t("errors.class_name"), pinned=True),
            **rate,
            "support": t("errors.class_support"),
            "predicted": t("errors.class_predicted"),
        },
    )
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="top"):
        st.caption(t("errors.classes_hint"), width="stretch")
        name = f"{view.contest.name}-{view.source.name}-classes.csv"
        st.download_button(
            t("errors.classes_download"), lambda: report_csv(report), name, "text/csv", on_click="ignore", icon=":material/download:"
        )


def _overview(view: ErrorView) -> None:
    st.image(overview_pixels(view.matrix), width="stretch", output_format="PNG", alt=t("errors.overview_alt"))
    st.caption(t("errors.overview_hint", n=len(view.classes)))


@st.fragment
def samples(view: ErrorView) -> None:
    """The samples of the chosen cell, and the picked one closely; only this part runs again while one looks through them."""
    with guard():
        true, pred = view.cell
        evidence = view.evidence
        places = cell_rows(evidence.y_true, evidence.y_prob, true, pred)
        names = {"true": plain(view.classes[true]), "pred": plain(view.classes[pred])}
        st.subheader(t("errors.cell_right" if true == pred else "errors.cell_wrong", **names), anchor=False)
        if not len(places):
            st.caption(t("errors.cell_empty"))
            return
        st.caption(t("errors.cell_note", n=f"{len(places):,}"))
        rows = [int(row) for row in evidence.rows[places]]
        inspector(
            view,
            browse(
                view.contest,
                view.source,
                rows,
                lambda place: t("errors.tile", prob=f"{evidence.y_prob[places[place], pred]:.0%}"),
                of=f"{true}-{pred}",
            ),
        )


def inspector(view: ErrorView, row: int) -> None:
    """One training row: what it is, and what the source made of it."""
    evidence, spec = view.evidence, view.contest.spec
    place = int(np.searchsorted(evidence.rows, row))
    prob = evidence.y_prob[place]
    order = np.argsort(-prob, kind="stable")[:N_BARS]
    true = int(evidence.y_true[place])
    if true not in order:
        order = np.append(order[:-1], true)

    def tell() -> None:
        st.html(
            probability_bars(
                [spec.classes[index] for index in order],
                [float(prob[index]) for index in order],
                true=(spec.classes[true],),
                predicted=(spec.classes[int(prob.argmax())],),
                marks={"true": t("errors.mark_true"), "predicted": t("errors.mark_predicted")},
            )
        )
        rest = len(prob) - len(order)
        if rest > 0:
            st.caption(t("errors.more_classes", n=rest, share=f"{max(0.0, 1 - float(prob[order].sum())):.2%}"))

    closely(view.contest, view.source, row, alt=spec.classes[true], tell=tell)
