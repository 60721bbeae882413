"""Submit and the exchange of predictions, where rows have several labels: how many, how often, at which thresholds, in both languages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from app.submit.submit_view import label_counts
from core.blend.ensemble import make_spec, save_blend
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.exchange.exchange import Delivery, accept_delivery, export_predictions
from core.folds import save_folds
from core.jobs.launch import launch_run
from core.predictions.source import source_of
from core.specs.folds import FoldsSpec
from core.store.blends import list_submissions
from core.store.contests import Contest
from core.store.folds import Folds
from core.store.runs import Run, get_run, list_runs
from core.submission.write import read_submission, write_submission
from core.workspace import Workspace
from tests.emotions import finish_emotions
from tests.finished_workspace import claim, finish_job, make_recipe

OpenPage = Callable[..., AppTest]


@pytest.fixture
def emotions(opened: Workspace, tmp_path: Path) -> tuple[Contest, tuple[Run, ...]]:
    """Three finished runs of a contest that wants all labels of a row in one cell."""
    return finish_emotions(opened, tmp_path / "emotions", layout="cells")


def words(at: AppTest) -> str:
    parts = [*at.subheader, *at.markdown, *at.caption, *at.error, *at.warning, *at.success]
    return "\n".join(str(part.value) for part in parts).replace("\\", "")


def test_labels_of_a_row_are_counted_beside_training() -> None:
    truth = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 0, 0]], dtype=np.int8)
    predicted = np.array([[1, 1, 1], [0, 1, 1]], dtype=np.int8)
    assert label_counts(truth, predicted, ()) == (
        "2.50 labels a row (train 0.75) · 0.0 % of rows have none (train 50.0 %) · each class above 0.5"
    )
    assert label_counts(truth, predicted, (0.2, 0.61, 0.4)).endswith("thresholds of the blend, 0.20 to 0.61")


def test_a_blend_with_thresholds_is_previewed_checked_and_written(
    open_page: OpenPage, opened: Workspace, emotions: tuple[Contest, tuple[Run, ...]]
) -> None:
    contest, runs = emotions
    spec = make_spec([run.id for run in runs]).model_copy(update={"thresholds": (0.3, 0.4, 0.4, 0.4, 0.4, 0.62)})
    blend = save_blend(opened, contest, spec)
    at = open_page("submit", contest=contest.name, source=blend.ref)
    assert not at.exception
    for said in ("thresholds of the blend, 0.30 to 0.62", "labels a row (train 1.20)", "All 5 checks passed", "of 60 rows have no label"):
        assert said in words(at)
    assert len(at.get("vega_lite_chart")) == 1
    (button,) = [button for button in at.button if button.label == "Write submission"]
    at = button.click().run()
    assert not at.exception
    (submission,) = list_submissions(opened.store, contest.id)
    lines = read_submission(opened, submission).decode().splitlines()
    assert (
        at.dataframe[0].value["labels"].tolist()
        == pd.read_csv(opened.absolute(submission.path), dtype=str, keep_default_na=False)["labels"].tolist()[:8]
    )
    assert lines[0] == "ID,labels" and any('"' in line for line in lines)


def press(at: AppTest, name: str) -> AppTest:
    """Write the submission under a name, as Enter in its field and the button both do."""
    (field,) = [field for field in at.text_input if field.label == "Name of this submission"]
    field.set_value(name)
    (button,) = [button for button in at.button if button.label == "Write submission"]
    at = button.click().run()
    assert not at.exception
    return at


def test_equal_files_of_one_name_are_written_once_and_the_file_is_called_so(
    open_page: OpenPage, opened: Workspace, emotions: tuple[Contest, tuple[Run, ...]]
) -> None:
    contest, runs = emotions
    at = press(open_page("submit", contest=contest.name, source=runs[0].ref), "마지막 제출")
    (first,) = list_submissions(opened.store, contest.id)
    assert first.name == "마지막 제출" and "마지막-제출" in first.filename
    at = press(at, "마지막 제출")
    assert list_submissions(opened.store, contest.id) == (first,)
    assert any("Written before" in toast.value for toast in at.toast)
    press(at, "another")
    assert [each.name for each in list_submissions(opened.store, contest.id)] == ["another", "마지막 제출"]


def test_one_class_for_all_rows_is_no_green_light(open_page: OpenPage, opened: Workspace, tmp_path: Path) -> None:
    for name, header in (("train", "id,text,label"), ("test", "id,text"), ("sample_submission", "id,label")):
        rows = [f"{name}{row},some words {row},{('bad', 'good')[row % 2]}".split(",") for row in range(12)]
        kept = {"train": rows, "test": [row[:2] for row in rows], "sample_submission": [[f"test{row}", "bad"] for row in range(12)]}[name]
        (tmp_path / f"{name}.csv").write_text("\n".join([header, *map(",".join, kept)]) + "\n", encoding="utf-8")
    contest = add_contest(opened, inspect_path(tmp_path, name="one").draft)
    folds = save_folds(opened, contest, FoldsSpec(n_folds=2))
    same = np.tile(np.array([0.9, 0.1], dtype=np.float32), (12, 1))
    run = accept_delivery(opened, contest, folds, Delivery(same, same), name="always")
    at = open_page("submit", contest=contest.name, source=run.ref)
    assert not at.success and "All 5 checks passed, but 1 looks unintended" in words(at)
    assert "all 12 rows have the same class" in words(at)
    at = open_page("submit", contest=contest.name, source=run.ref, lang="ko")
    assert "12개 행이 모두 같은 클래스입니다" in words(at)


def test_who_takes_out_a_blend_with_thresholds_is_told_that_they_stay(
    open_page: OpenPage, opened: Workspace, emotions: tuple[Contest, tuple[Run, ...]]
) -> None:
    contest, runs = emotions
    spec = make_spec([run.id for run in runs])
    for thresholds in ((), (0.3, 0.4, 0.4, 0.4, 0.4, 0.62)):
        save_blend(opened, contest, spec.model_copy(update={"thresholds": thresholds}), name=f"mix-{len(thresholds)}")
    at = open_page("ensemble", contest=contest.name)
    (saved,) = [table.value for table in at.dataframe if "members" in table.value]
    assert sorted(saved["mean"]) == ["Arithmetic", "Arithmetic · thresholds"]
    (parts,) = [group for group in at.button_group if "Import and export" in group.options]
    at = parts.set_value("exchange").run()
    for ref, is_told in (("b1", False), ("b2", True)):
        at = at.selectbox(key=f"export-source-{contest.id}").set_value(ref).run()
        assert not at.exception
        assert ("the thresholds of mix-6 are not in it" in words(at)) == is_told


@pytest.mark.parametrize("form", ["flags", "label"])
def test_what_is_written_without_a_sample_is_said_in_korean(open_page: OpenPage, opened: Workspace, tmp_path: Path, form: str) -> None:
    contest, _ = finish_emotions(opened, tmp_path / "emotions", submission=form, sample_submission="")
    at = open_page("submit", contest=contest.name, lang="ko")
    assert not at.exception
    text = words(at)
    said = (
        ("클래스마다 0과 1인 열", "0도 1도 아닌 값이 있는 행 0개")
        if form == "flags"
        else ("모두 한 칸에", "여럿을 쓰는 방식은 예시에 없으니")
    )
    for part in (*said, "행마다 레이블", "레이블이 없는 행", "확률이 0.5보다 큰 클래스"):
        assert part in text
    assert "no label" not in text and "sample" not in text


@pytest.mark.parametrize("shuffled", [False, True])
def test_predictions_of_several_labels_come_in_and_are_judged_by_their_ranks(
    open_page: OpenPage, opened: Workspace, emotions: tuple[Contest, tuple[Run, ...]], tmp_path: Path, shuffled: bool
) -> None:
    contest, runs = emotions
    oof, test = tmp_path / "민수.npy", tmp_path / "민수-test.npy"
    export_predictions(source_of(opened, runs[0]), oof=oof, test=test)
    prob = np.load(oof) * 0.3  # never above one half, and still in the right order
    np.save(oof, np.random.default_rng(0).permutation(prob) if shuffled else prob)
    at = open_page("ensemble", contest=contest.name)
    (parts,) = [group for group in at.button_group if "Import and export" in group.options]
    at = parts.set_value("exchange").run()
    assert "sigmoid" in words(at)
    for uploader, path in zip(at.file_uploader, (oof, test), strict=True):
        uploader.upload(path.name, path.read_bytes())
    at = at.run().button(key="import-predictions").click().run()
    assert not at.exception
    assert list_runs(opened.store, contest.id)[0].name == "민수"
    said = "\n".join(part.value for part in (at.warning if shuffled else at.success))
    assert "is a member now" in said and "mean AUC of the classes" in said
    assert ("hardly ranked better than by chance" in said) == shuffled


def test_the_lineage_says_that_networks_began_from_a_backbone_that_read_the_test_texts(
    open_page: OpenPage, opened: Workspace, folded: Contest, folds: Folds
) -> None:
    recipe = make_recipe(folded, "adapted")
    run = launch_run(opened, folded, folds, recipe)
    on = {"ref": "p17", "name": "mine", "fingerprint": "abcdef123456789", "saw_test": True}
    for _ in range(folds.n_folds):
        finish_job(opened, folded, folds, claim(opened), recipe, strength=2.0, seed=0, facts={"pretrained_on": on})
    submission = write_submission(source_of(opened, get_run(opened.store, run.id)), name="first")
    assert submission.lineage.to_dict()["members"][0]["pretrained_on"] == on
    at = open_page("submit", contest=folded.name, source=run.ref)
    assert "began from mine (p17, #abcdef123456), a backbone adapted to the training and the test texts" in words(at)
