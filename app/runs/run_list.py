"""The list on the page Runs: four figures, the running jobs, the queue, the table of all runs, and a comparison of the ticked ones."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from statistics import fmean
from urllib.parse import quote

import pandas as pd
import streamlit as st

from app.runs.charts import compare_folds
from app.runs.progress import (
    BUSY_S,
    IDLE_S,
    KINDS,
    Places,
    device_time_s,
    figures,
    input_label,
    jobs_now,
    noise_label,
    queue_panel,
    seeds_label,
    trouble_label,
    trouble_markdown,
    troubles_of,
)
from app.shell import runtime, state
from app.ui import charts
from app.ui.cards import guard, onward
from app.ui.colors import run_color
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
from app.ui.ways_back import ask_removal
from app.words.text import t
from core.analysis.overview import best_run
from core.metrics.scores import Metric, get_metric
from core.specs.recipe import differing_settings
from core.store.contests import Contest
from core.store.folds import Folds, list_folds
from core.store.jobs import list_jobs
from core.store.runs import Run, list_runs

DOT = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 20 20'><circle cx='10' cy='10' r='6' fill='{}'/></svg>"
BEST = DOT.replace("</svg>", "<circle cx='10' cy='10' r='8.5' fill='none' stroke='{0}' stroke-width='1.5'/></svg>").replace("'{}'", "'{0}'")
"""The run with the best score has a ring: a Styler, which would make its figure bold, costs half a second at a thousand runs."""


def run_list(contest: Contest, runs: Sequence[Run]) -> None:
    """Show the list and refresh it: every second while something waits or runs, every three otherwise."""
    is_busy = _is_busy(runs)
    st.fragment(_live, run_every=BUSY_S if is_busy else IDLE_S)(contest, is_busy, [runs])


def _live(contest: Contest, was_busy: bool, just_read: list[Sequence[Run]]) -> None:
    """`just_read` has the runs when the page is drawn, and is empty when this part alone is drawn again."""
    with guard():
        store = runtime.workspace().store
        runs = just_read.pop() if just_read else list_runs(store, contest.id)
        if _is_busy(runs) != was_busy or not runs:
            st.rerun()
        metric = get_metric(contest.spec.metric)
        folds = {item.id: item for item in list_folds(store, contest.id)}
        best = best_run(runs, folds.values(), metric)
        _figures(contest, runs, metric, best)
        places = runtime.places(contest, runs)
        jobs_now(runs, list_jobs(store, ("running",)), places)
        queue_panel(contest)
        columns = _controls(contest, runs)
        chosen = _table(contest, runs, folds, metric, places, columns, best)
        _actions(chosen)
        if len(chosen) > 1:
            compare_runs(chosen, folds, metric)
        else:
            st.caption(t("runs.select_hint"))
        if best is not None:
            onward(t("runs.next"), "ensemble")


MOST_ROWS, TABLE_PX = 18, 560
"""What is done with ticked runs stands below the table: a longer one is scrolled by itself."""
COLUMNS = ("cv", "sd", "noise", "folds", "done", "time", "backbone", "input", "seed", "created")
"""What the table shows of a run beside its name and state, in this order; a person chooses among them."""


def _controls(contest: Contest, runs: Sequence[Run]) -> Sequence[str]:
    """A field that finds and opens a run, also by keyboard, and the columns that are shown, which are returned."""
    key = f"runs-pick-{contest.id}"
    states = {name: state_label(name) for name in STATE_COLORS}
    names = {run.id: f"{run.name} · {states[run.state]} · {run.ref}" for run in runs}

    def open_picked() -> None:
        picked = st.session_state[key]
        if picked is not None:
            state.select_run(f"r{picked}")

    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        opened = st.selectbox(
            t("runs.open"),
            list(names),
            index=None,
            format_func=names.__getitem__,
            placeholder=t("runs.open"),
            key=key,
            on_change=open_picked,
            label_visibility="collapsed",
            width=320,
        )
        with st.popover(t("runs.columns"), icon=":material/view_column:"):
            shown = st.pills(
                t("runs.columns"),
                COLUMNS,
                selection_mode="multi",
                default=[name for name in COLUMNS if name != "seed"],
                format_func=lambda name: t(f"runs.column_{name}", arrow=direction_arrow(contest.spec.metric)),
                key="runs-columns",
                persist_state="session",
                label_visibility="collapsed",
            )
    if opened is not None:
        st.rerun()
    return shown


def _is_busy(runs: Sequence[Run]) -> bool:
    return any(run.state in ("running", "queued") for run in runs)


def _figures(contest: Contest, runs: Sequence[Run], metric: Metric, best: Run | None) -> None:
    jobs = [job for run in runs for job in run.jobs]
    running = [job for job in jobs if job.state == "running"]
    n_queued = sum(job.state == "queued" for job in jobs)
    end = runtime.status().queue_end_s
    left = min((job.progress.eta_s for job in running if job.progress and job.progress.eta_s is not None), default=None)
    running_note = t("runs.running_none") if not running else t("common.phase_starting")
    if left is not None:
        running_note = t("runs.running_left", left=format_duration(left))
    n_others = runtime.status().n_queued - n_queued  # the queue is that of the whole workspace
    queued_note = t("runs.queued_unknown" if n_queued else "runs.queued_others" if n_others > 0 else "runs.queued_none", n=n_others)
    if n_queued and end is not None:
        queued_note = t("runs.queued_end", clock=format_clock(time.time() + end))
    score = format_score(best.cv_score(metric.name), best.cv_sd(metric.name)) if best else "–"
    n_done = sum(len(run.results) for run in runs)
    figures(
        (t("runs.best_cv", metric=metric_label(metric.name)), score, plain(best.name) if best else t("runs.best_none")),
        (t("runs.running"), str(len(running)), running_note),
        (t("runs.queued"), str(n_queued), queued_note),
        (
            t("runs.device_time"),
            format_duration(sum(map(device_time_s, runs))),
            t("runs.device_time_what", folds=n_done, runs=len(runs)),
        ),
        about="\n\n".join(filter(None, (metric_help(contest.spec, metric.name), t("common.cv_help"), t("runs.best_help")))),
    )


def _table(
    contest: Contest,
    runs: Sequence[Run],
    folds: Mapping[int, Folds],
    metric: Metric,
    places: Places,
    columns: Sequence[str],
    best: Run | None,
) -> list[Run]:
    """All runs, newest first, with these columns, a ring at the `best`; returns those that are ticked. A click on a name opens the run."""
    scores = [list(run.fold_scores(metric.name).values()) for run in runs]
    highest = max((score for run_scores in scores for score in run_scores), default=0.0) or 1.0
    troubles, states = troubles_of(runs, metric.name), {name: state_label(name) for name in STATE_COLORS}
    examples = {run.own_recipe and run.own_recipe.input: run for run in runs}  # a text of the screen for each of a thousand rows takes long
    inputs = {wanted: input_label(run) for wanted, run in examples.items()}
    table = pd.DataFrame(
        {
            "dot": ["data:image/svg+xml," + quote((BEST if run is best else DOT).format(run_color(run.id))) for run in runs],
            "run": [run.name for run in runs],
            "backbone": [run.own_recipe.model.backbone if run.own_recipe else t("runs.imported") for run in runs],
            "input": [inputs[run.own_recipe and run.own_recipe.input] for run in runs],
            "seed": [seeds_label(run.own_recipe) if run.own_recipe else "" for run in runs],
            "cv": pd.array([run.cv_score(metric.name) for run in runs], dtype="Float64"),
            "sd": pd.array([run.cv_sd(metric.name) for run in runs], dtype="Float64"),
            "noise": pd.array([run.seed_sd(metric.name) for run in runs], dtype="Float64"),
            "folds": scores,
            "done": [f"{len(run.results)}/{len(run.fold_numbers)}" for run in runs],
            "on": [f"{folds[run.folds_id].n_folds} #{short_hash(folds[run.folds_id].fingerprint)}" for run in runs],
            "state": [[states[run.state]] for run in runs],
            "truth": [[t("runs.older_truth")] if run.truth_id != contest.truth.id else [] for run in runs],
            "trouble": [[trouble_label(troubles[run.id].kind)] if run.id in troubles else [] for run in runs],
            "progress": [round(100 * runtime.share_of_run(run, places)) for run in runs],
            "time": pd.to_timedelta([round(device_time_s(run)) for run in runs], unit="s"),
            "created": [datetime.fromtimestamp(run.created_at) for run in runs],
            "note": [run.note or "" for run in runs],
        }
    )
    says_nothing = {
        "on": len({run.folds_id for run in runs}) < 2,
        "truth": all(run.truth_id == contest.truth.id for run in runs),
        "trouble": not troubles,
        "note": not any(run.note for run in runs),
        "noise": not any(run.seeds for run in runs),
        "progress": all(run.state == "done" for run in runs),
    }
    table = table.drop(columns=[name for name, is_so in says_nothing.items() if is_so])
    number, text, marks = st.column_config.NumberColumn, st.column_config.TextColumn, st.column_config.MultiselectColumn

    def open_run() -> None:
        state.select_run(runs[st.session_state["runs-open"].row].ref)
        st.rerun()

    event = st.dataframe(
        table,
        hide_index=True,
        key="runs-" + "-".join(str(run.id) for run in runs),
        column_order=["dot", "run", "state", "progress", "trouble", "truth", *(name for name in COLUMNS if name in columns), "on", "note"],
        on_select="rerun",
        selection_mode="multi-row",
        height="content" if len(runs) <= MOST_ROWS else TABLE_PX,
        alt=t("runs.table_alt"),
        placeholder="–",
        column_config={
            "dot": st.column_config.ImageColumn("", width=34, pinned=True),
            "run": st.column_config.ButtonColumn(
                t("runs.column_run"), key="runs-open", on_click=open_run, type="tertiary", alignment="left", pinned=True, width=132
            ),
            "backbone": text(t("runs.column_backbone")),
            "input": text(t("runs.column_input"), width="small"),
            "seed": text(t("runs.column_seed"), width="small"),
            "cv": number(
                t("runs.column_cv", arrow=direction_arrow(metric.name)),
                format="%.4f",
                help=t("runs.column_cv_help", metric=charts.metric_name(metric)),
                width="small",
            ),
            "sd": number(t("runs.column_sd"), format="%.4f", width="small"),
            "noise": number(t("runs.column_noise"), format="%.4f", help=t("runs.column_noise_help"), width="small"),
            "folds": st.column_config.BarChartColumn(t("runs.column_folds"), y_min=0.0, y_max=highest, width="small"),
            "done": text(t("runs.column_done"), width="small"),
            "on": text(t("runs.column_on"), width="small"),
            "state": marks(
                t("runs.column_state"),
                options=list(states.values()),
                color=list(STATE_COLORS.values()),
                width="small",
            ),
            "truth": marks(
                t("runs.column_truth"),
                options=[t("runs.older_truth")],
                color="orange",
                help=t("runs.column_truth_help", current=contest.truth.version),
                width="small",
            ),
            "trouble": marks(
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
            "note": text(t("trash.note_action")),
        },
    )
    for run in runs:
        if run.state == "running" and run.id in troubles:  # of the others the run's own page says it
            st.markdown(f"**{plain(run.name)}** {trouble_markdown(troubles[run.id])}")
    return [runs[row] for row in event.selection.rows if row < len(runs)]


def _actions(runs: Sequence[Run]) -> None:
    """Cancel and delete the ticked runs."""
    if not runs:
        return
    live = [run for run in runs if run.state in ("running", "queued")]
    with st.container(horizontal=True, gap="small"):
        if live and st.button(t("trash.cancel_some", n=len(live)), icon=":material/stop_circle:", key="cancel-ticked"):
            with guard():
                for run in live:
                    runtime.steer(lambda run_id=run.id: runtime.queue.cancel_run(runtime.workspace().store, run_id))
                st.rerun()
        if st.button(t("trash.delete_some", n=len(runs)), icon=":material/delete:", key="delete-ticked"):
            ask_removal({"run": [run.id for run in runs]})


def noise_band(run: Run, metric: Metric) -> tuple[float | None, float | None]:
    """What a retraining with another seed would score, within a standard deviation: of single seeds, around their mean."""
    sd, scores = run.seed_sd(metric.name), run.seed_scores(metric.name)
    return (None, None) if sd is None else (fmean(scores) - sd, fmean(scores) + sd)


def compare_runs(runs: Sequence[Run], folds: Mapping[int, Folds], metric: Metric) -> None:
    """Fold scores side by side, and the settings in which the recipes differ."""
    st.subheader(t("runs.compare_title", n=len(runs)), anchor=False)
    if len({run.folds_id for run in runs}) > 1:
        names = ", ".join(sorted({f"#{short_hash(folds[run.folds_id].fingerprint)}" for run in runs}))
        st.warning(t("runs.compare_folds", folds=names), icon=":material/warning:")
    left, right = st.columns([1.2, 1], gap="large")
    table = pd.DataFrame(
        [(run.name, fold, score, *noise_band(run, metric)) for run in runs for fold, score in run.fold_scores(metric.name).items()],
        columns=["run", "fold", "score", "low", "high"],
    )
    with left:
        colors = {run.name: run_color(run.id) for run in runs}
        charts.draw(compare_folds(table, colors, metric), key="compare-folds", alt=t("charts.compare_title"))
        said = " · ".join(f"**{plain(run.name)}** {noise_label(run, metric.name)}" for run in runs)
        st.caption(t("runs.compare_noise", said=said) if any(run.seeds for run in runs) else t("runs.compare_no_noise"))
    with right:
        st.markdown(f"**{t('runs.compare_recipe')}**")
        strangers = [run.name for run in runs if run.own_recipe is None]
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
