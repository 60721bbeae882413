"""The bench of the page Ensemble: the weights, what they score while they move, and keeping what was found."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from app import charts, doorway
from app.blend_ways import (
    Found,
    choose_mean,
    find,
    follow_click,
    honest_figure,
    is_untuned,
    judge,
    prepare_mean,
    verdict,
    way_buttons,
)
from app.colors import QUIET, blend_color, run_color
from app.ensemble_view import content_of, load_bank, open_desk
from app.text import t
from app.weight_bank import BankRow, weight_bank
from app.widgets import format_score, guard, metric_label, plain
from core.blend.bank import Bank
from core.blend.honest import HonestScore
from core.blend.save import make_spec, save_blend
from core.blend.scorer import BlendScore
from core.blend.spec import BlendSpec
from core.store.blends import free_blend_name, list_blends
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import Run


@st.fragment
def bench(contest: Contest, folds: Folds, members: Sequence[Run]) -> None:
    """The weights and what they score; only this part runs again while a weight is dragged."""
    with guard():
        left, right = st.columns([1.1, 1], gap="large")
        content = content_of(contest, folds, members)
        with right.skeleton(height=220):
            bank = load_bank(content, doorway.workspace(), contest, members)
            own = bank.member_scores()
        desk = open_desk(folds.id, [run.id for run in members])
        with left:
            mean = choose_mean(folds.id)
            prepare_mean(bank, mean)
            follow_click(desk, bank, folds.id, mean, content)
            rows = [
                BankRow(run.id, run.name, run_color(run.id), format_score(score.oof_score)) for run, score in zip(members, own, strict=True)
            ]
            desk.follow(weight_bank(rows, desk.state, revision=desk.revision, labels=_labels(), key=f"bank-{folds.id}"))
            way_buttons(desk, folds.id, mean, [run.id for run in members])
        spec = make_spec([run.id for run in members], [desk.state.weights[run.id] for run in members], mean)
        found = find(desk, folds.id, mean, content)
        with right:
            standing = t("ensemble.standing_untuned" if is_untuned(desk, mean) else "ensemble.standing_hand")
            _figures(bank, bank.score(spec.steps), own, found, standing)
        with left:
            verdict(desk, folds.id, mean, found)
            _save_form(contest, spec, bank, found.honest if found else None)


def _figures(bank: Bank, now: BlendScore, own: Sequence[BlendScore], found: Found | None, standing: str) -> None:
    metric = bank.metric
    equal = bank.score(bank.equal_weights)
    best = metric.best([score.oof_score for score in own])
    best_at = next(index for index, score in enumerate(own) if score.oof_score == best)
    color = "normal" if metric.greater_is_better else "inverse"
    won = sum(metric.is_better(a, b) for a, b in zip(now.fold_scores, own[best_at].fold_scores, strict=True))
    than_best = t("ensemble.than_best")
    # A way that was just clicked is judged last, in its place; at any other time the figure is there at once and never blinks.
    is_to_judge = found is not None and found.honest is None
    with st.grid(2, gap="small", min_column_width=130):
        st.metric(
            f"{t('ensemble.blend_now')} · {metric_label(metric.name)}",
            format_score(now.oof_score),
            _delta(now.oof_score, best),
            color,
            delta_description=than_best,
            help=t("ensemble.blend_now_help", rows=f"{len(bank.y_true):,}"),
            border=True,
            height="stretch",
        )
        honest_place = st.empty()
        if not is_to_judge:
            honest_figure(honest_place, found.honest if found else None, metric=metric.name, standing=standing)
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
            plain(bank.runs[best_at].name),
            "off",
            delta_arrow="off",
            border=True,
            height="stretch",
        )
    others = " · ".join(f"{metric_label(name)} {score:.4f}" for name, score in now.scores.items() if name != metric.name)
    folds_won = t("ensemble.folds_won", won=won, n=len(now.fold_scores))
    st.caption(
        f"{t('ensemble.by_fold', score=format_score(now.cv_score, now.cv_sd))}, {folds_won} · {others}", help=t("ensemble.by_fold_help")
    )
    series = {t("charts.blend_now"): now.fold_scores, t("charts.equal"): equal.fold_scores} | {
        run.name: score.fold_scores for run, score in zip(bank.runs, own, strict=True)
    }
    colors = {t("charts.blend_now"): blend_color(), t("charts.equal"): QUIET} | {run.name: run_color(run.id) for run in bank.runs}
    table = pd.DataFrame(
        [(name, fold, score) for name, scores in series.items() for fold, score in enumerate(scores)], columns=["name", "fold", "score"]
    )
    charts.draw(charts.blend_folds(table, colors, metric), key="blend-folds", alt=t("charts.blend_title"))
    if found is not None and is_to_judge:
        with honest_place, st.spinner(t("ensemble.refitting"), show_time=True):
            honest = judge(found, bank)
        honest_figure(honest_place, honest, metric=metric.name, standing=standing)


def _delta(score: float, reference: float) -> str | int:
    text = f"{score - reference:+.4f}"
    return 0 if float(text) == 0 else text


def _save_form(contest: Contest, spec: BlendSpec, bank: Bank, honest: HonestScore | None) -> None:
    store = doorway.workspace().store
    blends = list_blends(store, contest.id)
    with st.form(f"save-blend-{len(blends)}", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input(t("ensemble.name"), free_blend_name(store, contest.id, "blend"), max_chars=60)
        saves = st.form_submit_button(t("ensemble.save"), type="primary", icon=":material/save:")
    if saves:
        blend = save_blend(doorway.workspace(), contest, spec, name=name.strip(), honest=honest, bank=bank)
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
    }
