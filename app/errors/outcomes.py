"""Errors where a row may have several classes: one outcome of a class is chosen (found, missed, false alarm), from bars or tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import streamlit as st

from app.errors.view import SCROLLED_PX, Chosen, ErrorView, class_table, clicked_cell, pair_table
from app.ui.controls import control_of
from app.ui.format import plain
from app.ui.outcome_chart import figure_px, legend, outcome_figure
from app.words.text import t
from core.analysis.errors import OUTCOMES, Outcome, classes_of, given_in_place, outcome_rows, outcomes, set_report

MAX_CLASSES = 60
MAX_PAIRS = 200


@dataclass(frozen=True)
class Choice:
    """One outcome of a class, or of its false alarms those in which the class `missed` was missed."""

    label: int
    outcome: Outcome
    missed: int | None = None


class Outcomes(ErrorView):
    """What became of each class, and the outcome whose rows were chosen."""

    @cached_property
    def report(self) -> pd.DataFrame:
        """Precision, recall, F1, counts and threshold of each class."""
        return set_report(self.evidence.y_true, self.evidence.y_pred, self.classes, self.source.thresholds)

    @property
    def choice(self) -> Choice:
        """What was chosen; at first the errors of one kind that are most frequent in a class."""
        chosen: Choice | None = st.session_state.get(self._key)
        if chosen is not None and max(chosen.label, chosen.missed or 0) < len(self.classes):
            return chosen
        wrong = self.report[["missed", "false_alarm"]].to_numpy()
        label, kind = divmod(int(wrong.argmax()), 2)
        return Choice(label, ("missed", "false_alarm")[kind]) if wrong.any() else Choice(0, "found")

    def summary(self) -> tuple[str, str]:
        n = {name: f"{int(self.report[name].sum()):,}" for name in OUTCOMES}
        decided = t("misses.at_thresholds" if self.source.thresholds else "misses.at_half")
        return "misses.summary", f"{t('misses.summary_labels', **n)} {decided}"

    def choosers(self) -> tuple[Mapping[str, Callable[[], None]], str]:
        ways = {"misses.view_chart": self._chart, "errors.view_classes": self._classes, "misses.view_pairs": self._pairs}
        return ways, "misses.view_chart"

    def chosen(self) -> Chosen:
        self._heading()
        evidence, choice = self.evidence, self.choice
        places = outcome_rows(evidence.y_true, evidence.y_pred, evidence.y_prob, choice.label, choice.outcome)
        if choice.missed is not None:
            others = [choice.missed]
            places = places[outcomes(evidence.y_true[np.ix_(places, others)], evidence.y_pred[np.ix_(places, others)])["missed"][:, 0]]
        n = f"{len(places):,}"
        note = t("misses.note_missed" if choice.outcome == "missed" else "misses.note", n=n)
        prob = evidence.y_prob[:, choice.label]
        return Chosen(
            places,
            lambda place: t("misses.tile", prob=f"{prob[place]:.0%}"),
            f"{note} {self._beside(places)}",
            f"{choice.label}-{choice.outcome}-{choice.missed}",
        )

    @property
    def _key(self) -> str:
        return f"set-choice-{self.source.ref}"

    def _choose(self, choice: Choice | None) -> None:
        """Take over a click; one that deselects something changes nothing."""
        if choice is not None:
            st.session_state[self._key] = choice

    def _heading(self) -> None:
        """Whose rows follow, and a switch between the outcomes of a class."""
        choice = self.choice
        name = plain(self.classes[choice.label])
        if choice.missed is not None:
            st.subheader(t("misses.heading_pair", given=name, missed=plain(self.classes[choice.missed])), anchor=False)
            return
        st.subheader(t(f"misses.heading_{choice.outcome}", name=name), anchor=False)
        key, default, changed = control_of(
            f"set-outcome-{self.source.ref}", choice.outcome, lambda outcome: self._choose(Choice(choice.label, outcome))
        )
        counts = self.report.iloc[choice.label]
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

    def _beside(self, places: np.ndarray) -> str:
        """Which classes the rows of false alarms have, and which the missed ones were given."""
        evidence, outcome = self.evidence, self.choice.outcome
        if outcome == "found" or not len(places):
            return ""
        sets = (evidence.y_true if outcome == "false_alarm" else evidence.y_pred)[places]
        parts = [f"{plain(self.classes[label])} ({count:,})" for label, count in classes_of(sets)]
        n_none = int((sets.sum(axis=1) == 0).sum())
        if n_none:
            parts.append(f"*{t('misses.none')}* ({n_none:,})")
        return t("misses.true_of_them" if outcome == "false_alarm" else "misses.given_to_them", classes=", ".join(parts))

    def _chart(self) -> None:
        worst = self.report["f1"].fillna(2.0).sort_values(kind="stable").index[:MAX_CLASSES]
        shown = [int(label) for label in worst]
        choice = self.choice
        key = f"outcomes-{self.source.ref}"

        def choose() -> None:
            clicked = clicked_cell(st.session_state[key])
            self._choose(Choice(clicked[0], OUTCOMES[clicked[1]]) if clicked else None)

        st.html(legend())
        with st.container(height=SCROLLED_PX if figure_px(len(shown)) > SCROLLED_PX else "content", border=False):
            st.plotly_chart(
                outcome_figure(self.report, shown, selected=(choice.label, choice.outcome), is_dark=st.context.theme.type == "dark"),
                key=key,
                on_select=choose,
                selection_mode="points",
                alt=t("misses.view_chart"),
                config={"displayModeBar": False},
            )
        some = t("misses.chart_some", n=len(shown), total=len(self.classes)) + " " if len(shown) < len(self.classes) else ""
        st.caption(some + t("misses.chart_hint"))

    def _classes(self) -> None:
        class_table(self, self.report, picked=self.choice.label, pick=self._choose_class)

    def _choose_class(self, label: int) -> None:
        """Another class: the same outcome if it has such rows, else the one that has the most."""
        row, outcome = self.report.iloc[label], self.choice.outcome
        self._choose(Choice(label, outcome if row[outcome] else max(("missed", "false_alarm", "found"), key=lambda name: int(row[name]))))

    def _pairs(self) -> None:
        pairs = given_in_place(self.evidence.y_true, self.evidence.y_pred, most=MAX_PAIRS)
        if not pairs:
            st.caption(t("misses.pairs_none"))
            return
        choice = self.choice
        pair_table(
            [(pair.given, pair.missed, pair.count, pair.share) for pair in pairs],
            self.classes,
            key=f"set-pairs-{self.source.ref}",
            titles=(t("misses.pair_given"), t("misses.pair_missed"), t("misses.pair_share")),
            alt=t("misses.view_pairs"),
            picked=(choice.label, -1 if choice.missed is None else choice.missed),
            pick=lambda pair: self._choose(Choice(pair[0], "false_alarm", pair[1]) if pair else None),
        )
        st.caption(t("misses.pairs_hint"))
