"""Progress of runs, for the list of runs and the page of one: running and next jobs, device time, and warnings."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from html import escape

import streamlit as st

from app.shell import runtime
from app.ui.colors import run_color, translucent
from app.ui.format import format_clock, format_duration, format_score
from app.words.text import t
from core.metrics.scores import get_metric
from core.specs.progress import Progress
from core.store.jobs import FoldJob, Job
from core.store.runs import Run, list_epochs
from core.training.trouble import Trouble, TroubleKind, find_trouble

BUSY_S, IDLE_S = 1.0, 3.0
MAX_NEXT = 6
KINDS: tuple[TroubleKind, ...] = ("nan", "diverging", "overfitting", "far_fold")
Places = Mapping[int, Mapping[int, Progress]]
"""By run id and fold, the position from which a job that went back to the queue will resume (`runtime.places`)."""


def jobs_now(runs: Sequence[Run], jobs: Sequence[Job], places: Places) -> None:
    """A line with a bar for every running fold of these runs, and the next folds with the position they resume from."""
    by_id = {run.id: run for run in runs}
    folds = [job for job in jobs if isinstance(job, FoldJob) and job.run_id in by_id]
    running = [job for job in folds if job.state == "running"]
    waiting = [job for job in folds if job.state == "queued"]
    if not running and not waiting:
        return
    lines = [job_line(by_id[job.run_id], job, places.get(job.run_id, {}).get(job.fold)) for job in running]
    if waiting:
        names = ", ".join(_next_job(by_id[job.run_id], job, places.get(job.run_id, {}).get(job.fold)) for job in waiting[:MAX_NEXT])
        more = f" {t('runs.next_more', n=len(waiting) - MAX_NEXT)}" if len(waiting) > MAX_NEXT else ""
        lines.append(
            f'<div style="opacity:.7;font-size:.8rem;padding-top:4px">{escape(t("runs.next_jobs", jobs=names))}{escape(more)}</div>'
        )
    st.html(f'<div style="display:flex;flex-direction:column;gap:8px;padding:2px 0 6px">{"".join(lines)}</div>')


def goes_on(place: Progress) -> str:
    """The position from which a fold will resume, as text."""
    if place.phase != "training":
        return t("runs.goes_on_predicting")
    epoch = t("runs.job_epoch", epoch=place.epoch, n=place.n_epochs)
    return t("runs.goes_on", place=f"{epoch} · {t('runs.job_step', step=place.step, n=place.n_steps)}" if place.n_steps else epoch)


def _next_job(run: Run, job: FoldJob, place: Progress | None) -> str:
    name = t("runs.next_job", run=run.name, fold=job.fold)
    return name if place is None else f"{name} ({goes_on(place)})"


def job_line(run: Run, job: FoldJob, place: Progress | None) -> str:
    """One running fold as HTML: its name, progress, pace and end; `place` is the position a starting fold will resume from."""
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
    color = run_color(run.id)
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


def device_time_s(run: Run) -> float:
    """Seconds that devices worked on a run, running folds included."""
    return run.elapsed_s + sum(max(0.0, time.time() - job.started_at) for job in run.jobs if job.state == "running" and job.started_at)


def input_label(run: Run) -> str:
    """What reaches the network: side in pixels, or length in tokens."""
    if run.is_imported:
        return ""
    wanted = run.recipe.input
    return t("runs.input_px", n=wanted.size_px) if run.recipe.modality == "image" else t("runs.input_tokens", n=wanted.max_tokens)


def trouble_of(run: Run, metric: str) -> Trouble | None:
    """The first warning of a run. Epochs of an ended run are read once per process, those of a live one each time."""
    if run.state in ("running", "queued"):
        return find_trouble(list_epochs(runtime.workspace().store, run.id), get_metric(metric), run.fold_scores(metric))
    ended = tuple((job.id, job.token, job.state) for job in run.jobs)
    return _trouble_of_ended(str(runtime.workspace().root), run.id, run.created_at, ended, metric, run)


@st.cache_data(max_entries=1000, show_spinner=False)
def _trouble_of_ended(root: str, run_id: int, created_at: float, ended: tuple[object, ...], metric: str, _run: Run) -> Trouble | None:
    return find_trouble(list_epochs(runtime.workspace().store, run_id), get_metric(metric), _run.fold_scores(metric))


def trouble_label(kind: TroubleKind) -> str:
    """The name of a kind of warning."""
    return t(f"queue.trouble_{kind}")


def trouble_sentence(trouble: Trouble) -> str:
    """The warning in a sentence, with its fold and epoch."""
    values = trouble.values
    said = {name: f"{value:.3g}" for name, value in values.items() if name in ("loss", "best", "valid_loss")}
    said |= {name: format_score(value) for name, value in values.items() if name in ("score", "siblings", "spread")}
    said |= {"best_epoch": f"{values['best_epoch']:.0f}"} if "best_epoch" in values else {}
    return t(f"queue.trouble_{trouble.kind}_said", fold=trouble.fold, epoch=trouble.epoch, **said)


def trouble_markdown(trouble: Trouble) -> str:
    """Badge and sentence as one line of markdown."""
    return f":orange-badge[:material/flag: {trouble_label(trouble.kind)}] {trouble_sentence(trouble)}"
