"""A text network as one ONNX file, run by ONNX Runtime: from texts to probabilities. Imports no torch.

The file suffices: its metadata hold the fields of `NetworkSpec`, the tokenizer as the JSON of `tokenizers`, and the tokens that a text is put between.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, softmax
from tokenizers import Tokenizer

from core.base.errors import CheckpointError
from core.base.messages import reason
from core.data.cleaning import clean_for
from core.data.token_cache import tokens_of
from core.data.tokens import Cut, Ids
from core.onnx.runtime import OUTPUT, Array, open_session
from core.specs.network import NetworkSpec

INPUTS = ("input_ids", "attention_mask")
LOGITS = "logits"
BATCH = 16
"""Texts, or windows of them, at once; those of similar length together."""


@dataclass(frozen=True)
class JsonTokenizer:
    """A tokenizer of the library `tokenizers`, which neither cuts nor pads: an `Encoder` of `core.data.token_cache`."""

    tokenizer: Tokenizer
    identity: str = ""

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, without special tokens around it."""
        return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]


@dataclass(frozen=True)
class OnnxTextPredictor:
    """What a file of ONNX predicts texts with: a `Predictor` of `core.training.predictor`."""

    spec: NetworkSpec
    session: Any
    tokenizer: JsonTokenizer
    cut: Cut
    pad_id: int

    def predict(
        self, rows: Sequence[str] | Sequence[Path], *, sha256: Sequence[str] = (), after_batch: Callable[[int], None] | None = None
    ) -> Array:
        """Probabilities (n, n_classes) of texts, which are cleaned and cut as those it was trained on; of several windows the mean of the logits.

        `after_batch(n)` hears of every n texts, and may raise to stop.
        """
        tokens = tokens_of(clean_for(self.spec, [str(row) for row in rows]), self.tokenizer, None, lambda done, total: None)
        found = np.empty((len(rows), len(self.spec.classes)), dtype=np.float32)
        order = np.argsort(-tokens.lengths, kind="stable")
        for start in range(0, len(rows), BATCH):
            part = order[start : start + BATCH]
            counts = [self.cut.count(len(tokens.of(int(row)))) for row in part]
            windows = [self.cut.window(tokens.of(int(row)), at) for row, n in zip(part, counts, strict=True) for at in range(n)]
            found[part] = self._predict_windows(windows, counts)
            if after_batch is not None:
                after_batch(len(part))
        return found

    def _predict_windows(self, windows: list[Ids], counts: list[int]) -> Array:
        runs = [self._run(windows[start : start + BATCH]) for start in range(0, len(windows), BATCH)]
        if len(windows) == len(counts):
            return np.concatenate([prob for prob, _ in runs])
        logits = np.concatenate([each for _, each in runs])
        starts = np.cumsum([0, *counts[:-1]])
        mean = np.add.reduceat(logits, starts, axis=0) / np.asarray(counts)[:, None]
        if self.spec.labels == "several":
            return expit(mean)
        return softmax(-np.logaddexp(0, -mean) if self.spec.one_vs_rest else mean, axis=1)

    def _run(self, windows: list[Ids]) -> tuple[Array, Array]:
        ids = np.full((len(windows), max(map(len, windows))), self.pad_id, dtype=np.int64)
        mask = np.zeros_like(ids)
        for place, window in enumerate(windows):
            ids[place, : len(window)] = window
            mask[place, : len(window)] = 1
        prob, logits = self.session.run([OUTPUT, LOGITS], dict(zip(INPUTS, (ids, mask), strict=True)))
        return np.asarray(prob), np.asarray(logits)


def load_onnx_text(path: Path) -> OnnxTextPredictor:
    """The text network in a file. Raises CheckpointError where it cannot be read, or says not what it is."""
    session, spec, known = open_session(path)
    try:
        tokenizer = Tokenizer.from_str(known["tokenizer"])
        before, after, pad_id = (json.loads(known[name]) for name in ("tokens_before", "tokens_after", "pad_id"))
    except Exception as problem:  # the library raises Exception itself
        raise CheckpointError(
            "{file} cannot be read by ONNX Runtime", where=str(path), why=reason(problem), fix="export the network again", file=path.name
        ) from problem
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return OnnxTextPredictor(spec, session, JsonTokenizer(tokenizer), Cut.made(spec, before, after), pad_id)


def text_metadata(tokenizer: str, cut: Cut, pad_id: int) -> dict[str, str]:
    """What is written into a file beside the graph and the fields of `NetworkSpec`."""
    return {
        "tokenizer": tokenizer,
        "tokens_before": json.dumps(cut.before),
        "tokens_after": json.dumps(cut.after),
        "pad_id": json.dumps(pad_id),
    }
