"""The built-in contests: deterministic, whole or not at all, their truth kept apart."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.base.errors import CheckpointError, NotFoundError, StateError, SubmissionError
from core.contest import samples
from core.contest.inspect.draft import inspect_path
from core.contest.samples import SAMPLES, hidden_scores, make_sample, open_sample, truth_path
from core.contest.table import load_table, load_truth
from core.metrics.scores import get_metric
from core.specs.kept import HiddenScores
from core.store.contests import list_contests
from core.workspace import Workspace, open_workspace
from tests.contest.contest_folders import registered, snapshot, text_contest


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace that has both samples; the tests that take it only read."""
    made = open_workspace(tmp_path_factory.mktemp("samples"))
    for name in SAMPLES:
        open_sample(made, name)
    return made


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_sample_is_made_quickly_and_the_same_twice(tmp_path: Path, name: str) -> None:
    folders = []
    for number in range(2):
        started = time.process_time()
        folders.append(snapshot(make_sample(open_workspace(tmp_path / str(number)), name).parent))
        assert time.process_time() - started < 10
    assert folders[0] == folders[1]
    assert set(next(zip(*(path.split("/") for path in folders[0]), strict=False))) == {name, f"{name}.truth.csv", f"{name}.truth.sha256"}


def test_digits_are_a_contest_like_any_other(sampled: Workspace) -> None:
    contest = open_sample(sampled, "digits")
    table = load_table(sampled, contest)
    assert (contest.n_train, contest.n_test, contest.spec.metric, contest.sample) == (4000, 1000, "log_loss", "digits")
    assert contest.spec.classes == tuple("0123456789")
    assert np.bincount(load_truth(sampled, contest).labels).tolist() == [400] * 10
    assert table.train["id"][0].startswith("0")
    assert not set(table.train["id"]) & set(table.test["id"])
    found = inspect_path(sampled.samples_dir / "digits")
    assert found.draft == contest.spec
    assert open_sample(sampled, "digits") == contest


def test_copies_of_a_title_are_on_one_side(sampled: Workspace) -> None:
    contest = open_sample(sampled, "news")
    table = load_table(sampled, contest)
    assert contest.n_train + contest.n_test == 2225
    assert 480 <= contest.n_test <= 520
    assert not set(table.train["input"]) & set(table.test["input"])
    assert table.train["input"].duplicated().sum() + table.test["input"].duplicated().sum() > 90
    assert (table.train["input"].str.len() > 0).all()
    found = inspect_path(sampled.samples_dir / "news")
    assert found.draft == contest.spec.model_copy(update={"metric": "accuracy"})


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_the_truth_is_hidden_and_split_in_two(sampled: Workspace, name: str) -> None:
    folder = make_sample(sampled, name)
    truth = pd.read_csv(truth_path(sampled, name), dtype="str", keep_default_na=False)
    test = pd.read_csv(folder / "test.csv", dtype="str")
    assert truth["id"].tolist() == test["id"].tolist()
    assert "label" not in test.columns
    assert 0.29 < (truth["part"] == "public").mean() < 0.31
    assert set(truth["part"]) == {"public", "private"}
    assert not list(folder.rglob("*truth*"))


PERFECT = HiddenScores(metric="macro_f1", public=1.0, private=1.0)


def test_hidden_scores_are_those_of_the_metric(sampled: Workspace) -> None:
    contest = open_sample(sampled, "digits")
    truth = pd.read_csv(truth_path(sampled, "digits"), dtype="str")
    rng = np.random.default_rng(0)
    prob = rng.dirichlet(np.ones(10), len(truth))
    columns = [str(number) for number in rng.permutation(10)]
    frame = pd.DataFrame({"id": truth["id"], **{name: [repr(float(value)) for value in prob[:, int(name)]] for name in columns}})
    shuffled = frame.sample(frac=1, random_state=1)
    scores = hidden_scores(sampled, contest, shuffled)
    assert scores is not None
    for part in ("public", "private"):
        rows = (truth["part"] == part).to_numpy()
        assert getattr(scores, part) == pytest.approx(get_metric("log_loss").score(truth["label"].astype(int).to_numpy()[rows], prob[rows]))
    with pytest.raises(SubmissionError):
        hidden_scores(sampled, contest, frame[1:])


def test_hidden_scores_of_labels(sampled: Workspace) -> None:
    contest = open_sample(sampled, "news")
    truth = pd.read_csv(truth_path(sampled, "news"), dtype="str")
    perfect = hidden_scores(sampled, contest, truth[["id", "label"]])
    assert perfect == PERFECT
    constant = hidden_scores(sampled, contest, truth[["id"]].assign(label="tech"))
    assert constant is not None
    assert constant.private < 0.2


def test_a_contest_of_ones_own_has_no_hidden_score(workspace: Workspace, tmp_path: Path) -> None:
    contest, _ = registered(workspace, text_contest(tmp_path / "c"))
    assert hidden_scores(workspace, contest, pd.DataFrame({"id": [], "pred": []})) is None


def test_a_name_that_is_taken_is_said(workspace: Workspace, tmp_path: Path) -> None:
    registered(workspace, text_contest(tmp_path / "c"), name="news")
    with pytest.raises(StateError, match="named 'news'"):
        open_sample(workspace, "news")
    assert len(list_contests(workspace.store)) == 1


def test_an_unknown_sample_and_a_missing_package_are_said(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFoundError, match="no sample named 'faces'"):
        open_sample(workspace, "faces")
    monkeypatch.setattr(samples, "find_spec", lambda name: None)
    with pytest.raises(NotFoundError) as caught:
        open_sample(workspace, "digits")
    assert "requirements-demo.txt" in caught.value.fix
    assert not workspace.samples_dir.exists()


def test_an_interrupted_sample_leaves_nothing(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(source: Path, folder: Path) -> pd.DataFrame:
        (folder / "train.csv").write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setitem(samples.MAKERS, "news", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_sample(workspace, "news")
    assert not list(workspace.samples_dir.iterdir())


def test_a_truth_that_changed_scores_nothing_and_one_that_is_gone_is_made_again(sampled: Workspace) -> None:
    contest = open_sample(sampled, "news")
    path = truth_path(sampled, "news")
    written = path.read_bytes()
    frame = pd.read_csv(path, dtype="str")[["id", "label"]]
    path.write_bytes(written.replace(b"public", b"privat", 1))
    with pytest.raises(CheckpointError, match="hidden truth") as caught:
        hidden_scores(sampled, contest, frame)
    assert caught.value.where == str(path)
    path.unlink()
    assert hidden_scores(sampled, contest, frame) == PERFECT
    assert path.read_bytes() == written
