"""Blends that were kept, and weights of plan files: back into the editor, submitted, deleted, and compared with each other and with runs."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from app.ensemble.draft import draft_of
from app.ensemble.lineup import older_truth
from app.ensemble.session import EnsembleSession, session
from app.ensemble.ways import after_label
from app.shell import runtime
from app.shell.state import go_to
from app.ui.cards import guard, section
from app.ui.format import format_clock, format_honest, format_score, metric_label, plain
from app.ui.sources import BY_CONTENT, matrix_of_sources, rank_sources, source_label
from app.ui.ways_back import ask_name, ask_removal
from app.words.text import t
from core.analysis.compare import Duel, Standing, compare_sources, standing_of
from core.blend.ensemble import make_spec
from core.predictions.source import Source
from core.recipes.plan import list_plan_weights
from core.specs.blend import BlendSpec
from core.specs.kept import BlendScores
from core.store.blends import Blend, list_blends, rename_blend
from core.store.contests import Contest
from core.store.folds import get_folds
from core.store.runs import Run, get_run

WEIGHTS_PX = 300
"""The widest column; wider, and on a screen of 1440 the actions at the end are out of sight."""
MOST_AT_FIRST = 3
Scores = BlendScores | Standing
ICONS = {"first": ":material/check_circle:", "second": ":material/check_circle:", "unclear": ":material/info:", "same": ":material/equal:"}


def saved_blends(contest: Contest, finished: Sequence[Run]) -> None:
    """The blends that were kept, with what they scored and their weights."""
    blends = list_blends(runtime.workspace().store, contest.id)
    st.subheader(t("ensemble.saved_title"), anchor=False)
    if not blends:
        st.caption(t("ensemble.saved_none"))
        return
    names, kept = {run.id: run.name for run in finished}, session()
    asked, kept.to_delete = kept.to_delete, None
    renamed, kept.to_rename = kept.to_rename, None
    for blend in blends:
        if blend.id == asked:
            ask_removal({"blend": [blend.id]})
        if blend.id == renamed:
            ask_name(blend.name, partial(rename_blend, runtime.workspace().store, blend.id))
    load, submit, drop, rename = (t(f"ensemble.action_{name}") for name in ("load", "submit", "delete", "rename"))
    rows = [
        _row(contest, blend.name, blend.truth_id, blend.scores, blend.scores.spread, blend.scores.n_rows, blend.spec)
        | {
            "equal": blend.scores.equal_score,
            "members": describe_weights(blend, names),
            "created": format_clock(blend.created_at),
            "actions": [load, submit, rename, drop],
        }
        for blend in blends
    ]

    def act() -> None:
        click = st.session_state["blend-action"]
        blend = blends[click.row]
        if click.label == submit:
            go_to("submit", source=blend.ref)
        if click.label == drop:
            kept.to_delete = blend.id
        elif click.label == rename:
            kept.to_rename = blend.id
        elif not names.keys() >= set(blend.spec.members):
            st.toast(t("ensemble.load_refused", name=plain(blend.name)), icon=":material/block:")
        else:
            load_blend(kept, blend)

    columns = {
        "equal": st.column_config.NumberColumn(t("ensemble.column_equal"), format="%.4f", help=t("common.oof_help")),
        "members": st.column_config.TextColumn(t("ensemble.column_members"), width=WEIGHTS_PX),
        "created": t("ensemble.column_created"),
        "actions": st.column_config.ButtonColumn(t("ensemble.column_actions"), key="blend-action", on_click=act, width=72),
    }
    # Columns keep the width of their first rows: a table of other blends is another table.
    event = _score_table(
        contest,
        rows,
        columns,
        key="saved-blends-" + "-".join(f"{blend.id}.{len(blend.name)}" for blend in blends),
        alt=t("ensemble.saved_title"),
        on_select="rerun",
        selection_mode="multi-row",
    )
    ticked = [blends[row].id for row in event.selection.rows if row < len(blends)]
    if ticked and st.button(t("trash.delete_some", n=len(ticked)), icon=":material/delete:", key="delete-blends"):
        ask_removal({"blend": ticked})


def _row(
    contest: Contest, name: str, truth_id: int, scores: Scores, spread: float | None, n_rows: int | None, spec: BlendSpec | None
) -> dict[str, Any]:
    """A blend or run in a table of scores; on how many rows its score stands is said where these are not all."""
    is_whole = n_rows is None or n_rows == contest.n_train
    return {
        "name": name + older_truth(contest, truth_id),
        "cv": format_score(scores.cv_score, spread),
        "oof": scores.oof_score,
        "honest": format_honest(scores.honest),
        "rows": "" if is_whole else t("ensemble.some_rows", rows=f"{n_rows:,}", all=f"{contest.n_train:,}"),
        "mean": after_label(spec) if spec else "–",
    }


def _score_table(contest: Contest, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, Any], **options: Any) -> Any:
    """Rows of `_row` with `columns` of their own, and what is ticked in them; `options` as of `st.dataframe`."""
    text = st.column_config.TextColumn
    table = pd.DataFrame(rows)
    return st.dataframe(
        table if any(table["rows"]) else table.drop(columns="rows"),
        hide_index=True,
        **options,
        column_order=[*dict.fromkeys(("name", "actions", "cv", "oof", "honest", "rows", "mean", *columns))],
        column_config={
            "name": text(t("compare.name"), pinned=True),
            "cv": text(f"CV {metric_label(contest.spec.metric)}", help=t("common.cv_help")),
            "oof": st.column_config.NumberColumn(t("common.oof"), format="%.4f", help=t("common.oof_help")),
            "honest": text(t("ensemble.cross_fitted"), help=t("ensemble.cross_fitted_help")),
            "rows": text(t("ensemble.column_rows")),
            "mean": t("ensemble.mean"),
            **columns,
        },
    )


def describe_weights(blend: Blend, names: Mapping[int, str]) -> str:
    """A blend's weights in words, the largest first."""
    pairs = sorted(zip(blend.spec.members, blend.spec.normalised(), strict=True), key=lambda pair: -pair[1])
    return " · ".join(f"{names.get(run_id, f'r{run_id}')} {weight:.3f}" for run_id, weight in pairs)


def load_blend(kept: EnsembleSession, blend: Blend) -> None:
    """Load a saved blend into the editor: its folds, runs, steps and procedure, as one step of undo. To be called before the page is drawn.

    A blend on some folds only comes as weights by hand: fitted again, its procedure could see other folds.
    """
    is_restricted = blend.spec.is_restricted
    procedure = None if is_restricted else blend.scores.procedure
    _load(kept, blend.contest_id, blend.folds_id, blend.spec, procedure, shares_folds=is_restricted)


def _load(
    kept: EnsembleSession, contest_id: int, folds_id: int, spec: BlendSpec, procedure: Mapping[str, Any] | None, *, shares_folds: bool
) -> None:
    """`shares_folds` where not all runs have all folds."""
    kept.folds_ids[contest_id] = folds_id
    state = kept.on(folds_id)
    state.members = list(spec.members)
    if shares_folds:
        state.unfinished = "share"
    state.editor_of(spec.members).put(draft_of(spec, procedure))


def plan_starts(contest: Contest, begun: Sequence[Run]) -> None:
    """A button for each plan that was queued with weights: its runs that have predictions become the members, under its weights."""
    ids = {run.id for run in begun}
    with st.container(horizontal=True, gap="small"):
        for plan in list_plan_weights(runtime.workspace(), contest):
            weights = {run_id: weight for run_id, weight in plan.weights.items() if run_id in ids}
            if any(weights.values()):
                st.button(
                    t("ensemble.plan_start", name=plain(plan.name), n=len(weights), of=len(plan.weights)),
                    key=f"plan-start-{contest.id}-{plan.name}",
                    icon=":material/description:",
                    help=t("ensemble.plan_start_help"),
                    on_click=_load_plan,
                    args=(contest, plan.folds_id, weights),
                )


def _load_plan(contest: Contest, folds_id: int, weights: Mapping[int, float]) -> None:
    store = runtime.workspace().store
    n_folds = get_folds(store, folds_id).n_folds
    misses_folds = any(len(get_run(store, run_id).results) < n_folds for run_id in weights)
    _load(session(), contest.id, folds_id, make_spec(list(weights), list(weights.values())), None, shares_folds=misses_folds)


@st.fragment
def blend_compare(contest: Contest, names: dict[int, str]) -> None:
    """Choose two or more blends or runs; `names` are those of all runs by id."""
    with guard():
        sources = rank_sources(contest, complete=False)
        if len(sources) < 2:
            st.caption(t("compare.needs_two"))
            return
        by_ref = {source.ref: source for source in sources}
        key = f"compare-{contest.id}"
        if key in st.session_state:  # some may have been deleted since they were chosen
            st.session_state[key] = [ref for ref in st.session_state[key] if ref in by_ref]
        else:  # the best blends on the folds of the best of them, and where there are too few, runs
            ranked = sorted(sources, key=lambda source: source.kind == "run")
            st.session_state[key] = [source.ref for source in ranked if source.folds.id == ranked[0].folds.id][:MOST_AT_FIRST]

        def label(ref: str) -> str:
            return source_label(by_ref[ref]) + older_truth(contest, by_ref[ref].truth_id)

        chosen = st.multiselect(t("compare.choose"), list(by_ref), format_func=label, key=key, persist_state="session")
        picked = [by_ref[ref] for ref in chosen]
        if len(picked) < 2:
            st.caption(t("compare.choose_two"))
            return
        with st.spinner(t("compare.reading")):
            standings = [_standing(source.ref, source) for source in picked]
        section(t("compare.scores"))
        rows = [
            _row(
                contest, each.source.name, each.source.truth_id, each, each.cv_sd, each.n_rows, each.source.saved and each.source.saved.spec
            )
            | {"ref": each.source.ref, "folds": f"{len(each.folds)}/{each.source.folds.n_folds}"}
            for each in standings
        ]
        columns = {name: st.column_config.TextColumn(t(f"compare.{name}"), width="small") for name in ("ref", "folds")}
        _score_table(contest, rows, columns, key="compare-scores", alt=t("compare.scores"))
        _duel(picked, standings)
        section(t("compare.weights"))
        _weights(standings, names)


def _weights(standings: Sequence[Standing], names: dict[int, str]) -> None:
    """One row per run, one column per source; empty where a run is no member."""
    weights = pd.DataFrame({each.source.ref: each.weights for each in standings})
    order = weights.sum(axis=1).sort_values(ascending=False, kind="stable").index
    run = pd.Series({run_id: names.get(run_id, f"r{run_id}") for run_id in order}, name="run")
    bars = {
        each.source.ref: st.column_config.ProgressColumn(_head(each.source), format="%.3f", min_value=0.0, max_value=1.0)
        for each in standings
    }
    st.dataframe(
        pd.concat([run, weights.loc[order]], axis=1),
        hide_index=True,
        key="compare-weights",
        placeholder="–",
        alt=t("compare.weights"),
        column_config={"run": st.column_config.TextColumn(t("compare.run"), pinned=True), **bars},
    )


def _head(source: Source) -> str:
    """The head of a column: the name alone, and the reference where the name is long."""
    return source.name if len(source.name) <= 18 else f"{source.name[:14]}… {source.ref}"


def _duel(picked: Sequence[Source], standings: Sequence[Standing]) -> None:
    """Two of the chosen against each other."""
    section(t("compare.duel"), t("compare.duel_note"))
    by_ref = {source.ref: source for source in picked}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        one = _pick("one", by_ref, next(iter(by_ref)))
        other = _pick("other", by_ref, next(ref for ref in by_ref if ref != one))
    if one == other:
        st.caption(t("compare.choose_other"))
        return
    first, second = by_ref[one], by_ref[other]
    with st.spinner(t("compare.drawing"), show_time=True):
        duel = _compared(first, second)
    _say_duel(first, second, duel)
    optimistic = [standing.source for standing in standings if standing.source.ref in (one, other) and standing.is_tuned]
    if optimistic:
        st.caption(t("compare.optimistic", names=", ".join(plain(source.name) for source in optimistic)))


def _pick(side: str, by_ref: Mapping[str, Source], usual: str) -> str:
    key = f"compare-{side}"
    if st.session_state.get(key) not in by_ref:
        st.session_state[key] = usual
    label = t(f"compare.{side}")
    return st.selectbox(label, list(by_ref), format_func=lambda ref: source_label(by_ref[ref]), key=key, persist_state="session")


def _say_duel(first: Source, second: Source, duel: Duel) -> None:
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
    if duel.retraining:
        one_n, other_n = duel.retraining.n_seeds
        key = "compare.retraining_covers" if duel.is_within_retraining else "compare.retraining"
        lines.append(t(key, reach=f"{duel.retraining.reach:.4f}", one=one, other=other, one_n=one_n, other_n=other_n))
    else:
        lines.append(t("compare.retraining_unknown"))
    if duel.n_rows < duel.n_train:
        folds = ", ".join(map(str, duel.folds))
        lines.append(t("compare.some_rows", rows=f"{duel.n_rows:,}", total=f"{duel.n_train:,}", folds=folds))
    (st.success if kind == "better" and not duel.is_within_retraining else st.info)("  \n".join(lines), icon=ICONS[duel.verdict])


@st.cache_resource(max_entries=256, **BY_CONTENT)
def _standing(ref: str, source: Source) -> Standing:
    """By reference too: blends of equal content may have been found in other ways."""
    return standing_of(source, None if source.saved else matrix_of_sources(source))


@st.cache_resource(max_entries=256, **BY_CONTENT)
def _compared(one: Source, other: Source) -> Duel:
    return compare_sources(one, other, matrix_of_sources(one, other))
