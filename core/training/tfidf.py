"""TF-IDF of words and characters with a linear classifier, by scikit-learn: a baseline for texts that is fitted in seconds on a processor.

It is fitted in one go, so there are no epochs to choose from, and but for the order in which a support vector machine sees its rows nothing of it is random. What it leaves are arrays and terms, no pickle.
"""

import json
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy.optimize import minimize_scalar
from scipy.sparse import hstack
from scipy.special import expit, log_softmax, softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from core.artefacts import write_manifest
from core.base.errors import InputError
from core.base.files import write_json
from core.base.messages import msg
from core.data.cleaning import clean_for
from core.metrics.scores import all_scores
from core.specs.model_settings import USUAL_C, TfidfSettings
from core.specs.network import NETWORK_FILE, NetworkSpec
from core.specs.progress import EpochReport, Interrupted, Phase, Progress
from core.training.task import FoldOutput, FoldTask

FAMILY = "tfidf"
TERMS_FILE, WEIGHTS_FILE = "terms.json", "weights.safetensors"
MOST_WEIGHTS = 20_000_000
"""Terms times classes: with more classes fewer terms are kept, the most frequent ones. 80 MB in float32."""
ROWS_AT_ONCE = 4096
HELD_OUT = 5
"""The part of the training rows, one in so many, that a support vector machine's temperature is fitted on."""
LOG_TEMPERATURES = (-2.3, 2.3)
CONSTANT_LOGIT = 12.0
"""Of a class of a multi-label contest that every training row has, or minus that where none has: a probability of 6e-6."""

Array = NDArray[np.float32]
Sparse = Any
"""A `scipy.sparse` matrix of float32 (n_texts, n_terms); SciPy has no types for it."""


@dataclass(frozen=True)
class Terms:
    """The n-grams that are counted, in the order of the columns, with their inverse document frequency (n_terms,)."""

    analyzer: str
    longest: int
    names: tuple[str, ...]
    idf: Array

    def vectorizer(self) -> TfidfVectorizer:
        """The vectorizer that was fitted."""
        made = _vectorizer(self.analyzer, self.longest, vocabulary={name: column for column, name in enumerate(self.names)})
        made.idf_ = self.idf
        return made


@dataclass(frozen=True)
class TfidfModel:
    """Terms and a linear classifier: `coef` (n_classes, n_terms) and `intercept` (n_classes,) give the logits."""

    parts: tuple[Terms, ...]
    coef: Array
    intercept: Array
    is_multilabel: bool

    def predict(self, texts: Sequence[str], after_batch: Callable[[int], object] = lambda n: None) -> Array:
        """Probabilities (n, n_classes); of one label a row sums to one."""
        vectorizers = [part.vectorizer() for part in self.parts]
        prob = np.empty((len(texts), len(self.intercept)), dtype=np.float32)
        for start in range(0, len(texts), ROWS_AT_ONCE):
            some = texts[start : start + ROWS_AT_ONCE]
            logits = _side_by_side([each.transform(some) for each in vectorizers]) @ self.coef.T + self.intercept
            prob[start : start + len(some)] = expit(logits) if self.is_multilabel else softmax(logits, axis=1)
            after_batch(len(some))
        return prob

    def effects(self, words: Sequence[str], label: int) -> Array:
        """What each word (n_words,) of a text adds to the logit of the class `label`; where a row has one class, less what it adds to the mean
        over classes, which no softmax sees. With the intercept they sum to the logit. A term's share is the same wherever it stands, and one of
        several words is parted between them."""
        weight = self.coef[label] if self.is_multilabel else self.coef[label] - self.coef.mean(axis=0)
        found, start = np.zeros(len(words)), 0
        for part in self.parts:
            vectorizer = part.vectorizer()
            row, columns = vectorizer.transform([" ".join(words)]).toarray()[0], vectorizer.vocabulary_
            places = _places_of(vectorizer, part, words)
            for term, owners in places.items():
                if (column := columns.get(term)) is not None:
                    share = row[column] * weight[start + column] / len(owners)
                    for owner in owners:
                        np.add.at(found, owner, share / len(owner))
            start += len(part.names)
        return found.astype(np.float32)

    def save(self, folder: Path, spec: NetworkSpec) -> None:
        """Leave it as an artefact of its own: what it is, its terms, its arrays."""
        terms = [{"analyzer": part.analyzer, "longest": part.longest, "terms": part.names} for part in self.parts]
        write_json(folder / TERMS_FILE, terms)
        idf = {f"idf_{number}": part.idf for number, part in enumerate(self.parts)}
        save_file({"coef": self.coef, "intercept": self.intercept, **idf}, folder / WEIGHTS_FILE)
        write_json(folder / NETWORK_FILE, spec.to_dict())
        write_manifest(folder, kind="network")


@dataclass(frozen=True)
class TfidfPredictor:
    """One that was saved, as every family of networks predicts: see `Predictor` in predictor.py."""

    spec: NetworkSpec
    model: TfidfModel

    def predict(
        self, rows: Sequence[str] | Sequence[Path], *, sha256: Sequence[str] = (), after_batch: Callable[[int], None] | None = None
    ) -> Array:
        """Probabilities (n, n_classes) of texts."""
        return self.model.predict(clean_for(self.spec, [str(row) for row in rows]), after_batch or (lambda n: None))

    def effects(self, text: str, spans: Sequence[tuple[int, int]], label: int) -> Array:
        """What each word of a text, from `start` to `stop`, adds to the logit of a class: see `TfidfModel.effects`."""
        return self.model.effects(clean_for(self.spec, [text[start:stop] for start, stop in spans]), label)


def load_tfidf(folder: Path, spec: NetworkSpec, _device: str) -> TfidfPredictor:
    """What `TfidfModel.save` left; the folder is verified already."""
    arrays = load_file(folder / WEIGHTS_FILE)
    parts = tuple(
        Terms(part["analyzer"], part["longest"], tuple(part["terms"]), arrays[f"idf_{number}"])
        for number, part in enumerate(json.loads((folder / TERMS_FILE).read_text(encoding="utf-8")))
    )
    return TfidfPredictor(spec, TfidfModel(parts, arrays["coef"], arrays["intercept"], spec.labels == "several"))


def train_tfidf(task: FoldTask, *, report: Callable[[Progress | EpochReport], None], should_stop: Callable[[], bool]) -> FoldOutput:
    """Fit one fold and predict its validation and test rows; like `train_fold`, but there is nothing to go on from.

    Raises Interrupted between its parts, InputError where no term is left.
    """
    started, recipe, fold = time.monotonic(), task.recipe, task.fold

    def notify(phase: Phase, step: int = 0) -> None:
        if should_stop():
            raise Interrupted(msg("stopped while {phase}, epoch {epoch}, step {step}", phase=phase, epoch=1, step=step))
        report(Progress(phase, fold, 1, 1, step, 1))

    def texts_of(inputs: Sequence[str] | Sequence[Path], rows: NDArray[np.int64] | None = None) -> list[str]:
        return [str(text) for text in inputs] if rows is None else [str(inputs[row]) for row in rows]

    notify("loading")
    train_idx, valid_idx = np.asarray(task.train_idx, dtype=np.int64), np.asarray(task.valid_idx, dtype=np.int64)
    labels, texts = task.labels[train_idx], texts_of(task.inputs, train_idx)
    notify("training")
    model, said = fit_tfidf(
        texts, labels, len(task.classes), recipe.tfidf, is_svm=recipe.model.backbone == "tfidf-svm", seed=recipe.train.seed
    )
    notify("validating", 1)
    train_prob, valid_prob = model.predict(texts), model.predict(texts_of(task.inputs, valid_idx))
    train_scores = all_scores(labels, train_prob, multilabel=task.is_multilabel)
    scores = all_scores(task.labels[valid_idx], valid_prob, multilabel=task.is_multilabel)
    elapsed_s = time.monotonic() - started
    train_loss = train_scores["log_loss"]
    report(EpochReport(fold, 1, 1, train_loss, scores["log_loss"], scores, 0.0, elapsed_s, train_loss, train_scores.get("accuracy")))
    notify("predicting", 1)
    task.network_dir.mkdir(parents=True)
    model.save(task.network_dir, _describe(task))
    test_prob = model.predict(texts_of(task.test_inputs), lambda n: notify("predicting", 1))
    return FoldOutput(
        valid_prob=valid_prob,
        test_prob=test_prob,
        best_epoch=1,
        n_epochs=1,
        scores=scores,
        elapsed_s=time.monotonic() - started,
        facts={
            "device": "cpu",
            "threads": 1,
            "precision": "fp32",
            "micro_batch": ROWS_AT_ONCE,
            "n_params": model.coef.size + model.intercept.size,
            "n_terms": model.coef.shape[1],
            "weights": "from nothing",
            "n_train": len(train_idx),
            "n_valid": len(valid_idx),
            "n_test": len(test_prob),
            "elapsed_s": round(time.monotonic() - started, 2),
            "kept_epochs": [1],
            "said": said,
            "versions": _versions(),
        },
    )


def fit_tfidf(
    texts: Sequence[str], labels: NDArray[np.integer], n_classes: int, settings: TfidfSettings, *, is_svm: bool, seed: int = 0
) -> tuple[TfidfModel, str]:
    """Terms of `texts` (n) and a classifier of `labels`, (n,) or where a row may have several (n, n_classes) of 0 and 1; and what is to be
    said of the fit. Raises InputError where no term is left.
    """
    n_most = max(1, min(settings.max_terms, MOST_WEIGHTS // n_classes))
    analyzers = [("word", settings.words), ("char_wb", settings.chars)]
    chosen = [(analyzer, longest) for analyzer, longest in analyzers if longest]
    parts: list[Terms] = []
    counted: list[Sparse] = []
    for analyzer, longest in chosen:
        vectorizer = _vectorizer(analyzer, longest, min_df=settings.min_rows, max_features=max(1, n_most // len(chosen)))
        try:
            counted.append(vectorizer.fit_transform(texts))
        except ValueError:  # scikit-learn's word for an empty vocabulary, which the other part may not have
            continue
        names = tuple(vectorizer.get_feature_names_out().tolist())
        parts.append(Terms(analyzer, longest, names, np.asarray(vectorizer.idf_, dtype=np.float32)))
    if not parts:
        raise InputError(
            "no term is left to learn from",
            where="tfidf.min_rows",
            why=msg("none stands in {n} {n:text|texts} of this fold", n=settings.min_rows),
            fix="set tfidf.min_rows=1, or look whether the texts are empty",
        )
    x = _side_by_side(counted)
    fit = partial(_fit_svm, seed=seed) if is_svm else _fit_logistic
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        coef, intercept = _fit_all(fit, x, labels, n_classes, settings)
    is_unfinished = any(issubclass(warning.category, ConvergenceWarning) for warning in found)
    said = msg("the fit had not converged after {n} iterations: lower tfidf.c", n=settings.max_iter) if is_unfinished else ""
    return TfidfModel(tuple(parts), coef.astype(np.float32), intercept.astype(np.float32), labels.ndim == 2), said


Fit = Callable[[Sparse, NDArray[np.integer], TfidfSettings], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Of rows and their classes: coefficients (k, n_terms) and intercepts (k,), a row for each class that there is, of two classes for both."""


def _fit_all(
    fit: Fit, x: Sparse, labels: NDArray[np.integer], n_classes: int, settings: TfidfSettings
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A row of coefficients for every class; one that no training row has keeps a constant logit far below the others'."""
    coef = np.zeros((n_classes, x.shape[1]))
    if labels.ndim == 1:
        there = np.unique(labels)
        intercept = np.full(n_classes, -CONSTANT_LOGIT)
        if len(there) == 1:
            intercept[there] = CONSTANT_LOGIT
        else:
            coef[there], intercept[there] = fit(x, labels, settings)
        return coef, intercept
    intercept = np.where(labels.any(axis=0), CONSTANT_LOGIT, -CONSTANT_LOGIT)
    for place in np.flatnonzero(labels.any(axis=0) & ~labels.all(axis=0)):
        both, offset = fit(x, labels[:, place], settings)
        coef[place], intercept[place] = both[1] - both[0], offset[1] - offset[0]
    return coef, intercept


def _fit_logistic(x: Sparse, y: NDArray[np.integer], settings: TfidfSettings) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    made = LogisticRegression(
        C=settings.c or USUAL_C["tfidf-logreg"], class_weight=_class_weight(settings), max_iter=settings.max_iter
    ).fit(x, y)
    return _of_both(made.coef_, made.intercept_)


def _fit_svm(x: Sparse, y: NDArray[np.integer], settings: TfidfSettings, *, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Its margins over a temperature that is fitted on rows which a first machine has not seen; the second one has seen all."""

    def machine(rows: NDArray[np.int64]) -> Any:
        made = LinearSVC(
            C=settings.c or USUAL_C["tfidf-svm"], class_weight=_class_weight(settings), max_iter=settings.max_iter, random_state=seed
        )
        return made.fit(x[rows], y[rows])

    rows = np.arange(len(y))
    held = rows % HELD_OUT == 0
    first_classes = np.unique(y[~held])
    tested = rows[held & np.isin(y, first_classes)]
    temperature = 1.0
    if len(first_classes) > 1 and len(tested):
        coef, intercept = _of_both(*_arrays(machine(rows[~held])))
        margins, truth = x[tested] @ coef.T + intercept, np.searchsorted(first_classes, y[tested])

        def log_loss(log_t: float) -> float:
            return float(-log_softmax(margins / np.exp(log_t), axis=1)[np.arange(len(truth)), truth].mean())

        found: Any = minimize_scalar(log_loss, bounds=LOG_TEMPERATURES, method="bounded")
        temperature = float(np.exp(found.x))
    coef, intercept = _of_both(*_arrays(machine(rows)))
    return coef / temperature, intercept / temperature


def _arrays(made: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return made.coef_, made.intercept_


def _of_both(coef: NDArray[np.float64], intercept: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of two classes scikit-learn keeps one row, the logit of the second: one for each, so that their softmax is its sigmoid."""
    if len(coef) > 1:
        return coef, intercept
    return np.concatenate([-coef / 2, coef / 2]), np.concatenate([-intercept / 2, intercept / 2])


def _class_weight(settings: TfidfSettings) -> str | None:
    return "balanced" if settings.class_weight == "balanced" else None


def _vectorizer(analyzer: str, longest: int, **more: Any) -> TfidfVectorizer:
    """Logarithms of counts; words of a single letter too, which are whole words in Korean, and characters within words from pairs on."""
    shortest = 1 if analyzer == "word" else min(2, longest)
    if analyzer == "word":
        more["token_pattern"] = r"(?u)\b\w+\b"
    more["dtype"] = np.float32
    return TfidfVectorizer(analyzer=analyzer, ngram_range=(shortest, longest), sublinear_tf=True, **more)


def _places_of(vectorizer: TfidfVectorizer, part: Terms, words: Sequence[str]) -> dict[str, list[list[int]]]:
    """Where each n-gram of a text stands: a list of the words that it is of, for every time."""
    found: dict[str, list[list[int]]] = {}
    if part.analyzer == "char_wb":
        analyze: Callable[[str], list[str]] = vectorizer.build_analyzer()
        for number, word in enumerate(words):
            for term in analyze(word):
                found.setdefault(term, []).append([number])
        return found
    tokenize: Callable[[str], list[str]] = vectorizer.build_tokenizer()
    tokens = [(token, number) for number, word in enumerate(words) for token in tokenize(word.lower())]
    for n in range(1, part.longest + 1):
        for start in range(len(tokens) - n + 1):
            names, owners = zip(*tokens[start : start + n], strict=True)
            found.setdefault(" ".join(names), []).append([*owners])
    return found


def _side_by_side(parts: Sequence[Sparse]) -> Sparse:
    return hstack(parts, format="csr")


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("scikit-learn", "scipy", "numpy")}


def _describe(task: FoldTask) -> NetworkSpec:
    return NetworkSpec(
        family=FAMILY,
        modality="text",
        labels="several" if task.is_multilabel else "one",
        classes=task.classes,
        fold=task.fold,
        seed=task.recipe.train.seed,
        backbone=task.recipe.model.backbone,
        library="sklearn",
        compose=task.recipe.input.compose_settings,
        clean=task.recipe.clean,
        known_words=task.known_words,
        micro_batch=ROWS_AT_ONCE,
        versions=_versions(),
    )
