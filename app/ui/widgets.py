"""The few pieces every page is made of: header, cards for empty and failing states, scores, states, durations."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.shell import runtime, state
from app.words.core_text import say
from app.words.text import t
from core.base.errors import PitwallError
from core.metrics.scores import get_metric
from core.specs.contest import ContestSpec
from core.store.contests import Contest
from core.store.folds import Folds, list_folds

PAGES_DIR = Path(__file__).resolve().parents[2] / "pages"
_T = TypeVar("_T")
StateColor = Literal["red", "orange", "blue", "green", "gray"]
STATE_COLORS: dict[str, StateColor] = {"queued": "gray", "running": "blue", "done": "green", "failed": "red", "canceled": "orange"}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~:$^=])")


def page_header(title: str, contest: Contest | None = None, folds: Folds | None = None, *, note: str = "") -> None:
    """The first line of a page: its title, and on the right which contest, metric (with direction) and folds it speaks of.

    `note` is markdown that stands there on a page that speaks of no contest.
    """
    facts = [note] if note else []
    if contest is not None:
        facts = [f"**{plain(contest.name)}**", metric_label(contest.spec.metric)]
        if folds is not None:
            facts.append(t("common.folds_label", n=folds.n_folds, hash=short_hash(folds.fingerprint)))
    with st.container(key="page-header", horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
        st.title(title, anchor=False, width="content")
        if facts:
            st.caption("  ·  ".join(facts), width="content", text_alignment="right")


def metric_label(metric: str) -> str:
    """The metric's name with an arrow in the direction that is better, such as `log loss ↓`."""
    return f"{t(f'common.metric_{metric}')} {direction_arrow(metric)}"


def metric_help(spec: ContestSpec, metric: str) -> str | None:
    """What a metric's name means where rows may have several classes; None where it means what it always does."""
    return t(f"common.several_{metric}") if spec.is_multilabel else None


def submission_label(spec: ContestSpec) -> str:
    """What the contest is handed for each row: its label or labels, or a value per class."""
    several = "_several" if spec.is_multilabel and spec.submission == "label" else ""
    return t(f"common.submission_{spec.submission}{several}")


def direction_arrow(metric: str) -> str:
    """↑ where greater is better, ↓ where smaller is."""
    return "↑" if get_metric(metric).greater_is_better else "↓"


def section(title: str, note: str = "") -> DeltaGenerator:
    """A heading inside a page with a quiet note after it; what is drawn into the returned row stands at its right end."""
    with st.container(key=f"section-{title}", horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small", width="content"):
            st.subheader(title, anchor=False, width="content")
            if note:
                st.caption(note, width="content")
        return st.container(horizontal=True, width="content", vertical_alignment="center")


def empty_state(
    title: str, why: str, button: str = "", *, on_click: Callable[[], object] | None = None, page: str = "", icon: str = "inbox"
) -> bool:
    """What a page says when it has nothing to show: what it will show, why it is empty, and the button that fills it.

    The button leads to `page` (a name in pages/), or calls `on_click`; the return value says whether it was pressed.
    """
    with st.container(key=f"empty-{icon}", border=True, horizontal_alignment="center", gap="small"):
        st.space("small")
        with st.container(key=f"empty-mark-{icon}", width="content"):
            st.markdown(f":gray[:material/{icon}:]", width="content")
        st.subheader(title, anchor=False, width="content", text_alignment="center")
        st.caption(why, width=520, text_alignment="center")
        pressed = bool(button) and st.button(button, type="primary", on_click=on_click, key=f"empty-{icon}-button")
        st.space("small")
    if pressed and page:
        go_to(page)
    return pressed


def need_contest(title: str) -> Contest:
    """The selected contest; without one the page `title` ends here with a way to get one."""
    contest = state.selected_contest()
    if contest is None:
        page_header(title)
        empty_state(t("common.no_contest_title"), t("common.no_contest_why"), t("common.no_contest_button"), page="home", icon="flag")
        st.stop()
    return contest


def control_of(name: str, value: _T, take: Callable[[_T], None]) -> tuple[str, _T, Callable[[], None]]:
    """The key, the default and the `on_change` of a control that shows `value`; `take` is told what a person changes it to.

    A control that last said something else becomes a new one. A value that is only put under its key can be lost: until the
    browser has drawn it, any part of the page that runs by itself sends the old one back, as if a person had chosen it. The default
    stays that of the control's first day: it may name what has gone since.
    """
    turn_key = f"{name}-turn"
    turn, default = st.session_state.setdefault(turn_key, (0, value))
    if st.session_state.get(f"{name}-{turn}", default) != value:
        turn, default = st.session_state[turn_key] = turn + 1, value
    key = f"{name}-{turn}"

    def changed() -> None:
        # What the browser still says of an older control is not about this one.
        if st.session_state[turn_key][0] == turn:
            take(st.session_state[key])

    return key, default, changed


def pick_folds(contest: Contest) -> Folds | None:
    """A picker over the folds of a contest, newest first; the choice goes into the address. None when there are none."""
    known = list_folds(runtime.workspace().store, contest.id)
    chosen = state.selected_folds(contest)
    if chosen is None:
        return None
    return st.selectbox(
        t("folds.picker"),
        known,
        index=[folds.id for folds in known].index(chosen.id),
        format_func=folds_label,
        key=f"pick-folds-{contest.id}-{len(known)}",
        on_change=lambda: state.select_folds(st.session_state[f"pick-folds-{contest.id}-{len(known)}"]),
        required=True,
        label_visibility="collapsed",
        width=320,
    )


def folds_label(folds: Folds) -> str:
    """Folds in one line: short hash, number, kind, group column, seed."""
    key = "folds.option_group" if folds.group_column else "folds.option"
    kind = t(f"split.kind={folds.kind}")
    return t(key, hash=short_hash(folds.fingerprint), n=folds.n_folds, kind=kind, group=folds.group_column, seed=folds.seed)


def go_to(page: str, **params: str) -> None:
    """Open another page (a name in pages/) with the same contest and language."""
    st.switch_page(PAGES_DIR / f"{page}.py", query_params=state.link_params(**params))


def error_card(error: PitwallError) -> None:
    """An error as what, where, why and the fix, in the language of the screen."""
    parts = [("where", error.where), ("why", error.why), ("fix", error.fix)]
    lines = [f"**{t(f'common.error_{label}')}**  {_by_line(say(text))}" for label, text in parts if text]
    st.error("  \n".join(lines) or "\u00a0", title=plain(say(error.what)), icon=":material/error:")


def _by_line(text: str) -> str:
    """A text whose lines stay lines."""
    return "  \n".join(map(plain, text.split("\n")))


def stored_error(parts: Mapping[str, str]) -> PitwallError:
    """An error as the store keeps it (`PitwallError.to_dict`), to be shown as a card."""
    return PitwallError(parts["what"], where=parts["where"], why=parts["why"], fix=parts["fix"])


@contextmanager
def guard() -> Iterator[None]:
    """Show a PitwallError as a card; anything else is a bug and keeps its traceback."""
    try:
        yield
    except PitwallError as error:
        error_card(error)


def format_score(value: float | None, sd: float | None = None) -> str:
    """A score to four digits, with its spread where it has one: `0.2143 ±0.0031`; a dash for none."""
    if value is None:
        return "–"
    return f"{value:.4f}" if sd is None else f"{value:.4f} ±{sd:.4f}"


def state_label(name: str) -> str:
    """A run's or job's state in the language of the screen."""
    return t(f"common.state_{name}")


def format_honest(honest: Mapping[str, Any] | None) -> str:
    """An honest score with its interval; a dash where weights came by hand, or by nothing that was fitted."""
    return f"{honest['score']:.4f} ({honest['low']:.4f} – {honest['high']:.4f})" if honest else "–"


def format_duration(seconds: float | None) -> str:
    """A length of time in one unit that fits: `41 s`, `12 min`, `3 h 05`; a dash for an unknown one."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return t("common.seconds", n=round(seconds))
    if seconds < 5400:
        return t("common.minutes", n=round(seconds / 60))
    minutes = round(seconds / 60)
    return t("common.hours", h=minutes // 60, m=minutes % 60)


def format_clock(epoch_s: float) -> str:
    """A moment as local time of day, `03:40`; with the date when it is not today."""
    moment, today = time.localtime(epoch_s), time.localtime()
    same_day = moment[:3] == today[:3]
    return time.strftime("%H:%M" if same_day else "%m-%d %H:%M", moment)


def short_hash(fingerprint: str) -> str:
    """The four characters by which folds and data are told apart on the screen."""
    return fingerprint[:4]


def plain(text: object) -> str:
    """Text of a person or a file, escaped so that markdown shows it as it is."""
    return _MARKDOWN.sub(r"\\\1", str(text)).replace("\n", " ")
