"""Which words of a text mattered for what a run says of it. Networks are asked without one part after another (occlusion, Zeiler and Fergus
2014, arXiv 1311.2901), on any runtime; of TF-IDF every term's part in the logit is known. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.data.compose import compose_typed
from core.specs.network import NetworkSpec
from core.training.tfidf import TfidfPredictor

if TYPE_CHECKING:
    from core.training.predictor import Predictor

Array = NDArray[np.float32]
WORD = re.compile(r"\S+")
MOST_PARTS = 64
"""A longer text is left out in so many parts of several words; one that a network reads in several windows in fewer."""
LEAST_PARTS = 16


@dataclass(frozen=True)
class WordEffects:
    """Parts of a text, each `spans[i]` (start, stop) in characters, and what each did for the class `label`, `effects` (n_parts,).

    Positive speaks for the class. Occlusion: by how much its probability falls without the part, `words_at_once` words, with `fold` that of the
    network that was asked. `is_exact` (TF-IDF, the mean over networks): the part's share of the logit, less the mean over classes where a row
    has one.
    """

    label: int
    spans: tuple[tuple[int, int], ...]
    effects: Array
    is_exact: bool
    words_at_once: int = 1
    fold: int = -1

    def strongest(self, text: str, n: int) -> list[tuple[str, float]]:
        """The `n` parts with the largest effects either way, the strongest first."""
        order = np.argsort(-np.abs(self.effects), kind="stable")[:n]
        return [(text[slice(*self.spans[place])], float(self.effects[place])) for place in order]


@dataclass(frozen=True)
class TextLook:
    """What the networks of a run say of one text: probabilities `prob` (n_classes,), and which words mattered for the likeliest class."""

    prob: Array
    words: WordEffects


def look_at_text(folds: Sequence[Sequence[Predictor]], text: str) -> TextLook:
    """Predict a text as `predict_run` does, the mean over folds of the mean over a fold's networks, and ask which words mattered."""
    of_fold = [np.mean([_predict(network, [text])[0] for network in fold], axis=0) for fold in folds]
    prob = np.asarray(np.mean(of_fold, axis=0, dtype=np.float64), dtype=np.float32)
    return TextLook(prob, find_words([network for fold in folds for network in fold], text, int(prob.argmax())))


def find_words(networks: Sequence[Predictor], text: str, label: int) -> WordEffects:
    """The words of a text that mattered for the class `label`: of TF-IDF exactly, else by the network that is surest of the class."""
    words = [found.span() for found in WORD.finditer(text)]
    linear = [network for network in networks if isinstance(network, TfidfPredictor)]
    if len(linear) == len(networks):
        effects = np.mean([network.effects(text, words, label) for network in linear], axis=0)
        return WordEffects(label, tuple(words), effects.astype(np.float32), is_exact=True)
    sure = [float(_predict(network, [text])[0, label]) for network in networks]
    number = int(np.argmax(sure))
    at_once = -(-len(words) // _most_parts(networks[number].spec)) or 1
    spans = tuple((words[at][0], words[min(at + at_once, len(words)) - 1][1]) for at in range(0, len(words), at_once))
    without = [text[:start] + text[stop:] for start, stop in spans]
    prob = _predict(networks[number], without)[:, label] if without else np.empty(0, dtype=np.float32)
    effects = np.asarray(sure[number] - prob, dtype=np.float32)
    return WordEffects(label, spans, effects, is_exact=False, words_at_once=at_once, fold=networks[number].spec.fold)


def _predict(network: Predictor, texts: Sequence[str]) -> Array:
    return network.predict([compose_typed(network.spec.compose, text) for text in texts])


def _most_parts(spec: NetworkSpec) -> int:
    return max(LEAST_PARTS, MOST_PARTS // spec.windows) if spec.truncation == "windows" else MOST_PARTS
