"""Token ids of many texts, and which of them a network reads of a long one: head, tail, both, or windows. Imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.specs.data_settings import Truncation

Ids = NDArray[np.int32]


class TokenLimits(Protocol):
    """What says how texts are cut: the input settings of a recipe, or what a trained network keeps of them."""

    @property
    def max_tokens(self) -> int: ...

    @property
    def truncation(self) -> Truncation: ...

    @property
    def head_share(self) -> float: ...

    @property
    def windows(self) -> int: ...

    @property
    def overlap(self) -> float: ...


@dataclass(frozen=True)
class Tokens:
    """The ids of n texts one after another, whole and without special tokens; `ends` (n,) is where each text ends among them."""

    ids: Ids
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ends)

    def of(self, row: int) -> Ids:
        """The ids of one text."""
        return self.ids[self.ends[row - 1] if row else 0 : self.ends[row]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n,)"""
        return np.diff(self.ends, prepend=0)


@dataclass(frozen=True)
class TokenLengths:
    """How long some texts are, in tokens with the special ones: the median, what all but the longest twentieth have at most, and the longest.
    `share_cut` of them are longer than what a network reads at once."""

    n_texts: int
    median: int
    most_of_95: int
    longest: int
    share_cut: float

    @classmethod
    def of(cls, lengths: NDArray[np.integer], max_tokens: int) -> "TokenLengths":
        """Of one text or more."""
        median, most = (int(np.quantile(lengths, q, method="higher")) for q in (0.5, 0.95))
        return cls(len(lengths), median, most, int(lengths.max()), float((lengths > max_tokens).mean()))


@dataclass(frozen=True)
class Cut:
    """What a network reads of the tokens of a text, of which it takes `max_tokens` with the special tokens `before` and `after` them.

    `head_tail` keeps both ends, `head_share` of what there is room for from the head (Sun et al. 2019, arXiv 1905.05583, took a quarter).
    `windows` are whole stretches spread evenly over the text, so many that each repeats `overlap` of the one before it or more, `n_windows`
    at the most.
    """

    max_tokens: int
    truncation: Truncation
    head_share: float
    n_windows: int
    overlap: float
    before: tuple[int, ...]
    after: tuple[int, ...]

    @classmethod
    def made(cls, limits: TokenLimits, before: Sequence[int], after: Sequence[int]) -> "Cut":
        return cls(limits.max_tokens, limits.truncation, limits.head_share, limits.windows, limits.overlap, tuple(before), tuple(after))

    @property
    def room(self) -> int:
        """How many tokens of a text there is room for."""
        return max(1, self.max_tokens - len(self.before) - len(self.after))

    def lengths(self, n_tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many tokens the network reads at once of texts of so many, special ones with them."""
        return np.minimum(n_tokens, self.room) + len(self.before) + len(self.after)

    def count(self, n_tokens: int) -> int:
        """How many windows a text of so many tokens has; 1 where texts are cut."""
        if self.truncation != "windows" or n_tokens <= self.room:
            return 1
        step = max(1, round(self.room * (1 - self.overlap)))
        return min(self.n_windows, 1 - (self.room - n_tokens) // step)  # rounded up

    def window(self, ids: Ids, number: int = 0) -> Ids:
        """What the network reads of a text, with its special tokens; of several windows the one with this number, from 0."""
        excess = len(ids) - self.room
        if excess > 0:
            match self.truncation:
                case "head":
                    ids = ids[: self.room]
                case "tail":
                    ids = ids[excess:]
                case "head_tail":
                    n_head = round(self.room * self.head_share)
                    ids = np.concatenate([ids[:n_head], ids[n_head + excess :]])
                case "windows":
                    start = round(excess * number / max(1, self.count(len(ids)) - 1))
                    ids = ids[start : start + self.room]
        return np.concatenate([np.array(self.before, dtype=np.int32), ids, np.array(self.after, dtype=np.int32)])
