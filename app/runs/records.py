"""What a run's page says beside its scores: the checkpoints, what happened while it trained, and its trackers (a button for TensorBoard,
links to the others, and the ones that stopped)."""

from urllib.parse import quote

import pandas as pd
import streamlit as st

from app.shell import runtime
from app.ui.cards import guard
from app.ui.format import format_clock, metric_label, plain
from app.words.core_text import say
from app.words.text import t
from core.analysis.kept import Kept, list_kept
from core.store.contests import Contest
from core.store.runs import Run
from core.tracking.board import board_command
from core.tracking.tracker import FoldNotes, Note, notes_of_run

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


def disturbances(run: Run) -> None:
    """What happened while a run trained that another training of it may do otherwise: memory that ran out, kills, threads. Nothing where nothing did."""
    if run.imported or run.seeds:  # of several seeds each says it on its own page
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
        counts = {n for _epoch, _step, n in result.facts.get("thread_changes", [])}
        if counts:
            lines.append(t("checkpoints.threads", fold=result.fold, low=min(counts), high=max(counts | {result.facts["threads"]})))
        if result.facts.get("said"):
            lines.append(t("checkpoints.said", fold=result.fold, said=plain(say(result.facts["said"]))))
        for name in result.facts.get("quarantined", []):
            lines.append(t("checkpoints.set_aside", fold=result.fold, name=plain(name)))
    if lines:
        with st.expander(t("checkpoints.disturbances", n=len(lines)), icon=":material/history:"):
            st.markdown("\n".join(f"- {line}" for line in lines))


@st.cache_data(max_entries=20, show_spinner=False)
def _checked(signature: Signature, _run: Run) -> tuple[Kept, ...]:
    """The checkpoints with their hashes compared; computed again when a file changes or the cache is cleared."""
    return list_kept(runtime.workspace(), _run)


def _signature(contest: Contest, run: Run) -> Signature:
    folder = runtime.workspace().run_dir(contest.folder, run.id)
    paths = [path for fold in run.fold_numbers for path in sorted((folder / f"fold-{fold}").rglob("*")) if path.is_file()]
    kept = {path: path.stat() for path in paths if not any(part.endswith(".tmp") for part in path.parts)}
    return tuple((str(path), info.st_size, info.st_mtime_ns) for path, info in kept.items())


def tracking_button(contest: Contest, run: Run) -> None:
    """A popover about the trackers of a run; nothing for an imported run."""
    if run.imported:
        return
    with st.popover(t("tracking.button"), icon=":material/monitoring:"):
        st.caption(t("tracking.about"))
        with guard():
            _board(contest, run)
        st.caption(t("tracking.by_hand"))
        st.code(board_command(runtime.workspace()), language="bash", wrap_lines=True)
        _others(_notes(run))


def tracking_trouble(run: Run) -> None:
    """A line for each tracker that stopped, with the folds it did not record."""
    failed: dict[tuple[str, str, str], list[str]] = {}
    for fold in _notes(run):
        for note in fold.notes:
            if note.state == "failed":
                failed.setdefault((note.title, note.problem, note.fix), []).append(str(fold.fold))
    for (title, problem, fix), folds in failed.items():
        said = t("tracking.failed", folds=", ".join(folds), problem=plain(say(problem).rstrip(".")))
        todo = f" {t('tracking.fix', fix=plain(say(fix)))}" if fix else ""
        st.markdown(f":orange-badge[:material/cloud_off: {plain(title)}] {said}{todo}")


def _board(contest: Contest, run: Run) -> None:
    board = runtime.board()
    if board is None:
        if st.button(t("tracking.start"), type="primary", icon=":material/play_arrow:", key="board-start"):
            with st.spinner(t("tracking.starting")):
                runtime.start_board()
            st.rerun()
        return
    names = "|".join(f"{part.name}-{part.ref}" for part in run.parts)
    only_this = quote(f"^{contest.name}/({names})/" if run.seeds else f"^{contest.name}/{names}/", safe="")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.link_button(t("tracking.open"), f"{board.url}?runFilter={only_this}#timeseries", type="primary", icon=":material/open_in_new:")
        if st.button(t("tracking.stop"), type="tertiary", key="board-stop"):
            runtime.stop_board()
            st.rerun()
    st.caption(t("tracking.running_at", url=board.url.rstrip("/")))


def _others(folds: tuple[FoldNotes, ...]) -> None:
    """Links to the run in the trackers of its recipe, and the commands that open them."""
    found: dict[str, list[tuple[int, Note]]] = {}
    for fold in folds:
        for note in fold.notes:
            if note.place and note.tracker != "tensorboard":
                found.setdefault(note.title, []).append((fold.fold, note))
    for title, notes in found.items():
        links = [
            f"[{t('tracking.fold_link', fold=number)}]({note.place})" if note.place.startswith(("http:", "https:")) else str(number)
            for number, note in notes
        ]
        st.markdown(t("tracking.recorded", tracker=plain(title), folds=", ".join(links)))
        commands = list(dict.fromkeys(note.command for _, note in notes if note.command))
        if commands:
            st.caption(t("tracking.look"))
            st.code("\n".join(commands), language="bash", wrap_lines=True)


def _notes(run: Run) -> tuple[FoldNotes, ...]:
    return tuple(note for part in run.parts for note in notes_of_run(runtime.workspace(), part.id, part.fold_numbers))
