"""The list on the page Runs: four figures, what the devices do now, the table of all runs, and a comparison of the ticked ones."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape

import pandas as pd
import streamlit as st

from app.runs.queue_panel import queue_panel
from app.runs.trouble import KINDS, trouble_label, trouble_markdown, trouble_of
from app.shell import runtime, state
from app.ui import charts
from app.ui.cards import guard
from app.ui.colors import run_color, translucent
from app.ui.format import (
    STATE_COLORS,
    direction_arrow,
    format_clock,
    format_duration,
    format_score,
    metric_help,
    metric_label,
    plain,
    short_hash,
    state_label,
)
from app.words.text import t
from core.analysis.compare import differing_settings
from core.metrics.scores import Metric, get_metric
from core.specs.progress import Progress
from core.store.contests import Contest
from core.store.folds import Folds, list_folds
from core.store.jobs import Job, list_jobs
from core.store.runs import Run, list_runs

BUSY_S, IDLE_S = 1.0, 3.0
MOST_NEXT = 6
MIN_FIGURE_PX = 160

Places = Mapping[int, Mapping[int, Progress]]
"""By run id and fold, where jobs that were handed back will go on (`runtime.places`)."""


def run_list(contest: Contest) -> None:
    """Show the list and keep it fresh: every second while something waits or runs, every three otherwise."""
    is_busy = _is_busy(list_runs(runtime.workspace().store, contest.id))
    st.fragment(_live, run_every=BUSY_S if is_busy else IDLE_S)(contest, is_busy)


def _live(contest: Contest, was_busy: bool) -> None:
    with guard():
        store = runtime.workspace().store
        runs = list_runs(store, contest.id)
        if _is_busy(runs) != was_busy or not runs:
            st.rerun()
        metric = get_metric(contest.spec.metric)
        folds = {item.id: item for item in list_folds(store, contest.id)}
        _figures(contest, runs, metric)
        places = runtime.places(contest, runs)
        jobs_now(runs, list_jobs(store, ("running",)), places)
        queue_panel(contest)
        chosen = _table(runs, folds, metric, places)
        if len(chosen) > 1:
            compare_runs(chosen, folds, metric)
        else:
            st.caption(t("runs.select_hint"))


def _is_busy(runs: Sequence[Run]) -> bool:
    return any(run.state in ("running", "queued") for run in runs)


def _figures(contest: Contest, runs: Sequence[Run], metric: Metric) -> None:
    snapshot = runtime.status()
    jobs = [job for run in runs for job in run.jobs]
    running = [job for job in jobs if job.state == "running"]
    n_queued = sum(job.state == "queued" for job in jobs)
    scored = [(score, run) for run in runs if (score := run.cv_score(metric.name)) is not None and run.is_complete] or [
        (score, run) for run in runs if (score := run.cv_score(metric.name)) is not None
    ]
    left = min((job.progress.eta_s for job in running if job.progress and job.progress.eta_s is not None), default=None)
    quiet = {"border": True, "height": "stretch", "delta_arrow": "off"}
    with st.grid(4, gap="small", min_column_width=MIN_FIGURE_PX):
        label = t("runs.best_cv", metric=metric_label(metric.name))
        told = metric_help(contest.spec, metric.name)
        if scored:
            best = metric.best([score for score, _ in scored])
            run = next(run for score, run in scored if score == best)
            st.metric(label, format_score(best, run.cv_sd(metric.name)), plain(run.name), "off", help=told, **quiet)
        else:
            st.metric(label, "–", t("runs.best_none"), "off", help=told, **quiet)
        note = (
            t("runs.running_none")
            if not running
            else t("runs.running_left", left=format_duration(left))
            if left is not None
            else t("common.phase_starting")
        )
        st.metric(t("runs.running"), len(running), note, "off", **quiet)
        end = snapshot.queue_end_s
        note = (
            t("runs.queued_none")
            if not n_queued
            else t("runs.queued_end", clock=format_clock(time.time() + end))
            if end is not None
            else t("runs.queued_unknown")
        )
        st.metric(t("runs.queued"), n_queued, note, "off", **quiet)
        n_done = sum(len(run.results) for run in runs)
        st.metric(
            t("runs.device_time"),
            format_duration(sum(map(device_time_s, runs))),
            t("runs.device_time_what", folds=n_done, runs=len(runs)),
            "off",
            **quiet,
        )


def jobs_now(runs: Sequence[Run], jobs: Sequence[Job], places: Places) -> None:
    """A line with a bar for every running fold of these runs, and the names of those that come next and where they go on."""
    by_id = {run.id: run for run in runs}
    running = [job for job in jobs if job.state == "running" and job.run_id in by_id]
    waiting = [job for job in jobs if job.state == "queued" and job.run_id in by_id]
    if not running and not waiting:
        return
    lines = [job_line(by_id[job.run_id], job, places.get(job.run_id, {}).get(job.fold)) for job in running]
    if waiting:
        names = ", ".join(_next_job(by_id[job.run_id], job, places.get(job.run_id, {}).get(job.fold)) for job in waiting[:MOST_NEXT])
        more = f" {t('runs.next_more', n=len(waiting) - MOST_NEXT)}" if len(waiting) > MOST_NEXT else ""
        lines.append(
            f'<div style="opacity:.7;font-size:.8rem;padding-top:4px">{escape(t("runs.next_jobs", jobs=names))}{escape(more)}</div>'
        )
    st.html(f'<div style="display:flex;flex-direction:column;gap:8px;padding:2px 0 6px">{"".join(lines)}</div>')


def goes_on(place: Progress) -> str:
    """Where a fold that was handed back will go on."""
    if place.phase != "training":
        return t("runs.goes_on_predicting")
    epoch = t("runs.job_epoch", epoch=place.epoch, n=place.n_epochs)
    return t("runs.goes_on", place=f"{epoch} · {t('runs.job_step', step=place.step, n=place.n_steps)}" if place.n_steps else epoch)


def _next_job(run: Run, job: Job, place: Progress | None) -> str:
    name = t("runs.next_job", run=run.name, fold=job.fold)
    return name if place is None else f"{name} ({goes_on(place)})"


def job_line(run: Run, job: Job, place: Progress | None) -> str:
    """One running fold as HTML: which, how far, how fast, until when; `place` is where one that has not got to training will go on."""
    progress = job.progress
    parts = [t("runs.job_fold", fold=job.fold)]
    share = runtime.share_of(job, place)
    if job.cancel_requested:
        parts.append(t("runs.job_stopping"))
    elif place is not None or progress is None:
        parts += [t(f"common.phase_{progress.phase if progress else 'starting'}"), *([goes_on(place)] if place else [])]
    else:
        parts.append(t(f"common.phase_{progress.phase}"))
        if progress.epoch:
            parts.append(t("runs.job_epoch", epoch=progress.epoch, n=progress.n_epochs))
        if progress.n_steps:
            parts.append(t("runs.job_step", step=progress.step, n=progress.n_steps))
        if progress.pace_per_s is not None:
            parts.append(t("runs.job_pace", pace=f"{progress.pace_per_s:,.0f}"))
        if progress.train_loss is not None:
            parts.append(t("runs.job_loss", loss=f"{progress.train_loss:.3f}"))
    ends = ""
    if progress is not None and progress.eta_s is not None:
        ends = f"{t('runs.job_left', left=format_duration(progress.eta_s))} · {t('runs.job_end', clock=format_clock(time.time() + progress.eta_s))}"
    color = run_color(run.color_index)
    return (
        f'<div role="progressbar" aria-valuemin="0" aria-valuemax="100" aria-valuenow="{100 * share:.0f}" aria-label="{escape(run.name)}">'
        f'<div style="display:flex;gap:10px;align-items:baseline;font-size:.86rem">{dot(color)}<b style="font-weight:600">{escape(run.name)}</b>'
        f'<span style="opacity:.75;flex:1">{escape(" · ".join(parts))}</span><span style="opacity:.75">{escape(ends)}</span>'
        f'<span style="font-weight:600;min-width:3.2em;text-align:right">{100 * share:.0f} %</span></div>'
        f'<div style="height:6px;border-radius:3px;margin-top:4px;background:{translucent(color, 0.18)}">'
        f'<div style="height:6px;border-radius:3px;width:{100 * share:.2f}%;background:{color};transition:width .8s linear"></div></div></div>'
    )


def dot(color: str) -> str:
    """A run's colour as a small round mark."""
    return (
        f'<span aria-hidden="true" style="flex:none;align-self:center;width:10px;height:10px;border-radius:50%;background:{color}"></span>'
    )


def dot_image(color: str) -> str:
    """The same mark as a picture for a table."""
    picture = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 20 20'><circle cx='10' cy='10' r='6' fill='{color}'/></svg>"
    return f"data:image/svg+xml;base64,{base64.b64encode(picture.encode()).decode()}"


def device_time_s(run: Run) -> float:
    """Seconds that devices worked on a run, the folds that run now included."""
    return run.elapsed_s + sum(max(0.0, time.time() - job.started_at) for job in run.jobs if job.state == "running" and job.started_at)


def progress_of(run: Run, places: Mapping[int, Progress]) -> float:
    """How much of a run is done, 0 to 1, over all its folds; `places` by fold are where those that wait or start will go on."""
    done = sum(runtime.share_of(job, places.get(job.fold)) for job in run.jobs)
    return done / len(run.jobs) if run.jobs else float(run.is_complete)


def _table(runs: Sequence[Run], folds: Mapping[int, Folds], metric: Metric, places: Places) -> list[Run]:
    """All runs, newest first; returns those that are ticked. A click on a name opens the run."""
    scores = [list(run.fold_scores(metric.name).values()) for run in runs]
    flat = [score for run_scores in scores for score in run_scores]
    low, high = (min(flat), max(flat)) if flat else (0.0, 1.0)
    troubles = {run.id: trouble for run in runs if (trouble := trouble_of(run, metric.name))}
    table = pd.DataFrame(
        {
            "dot": [dot_image(run_color(run.color_index)) for run in runs],
            "run": [run.name for run in runs],
            "backbone": [t("runs.imported") if run.is_imported else run.recipe.model.backbone for run in runs],
            "input": [input_label(run) for run in runs],
            "cv": pd.array([run.cv_score(metric.name) for run in runs], dtype="Float64"),
            "sd": pd.array([run.cv_sd(metric.name) for run in runs], dtype="Float64"),
            "folds": scores,
            "done": [f"{len(run.results)}/{len(run.fold_numbers)}" for run in runs],
            "on": [f"{folds[run.folds_id].n_folds} #{short_hash(folds[run.folds_id].fingerprint)}" for run in runs],
            "state": [[state_label(run.state)] for run in runs],
            "trouble": [[trouble_label(troubles[run.id].kind)] if run.id in troubles else [] for run in runs],
            "progress": [round(100 * progress_of(run, places.get(run.id, {}))) for run in runs],
            "time": pd.to_timedelta([round(device_time_s(run)) for run in runs], unit="s"),
            "created": [datetime.fromtimestamp(run.created_at) for run in runs],
        }
    )
    if len({run.folds_id for run in runs}) < 2:
        table = table.drop(columns="on")
    if not troubles:
        table = table.drop(columns="trouble")
    if all(run.state == "done" for run in runs):
        table = table.drop(columns="progress")
    complete = [score for run in runs if run.is_complete and (score := run.cv_score(metric.name)) is not None]
    best = metric.best(complete) if complete else None
    bold = ["font-weight: 700" if run.is_complete and best is not None and run.cv_score(metric.name) == best else "" for run in runs]
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn

    def open_run() -> None:
        state.select_run(runs[st.session_state["runs-open"].row].ref)
        st.rerun()

    event = st.dataframe(
        table.style.apply(lambda _: bold, subset=["cv"]),
        hide_index=True,
        key="runs-" + "-".join(str(run.id) for run in runs),
        on_select="rerun",
        selection_mode="multi-row",
        height="content",
        alt=t("runs.table_alt"),
        placeholder="–",
        column_config={
            "dot": st.column_config.ImageColumn("", width=34, pinned=True),
            "run": st.column_config.ButtonColumn(
                t("runs.column_run"), key="runs-open", on_click=open_run, type="tertiary", alignment="left", pinned=True
            ),
            "backbone": text(t("runs.column_backbone")),
            "input": text(t("runs.column_input"), width="small"),
            "cv": number(
                t("runs.column_cv", arrow=direction_arrow(metric.name)),
                format="%.4f",
                help=t("runs.column_cv_help", metric=charts.metric_name(metric)),
                width="small",
            ),
            "sd": number(t("runs.column_sd"), format="%.4f", width="small"),
            "folds": st.column_config.BarChartColumn(t("runs.column_folds"), y_min=low - 0.25 * (high - low), y_max=high, width="small"),
            "done": text(t("runs.column_done"), width="small"),
            "on": text(t("runs.column_on"), width="small"),
            "state": st.column_config.MultiselectColumn(
                t("runs.column_state"),
                options=[state_label(name) for name in STATE_COLORS],
                color=list(STATE_COLORS.values()),
                width="small",
            ),
            "trouble": st.column_config.MultiselectColumn(
                t("queue.column_trouble"),
                options=[trouble_label(kind) for kind in KINDS],
                color="orange",
                help=t("queue.column_trouble_help"),
                width="small",
            ),
            "progress": st.column_config.ProgressColumn(
                t("runs.column_progress"), format="%d %%", min_value=0, max_value=100, width="small"
            ),
            "time": number(t("runs.column_time"), format="compact", width="small"),
            "created": st.column_config.DatetimeColumn(t("runs.column_created"), format="MM-DD HH:mm"),
        },
    )
    for run in runs:
        if run.state == "running" and run.id in troubles:  # of the others the run's own page says it
            st.markdown(f"**{plain(run.name)}** {trouble_markdown(troubles[run.id])}")
    return [runs[row] for row in event.selection.rows if row < len(runs)]


def input_label(run: Run) -> str:
    """What reaches the network: side in pixels, or length in tokens."""
    if run.is_imported:
        return ""
    recipe = run.recipe
    return (
        t("runs.input_px", n=recipe.image.size_px)
        if recipe.image
        else t("runs.input_tokens", n=recipe.text.max_tokens)
        if recipe.text
        else ""
    )


def compare_runs(runs: Sequence[Run], folds: Mapping[int, Folds], metric: Metric) -> None:
    """Fold scores side by side, and the settings in which the recipes differ."""
    st.subheader(t("runs.compare_title", n=len(runs)), anchor=False)
    if len({run.folds_id for run in runs}) > 1:
        names = ", ".join(sorted({f"#{short_hash(folds[run.folds_id].fingerprint)}" for run in runs}))
        st.warning(t("runs.compare_folds", folds=names), icon=":material/warning:")
    left, right = st.columns([1.2, 1], gap="large")
    table = pd.DataFrame(
        [(run.name, fold, score) for run in runs for fold, score in run.fold_scores(metric.name).items()], columns=["run", "fold", "score"]
    )
    with left:
        colors = {run.name: run_color(run.color_index) for run in runs}
        charts.draw(charts.compare_folds(table, colors, metric), key="compare-folds", alt=t("charts.compare_title"))
    with right:
        st.markdown(f"**{t('runs.compare_recipe')}**")
        strangers = [run.name for run in runs if run.is_imported]
        if strangers:
            st.caption(t("runs.compare_imported", names=plain(", ".join(strangers))))
            return
        differing = differing_settings([run.recipe for run in runs])
        if not differing:
            st.caption(t("runs.compare_same"))
            return
        shown = pd.DataFrame(
            {run.name: [str(values[place]) for values in differing.values()] for place, run in enumerate(runs)}, index=list(differing)
        )
        shown.index.name = t("runs.compare_setting")
        shown.loc[t("runs.compare_cv", metric=metric_label(metric.name))] = [
            format_score(run.cv_score(metric.name), run.cv_sd(metric.name)) for run in runs
        ]
        st.dataframe(shown, key="compare-recipes", alt=t("runs.compare_recipe"))
