"""Images that are dropped on a run's page: their classes and which region mattered, at once, by ONNX Runtime in this process, from files that
a job has exported."""

import numpy as np
import streamlit as st
from PIL import Image, ImageDraw
from streamlit.runtime.uploaded_file_manager import UploadedFile

from app.runs.exports import are_too_large, export_first, exports_of
from app.shell import runtime
from app.ui.cards import guard
from app.ui.class_bars import probability_bars
from app.ui.colors import BAD
from app.ui.format import plain
from app.words.text import t
from core.contest.files import IMAGE_SUFFIXES
from core.onnx.occlusion import SHOWN_PX, Look, Region, look_at
from core.onnx.runtime import OnnxPredictor
from core.predictions.networks import Export, load_run_exports
from core.store.contests import Contest
from core.store.runs import Run
from core.workspace import Workspace

MAX_CLASSES = 5
MOST_MB = 100
LEAST_FALL = 0.01
"""A probability that falls by less wherever the image is greyed names no region."""


def drop_images(run: Run) -> list[UploadedFile]:
    """The field that takes images."""
    return st.file_uploader(
        t("predict.dropped"), type=[*IMAGE_SUFFIXES], accept_multiple_files=True, max_upload_size=MOST_MB, key=f"dropped-{run.id}"
    )


def dropped_answers(contest: Contest, run: Run, files: list[UploadedFile]) -> None:
    """What the run says of dropped images; until its networks are exported, the way to that."""
    exports = exports_of(contest, run)
    if "onnx" not in exports:
        label = t("predict.export_and_predict" if files else "predict.export")
        export_first(run, label, t("predict.export_why", n=len(run.results) * len(run.parts)))
        return
    if are_too_large(exports["onnx"]):
        st.info(t("predict.dropped_too_large", size=runtime.size_text(sum(each.n_bytes for each in exports["onnx"]))))
        return
    if not files:
        st.caption(t("predict.dropped_none"))
    for number, file in enumerate(files):
        with guard(), st.container(border=True, key=f"dropped-answer-{number}"):
            _answer(contest, run, file, exports["onnx"])


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
