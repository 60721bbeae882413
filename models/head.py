"""What may stand between a backbone's features and its logits in place of its own: pooling, and dropout with several masks."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

Pooling = Literal["", "cls", "mean", "avg", "max", "gem", "attention", "last"]
"""Of images "" is the network's own; avg, max and gem read its map or its tokens. Of texts "" is the mean; all others but avg read the tokens."""
Layers = Literal["last", "weighted", "last4_mean", "last4_concat"]
"""Which layers the tokens of a text are read from: the last one, a learned mean of all, or the last four, as their mean or side by side."""
FOUR = 4
GEM_FIRST_P, GEM_LEAST = 3.0, 1e-6


class Pool(nn.Module):
    """The mean, the maximum or the generalised mean over the places of a map or the tokens of a sequence.

    GeM is (mean of x^p)^(1/p) with x cut at 1e-6 from below (Radenovic et al. 2019, arXiv 1711.02512): p = 1 is the mean of positive
    features, a large p nears their maximum. p is one number that is learned, 3 at first.
    """

    def __init__(self, kind: Literal["avg", "max", "gem"]) -> None:
        super().__init__()
        self.kind = kind
        if kind == "gem":
            self.p = nn.Parameter(torch.tensor([GEM_FIRST_P]))

    def forward(self, places: Tensor, mask: Tensor | None = None) -> Tensor:
        """One vector a row (n, width) of features (n, places, width); `mask` (n, places) is 0 where there is no token."""
        inside = torch.ones_like(places[..., :1]) if mask is None else mask.unsqueeze(-1).to(places.dtype)
        if self.kind == "max":
            return places.masked_fill(inside == 0, -torch.inf).amax(dim=1)
        n_places = inside.sum(dim=1).clamp(min=1)
        if self.kind == "avg":
            return ((places.float() * inside).sum(dim=1) / n_places).to(places.dtype)
        values = places.float().clamp(min=GEM_LEAST) * inside
        largest = values.amax(dim=1, keepdim=True).detach()  # a scale that cancels: without it a large p underflows
        return (largest[:, 0] * (((values / largest) ** self.p).sum(dim=1) / n_places) ** (1 / self.p)).to(places.dtype)


class AttentionPool(nn.Module):
    """A mean of the tokens whose weights a small network learns (Yang et al. 2016): softmax over the tokens of v tanh(W h). v is zero at first, so
    that it starts as the plain mean."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden, self.score = nn.Linear(width, width), nn.Linear(width, 1)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """One vector a row (n, width) of tokens (n, length, width); `mask` (n, length) is 0 where there is no token."""
        scores = self.score(torch.tanh(self.hidden(tokens)))[..., 0].float()
        weights = scores.masked_fill(mask == 0, -torch.inf).softmax(dim=1)
        return (tokens.float() * weights.unsqueeze(-1)).sum(dim=1).to(tokens.dtype)


class TwoLevels(nn.Module):
    """Logits of coarse classes, and of the classes within each of them, as log-probabilities of the classes: log P(coarse) + log P(class | coarse).

    They are normalised already, so the cross-entropy of a softmax over them is that of the coarse class plus that of the class within it (for
    the hierarchical softmax: Morin and Bengio 2005). `coarse` (K,) numbers the coarse class of each class from 0, none left out.
    """

    def __init__(self, coarse: Sequence[int]) -> None:
        super().__init__()
        of = torch.tensor(coarse)
        self.n_coarse = int(of.max()) + 1
        self.of: Tensor
        self.inside: Tensor
        self.register_buffer("of", of, persistent=False)
        self.register_buffer("inside", of == torch.arange(self.n_coarse)[:, None], persistent=False)

    def forward(self, outputs: Tensor) -> Tensor:
        """Log-probabilities (n, K) in float32 of outputs (n, n_coarse + K), those of the coarse classes first."""
        coarse, fine = outputs.float().split([self.n_coarse, len(self.of)], dim=1)
        within = fine[:, None].masked_fill(~self.inside, -torch.inf).logsumexp(dim=2)
        return coarse.log_softmax(dim=1)[:, self.of] + fine - within[:, self.of]


def last_token(tokens: Tensor, mask: Tensor) -> Tensor:
    """The last real token of each row (n, width), whichever side is padded: what a decoder has read all of its text by."""
    at = (torch.arange(mask.shape[1], device=mask.device) * mask).argmax(dim=1)
    return tokens[torch.arange(len(tokens), device=tokens.device), at]


def make_token_pool(kind: Pooling, width: int) -> nn.Module | None:
    """The part of `pool_tokens` that has parameters or a state of its own, for tokens of so many values; None where there is none."""
    return Pool(kind) if kind in ("max", "gem") else AttentionPool(width) if kind == "attention" else None


def pool_tokens(kind: Pooling, pool: nn.Module | None, tokens: Tensor, mask: Tensor | None) -> Tensor:
    """One vector a row (n, width) of tokens (n, length, width) of texts, `pool` that of `make_token_pool`; `mask` (n, length) is 0 where there is
    no token."""
    if kind == "cls" or mask is None:
        return tokens[:, 0]
    if kind == "last":
        return last_token(tokens, mask)
    if pool is not None:
        return pool(tokens, mask)
    weight = mask.unsqueeze(-1).to(tokens.dtype)
    return (tokens * weight).sum(1) / weight.sum(1).clamp(min=1)


class LayerMix(nn.Module):
    """Tokens out of several layers: the mean of all layers with weights that are learned, a softmax that is even at first (Peters et al. 2018), or
    the last four, as their mean or side by side (Devlin et al. 2019)."""

    def __init__(self, kind: Layers, n_layers: int) -> None:
        super().__init__()
        self.kind = kind
        if kind == "weighted":
            self.weights = nn.Parameter(torch.zeros(n_layers))

    def forward(self, layers: Sequence[Tensor]) -> Tensor:
        """Tokens (n, length, width), four times as wide where they stand side by side, of those of each layer, the first one first."""
        if self.kind == "last4_concat":
            return torch.cat(tuple(layers[-FOUR:]), dim=-1)
        if self.kind == "last4_mean":
            return torch.stack(tuple(layers[-FOUR:])).mean(dim=0)
        return torch.einsum("l,l...->...", self.weights.softmax(dim=0).to(layers[0].dtype), torch.stack(tuple(layers)))


def mean_over_masks(classify: Callable[[Tensor], Tensor], dropout: nn.Dropout, pooled: Tensor, n_masks: int) -> Tensor:
    """Logits (n, n_outputs) under dropout. While training they are the mean over `n_masks` masks of the same features: multi-sample dropout
    (Inoue 2019, arXiv 1905.09788), whose backbone is computed once."""
    if n_masks == 1 or not dropout.training:
        return classify(dropout(pooled))
    return torch.stack([classify(dropout(pooled)) for _ in range(n_masks)]).mean(dim=0)
