"""The tab Predict of a run: what is asked becomes a job, and what the job answered is shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from core.artefacts import publishing
from core.folds import save_folds
from core.jobs.launch import launch_prediction
from core.predictions.again import PREDICTIONS_FILE, Answer
from core.specs.folds import FoldsSpec
from core.store import attempts
from core.store.contests import Contest
from core.store.jobs import BESIDE, PREDICT, list_jobs
from core.store.runs import Run
from core.workspace import Workspace
from tests.app.conftest import OpenPage
from tests.finished_workspace import ELSEWHERE, START, add_glyphs, finish_run, make_recipe


def finish(opened: Workspace, contest: Contest, run: Run, device: str, prob: list[list[float]], **facts: float) -> None:
    """What a worker would leave of the job that waits for `device`."""
    job = attempts.claim(opened.store, owner=ELSEWHERE, device=device, now=START, lease_s=1e10)
    assert job is not None
    with publishing(opened.answer_dir(contest.folder, run.id, job.id, job.token), kind="predictions", parents={}, facts=facts) as folder:
        answer = Answer(tuple(f"n{number}" for number in range(len(prob))), np.array(prob, dtype=np.float32))
        answer.to_table(list("0123456789")[: len(prob[0])]).to_parquet(folder / PREDICTIONS_FILE)
    attempts.finish(opened.store, job.id, job.token, lambda _: None, now=START)


def test_a_text_and_the_test_set_are_predicted_on_the_page(
    open_page: OpenPage, opened: Workspace, folded: Contest, done: tuple[Run, ...]
) -> None:
    run = done[0]
    at = open_page("runs", contest=folded.name, run=run.ref)
    at.session_state["run-tab"] = "predict"
    at.run()
    assert not at.exception
    button = next(button for button in at.button if button.label == "Predict")
    assert button.disabled
    at.text_area(key=f"predict-text-{run.id}").set_value("후반 추가 시간에 <b>동점골</b>").run()
    next(button for button in at.button if button.label == "Predict").click().run()
    (job,) = (job for job in list_jobs(opened.store, run_id=run.id) if job.fold is None)
    assert (job.state, job.payload) == ("queued", {"text": "후반 추가 시간에 <b>동점골</b>"})
    finish(opened, folded, run, BESIDE, [[0.125, 0.875]])
    at.run()
    assert not at.exception
    likely = folded.spec.classes[1]
    assert any(likely in html.body and "87.50 %" in html.body for html in at.get("html"))

    at.segmented_control(key=f"predict-what-{folded.id}").set_value("test").run()
    at.toggle(key=f"predict-at-once-{run.id}").set_value(False).run()
    next(button for button in at.button if button.label == "Predict").click().run()
    assert [job.kind for job in list_jobs(opened.store, states=["queued"])] == [PREDICT]
    finish(opened, folded, run, "cpu", [[0.75, 0.25]] * 6, largest_change=0.0)
    at.run()
    assert not at.exception
    assert any("byte for byte" in caption.value for caption in at.caption)
    assert at.dataframe[-1].value["prob"].tolist() == [0.75] * 6


def test_an_image_is_shown_beside_its_classes_and_one_that_was_trained_on_is_said(
    open_page: OpenPage, opened: Workspace, tmp_path: Path
) -> None:
    contest = add_glyphs(opened, tmp_path / "glyphs")
    folds = save_folds(opened, contest, FoldsSpec(n_folds=2))
    run = finish_run(opened, contest, folds, make_recipe(contest, "made"))
    with next((tmp_path / "glyphs").rglob("*.png")).open("rb") as stream:
        launch_prediction(opened, run, files=[("n0.png", stream)])
    n_classes = len(contest.spec.classes)
    finish(opened, contest, run, BESIDE, [[1 / n_classes] * n_classes], n_seen=1)
    at = open_page("runs", contest=contest.name, run=run.ref)
    at.session_state["run-tab"] = "predict"
    at.run()
    at.segmented_control(key=f"predict-what-{contest.id}").set_value("files").run()
    assert not at.exception
    assert len(at.get("image")) == 1
    assert any("1 of 1 are training rows" in warning.value for warning in at.warning)
