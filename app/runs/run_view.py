"""The page of one run: what can be done with it, its figures, failures and tabs, refreshed while it trains."""

from collections.abc import Callable
from functools import partial
from html import escape

import streamlit as st

from app.runs.predict_panel import predict_panel
from app.runs.progress import BUSY_S, device_time_s, dot, figures, input_label, jobs_now, noise_label, trouble_markdown, troubles_of
from app.runs.records import checkpoints_view, disturbances, tracking_button, tracking_trouble
from app.runs.seeds_view import more_seeds, seeds_view, way_to_run
from app.runs.tabs import LOG_KEY, curves, fold_table, log_view, recipe_table
from app.runs.views_panel import views_panel
from app.shell import runtime, state
from app.shell.state import go_to
from app.train.recipe_view import start_again_from
from app.ui.cards import ask, error_card, guard
from app.ui.colors import run_color
from app.ui.controls import segmented
from app.ui.format import (
    format_duration,
    format_score,
    metric_help,
    metric_label,
    plain,
    state_label,
)
from app.ui.ways_back import ask_name, ask_note, ask_removal, menu_label
from app.words.core_text import say
from app.words.text import t
from core.analysis.epoch_choice import epoch_choice
from core.base.errors import NotFoundError, PitwallError
from core.specs.training_settings import MOST_SEEDS
from core.store.contests import Contest, list_truths
from core.store.folds import Folds
from core.store.jobs import FoldJob, JobState
from core.store.runs import Run, get_run, note_run, rename_run

TAB_KEY = "run-tab"


def run_view(contest: Contest, run: Run, folds: Folds) -> None:
    """Show one run. Its buttons are outside the fragment that is redrawn while it trains, so a dialog stays open."""
    _head(contest, run)
    is_busy = run.state in ("running", "queued")
    st.fragment(_live, run_every=BUSY_S if is_busy else None)(contest, run.id, folds, _stage(run))


def _head(contest: Contest, run: Run) -> None:
    workspace, queue = runtime.workspace(), runtime.queue
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            if st.button(t("runs.back"), icon=":material/arrow_back:", type="tertiary"):
                state.select_run(None)
                st.rerun()
            name = f'<div style="display:flex;gap:10px;font-size:1.15rem;font-weight:600">{dot(run_color(run.id))}{escape(run.name)}'
            st.html(f'{name}<span style="opacity:.75;font-weight:400">{run.ref}</span></div>', width="content")
            if run.note:
                st.caption(plain(run.note), width="content")
            if run.is_seed:
                way_to_run(contest, run)
        with st.container(horizontal=True, vertical_alignment="center", width="content", gap="small"):
            tracking_button(contest, run)
            if run.own_recipe and st.button(t("runs.action_again"), icon=":material/tune:", help=t("runs.action_again_help")):
                start_again_from(contest, run)
                go_to("train")
            leads_on = not run.is_seed  # other pages know the run that it is a seed of
            if leads_on and run.results and st.button(t("runs.action_errors"), icon=":material/grid_on:"):
                go_to("errors", source=run.ref)
            if leads_on and run.is_complete and st.button(t("runs.action_blend"), icon=":material/balance:"):
                go_to("ensemble", join=run.ref)
            if leads_on and run.is_complete and contest.n_test and st.button(t("runs.action_submit"), icon=":material/outbox:"):
                go_to("submit", source=run.ref)
            n_again = sum(job.state in ("failed", "canceled") for job in run.jobs)
            is_live = run.state in ("running", "queued")
            for action, is_offered, icon, said, act in (
                ("retry", n_again > 0, "replay", "retrying", lambda: queue.retry_run(workspace.store, run.id)),
                ("restart", n_again > 0, "restart_alt", "retrying", lambda: queue.restart_run(workspace, run.id)),
                ("cancel", is_live, "stop_circle", "canceling", lambda: queue.cancel_run(workspace.store, run.id)),
            ):
                about = t("runs.action_restart_help") if action == "restart" else None
                if is_offered and st.button(t(f"runs.action_{action}", n=n_again), icon=f":material/{icon}:", help=about):
                    done = (act, t(f"runs.{said}", name=plain(run.name)), f":material/{icon}:")
                    if action == "retry":
                        _do(*done)
                    else:
                        values = {"name": plain(run.name), "folds": len(run.results), "time": format_duration(run.elapsed_s)}
                        ask(f"runs.{action}", partial(_do, *done), **values)
            if leads_on and not run.imported and len(run.parts) < MOST_SEEDS and not runtime.is_read_only():
                more_seeds(run)
            _menu(run)


def _menu(run: Run) -> None:
    """Rename, note and delete a run; a deleted one is left for the list. A seed of another run goes only with that one."""
    store = runtime.workspace().store
    chosen = st.menu_button(
        menu_label(run.name),
        ("rename", "note_action") if run.is_seed else ("rename", "note_action", "delete"),
        format_func=lambda action: t(f"trash.{action}"),
        key=f"run-menu-{run.id}",
        type="tertiary",
        help=t("trash.more_actions"),
    )
    if chosen == "rename":
        ask_name(run.name, partial(rename_run, store, run.id))
    elif chosen == "note_action":
        ask_note(run.name, run.note or "", partial(note_run, store, run.id))
    elif chosen == "delete":
        ask_removal({"run": [run.id]}, lambda: state.select_run(None))


def _do(act: Callable[[], object], said: str, icon: str) -> None:
    """Change the queue and say so in a toast."""
    with guard():
        runtime.steer(act)
        st.toast(said, icon=icon)
        st.rerun()


def _stage(run: Run) -> tuple[JobState, int]:
    """The facts the buttons of the head depend on."""
    return run.state, len(run.results)


def _live(contest: Contest, run_id: int, folds: Folds, stage_before: tuple[JobState, int]) -> None:
    with guard():
        try:
            run = get_run(runtime.workspace().store, run_id)
        except NotFoundError:  # deleted in another window
            st.rerun()
        if _stage(run) != stage_before:
            st.rerun()
        places = runtime.places(contest, [run])
        _figures(contest, run, folds, runtime.share_of_run(run, places))
        jobs_now([run], run.jobs, places)
        if run.truth_id != contest.truth.id:
            _older_truth(contest, run)
        if run.chosen_by and run.recipe.average.chooses_by_metric:
            st.markdown(f":orange-badge[:material/history: {t('runs.chosen_by', metric=metric_label(run.chosen_by))}]")
        trouble = troubles_of([run], contest.spec.metric).get(run.id)
        if trouble is not None:
            st.markdown(trouble_markdown(trouble))
        tracking_trouble(run)
        _failures(run)
        disturbances(run)
        known = TABS_OF_SEEDS if run.seeds else TABS
        tabs = [name for name in known if name != "views" or contest.spec.modality == "image"]
        if st.session_state.get(TAB_KEY) not in tabs:
            st.session_state[TAB_KEY] = tabs[0]
        kind = "run-tabs-seeds" if run.seeds else "run-tabs"
        tab = segmented(kind, TAB_KEY, t("runs.title"), tabs, lambda name: t(f"runs.tab_{name}"), label_visibility="collapsed")
        known[tab](contest, run)


def _older_truth(contest: Contest, run: Run) -> None:
    """Which version of the labels a run was trained and scored on, which is the current one, and what changed since."""
    since = [truth for truth in list_truths(runtime.workspace().store, contest.id) if truth.id > run.truth_id]
    reasons = "; ".join(plain(truth.reason) for truth in since if truth.reason)
    trained = contest.truth.version - len(since)
    said = t("runs.older_truth_said", trained=trained, current=contest.truth.version) + (f" ({reasons})" if reasons else "")
    st.markdown(f":orange-badge[:material/history: {t('runs.older_truth')}] {said}")


def _figures(contest: Contest, run: Run, folds: Folds, share: float) -> None:
    metric = contest.spec.metric
    if run.imported and run.imported.run:
        network = plain(run.recipe.model.backbone if run.own_recipe else t("runs.imported"))
        origin = t("views.of_run", run=plain(run.imported.run_name), ref=run.imported.run)
    elif run.imported:
        network, origin = t("runs.imported"), plain(run.imported.classifier or run.imported.oof_file)
    else:
        model = run.recipe.model
        kind = t("runs.figure_pretrained" if model.pretrained else "runs.figure_from_nothing")
        network, origin = plain(model.backbone), input_label(run) if model.is_tfidf else f"{kind} · {input_label(run)}"
    n_trained = sum(len(part.results) for part in run.parts)
    per_fold = t("runs.figure_per_fold", time=format_duration(run.elapsed_s / n_trained)) if n_trained else "–"
    part, about = t("runs.figure_cv_part", done=len(run.results), n=folds.n_folds), [metric_help(contest.spec, metric), t("common.cv_help")]
    choice = None if run.seeds else epoch_choice(runtime.workspace().store, contest, folds, run)
    if run.seeds:
        part += " · " + noise_label(run, metric)
        about.append(t("runs.noise_help"))
    elif choice:
        part += " · " + t("runs.figure_cv_epochs", score=format_score(choice.cross_fitted, choice.cross_fitted_sd))
        about.append(t("runs.figure_cv_epochs_help"))
    figures(
        (t("runs.figure_cv", metric=metric_label(metric)), format_score(run.cv_score(metric), run.cv_sd(metric)), part),
        (t("runs.figure_state"), state_label(run.state), f"{share:.0%}"),
        (t("runs.figure_backbone"), network, origin),
        (t("runs.figure_time"), format_duration(device_time_s(run)), per_fold),
        about="\n\n".join(filter(None, about)),
    )


def _failures(run: Run) -> None:
    """A card per distinct error with its folds, and a button to the log."""
    met: dict[str, tuple[PitwallError, list[FoldJob]]] = {}
    for job in run.jobs:
        if job.state == "failed" and job.error:
            error = PitwallError.from_dict(job.error)
            met.setdefault(str(error), (error, []))[1].append(job)
    names_of = {seed.id: seed for seed in run.seeds}
    for error, jobs in met.values():
        names = ", ".join(f"{job.fold} ({names_of[job.run_id].name})" if run.seeds else str(job.fold) for job in jobs)
        error_card(PitwallError(t("runs.failed_fold", fold=names, what=say(error.what)), where=error.where, why=error.why, fix=error.fix))
        if st.button(t("runs.failed_log"), icon=":material/article:", key=f"log-of-{jobs[0].id}"):
            st.session_state.update({TAB_KEY: "log", LOG_KEY: jobs[0].fold})
            state.select_run(f"r{jobs[0].run_id}")
            st.rerun()


TABS = {
    "curves": curves,
    "folds": fold_table,
    "predict": predict_panel,
    "views": views_panel,
    "checkpoints": checkpoints_view,
    "recipe": recipe_table,
    "log": log_view,
}
TABS_OF_SEEDS = {"seeds": seeds_view, "folds": fold_table, "predict": predict_panel, "views": views_panel, "recipe": recipe_table}
"""Of a run of several seeds: curves, checkpoints and logs are on the page of each seed."""
