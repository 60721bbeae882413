"""Rows of texts: token ids, cut to what a network reads, and padded to the longest of a batch."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from core.data.batches import Batch, Key
from core.data.randomness import derive
from core.data.token_cache import Encoder
from core.data.tokens import Cut, Ids, Tokens
from core.data.word_edits import edit_words
from core.specs.data_settings import AugmentSettings


@dataclass(frozen=True)
class WordEdits:
    """Texts whose words are changed by the settings, and what encodes them again; `rows` are those that are changed where not all are."""

    texts: Sequence[str]
    encoder: Encoder
    settings: AugmentSettings
    rows: frozenset[int] | None = None

    def text_of(self, row: int, repeat: int, rng: random.Random) -> str:
        """A text as it is read when an epoch has taken its row `repeat` times before."""
        if (self.rows is not None and row not in self.rows) or (self.settings.word_rows == "repeats" and not repeat):
            return self.texts[row]
        return edit_words(self.texts[row], self.settings, rng)

    def of(self, text: str, row: int, ids: Ids) -> Ids:
        """The tokens of a text of `text_of`; `ids`, those of the row's own, where nothing was changed."""
        return ids if text == self.texts[row] else np.array(self.encoder.encode([text])[0], dtype=np.int32)


class TextRows:
    """Tokens as rows. Of a text with several windows training reads one, drawn anew for (seed, fold, epoch, row, repeat); epoch 0 reads all.

    With `edits` the words of a text are changed in training, derived from the same, and it is encoded anew."""

    def __init__(self, tokens: Tokens, cut: Cut, *, pad_id: int, seed: int = 0, fold: int = 0, edits: "WordEdits | None" = None) -> None:
        self.tokens, self.cut, self.pad_id = tokens, cut, pad_id
        self.seed, self.fold, self.edits = seed, fold, edits

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, key: Key) -> tuple[int, list[Ids]]:
        ids, windows = self.whole(key)
        return key[1], [self.cut.window(ids, number) for number in windows]

    def whole(self, key: Key) -> tuple[Ids, Sequence[int]]:
        """The tokens of a row before they are cut, of its text with its words changed, and the numbers of the windows that are read."""
        epoch, row, repeat = key
        ids = self.tokens.of(row)
        if epoch and self.edits is not None:
            ids = self.edits.of(self.edited(key), row, ids)
        windows = range(self.cut.count(len(ids)))
        if epoch and len(windows) > 1:
            return ids, [derive(self.seed, "window", self.fold, epoch, row, repeat) % len(windows)]
        return ids, windows

    def edited(self, key: Key) -> str:
        """The text of a row with its words changed as training reads it, where `edits` are given."""
        assert self.edits is not None
        epoch, row, repeat = key
        return self.edits.text_of(row, repeat, random.Random(derive(self.seed, "words", self.fold, epoch, row, repeat)))

    @property
    def whole_lengths(self) -> NDArray[np.int64]:
        """The tokens of each text before it is cut, special ones with them."""
        return self.tokens.lengths + len(self.cut.before) + len(self.cut.after)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The tokens that are read at once of each text."""
        return self.cut.lengths(self.tokens.lengths)

    def collate(self, samples: Sequence[tuple[int, list[Ids]]]) -> Batch:
        """`input_ids` and `attention_mask` int64 (m, longest), and `row` (n,). Where a row has several windows, m is the number of all
        of them, and `n_windows` (n,) how many each row has, one after another."""
        found = [ids for _, windows in samples for ids in windows]
        input_ids = np.full((len(found), max(map(len, found))), self.pad_id, dtype=np.int64)
        attention_mask = np.zeros_like(input_ids)
        for position, ids in enumerate(found):
            input_ids[position, : len(ids)] = ids
            attention_mask[position, : len(ids)] = 1
        batch = {
            "input_ids": torch.from_numpy(input_ids),
            "attention_mask": torch.from_numpy(attention_mask),
            "row": torch.tensor([row for row, _ in samples]),
        }
        return batch if len(found) == len(samples) else {**batch, "n_windows": torch.tensor([len(windows) for _, windows in samples])}
