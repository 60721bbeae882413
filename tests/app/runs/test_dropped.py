"""Images dropped on a run's page: exported networks answer at once, and until then the page offers the export."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from app.runs.dropped import heat_picture
from core.artefacts import publishing
from core.folds import save_folds
from core.onnx.occlusion import CELLS, Region
from core.predictions.networks import ONNX_FILE, Exported, export_dirs
from core.specs.folds import FoldsSpec
from core.store import attempts
from core.store.contests import Contest
from core.store.jobs import BESIDE, EXPORT, list_jobs
from core.store.runs import Run
from core.workspace import Workspace
from tests.app.conftest import OpenPage
from tests.finished_workspace import ELSEWHERE, START, add_glyphs, finish_run, make_recipe
from tests.onnx.nets import SIDE, spec_of_finder, write_finder


@pytest.fixture
def glyphs(opened: Workspace, tmp_path: Path) -> tuple[Contest, Run]:
    contest = add_glyphs(opened, tmp_path / "glyphs")
    folds = save_folds(opened, contest, FoldsSpec(n_folds=2))
    return contest, finish_run(opened, contest, folds, make_recipe(contest, "made"))


def export(workspace: Workspace, contest: Contest, run: Run, how: Exported) -> None:
    """What the job would leave: a file for each fold."""
    facts = {"differences": [1e-7, 2e-7, 3e-7], "argmax_agreement": 1.0}
    if how == "int8":
        facts = {"n_rows": 36, "argmax_agreement": 0.99, "scores": {"log_loss": [0.5, 0.53]}, "weight_bits": 8}
    for result in run.results:
        for folder in export_dirs(workspace, contest, run, result, how):
            with publishing(folder, kind="onnx", parents={"fold": result.fingerprint}, facts=facts) as to:
                write_finder(to / ONNX_FILE, spec_of_finder(classes=contest.spec.classes))


def open_panel(open_page: OpenPage, contest: Contest, run: Run) -> AppTest:
    at = open_page("runs", contest=contest.name, run=run.ref)
    at.session_state["run-tab"] = "predict"
    at.run()
    assert not at.exception
    return at


def red_square() -> bytes:
    pixels = np.full((SIDE, 2 * SIDE, 3), 128, dtype=np.uint8)
    pixels[:16, -32:] = (230, 20, 20)  # at the top right, in an image that is not square
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def test_a_dropped_image_is_answered_after_one_export(open_page: OpenPage, opened: Workspace, glyphs: tuple[Contest, Run]) -> None:
    contest, run = glyphs
    at = open_panel(open_page, contest, run)
    at.file_uploader[0].upload("빨강.png", red_square(), "image/png").run()
    next(button for button in at.button if button.label == "Export, then predict").click().run()
    assert not at.exception
    (job,) = (job for job in list_jobs(opened.store, run_id=run.id) if job.kind == EXPORT)
    assert (job.state, job.payload) == ("queued", {"int8": False})
    claimed = attempts.claim(opened.store, owner=ELSEWHERE, device=BESIDE, now=START, lease_s=1e10)
    assert claimed is not None and claimed.id == job.id
    export(opened, contest, run, "onnx")
    attempts.finish(opened.store, job.id, claimed.token, lambda _: None, now=START)
    at.run()
    assert not at.exception
    assert any(contest.spec.classes[0] in html.body and "class-bars" in html.body for html in at.get("html"))
    assert len(at.get("image")) == 1
    assert any("at the top right" in caption.value for caption in at.caption)


def test_a_file_that_is_no_image_is_said_beside_the_others(open_page: OpenPage, opened: Workspace, glyphs: tuple[Contest, Run]) -> None:
    contest, run = glyphs
    export(opened, contest, run, "onnx")
    at = open_panel(open_page, contest, run)
    at.file_uploader[0].set_value([("none.png", b"none", "image/png"), ("red.png", red_square(), "image/png")]).run()
    assert not at.exception
    assert len(at.error) == 1 and len(at.get("image")) == 1


def test_int8_is_a_choice_only_after_its_loss_was_measured(open_page: OpenPage, opened: Workspace, glyphs: tuple[Contest, Run]) -> None:
    contest, run = glyphs
    export(opened, contest, run, "onnx")
    at = open_panel(open_page, contest, run)
    assert any(button.label.startswith("Make int8 files") for button in at.button)
    at.segmented_control(key=f"predict-what-{contest.id}").set_value("test").run()
    choice = at.segmented_control(key=f"predict-runtime-{run.id}")
    assert choice.options == ["torch", "ONNX Runtime"]
    export(opened, contest, run, "int8")
    at.run()
    choice = at.segmented_control(key=f"predict-runtime-{run.id}")
    assert choice.options == ["torch", "ONNX Runtime", "ONNX Runtime, int8"]
    choice.set_value("int8").run()
    assert any("0.5000 → 0.5300" in caption.value and "72 out-of-fold rows" in caption.value for caption in at.caption)
    next(button for button in at.button if button.label == "Predict").click().run()
    assert not at.exception
    assert [job.payload for job in list_jobs(opened.store, ["queued"]) if job.run_id == run.id] == [{"runtime": "int8"}]


def test_the_heat_is_where_the_probability_falls() -> None:
    falls = np.zeros((CELLS, CELLS), dtype=np.float32)
    falls[1, 6] = 0.5
    grey = Image.new("RGB", (200, 100), (128, 128, 128))
    picture = np.asarray(heat_picture(grey, Region(falls, (11 / 16, 1 / 16, 15 / 16, 5 / 16), 0.5, 0))).astype(int)
    height, width, _ = picture.shape
    row, column = (round(share * side) for share, side in ((1.5 / 8, height), (6.5 / 8, width)))
    assert width == 2 * height and picture[row, column, 0] - picture[row, column, 1] > 40
    assert (picture[height // 2 :, : width // 2] == 128).all()
