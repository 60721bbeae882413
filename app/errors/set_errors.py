"""The page Errors where rows may have several classes: left what became of each class, right the rows behind it and one of them closely."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from app.errors.error_view import warn_of_part
from app.errors.matrix import clicked_cell
from app.errors.pair_table import pair_table
from app.errors.samples import browse, closely
from app.ui.cards import guard
from app.ui.controls import control_of
from app.ui.format import metric_help, metric_label, plain
from app.ui.outcome_chart import figure_px, legend, outcome_figure
from app.ui.probability_bars import probability_bars
from app.ui.sources import evidence_of
from app.words.text import t
from core.analysis.evidence import Evidence
from core.analysis.misses import OUTCOMES, Outcome, classes_of, given_in_place, outcome_rows, outcomes, set_report
from core.analysis.report import report_csv
from core.metrics.decide import THRESHOLD
from core.predictions.source import Source
from core.store.contests import Contest

MOST_SHOWN = 60
MOST_PAIRS = 200
N_BARS, MOST_BARS = 5, 12
SCROLLED_PX = 540
VIEWS = ("chart", "classes", "pairs")


@dataclass(frozen=True)
class Choice:
    """Which rows are looked at: one outcome of a class, or of false alarms those in which the class `missed` was missed."""

    label: int
    outcome: Outcome
    missed: int | None = None


@dataclass(frozen=True)
class SetView:
    """One source under the lens: its evidence and what it makes of each class."""

    contest: Contest
    source: Source
    evidence: Evidence
    report: pd.DataFrame

    @property
    def classes(self) -> tuple[str, ...]:
        return self.contest.spec.classes

    @property
    def key(self) -> str:
        """Where this session keeps what was chosen of this source."""
        return f"set-choice-{self.source.ref}"

    @property
    def choice(self) -> Choice:
        """What was chosen; at first the errors of one kind that are most frequent in a class."""
        chosen: Choice | None = st.session_state.get(self.key)
        if chosen is not None and max(chosen.label, chosen.missed or 0) < len(self.classes):
            return chosen
        wrong = self.report[["missed", "false_alarm"]].to_numpy()
        label, kind = divmod(int(wrong.argmax()), 2)
        return Choice(label, ("missed", "false_alarm")[kind]) if wrong.any() else Choice(0, "found")

    def choose(self, choice: Choice | None) -> None:
        """Take over a click; a click that let go of something changes nothing."""
        if choice is not None:
            st.session_state[self.key] = choice


def show_errors(contest: Contest, source: Source) -> None:
    """The page's body for a contest whose rows may have several classes."""
    body = st.container()
    with body.skeleton(height=520):
        view = open_view(contest, source)
    with body:
        summary(view)
        left, right = st.columns([1.15, 1], gap="large")
        with left:
            chooser(view)
        with right:
            heading(view)
            samples(view)


def open_view(contest: Contest, source: Source) -> SetView:
    """Read a source's evidence and count what became of each class."""
    evidence = evidence_of(source)
    return SetView(contest, source, evidence, set_report(evidence.y_true, evidence.y_pred, contest.spec.classes, evidence.thresholds))


def summary(view: SetView) -> None:
    """How much is wrong at all: rows that are not right in every class, labels, and the scores of these labels."""
    evidence, metrics = view.evidence, view.evidence.scores
    n_wrong = int((evidence.y_pred != evidence.y_true).any(axis=1).sum())
    helps = [f"**{metric_label(name)}**: {metric_help(view.contest.spec, name)}" for name in metrics]
    st.markdown(
        t(
            "misses.summary",
            wrong=f"{n_wrong:,}",
            rows=f"{len(evidence.rows):,}",
            share=f"{n_wrong / len(evidence.rows):.2%}",
            scores=" · ".join(f"{metric_label(name)} {score:.4f}" for name, score in metrics.items()),
        ),
        help="\n\n".join(helps),
    )
    n = {name: f"{int(view.report[name].sum()):,}" for name in OUTCOMES}
    st.caption(t("misses.summary_labels", **n) + " " + t("misses.at_thresholds" if evidence.thresholds else "misses.at_half"))
    warn_of_part(evidence)


def chooser(view: SetView) -> None:
    """Where rows are chosen: the bars of all classes, the table of classes, or the pairs of which one stands in place of the other."""
    kind = st.segmented_control(
        t("errors.title"),
        VIEWS,
        default="chart",
        format_func=lambda name: t(f"misses.view_{name}"),
        key="set-errors-view",
        required=True,
        label_visibility="collapsed",
        persist_state="session",
    )
    {"chart": _chart, "classes": _classes, "pairs": _pairs}[kind](view)


def _chart(view: SetView) -> None:
    worst = view.report["f1"].fillna(2.0).sort_values(kind="stable").index[:MOST_SHOWN]
    shown = [int(label) for label in worst]
    choice = view.choice
    key = f"outcomes-{view.source.ref}"
    figure = outcome_figure(view.report, shown, selected=(choice.label, choice.outcome), is_dark=st.context.theme.type == "dark")

    def choose() -> None:
        clicked = clicked_cell(st.session_state[key])
        view.choose(Choice(clicked[0], OUTCOMES[clicked[1]]) if clicked else None)

    st.html(legend())
    with st.container(height=SCROLLED_PX if figure_px(len(shown)) > SCROLLED_PX else "content", border=False):
        st.plotly_chart(
            figure, key=key, on_select=choose, selection_mode="points", alt=t("misses.view_chart"), config={"displayModeBar": False}
        )
    some = t("misses.chart_some", n=len(shown), total=len(view.classes)) + " " if len(shown) < len(view.classes) else ""
    st.caption(some + t("misses.chart_hint"))


def _classes(view: SetView) -> None:
    key = f"set-classes-{view.source.ref}"

    def choose() -> None:
        rows = st.session_state[key]["selection"]["rows"]
        view.choose(_of_class(view, rows[0]) if rows else None)

    report = view.report
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    st.dataframe(
        report,
        hide_index=True,
        key=key,
        on_select=choose,
        selection_mode="single-row",
        selection_default={"selection": {"rows": [view.choice.label]}},
        height="content" if len(report) <= 14 else SCROLLED_PX,
        placeholder="–",
        alt=t("misses.view_classes"),
        column_order=["class", "f1", "precision", "recall", "support", "predicted", "threshold"],
        column_config={
            "class": text(t("errors.class_name"), pinned=True, width=112),
            **{name: number(t(f"errors.class_{name}"), format="%.3f", width=69) for name in ("f1", "precision", "recall")},
            "support": number(t("misses.support"), help=t("misses.support_help"), width=69),
            "predicted": number(t("misses.predicted"), help=t("misses.predicted_help"), width=69),
            "threshold": number(t("misses.threshold"), format="%.3f", help=t("misses.threshold_help"), width=69),
        },
    )
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="top"):
        st.caption(t("misses.classes_hint"), width="stretch")
        name = f"{view.contest.name}-{view.source.name}-classes.csv"
        st.download_button(
            t("errors.classes_download"), lambda: report_csv(report), name, "text/csv", on_click="ignore", icon=":material/download:"
        )


def _of_class(view: SetView, label: int) -> Choice:
    """Another class: of the same outcome if it has such rows, else of the one that has the most."""
    row = view.report.iloc[label]
    if row[view.choice.outcome]:
        return Choice(label, view.choice.outcome)
    return Choice(label, max(("missed", "false_alarm", "found"), key=lambda name: int(row[name])))


def _pairs(view: SetView) -> None:
    pairs = given_in_place(view.evidence.y_true, view.evidence.y_pred, most=MOST_PAIRS)
    if not pairs:
        st.caption(t("misses.pairs_none"))
        return
    pair_table(
        [(pair.given, pair.missed, pair.count, pair.share) for pair in pairs],
        view.classes,
        key=f"set-pairs-{view.source.ref}",
        titles=(t("misses.pair_given"), t("misses.pair_missed"), t("misses.pair_share")),
        alt=t("misses.view_pairs"),
        picked=(view.choice.label, -1 if view.choice.missed is None else view.choice.missed),
        pick=lambda pair: view.choose(Choice(pair[0], "false_alarm", pair[1]) if pair else None),
    )
    st.caption(t("misses.pairs_hint"))


def heading(view: SetView) -> None:
    """Whose rows follow, and a switch between the outcomes of a class."""
    choice = view.choice
    name = plain(view.classes[choice.label])
    if choice.missed is not None:
        st.subheader(t("misses.heading_pair", given=name, missed=plain(view.classes[choice.missed])), anchor=False)
        return
    st.subheader(t(f"misses.heading_{choice.outcome}", name=name), anchor=False)
    key, default, changed = control_of(
        f"set-outcome-{view.source.ref}", choice.outcome, lambda outcome: view.choose(Choice(choice.label, outcome))
    )
    counts = view.report.iloc[choice.label]
    st.segmented_control(
        t("misses.outcome"),
        OUTCOMES,
        default=default,
        format_func=lambda outcome: f"{t(f'misses.{outcome}')} {int(counts[outcome]):,}",
        key=key,
        on_change=changed,
        required=True,
        label_visibility="collapsed",
    )


@st.fragment
def samples(view: SetView) -> None:
    """The chosen rows, and the picked one closely; only this part runs again while one looks through them."""
    with guard():
        evidence, choice = view.evidence, view.choice
        places = outcome_rows(evidence.y_true, evidence.y_pred, evidence.y_prob, choice.label, choice.outcome)
        if choice.missed is not None:
            others = [choice.missed]
            places = places[outcomes(evidence.y_true[np.ix_(places, others)], evidence.y_pred[np.ix_(places, others)])["missed"][:, 0]]
        if not len(places):
            st.caption(t("misses.no_rows"))
            return
        n = f"{len(places):,}"
        st.caption(" ".join([t("misses.note_missed" if choice.outcome == "missed" else "misses.note", n=n), _beside(view, places)]))
        prob = evidence.y_prob[:, choice.label]
        row = browse(
            view.contest,
            view.source,
            [int(row) for row in evidence.rows[places]],
            lambda place: t("misses.tile", prob=f"{prob[places[place]]:.0%}"),
            of=f"{choice.label}-{choice.outcome}-{choice.missed}",
        )
        _inspect(view, row)


def _beside(view: SetView, places: np.ndarray) -> str:
    """Of false alarms which classes those rows have, of missed ones which were given."""
    evidence, outcome = view.evidence, view.choice.outcome
    if outcome == "found":
        return ""
    sets = (evidence.y_true if outcome == "false_alarm" else evidence.y_pred)[places]
    parts = [f"{plain(view.classes[label])} ({count:,})" for label, count in classes_of(sets)]
    n_none = int((sets.sum(axis=1) == 0).sum())
    if n_none:
        parts.append(f"*{t('misses.none')}* ({n_none:,})")
    return t("misses.true_of_them" if outcome == "false_alarm" else "misses.given_to_them", classes=", ".join(parts))


def _inspect(view: SetView, row: int) -> None:
    """One row: its true and its predicted labels, and the probabilities of these and of the most probable classes."""
    evidence, classes = view.evidence, view.classes
    place = int(np.searchsorted(evidence.rows, row))
    prob, true, given = evidence.y_prob[place], evidence.y_true[place] == 1, evidence.y_pred[place] == 1
    by_prob = np.argsort(-prob, kind="stable")
    named = np.flatnonzero((true | given)[by_prob])  # places in by_prob
    wanted = np.union1d(named[:MOST_BARS], np.arange(min(N_BARS, len(prob))))
    order = by_prob[wanted[:MOST_BARS]]

    def names(which: np.ndarray) -> str:
        return ", ".join(plain(classes[label]) for label in np.flatnonzero(which)) or f"*{t('misses.none')}*"

    def tell() -> None:
        st.markdown(t("misses.labels", true=names(true), given=names(given)))
        st.html(
            probability_bars(
                [classes[label] for label in order],
                [float(prob[label]) for label in order],
                true=[classes[label] for label in np.flatnonzero(true)],
                predicted=[classes[label] for label in np.flatnonzero(given)],
                marks={"true": t("errors.mark_true"), "predicted": t("errors.mark_predicted")},
                thresholds=[evidence.thresholds[label] if evidence.thresholds else THRESHOLD for label in order],
            )
        )
        rest = np.setdiff1d(np.arange(len(prob)), order)
        if len(rest):
            st.caption(t("misses.more_classes", n=len(rest), prob=f"{float(prob[rest].max()):.2%}"))

    closely(view.contest, view.source, row, alt=", ".join(classes[label] for label in np.flatnonzero(true)), tell=tell, text_share=0.38)
