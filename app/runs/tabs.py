"""What a run trained, tab by tab: curves, folds, recipe, log."""

import pandas as pd
import streamlit as st
import yaml

from app.runs.charts import loss_curves, metric_curves
from app.shell import runtime
from app.ui import charts
from app.ui.colors import run_color
from app.ui.controls import segmented
from app.ui.format import (
    STATE_COLORS,
    metric_help,
    metric_label,
    short_hash,
    state_label,
)
from app.words.text import t
from core.analysis.kept import read_tail
from core.base.names import file_name
from core.metrics.scores import LABEL_METRICS, get_metric, metrics_for
from core.predictions.oof import scores_by_fold
from core.specs.recipe import Recipe, flatten_settings
from core.store.contests import Contest
from core.store.runs import Run, list_epochs

LOG_KEY = "run-log-fold"
"""Of the session: the fold whose log is shown."""
RINGS = {"best": "best", "last": "last", "swa": "swa", "best_mean": "mean", "soup": "mean"}
"""What the rings of a curve mark, by which weights a recipe keeps."""


def curves(contest: Contest, run: Run) -> None:
    """Losses and a metric by epoch of the chosen folds; rings mark the epochs whose weights are kept."""
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
    losses = loss_curves(table, kept, color, n_epochs=n_epochs)
    scores = metric_curves(scored, kept, color, metric, n_epochs=n_epochs)
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


def fold_table(contest: Contest, run: Run) -> None:
    """A row for each fold: state, every metric, kept epochs, time, device, attempts, artefact; and the facts of each below it."""
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


def recipe_table(_: Contest, run: Run) -> None:
    """Every setting beside its default, those that differ first and bold; to be downloaded as YAML. Of an imported run where it came from."""
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


def log_view(_: Contest, run: Run) -> None:
    """The end of a fold's log, and all of it to be downloaded."""
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
