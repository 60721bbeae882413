"""The blend editor of the page Ensemble: the weights, what they score while they move, and keeping what was found."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.ensemble.charts import choose_chart, describe_offsets, describe_temperature, draw_chart
from app.ensemble.draft import Draft
from app.ensemble.score import (
    Fixed,
    Scored,
    fixed_scores,
    honest_figure,
    judge,
    judges_now,
    known_judgement,
    score_in,
    score_now,
    standing_of,
    verdict,
)
from app.ensemble.session import content_of, load_ensemble, open_desk
from app.ensemble.set_charts import describe_thresholds
from app.ensemble.ways import after_row, choose_mean, mean_label, obey, runs_left_out, way_row
from app.shell import runtime
from app.ui.cards import guard
from app.ui.colors import run_color
from app.ui.components.weight_sliders.component import BankRow, heard, weight_bank
from app.ui.format import format_score, metric_help, metric_label, plain
from app.words.text import t
from core.blend.ensemble import Ensemble, save_blend, spec_of
from core.blend.honest import HonestScore
from core.blend.optimum import gap_at
from core.specs.blend import MeanName
from core.specs.contest import ContestSpec
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import Run


@st.fragment
def bench(contest: Contest, folds: Folds, members: Sequence[Run], n_others: int, free_name: str) -> None:
    """The weights and what they score; only this part runs again while a weight is dragged, and it reads nothing from the database.

    `n_others` runs could have been members too; `free_name` is proposed for the blend.
    """
    with guard():
        left, right = st.columns([1.1, 1], gap="large")
        content = content_of(contest, folds, members)
        with right.skeleton(height=220):
            ensemble = load_ensemble(content, runtime.workspace(), contest, members)
            fixed = fixed_scores(content, ensemble)
        desk = open_desk(folds.id, [run.id for run in members])
        key = f"bank-{folds.id}"
        said = heard(key, desk.ids, desk.revision)
        if said is not None:
            desk.follow(said)
        with left:
            top = st.container()
            obey(desk, ensemble, folds.id, content)
            with top:
                choose_mean(desk, folds.id)
            rows = [
                BankRow(run.id, run.name, run_color(run.id), format_score(score.oof_score))
                for run, score in zip(members, fixed.own, strict=True)
            ]
            weight_bank(rows, desk.state, revision=desk.revision, labels=_labels(), key=key, kind=desk.draft.kind)
            way_row(desk, folds.id, contest.spec)
            after_row(desk, folds.id, contest.spec)
            with st.spinner(t("ensemble.preparing", mean=mean_label(desk.draft.steps.mean))):
                scored = score_now(desk, ensemble, folds.id, content)
            blend_facts(desk.draft, ensemble, contest.spec.classes, content)
            verdict_place = st.container()
        judgement = known_judgement(desk.draft, folds.id, content)
        is_to_judge = judgement is None and judges_now(desk, ensemble, folds.id, content)
        with right:
            honest_place = _figures(contest.spec, ensemble, scored, fixed)
            # A way that was just clicked is judged last, in its place; at any other time the figure is there at once and never blinks.
            if not is_to_judge:
                honest_figure(honest_place, score_in(judgement), metric=ensemble.metric.name, standing=standing_of(desk.draft, n_others))
            draw_chart(choose_chart(desk, ensemble, folds.id), desk, ensemble, scored, fixed, contest.spec.classes, folds.id)
        with left:
            _save_form(contest, desk.draft, ensemble, score_in(judgement), free_name)
        if is_to_judge:
            with honest_place, st.spinner(t("ensemble.refitting"), show_time=True):
                judgement = judge(ensemble, desk.draft, folds.id, content)
            honest_figure(honest_place, score_in(judgement), metric=ensemble.metric.name, standing=standing_of(desk.draft, n_others))
        with verdict_place:
            verdict(desk, ensemble, folds.id, judgement, content, n_others)


def _figures(spec: ContestSpec, ensemble: Ensemble, scored: Scored, fixed: Fixed) -> DeltaGenerator:
    """The four figures and the line under them; returns the place of the honest one."""
    metric, now, equal = ensemble.metric, scored.score, fixed.equal
    best = metric.best([score.oof_score for score in fixed.own])
    best_at = next(index for index, score in enumerate(fixed.own) if score.oof_score == best)
    color = "normal" if metric.greater_is_better else "inverse"
    won = sum(metric.is_better(a, b) for a, b in zip(now.fold_scores, fixed.own[best_at].fold_scores, strict=True))
    than_best = t("ensemble.than_best")
    helps = [t("ensemble.blend_now_help", rows=f"{len(ensemble.oof.y_true):,}")]
    if spec.is_multilabel:
        helps += [f"**{metric_label(name)}**: {metric_help(spec, name)}" for name in now.scores]

    is_now = metric.name not in scored.waiting

    def figure(value: float, sd: float | None = None, name: str = metric.name) -> str:
        return t("bench.waits") if name in scored.waiting else format_score(value, sd)

    with st.grid(2, gap="small", min_column_width=130):
        st.metric(
            f"{t('ensemble.blend_now')} · {metric_label(metric.name)}",
            figure(now.oof_score),
            _delta(now.oof_score, best) if is_now else t("bench.waits_why"),
            color if is_now else "off",
            delta_arrow="auto" if is_now else "off",
            delta_description=than_best if is_now else None,
            help="\n\n".join(helps) if is_now else t("bench.follows"),
            border=True,
            height="stretch",
        )
        honest_place = st.empty()
        st.metric(
            t("ensemble.equal"),
            format_score(equal.oof_score),
            _delta(equal.oof_score, best),
            color,
            delta_description=than_best,
            help=t("ensemble.equal_help"),
            border=True,
            height="stretch",
        )
        st.metric(
            t("ensemble.best_single"),
            format_score(best),
            plain(ensemble.runs[best_at].name),
            "off",
            delta_arrow="off",
            border=True,
            height="stretch",
        )
    others = " · ".join(f"{metric_label(name)} {figure(score, name=name)}" for name, score in now.scores.items() if name != metric.name)
    folds_won = t("ensemble.folds_won", won=won if is_now else t("bench.waits"), n=len(now.fold_scores))
    st.caption(
        f"{t('ensemble.by_fold', score=figure(now.cv_score, now.cv_sd))}, {folds_won} · {others}",
        help=t("ensemble.by_fold_help") if is_now else t("bench.follows"),
    )
    return honest_place


def _delta(score: float, reference: float) -> str | int:
    text = f"{score - reference:+.4f}"
    return 0 if float(text) == 0 else text


def _save_form(contest: Contest, draft: Draft, ensemble: Ensemble, honest: HonestScore | None, free_name: str) -> None:
    with st.form(f"save-{free_name}", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input(t("ensemble.name"), free_name, max_chars=60)
        saves = st.form_submit_button(t("ensemble.save"), type="primary", icon=":material/save:")
    if saves:
        spec = spec_of([run.id for run in ensemble.runs], draft.steps)
        blend = save_blend(
            runtime.workspace(), contest, spec, name=name.strip(), honest=honest, ensemble=ensemble, procedure=draft.procedure
        )
        st.toast(t("ensemble.saved", name=plain(blend.name), ref=blend.ref), icon=":material/check:")
        st.rerun()


def _labels() -> dict[str, str]:
    return {
        "lock": t("ensemble.lock"),
        "unlock": t("ensemble.unlock"),
        "run": t("ensemble.run"),
        "score": t("ensemble.own_score"),
        "weight": t("ensemble.weight"),
        "number": t("ensemble.weight_number"),
        "weights": t("ensemble.weights"),
        "alone": t("ensemble.alone"),
        "shrinkage": t("bench.shrinkage"),
        "shrinkage_help": t("bench.shrinkage_help"),
        "shrinkage_number": t("bench.shrinkage_number"),
        "share": t("bench.share"),
    }


def blend_facts(draft: Draft, ensemble: Ensemble, classes: Sequence[str], content: tuple[object, ...]) -> None:
    """Each fact is one line; a plain blend by hand has none."""
    lines = facts_of(draft, ensemble, classes, content)
    if lines:
        st.caption("  \n".join(lines))


def facts_of(draft: Draft, ensemble: Ensemble, classes: Sequence[str], content: tuple[object, ...]) -> list[str]:
    """What the weights that are shown mean, what was proved, what was chosen, and what was fitted after the mean."""
    steps, procedure = draft.steps, draft.procedure
    lines: list[str] = []
    if draft.kind in ("loose", "apart"):
        lines.append(t(f"bench.kind_{draft.kind}"))
    if procedure.is_proved(steps.mean):
        gap = _gap(content, steps.mean, steps.weights, ensemble)
        lines.append(t("bench.gap_shrunk" if steps.shrinkage else "bench.gap", gap=f"{gap:.0e}" if gap else "0"))
    if procedure.mean == "auto":
        lines.append(t("bench.auto_took", mean=mean_label(steps.mean)))
    left_out = [plain(ensemble.runs[place].name) for place in runs_left_out(draft)]
    if procedure.chooses_members:
        lines.append(t("bench.left_out", runs=", ".join(left_out)) if left_out else t("bench.left_out_none"))
    if procedure.temperature:
        lines.append(describe_temperature(steps.temperature))
    if procedure.offsets and steps.offsets:
        lines.append(describe_offsets(steps.offsets, [plain(name) for name in classes]))
    if procedure.thresholds and steps.thresholds:
        lines.append(describe_thresholds(steps.thresholds, [plain(name) for name in classes]))
    return lines


@st.cache_resource(max_entries=64, show_spinner=False)
def _gap(content: tuple[object, ...], mean: MeanName, weights: tuple[float, ...], _ensemble: Ensemble) -> float:
    return gap_at(_ensemble.scorer(mean), weights)
