"""The parts of the page Submit: a preview of the file, its checks, the form that writes it, and the list of submissions."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from app.shell import runtime
from app.shell.tables import truth_of
from app.ui import charts
from app.ui.format import direction_arrow, format_clock, plain
from app.ui.sources import digest_of
from app.ui.ways_back import ask_removal
from app.words.core_text import say
from app.words.text import t
from core.contest.table import count_classes
from core.metrics.scores import get_metric
from core.predictions.source import Source, list_sources
from core.store.blends import Submission, list_submissions
from core.store.contests import Contest
from core.submission.write import Candidate, read_submission, write_submission

N_PREVIEW = 8
MAX_COLUMNS = 60
WRITTEN = "written-submission"
"""The session key of the submission that was written last."""


def preview(candidate: Candidate) -> None:
    """The first rows of the file."""
    size = f"{len(candidate.data) / 1000:,.1f} kB"
    st.subheader(t("submit.preview_title"), anchor=False)
    note = t("submit.preview_note", rows=f"{len(candidate.form.ids):,}", columns=len(candidate.form.columns), size=size)
    st.caption(f"{note} · {t('submit.preview_first', n=min(N_PREVIEW, len(candidate.form.ids)))}")
    st.dataframe(candidate.head(N_PREVIEW).iloc[:, :MAX_COLUMNS], hide_index=True, key="submission-preview", alt=t("submit.preview_title"))


def class_balance(contest: Contest, source: Source, candidate: Candidate) -> None:
    """The share of each class in the test predictions beside its share in training."""
    st.subheader(t("charts.share_title"), anchor=False)
    n_classes = len(contest.spec.classes)
    known = truth_of(contest)
    truth = known.labels[known.kept]
    if contest.spec.is_multilabel:
        st.caption(label_counts(truth, candidate.predicted, source.thresholds))
    in_train, in_test = (count_classes(labels, n_classes, multilabel=contest.spec.is_multilabel) for labels in (truth, candidate.predicted))
    chart = charts.class_shares(contest.shown_classes, in_train.tolist(), in_test.tolist(), (len(truth), len(candidate.predicted)))
    charts.draw(chart, key="class-shares", alt=t("charts.share_title"))
    if n_classes > charts.MAX_CLASSES:
        st.caption(t("submit.share_some", n=charts.MAX_CLASSES, total=n_classes))


def label_counts(truth: NDArray[np.integer], predicted: NDArray[np.integer], thresholds: Sequence[float]) -> str:
    """How many labels a row has, and how many rows have none, beside training; and the thresholds that made them so. 0 or 1 (n, n_classes)."""
    count = {part: labels.sum(axis=1, dtype=np.int64) for part, labels in (("test", predicted), ("train", truth))}
    mean = {part: f"{n_labels.mean():.2f}" for part, n_labels in count.items()}
    empty = {part: f"{100 * (n_labels == 0).mean():.1f}" for part, n_labels in count.items()}
    cut = t("submit.at_half") if not thresholds else t("submit.at_own", low=f"{min(thresholds):.2f}", high=f"{max(thresholds):.2f}")
    return " · ".join([t("submit.labels_per_row", **mean), t("submit.rows_without", **empty), cut])


def checklist(contest: Contest, candidate: Candidate) -> None:
    """The checks of the file, each with its result."""
    st.subheader(t("submit.checks_title"), anchor=False)
    n_failed = sum(not check.is_ok for check in candidate.checks)
    n_doubtful = sum(check.is_doubtful for check in candidate.checks)
    if contest.spec.sample_submission:
        st.caption(t("submit.checks_sample"))
    else:
        form = "labels" if contest.spec.is_multilabel and contest.spec.submission == "label" else contest.spec.submission
        st.caption(t("submit.checks_no_sample", format=t(f"submit.format_{form}")))
    with st.container(border=True, gap="small"):
        for check in candidate.checks:
            passed = ":orange[:material/warning:]" if check.is_doubtful else ":green[:material/check_circle:]"
            icon = passed if check.is_ok else ":red[:material/cancel:]"
            st.markdown(f"{icon} **{t(f'submit.check_{check.key}')}**  :gray[{plain(say(check.detail))}]")
    if n_failed:
        st.error(t("submit.checks_failed", n=n_failed), icon=":material/block:")
    elif n_doubtful:
        st.warning(t("submit.checks_doubtful", n=n_doubtful, total=len(candidate.checks)), icon=":material/warning:")
    else:
        st.success(t("submit.checks_ok", n=len(candidate.checks)), icon=":material/check:")


def write_form(contest: Contest, source: Source, candidate: Candidate) -> None:
    """The form that writes the file; a submission with equal bytes is named."""
    known = list_submissions(runtime.workspace().store, contest.id)
    twin = next((item for item in known if item.sha256 == digest_of(source)), None)
    with st.form(f"write-{source.ref}", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input(t("submit.name"), source.name, max_chars=60)
        writes = st.form_submit_button(t("submit.write"), type="primary", icon=":material/outbox:", disabled=not candidate.is_valid)
    if twin is not None:
        st.caption(t("submit.again", ref=twin.ref))
    if writes:
        submission = write_submission(source, name=name.strip())
        st.session_state[WRITTEN] = submission.id
        told = "submit.written" if submission.id not in [item.id for item in known] else "submit.written_before"
        st.toast(t(told, filename=plain(submission.filename), ref=submission.ref), icon=":material/check:")
        st.rerun()


def submission_table(contest: Contest) -> None:
    """The table of submissions with their scores, and the lineage of the selected one."""
    submissions = list_submissions(runtime.workspace().store, contest.id)
    st.subheader(t("submit.list_title"), anchor=False)
    if not submissions:
        st.caption(t("submit.list_none"))
        return
    arrow, metric = direction_arrow(contest.spec.metric), get_metric(contest.spec.metric)
    scores = {source.ref: source.score(metric) for source in list_sources(runtime.workspace(), contest)}  # those that are still there
    table = pd.DataFrame(
        {
            "ref": item.ref,
            "name": item.name,
            "source": f"{item.lineage.name} ({item.source})",
            "cv": scores.get(item.source),
            "public": item.hidden_scores and item.hidden_scores.public,
            "private": item.hidden_scores and item.hidden_scores.private,
            "rows": item.n_rows,
            "sha": item.sha256[:12],
            "file": item.filename,
            "written": format_clock(item.created_at),
        }
        for item in submissions
    )
    table = table.astype(dict.fromkeys(("cv", "public", "private"), "Float64"))
    if not any(item.hidden_scores for item in submissions):
        table = table.drop(columns=["public", "private"])
    newest = st.session_state.get(WRITTEN)
    chosen = next((place for place, item in enumerate(submissions) if item.id == newest), 0)
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    score = {
        name: number(t(f"submit.column_{name}", arrow=arrow), format="%.4f", help=help_text, width="small")
        for name, help_text in (("cv", None), ("public", t("submit.column_hidden_help")), ("private", t("submit.column_hidden_help")))
    }
    event = st.dataframe(
        table,
        hide_index=True,
        key="submissions-" + "-".join(item.ref for item in submissions),
        on_select="rerun",
        selection_mode="multi-row",
        selection_default={"selection": {"rows": [chosen]}},
        placeholder="–",
        alt=t("submit.list_alt"),
        column_config={
            "ref": text(t("submit.column_ref"), width="small", pinned=True),
            "name": t("submit.column_name"),
            "source": t("submit.column_source"),
            **score,
            "rows": number(t("submit.column_rows"), width="small"),
            "sha": text(t("submit.column_sha"), width="small"),
            "file": t("submit.column_file"),
            "written": text(t("submit.column_written"), width="small"),
        },
    )
    st.caption(t("submit.list_hint"))
    ticked = [submissions[row] for row in event.selection.rows if row < len(submissions)]
    if ticked and st.button(t("trash.delete_some", n=len(ticked)), icon=":material/delete:", key="delete-submissions"):
        ask_removal({"submission": [item.id for item in ticked]})
    lineage(ticked[0] if ticked else submissions[chosen])


def lineage(submission: Submission) -> None:
    """The lineage of a submission, and a download of its bytes."""
    facts = submission.lineage
    with st.container(border=True):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(f"**{t('submit.lineage_title', ref=submission.ref)}**", width="content")
            st.download_button(
                t("submit.download", filename=submission.filename),
                lambda: read_submission(runtime.workspace(), submission),
                submission.filename,
                "text/csv",
                on_click="ignore",
                type="primary",
                icon=":material/download:",
                key=f"download-{submission.ref}",
            )
        chain = [
            f"{t('submit.lineage_data')} `#{(facts.rows or facts.contest)[:12]}`",
            f"{t('submit.lineage_folds')} `#{facts.folds[:12]}`",
            f"{t('submit.lineage_source')} {plain(facts.name)} `{facts.source}` `#{facts.fingerprint[:12]}`",
            f"{t('submit.lineage_file')} `sha256 {submission.sha256}`",
        ]
        st.markdown("  →  ".join(chain))
        if facts.scored_folds is not None:
            scored = ", ".join(map(str, facts.scored_folds))
            st.warning(t("members.lineage_restricted", folds=scored, n=facts.n_folds), icon=":material/filter_alt:")
        for on in {on.ref: on for member in facts.members if (on := member.pretrained_on)}.values():
            key = "submit.lineage_pretrained_test" if on.saw_test else "submit.lineage_pretrained"
            st.caption(t(key, name=plain(on.name), ref=on.ref, hash=on.fingerprint[:12]))
        members = pd.DataFrame(
            [
                {
                    "run": f"{member.name} ({member.run})",
                    "weight": member.weight,
                    "recipe": f"#{member.recipe[:12]}" if member.recipe else t("runs.imported"),
                    "licence": member.licence,
                    "folds": [f"{fold} #{value[:8]}" for fold, value in member.folds.items()],
                }
                for member in facts.members
            ]
        )
        st.dataframe(
            members,
            hide_index=True,
            key=f"lineage-{submission.ref}",
            alt=t("submit.lineage_title", ref=submission.ref),
            column_config={
                "run": t("submit.lineage_run"),
                "weight": st.column_config.NumberColumn(t("submit.lineage_weight"), format="%.4f", width="small"),
                "recipe": t("submit.lineage_recipe"),
                "licence": st.column_config.TextColumn(t("submit.lineage_licence"), help=t("submit.lineage_licence_help")),
                "folds": st.column_config.ListColumn(t("submit.lineage_fold_hashes"), width="large"),
            },
        )
