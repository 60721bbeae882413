"""The checkpoints of a run on its page, and the problems it recovered from."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app.shell import runtime
from app.ui.format import format_clock, metric_label, plain
from app.words.core_text import say
from app.words.text import t
from core.analysis.kept import Kept, list_kept
from core.store.contests import Contest
from core.store.runs import Run

Signature = tuple[tuple[str, int, int], ...]
COLORS = {"verified": "green", "damaged": "red", "quarantined": "orange"}


def checkpoints_view(contest: Contest, run: Run) -> None:
    """A table of the checkpoints and weights of a run's folds, each checked against its hashes."""
    if run.imported:
        st.caption(t("checkpoints.imported"))
        return
    with st.spinner(t("checkpoints.checking")):
        kept = _checked(_signature(contest, run), run)
    if not kept:
        st.caption(t("checkpoints.none", seconds=f"{run.recipe.checkpoints.every_s:g}"))
        return
    metric = contest.spec.metric
    standing = {name: t(f"checkpoints.{name}") for name in COLORS}
    table = pd.DataFrame(
        [
            {
                "fold": item.fold,
                "what": t(f"checkpoints.{item.kind}"),
                "state": [standing[item.standing]],
                "epoch": item.epoch,
                "step": item.step,
                "best": item.best_epoch or None,
                "score": item.scores.get(metric),
                "size": runtime.size_text(item.n_bytes),
                "made": format_clock(item.created_at) if item.created_at else None,
                "attempt": item.attempt,
                "why": say(item.why),
            }
            for item in kept
        ]
    )
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    st.dataframe(
        table if any(table["why"]) else table.drop(columns="why"),
        hide_index=True,
        key="run-checkpoints",
        placeholder="–",
        alt=t("runs.tab_checkpoints"),
        column_config={
            "fold": number(t("runs.fold_number"), width="small", pinned=True),
            "what": text(t("checkpoints.what")),
            "state": st.column_config.MultiselectColumn(t("runs.fold_state"), options=list(standing.values()), color=list(COLORS.values())),
            "epoch": number(t("checkpoints.epoch"), help=t("checkpoints.epoch_help")),
            "step": number(t("checkpoints.step")),
            "best": number(t("runs.fold_best_epoch")),
            "score": number(metric_label(metric), format="%.4f"),
            "size": text(t("checkpoints.size")),
            "made": text(t("checkpoints.made")),
            "attempt": number(t("runs.fold_attempt")),
            "why": text(t("checkpoints.why"), width="large"),
        },
    )
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        total = runtime.size_text(sum(item.n_bytes for item in kept))
        st.caption(t("checkpoints.explained", total=total, keep=run.recipe.checkpoints.keep), width="stretch")
        st.button(t("checkpoints.again"), icon=":material/verified:", on_click=_checked.clear, help=t("checkpoints.again_help"))


def second_tries(run: Run) -> None:
    """A list of the problems that a run recovered from; nothing when there were none."""
    if run.imported:
        return
    lines: list[str] = []
    for job in run.jobs:
        if job.halvings:
            lines.append(
                t(
                    "checkpoints.halved",
                    fold=job.fold,
                    rows=run.recipe.train.micro_batch(job.halvings),
                    asked=run.recipe.train.micro_batch(),
                    batch=run.recipe.train.batch_size,
                )
            )
        if job.interruptions:
            lines.append(t("checkpoints.interrupted", fold=job.fold, n=job.interruptions))
    for result in run.results:
        resumed = result.facts.get("resumed", [])
        if resumed:
            places = ", ".join(t("checkpoints.place", epoch=entry["epoch"], step=entry["step"]) for entry in resumed)
            lines.append(t("checkpoints.resumed", fold=result.fold, places=places))
        if result.facts.get("restarted_for"):
            lines.append(t("checkpoints.restarted", fold=result.fold, names=result.facts["restarted_for"]))
        changed = [
            name for name in ("device", "threads", "precision", "micro_batch") for entry in resumed if entry[name] != result.facts[name]
        ]
        if changed:
            lines.append(t("checkpoints.other_conditions", fold=result.fold, names=", ".join(dict.fromkeys(changed))))
        for name in result.facts.get("quarantined", []):
            lines.append(t("checkpoints.set_aside", fold=result.fold, name=plain(name)))
    if lines:
        with st.expander(t("checkpoints.second_tries", n=len(lines)), icon=":material/healing:"):
            st.markdown("\n".join(f"- {line}" for line in lines))


@st.cache_data(max_entries=20, show_spinner=False)
def _checked(signature: Signature, _run: Run) -> tuple[Kept, ...]:
    """The checkpoints with their hashes compared; computed again when a file changes or the cache is cleared."""
    return list_kept(runtime.workspace(), _run)


def _signature(contest: Contest, run: Run) -> Signature:
    workspace = runtime.workspace()
    folders = [workspace.run_dir(contest.name, run.id) / f"fold-{fold}" for fold in run.fold_numbers]
    found: list[tuple[str, int, int]] = []
    for folder in folders:
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            if path.is_file() and not any(part.endswith(".tmp") for part in path.parts):
                info = path.stat()
                found.append((str(path), info.st_size, info.st_mtime_ns))
    return tuple(found)
