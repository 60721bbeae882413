"""Images that are dropped on a run's page: their classes and which region mattered, at once, by ONNX Runtime in this process. The files it
reads are exported by a job, and listed here with how near they are to the networks and what int8 costs."""

import numpy as np
import pandas as pd
import streamlit as st
from PIL import Image, ImageDraw
from streamlit.runtime.uploaded_file_manager import UploadedFile

from app.runs.progress import BUSY_S, waiting_job
from app.shell import runtime
from app.ui.cards import error_card, guard
from app.ui.class_bars import probability_bars
from app.ui.colors import BAD
from app.ui.format import format_score, metric_label, plain
from app.words.text import t
from core.base.errors import PitwallError
from core.base.names import file_name
from core.contest.files import IMAGE_SUFFIXES
from core.onnx.occlusion import SHOWN_PX, Look, Region, look_at
from core.onnx.runtime import OnnxPredictor
from core.predictions.networks import ONNX_FILE, Export, Exported, list_exports, load_run_exports
from core.store.contests import Contest
from core.store.jobs import EXPORT, Job, list_jobs
from core.store.runs import Run
from core.workspace import Workspace

MAX_BYTES = 2e9
"""The most that the files of a run may take to be loaded into this process."""
MAX_CLASSES = 5
MOST_MB = 100
LEAST_FALL = 0.01
"""A probability that falls by less wherever the image is greyed names no region."""

Exports = dict[Exported, tuple[Export, ...]]
KINDS: dict[Exported, str] = {"onnx": "fp32", "int8": "int8"}


def exports_of(contest: Contest, run: Run) -> Exports:
    """The files of a run that are whole, one for each network, by kind."""
    return {how: found for how in KINDS if (found := list_exports(runtime.workspace(), contest, run, how))}


def cost_text(files: tuple[Export, ...]) -> str:
    """What int8 costs on out-of-fold rows: each score before and after, the mean over the files."""
    scores = {name: np.mean([each.facts["scores"][name] for each in files], axis=0) for name in files[0].facts["scores"]}
    return " · ".join(f"{metric_label(name)} {format_score(before)} → {format_score(after)}" for name, (before, after) in scores.items())


def drop_images(run: Run) -> list[UploadedFile]:
    """The field that takes images."""
    return st.file_uploader(
        t("predict.dropped"), type=[*IMAGE_SUFFIXES], accept_multiple_files=True, max_upload_size=MOST_MB, key=f"dropped-{run.id}"
    )


def dropped_answers(contest: Contest, run: Run, files: list[UploadedFile]) -> None:
    """What the run says of dropped images; until its networks are exported, the way to that."""
    exports = exports_of(contest, run)
    if "onnx" not in exports:
        _export_first(run, has_files=bool(files))
        return
    if sum(each.n_bytes for each in exports["onnx"]) > MAX_BYTES:
        st.info(t("predict.dropped_too_large", size=runtime.size_text(sum(each.n_bytes for each in exports["onnx"]))))
        return
    if not files:
        st.caption(t("predict.dropped_none"))
    for number, file in enumerate(files):
        with guard(), st.container(border=True, key=f"dropped-answer-{number}"):
            _answer(contest, run, file, exports["onnx"])


def _export_first(run: Run, *, has_files: bool) -> None:
    """A button that exports, and predicts what was dropped as soon as that is done."""
    job = _export_job(run)
    if job is not None and job.state in ("queued", "running"):
        st.fragment(_exporting, run_every=BUSY_S)(run)
        return
    if job is not None and job.state == "failed" and job.error:
        error_card(PitwallError.from_dict(job.error))
    st.caption(t("predict.export_why", n=len(run.results) * len(run.parts)))
    label = t("predict.export_and_predict" if has_files else "predict.export")
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


@st.cache_resource(max_entries=2, show_spinner=False)
def _networks(content: tuple[str, ...], _workspace: Workspace, _contest: Contest, _run: Run) -> tuple[tuple[OnnxPredictor, ...], ...]:
    """The networks of a run, every byte of their files verified; kept for the files `content`."""
    return load_run_exports(_workspace, _contest, _run, "onnx")


@st.cache_data(max_entries=32, show_spinner=False)
def _look(content: tuple[str, ...], image: str, _file: UploadedFile, _contest: Contest, _run: Run) -> Look:
    """What the networks `content` say of an uploaded image."""
    return look_at(_networks(content, runtime.workspace(), _contest, _run), _file.name, _file.getvalue())


def _answer(contest: Contest, run: Run, file: UploadedFile, exports: tuple[Export, ...]) -> None:
    with st.spinner(t("predict.looking")):
        look = _look(tuple(str(each.folder) for each in exports), file.file_id, file, contest, run)
    classes, region = contest.shown_classes, look.region
    order = (-look.prob).argsort(kind="stable")[:MAX_CLASSES]
    likely = [classes[place] for place in order if look.prob[place] >= 0.5] if contest.spec.is_multilabel else [classes[order[0]]]
    has_region = region.fall >= LEAST_FALL
    pictures, bars = st.columns([2, 3], vertical_alignment="center", gap="medium")
    with pictures:
        alt = t("predict.region_alt", name=file.name, label=classes[order[0]], place=_place(region)) if has_region else file.name
        st.image(heat_picture(look.image, region if has_region else None), caption=plain(file.name), width="stretch", alt=alt)
    with bars:
        prob = [float(look.prob[place]) for place in order]
        st.html(probability_bars([classes[place] for place in order], prob, true=likely, predicted=(), marks={"true": ""}))
        values = {"label": plain(classes[order[0]]), "place": _place(region), "fall": f"{100 * region.fall:.1f}"}
        st.caption(t("predict.region" if has_region else "predict.region_none", **values), help=t("predict.region_help"))


def _place(region: Region) -> str:
    """Where a region lies, in words."""
    left, top, right, bottom = region.box
    across, down = ("low" if at < 0.36 else "high" if at > 0.64 else "middle" for at in ((left + right) / 2, (top + bottom) / 2))
    return t(f"predict.place_{down}_{across}")


def heat_picture(image: Image.Image, region: Region | None) -> Image.Image:
    """An image with the region that mattered: red where greying it lets the probability fall, a frame around the strongest place."""
    scale = SHOWN_PX / max(image.size)
    picture = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    if region is None:
        return picture
    share = np.clip(region.falls / region.fall, 0, 1)
    mask = Image.fromarray((153 * share).astype(np.uint8)).resize(picture.size, Image.Resampling.BICUBIC)
    picture = Image.composite(Image.new("RGB", picture.size, BAD), picture, mask)
    corners = [side * length for side, length in zip(region.box, (*picture.size, *picture.size), strict=True)]
    draw = ImageDraw.Draw(picture)
    draw.rectangle(corners, outline="white", width=5)
    draw.rectangle(corners, outline=BAD, width=3)
    return picture


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
