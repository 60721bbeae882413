"""Text rows as a network takes them: tokenised once, padded to the longest of their batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from core.data.batches import Batch, Key
from models.text import TextTokenizer


class TextRows:
    """Token ids as rows. The epoch of a key changes nothing: texts are not augmented."""

    def __init__(self, texts: Sequence[str], tokenizer: TextTokenizer, *, max_tokens: int) -> None:
        self.ids = tokenizer.encode(texts, max_tokens)
        self.pad_id = tokenizer.pad_id

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, key: Key) -> tuple[int, list[int]]:
        _, row = key
        return row, self.ids[row]

    def length(self, row: int) -> int:
        """Its tokens."""
        return len(self.ids[row])

    def collate(self, samples: Sequence[tuple[int, list[int]]]) -> Batch:
        """`input_ids` and `attention_mask` int64 (n, longest), and `row` (n,)."""
        longest = max(len(ids) for _, ids in samples)
        input_ids = torch.full((len(samples), longest), self.pad_id)
        attention_mask = torch.zeros((len(samples), longest), dtype=torch.int64)
        for position, (_, ids) in enumerate(samples):
            input_ids[position, : len(ids)] = torch.tensor(ids)
            attention_mask[position, : len(ids)] = 1
        return {"input_ids": input_ids, "attention_mask": attention_mask, "row": torch.tensor([row for row, _ in samples])}
