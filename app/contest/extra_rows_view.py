"""Rows beside a contest's own, on the page Data: which there are, with their classes; adding a file; augmented rows whose class left their source's."""

import tempfile
from pathlib import Path

import pandas as pd
import streamlit as st

from app.shell import runtime
from app.ui.cards import guard, section
from app.ui.format import plain
from app.words.text import t
from core.base.files import keep_upload, typed_path
from core.contest.extra_rows import SOURCE, ExtraRows, add_rows, count_labels, leave_out, list_rows
from core.contest.uploads import TEMPORARY
from core.predictions.augmented_rows import CheckedRows, check_rows
from core.predictions.networks import load_text_predictors
from core.store.contests import Contest
from core.store.runs import list_runs

CHECKED_KEY = "rows-checked"
MOST_MB, MOST_CLASSES = 500, 8


def extra_rows(contest: Contest) -> None:
    """Nothing for contests that take no such rows: of images, or with several labels."""
    if contest.spec.modality != "text" or contest.spec.is_multilabel:
        return
    section(t("data.extra"), t("data.extra_note"))
    with guard():
        sets = list_rows(runtime.workspace(), contest)
        if sets:
            _listed(contest, sets)
        with st.popover(t("data.extra_add"), icon=":material/playlist_add:", disabled=runtime.is_read_only()):
            _add(contest)
        augmented = [rows for rows in sets if rows.kind == "augmented" and rows.made_for == contest.fingerprint]
        if augmented:
            _check(contest, augmented)


def _listed(contest: Contest, sets: tuple[ExtraRows, ...]) -> None:
    """The sets, and how many rows of each class they have beside the contest's own."""
    stale = [rows.name for rows in sets if rows.made_for != contest.fingerprint]
    table = {
        t("data.extra_name"): [plain(rows.name) for rows in sets],
        t("data.extra_kind"): [t(f"data.extra_{rows.kind}") for rows in sets],
        t("data.extra_rows"): [f"{rows.n_rows:,}" for rows in sets],
        t("data.extra_weight"): [f"{rows.weight:g}" for rows in sets],
        t("data.extra_origin"): [plain(rows.origin) for rows in sets],
    }
    st.table(table, border="horizontal", hide_index=True, alt=t("data.extra"))
    if stale:
        st.caption(t("data.extra_stale", names=plain(", ".join(stale))))
    counts = {rows.name: count_labels(runtime.workspace(), contest, rows) for rows in sets if rows.name not in stale}
    if counts:
        first = next(iter(counts.values()))
        frame = pd.DataFrame({t("data.chart_class"): contest.shown_classes, t("data.extra_own"): [own for own, _ in first.values()]})
        for name, of_set in counts.items():
            frame[name] = [more for _, more in of_set.values()]
        st.dataframe(frame, hide_index=True, height="content" if len(frame) <= MOST_CLASSES else 320, alt=t("data.extra_classes"))


def _add(contest: Contest) -> None:
    """A file, by upload or by its path on this machine."""
    upload = st.file_uploader(t("data.extra_file"), type=["csv", "tsv"], max_upload_size=MOST_MB, key=f"rows-upload-{contest.id}")
    path = st.text_input(t("data.extra_path"), key=f"rows-path-{contest.id}") if upload is None else ""
    kind = st.segmented_control(
        t("data.extra_kind"),
        ("augmented", "extra"),
        default="augmented",
        required=True,
        format_func=lambda name: t(f"data.extra_{name}"),
        key=f"rows-kind-{contest.id}",
    )
    column = source = ""
    if kind == "augmented":
        source = st.text_input(t("data.extra_source"), SOURCE, key=f"rows-source-{contest.id}")
    else:
        column = st.text_input(t("data.extra_label"), contest.spec.label_column, key=f"rows-label-{contest.id}")
    name = st.text_input(t("data.extra_name"), placeholder=t("data.extra_name_file"), key=f"rows-name-{contest.id}")
    origin = st.text_input(t("data.extra_origin"), key=f"rows-origin-{contest.id}")
    weight = st.number_input(t("data.extra_weight"), 0.01, 100.0, 1.0, 0.1, key=f"rows-weight-{contest.id}")
    is_ready = upload is not None or bool(path and path.strip())
    if st.button(t("data.extra_save"), type="primary", icon=":material/check:", disabled=not is_ready, key="rows-add"):
        home = runtime.workspace().uploads_dir
        home.mkdir(parents=True, exist_ok=True)
        with guard(), tempfile.TemporaryDirectory(dir=home, prefix=TEMPORARY[0]) as folder:
            added = add_rows(
                runtime.workspace(),
                contest,
                keep_upload(Path(folder), upload.name, upload) if upload is not None else typed_path(path or ""),
                kind=kind,
                name=name or "",
                origin=origin or "",
                weight=weight,
                source_column=source or SOURCE,
                label_column=column or "",
            )
            st.toast(t("data.extra_added", n=added.n_rows, name=plain(added.name)), icon=":material/check:")
            st.rerun()


def _check(contest: Contest, sets: list[ExtraRows]) -> None:
    """Predict augmented rows by a run, and offer a set without those of another class, or with those of them that are ticked."""
    runs = {run.ref: run for run in list_runs(runtime.workspace().store, contest.id) if run.results and not run.is_imported}
    box = st.expander(t("data.extra_check"), icon=":material/rule:", key=f"rows-check-{contest.id}", on_change="rerun")
    if not box.open:
        return
    with box, guard():
        st.caption(t("data.extra_check_note"))
        if not runs:
            st.caption(t("data.extra_no_run"))
            return
        rows = st.selectbox(t("data.extra"), sets, format_func=lambda one: one.name, key=f"rows-check-set-{contest.id}", required=True)
        ref = st.selectbox(
            t("data.extra_run"),
            list(runs),
            format_func=lambda one: f"{one} · {runs[one].name}",
            key=f"rows-check-run-{contest.id}",
            required=True,
        )
        if st.button(t("data.extra_check_now"), icon=":material/online_prediction:", key="rows-check-now"):
            with st.spinner(t("data.extra_checking")):
                networks = load_text_predictors(runtime.workspace(), contest, runs[ref])
                of_fold = {result.fold: each for result, each in zip(runs[ref].results, networks, strict=True)}
                found = check_rows(runtime.workspace(), contest, runs[ref], rows, lambda result: of_fold[result.fold])
            st.session_state[CHECKED_KEY] = (rows, ref, found)
        checked: tuple[ExtraRows, str, CheckedRows] | None = st.session_state.get(CHECKED_KEY)
        if checked is not None and checked[:2] == (rows, ref):
            _mismatches(contest, rows, checked[2])


def _mismatches(contest: Contest, rows: ExtraRows, found: CheckedRows) -> None:
    st.markdown(t("data.extra_mismatches", n=f"{len(found.mismatches):,}", of=f"{found.n_rows:,}"))
    if found.n_unknown:
        st.caption(t("data.extra_unknown", n=found.n_unknown))
    if not found.mismatches:
        return
    shown, take = contest.shown_classes, t("data.extra_take")
    frame = pd.DataFrame(
        {
            take: [False] * len(found.mismatches),
            t("data.extra_class"): [shown[each.label] for each in found.mismatches],
            t("data.extra_predicted"): [shown[each.predicted] for each in found.mismatches],
            t("data.extra_probability"): [each.probability for each in found.mismatches],
            t("data.extra_text"): [each.text for each in found.mismatches],
            t("data.extra_source_text"): [each.source_text for each in found.mismatches],
            t("data.extra_source_id"): [each.source for each in found.mismatches],
        }
    )
    edited = st.data_editor(
        frame,
        hide_index=True,
        disabled=[name for name in frame.columns if name != take],
        column_config={t("data.extra_probability"): st.column_config.NumberColumn(format="%.2f")},
        key=f"rows-mismatches-{rows.fingerprint[:8]}",
        alt=t("data.extra_check"),
    )
    out = [each.place for each, is_taken in zip(found.mismatches, edited[take].tolist(), strict=True) if not is_taken]
    name = st.text_input(t("data.extra_name"), f"{rows.name}-checked", key=f"rows-checked-name-{rows.fingerprint[:8]}")
    label = t("data.extra_leave_out", n=len(out))
    if st.button(label, icon=":material/playlist_remove:", disabled=not out or runtime.is_read_only(), key="rows-leave-out"):
        kept = leave_out(runtime.workspace(), contest, rows, out, name or "")
        st.toast(t("data.extra_added", n=kept.n_rows, name=plain(kept.name)), icon=":material/check:")
        st.rerun()
