"""Which words of a text mattered: exactly for TF-IDF, by leaving out for a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import logit

from core.predictions.again import Rows
from core.predictions.words import MOST_PARTS, find_words, look_at_text
from core.specs.model_settings import TfidfSettings
from core.specs.network import NetworkSpec
from core.training.predictor import load_network
from core.training.tfidf import TfidfPredictor, fit_tfidf
from tests.training.small_tasks import TEXT, make_task, recipe_of, train

FILLER = [f"word{number}" for number in range(60)]
KEYS = ("행복", "angry", "calm")


def spec_of(labels: str = "one", **changes: object) -> NetworkSpec:
    values = {"modality": "text", "labels": labels, "classes": KEYS, "fold": 0, "backbone": "by hand", "library": "builtin"}
    return NetworkSpec.model_validate({**values, **changes})


def sentence(rng: np.random.Generator, n: int, label: int) -> tuple[str, str]:
    """Words that say nothing, and among them the one that tells the class."""
    words = rng.choice(FILLER, n).tolist()
    words.insert(int(rng.integers(0, n)), KEYS[label])
    return " ".join(words), KEYS[label]


@dataclass
class Finder:
    """A network whose class is likely where its key word stands."""

    spec: NetworkSpec = field(default_factory=spec_of)

    def predict(
        self, rows: Sequence[str] | Sequence[Path], *, sha256: Sequence[str] = (), after_batch: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        found = np.array([[0.9 if key in str(text).split() else 0.05 for key in KEYS] for text in rows], dtype=np.float32)
        return found / found.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("compose", "read"),
    [
        ({}, "it is angry"),
        ({"template": "query: {text}"}, "query: it is angry"),
        ({"template": "Which? {a.word}\\n{a.word}"}, "Which? it is angry\nit is angry"),
        ({"template": "{a} [SEP] {b}"}, "it is angry"),
        ({"template": "{text}!", "markers": "special", "marked_column": "text"}, "it is angry"),
    ],
)
def test_a_typed_text_takes_the_place_of_the_only_column_of_a_template(compose: dict[str, str], read: str) -> None:
    class Reader(Finder):
        def predict(self, rows: Sequence[str] | Sequence[Path], **options: object) -> NDArray[np.float32]:
            heard.extend(map(str, rows))
            return super().predict(rows)

    heard: list[str] = []
    network = Reader(spec_of(compose=compose))
    look = look_at_text([[network]], "it is angry")
    assert Rows(["1"], ["it is angry"]).inputs_of(network.spec) == [read] == heard[:1]
    assert look.words.strongest("it is angry", 1)[0][0] == "angry"
    assert read.replace("angry", "") in heard, "the word is left out of the text, and the template stays"


@pytest.mark.slow  # a network trains
def test_a_planted_word_is_named_by_a_trained_network(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 3, 300)
    texts = [sentence(rng, 8, int(label))[0] for label in truth]
    recipe = recipe_of(TEXT, optim={"lr": 0.003}, train={"epochs": 6, "batch_size": 16}, model={"dropout": 0.0})
    rows = np.arange(300)
    task = make_task(tmp_path, recipe, classes=KEYS, inputs=texts, labels=truth, train_idx=rows[60:], valid_idx=rows[:60])
    train(task)
    network, n_right = load_network(task.network_dir), 0
    for _ in range(40):
        label = int(rng.integers(0, 3))
        text, key = sentence(rng, 10, label)
        n_right += find_words([network], text, label).strongest(text, 1)[0][0] == key
    assert n_right >= 36, "nine tenths of them"


@pytest.mark.parametrize("labels", ["one", "several"])
def test_the_parts_of_tfidf_sum_to_the_logit_and_name_the_planted_word(labels: str) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 240)
    texts = [sentence(rng, 8, int(label))[0] for label in truth]
    given = np.eye(3, dtype=np.int64)[truth] if labels == "several" else truth
    model, _ = fit_tfidf(texts, given, 3, TfidfSettings(words=2, chars=3), is_svm=False)
    network, n_right = TfidfPredictor(spec_of(labels), model), 0
    for _ in range(40):
        label = int(rng.integers(0, 3))
        text, key = sentence(rng, 12, label)
        words = find_words([network], text, label)
        n_right += words.strongest(text, 1)[0][0] == key
        prob = network.predict([text])[0].astype(float)
        wanted = logit(prob[label]) - model.intercept[label]
        if labels == "one":
            wanted = np.log(prob[label]) - np.log(prob).mean() - (model.intercept[label] - model.intercept.mean())
        assert words.is_exact and words.effects.sum() == pytest.approx(wanted, abs=1e-4)
    assert n_right >= 36, "nine tenths of them"


def test_a_planted_word_is_named_also_in_a_text_of_more_words_than_are_left_out_one_by_one() -> None:
    rng, network = np.random.default_rng(1), Finder()
    for n in (5, MOST_PARTS + 40):
        text, key = sentence(rng, n, 1)
        look = look_at_text([[network], [network]], text)
        part, effect = look.words.strongest(text, 1)[0]
        assert (look.words.words_at_once, look.words.fold) == (1 if n == 5 else 2, 0)
        assert look.words.label == 1 and key in part.split() and effect > 0.3
        assert len(look.words.effects) <= MOST_PARTS and " ".join(text[a:b] for a, b in look.words.spans) == text
    assert find_words([network], "", 0).effects.shape == (0,)
