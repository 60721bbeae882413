"""A text typed on a run's page: TF-IDF and exported networks answer at once, with the words that mattered; until then the page offers the export."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from streamlit.testing.v1 import AppTest

from app.runs.typed import words_html
from core.artefacts import publishing
from core.contest.table import load_table
from core.jobs import fold
from core.jobs.launch import launch_run
from core.jobs.reporter import Reporter
from core.predictions.networks import ONNX_FILE, Exported, export_dirs
from core.predictions.words import WordEffects
from core.specs.recipe import Recipe
from core.store import attempts
from core.store.contests import Contest
from core.store.folds import list_folds
from core.store.jobs import EXPORT, list_jobs
from core.store.runs import Run, get_run
from core.workspace import Workspace
from tests.app.conftest import OpenPage
from tests.finished_workspace import ELSEWHERE, START
from tests.onnx.nets import write_reader


def export(workspace: Workspace, contest: Contest, run: Run, how: Exported) -> None:
    """What the job would leave: a file for each fold, whose first class is likely where the key word stands."""
    facts: dict[str, Any] = {"differences": [1e-7, 2e-7, 3e-7], "argmax_agreement": 1.0}
    if how == "int8":
        facts = {"n_rows": 16, "argmax_agreement": 0.99, "scores": {"log_loss": [0.5, 0.53]}, "weight_bits": 8}
    for result in run.results:
        for folder in export_dirs(workspace, contest, run, result, how):
            with publishing(folder, kind="onnx", parents={"fold": result.fingerprint}, facts=facts) as to:
                write_reader(to / ONNX_FILE, contest.spec.classes, key="동점골", fold=result.fold)


def open_panel(open_page: OpenPage, contest: Contest, run: Run) -> AppTest:
    at = open_page("runs", contest=contest.name, run=run.ref)
    at.session_state["run-tab"] = "predict"
    at.run()
    assert not at.exception
    return at


def bodies(at: AppTest) -> str:
    drawn: list[Any] = [*at.get("html")]
    return "".join(html.body for html in drawn)


def test_a_text_is_answered_with_its_words_after_one_export(
    open_page: OpenPage, opened: Workspace, folded: Contest, done: tuple[Run, ...]
) -> None:
    run, text = done[0], "후반 <b>추가</b> 시간에 동점골"
    at = open_panel(open_page, folded, run)
    at.text_area(key=f"predict-text-{run.id}").set_value(text).run()
    next(button for button in at.button if button.label == "Export, then predict").click().run()
    assert not at.exception
    (job,) = (job for job in list_jobs(opened.store, run_id=run.id) if job.kind == EXPORT)
    claimed = attempts.claim(opened.store, owner=ELSEWHERE, device="cpu:beside", now=START, lease_s=1e10)
    assert claimed is not None and claimed.id == job.id
    export(opened, folded, run, "onnx")
    attempts.finish(opened.store, job.id, claimed.token, lambda _: None, now=START)
    at.run()
    assert not at.exception
    assert "class-bars" in bodies(at) and folded.spec.classes[0] in bodies(at)
    assert "&lt;b&gt;추가&lt;/b&gt;" in bodies(at) and "<b>추가" not in bodies(at)
    (said,) = (caption.value for caption in at.caption if "points of probability" in caption.value)
    assert said.split(": ")[1].startswith("동점골 +") and "fold 0" in said
    assert not any(button.label == "Predict" for button in at.button)
    assert all(job.kind == EXPORT or job.fold is not None for job in list_jobs(opened.store, run_id=run.id)), "no job was asked"


def test_tfidf_answers_without_an_export_by_each_words_part_in_the_logit(open_page: OpenPage, opened: Workspace, folded: Contest) -> None:
    values = {"modality": "text", "model": {"backbone": "tfidf-logreg", "pretrained": False}, "train": {"epochs": 1}}
    folds = list_folds(opened.store, folded.id)[0]
    run = launch_run(opened, folded, folds, Recipe.model_validate(values), fold_numbers=[0])
    job: Any = attempts.claim(opened.store, owner=ELSEWHERE, device="cpu", now=START, lease_s=1e10)
    assert job is not None
    attempts.finish(opened.store, job.id, job.token, fold.run(opened, job, Reporter(opened.store, job), lambda: False), now=START)
    run = get_run(opened.store, run.id)
    at = open_panel(open_page, folded, run)
    assert not any("Export" in button.label for button in at.button)
    at.text_area(key=f"predict-text-{run.id}").set_value("zzz striker zzz").run()
    assert not at.exception
    (said,) = (caption.value for caption in at.caption if "in the logit" in caption.value)
    assert "For 스포츠" in said and said.split(": ")[1].startswith("striker +")
    at.text_area(key=f"predict-text-{run.id}").set_value("☂ ☂").run()
    assert not at.exception and any("among the terms" in caption.value for caption in at.caption)


def test_the_test_set_of_texts_is_offered_to_onnx_runtime_and_int8_after_its_loss_was_measured(
    open_page: OpenPage, opened: Workspace, folded: Contest, done: tuple[Run, ...]
) -> None:
    run = done[0]
    export(opened, folded, run, "onnx")
    at = open_panel(open_page, folded, run)
    assert any(button.label.startswith("Make int8 files") for button in at.button)
    at.segmented_control(key=f"predict-what-{folded.id}").set_value("test").run()
    assert at.segmented_control(key=f"predict-runtime-{run.id}").options == ["torch", "ONNX Runtime"]
    export(opened, folded, run, "int8")
    at.run()
    at.segmented_control(key=f"predict-runtime-{run.id}").set_value("int8").run()
    next(button for button in at.button if button.label == "Predict").click().run()
    assert not at.exception
    assert [job.payload for job in list_jobs(opened.store, ["queued"]) if job.run_id == run.id] == [{"runtime": "int8"}]


def test_a_train_row_is_said_to_have_been_seen(open_page: OpenPage, opened: Workspace, folded: Contest, done: tuple[Run, ...]) -> None:
    run = done[0]
    export(opened, folded, run, "onnx")
    at = open_panel(open_page, folded, run)
    at.text_area(key=f"predict-text-{run.id}").set_value(load_table(opened, folded).train["input"].iloc[0]).run()
    assert not at.exception and any("training rows" in warning.value for warning in at.warning)
    assert any("No single word decides" in caption.value for caption in at.caption)


def test_words_for_a_class_and_against_it_differ_by_more_than_their_colour() -> None:
    words = WordEffects(0, ((0, 4), (5, 8), (9, 12)), np.array((0.5, -0.25, 0.0), dtype=np.float32), is_exact=True)
    html = words_html("good <a> but", words)
    faint = words_html("good <a> but", replace(words, effects=words.effects / 100, is_exact=False))
    assert "dotted" not in faint and faint.count(",0)") == 3, "no colour where leaving any of them out changes next to nothing"
    assert html.count("dotted") == 1 and "&lt;a&gt;" in html and 'title="good +0.5000"' in html
