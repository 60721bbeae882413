"""What each member does for the blend in the editor: its worth, whom it differs from, and which classes it carries.

Pairs are read when this part is opened; worth is measured by a click, member by member, kept by content, and goes on where it was
interrupted. A drag of a weight computes nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from app.ensemble.draft import Desk, Draft
from app.ensemble.session import content_of, load_ensemble, members_key, open_desk
from app.ensemble.ways import describe, fit_took_s
from app.shell import runtime
from app.ui import charts
from app.ui.cards import guard, section
from app.ui.charts import CONFIG, Chart, Spec
from app.ui.colors import ACCENT, BAD, ink
from app.ui.format import format_duration, format_score, metric_label, plain
from app.words.text import t
from core.analysis.worth import (
    Carried,
    Worth,
    carried_classes,
    class_f1,
    disagreement,
    error_correlation,
    member_labels,
    worth_in,
    worth_of,
)
from core.blend.ensemble import Ensemble
from core.blend.honest import refitted
from core.blend.procedure import fit_of
from core.blend.scorer import Outcome
from core.specs.blend import BlendSteps
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import Run

MOST_KEPT = 24
MOST_ROWS, TABLE_PX = 12, 420
"""A longer table of classes is scrolled, at this height."""
MOST_NAMED = 5
LEAVE_KEY = "member-left"
PAIRS: tuple[Pairs, ...] = ("disagreement", "correlation")
Content = tuple[object, ...]


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
    worths: dict[int, Worth] = field(default_factory=dict)
    carried: Carried | None = None


@st.fragment
def members_view(contest: Contest, folds: Folds, members: Sequence[Run]) -> None:
    """The worth of each member; below it the classes of one, and all of them against each other."""
    if st.session_state.pop(LEAVE_KEY, False):
        st.rerun()
    with guard():
        if len(members) < 2:
            st.caption(t("members.needs_two"))
            return
        content = content_of(contest, folds, members)
        with st.spinner(t("members.reading")):
            ensemble = load_ensemble(content, runtime.workspace(), contest, members)
            pairs = _pairwise(content, ensemble)
        desk = open_desk(folds.id, [run.id for run in members])
        measured = _worth(contest, folds, members, ensemble, desk, pairs, content)
        places = st.columns([1.2, 1], gap="large") if len(members) <= MOST_BESIDE else [st.container(), st.container()]
        with places[0]:
            _classes(contest, members, ensemble, pairs, measured)
        with places[1]:
            _pairs(pairs, members, several=contest.spec.is_multilabel)


@st.cache_resource(max_entries=8, show_spinner=False)
def _pairwise(content: Content, _ensemble: Ensemble) -> Pairwise:
    scorer = _ensemble.scorer("arithmetic")
    labels = member_labels(scorer)
    return Pairwise(disagreement(labels), error_correlation(labels, scorer.y_true), class_f1(labels, scorer.truth))


def _pairs(pairs: Pairwise, members: Sequence[Run], *, several: bool) -> None:
    section(t("members.pairs_title"))
    kind = st.segmented_control(
        t("members.pairs_title"),
        PAIRS,
        default=PAIRS[0],
        format_func=lambda name: t(f"members.{name}"),
        required=True,
        key="members-pairs",
        label_visibility="collapsed",
    )
    values = pairs.disagreement if kind == "disagreement" else pairs.correlation
    chart = pair_chart(values, [run.name for run in members], kind or PAIRS[0], is_dark=st.context.theme.type == "dark")
    charts.draw(chart, key=f"members-{kind}", alt=t(f"members.{kind}"))
    st.caption(t(f"members.{kind}_help_sets" if several else f"members.{kind}_help"))


def _worth(
    contest: Contest, folds: Folds, members: Sequence[Run], ensemble: Ensemble, desk: Desk, pairs: Pairwise, content: Content
) -> Measured | None:
    """The button that measures, and the table of members; returns what is known of the blend on the bench, or of the one before."""
    draft = desk.draft
    key = (*content, draft.steps.model_dump_json(), draft.procedure.trimmed.model_dump_json())
    shelf, last = _shelf(), f"measured-{folds.id}"
    is_whole = key in shelf and _is_whole(shelf[key], len(members))
    with section(t("members.worth_title"), t("members.worth_note")):
        # It is there also when all is measured: a drag on the bench does not redraw this part, and a click finds what moved.
        label = t("members.measure_again")
        if not is_whole:
            label = t(
                "members.measure_on" if key in shelf else "members.measure", duration=format_duration(_seconds(ensemble, draft, content))
            )
        kind = "secondary" if is_whole else "primary"
        is_asked = st.button(label, icon=":material/straighten:", type=kind, key="measure-members", disabled=desk.is_held)
    is_asked = is_asked and not is_whole
    if is_whole or is_asked:
        st.session_state[last] = key
    if is_asked and key not in shelf:
        _keep(shelf, key, Measured(describe(draft.procedure), draft.weights, _is_refitted(draft)))
    at: Content = st.session_state.get(last, ())
    known = shelf.get(at) if at[: len(content)] == content else None
    progress = st.container()
    _table(contest, folds, members, ensemble, draft, pairs, known)
    if known is not None:
        how = t("members.how_refitted" if known.is_refitted else "members.how_fixed")
        st.caption(t("members.measured_now" if at == key else "members.measured_before", way=plain(known.said)) + " " + how)
    if is_asked:
        with progress:
            _measure(shelf[key], ensemble, draft, members)
        st.rerun()
    return known


def _measure(measured: Measured, ensemble: Ensemble, draft: Draft, members: Sequence[Run]) -> None:
    """Measure what is missing, one member after the other; what is there stays when the page is left in between."""
    bar = st.progress(0.0, text=t("members.measuring_all"))
    scorer = ensemble.scorer(draft.steps.mean)
    if measured.everyone is None:
        if measured.is_refitted:
            measured.everyone, measured.refits = refitted(ensemble.scorer, fit_of(draft.procedure), groups=ensemble.oof.groups)
        else:
            measured.everyone = scorer.outcome(draft.steps)
    for place, run in enumerate(members):
        bar.progress((place + 1) / (len(members) + 2), text=t("members.measuring", name=plain(run.name), n=place + 1, of=len(members)))
        if place not in measured.worths:
            measured.worths[place] = (
                worth_of(ensemble.scorer, draft.procedure, place, measured.everyone, groups=ensemble.oof.groups)
                if measured.is_refitted
                else worth_in(scorer, draft.steps, place, measured.everyone, groups=ensemble.oof.groups)
            )
    bar.progress((len(members) + 1) / (len(members) + 2), text=t("members.measuring_classes"))
    measured.carried = carried_classes(ensemble.scorer, measured.refits or draft.steps, groups=ensemble.oof.groups)
    bar.empty()


def _table(
    contest: Contest, folds: Folds, members: Sequence[Run], ensemble: Ensemble, draft: Draft, pairs: Pairwise, known: Measured | None
) -> None:
    metric = contest.spec.metric
    own = ensemble.member_scores()
    alike = np.where(np.isnan(pairs.correlation), -2.0, pairs.correlation) - 3 * np.eye(len(members))
    nearest = alike.argmax(axis=1)
    worths = [None if known is None else known.worths.get(place) for place in range(len(members))]
    leave = t("members.leave")
    frame = pd.DataFrame(
        {
            "run": [run.name for run in members],
            "own": [score.oof_score for score in own],
            "cv": [format_score(score.cv_score, score.cv_sd if len(score.fold_scores) > 1 else None) for score in own],
            "weight": draft.weights if known is None else known.weights,
            "without": [None if worth is None else worth.with_and_without.other for worth in worths],
            "gain": [_gain(worth) for worth in worths],
            "says": [_says(worth) for worth in worths],
            "alike": [
                f"{members[other].name} {pairs.correlation[place, other]:.2f}" if alike[place, other] > -2 else "–"
                for place, other in enumerate(nearest.tolist())
            ],
            "action": [[leave] for _ in members],
        }
    )

    def act() -> None:
        gone = members[st.session_state["member-action"].row].id
        st.session_state[members_key(folds.id)] = [run.id for run in members if run.id != gone]
        st.session_state[LEAVE_KEY] = True

    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    label = metric_label(metric)
    st.dataframe(
        frame,
        hide_index=True,
        key="members-worth",
        placeholder="–",
        alt=t("members.worth_title"),
        column_config={
            "run": text(t("members.run"), pinned=True),
            "own": number(t("members.own"), format="%.4f", help=label),
            "cv": t("ensemble.column_cv"),
            "weight": st.column_config.ProgressColumn(t("members.weight"), format="%.3f", min_value=0.0, max_value=1.0),
            "without": number(t("members.without"), format="%.4f", help=t("members.without_help")),
            "gain": text(t("members.gain"), help=t("members.gain_help"), width="medium"),
            "says": text(t("members.says"), help=t("members.says_help")),
            "alike": text(t("members.alike"), help=t("members.alike_help_sets" if contest.spec.is_multilabel else "members.alike_help")),
            "action": st.column_config.ButtonColumn(t("members.action"), key="member-action", on_click=act),
        },
    )


def _gain(worth: Worth | None) -> str | None:
    if worth is None:
        return None
    gain = worth.with_and_without
    # Adding zero takes the sign from a zero that was rounded from below.
    value, low, high = (round(figure, 4) + 0.0 for figure in (gain.gain, gain.gain_low, gain.gain_high))
    return f"{value:+.4f} ({low:+.4f} – {high:+.4f})"


def _says(worth: Worth | None) -> str | None:
    """A worth in a word: the interval of the gain lies above zero, below it, or around it."""
    if worth is None:
        return None
    gain = worth.with_and_without
    return t("members.helps" if gain.is_clear else "members.hurts" if gain.gain_high < -1e-7 else "members.luck")


def _classes(contest: Contest, members: Sequence[Run], ensemble: Ensemble, pairs: Pairwise, known: Measured | None) -> None:
    """The classes of one member: where it is ahead of every other, and what the blend loses there without it."""
    section(t("members.classes_title"), t("members.classes_note"))
    several = contest.spec.is_multilabel
    by_id = {run.id: place for place, run in enumerate(members)}
    key = "members-class-run"
    if st.session_state.get(key) not in by_id:
        st.session_state[key] = members[0].id
    place = by_id[st.selectbox(t("members.run"), list(by_id), format_func=lambda run_id: members[by_id[run_id]].name, key=key, width=320)]
    others = np.delete(pairs.f1, place, axis=0)
    best = np.where(np.isnan(others), -1.0, others).max(axis=0)
    carried = None if known is None else known.carried
    frame = pd.DataFrame(
        {
            "class": list(contest.spec.classes),
            "rows": ensemble.oof.y_true.sum(axis=0, dtype=np.int64)
            if several
            else np.bincount(ensemble.oof.y_true, minlength=len(contest.spec.classes)),
            "own": pairs.f1[place],
            "best": np.where(best < 0, np.nan, best),
            "lead": pairs.f1[place] - best,
        }
    )
    if carried is None:
        frame = frame.sort_values("lead", ascending=False, kind="stable")
        st.caption(t("members.carries_later"))
    else:
        is_carried, loses = carried.is_carried[place], carried.f1[place]
        frame["carried"] = loses
        frame["stands"] = _stand_outs(carried, place)
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
            "rows": number(t("members.rows"), format="%d", help=t("members.rows_help_sets") if several else None),
            "own": number(t("members.f1_own"), format="%.3f"),
            "best": number(t("members.f1_best"), format="%.3f"),
            "lead": number(t("members.lead"), format="%+.3f", help=t("members.lead_help")),
            "carried": number(t("members.carried"), format="%+.3f", help=t("members.carried_help")),
            "stands": st.column_config.TextColumn(t("members.stands"), help=t("members.stands_help")),
        },
    )


def _stand_outs(carried: Carried, place: int) -> list[str | None]:
    """For each class in a word whether what a member does for it stands out from chance; nothing where it changes no answer."""
    words: list[str | None] = []
    for is_carried, is_clear, n_changed in zip(
        carried.is_carried[place], carried.is_clear[place], (carried.right_only_with + carried.right_only_without)[place], strict=True
    ):
        if is_carried:
            words.append(t("members.stands_carried"))
        elif is_clear:
            words.append(t("members.stands_out"))
        else:
            words.append(t("members.luck") if n_changed else None)
    return words


def _say_carried(found: pd.DataFrame, n_chance: int) -> None:
    """The classes that a member carries, those that lose most first, and how many more lose F1 by what may be chance."""
    said = " · ".join(f"**{plain(name)}** {value:+.3f}" for name, value in zip(found["class"][:MOST_NAMED], found["carried"], strict=False))
    if len(found) > MOST_NAMED:
        said += " " + t("members.carries_more", n=len(found) - MOST_NAMED)
    st.markdown(t("members.carries", classes=said) if said else t("members.carries_nothing"))
    if n_chance:
        st.caption(t("members.carries_chance", n=n_chance))


def _is_refitted(draft: Draft) -> bool:
    """Its way can be gone again without a member; a saved blend's steps by class or by regression whose way is not known cannot."""
    return not (draft.is_by_hand and draft.kind in ("loose", "apart"))


def _seconds(ensemble: Ensemble, draft: Draft, content: Content) -> float:
    """About how long measuring takes: for each member and for all of them together, a fit without each fold."""
    n = len(ensemble.runs) + 1
    a_fit = fit_took_s(ensemble, draft.procedure, content) * len(ensemble.oof.folds) if _is_refitted(draft) else 0.0
    return n * (a_fit + 0.5)


def _is_whole(measured: Measured, n: int) -> bool:
    return len(measured.worths) == n and measured.carried is not None


def _keep(shelf: dict[Content, Measured], key: Content, measured: Measured) -> None:
    for old in list(shelf)[: max(0, len(shelf) - MOST_KEPT + 1)]:
        del shelf[old]
    shelf[key] = measured


@st.cache_resource(max_entries=1, show_spinner=False)
def _shelf() -> dict[Content, Measured]:
    """What was measured, by content, for all sessions."""
    return {}


Pairs = Literal["disagreement", "correlation"]
EMPTY = "rgba(138,143,152,0.10)"
MOST_BESIDE = 12
"""With more members than this the square needs the whole width of the page."""


def pair_chart(values: NDArray[np.float64], names: Sequence[str], kind: Pairs, *, is_dark: bool) -> Chart:
    """A square of `values` (n, n); the diagonal is left empty, and so is a pair without a value (a run that never errs).

    Disagreement goes from nothing to the accent, as more of it is more to gain from; erring together to red, as it adds nothing.
    """
    n = len(names)
    rows, columns = np.divmod(np.arange(n * n), n)
    table = pd.DataFrame(
        {
            "one": np.asarray(names, dtype=object)[rows],
            "other": np.asarray(names, dtype=object)[columns],
            "value": np.where(rows == columns, np.nan, values.ravel()),
        }
    )
    shown = table["value"].dropna()
    top = 1.0 if kind == "correlation" else max(0.01, float(shown.max()) if len(shown) else 0.01)
    color = BAD if kind == "correlation" else ACCENT
    form = ".2f" if kind == "correlation" else ".1%"
    cell_px = 46 if n <= 6 else 34 if n <= MOST_BESIDE else 26
    axis: Spec = {"labelLimit": 130, "labelOverlap": False, "labelFlush": False, "ticks": False, "domain": False}
    value: Spec = {"field": "value", "type": "quantitative"}
    title = t(f"members.{kind}")
    spec: Spec = {
        "height": cell_px * n,
        "padding": {"left": 0, "top": 0, "bottom": 5, "right": 45},  # room for the slanted name of the last column
        "encoding": {
            "x": {"field": "other", "type": "nominal", "sort": None, "title": None, "axis": {**axis, "orient": "top", "labelAngle": -35}},
            "y": {"field": "one", "type": "nominal", "sort": None, "title": None, "axis": axis},
            "tooltip": [
                {"field": "one", "type": "nominal", "title": t("charts.run")},
                {"field": "other", "type": "nominal", "title": t("members.other")},
                {**value, "title": title, "format": form},
            ],
        },
        "layer": [
            {
                "mark": {"type": "rect", "cornerRadius": 2, "stroke": "transparent", "invalid": None},
                "encoding": {
                    "color": {
                        "condition": {"test": "!isValid(datum.value)", "value": EMPTY},
                        **value,
                        "scale": {"domain": [0, top], "range": [EMPTY, color], "interpolate": "rgb", "clamp": True},
                        "legend": None,
                    }
                },
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
