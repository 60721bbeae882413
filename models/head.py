"""What may stand between a backbone's features and its logits in place of its own: pooling, and dropout with several masks."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

Pooling = Literal["", "cls", "mean", "avg", "max", "gem"]
"""Of images "" is the network's own; avg, max and gem read its map or its tokens. Of texts "" is the mean; cls, max and gem read the tokens."""
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


def mean_over_masks(classify: Callable[[Tensor], Tensor], dropout: nn.Dropout, pooled: Tensor, n_masks: int) -> Tensor:
    """Logits (n, n_outputs) under dropout. While training they are the mean over `n_masks` masks of the same features: multi-sample dropout
    (Inoue 2019, arXiv 1905.09788), whose backbone is computed once."""
    if n_masks == 1 or not dropout.training:
        return classify(dropout(pooled))
    return torch.stack([classify(dropout(pooled)) for _ in range(n_masks)]).mean(dim=0)
