"""Says on every page that a run ended or a fold failed: a toast, once in each tab, and a mark on the tab's title until somebody looks.

The pit board's fragment asks; the title is changed in the browser, so that nothing is drawn anew and no focus moves.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import streamlit as st
from streamlit.components.v2 import component

from app import doorway, state
from app.core_text import say
from app.text import t
from app.widgets import format_duration, format_score, metric_label, plain
from core.errors import NotFoundError
from core.store.contests import get_contest
from core.store.ends import RunTally, last_end, read_tallies
from core.store.runs import get_run

WATCH_KEY = "notices"
SLACK_S = 3600.0
"""How far a clock may be put back without news being missed."""
MOST_TOASTS = 3
MOST_MARKS = 20


@dataclass(frozen=True)
class Notice:
    """One piece of news; `number` counts them within a session. A fold that failed while others go on is news of its own."""

    number: int
    kind: Literal["done", "failed", "fold_failed"]
    tally: RunTally


@dataclass
class Watch:
    """What a session has been told. What had ended before the first look is never news."""

    since: float
    known: set[tuple[str, int, float]] | None = None
    notices: list[Notice] = field(default_factory=list)
    name: str = field(default_factory=lambda: uuid.uuid4().hex)

    def look(self, tallies: Sequence[RunTally]) -> list[Notice]:
        """The news in these tallies, in the order in which it happened; told once."""
        is_first, known = self.known is None, self.known or set()
        fresh: list[Notice] = []
        for tally in sorted(tallies, key=lambda tally: (tally.ended_at, tally.run_id)):
            ended = ("ended", tally.run_id, tally.ended_at) if tally.has_ended else None
            failed = ("failed", tally.run_id, tally.failed_at) if tally.n_failed else None
            kind = ("failed" if tally.n_failed else "done") if ended else "fold_failed"
            if (ended or failed) not in {None, *known}:
                fresh.append(Notice(len(self.notices) + len(fresh), kind, tally))
            known |= {event for event in (ended, failed) if event}
            self.since = max(self.since, tally.ended_at - SLACK_S)
        self.known = known
        if is_first:
            return []
        self.notices += fresh
        return fresh


def tell() -> None:
    """Tell what happened since the last look, and keep the tab's title true."""
    store = doorway.workspace().store
    watch: Watch | None = st.session_state.get(WATCH_KEY)
    if watch is None:
        watch = st.session_state[WATCH_KEY] = Watch(since=last_end(store) - SLACK_S)
    tallies = read_tallies(store, since=watch.since)
    news = watch.look(tallies)
    if len(news) > MOST_TOASTS:
        n_done = sum(notice.kind == "done" for notice in news)
        st.toast(t("notices.toast_many", done=n_done, failed=len(news) - n_done), icon=":material/notifications:", duration="long")
    else:
        for notice in news:
            _toast(notice)
    _TITLE(
        key="tab-title",
        data={
            "watch": watch.name,
            "marks": [_mark(notice) for notice in watch.notices[-MOST_MARKS:]],
            "training": _training([tally for tally in tallies if tally.n_running]),
        },
    )


def _toast(notice: Notice) -> None:
    """The news in one sentence; a failure stays until it is closed."""
    tally, store = notice.tally, doorway.workspace().store
    try:
        run, contest = get_run(store, tally.run_id), get_contest(store, tally.contest_id)
    except NotFoundError:  # deleted in the same second
        return
    name = plain(run.name)
    selected = state.selected_contest()
    if selected is None or selected.id != contest.id:
        name = f"{name} ({plain(contest.name)})"
    if notice.kind == "done":
        metric = contest.spec.metric
        score = format_score(run.cv_score(metric), run.cv_sd(metric))
        text = t("notices.toast_done", run=name, metric=metric_label(metric), score=score, took=format_duration(run.elapsed_s))
        st.toast(text, icon=":material/check_circle:", duration="long")
        return
    failed = next((job for job in run.jobs if job.state == "failed"), None)
    if failed is None:  # retried in the same second
        return
    why = plain(say(failed.error["what"])) if failed.error else ""
    key = "notices.toast_fold_failed" if notice.kind == "fold_failed" else "notices.toast_failed"
    text = t(key, run=name, fold=failed.fold, why=why, failed=tally.n_failed, n=tally.n_folds)
    st.toast(text, icon=":material/error:", duration="infinite")


def _mark(notice: Notice) -> dict[str, object]:
    text = t(f"notices.title_{notice.kind}", run=notice.tally.run_name)
    return {"number": notice.number, "text": text, "is_bad": notice.kind != "done"}


def _training(running: Sequence[RunTally]) -> str:
    """How far what trains now is, such as `3/5 digits-small`; of several runs all folds together."""
    if not running:
        return ""
    n_done, n_folds = sum(tally.n_done for tally in running), sum(tally.n_folds for tally in running)
    more = f" +{len(running) - 1}" if len(running) > 1 else ""
    return f"{n_done}/{n_folds} {running[0].run_name}{more}"


_JS = """
const INPUTS = ['pointerdown', 'keydown', 'wheel', 'touchstart', 'focus']

// What the tab shows: the worst unseen news, else what trains, then the title that the page gave itself.
function paint(tab) {
  const fresh = tab.marks.filter(mark => mark.number > tab.seen)
  const shown = fresh.findLast(mark => mark.is_bad) ?? fresh.at(-1)
  const more = fresh.length > 1 ? ` +${fresh.length - 1}` : ''
  tab.title = [shown ? shown.text + more : tab.training, tab.own].filter(Boolean).join(' · ')
  if (document.title !== tab.title) document.title = tab.title
}

function look(tab) {
  const newest = tab.marks.at(-1)?.number ?? -1
  if (document.visibilityState === 'hidden' || newest <= tab.seen) return
  tab.seen = newest
  paint(tab)
}

// One set of listeners for the life of the tab; the component may come and go with the sidebar.
function watchTab() {
  const tab = { watch: '', marks: [], training: '', seen: -1, own: document.title, title: document.title, at: null }
  for (const name of INPUTS) window.addEventListener(name, () => look(tab), { capture: true, passive: true })
  document.addEventListener('visibilitychange', () => look(tab))
  // A pointer that lies still also "moves" when something is drawn under it.
  window.addEventListener('pointermove', ({ screenX: x, screenY: y }) => {
    if (tab.at && Math.hypot(x - tab.at[0], y - tab.at[1]) > 2) look(tab)
    tab.at = [x, y]
  }, { capture: true, passive: true })
  new MutationObserver(() => {
    if (document.title === tab.title) return
    tab.own = document.title
    paint(tab)
  }).observe(document.head, { childList: true, subtree: true, characterData: true })
  return tab
}

export default function ({ data }) {
  if (!data) return
  const tab = window.pitwallTab ??= watchTab()
  if (tab.watch !== data.watch) tab.seen = -1
  Object.assign(tab, data)
  paint(tab)
}
"""

_TITLE = component("pitwall_tab_title", html="<span hidden></span>", js=_JS)
