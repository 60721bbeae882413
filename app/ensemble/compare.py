"""Saved blends and runs side by side: scores, weights, and a paired bootstrap of two that says whether a difference is luck."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from app.ensemble.ways import after_label
from app.ui.cards import guard, section
from app.ui.format import format_honest, format_score, metric_label, plain
from app.ui.sources import matrix_of_sources, rank_sources, source_label
from app.words.text import t
from core.analysis.side_by_side import Duel, Standing, compare_sources, standing_of
from core.predictions.source import Source
from core.store.contests import Contest

MOST_AT_FIRST = 3
ICONS = {"first": ":material/check_circle:", "second": ":material/check_circle:", "unclear": ":material/info:", "same": ":material/equal:"}


@st.fragment
def blend_compare(contest: Contest, names: dict[int, str]) -> None:
    """Choose two or more; `names` are those of all runs by id."""
    with guard():
        sources = rank_sources(contest, complete=False)
        if len(sources) < 2:
            st.caption(t("compare.needs_two"))
            return
        by_ref = {source.ref: source for source in sources}
        key = f"compare-{contest.id}"
        if key in st.session_state:  # some may have been deleted since they were chosen
            st.session_state[key] = [ref for ref in st.session_state[key] if ref in by_ref]
        else:
            st.session_state[key] = _first_choice(sources)
        chosen = st.multiselect(
            t("compare.choose"), list(by_ref), format_func=lambda ref: source_label(by_ref[ref]), key=key, persist_state="session"
        )
        picked = [by_ref[ref] for ref in chosen]
        if len(picked) < 2:
            st.caption(t("compare.choose_two"))
            return
        with st.spinner(t("compare.reading")):
            standings = [_standing(_content(source), source) for source in picked]
        section(t("compare.scores"))
        _scores(contest, standings)
        _duel(picked, standings)
        section(t("compare.weights"))
        _weights(standings, names)


def _first_choice(sources: Sequence[Source]) -> list[str]:
    """The best blends on the folds of the best of them, and where there are too few, runs."""
    ranked = sorted(sources, key=lambda source: source.kind == "run")
    return [source.ref for source in ranked if source.folds.id == ranked[0].folds.id][:MOST_AT_FIRST]


def _scores(contest: Contest, standings: Sequence[Standing]) -> None:
    n_folds = standings[0].source.folds.n_folds
    table = pd.DataFrame(
        {
            "name": [standing.source.name for standing in standings],
            "ref": [standing.source.ref for standing in standings],
            "oof": [standing.oof_score for standing in standings],
            "cv": [format_score(standing.cv_score, standing.cv_sd) for standing in standings],
            "honest": [format_honest(standing.honest) for standing in standings],
            "mean": [after_label(each.source.saved.spec) if each.source.saved else "–" for each in standings],
            "folds": [f"{len(standing.folds)}/{n_folds}" for standing in standings],
        }
    )
    st.dataframe(
        table,
        hide_index=True,
        key="compare-scores",
        alt=t("compare.scores"),
        column_config={
            "name": st.column_config.TextColumn(t("compare.name"), pinned=True),
            "ref": st.column_config.TextColumn(t("compare.ref"), width="small"),
            "oof": st.column_config.NumberColumn(f"{t('ensemble.column_oof')} ({metric_label(contest.spec.metric)})", format="%.4f"),
            "cv": t("ensemble.column_cv"),
            "honest": st.column_config.TextColumn(t("ensemble.honest"), help=t("ensemble.honest_help")),
            "mean": t("ensemble.mean"),
            "folds": st.column_config.TextColumn(t("compare.folds"), width="small"),
        },
    )


def _weights(standings: Sequence[Standing], names: dict[int, str]) -> None:
    """One row per run, one column per source; empty where a run is no member."""
    total = {run_id: sum(each.weights.get(run_id, 0.0) for each in standings) for each in standings for run_id in each.weights}
    order = sorted(total, key=lambda run_id: -total[run_id])
    table = pd.DataFrame({"run": [names.get(run_id, f"r{run_id}") for run_id in order]})
    for standing in standings:
        table[standing.source.ref] = [standing.weights.get(run_id) for run_id in order]
    st.dataframe(
        table,
        hide_index=True,
        key="compare-weights",
        placeholder="–",
        alt=t("compare.weights"),
        column_config={
            "run": st.column_config.TextColumn(t("compare.run"), pinned=True),
            **{
                each.source.ref: st.column_config.ProgressColumn(plain_name(each.source), format="%.3f", min_value=0.0, max_value=1.0)
                for each in standings
            },
        },
    )


def plain_name(source: Source) -> str:
    """The head of a column: the name alone, and the reference where the name is long."""
    return source.name if len(source.name) <= 18 else f"{source.name[:14]}… {source.ref}"


def _duel(picked: Sequence[Source], standings: Sequence[Standing]) -> None:
    """Two of the chosen against each other."""
    section(t("compare.duel"), t("compare.duel_note"))
    by_ref = {source.ref: source for source in picked}
    refs = list(by_ref)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        one = _pick("one", refs, by_ref, refs[0])
        other = _pick("other", refs, by_ref, next(ref for ref in refs if ref != one))
    if one == other:
        st.caption(t("compare.choose_other"))
        return
    first, second = by_ref[one], by_ref[other]
    with st.spinner(t("compare.drawing"), show_time=True):
        duel = _compared((_content(first), _content(second)), first, second)
    say_duel(first, second, duel)
    flattered = [standing.source for standing in standings if standing.source.ref in (one, other) and standing.is_tuned]
    if flattered:
        st.caption(t("compare.flattered", names=", ".join(plain(source.name) for source in flattered)))


def _pick(side: str, refs: Sequence[str], by_ref: dict[str, Source], usual: str) -> str:
    key = f"compare-{side}"
    if st.session_state.get(key) not in refs:
        st.session_state[key] = usual
    label = t(f"compare.{side}")
    return st.selectbox(label, refs, format_func=lambda ref: source_label(by_ref[ref]), key=key, persist_state="session")


def say_duel(first: Source, second: Source, duel: Duel) -> None:
    """What the comparison says, in words; the figures are those of the rows that both have."""
    gain = duel.comparison
    one, other = plain(first.name), plain(second.name)
    better, worse = (other, one) if duel.verdict == "second" else (one, other)
    kind = "better" if duel.verdict in ("first", "second") else duel.verdict
    figures = t(
        "compare.figures",
        one=one,
        other=other,
        score=f"{gain.score:.4f}",
        rival=f"{gain.other:.4f}",
        gain=f"{gain.gain:+.4f}",
        low=f"{gain.gain_low:+.4f}",
        high=f"{gain.gain_high:+.4f}",
    )
    lines = [t(f"compare.verdict_{kind}", better=better, worse=worse), figures]
    if duel.n_rows < duel.n_train:
        folds = ", ".join(map(str, duel.folds))
        lines.append(t("compare.some_rows", rows=f"{duel.n_rows:,}", total=f"{duel.n_train:,}", folds=folds))
    (st.success if kind == "better" else st.info)("  \n".join(lines), icon=ICONS[duel.verdict])


def _content(source: Source) -> tuple[object, ...]:
    """What a source's standing depends on."""
    return source.contest.id, source.contest.version, source.contest.spec.metric, source.ref, *source.content


@st.cache_resource(max_entries=256, show_spinner=False)
def _standing(content: tuple[object, ...], _source: Source) -> Standing:
    return standing_of(_source, None if _source.saved else matrix_of_sources(_source))


@st.cache_resource(max_entries=256, show_spinner=False)
def _compared(content: tuple[tuple[object, ...], tuple[object, ...]], _one: Source, _other: Source) -> Duel:
    return compare_sources(_one, _other, matrix_of_sources(_one, _other))
