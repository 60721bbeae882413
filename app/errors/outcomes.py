"""Errors where a row may have several classes: one outcome of a class is chosen (found, missed, false alarm), from bars or tables."""

from dataclasses import astuple, dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import streamlit as st

from app.errors.view import SCROLLED_PX, Chosen, ErrorView, Ways, clicked_cell
from app.ui.class_bars import figure_px, legend, outcome_figure
from app.ui.controls import choose_one
from app.ui.format import plain
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
        return set_report(self.oof.y_true, self.oof.y_pred, self.classes, self.source.thresholds)

    @property
    def choice(self) -> Choice:
        """What was chosen; at first the errors of one kind that are most frequent in a class."""
        chosen: Choice | None = self.last_choice()
        if chosen is not None and max(chosen.label, chosen.missed or 0) < len(self.classes):
            return chosen
        wrong = self.report[["missed", "false_alarm"]].to_numpy()
        label, kind = divmod(int(wrong.argmax()), 2)
        return Choice(label, ("missed", "false_alarm")[kind]) if wrong.any() else Choice(0, "found")

    def summary(self) -> tuple[str, str]:
        n = {name: f"{int(self.report[name].sum()):,}" for name in OUTCOMES}
        decided = t("misses.at_thresholds" if self.source.thresholds else "misses.at_half")
        return "misses.summary", f"{t('misses.summary_labels', **n)} {decided}"

    def ways(self) -> tuple[Ways, str]:
        return {
            "misses.view_chart": self._chart,
            "errors.view_classes": lambda: self.class_table(self.report, self.choice.label, self._choose_class),
            "misses.view_pairs": self._pairs,
        }, "misses.view_chart"

    def chosen(self) -> Chosen:
        self._heading()
        oof, choice = self.oof, self.choice
        places = outcome_rows(oof.y_true, oof.y_pred, oof.y_prob, choice.label, choice.outcome)
        if choice.missed is not None:
            at = np.ix_(places, [choice.missed])
            places = places[outcomes(oof.y_true[at], oof.y_pred[at])["missed"][:, 0]]
        note = t("misses.note_missed" if choice.outcome == "missed" else "misses.note", n=f"{len(places):,}")
        prob = oof.y_prob[:, choice.label]
        key = f"{choice.label}-{choice.outcome}-{choice.missed}"
        return Chosen(places, lambda place: t("misses.tile", prob=f"{prob[place]:.0%}"), f"{note} {self._beside(places)}", key)

    def _heading(self) -> None:
        """Whose rows follow, and a switch between the outcomes of a class."""
        current = self.choice
        name = plain(self.classes[current.label])
        if current.missed is not None:
            st.subheader(t("misses.heading_pair", given=name, missed=plain(self.classes[current.missed])), anchor=False)
            return
        st.subheader(t(f"misses.heading_{current.outcome}", name=name), anchor=False)
        counts = self.report.iloc[current.label]
        choose_one(
            f"set-outcome-{self.source.ref}",
            current.outcome,
            lambda outcome: self.choose(Choice(current.label, outcome)),
            t("misses.outcome"),
            OUTCOMES,
            lambda outcome: f"{t(f'misses.{outcome}')} {int(counts[outcome]):,}",
            label_visibility="collapsed",
        )

    def _beside(self, places: np.ndarray) -> str:
        """Which classes the rows of false alarms have, and which the missed ones were given."""
        is_alarm = self.choice.outcome == "false_alarm"
        if self.choice.outcome == "found" or not len(places):
            return ""
        sets = (self.oof.y_true if is_alarm else self.oof.y_pred)[places]
        parts = [f"{plain(self.classes[label])} ({count:,})" for label, count in classes_of(sets)]
        n_none = int((sets.sum(axis=1) == 0).sum())
        if n_none:
            parts.append(f"*{t('misses.none')}* ({n_none:,})")
        return t("misses.true_of_them" if is_alarm else "misses.given_to_them", classes=", ".join(parts))

    def _chart(self) -> None:
        shown = [int(label) for label in self.report["f1"].fillna(2.0).sort_values(kind="stable").index[:MAX_CLASSES]]
        choice, key = self.choice, f"outcomes-{self.source.ref}"

        def choose() -> None:
            clicked = clicked_cell(st.session_state[key])
            self.choose(Choice(clicked[0], OUTCOMES[clicked[1]]) if clicked else None)

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

    def _choose_class(self, label: int) -> None:
        """Another class: the same outcome if it has such rows, else the one that has the most."""
        row, outcome = self.report.iloc[label], self.choice.outcome
        self.choose(Choice(label, outcome if row[outcome] else max(("missed", "false_alarm", "found"), key=lambda name: int(row[name]))))

    def _pairs(self) -> None:
        pairs = [astuple(pair) for pair in given_in_place(self.oof.y_true, self.oof.y_pred, most=MAX_PAIRS)]
        marked = (self.choice.label, -1 if self.choice.missed is None else self.choice.missed)
        titles = ("pair_given", "pair_missed", "pair_share")
        self.pair_table(pairs, "misses", marked, lambda pair: self.choose(Choice(pair[0], "false_alarm", pair[1])), titles)
