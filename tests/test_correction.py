"""A registered contest is corrected: what depends on it is said before, nothing trained is lost, and nothing is mixed that must not be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.base.errors import InputError, PitwallError, StateError
from core.blend.ensemble import make_spec, open_ensemble, save_blend, score_blend
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.contest.table import add_truth, contest_groups, load_groups, load_table, load_truth
from core.correction import correct, plan_correction
from core.folds import save_folds
from core.jobs.fold import load_task
from core.predictions.source import source_of
from core.specs.folds import FoldsSpec
from core.store.blends import get_blend
from core.store.contests import Contest, get_contest, list_contests, list_truths
from core.store.folds import get_folds
from core.store.runs import get_run, list_runs
from core.submission.write import prepare
from core.workspace import Workspace
from tests.finished_workspace import finish_run, make_recipe


@pytest.fixture
def prepared(workspace: Workspace, write_headlines: Callable[[Path], Path], tmp_path: Path) -> tuple[Workspace, Contest]:
    """Headlines with a column of persons and a second column of labels, two finished runs and a blend."""
    root = write_headlines(tmp_path / "headlines")
    train = pd.read_csv(root / "train.csv")
    labels = list(dict.fromkeys(train["label"]))
    train["person"] = [f"p{row % 7}" for row in range(len(train))]
    train["second"] = train["label"]
    train.loc[:2, "second"] = [labels[1 - labels.index(label)] for label in train["label"][:3]]
    train["third"] = train["label"] + "!"
    train.to_csv(root / "train.csv", index=False)
    sets = ["label_column=label", "metric=log_loss", "input_columns=[text]", "group_column="]
    contest = add_contest(workspace, inspect_path(root, sets=sets).draft)
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=2))
    runs = [finish_run(workspace, contest, folds, make_recipe(contest, name), seed=seed) for seed, name in enumerate(("a", "b"))]
    save_blend(workspace, contest, make_spec([run.id for run in runs]), name="mix")
    return workspace, contest


def test_another_metric_scores_everything_anew_from_what_is_stored(prepared: tuple[Workspace, Contest]) -> None:
    workspace, contest = prepared
    plan = plan_correction(workspace, contest, ["metric=macro_f1"])
    assert plan.in_place and plan.changes == {"metric": ("log_loss", "macro_f1")} and "2 runs have the new score" in plan.effects[0]
    assert get_contest(workspace.store, contest.id) == contest, "a plan changes nothing"
    after = correct(workspace, plan)
    blend, runs = get_blend(workspace.store, "mix"), list_runs(workspace.store)
    expected = score_blend(open_ensemble(workspace, after, [get_run(workspace.store, each) for each in blend.run_ids]), blend.spec)
    assert (after.spec.metric, blend.scores.metric, blend.scores.honest) == ("macro_f1", "macro_f1", None)
    assert blend.scores.cv_score == pytest.approx(expected.cv_score) and blend.truth_id == after.truth.id
    assert runs[0].cv_score("macro_f1") is not None and {run.chosen_by for run in runs} == {"log_loss"}
    assert prepare(source_of(workspace, blend)).is_valid
    workspace.store.check()
    correct(workspace, plan_correction(workspace, after, ["metric=log_loss"]))
    assert {run.chosen_by for run in list_runs(workspace.store)} == {None}


def test_a_run_goes_on_choosing_by_the_metric_it_was_begun_with(prepared: tuple[Workspace, Contest], tmp_path: Path) -> None:
    workspace, contest = prepared
    after = correct(workspace, plan_correction(workspace, contest, ["metric=accuracy"]))
    run = list_runs(workspace.store)[0]
    given = (workspace, after, get_folds(workspace.store, run.folds_id), run.recipe, 0)
    assert load_task(*given, device="cpu", out_dir=tmp_path, metric=run.chosen_by or "").metric == "log_loss"
    assert load_task(*given, device="cpu", out_dir=tmp_path).metric == "accuracy"


def test_a_group_column_gives_groups_and_says_which_folds_split_them(prepared: tuple[Workspace, Contest]) -> None:
    workspace, contest = prepared
    plan = plan_correction(workspace, contest, ["group_column=person"])
    assert "1 set of folds splits the new groups" in plan.effects[0]
    after = correct(workspace, plan)
    groups = contest_groups(workspace, after)
    assert groups and load_groups(workspace, after, groups) == load_table(workspace, after).train["col.person"].tolist()
    assert len(list_runs(workspace.store)) == 2 and source_of(workspace, get_blend(workspace.store, "mix")).oof().shape[0] == after.n_train
    with pytest.raises(InputError, match="no column 'nobody'"):
        plan_correction(workspace, after, ["group_column=nobody"])


def test_another_column_of_the_same_classes_is_a_new_truth(prepared: tuple[Workspace, Contest]) -> None:
    workspace, contest = prepared
    by_hand = 1 - int(load_truth(workspace, contest).labels[10])
    add_truth(workspace, contest, labels={10: by_hand}, reason="a typo")
    contest = get_contest(workspace.store, contest.id)
    plan = plan_correction(workspace, contest, ["label_column=second"])
    assert plan.in_place and "3 labels change" in plan.effects[0] and "older labels" in plan.effects[1]
    after = correct(workspace, plan)
    before, now = load_truth(workspace, contest), load_truth(workspace, after)
    assert np.flatnonzero(before.labels != now.labels).tolist() == [0, 1, 2] and now.labels[10] == by_hand
    assert len(list_truths(workspace.store, after.id)) == 3 and {run.truth_id for run in list_runs(workspace.store)} == {1}
    back = correct(workspace, plan_correction(workspace, after, ["label_column=label"]))
    assert np.array_equal(load_truth(workspace, back).labels, before.labels)


@pytest.mark.parametrize("sets", [["label_column=third"], ["input_columns=[id]"]])
def test_other_classes_or_rows_are_a_contest_of_their_own_and_the_one_before_stays_whole(
    prepared: tuple[Workspace, Contest], sets: list[str]
) -> None:
    workspace, contest = prepared
    plan = plan_correction(workspace, contest, sets)
    assert not plan.in_place and "archived under another name, whole, with 2 runs and 1 blend" in plan.effects[1]
    after = correct(workspace, plan)
    old = next(each for each in list_contests(workspace.store) if each.id == contest.id)
    assert (after.name, old.name, old.archived_at is not None) == (contest.name, f"{contest.name} (before)", True)
    assert after.id != old.id and after.folder != old.folder and list_runs(workspace.store, after.id) == ()
    assert source_of(workspace, get_blend(workspace.store, "mix")).oof().shape[0] == old.n_train
    workspace.store.check()


def test_what_cannot_be_is_refused_before_anything_is_changed(prepared: tuple[Workspace, Contest]) -> None:
    workspace, contest = prepared
    for sets in (["metric=log_loss"], ["metric=nothing"], ["label_column=nothing"], ["submission=flags"], ["name=other"], ["speed=3"]):
        with pytest.raises(PitwallError):
            plan_correction(workspace, contest, sets)
    plan = plan_correction(workspace, contest, ["metric=accuracy"])
    correct(workspace, plan_correction(workspace, contest, ["metric=macro_f1"]))
    with pytest.raises(StateError, match="changed since you looked"):
        correct(workspace, plan)
    assert get_contest(workspace.store, contest.id).spec.metric == "macro_f1"


def test_the_rows_files_are_not_needed_for_another_metric(prepared: tuple[Workspace, Contest], tmp_path: Path) -> None:
    workspace, contest = prepared
    (tmp_path / "headlines").rename(tmp_path / "elsewhere")
    assert correct(workspace, plan_correction(workspace, contest, ["metric=accuracy"])).spec.metric == "accuracy"
    moved = get_contest(workspace.store, contest.id)
    with pytest.raises(InputError):
        plan_correction(workspace, moved, ["label_column=second"])
    plan = plan_correction(workspace, moved, root=tmp_path / "elsewhere")
    assert plan.in_place and list(plan.changes) == ["root"]
    after = correct(workspace, plan)
    assert after.spec.root == str(tmp_path / "elsewhere") and after.truth == moved.truth and after.fingerprint == contest.fingerprint


@pytest.mark.parametrize("typed", ["~nosuchuser", "link", "a\0b"])
def test_a_folder_that_cannot_be_one_is_refused_in_words(prepared: tuple[Workspace, Contest], tmp_path: Path, typed: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "link")
    with pytest.raises(InputError):
        plan_correction(*prepared, root=Path(typed) if typed.startswith("~") else tmp_path / typed)
