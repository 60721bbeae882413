"""The parts of the page Home: a contest of the workspace, and a built-in sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import streamlit as st

from app.shell import runtime, state
from app.shell.state import go_to
from app.ui.cards import guard
from app.ui.format import direction_arrow, format_score, metric_label, plain, submission_label
from app.words.text import t
from core.analysis.overview import ContestOverview
from core.contest.samples import Sample, open_sample


def contest_row(overview: ContestOverview) -> None:
    """One contest: what it is, its best score, how many runs, and the button that makes it the selected one."""
    contest, spec = overview.contest, overview.contest.spec
    with st.container(border=True, key=f"contest-{contest.id}"):
        about, best, runs, jobs, action = st.columns([3.9, 2.3, 0.9, 1.7, 1.2], vertical_alignment="center", gap="medium")
        with about.container(gap="xxsmall"):
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.markdown(f"**{plain(contest.name)}**", width="content")
                st.badge(t(f"common.modality_{spec.modality}"), color="gray")
            rows = t("home.rows", train=contest.n_train, test=contest.n_test)
            facts = (rows, t("home.classes", n=len(spec.classes)), metric_label(spec.metric), submission_label(spec))
            st.caption("  ·  ".join(facts))
        name = overview.best.name if overview.best else ""
        best.metric(
            t("home.best_cv", arrow=direction_arrow(spec.metric)),
            format_score(overview.best_score, overview.best_sd),
            help=t("home.best_by", name=plain(name)) if name else t("home.best_none"),
        )
        runs.metric(t("home.runs"), overview.n_runs)
        jobs.metric(t("home.jobs"), f"{overview.n_running} · {overview.n_queued}")
        if action.button(t("home.open"), key=f"open-{contest.id}", help=t("home.open_help"), width="stretch"):
            state.select_contest(contest.name)
            go_to("runs" if overview.n_runs else "data")


def sample_card(sample: Sample, is_open: bool) -> None:
    """One built-in sample, with the button that makes and opens it."""
    with st.container(border=True, key=f"sample-{sample.name}", height="stretch"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"**{t(f'home.sample_{sample.name}_title')}**", width="content")
            st.badge(t(f"common.modality_{sample.modality}"), color="gray")
            if is_open:
                st.badge(t("home.sample_opened"), color="green")
        st.caption(t(f"home.sample_{sample.name}_about"))
        st.space("stretch")
        if st.button(t("home.sample_open", name=sample.name), key=f"sample-open-{sample.name}", icon=":material/play_arrow:"):
            make_and_open(sample)


def make_and_open(sample: Sample) -> None:
    """Write and register a sample's files at first use, then open it on the Data page."""
    with guard(), progress_bar(lambda done, total: t("home.sample_making", name=sample.name)) as report:
        contest = open_sample(runtime.workspace(), sample.name, progress=report)
        state.select_contest(contest.name)
        go_to("data")


@contextmanager
def progress_bar(text: Callable[[int, int], str], total: int = 0) -> Iterator[Callable[[int, int], None]]:
    """A bar while a contest is made; what is given is called with how many images are done, of how many."""
    bar = st.progress(0.0, text=text(0, total))

    def report(done: int, total: int) -> None:
        bar.progress(done / max(1, total), text=text(done, total))

    try:
        yield report
    finally:
        bar.empty()
