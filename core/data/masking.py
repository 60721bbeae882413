"""Rows of texts with some of their tokens masked, which a network learns to fill in (BERT, Devlin et al. 2019, arXiv 1810.04805)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from core.data.batches import Batch, Key
from core.data.randomness import derive
from core.data.texts import TextRows
from core.data.tokens import Ids

SHARE = 0.15
"""Of the tokens of a row so many are to be filled in."""
MASKED, REPLACED = 0.8, 0.1
"""Of those, these shares become [MASK] and any token; the rest stays as it is."""
NOT_ASKED = -100
"""The label of a token that is not to be filled in, as in torch."""


@dataclass(frozen=True)
class Masking:
    """What masks tokens: the id of [MASK], ids that are never masked, and how many ids there are."""

    mask_id: int
    special_ids: tuple[int, ...]
    n_ids: int

    def of(self, ids: Ids, rng: np.random.Generator) -> tuple[Ids, Ids]:
        """The tokens with some of them masked, one at least where there is one, and the labels (length,)."""
        places = np.flatnonzero(~np.isin(ids, self.special_ids))
        n_chosen = max(1, round(SHARE * len(places))) if len(places) else 0
        chosen, how = rng.permutation(places)[:n_chosen], rng.random(n_chosen)
        seen, labels = ids.copy(), np.full_like(ids, NOT_ASKED)
        labels[chosen] = ids[chosen]
        seen[chosen[how < MASKED]] = self.mask_id
        replaced = chosen[(how >= MASKED) & (how < MASKED + REPLACED)]
        seen[replaced] = rng.integers(self.n_ids, size=len(replaced))
        return seen, labels


class MaskedRows:
    """Rows of texts, masked anew for (seed, epoch, row, repeat): micro-batches and a resume change nothing, and epoch 0 is always masked alike."""

    def __init__(self, texts: TextRows, masking: Masking) -> None:
        self.texts, self.masking = texts, masking

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The tokens that are read at once of each text."""
        return self.texts.lengths

    def __getitem__(self, key: Key) -> tuple[int, list[tuple[Ids, Ids]]]:
        row, windows = self.texts[key]
        rng = np.random.default_rng(derive(self.texts.seed, "mask", *key))
        return row, [self.masking.of(ids, rng) for ids in windows]

    def collate(self, samples: Sequence[tuple[int, list[tuple[Ids, Ids]]]]) -> Batch:
        """The batch of the texts, and `labels` int64 of the same shape as `input_ids`: the token where one is to be filled in, else NOT_ASKED."""
        batch = self.texts.collate([(row, [ids for ids, _ in windows]) for row, windows in samples])
        found = np.full(batch["input_ids"].shape, NOT_ASKED, dtype=np.int64)
        for position, labels in enumerate(labels for _, windows in samples for _, labels in windows):
            found[position, : len(labels)] = labels
        return {**batch, "labels": torch.from_numpy(found)}
