"""A workspace made by version 0.1 (commit 189eaba) opens with the code of today, keeps what it holds, and its work goes on.

`inputs/workspace-0.1.tar.xz` was made by that version's own code, `inputs/workspace-0.1.json` are its answers. It holds three contests
(60 images with groups and class probabilities; 48 texts in CP949 with labels; 36 texts with several labels a row), four folds, four trained runs
(test_efficientnet, test_resnet with a moving average, tiny_transformer, and a BERT of 16 units from its `weights/`), five imported runs, four
blends (optimal with shrinkage and temperature, equal under the logit mean, bagged greedy with temperature, optimal with thresholds), six
submissions, and the run r10 with a finished, a half-trained and a waiting fold. The half-trained fold was stopped in epoch 6 of 8; the answers
say what it came to where that version trained it to its end. To keep the file small, only the heads of the first three networks were trained,
and the numbers of their bodies are few.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.blend.ensemble import blend_runs, save_blend
from core.blend.procedure import BlendProcedure
from core.contest.table import load_table
from core.folds import load_folds, save_folds
from core.jobs.engine import Engine
from core.predictions.oof import load_oof, load_test_prob
from core.predictions.source import source_of
from core.specs.folds import FoldsSpec
from core.store.blends import get_blend, list_blends, list_submissions
from core.store.contests import get_contest, list_contests
from core.store.folds import get_folds, list_folds
from core.store.jobs import list_jobs
from core.store.runs import get_run, list_epochs, list_runs
from core.submission.write import prepare, read_submission, write_submission
from core.workspace import Workspace, open_workspace

INPUTS = Path(__file__).with_name("inputs")
OLD: dict[str, Any] = json.loads((INPUTS / "workspace-0.1.json").read_text(encoding="utf-8"))


@pytest.fixture
def old(tmp_path: Path) -> Workspace:
    """The old workspace in a place where it was not made, opened, and so migrated."""
    with tarfile.open(INPUTS / "workspace-0.1.tar.xz") as archive:
        archive.extractall(tmp_path / "moved", filter="data")
    return open_workspace(tmp_path / "moved")


def test_the_database_is_whole_and_the_rows_of_each_contest_are_what_they_were(old: Workspace) -> None:
    old.store.check()
    found = {contest.name: contest for contest in list_contests(old.store)}
    assert set(found) == set(OLD["contests"])
    for name, before in OLD["contests"].items():
        table = load_table(old, found[name])
        spec = found[name].spec
        assert [*table.train["id"]] == before["train_ids"] and [*table.test["id"]] == before["test_ids"]
        assert (list(spec.classes), spec.metric) == (before["classes"], before["metric"])
        if table.image_base is not None:
            assert all(table.image_path(path).is_file() for path in [*table.train["input"], *table.test["input"]])


def test_folds_are_the_same_rows_and_made_again_they_are_the_row_that_is_there(old: Workspace) -> None:
    there = [folds for contest in list_contests(old.store) for folds in list_folds(old.store, contest.id)]
    assert {str(folds.id) for folds in there} == set(OLD["folds"])
    for folds_id, before in OLD["folds"].items():
        folds = get_folds(old.store, int(folds_id))
        pairs, fold_of = load_folds(old, folds), np.asarray(before["fold_of"])
        for fold in range(before["n_folds"]):
            assert pairs.valid_idx(fold).tolist() == np.flatnonzero(fold_of == fold).tolist()
            assert pairs.train_idx(fold).tolist() == np.flatnonzero(fold_of != fold).tolist()
        settings = {name: before[name] for name in ("kind", "n_folds", "seed", "group_column")}
        again = save_folds(old, get_contest(old.store, before["contest"]), FoldsSpec.model_validate(settings))
        assert again.id == folds.id


def test_runs_keep_their_scores_epochs_and_predictions_to_the_byte(old: Workspace) -> None:
    assert {run.ref for run in list_runs(old.store)} == set(OLD["runs"])
    for ref, before in OLD["runs"].items():
        run, contest = get_run(old.store, ref), get_contest(old.store, before["contest"])
        assert (run.name, run.state, run.is_imported) == (before["name"], before["state"], before["imported"]), ref
        assert list(run.fold_numbers) == before["fold_numbers"]
        assert {str(result.fold): dict(result.scores) for result in run.results} == {
            fold: result["scores"] for fold, result in before["results"].items()
        }
        assert run.cv_score(contest.spec.metric) == before["cv_score"]
        assert (run.cv_sd(contest.spec.metric) or 0.0) == pytest.approx(before["cv_sd"] or 0.0, rel=1e-14)
        assert {str(job.fold): job.state for job in run.jobs} == {fold: job["state"] for fold, job in before["jobs"].items()}
        assert len(list_epochs(old.store, run.id)) == before["n_epochs"]
        if before["oof_sha256"]:
            assert sha256_of(load_oof(old, run, contest)) == before["oof_sha256"]
            assert sha256_of(load_test_prob(old, run)) == before["test_sha256"]


def test_recipes_keep_the_settings_they_had(old: Workspace) -> None:
    for ref, before in OLD["runs"].items():
        if before["recipe"] is not None:
            now = settings_of(get_run(old.store, ref).recipe.model_dump(mode="json"))
            for name, value in settings_of(before["recipe"]).items():
                assert now[name] == value, (ref, name)


@pytest.mark.parametrize("ref", sorted(OLD["blends"]))
def test_a_blend_keeps_its_score_and_bytes_and_blended_again_it_is_the_same(old: Workspace, ref: str) -> None:
    before = OLD["blends"][ref]
    contest = get_contest(old.store, before["contest"])
    blend = next(blend for blend in list_blends(old.store, contest.id) if blend.ref == ref)
    again = save_blend(old, contest, blend.spec, name="again")
    fitted = blend_runs(
        old,
        contest,
        [get_run(old.store, member) for member in blend.spec.members],
        BlendProcedure.model_validate(before["procedure"]),
        name="fitted",
    )
    for found in (get_blend(old.store, blend.id), again, fitted):
        assert found.spec.weights == tuple(before["spec"]["weights"]) and found.spec.temperature == before["spec"]["temperature"]
        oof, test = arrays_of(old, found)
        assert oof == before["oof_sha256"], found.name
        # A temperature went over test rows as it was; blended today they have one of their own. What is stored stays.
        if found.id == blend.id or (found.spec.temperature == 1 and not found.spec.stack):
            assert found.spec.test_temperature is None and test == before["test_sha256"], found.name
            assert hashlib.sha256(prepare(source_of(old, found)).data).hexdigest() == before["submission_sha256"]
        else:
            assert found.spec.test_temperature is not None and test != before["test_sha256"]
    scores = scores_of(blend)
    assert scores == {name: before["scores"][name] for name in scores}
    assert scores_of(again) == scores_of(fitted) == scores
    honest = (before["scores"]["honest"] or {}).get("score")
    assert honest_of(blend) == honest_of(fitted) == honest


def test_submissions_are_the_files_they_were_and_written_again_the_same_bytes(old: Workspace) -> None:
    there = {submission.ref: submission for submission in list_submissions(old.store)}
    assert set(there) == set(OLD["submissions"])
    for ref, before in OLD["submissions"].items():
        submission = there[ref]
        assert (submission.source, submission.filename, submission.sha256) == (before["source"], before["filename"], before["sha256"])
        assert hashlib.sha256(read_submission(old, submission)).hexdigest() == before["sha256"]
        if before["source"].startswith("r"):
            again = write_submission(source_of(old, get_run(old.store, before["source"])), name="again")
            assert again.sha256 == before["sha256"]


@pytest.mark.slow
def test_a_half_trained_fold_goes_on_to_the_scores_it_would_have_had_or_begins_anew_and_says_why(
    old: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins anew where what it was made from has another identity now, or other libraries. The waiting fold is trained too."""
    before = OLD["half_trained"]
    run = get_run(old.store, before["run"])
    contest = get_contest(old.store, run.contest_id)
    (checkpoint,) = old.checkpoints_dir(contest.folder, run.id, before["fold"]).glob("epoch-*")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    engine = Engine(old, ("cpu",))
    while engine.run_next():
        pass
    jobs = {job.fold: job for job in list_jobs(old.store, run_id=run.id)}
    assert {fold: (job.state, job.error) for fold, job in jobs.items()} == dict.fromkeys(range(3), ("done", None))
    result = next(result for result in get_run(old.store, run.id).results if result.fold == before["fold"])
    log = old.absolute(jobs[before["fold"]].log_path).read_text(encoding="utf-8")
    if result.facts.get("restarted_for"):
        assert f"resumed from {checkpoint.name}" not in log and result.facts["resumed"] == []
        return
    assert f"resumed from {checkpoint.name}" in log
    assert {name: pytest.approx(score, abs=1e-4) for name, score in before["finished_in"]["scores"].items()} == dict(result.scores)
    assert (result.best_epoch, result.n_epochs) == (before["finished_in"]["best_epoch"], before["finished_in"]["n_epochs"])


def sha256_of(array: Any) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def arrays_of(workspace: Workspace, blend: Any) -> tuple[str, str]:
    """The sha256 of the .npy files that version 0.1 wrote of a blend's predictions."""
    return npy_sha256(source_of(workspace, blend).oof()), npy_sha256(source_of(workspace, blend).test())


def npy_sha256(array: Any) -> str:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return hashlib.sha256(stream.getvalue()).hexdigest()


def scores_of(blend: Any) -> dict[str, Any]:
    scores = blend.scores.to_dict()
    return {name: scores[name] for name in ("oof_score", "cv_score", "cv_sd", "fold_scores", "equal_score", "best_single_score")}


def honest_of(blend: Any) -> float | None:
    return blend.scores.honest.score if blend.scores.honest else None


def settings_of(recipe: dict[str, Any]) -> dict[str, Any]:
    """The settings by name, whatever section they stand in, without those that stand in two."""
    found: dict[str, Any] = {}
    for name, section in recipe.items():
        if isinstance(section, dict):
            found |= section
        elif section is not None:
            found[name] = section
    return found
