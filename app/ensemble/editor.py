"""The blend editor of the page Ensemble: the weights, what they score while they move, what the blend consists of, and keeping it."""

from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.ensemble.charts import choose_chart, draw_chart
from app.ensemble.score import (
    CrossFit,
    Fixed,
    Scored,
    cross_fit,
    cross_fitted_figure,
    fixed_scores,
    is_due,
    score_now,
    standing_of,
    verdict,
)
from app.ensemble.session import Content, OpenBlend, open_blend
from app.ensemble.ways import after_row, choose_mean, fit_asked, mean_label, way_row
from app.shell import runtime
from app.shell.state import remember_source
from app.ui.cards import guard
from app.ui.colors import run_color
from app.ui.components.weight_sliders.component import SliderRow, read_sliders, weight_sliders
from app.ui.format import format_score, metric_help, metric_label, plain
from app.words.text import t
from core.blend.ensemble import Ensemble, load_networks, save_blend, spec_of, temperature_of_test
from core.blend.honest import HonestScore
from core.blend.optimum import gap_at
from core.blend.scorer import BlendScore
from core.blend.temperature import Networks
from core.metrics.scores import THRESHOLD
from core.specs.blend import BlendSteps, MeanName
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import Run

MOST_NAMED = 5


@st.fragment
def blend_editor(contest: Contest, folds: Folds, members: Sequence[Run], n_others: int, free_name: str) -> None:
    """The weights and what they score; only this part runs again while a weight is dragged, and it reads nothing from the database.

    `n_others` runs could have been members too; `free_name` is proposed for the blend.
    """
    with guard():
        left, right = st.columns([1.1, 1], gap="large")
        with right.skeleton(height=220):
            blend = open_blend(contest, folds, members, n_others)
            fixed = fixed_scores(blend.content, blend.ensemble)
        editor, key = blend.editor, f"weights-{folds.id}"
        state = read_sliders(key, editor.ids, editor.revision)
        if state is not None:
            editor.follow(state)
        with left:
            top = st.container()
            fit_asked(blend)
            with top:
                choose_mean(blend)
            rows = [
                SliderRow(run.id, run.name, run_color(run.id), format_score(score.cv_score))
                for run, score in zip(members, fixed.own, strict=True)
            ]
            weight_sliders(rows, editor.state, revision=editor.revision, key=key, kind=editor.draft.kind)
            way_row(blend)
            after_row(blend)
            with st.spinner(t("ensemble.preparing", mean=mean_label(editor.draft.steps.mean))):
                scored = score_now(blend)
            facts = facts_of(blend)
            if facts:
                st.caption("  \n".join(facts))
            verdict_place = st.container()
        standing, found = standing_of(blend)
        is_cross_fit_due = is_due(blend, standing)
        with right:
            cross_fitted_place = _figures(blend, scored, fixed)
            # A way that was just clicked is cross-fitted last, in its place; at any other time the figure is there at once and never blinks.
            if not is_cross_fit_due:
                cross_fitted_figure(cross_fitted_place, blend, standing, found)
            draw_chart(choose_chart(blend), blend, scored, fixed)
        with left:
            _save_form(blend, found, free_name)
        if is_cross_fit_due:
            with cross_fitted_place, st.spinner(t("ensemble.refitting"), show_time=True):
                cross_fit(blend)
            standing, found = standing_of(blend)
            cross_fitted_figure(cross_fitted_place, blend, standing, found)
        with verdict_place:
            verdict(blend, standing, found)


def facts_of(blend: OpenBlend) -> list[str]:
    """What the weights that are shown mean, what was proved, what was chosen, and what was fitted after the mean; a line each."""
    draft, steps, settings = blend.draft, blend.draft.steps, blend.draft.settings
    classes = [plain(name) for name in blend.classes]
    lines: list[str] = []
    if draft.kind in ("by_class", "stacking"):
        lines.append(t(f"ensemble.kind_{draft.kind}"))
    if settings.is_proved(steps.mean):
        gap = _gap(blend.content, steps.mean, steps.weights, blend.ensemble)
        lines.append(t("ensemble.gap_shrunk" if steps.shrinkage else "ensemble.gap", gap=f"{gap:.0e}" if gap else "0"))
    if settings.mean == "auto":
        lines.append(t("ensemble.auto_took", mean=mean_label(steps.mean)))
    if settings.chooses_members:
        runs = ", ".join(plain(run.name) for run, weight in zip(blend.runs, draft.weights, strict=True) if weight < 1e-6)
        lines.append(t("ensemble.members_left_out", runs=runs) if runs else t("ensemble.members_left_out_none"))
    if settings.temperature:
        lines.append(describe_temperature(steps.temperature))
    if (steps.temperature != 1 or steps.stack) and not blend.editor.is_held and blend.contest.n_test:
        on_test = _on_test(blend.content, steps.model_dump_json(), blend.ensemble, steps)
        if on_test != 1 or settings.temperature:
            lines.append(describe_on_test(steps.temperature, on_test))
    if settings.offsets and steps.offsets:
        lines.append(describe_offsets(steps.offsets, classes))
    if settings.thresholds and steps.thresholds:
        lines.append(describe_thresholds(steps.thresholds, classes))
    return lines


def describe_temperature(temperature: float) -> str:
    """The temperature, and which way it goes."""
    way = "as_is" if abs(temperature - 1) < 0.005 else "less" if temperature > 1 else "more"
    return t(f"ensemble.temperature_{way}", value=f"{temperature:.3f}")


def describe_on_test(temperature: float, on_test: float) -> str:
    """What of a temperature carries over to test rows."""
    way = "carried" if on_test == temperature else "none" if on_test == 1 else "other"
    return t(f"ensemble.on_test_{way}", value=f"{on_test:.3f}")


def describe_offsets(offsets: Sequence[float], classes: Sequence[str]) -> str:
    """The classes with the largest offsets, or that none helped."""
    order = sorted(range(len(offsets)), key=lambda label: (-abs(offsets[label]), label))
    largest = [f"{classes[label]} {offsets[label]:+.2f}" for label in order[:MOST_NAMED] if offsets[label]]
    return t("ensemble.offsets_found", largest=" · ".join(largest)) if largest else t("ensemble.offsets_none")


def describe_thresholds(thresholds: Sequence[float], classes: Sequence[str]) -> str:
    """How far thresholds reach, and the classes furthest from one half; or that none helped."""
    order = sorted(range(len(thresholds)), key=lambda label: (-abs(thresholds[label] - THRESHOLD), label))
    named = [f"{classes[label]} ({thresholds[label]:.2f})" for label in order[:MOST_NAMED] if thresholds[label] != THRESHOLD]
    if not named:
        return t("ensemble.thresholds_none")
    return t("ensemble.thresholds_found", low=f"{min(thresholds):.2f}", high=f"{max(thresholds):.2f}", furthest=" · ".join(named))


@st.cache_resource(max_entries=64, show_spinner=False)
def _gap(content: Content, mean: MeanName, weights: tuple[float, ...], _ensemble: Ensemble) -> float:
    return gap_at(_ensemble.scorer(mean), weights)


@st.cache_resource(max_entries=2, show_spinner=False)
def _networks(content: Content, _ensemble: Ensemble) -> Networks:
    return load_networks(_ensemble)


@st.cache_resource(max_entries=64, show_spinner=False)
def _on_test(content: Content, steps: str, _ensemble: Ensemble, _steps: BlendSteps) -> float:
    return temperature_of_test(_ensemble, _steps, _networks(content, _ensemble))


def _figures(blend: OpenBlend, scored: Scored, fixed: Fixed) -> DeltaGenerator:
    """The four figures and the line under them; returns the place of the cross-fitted one."""
    oof, metric, now, equal = blend.ensemble.oof, blend.ensemble.metric, scored.score, fixed.equal
    best = metric.best([score.cv_score for score in fixed.own])
    best_at = next(index for index, score in enumerate(fixed.own) if score.cv_score == best)
    color = "normal" if metric.greater_is_better else "inverse"
    won = sum(metric.is_better(a, b) for a, b in zip(now.fold_scores, fixed.own[best_at].fold_scores, strict=True))
    rows = {"rows": f"{len(oof.rows):,}", "all": f"{oof.n_train:,}"}
    helps = [t("ensemble.blend_now_help", **rows)]
    if oof.is_multilabel:
        helps += [f"**{metric_label(name)}**: {metric_help(blend.contest.spec, name)}" for name in now.scores]
    is_now = metric.name not in scored.waiting

    def figure(value: float, sd: float | None = None, name: str = metric.name) -> str:
        return t("ensemble.waits") if name in scored.waiting else format_score(value, sd)

    def spread(score: BlendScore) -> float | None:
        return score.cv_sd if len(score.fold_scores) > 1 else None

    with st.grid(2, gap="small", min_column_width=130):
        st.metric(
            f"{t('ensemble.blend_now')} · CV {metric_label(metric.name)}",
            figure(now.cv_score, spread(now)),
            _delta(now.cv_score, best) if is_now else t("ensemble.waits_why"),
            color if is_now else "off",
            delta_arrow="auto" if is_now else "off",
            delta_description=t("ensemble.than_best") if is_now else None,
            help="\n\n".join(helps) if is_now else t("ensemble.follows"),
            border=True,
            height="stretch",
        )
        cross_fitted_place = st.empty()
        st.metric(
            f"{t('ensemble.equal')} · CV",
            format_score(equal.cv_score, spread(equal)),
            _delta(equal.cv_score, best),
            color,
            delta_description=t("ensemble.than_best"),
            help=t("ensemble.equal_help"),
            border=True,
            height="stretch",
        )
        st.metric(
            f"{t('ensemble.best_single')} · CV",
            format_score(best, spread(fixed.own[best_at])),
            plain(blend.runs[best_at].name),
            "off",
            delta_arrow="off",
            border=True,
            height="stretch",
        )
    parts = [f"{metric_label(name)} {figure(score, name=name)}" for name, score in now.scores.items() if name != metric.name]
    if not oof.is_whole:
        parts.append(t("ensemble.some_rows", **rows))
    folds_won = t("ensemble.folds_won", won=won if is_now else t("ensemble.waits"), n=len(now.fold_scores))
    st.caption(
        " · ".join([f"**OOF** {metric_label(metric.name)} {figure(now.oof_score)}", *parts, folds_won]),
        help=f"{t('common.oof_help')}\n\n{t('ensemble.by_fold_help')}" if is_now else t("ensemble.follows"),
    )
    return cross_fitted_place


def _delta(score: float, reference: float) -> str | int:
    text = f"{score - reference:+.4f}"
    return 0 if float(text) == 0 else text


def _save_form(blend: OpenBlend, found: CrossFit | None, free_name: str) -> None:
    with st.form(f"save-{free_name}", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input(t("ensemble.name"), free_name, max_chars=60)
        saves = st.form_submit_button(t("ensemble.save"), type="primary", icon=":material/save:")
    if saves:
        saved = save_blend(
            runtime.workspace(),
            blend.contest,
            spec_of(blend.editor.ids, blend.draft.steps),
            name=name.strip(),
            honest=found if isinstance(found, HonestScore) else None,
            ensemble=blend.ensemble,
            procedure=blend.draft.procedure,
        )
        remember_source(saved.ref)
        st.toast(t("ensemble.saved", name=plain(saved.name), ref=saved.ref), icon=":material/check:")
        st.rerun()
