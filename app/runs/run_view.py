"""The page of one run: figures, failures, curves, folds, recipe and log, refreshed while it trains."""

from collections.abc import Callable
from functools import partial
from html import escape

import pandas as pd
import streamlit as st
import yaml

from app.runs.predict_panel import predict_panel
from app.runs.progress import BUSY_S, device_time_s, dot, figures, input_label, jobs_now, noise_label, trouble_markdown, troubles_of
from app.runs.records import checkpoints_view, disturbances, tracking_button, tracking_trouble
from app.runs.views_panel import views_panel
from app.shell import runtime, state
from app.shell.state import go_to
from app.train.recipe_view import start_again_from
from app.ui import charts
from app.ui.cards import ask, error_card, guard
from app.ui.colors import run_color
from app.ui.controls import segmented
from app.ui.format import (
    STATE_COLORS,
    direction_arrow,
    format_duration,
    format_score,
    metric_help,
    metric_label,
    plain,
    short_hash,
    state_label,
)
from app.ui.ways_back import ask_name, ask_note, ask_removal, menu_label
from app.words.core_text import say
from app.words.text import t
from core.analysis.epoch_choice import epoch_choice
from core.analysis.kept import read_tail
from core.base.errors import NotFoundError, PitwallError
from core.base.names import file_name
from core.metrics.scores import LABEL_METRICS, get_metric, metrics_for
from core.predictions.oof import scores_by_fold
from core.specs.recipe import Recipe, flatten_settings
from core.specs.training_settings import MOST_SEEDS
from core.store.contests import Contest, list_truths
from core.store.folds import Folds, get_folds
from core.store.jobs import FoldJob, JobState
from core.store.runs import Run, get_run, list_epochs, list_runs, note_run, rename_run

TAB_KEY = "run-tab"
LOG_KEY = "run-log-fold"
USUAL_SEEDS = 3
RINGS = {"best": "best", "last": "last", "swa": "swa", "best_mean": "mean", "soup": "mean"}
"""What the rings of a curve mark, by which weights a recipe keeps."""


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
                _seed_of(contest, run)
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
                _more_seeds(run)
            _menu(run)


def _seed_of(contest: Contest, run: Run) -> None:
    """The way back to the run that this one is a seed of."""
    for whole in list_runs(runtime.workspace().store, contest.id):
        if run.id in [seed.id for seed in whole.seeds]:
            label = t("runs.seed_of", seed=run.recipe.train.seed, name=plain(whole.name))
            if st.button(label, icon=":material/casino:", type="tertiary", key=f"seed-of-{whole.id}"):
                state.select_run(whole.ref)
                st.rerun()


def _more_seeds(run: Run) -> None:
    """Queue the run's recipe with more seeds, and open the run that they make with those that are there."""
    with st.popover(t("runs.seeds_more"), icon=":material/casino:"):
        st.caption(t("runs.seeds_more_about"))
        least = len(run.parts) + 1
        n = st.number_input(t("runs.seeds_number"), least, MOST_SEEDS, max(least, USUAL_SEEDS), key=f"seeds-of-{run.id}")
        if st.button(t("runs.seeds_queue", n=(n - len(run.parts)) * len(run.fold_numbers)), type="primary", key=f"queue-seeds-{run.id}"):
            with guard():
                more = runtime.steer(lambda: runtime.queue.launch_seeds(runtime.workspace(), run, n))
                state.select_run(more.ref)
                st.rerun()


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
        network, origin = plain(model.backbone), f"{kind} · {input_label(run)}"
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


def _seeds(contest: Contest, run: Run) -> None:
    """A row for each seed, with its score in every fold; a click opens the seed's own page, with its curves, checkpoints and log."""
    metric, store = contest.spec.metric, runtime.workspace().store
    folds = get_folds(store, run.folds_id)
    choices = [epoch_choice(store, contest, folds, seed) for seed in run.seeds]
    scores = [seed.fold_scores(metric) for seed in run.seeds]
    columns = {f"fold {fold}": [of_seed.get(fold) for of_seed in scores] for fold in run.fold_numbers}
    table = pd.DataFrame(
        {
            "seed": [seed.recipe.train.seed for seed in run.seeds],
            "run": [seed.name for seed in run.seeds],
            "state": [[state_label(seed.state)] for seed in run.seeds],
            "cv": [format_score(seed.cv_score(metric), seed.cv_sd(metric)) for seed in run.seeds],
            "epochs": [format_score(choice.cross_fitted, choice.cross_fitted_sd) if choice else "–" for choice in choices],
            **columns,
        }
    )

    def open_seed() -> None:
        state.select_run(run.seeds[st.session_state["seed-open"].row].ref)
        st.rerun()

    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    st.dataframe(
        table,
        hide_index=True,
        key=f"run-seeds-{run.id}",
        placeholder="–",
        alt=t("runs.tab_seeds"),
        column_config={
            "seed": number(t("runs.column_seed"), width="small", pinned=True),
            "run": st.column_config.ButtonColumn(
                t("runs.column_run"), key="seed-open", on_click=open_seed, type="tertiary", alignment="left", pinned=True
            ),
            "state": st.column_config.MultiselectColumn(
                t("runs.fold_state"), options=[state_label(name) for name in STATE_COLORS], color=list(STATE_COLORS.values()), width="small"
            ),
            "cv": text(t("runs.column_cv", arrow=direction_arrow(metric))),
            "epochs": text(t("runs.seeds_epochs"), help=t("runs.figure_cv_epochs_help")),
            **{f"fold {fold}": number(t("runs.job_fold", fold=fold), format="%.4f", width="small") for fold in run.fold_numbers},
        },
    )
    st.caption(t("runs.seeds_about"))


def _curves(contest: Contest, run: Run) -> None:
    epochs = list_epochs(runtime.workspace().store, run.id)
    if not epochs:
        st.caption(t("runs.curves_none" if run.state in ("queued", "running") else "runs.curves_never"))
        return
    numbers = sorted({row.fold for row in epochs})
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
        chosen = len(numbers) > 1 and st.pills(
            t("runs.curves_folds"),
            numbers,
            default=numbers,
            format_func=str,
            selection_mode="multi",
            key=f"curve-folds-{run.id}-{len(numbers)}",
        )
        shown = chosen or numbers
        known = [name for name in metrics_for(multilabel=contest.spec.is_multilabel) if all(name in row.scores for row in epochs)]
        # Beside the losses a score of labels says more than a loss again.
        usual = contest.spec.metric if get_metric(contest.spec.metric).reads == "labels" else LABEL_METRICS[0]
        name = st.segmented_control(
            t("charts.score"),
            known,
            default=usual,
            required=True,
            format_func=metric_label,
            key=f"curve-metric-{contest.id}",
            label_visibility="collapsed",
        )
    kept = {result.fold: result.facts.get("kept_epochs", [result.best_epoch]) for result in run.results}
    table = pd.DataFrame(
        [
            (row.fold, row.epoch, row.train_loss, row.valid_loss, row.train_accuracy, row.scores[name])
            for row in epochs
            if row.fold in shown
        ],
        columns=["fold", "epoch", "train_loss", "valid_loss", "train", "valid"],
    )
    has_train = name == "accuracy" and any(row.train_accuracy is not None for row in epochs)
    scored = table if has_train else table.drop(columns="train")
    color = run_color(run.id)
    n_epochs = max(run.recipe.train.epochs, *(row.epoch for row in epochs))
    metric = get_metric(name)
    losses = charts.loss_curves(table, kept, color, n_epochs=n_epochs)
    scores = charts.metric_curves(scored, kept, color, metric, n_epochs=n_epochs)
    left, right = st.columns(2, gap="medium")
    with left:
        charts.draw(losses, key="loss-curves", alt=t("charts.loss_title"))
    with right:
        charts.draw(scores, key="metric-curves", alt=t("charts.metric_title", metric=charts.metric_name(metric)))
    about = metric_help(contest.spec, name)
    recipe = run.recipe
    mixed = [t("runs.curves_mixed", n=recipe.train.epochs - recipe.augment.mix_off_epochs)] if recipe.is_mixed(1) else []
    said = [t(f"runs.curves_ring_{RINGS[recipe.average.keep]}"), *([t("runs.curves_train")] if has_train else []), *mixed]
    st.caption(" ".join(said) + (f"  \n{metric_label(name)}: {about}" if about else ""))


@st.cache_data(max_entries=50, show_spinner=False)
def _every_score(content: tuple[str, ...], _contest: Contest, _run: Run) -> dict[int, dict[str, float]]:
    """Every metric by fold; one that is newer than the run is computed from its predictions, once."""
    return scores_by_fold(runtime.workspace(), _contest, _run)


def _folds(contest: Contest, run: Run) -> None:
    results = {result.fold: result for result in run.results}
    metrics = metrics_for(multilabel=contest.spec.is_multilabel)
    scored = _every_score(tuple(result.fingerprint for result in run.results), contest, run)
    jobs = {} if run.seeds else {job.fold: job for job in run.jobs}

    def row(fold: int) -> dict[str, object]:
        job, result = jobs.get(fold), results.get(fold)
        trained: dict[str, object] = {}
        if job is not None:
            kept = ", ".join(map(str, sorted(result.facts.get("kept_epochs", [result.best_epoch])))) if result else None
            ended = (kept, result.n_epochs, round(result.elapsed_s, 1)) if result else (None, None, None)
            trained = {**dict(zip(("kept", "epochs", "time"), ended, strict=True)), "device": job.device or None, "attempt": job.token}
        scores = {name: scored[fold][name] if result else None for name in metrics}
        artefact = f"#{short_hash(result.fingerprint)}" if result else None
        return {
            "fold": fold,
            "state": [state_label(job.state if job else "done" if result else run.state)],
            **scores,
            **trained,
            "artefact": artefact,
        }

    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    st.dataframe(
        pd.DataFrame([row(fold) for fold in run.fold_numbers]),
        hide_index=True,
        key="run-folds",
        placeholder="–",
        alt=t("runs.tab_folds"),
        column_config={
            "fold": number(t("runs.fold_number"), width="small", pinned=True),
            "state": st.column_config.MultiselectColumn(
                t("runs.fold_state"), options=[state_label(name) for name in STATE_COLORS], color=list(STATE_COLORS.values()), width="small"
            ),
            **{name: number(metric_label(name), format="%.4f", help=metric_help(contest.spec, name)) for name in metrics},
            "kept": text(t("runs.fold_kept_epochs"), help=t("runs.fold_kept_epochs_help")),
            "epochs": number(t("runs.fold_epochs")),
            "time": number(t("runs.fold_time"), format="%.1f"),
            "device": text(t("runs.fold_device")),
            "attempt": number(t("runs.fold_attempt")),
            "artefact": text(t("runs.fold_artefact")),
        },
    )
    if run.results:
        with st.expander(t("runs.facts"), icon=":material/fact_check:"):
            st.json({t("runs.job_fold", fold=result.fold): result.facts for result in run.results}, expanded=2)


def _recipe(_: Contest, run: Run) -> None:
    if run.imported:
        st.caption(t("views.recipe" if run.own_recipe else "runs.imported_no_recipe"))
        st.json(run.imported.to_dict())
    if run.own_recipe is None:
        return
    values = flatten_settings(run.recipe)
    usual = flatten_settings(Recipe.model_validate({"modality": run.recipe.modality}))
    changed = sorted(values, key=lambda path: values[path] == usual.get(path))
    table = pd.DataFrame(
        {
            "setting": changed,
            "value": [str(values[path]) for path in changed],
            "default": [str(usual[path]) if path in usual else "–" for path in changed],
        }
    )
    weights = ["font-weight: 600" if value != default else "" for value, default in zip(table["value"], table["default"], strict=True)]
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(t("runs.recipe_hash", hash=short_hash(run.recipe.fingerprint)), width="content")
        text = yaml.safe_dump(run.recipe.to_dict(), sort_keys=False, allow_unicode=True)
        st.download_button(
            t("runs.recipe_download"),
            text,
            file_name(run.name, suffix=".yaml"),
            "application/yaml",
            on_click="ignore",
            icon=":material/download:",
        )
    st.dataframe(
        table.style.apply(lambda _: weights, subset=["value"]),
        hide_index=True,
        key="run-recipe",
        height="content",
        alt=t("runs.tab_recipe"),
        column_config={"setting": t("runs.recipe_setting"), "value": t("runs.recipe_value"), "default": t("runs.recipe_default")},
    )


def _log(_: Contest, run: Run) -> None:
    if run.imported:
        st.caption(t("runs.imported_no_log"))
        return
    by_fold = {job.fold: job for job in run.jobs}
    if st.session_state.get(LOG_KEY) not in by_fold:
        # One that failed, else one that runs, else the first.
        st.session_state[LOG_KEY] = min(run.jobs, key=lambda job: (job.state != "failed", job.state != "running", job.fold)).fold
    fold = segmented(
        f"run-log-folds-{run.id}",
        LOG_KEY,
        t("runs.log_fold"),
        list(by_fold),
        lambda number: f"{number} · {state_label(by_fold[number].state)}",
    )
    job = by_fold[fold]
    if not job.log_path:
        st.caption(t("runs.log_none"))
        return
    path = runtime.workspace().absolute(job.log_path)
    tail = read_tail(path)
    if not tail.text:
        st.caption(t("runs.log_empty"))
        return
    with st.container(height=400, border=True, autoscroll=True, key="run-log"):
        st.code(tail.text, language=None, wrap_lines=True)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        shown, total = len(tail.text.encode()) / 1000, tail.n_bytes / 1000
        st.caption(t("runs.log_cut", kb=f"{shown:,.0f}", total=f"{total:,.0f}") if tail.is_cut else f"{total:,.1f} kB", width="content")
        st.download_button(t("runs.log_download"), path.read_bytes, path.name, "text/plain", on_click="ignore", icon=":material/download:")


TABS = {
    "curves": _curves,
    "folds": _folds,
    "predict": predict_panel,
    "views": views_panel,
    "checkpoints": checkpoints_view,
    "recipe": _recipe,
    "log": _log,
}
TABS_OF_SEEDS = {"seeds": _seeds, "folds": _folds, "predict": predict_panel, "views": views_panel, "recipe": _recipe}
"""Of a run of several seeds: curves, checkpoints and logs are on the page of each seed."""
