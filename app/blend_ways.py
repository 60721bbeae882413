"""Ways to a blend's weights beside the hand, and what the chosen one is honestly worth: refitted without each fold.

A way is fitted at its click and judged once; a drag only compares the weights with those that were found, and computes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isclose
from typing import Literal, get_args

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.desk import Desk
from app.text import t
from app.weight_bank import BankState, equal_state
from app.widgets import format_score, guard, metric_label
from core.blend.bank import Bank
from core.blend.honest import HonestScore
from core.blend.mean import MeanName
from core.blend.procedure import CONVEX_MEANS, BlendProcedure

ChosenWay = Literal["equal", "by_score", "optimal", "greedy"]
WAYS: tuple[ChosenWay, ...] = get_args(ChosenWay)
MEANS: tuple[MeanName, ...] = get_args(MeanName)
ICONS: dict[ChosenWay, str] = {"equal": "drag_handle", "by_score": "leaderboard", "optimal": "target", "greedy": "stairs"}
SAME = 1e-9
"""Weights make a round trip through the browser, which divides them by their sum again."""
MOST_FOUND = 50


@dataclass
class Found:
    """Weights that a way came to on the predictions `content`, and its honest score once that was computed."""

    content: tuple[object, ...]
    procedure: BlendProcedure
    weights: Mapping[int, float]
    honest: HonestScore | None = None

    def is_at(self, content: tuple[object, ...], weights: Mapping[int, float]) -> bool:
        """Whether these are the weights of the desk now, whatever the mean."""
        return content == self.content and are_same(self.weights, weights)


def choose_mean(folds_id: int) -> MeanName:
    """How predictions are averaged; kept for the session."""
    key = mean_key(folds_id)
    st.session_state.setdefault(key, MEANS[0])
    chosen = st.segmented_control(
        t("ensemble.mean"),
        MEANS,
        format_func=mean_label,
        required=True,
        key=key,
        help=t("ensemble.mean_help"),
        persist_state="session",
    )
    return chosen or MEANS[0]


def mean_key(folds_id: int) -> str:
    return f"blend-mean-{folds_id}"


def mean_label(mean: str) -> str:
    """A mean's name in the language of the screen."""
    return t(f"ensemble.mean_{mean}")


def prepare_mean(bank: Bank, mean: MeanName) -> None:
    """Make what scoring under a mean needs; seconds on large data the first time, nothing after that."""
    with st.spinner(t("ensemble.preparing", mean=mean_label(mean))):
        bank.scorer(mean)


def way_buttons(desk: Desk, folds_id: int, mean: MeanName, ids: Sequence[int]) -> None:
    """One button per way, and undo. A click is remembered; `follow_click` acts on it when the page is drawn."""
    with st.container(horizontal=True, gap="small"):
        for way in WAYS:
            unprovable = way == "optimal" and mean not in CONVEX_MEANS
            st.button(
                t(f"ensemble.button_{way}"),
                icon=f":material/{ICONS[way]}:",
                help=t("ensemble.optimal_refused", mean=mean_label(mean)) if unprovable else t(f"ensemble.help_{way}"),
                disabled=unprovable or (len(ids) < 2 and way != "equal"),
                on_click=_ask,
                args=(folds_id, way),
            )
        st.button(t("ensemble.button_undo"), icon=":material/undo:", on_click=desk.undo, disabled=not desk.history)


def _ask(folds_id: int, way: ChosenWay) -> None:
    st.session_state[f"way-asked-{folds_id}"] = way


def follow_click(desk: Desk, bank: Bank, folds_id: int, mean: MeanName, content: tuple[object, ...]) -> None:
    """Fit the way that was clicked and put its weights on the desk: one step of undo."""
    way: ChosenWay | None = st.session_state.pop(f"way-asked-{folds_id}", None)
    if way is None:
        return
    ids = [run.id for run in bank.runs]
    with guard(), st.spinner(t("ensemble.finding", way=t(f"ensemble.button_{way}")), show_time=True):
        procedure = make_procedure(way, mean, bank.metric.name)
        found = _found(folds_id)
        known = next((item for item in found if item.content == content and item.procedure == procedure), None)
        if known is None:
            weights = dict(zip(ids, bank.fit(procedure).normalised(), strict=True))
            known = Found(content, procedure, weights)
            found[:] = [*found[-MOST_FOUND:], known]
        desk.put(BankState(dict(known.weights), frozenset(), 0))


def make_procedure(way: ChosenWay, mean: MeanName, metric: str) -> BlendProcedure:
    """The settings of a way: what it shares out by score follows the contest's metric."""
    return BlendProcedure(way=way, mean=mean, score_by="macro_f1" if metric == "macro_f1" else "accuracy")


def find(desk: Desk, folds_id: int, mean: MeanName, content: tuple[object, ...]) -> Found | None:
    """The way by which the weights of the desk were found under this mean; None for weights by hand, and for those nobody tuned."""
    if is_untuned(desk, mean):
        return None
    at = (item for item in reversed(_found(folds_id)) if item.is_at(content, desk.state.weights))
    return next((item for item in at if item.procedure.mean == mean), None)


def is_untuned(desk: Desk, mean: MeanName) -> bool:
    """Equal weights under the arithmetic mean: nothing was chosen by looking at scores."""
    return mean == "arithmetic" and are_same(desk.state.weights, equal_state(list(desk.state.weights)).weights)


def are_same(one: Mapping[int, float], other: Mapping[int, float]) -> bool:
    """Whether two sets of weights are the same but for rounding."""
    return one.keys() == other.keys() and all(isclose(weight, other[run_id], abs_tol=SAME) for run_id, weight in one.items())


def judge(found: Found, bank: Bank) -> HonestScore:
    """The honest score of the way: refitted without each fold, on the fold it did not see. Long on large data, so kept."""
    if found.honest is None:
        found.honest = _honest(found.content, found.procedure.model_dump_json(), bank, found.procedure)
    return found.honest


@st.cache_resource(max_entries=64, show_spinner=False)
def _honest(content: tuple[object, ...], settings: str, _bank: Bank, _procedure: BlendProcedure) -> HonestScore:
    return _bank.honest(_procedure)


def honest_figure(place: DeltaGenerator, honest: HonestScore | None, *, metric: str, standing: str) -> None:
    """The honest score with its interval; without one a dash and `standing`, which says why there is none."""
    place.metric(
        f"{t('ensemble.honest')} · {metric_label(metric)}",
        format_score(None if honest is None else honest.score),
        standing if honest is None else t("ensemble.interval", low=format_score(honest.low), high=format_score(honest.high)),
        "off",
        delta_arrow="off",
        help=t("ensemble.honest_help"),
        border=True,
        height="stretch",
    )


def verdict(desk: Desk, folds_id: int, mean: MeanName, found: Found | None) -> None:
    """In words what the weights on the desk are worth; where the gain may be luck, a button for equal weights."""
    if found is not None and found.honest is not None:
        _verdict_of_way(desk, folds_id, found.procedure, found.honest)
    elif is_untuned(desk, mean):
        st.info(t("ensemble.verdict_untuned"), icon=":material/info:")
    else:
        st.warning(t("ensemble.verdict_hand"), icon=":material/info:")


def _verdict_of_way(desk: Desk, folds_id: int, procedure: BlendProcedure, honest: HonestScore) -> None:
    way = t(f"ensemble.button_{procedure.way}")
    said = t(
        "ensemble.verdict_gain",
        way=way if procedure.mean == "arithmetic" else f"{way}, {mean_label(procedure.mean)}",
        gain=f"{honest.gain:+.4f}",
        low=f"{honest.gain_low:+.4f}",
        high=f"{honest.gain_high:+.4f}",
    )
    if honest.is_clear:
        st.success(f"{said} {t('ensemble.verdict_clear')}", icon=":material/check_circle:")
        return
    st.warning(f"{said} {t('ensemble.verdict_worse' if honest.gain_high < 0 else 'ensemble.verdict_luck')}", icon=":material/info:")

    def take_equal() -> None:
        st.session_state[mean_key(folds_id)] = MEANS[0]
        desk.put(equal_state(list(desk.state.weights)))

    st.button(t("ensemble.take_equal"), icon=":material/drag_handle:", on_click=take_equal)


def _found(folds_id: int) -> list[Found]:
    return st.session_state.setdefault(f"ways-found-{folds_id}", [])
