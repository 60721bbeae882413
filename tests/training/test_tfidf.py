"""TF-IDF with a linear classifier: what scikit-learn's own pipeline says, in seconds, stored without pickle and read back to the byte."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline

from core.base.errors import InputError
from core.recipes.plan import load_preset
from core.specs.model_settings import TfidfSettings
from core.specs.progress import EpochReport, Interrupted, Progress
from core.specs.recipe import Recipe
from core.training.predictor import load_network
from core.training.task import FoldOutput, FoldTask
from core.training.tfidf import CONSTANT_LOGIT, fit_tfidf, train_tfidf
from tests.training.small_tasks import N_TEST, make_task, recipe_of

ROOT = Path(__file__).parents[2]
BASE: dict[str, Any] = {"modality": "text", "model": {"backbone": "tfidf-logreg", "pretrained": False}, "train": {"epochs": 1}}


def train(task: FoldTask) -> FoldOutput:
    return train_tfidf(task, report=lambda said: None, should_stop=lambda: False)


KINDS = ("tfidf-logreg", "tfidf-svm")


@pytest.mark.parametrize("kind", KINDS)
def test_a_fold_learns_is_reported_as_one_epoch_and_predicts_the_same_from_its_folder(tmp_path: Path, kind: str) -> None:
    task = make_task(tmp_path, recipe_of(BASE, model={"backbone": kind}))
    said: list[Progress | EpochReport] = []
    output = train_tfidf(task, report=said.append, should_stop=lambda: False)
    (epoch,) = [each for each in said if isinstance(each, EpochReport)]
    assert output.scores["accuracy"] > 0.9 and output.scores["log_loss"] < 0.5
    assert output.valid_prob.shape == (len(task.valid_idx), 3) and output.test_prob.shape == (N_TEST, 3)
    np.testing.assert_allclose(output.test_prob.sum(axis=1), 1, atol=1e-6)
    assert epoch.scores == output.scores and epoch.train_accuracy == 1.0
    assert not list(task.network_dir.glob("*.pkl")) and not list(task.network_dir.glob("*.joblib"))
    again = load_network(task.network_dir)
    np.testing.assert_array_equal(again.predict([str(text) for text in task.test_inputs]), output.test_prob)
    second = train(make_task(tmp_path, recipe_of(BASE, model={"backbone": kind})))
    np.testing.assert_array_equal(second.test_prob, output.test_prob)


def test_words_alone_are_scikit_learns_own_pipeline(tmp_path: Path) -> None:
    task = make_task(tmp_path, recipe_of(BASE, tfidf={"words": 2, "chars": 0, "c": 5.0}))
    output = train(task)
    texts = [str(text) for text in task.inputs]
    peer = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b"), LogisticRegression(C=5.0, max_iter=300)
    ).fit([texts[row] for row in task.train_idx], task.labels[task.train_idx])
    np.testing.assert_allclose(output.valid_prob, peer.predict_proba([texts[row] for row in task.valid_idx]), atol=2e-3)


def test_rows_with_several_classes_have_a_probability_for_each(tmp_path: Path) -> None:
    task = make_task(tmp_path, recipe_of(BASE))
    several = np.stack([task.labels == 0, task.labels != 2, np.zeros(len(task.labels))], axis=1).astype(np.int64)
    output = train(make_task(tmp_path, recipe_of(BASE), labels=several, is_multilabel=True))
    found, truth = output.valid_prob > 0.5, several[task.valid_idx] == 1
    assert (found == truth).mean() > 0.9
    assert output.valid_prob[:, 2].max() < 1e-4, "a class that no training row has"


@pytest.mark.parametrize("is_svm", [False, True])
def test_a_class_without_training_rows_is_all_but_impossible(is_svm: bool) -> None:
    texts, labels = ["good film", "bad film", "good story", "bad story"] * 4, np.array([0, 2, 0, 2] * 4)
    model, said = fit_tfidf(texts, labels, 3, TfidfSettings(), is_svm=is_svm)
    prob = model.predict(["a good one", "a bad one"])
    assert prob.argmax(axis=1).tolist() == [0, 2] and prob[:, 1].max() < np.exp(-CONSTANT_LOGIT / 2) and not said


def test_a_machines_margins_become_probabilities_that_fit_unseen_rows() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 600)
    texts = [" ".join(rng.choice(["cat", "dog", "sun", "sea"], 5, p=[0.4 - 0.2 * y, 0.2 + 0.2 * y, 0.2, 0.2])) for y in labels]
    settings = TfidfSettings(chars=0)
    model, _ = fit_tfidf(texts[:400], labels[:400], 2, settings, is_svm=True)
    loss = log_loss(labels[400:], model.predict(texts[400:])[:, 1])
    assert loss < log_loss(labels[400:], np.full(200, labels[:400].mean())) - 0.02


def test_a_fit_that_has_not_converged_is_said() -> None:
    texts, labels = [f"{'good' if number % 2 else 'bad'} {number}" for number in range(40)], np.arange(40) % 2
    _, said = fit_tfidf(texts, labels, 2, TfidfSettings(c=10_000, max_iter=10), is_svm=False)
    assert "10 iterations" in said


def test_texts_without_a_term_are_refused_with_a_fix() -> None:
    with pytest.raises(InputError) as refused:
        fit_tfidf(["", " "], np.array([0, 1]), 2, TfidfSettings(), is_svm=False)
    assert "tfidf.min_rows" in refused.value.fix


def test_of_very_many_classes_fewer_terms_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.training.tfidf.MOST_WEIGHTS", 40)
    texts, labels = [f"word{number} and more words" for number in range(12)], np.arange(12) % 4
    model, _ = fit_tfidf(texts, labels, 4, TfidfSettings(), is_svm=False)
    assert model.coef.shape[1] <= 10


def test_a_worker_that_fits_one_loads_no_torch() -> None:
    code = "import sys, core.jobs.worker, core.jobs.fold, core.training.tfidf, core.predictions.oof, core.contest.table; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout == "False\n"


def test_it_stops_between_its_parts(tmp_path: Path) -> None:
    heard: list[Progress | EpochReport] = []
    with pytest.raises(Interrupted):
        train_tfidf(make_task(tmp_path, recipe_of(BASE)), report=heard.append, should_stop=lambda: len(heard) > 1)


def test_the_preset_is_that_recipe_and_its_settings_belong_to_no_other() -> None:
    assert load_preset("text-tfidf").model.backbone == "tfidf-logreg"
    with pytest.raises(ValueError, match=r"tfidf\.words is only used with"):
        Recipe.model_validate({**BASE, "model": {"backbone": "tiny_transformer", "pretrained": False}, "tfidf": {"words": 3}})
