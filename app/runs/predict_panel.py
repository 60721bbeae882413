"""Predict on a run's page: a text, dropped images, files, or the test set, by the networks that its folds have kept."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from app.runs.dropped import drop_images, dropped_answers
from app.runs.exports import cost_text, export_files, exports_of
from app.runs.progress import BUSY_S
from app.runs.typed import answers_at_once, offer_export, typed_answer
from app.shell import runtime
from app.ui.cards import error_card, guard
from app.ui.class_bars import probability_bars
from app.ui.format import plain, state_label
from app.ui.jobs import waiting_job
from app.words.text import t
from core.base.errors import PitwallError
from core.base.names import file_name
from core.contest.files import IMAGE_SUFFIXES, TABLE_SUFFIXES
from core.predictions.again import Answer, read_answer
from core.predictions.networks import Runtime, is_tfidf
from core.store.contests import Contest
from core.store.jobs import PREDICT, PREDICT_NOW, Job, list_jobs
from core.store.runs import Run

MAX_ANSWERS, MAX_BARS, MAX_CLASSES = 5, 4, 5


def predict_panel(contest: Contest, run: Run) -> None:
    """What to predict, and what was predicted last."""
    if run.imported and not run.imported.has_network:
        st.caption(t("predict.imported"))
        return
    if not run.results:
        st.caption(t("predict.no_network"))
        return
    left, right = st.columns([2, 3], gap="medium")
    with left:
        kind, files, text = _form(contest, run)
    with right:
        if kind == "image":
            dropped_answers(contest, run, files)
            return
        if kind == "text":
            if answers_at_once(contest, run):
                typed_answer(contest, run, text)
                return
            offer_export(contest, run, has_text=bool(text.strip()))
        is_busy = any(job.state in ("queued", "running") for job in _jobs(run))
        st.fragment(_answers, run_every=BUSY_S if is_busy else None)(contest, run, is_busy)


def _form(contest: Contest, run: Run) -> tuple[str, list[UploadedFile], str]:
    """What is to be predicted; the images that were dropped and the text that was typed to be predicted in this process."""
    kinds = [contest.spec.modality, "files", *(["test"] if contest.n_test else [])]
    kind = st.segmented_control(
        t("predict.what"),
        kinds,
        default=kinds[0],
        required=True,
        format_func=lambda name: t(f"predict.what_{name}"),
        key=f"predict-what-{contest.id}",
        label_visibility="collapsed",
    )
    if kind == "image":
        dropped = drop_images(run)
        st.caption(t("predict.by", n=len(run.results)))
        export_files(contest, run)
        return kind, dropped, ""
    text, files, at_once = "", list[UploadedFile](), True
    how: Runtime = "torch"
    if kind == "text":
        text = st.text_area(t("predict.text"), key=f"predict-text-{run.id}", placeholder=t("predict.text_hint"), height=120)
        if run.own_recipe is not None and run.own_recipe.input.composes:
            key = "predict.text_in_template" if run.own_recipe.input.only_column else "predict.text_composed"
            st.caption(t(key, template=plain(run.own_recipe.input.full_template)))
        if answers_at_once(contest, run):
            st.caption(t("predict.by", n=len(run.results) * len(run.parts)))
            export_files(contest, run)
            return kind, [], text
    elif kind == "files":
        suffixes = IMAGE_SUFFIXES if contest.spec.modality == "image" else (*TABLE_SUFFIXES, ".parquet")
        files = st.file_uploader(
            t(f"predict.files_{contest.spec.modality}"), type=[*suffixes], accept_multiple_files=True, key=f"predict-files-{run.id}"
        )
    else:
        st.caption(t("predict.test_note", n=f"{contest.n_test:,}"))
        how = "torch" if is_tfidf(run) else _runtime(contest, run)
        if how == "torch":
            at_once = st.toggle(t("predict.at_once"), key=f"predict-at-once-{run.id}", help=t("predict.at_once_help"))
    is_empty = kind != "test" and not (text.strip() or files)
    shown: Any = "secondary" if kind == "text" else "primary"
    if st.button(t("predict.button"), type=shown, icon=":material/online_prediction:", disabled=is_empty or runtime.is_read_only()):
        with guard():
            given = [(file.name, file) for file in files]
            launch = runtime.launch.launch_prediction
            runtime.steer(lambda: launch(runtime.workspace(), run, text=text, files=given, at_once=at_once, runtime=how))
            st.rerun()
    st.caption(t("predict.by", n=len(run.results) * len(run.parts)))
    return kind, [], text


def _runtime(contest: Contest, run: Run) -> Runtime:
    """What predicts the test set; int8 only where its loss has been measured."""
    exports = exports_of(contest, run)
    runtimes: list[Runtime] = ["torch", "onnx", "int8"] if "int8" in exports else ["torch", "onnx"]
    how: Any = st.segmented_control(
        t("predict.runtime"),
        runtimes,
        default="torch",
        required=True,
        format_func=lambda name: t(f"predict.runtime_{name}"),
        key=f"predict-runtime-{run.id}",
    )
    if how == "onnx":
        st.caption(t("predict.runtime_onnx_note" if "onnx" in exports else "predict.runtime_onnx_first"))
    elif how == "int8":
        st.caption(t("predict.runtime_int8_note", cost=cost_text(exports["int8"]), n=sum(each.facts["n_rows"] for each in exports["int8"])))
    return how


def _jobs(run: Run) -> list[Job]:
    """The run's predictions, the newest first."""
    jobs = [
        job
        for job in list_jobs(runtime.workspace().store, run_id=run.id)
        if job.kind in (PREDICT, PREDICT_NOW) and not {"views", "probe"} & {*job.payload}
    ]
    return sorted(jobs, key=lambda job: job.id, reverse=True)[:MAX_ANSWERS]


def _answers(contest: Contest, run: Run, was_busy: bool) -> None:
    jobs = _jobs(run)
    if was_busy and all(job.state not in ("queued", "running") for job in jobs):
        st.rerun()  # the panel around it stops polling
    if not jobs:
        st.caption(t("predict.none"))
    for number, job in enumerate(jobs):
        with st.expander(f"{plain(_title(job))} · {state_label(job.state)}", expanded=number == 0, key=f"answer-{job.id}"):
            if job.state == "done":
                with guard():
                    _answer(contest, run, job)
            elif job.state == "failed" and job.error:
                error_card(PitwallError.from_dict(job.error))
            elif job.state in ("queued", "running"):
                waiting_job(job)


def _title(job: Job) -> str:
    if "text" in job.payload:
        return " ".join(job.payload["text"].split())[:60]
    if "files" in job.payload:
        names = [path.rpartition("/")[2] for path in job.payload["files"]]
        return names[0] if len(names) == 1 else t("predict.files_more", first=names[0], n=len(names) - 1)
    return t("predict.what_test")


@st.cache_data(max_entries=20, show_spinner=False)
def _read(folder: str, _workspace: object) -> Answer:
    return read_answer(runtime.workspace().absolute(folder))


def _answer(contest: Contest, run: Run, job: Job) -> None:
    workspace, classes = runtime.workspace(), contest.shown_classes
    folder = workspace.relative(workspace.answer_dir(contest.folder, run.id, job.id, job.token))
    answer = _read(folder, workspace)
    if answer.largest_change is not None:
        key = "predict.equal" if answer.largest_change == 0 else "predict.differs"
        st.caption(t(key, n=f"{len(answer.ids):,}", change=f"{answer.largest_change:.1e}"))
    if answer.n_seen:
        st.warning(t("predict.seen", n=answer.n_seen, of=len(answer.ids)), icon=":material/visibility:")
    given: list[str] = job.payload.get("files", [])
    order = (-answer.prob).argsort(axis=1, kind="stable")[:, :MAX_CLASSES]
    if len(answer.ids) > MAX_BARS:
        places = np.arange(len(order))
        ranked = {f"#{rank + 1}": [classes[place] for place in order[:, rank]] for rank in range(min(2, order.shape[1]))}
        table = pd.DataFrame({"id": answer.ids, **ranked, "prob": answer.prob[places, order[:, 0]]})
        column = st.column_config.ProgressColumn(t("predict.probability"), min_value=0, max_value=1, format="%.4f")
        st.dataframe(table, hide_index=True, height=320, key=f"answers-{job.id}", column_config={"prob": column})
    for number, name in enumerate(answer.ids if len(answer.ids) <= MAX_BARS else ()):
        picture, bars = st.columns([1, 4], vertical_alignment="center") if contest.spec.modality == "image" else (None, st.container())
        if picture is not None and len(given) == len(answer.ids):
            picture.image(workspace.absolute(given[number]), caption=plain(name))
        prob = {classes[place]: float(answer.prob[number, place]) for place in order[number]}
        likely = [name for name in prob if prob[name] >= 0.5] if contest.spec.is_multilabel else [*prob][:1]
        bars.html(probability_bars([*prob], [*prob.values()], true=likely, predicted=(), marks={"true": ""}))
    st.download_button(
        t("predict.download"),
        lambda: answer.to_table(contest.spec.classes).to_csv(index=False).encode("utf-8-sig"),
        file_name(run.name, str(job.id), suffix=".csv"),
        "text/csv",
        on_click="ignore",
        icon=":material/download:",
        key=f"download-{job.id}",
    )
