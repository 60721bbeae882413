"""Progress of runs and the queue: running and next jobs, device time and warnings; the order of the waiting runs, controls that change it,
and why the queue is held.

The queue is that of the whole workspace, so runs of other contests are named too. Clicks act in callbacks: the panel is drawn by a
fragment that polls every second.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from html import escape

import streamlit as st

from app.shell import runtime
from app.shell.runtime import queue
from app.ui.cards import error_card
from app.ui.colors import run_color, translucent
from app.ui.components.queue_order.component import Act, ActKind, OrderRow, queue_order
from app.ui.format import STATE_COLORS, format_clock, format_duration, format_score, plain, state_label
from app.words.core_text import say
from app.words.text import t
from core.base.errors import PitwallError
from core.metrics.scores import get_metric
from core.specs.progress import Progress
from core.specs.recipe import Recipe
from core.store.contests import Contest, list_contests
from core.store.database import Store
from core.store.jobs import FoldJob, Job
from core.store.queue import EVERY_DEVICE, Hold, QueuedRun, list_holds, list_other_jobs, read_queue
from core.store.runs import Run, get_run, list_epochs_of
from core.training.trouble import Trouble, TroubleKind, find_trouble

BUSY_S, IDLE_S = 1.0, 3.0
MAX_NEXT = 6
KINDS: tuple[TroubleKind, ...] = ("nan", "diverging", "overfitting", "far_fold")
Places = Mapping[int, Progress]
"""By job id, the position from which a job that went back to the queue will resume (`runtime.places`)."""


def jobs_now(runs: Sequence[Run], jobs: Sequence[Job], places: Places) -> None:
    """A line with a bar for every running fold of these runs, and the next folds with the position they resume from."""
    by_id = {part.id: part for run in runs for part in run.parts}
    folds = [job for job in jobs if isinstance(job, FoldJob) and job.run_id in by_id]
    running = [job for job in folds if job.state == "running"]
    waiting = [job for job in folds if job.state == "queued"]
    if not running and not waiting:
        return
    lines = [job_line(by_id[job.run_id], job, places.get(job.id)) for job in running]
    if waiting:
        names = ", ".join(
            t("runs.next_job", run=by_id[job.run_id].name, fold=job.fold) + (f" ({goes_on(place)})" if place else "")
            for job in waiting[:MAX_NEXT]
            for place in [places.get(job.id)]
        )
        more = f" {t('runs.next_more', n=len(waiting) - MAX_NEXT)}" if len(waiting) > MAX_NEXT else ""
        lines.append(
            f'<div style="opacity:.8;font-size:.8rem;padding-top:4px">{escape(t("runs.next_jobs", jobs=names))}{escape(more)}</div>'
        )
    st.html(f'<div style="display:flex;flex-direction:column;gap:8px;padding:2px 0 6px">{"".join(lines)}</div>')


def figures(*rows: tuple[str, str, str], about: str | None) -> None:
    """Figures side by side, each a label, a value and a note; `about` is the help of the first."""
    with st.grid(len(rows), gap="small", min_column_width=160):
        for number, (label, value, note) in enumerate(rows):
            look = {"border": True, "height": "stretch", "delta_arrow": "off", "help": None if number else about}
            st.metric(label, value, note, "off", **look)


def goes_on(place: Progress) -> str:
    """The position from which a fold will resume, as text."""
    if place.phase != "training":
        return t("runs.goes_on_predicting")
    epoch = t("runs.job_epoch", epoch=place.epoch, n=place.n_epochs)
    return t("runs.goes_on", place=f"{epoch} · {t('runs.job_step', step=place.step, n=place.n_steps)}" if place.n_steps else epoch)


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
        known = (
            t(f"common.phase_{progress.phase}"),
            t("runs.job_epoch", epoch=progress.epoch, n=progress.n_epochs) if progress.epoch else "",
            t("runs.job_step", step=progress.step, n=progress.n_steps) if progress.n_steps else "",
            "" if progress.pace_per_s is None else t("runs.job_pace", pace=f"{progress.pace_per_s:,.0f}"),
            "" if progress.train_loss is None else t("runs.job_loss", loss=f"{progress.train_loss:.3f}"),
        )
        parts += filter(None, known)
    ends = ""
    if progress is not None and progress.eta_s is not None:
        ends = f"{t('runs.job_left', left=format_duration(progress.eta_s))} · {t('runs.job_end', clock=format_clock(time.time() + progress.eta_s))}"
    color = run_color(run.id)
    return (
        f'<div role="progressbar" aria-valuemin="0" aria-valuemax="100" aria-valuenow="{100 * share:.0f}" aria-label="{escape(run.name)}">'
        f'<div style="display:flex;flex-wrap:wrap;gap:2px 10px;align-items:baseline;font-size:.86rem">{dot(color)}<b style="font-weight:600">{escape(run.name)}</b>'
        f'<span style="opacity:.8;flex:1 1 12em">{escape(" · ".join(parts))}</span><span style="opacity:.8">{escape(ends)}</span>'
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
    """Seconds that devices worked on a run and its seeds, running folds included."""
    return run.elapsed_s + sum(max(0.0, time.time() - job.started_at) for job in run.jobs if job.state == "running" and job.started_at)


def seeds_label(recipe: Recipe) -> str:
    """The seed of a recipe, or the first and the last of several."""
    first, last = recipe.train.seeds[0], recipe.train.seeds[-1]
    return str(first) if first == last else f"{first}–{last}"


def noise_label(run: Run, metric: str) -> str:
    """The noise of a retraining of a run of several seeds, with their number."""
    sd = run.seed_sd(metric)
    return t("runs.noise_unknown" if sd is None else "runs.noise", sd=f"{sd or 0.0:.4f}", n=len(run.parts))


def input_label(run: Run) -> str:
    """What reaches the network: side in pixels, or length in tokens; TF-IDF reads texts whole."""
    if run.own_recipe is None:
        return ""
    wanted = run.recipe.input
    if run.recipe.model.is_tfidf:
        return t("runs.input_whole")
    return t("runs.input_px", n=wanted.size_px) if run.recipe.modality == "image" else t("runs.input_tokens", n=wanted.max_tokens)


def troubles_of(runs: Sequence[Run], metric: str) -> dict[int, Trouble]:
    """The first warning of each run that has one, by run id. Epochs are read in one query: of ended runs once per process, of live ones
    each time, of those that never began not at all."""
    known, store = _ended_troubles(str(runtime.workspace().root)), runtime.workspace().store
    parts = [part for run in runs for part in run.parts]
    keys = {part.id: (part.id, part.created_at, metric, *((job.id, job.token, job.state) for job in part.jobs)) for part in parts}
    asked = [part for part in parts if keys[part.id] not in known and (not part.jobs or any(job.token for job in part.jobs))]
    epochs = list_epochs_of(store, [part.id for part in asked]) if asked else {}
    found = {part.id: find_trouble(epochs[part.id], get_metric(metric), part.fold_scores(metric)) for part in asked}
    known.update({keys[part.id]: found[part.id] for part in asked if part.state not in ("running", "queued")})
    said = {part.id: found.get(part.id, known.get(keys[part.id])) for part in parts}
    first = {run.id: next((trouble for part in run.parts if (trouble := said[part.id])), None) for run in runs}
    return {run_id: trouble for run_id, trouble in first.items() if trouble}


@st.cache_resource(max_entries=4, show_spinner=False)
def _ended_troubles(root: str) -> dict[tuple[object, ...], Trouble | None]:
    """What was found in the epochs of ended runs of the workspace `root`, for all sessions."""
    return {}


def trouble_label(kind: TroubleKind) -> str:
    """The name of a kind of warning."""
    return t(f"queue.trouble_{kind}")


def trouble_markdown(trouble: Trouble) -> str:
    """A badge, and the warning in a sentence with its fold and epoch, as one line of markdown."""
    values = trouble.values
    said = {name: f"{value:.3g}" for name, value in values.items() if name in ("loss", "best", "valid_loss")}
    said |= {name: format_score(value) for name, value in values.items() if name in ("score", "siblings", "spread")}
    said |= {"best_epoch": f"{values['best_epoch']:.0f}"} if "best_epoch" in values else {}
    sentence = t(f"queue.trouble_{trouble.kind}_said", fold=trouble.fold, epoch=trouble.epoch, **said)
    return f":orange-badge[:material/flag: {trouble_label(trouble.kind)}] {sentence}"


MAX_AT_FIRST = 8
REFUSED_KEY = "queue-refused"
ALL_KEY = "queue-all"
ORDER_LABELS = (
    *("list", "how", "read_only", "lifted", "moved", "dropped", "given_up", "next"),
    *("grip_help", "next_help", "up_help", "down_help", "pause_help", "resume_help"),
)


def queue_panel(contest: Contest) -> None:
    """Draw the panel, unless nothing waits, runs or is held."""
    refused: PitwallError | None = st.session_state.pop(REFUSED_KEY, None)
    if refused is not None:
        error_card(refused)
    snapshot, store = runtime.status(), _store()
    holds = list_holds(store)
    waiting = [queued for queued in read_queue(store) if queued.waiting]  # jobs of other kinds stand below, each with its own button
    others = list_other_jobs(store)
    if not waiting and not holds and not others and not any(device.job for device in snapshot.devices):
        return
    with st.container(key="queue-panel", gap="xsmall"):
        _head(waiting, is_held=bool(holds))
        for hold in holds:
            _hold(hold, snapshot.free_bytes)
        shows_all = len(waiting) <= MAX_AT_FIRST or bool(st.session_state.get(ALL_KEY))
        names = {other.id: "" if other.id == contest.id else other.name for other in list_contests(store)}
        if waiting:
            queue_order(
                [_row(queued, names[queued.contest_id]) for queued in (waiting if shows_all else waiting[:MAX_AT_FIRST])],
                n_waiting=len(waiting),
                can_steer=snapshot.is_mine,
                labels={name: t(f"queue.{name}", run="{run}", place="{place}", n="{n}") for name in ORDER_LABELS},
                apply=lambda act: _do(lambda: steer(act)),
                key="queue-order",
            )
        if not shows_all:
            shown = {ALL_KEY: True}
            st.button(
                t("queue.show_all", n=len(waiting)), key="queue-show-all", type="tertiary", on_click=st.session_state.update, args=(shown,)
            )
        _other_jobs(others, can_steer=snapshot.is_mine)


def _head(waiting: Sequence[QueuedRun], *, is_held: bool) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        n_folds = sum(len(queued.waiting) for queued in waiting)
        said = t("queue.waiting", runs=len(waiting), folds=n_folds) if waiting else t("runs.queued_none")
        st.markdown(f"**{t('queue.title')}** :gray[{said}]", width="content")
        verb, icon, act = ("resume", "play_arrow", queue.resume_queue) if is_held else ("pause", "pause", queue.pause_queue)
        _button(f"queue-{verb}", t(f"queue.{verb}_all"), icon, lambda: act(_store()), help=t(f"queue.{verb}_all_help"))


def _hold(hold: Hold, free_bytes: int) -> None:
    """Why the queue or a device is held."""
    since, device = format_clock(hold.since), plain(hold.device)
    if hold.kind == "disk":
        needed, free = runtime.size_text(hold.needed_bytes), runtime.size_text(free_bytes)
        st.warning(t("queue.disk_full", device=device, needed=needed, free=free, since=since), icon=":material/hard_drive:")
    elif hold.device == EVERY_DEVICE:
        st.info(t("queue.paused", since=since), icon=":material/pause_circle:")
    else:
        st.info(t("queue.paused_device", device=device, since=since), icon=":material/pause_circle:")


def _row(queued: QueuedRun, other_contest: str) -> OrderRow:
    facts = (
        t("queue.folds", folds=", ".join(map(str, queued.waiting))),
        t("queue.priority", priority=f"{queued.priority:+d}") if queued.priority else "",
        other_contest,
        t("queue.run_paused") if queued.is_paused else "",
    )
    return OrderRow(queued.run_id, queued.run_name, run_color(queued.run_id), " · ".join(filter(None, facts)), queued.is_paused)


def _other_jobs(jobs: Sequence[tuple[Job, str]], *, can_steer: bool) -> None:
    """Jobs that train no fold: each is canceled or retried by itself. Those that ended stand folded."""
    live = [each for each in jobs if each[0].state in ("queued", "running")]
    for job, owner in live:
        _other_job(job, owner, "cancel", "stop_circle", queue.cancel_job, can_steer and not job.cancel_requested)
    if len(live) < len(jobs):
        with st.expander(t("queue.jobs_ended", n=len(jobs) - len(live)), icon=":material/replay:"):
            for job, owner in (each for each in jobs if each not in live):
                _other_job(job, owner, "retry", "replay", queue.retry_job, can_steer)


def _other_job(job: Job, owner: str, verb: str, icon: str, act: Callable[[Store, int], Job], is_possible: bool) -> None:
    problem = f" · {plain(say(PitwallError.from_dict(job.error).what))}" if job.error and job.state == "failed" else ""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", key=f"queue-job-{job.id}"):
        badge = f":{STATE_COLORS[job.state]}-badge[{state_label(job.state)}]"
        st.markdown(f"{plain(say(job.title))} · {plain(owner)} :gray[{job.ref}] {badge}{problem}", width="content")
        _button(f"queue-{verb}-{job.id}", t(f"queue.{verb}_job"), icon, lambda: act(_store(), job.id), disabled=not is_possible)


def steer(act: Act) -> None:
    """Apply an act of the list. Raises NotFoundError, and StateError when it is too late or this window is read-only."""
    store = _store()
    run = get_run(store, act.run_id)

    def move() -> Run:
        others = [queued.run_id for queued in read_queue(store) if queued.is_waiting and queued.run_id != run.id]
        # The run it was put behind may have begun meanwhile; then the place that was seen is the nearest to what was meant.
        return queue.move_run(store, run.id, others.index(act.after) + 1 if act.after in others else act.place)

    acts: dict[ActKind, Callable[[], Run]] = {
        "move": move,
        "next": lambda: queue.run_next(store, run.id),
        "up": lambda: queue.step_run(store, run.id, "up"),
        "down": lambda: queue.step_run(store, run.id, "down"),
        "pause": lambda: queue.pause_run(store, run.id),
        "resume": lambda: queue.resume_run(store, run.id),
    }
    runtime.steer(acts[act.kind])


def _button(key: str, label: str, icon: str, act: Callable[[], object], *, help: str | None = None, disabled: bool = False) -> None:
    st.button(label, icon=f":material/{icon}:", key=key, help=help, disabled=disabled, on_click=_do, args=(lambda: runtime.steer(act),))


def _do(act: Callable[[], object]) -> None:
    """Run an action; a refusal (read-only, or the run has just begun) is shown above the panel."""
    try:
        act()
    except PitwallError as error:
        st.session_state[REFUSED_KEY] = error


def _store() -> Store:
    return runtime.workspace().store


def hold_line(hold: Hold, free_bytes: int) -> str:
    """Why a device is held, in a few words for the device status."""
    if hold.kind == "person":
        return t("queue.devices_paused")
    return t("queue.devices_disk", needed=runtime.size_text(hold.needed_bytes), free=runtime.size_text(free_bytes))
