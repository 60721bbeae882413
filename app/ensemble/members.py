"""What each member does for the blend in the editor: its worth, whom it differs from, and which classes it carries.

Pairs are read when this part is opened; worth is measured by a click, member by member, kept by content, and goes on where it was
interrupted. A drag of a weight computes nothing here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Self

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from app.ensemble.draft import Draft
from app.ensemble.session import Content, OpenBlend, computed, keep_newest, open_blend, session
from app.ensemble.ways import describe, fit_took_s
from app.ui.cards import guard, section
from app.ui.charts import BARE_AXIS, CONFIG, Chart, Spec, draw, nominal, quantity
from app.ui.colors import ACCENT, BAD, ink
from app.ui.format import format_duration, format_score, metric_label, plain
from app.words.text import t
from core.analysis.compare import (
    Carried,
    carried_classes,
    class_f1,
    disagreement,
    error_correlation,
    member_labels,
    worth_in,
    worth_of,
)
from core.blend.ensemble import Ensemble
from core.blend.honest import Comparison, refitted
from core.blend.procedure import fit_of
from core.blend.scorer import Outcome
from core.specs.blend import BlendSteps
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import Run

MOST_NAMED = 5
MOST_ROWS, TABLE_PX = 12, 420
"""A longer table of classes is scrolled, at this height."""
MOST_BESIDE = 12
"""With more members than this the square needs the whole width of the page."""
EMPTY = "rgba(138,143,152,0.10)"
Pairs = Literal["disagreement", "correlation"]


@dataclass(frozen=True)
class Pairwise:
    """What no weight changes: (n, n) how often two differ, (n, n) how much they err together, (n, n_classes) F1 of each alone."""

    disagreement: NDArray[np.float64]
    correlation: NDArray[np.float64]
    f1: NDArray[np.float64]


@dataclass
class Measured:
    """What was measured so far of one blend: the worth of its members by place, and the classes they carry.

    `everyone` and `refits` are what the refitted procedure says with all of them, and its steps without each fold.
    """

    said: str
    weights: tuple[float, ...]
    is_refitted: bool
    everyone: Outcome | None = None
    refits: tuple[BlendSteps, ...] = ()
    worths: dict[int, Comparison] = field(default_factory=dict)
    carried: Carried | None = None

    @classmethod
    def of(cls, draft: Draft) -> Self:
        """Nothing yet. A saved blend's steps by class or by regression whose way is not known cannot be refitted."""
        is_refitted = not (draft.is_by_hand and draft.kind in ("by_class", "stacking"))
        return cls(describe(draft.settings), draft.weights, is_refitted)

    @property
    def is_whole(self) -> bool:
        return len(self.worths) == len(self.weights) and self.carried is not None


@st.fragment
def members_view(contest: Contest, folds: Folds, members: Sequence[Run]) -> None:
    """The worth of each member; below it the classes of one, and all of them against each other."""
    if set(session().on(folds.id).members or ()) != {run.id for run in members}:
        st.rerun()  # one was left out in the table below
    with guard():
        if len(members) < 2:
            st.caption(t("members.needs_two"))
            return
        with st.spinner(t("members.reading")):
            blend = open_blend(contest, folds, members)
            pairs = _pairwise(blend.content, blend.ensemble)
        measured = _worth(blend, pairs)
        places = st.columns([1.2, 1], gap="large") if len(members) <= MOST_BESIDE else [st.container(), st.container()]
        with places[0]:
            _classes(blend, pairs, measured)
        with places[1]:
            _pairs(blend, pairs)


@st.cache_resource(max_entries=8, show_spinner=False)
def _pairwise(content: Content, _ensemble: Ensemble) -> Pairwise:
    scorer = _ensemble.scorer("arithmetic")
    labels = member_labels(scorer)
    return Pairwise(disagreement(labels), error_correlation(labels, scorer.y_true), class_f1(labels, scorer))


def _worth(blend: OpenBlend, pairs: Pairwise) -> Measured | None:
    """The button that measures, and the table of members; returns what is known of the blend in the editor, or of the one before."""
    draft, latest = blend.draft, blend.kept.latest
    key = (*blend.content, draft.steps.model_dump_json(), draft.procedure.trimmed.model_dump_json())
    kept: dict[Content, Measured] = computed()
    measured = kept.get(key) or Measured.of(draft)
    with section(t("members.worth_title"), t("members.worth_note")):
        # It is there also when all is measured: a drag does not redraw this part, and a click finds what moved.
        label = t("members.measure_again")
        if not measured.is_whole:
            # For each member and for all of them together, a fit without each fold.
            a_fit_s = fit_took_s(blend) * len(blend.ensemble.oof.folds) if measured.is_refitted else 0.0
            duration = format_duration((len(blend.runs) + 1) * (a_fit_s + 0.5))
            label = t("members.measure_on" if key in kept else "members.measure", duration=duration)
        kind = "secondary" if measured.is_whole else "primary"
        clicked = st.button(label, icon=":material/straighten:", type=kind, key="measure-members", disabled=blend.editor.is_held)
    is_asked = clicked and not measured.is_whole
    if is_asked:
        kept[key] = measured
        keep_newest(kept)
    if is_asked or measured.is_whole:
        latest["measured"] = key, measured
    at, known = latest.get("measured", ((), None))
    if not isinstance(at, tuple) or at[: len(blend.content)] != blend.content:
        known = None
    progress = st.container()
    _table(blend, pairs, known)
    if known is not None:
        how = t("members.how_refitted" if known.is_refitted else "members.how_fixed")
        st.caption(t("members.measured_now" if at == key else "members.measured_before", way=plain(known.said)) + " " + how)
    if is_asked:
        with progress:
            measure(measured, blend.ensemble, draft)
        st.rerun()
    return known


def measure(measured: Measured, ensemble: Ensemble, draft: Draft) -> None:
    """Measure what is missing, one member after the other; what is there stays when the page is left in between."""
    bar = st.progress(0.0, text=t("members.measuring_all"))
    scorer, n = ensemble.scorer(draft.steps.mean), len(ensemble.runs)
    if measured.everyone is None and measured.is_refitted:
        measured.everyone, measured.refits = refitted(ensemble.scorer, fit_of(draft.procedure))
    everyone = measured.everyone = measured.everyone or scorer.outcome(draft.steps)
    for place, run in enumerate(ensemble.runs):
        bar.progress((place + 1) / (n + 2), text=t("members.measuring", name=plain(run.name), n=place + 1, of=n))
        if place not in measured.worths:
            measured.worths[place] = (
                worth_of(ensemble.scorer, draft.procedure, place, everyone)
                if measured.is_refitted
                else worth_in(scorer, draft.steps, place, everyone)
            )
    bar.progress((n + 1) / (n + 2), text=t("members.measuring_classes"))
    measured.carried = carried_classes(ensemble.scorer, measured.refits or draft.steps)
    measured.refits = ()  # regressions in every fold would fill the memory
    bar.empty()


def _table(blend: OpenBlend, pairs: Pairwise, known: Measured | None) -> None:
    members, own = blend.runs, blend.ensemble.member_scores()
    alike = np.where(np.isnan(pairs.correlation), -2.0, pairs.correlation) - 3 * np.eye(len(members))
    nearest = alike.argmax(axis=1).tolist()
    worths = [None if known is None else known.worths.get(place) for place in range(len(members))]
    leave = t("members.leave")
    frame = pd.DataFrame(
        {
            "run": [run.name for run in members],
            "cv": [format_score(score.cv_score, score.cv_sd if len(score.fold_scores) > 1 else None) for score in own],
            "noise": pd.array([run.seed_sd(blend.contest.spec.metric) for run in members], dtype="Float64"),
            "own": [score.oof_score for score in own],
            "weight": blend.draft.weights if known is None else known.weights,
            "without": [worth and worth.other for worth in worths],
            "gain": [worth and _gain(worth) for worth in worths],
            "says": [worth and _says(worth) for worth in worths],
            "alike": [
                f"{members[other].name} {pairs.correlation[place, other]:.2f}" if alike[place, other] > -2 else "–"
                for place, other in enumerate(nearest)
            ],
            "action": [[leave] for _ in members],
        }
    )
    if not any(run.seeds for run in members):
        frame = frame.drop(columns="noise")
    kept, ids = blend.kept, [run.id for run in members]

    def act() -> None:
        gone = ids[st.session_state["member-action"].row]
        kept.members = [run_id for run_id in ids if run_id != gone]

    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    sets = "_sets" if blend.ensemble.oof.is_multilabel else ""
    st.dataframe(
        frame,
        hide_index=True,
        key="members-worth",
        placeholder="–",
        alt=t("members.worth_title"),
        column_config={
            "run": text(t("members.run"), pinned=True),
            "cv": text(f"CV {metric_label(blend.contest.spec.metric)}", help=t("common.cv_help")),
            "noise": number(t("runs.column_noise"), format="%.4f", help=t("runs.column_noise_help")),
            "own": number(t("common.oof"), format="%.4f", help=t("common.oof_help")),
            "weight": st.column_config.ProgressColumn(t("members.weight"), format="%.3f", min_value=0.0, max_value=1.0),
            "without": number(t("members.without"), format="%.4f", help=t("members.without_help")),
            "gain": text(t("members.gain"), help=t("members.gain_help"), width="medium"),
            "says": text(t("members.says"), help=t("members.says_help")),
            "alike": text(t("members.alike"), help=t(f"members.alike_help{sets}")),
            "action": st.column_config.ButtonColumn(t("members.action"), key="member-action", on_click=act),
        },
    )


def _gain(gain: Comparison) -> str:
    # Adding zero takes the sign from a zero that was rounded from below.
    value, low, high = (round(figure, 4) + 0.0 for figure in (gain.gain, gain.gain_low, gain.gain_high))
    return f"{value:+.4f} ({low:+.4f} – {high:+.4f})"


def _says(gain: Comparison) -> str:
    """A worth in a word: the interval of the gain lies above zero, below it, or around it."""
    return t("members.helps" if gain.is_clear else "members.hurts" if gain.gain_high < -1e-7 else "members.luck")


def _classes(blend: OpenBlend, pairs: Pairwise, known: Measured | None) -> None:
    """The classes of one member: where it is ahead of every other, and what the blend loses there without it."""
    section(t("members.classes_title"), t("members.classes_note"))
    oof = blend.ensemble.oof
    names, key = {run.id: run.name for run in blend.runs}, "members-class-run"
    if st.session_state.get(key) not in names:
        st.session_state[key] = next(iter(names))
    chosen = st.selectbox(t("members.run"), list(names), format_func=lambda run_id: names[run_id], key=key, width=320)
    place = list(names).index(chosen)
    others = np.delete(pairs.f1, place, axis=0)
    best = np.where(np.isnan(others), -1.0, others).max(axis=0)
    frame = pd.DataFrame(
        {
            "class": list(blend.classes),
            "rows": oof.y_true.sum(axis=0, dtype=np.int64) if oof.is_multilabel else np.bincount(oof.y_true, minlength=oof.n_classes),
            "own": pairs.f1[place],
            "best": np.where(best < 0, np.nan, best),
            "lead": pairs.f1[place] - best,
        }
    )
    carried = None if known is None else known.carried
    if carried is None:
        frame = frame.sort_values("lead", ascending=False, kind="stable")
        st.caption(t("members.carries_later"))
    else:
        is_carried, loses = carried.is_carried[place], carried.f1[place]
        n_changed = (carried.right_only_with + carried.right_only_without)[place]
        words = [t(f"members.{word}") for word in ("stands_carried", "stands_out", "luck")]
        frame["carried"] = loses
        frame["stands"] = np.select([is_carried, carried.is_clear[place], n_changed > 0], words, default="–")
        frame = frame.iloc[np.lexsort((-np.nan_to_num(loses), ~is_carried))]
        _say_carried(frame[is_carried[frame.index]], int(((loses > 0) & ~is_carried).sum()))
    number = st.column_config.NumberColumn
    st.dataframe(
        frame,
        hide_index=True,
        key="members-classes",
        height="content" if len(frame) <= MOST_ROWS else TABLE_PX,
        placeholder="–",
        alt=t("members.classes_title"),
        column_config={
            "class": st.column_config.TextColumn(t("errors.class_name"), pinned=True),
            "rows": number(t("members.rows"), format="%d", help=t("members.rows_help_sets") if oof.is_multilabel else None),
            "own": number(t("members.f1_own"), format="%.3f"),
            "best": number(t("members.f1_best"), format="%.3f"),
            "lead": number(t("members.lead"), format="%+.3f", help=t("members.lead_help")),
            "carried": number(t("members.carried"), format="%+.3f", help=t("members.carried_help")),
            "stands": st.column_config.TextColumn(t("members.stands"), help=t("members.stands_help")),
        },
    )


def _say_carried(found: pd.DataFrame, n_chance: int) -> None:
    """The classes that a member carries, those that lose most first, and how many more lose F1 by what may be chance."""
    said = " · ".join(f"**{plain(name)}** {value:+.3f}" for name, value in zip(found["class"][:MOST_NAMED], found["carried"], strict=False))
    if len(found) > MOST_NAMED:
        said += " " + t("members.carries_more", n=len(found) - MOST_NAMED)
    st.markdown(t("members.carries", classes=said) if said else t("members.carries_nothing"))
    if n_chance:
        st.caption(t("members.carries_chance", n=n_chance))


def _pairs(blend: OpenBlend, pairs: Pairwise) -> None:
    section(t("members.pairs_title"))
    kind = st.segmented_control(
        t("members.pairs_title"),
        ("disagreement", "correlation"),
        default="disagreement",
        format_func=lambda name: t(f"members.{name}"),
        required=True,
        key="members-pairs",
        label_visibility="collapsed",
    )
    values = pairs.disagreement if kind == "disagreement" else pairs.correlation
    chart = pair_chart(values, [run.name for run in blend.runs], kind, is_dark=st.context.theme.type == "dark")
    draw(chart, key=f"members-{kind}", alt=t(f"members.{kind}"))
    st.caption(t(f"members.{kind}_help_sets" if blend.ensemble.oof.is_multilabel else f"members.{kind}_help"))


def pair_chart(values: NDArray[np.float64], names: Sequence[str], kind: Pairs, *, is_dark: bool) -> Chart:
    """A square of `values` (n, n); the diagonal is left empty, and so is a pair without a value (a run that never errs).

    Disagreement goes from nothing to the accent, as more of it is more to gain from; erring together to red, as it adds nothing.
    """
    n = len(names)
    rows, columns = np.divmod(np.arange(n * n), n)
    array = np.asarray(names, dtype=object)
    table = pd.DataFrame({"one": array[rows], "other": array[columns], "value": np.where(rows == columns, np.nan, values.ravel())})
    most = table["value"].max()
    top = 1.0 if kind == "correlation" or np.isnan(most) else max(0.01, float(most))
    color, form = (BAD, ".2f") if kind == "correlation" else (ACCENT, ".1%")
    cell_px = 46 if n <= 6 else 34 if n <= MOST_BESIDE else 26
    axis: Spec = {"labelLimit": 130, **BARE_AXIS}
    value: Spec = quantity("value")
    scale: Spec = {"domain": [0, top], "range": [EMPTY, color], "interpolate": "rgb", "clamp": True}
    empty: Spec = {"test": "!isValid(datum.value)", "value": EMPTY}
    spec: Spec = {
        "height": cell_px * n,
        "padding": {"left": 0, "top": 0, "bottom": 5, "right": 45},  # room for the slanted name of the last column
        "encoding": {
            "x": nominal("other", sort=None, axis={**axis, "orient": "top", "labelAngle": -35}),
            "y": nominal("one", sort=None, axis=axis),
            "tooltip": [
                nominal("one", title=t("charts.run")),
                nominal("other", title=t("members.other")),
                {**value, "title": t(f"members.{kind}"), "format": form},
            ],
        },
        "layer": [
            {
                "mark": {"type": "rect", "cornerRadius": 2, "stroke": "transparent", "invalid": None},
                "encoding": {"color": {"condition": empty, **value, "scale": scale, "legend": None}},
            },
            {
                "transform": [{"filter": "isValid(datum.value)"}],
                "mark": {"type": "text", "fontSize": 11, "color": ink(is_dark=is_dark)},
                "encoding": {"text": {**value, "format": form}},
            },
        ],
        "config": {**CONFIG, "view": {"stroke": None}},
    }
    return Chart(spec, table)
