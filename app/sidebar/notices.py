"""Says on every page that a run ended or a fold failed: a card, once in each tab, and a mark on the tab's title until somebody looks.

The pit board's fragment asks; cards and title are the browser's (`tab_news.py`), so that nothing is drawn anew and no focus moves.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import streamlit as st

from app.shell import runtime, state
from app.ui.components.tab_news.component import Card, Mark, tab_news
from app.ui.format import format_duration, format_score, metric_label
from app.words.core_text import say
from app.words.text import t
from core.base.errors import NotFoundError
from core.store.contests import get_contest
from core.store.ends import RunTally, last_end, read_tallies
from core.store.runs import get_run

WATCH_KEY = "notices"
SLACK_S = 3600.0
"""How far a clock may be put back without news being missed."""
MOST_CARDS = 3
MOST_KEPT = 20


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
    cards: list[Card] = field(default_factory=list)
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
    store = runtime.workspace().store
    watch: Watch | None = st.session_state.get(WATCH_KEY)
    if watch is None:
        watch = st.session_state[WATCH_KEY] = Watch(since=last_end(store) - SLACK_S)
    tallies = read_tallies(store, since=watch.since)
    news = watch.look(tallies)
    cards = [_summary(news)] if len(news) > MOST_CARDS else [card for notice in news if (card := _card(notice))]
    watch.cards = [*watch.cards, *cards][-MOST_KEPT:]
    tab_news(
        watch.name,
        cards=watch.cards,
        marks=[_mark(notice) for notice in watch.notices[-MOST_KEPT:]],
        training=_training([tally for tally in tallies if tally.n_running]),
        labels={"close": t("notices.close"), "news": t("notices.news")},
    )


def _summary(news: Sequence[Notice]) -> Card:
    n_done = sum(notice.kind == "done" for notice in news)
    lines = (t("notices.many", done=n_done, failed=len(news) - n_done),)
    return Card(news[-1].number, t("notices.many_title"), lines, is_bad=n_done < len(news))


def _card(notice: Notice) -> Card | None:
    """The news in a few words; None when its run was deleted or retried in the same second."""
    tally, store = notice.tally, runtime.workspace().store
    try:
        run, contest = get_run(store, tally.run_id), get_contest(store, tally.contest_id)
    except NotFoundError:
        return None
    selected = state.selected_contest()
    name = run.name if selected is not None and selected.id == contest.id else f"{run.name} ({contest.name})"
    if notice.kind == "done":
        metric = contest.spec.metric
        score = format_score(run.cv_score(metric), run.cv_sd(metric))
        line = t("notices.done", metric=metric_label(metric), score=score, took=format_duration(run.elapsed_s))
        return Card(notice.number, name, (line,), is_bad=False)
    failed = next((job for job in run.jobs if job.state == "failed"), None)
    if failed is None:
        return None
    lines = [t(f"notices.{notice.kind}", fold=failed.fold, failed=tally.n_failed, n=tally.n_folds)]
    if failed.error:
        lines.append(t("notices.why", fold=failed.fold, why=say(failed.error["what"])))
    return Card(notice.number, name, tuple(lines), is_bad=True)


def _mark(notice: Notice) -> Mark:
    return Mark(notice.number, t(f"notices.title_{notice.kind}", run=notice.tally.run_name), is_bad=notice.kind != "done")


def _training(running: Sequence[RunTally]) -> str:
    """How far what trains now is, such as `3/5 digits-small`; of several runs all folds together."""
    if not running:
        return ""
    n_done, n_folds = sum(tally.n_done for tally in running), sum(tally.n_folds for tally in running)
    more = f" +{len(running) - 1}" if len(running) > 1 else ""
    return f"{n_done}/{n_folds} {running[0].run_name}{more}"
