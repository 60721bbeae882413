"""The networks of a run as ONNX files, on its page: the way to the first export, how near the files are to the networks, what int8 costs."""

import numpy as np
import pandas as pd
import streamlit as st

from app.runs.progress import BUSY_S
from app.shell import runtime
from app.ui.cards import error_card, guard
from app.ui.format import format_score, metric_label
from app.ui.jobs import waiting_job
from app.words.text import t
from core.base.errors import PitwallError
from core.base.names import file_name
from core.predictions.networks import ONNX_FILE, Export, Exported, list_exports
from core.store.contests import Contest
from core.store.jobs import EXPORT, Job, list_jobs
from core.store.runs import Run

MAX_BYTES = 2e9
"""The most that the files of a run may take to be loaded into this process."""

Exports = dict[Exported, tuple[Export, ...]]
KINDS: dict[Exported, str] = {"onnx": "fp32", "int8": "int8"}


def exports_of(contest: Contest, run: Run) -> Exports:
    """The files of a run that are whole, one for each network, by kind."""
    return {how: found for how in KINDS if (found := list_exports(runtime.workspace(), contest, run, how))}


def cost_text(files: tuple[Export, ...]) -> str:
    """What int8 costs on out-of-fold rows: each score before and after, the mean over the files."""
    scores = {name: np.mean([each.facts["scores"][name] for each in files], axis=0) for name in files[0].facts["scores"]}
    return " · ".join(f"{metric_label(name)} {format_score(before)} → {format_score(after)}" for name, (before, after) in scores.items())


def are_too_large(files: tuple[Export, ...]) -> bool:
    """Whether files take too much to be loaded beside the page."""
    return sum(each.n_bytes for each in files) > MAX_BYTES


def export_first(run: Run, label: str, why: str) -> None:
    """A button that exports; the page predicts with the files as soon as that is done. `why` says what for."""
    job = _export_job(run)
    if job is not None and job.state in ("queued", "running"):
        st.fragment(_exporting, run_every=BUSY_S)(run)
        return
    if job is not None and job.state == "failed" and job.error:
        error_card(PitwallError.from_dict(job.error))
    st.caption(why)
    _export_button(run, label, int8=False)


def _export_button(run: Run, label: str, *, int8: bool) -> None:
    icon = ":material/deployed_code:"
    if st.button(label, icon=icon, type="secondary" if int8 else "primary", disabled=runtime.is_read_only(), key=f"export-{int8}-{run.id}"):
        with guard():
            runtime.steer(lambda: runtime.launch.launch_export(runtime.workspace(), run, int8=int8))
            st.rerun()


def _export_job(run: Run) -> Job | None:
    """The newest export of a run."""
    jobs = [job for job in list_jobs(runtime.workspace().store, run_id=run.id) if job.kind == EXPORT]
    return max(jobs, key=lambda job: job.id, default=None)


def _exporting(run: Run) -> None:
    job = _export_job(run)
    if job is None or job.state not in ("queued", "running"):
        st.rerun()  # what it exported predicts now
    waiting_job(job)


def export_files(contest: Contest, run: Run) -> None:
    """The exported files: how near each is to its network, what int8 costs, a download each, and the int8 version where there is none."""
    exports = exports_of(contest, run)
    if not exports:
        return
    with st.expander(t("predict.exports", n=sum(map(len, exports.values()))), icon=":material/deployed_code:"):
        rows = [
            {
                "fold": each.fold,
                "kind": KINDS[how],
                "size": runtime.size_text(each.n_bytes),
                "same": 100 * each.facts["argmax_agreement"],
                "measured": t("predict.export_differs", n=f"{max(each.facts['differences']):.1e}") if how == "onnx" else cost_text((each,)),
            }
            for how, files in exports.items()
            for each in files
        ]
        number, text = st.column_config.NumberColumn, st.column_config.TextColumn
        st.dataframe(
            pd.DataFrame(rows),
            hide_index=True,
            key=f"exports-{run.id}",
            alt=t("predict.exports", n=len(rows)),
            column_config={
                "fold": number(t("runs.fold_number"), width="small"),
                "kind": text(t("predict.export_kind"), width="small"),
                "size": text(t("checkpoints.size"), width="small"),
                "same": number(t("predict.export_same"), format="%.2f %%"),
                "measured": text(t("predict.export_measured"), help=t("predict.export_measured_help")),
            },
        )
        if any(each.facts["weight_bits"] < 8 for each in exports.get("int8", ())):
            st.caption(t("predict.int8_narrow"))
        with st.container(horizontal=True):
            for how, files in exports.items():
                for place, each in enumerate(files):
                    name = file_name(run.name, f"fold-{each.fold}", *(["int8"] if how == "int8" else []), suffix=".onnx")
                    data = (each.folder / ONNX_FILE).read_bytes
                    label = t("predict.export_download", fold=each.fold, kind=KINDS[how])
                    st.download_button(label, data, name, on_click="ignore", icon=":material/download:", key=f"onnx-{how}-{place}")
        if "int8" not in exports:
            job = _export_job(run)
            if job is not None and job.state in ("queued", "running"):
                st.fragment(_exporting, run_every=BUSY_S)(run)
            else:
                st.caption(t("predict.int8_why"))
                _export_button(run, t("predict.int8_make"), int8=True)
