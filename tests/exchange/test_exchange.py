"""Predictions go out and come back the same; whatever does not fit the contest is refused by name, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from core.base.errors import AlignmentError, InputError, PitwallError, StateError
from core.base.messages import Joined
from core.blend.ensemble import blend_runs, make_spec, save_blend
from core.blend.procedure import BlendProcedure
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.contest.table import add_truth, load_truth
from core.exchange.doubts import CHANCE_AUC, DOUBTS, UNCHECKED_OF_FILES, doubts_of, mean_auc, suspicions
from core.exchange.exchange import export_predictions, import_predictions, read_delivery
from core.folds import load_folds, save_folds
from core.predictions.oof import load_oof, load_test_prob, shared_folds
from core.predictions.source import source_of
from core.specs.folds import FoldsSpec
from core.store.contests import Contest, get_contest
from core.store.folds import Folds, get_folds
from core.store.runs import Run, get_run, list_epochs, list_runs
from core.submission.write import prepare, write_submission
from core.trash import empty_trash
from core.workspace import Workspace
from tests.emotions import EMOTIONS, finish_emotions
from tests.finished_workspace import finish_run, make_recipe, put_away

Prepared = tuple[Workspace, Contest, Folds, Run]


@pytest.fixture
def prepared(workspace: Workspace, tmp_path: Path, write_headlines: Callable[[Path], Path]) -> Prepared:
    contest = add_contest(workspace, inspect_path(write_headlines(tmp_path / "headlines")).draft)
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=3))
    return workspace, contest, folds, finish_run(workspace, contest, folds, make_recipe(contest, "own"), strength=2)


def exported(prepared: Prepared, tmp_path: Path, suffix: str) -> tuple[Path, Path]:
    workspace, _, _, run = prepared
    oof, test = tmp_path / f"oof{suffix}", tmp_path / f"test{suffix}"
    export_predictions(source_of(workspace, run), oof=oof, test=test)
    return oof, test


@pytest.mark.parametrize("suffix", [".npy", ".csv", ".parquet"])
def test_what_goes_out_comes_back_the_same(prepared: Prepared, tmp_path: Path, suffix: str) -> None:
    workspace, contest, folds, run = prepared
    oof, test = exported(prepared, tmp_path, suffix)
    back = import_predictions(workspace, contest, folds, oof=oof, test=test, name="민수 v1")
    np.testing.assert_array_equal(load_oof(workspace, back, contest), load_oof(workspace, run, contest))
    np.testing.assert_array_equal(load_test_prob(workspace, back), load_test_prob(workspace, run))
    assert back.fold_scores("log_loss") == pytest.approx(run.fold_scores("log_loss"))
    assert (back.name, back.state, back.is_complete, back.is_imported, back.jobs) == ("민수 v1", "done", True, True, ())
    assert list_epochs(workspace.store, back.id) == () and back.imported is not None and back.imported.oof_file == oof.name
    with pytest.raises(StateError, match="no recipe"):
        _ = back.recipe


def test_a_row_that_the_truth_drops_does_not_leave_and_need_not_come_back(prepared: Prepared, tmp_path: Path) -> None:
    workspace, contest, folds, run = prepared
    whole = [path.rename(tmp_path / f"whole-{path.name}") for path in exported(prepared, tmp_path, ".csv")]
    add_truth(workspace, contest, drop=[4], reason="a broken picture")
    now = get_contest(workspace.store, contest.id)
    export_predictions(source_of(workspace, run, now), oof=tmp_path / "oof.csv", test=tmp_path / "test.csv")
    for oof, test in ((tmp_path / "oof.csv", tmp_path / "test.csv"), whole):
        back = import_predictions(workspace, now, folds, oof=oof, test=test)
        found = load_oof(workspace, back, now)
        assert np.flatnonzero(np.isnan(found[:, 0])).tolist() == [4]
        np.testing.assert_array_equal(np.delete(found, 4, 0), np.delete(load_oof(workspace, run, contest), 4, 0))
        export_predictions(source_of(workspace, back, now), oof=tmp_path / "again.csv")
        assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "oof.csv").read_bytes()


def test_rows_and_columns_may_stand_in_any_order(prepared: Prepared, tmp_path: Path) -> None:
    workspace, contest, folds, run = prepared
    oof, test = exported(prepared, tmp_path, ".csv")
    frame = pd.read_csv(oof).sample(frac=1, random_state=3)
    frame[[frame.columns[0], *frame.columns[:0:-1]]].to_csv(oof, index=False)
    back = import_predictions(workspace, contest, folds, oof=oof, test=test)
    np.testing.assert_array_equal(load_oof(workspace, back, contest), load_oof(workspace, run, contest))


def test_an_imported_run_is_blended_submitted_and_deleted_like_any(prepared: Prepared, tmp_path: Path) -> None:
    workspace, contest, folds, run = prepared
    oof, test = exported(prepared, tmp_path, ".parquet")
    back = import_predictions(workspace, contest, folds, oof=oof, test=test)
    blend = save_blend(workspace, contest, make_spec([run.id, back.id]))
    np.testing.assert_allclose(source_of(workspace, blend).test(), load_test_prob(workspace, run), atol=1e-7)
    lineage = write_submission(source_of(workspace, blend)).lineage
    assert [member.recipe for member in lineage.members] == [run.recipe.fingerprint, None]
    assert lineage.members[1].imported == back.imported
    assert prepare(source_of(workspace, back)).data == prepare(source_of(workspace, run)).data
    other = import_predictions(workspace, contest, folds, oof=oof, test=test)
    folder = workspace.absolute(other.results[0].path).parent
    assert other.name == "oof-2" and folder.is_dir()
    put_away(workspace.store, "run", other.id)
    empty_trash(workspace)
    assert not folder.exists() and workspace.absolute(back.results[0].path).is_dir()
    assert get_run(workspace.store, back.id) == back


def _drop(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.iloc[3:]


def _foreign(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(id=["h900", *frame["id"][1:]])


def _twice(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame, frame.iloc[:1]])


def _class(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.rename(columns={"politik": "politics"})


def _fold(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(fold=[(frame["fold"].iloc[0] + 1) % 3, *frame["fold"][1:]])


def _gap(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(politik=[None, *frame["politik"][1:]])


def _logits(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(politik=frame["politik"] * 3)


def _word(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(politik=["much", *frame["politik"].astype(str)[1:]])


@pytest.mark.parametrize(
    ("spoil", "error", "said"),
    [
        (_drop, AlignmentError, "3 missing: h0, h1, h2"),
        (_foreign, AlignmentError, "unknown: h900"),
        (_twice, AlignmentError, "1 twice: h0"),
        (_class, AlignmentError, "1 missing: politik; 1 unknown: politics"),
        (_fold, AlignmentError, "h0 in fold"),
        (_gap, InputError, "h0"),
        (_logits, InputError, "sum to one"),
        (_word, InputError, "h0"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_every_mismatch_is_named(
    prepared: Prepared, tmp_path: Path, spoil: Callable[[pd.DataFrame], pd.DataFrame], error: type[PitwallError], said: str
) -> None:
    workspace, contest, folds, _ = prepared
    oof, test = exported(prepared, tmp_path, ".csv")
    spoil(pd.read_csv(oof)).to_csv(oof, index=False)
    with pytest.raises(error) as caught:
        import_predictions(workspace, contest, folds, oof=oof, test=test)
    assert said in str(caught.value)
    assert len(list_runs(workspace.store, contest.id)) == 1 and not workspace.import_dir(contest.folder, "x").parent.exists()


@pytest.mark.parametrize("array", [np.ones((47, 2)) / 2, np.ones((48, 3)) / 3, np.ones(48), np.full((48, 2), "a")])
def test_an_array_of_another_shape_is_refused(prepared: Prepared, tmp_path: Path, array: np.ndarray) -> None:
    workspace, contest, folds, _ = prepared
    _, test = exported(prepared, tmp_path, ".npy")
    np.save(tmp_path / "bad.npy", array)
    with pytest.raises((AlignmentError, InputError)):
        import_predictions(workspace, contest, folds, oof=tmp_path / "bad.npy", test=test)


def test_test_predictions_other_folds_and_unknown_forms_are_asked_for(prepared: Prepared, tmp_path: Path) -> None:
    workspace, contest, folds, _ = prepared
    oof, test = exported(prepared, tmp_path, ".csv")
    with pytest.raises(InputError, match="test predictions are missing"):
        import_predictions(workspace, contest, folds, oof=oof)
    others = save_folds(workspace, contest, FoldsSpec(n_folds=3, seed=1))
    assert not np.array_equal(load_folds(workspace, folds).roles, load_folds(workspace, others).roles)
    with pytest.raises(AlignmentError, match="other folds"):
        import_predictions(workspace, contest, others, oof=oof, test=test)
    for bad in (tmp_path / "oof.xlsx", tmp_path / "nothing.npy", tmp_path / "nothing.parquet"):
        with pytest.raises(InputError):
            import_predictions(workspace, contest, folds, oof=bad, test=test)


def test_rows_without_a_prediction_do_not_leave(prepared: Prepared, tmp_path: Path) -> None:
    workspace, contest, folds, run = prepared
    part = finish_run(workspace, contest, folds, make_recipe(contest, "part"), n_done=2)
    with pytest.raises(StateError, match="not finished"):
        export_predictions(source_of(workspace, part), oof=tmp_path / "oof.csv")
    both = [run, part]
    blend = blend_runs(workspace, contest, both, BlendProcedure(), fold_numbers=shared_folds(both))
    with pytest.raises(StateError, match="some folds only"):
        export_predictions(source_of(workspace, blend), oof=tmp_path / "oof.csv")
    export_predictions(source_of(workspace, blend), test=tmp_path / "test.csv")
    assert [path.name for path in tmp_path.glob("*.csv")] == ["test.csv"]


def test_problems_of_both_files_are_told_together(prepared: Prepared, tmp_path: Path) -> None:
    workspace, contest, folds, _ = prepared
    oof, test = exported(prepared, tmp_path, ".csv")
    _drop(pd.read_csv(oof)).to_csv(oof, index=False)
    _class(pd.read_csv(test)).to_csv(test, index=False)
    delivery = read_delivery(workspace, contest, folds, oof=oof, test=test)
    assert (delivery.oof, delivery.test) == (None, None)
    assert [problem.where for problem in delivery.problems] == ["oof.csv", "test.csv"]
    with pytest.raises(AlignmentError, match="2 reasons") as caught:
        import_predictions(workspace, contest, folds, oof=oof, test=test)
    assert "h0, h1, h2" in str(caught.value) and "politics" in str(caught.value)
    assert isinstance(caught.value.why, Joined)  # so that each reason is said in the language of the screen


def test_an_order_of_classes_is_for_arrays_only(prepared: Prepared, tmp_path: Path) -> None:
    workspace, contest, folds, run = prepared
    oof, test = exported(prepared, tmp_path, ".npy")
    order = contest.spec.classes[::-1]
    for path in (oof, test):
        np.save(path, np.load(path)[:, ::-1])
    back = import_predictions(workspace, contest, folds, oof=oof, test=test, classes=order)
    np.testing.assert_array_equal(load_oof(workspace, back, contest), load_oof(workspace, run, contest))
    tables = exported(prepared, tmp_path, ".csv")
    with pytest.raises(InputError, match="nothing needs"):
        import_predictions(workspace, contest, folds, oof=tables[0], test=tables[1], classes=order)


def test_nothing_stays_when_the_run_cannot_be_added(prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, contest, folds, _ = prepared
    oof, test = exported(prepared, tmp_path, ".npy")

    def full(*_: object, **__: object) -> Run:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("core.exchange.exchange.add_imported_run", full)
    with pytest.raises(OSError, match="No space"):
        import_predictions(workspace, contest, folds, oof=oof, test=test)
    assert list(workspace.import_dir(contest.folder, "x").parent.iterdir()) == []


@pytest.mark.parametrize("suffix", [".npy", ".csv", ".parquet"])
def test_predictions_of_several_labels_go_out_and_come_back_the_same(workspace: Workspace, tmp_path: Path, suffix: str) -> None:
    contest, (run, *_) = finish_emotions(workspace, tmp_path / "emotions")
    folds = get_folds(workspace.store, run.folds_id)
    oof, test = tmp_path / f"oof{suffix}", tmp_path / f"test{suffix}"
    export_predictions(source_of(workspace, run), oof=oof, test=test)
    back = import_predictions(workspace, contest, folds, oof=oof, test=test)
    np.testing.assert_array_equal(load_oof(workspace, back, contest), load_oof(workspace, run, contest))
    assert back.fold_scores("macro_f1") == pytest.approx(run.fold_scores("macro_f1"))
    assert prepare(source_of(workspace, back)).data == prepare(source_of(workspace, run)).data
    if suffix == ".csv":
        assert oof.read_text(encoding="utf-8").splitlines()[0].replace('"', "") == ",".join(("id", "fold", *EMOTIONS))
        pd.read_csv(oof).assign(기쁨=1.5).to_csv(oof, index=False)
        with pytest.raises(InputError, match="sigmoid"):
            import_predictions(workspace, contest, folds, oof=oof, test=test)


@pytest.mark.parametrize(("n_classes", "skew"), [(2, 1.0), (2, 30.0), (10, 1.0), (10, 3.0)])
def test_shuffled_rows_are_suspect_and_a_weak_run_is_not(n_classes: int, skew: float) -> None:
    rng = np.random.default_rng(n_classes)
    share = np.linspace(1, skew, n_classes)
    found, n_false = 0, 0
    for _ in range(100):
        y_true = rng.choice(n_classes, 800, p=share / share.sum())
        logits = rng.normal(size=(800, n_classes)) + np.log(share)
        logits[np.arange(800), y_true] += 0.8
        prob = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
        n_false += "shuffled" in suspicions(y_true, prob)
        found += bool(suspicions(y_true, prob[rng.permutation(800)]))
    assert found >= 80 and n_false == 0  # few rows of a rare class agree by chance more easily


def test_one_answer_for_every_row_leaves_nothing_to_shuffle() -> None:
    y_true, prob = np.arange(100) % 10 // 9, np.tile(np.array([[0.9, 0.1]], np.float32), (100, 1))
    assert suspicions(y_true, prob) == () and suspicions(1 - y_true, prob) == ("frequent",)


def test_several_labels_in_another_order_are_suspect(workspace: Workspace, tmp_path: Path) -> None:
    contest, (run, *_) = finish_emotions(workspace, tmp_path / "emotions")
    oof, test = tmp_path / "oof.npy", tmp_path / "test.npy"
    export_predictions(source_of(workspace, run), oof=oof, test=test)
    folds = get_folds(workspace.store, run.folds_id)
    unchecked = tuple(DOUBTS[name] for name in UNCHECKED_OF_FILES)
    assert doubts_of(import_predictions(workspace, contest, folds, oof=oof, test=test)) == ((), unchecked)
    np.save(oof, np.random.default_rng(0).permutation(np.load(oof)))
    assert doubts_of(import_predictions(workspace, contest, folds, oof=oof, test=test)) == ((DOUBTS["ranks"],), unchecked)
    assert doubts_of(run) == ((), ())


def test_the_mean_auc_is_scikit_learns_and_tells_rows_in_another_order(workspace: Workspace, tmp_path: Path) -> None:
    contest, (run, *_) = finish_emotions(workspace, tmp_path / "emotions", layout="cells")
    truth, prob = load_truth(workspace, contest).labels, load_oof(workspace, run, contest)
    for value in (prob, np.round(prob, 1), (prob > 0.5).astype(np.float32)):
        assert mean_auc(truth, value) == pytest.approx(roc_auc_score(truth, value, average="macro"))
    assert mean_auc(truth, prob) > 0.9 > CHANCE_AUC > mean_auc(truth, np.random.default_rng(0).permutation(prob))
    alone = truth.copy()
    alone[:, 2] = 0
    assert mean_auc(alone, prob) == pytest.approx(roc_auc_score(np.delete(truth, 2, 1), np.delete(prob, 2, 1), average="macro"))
    assert np.isnan(mean_auc(np.zeros_like(truth), prob))
