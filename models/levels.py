"""Two levels by networks of their own: one predicts the coarse class, and one for each coarse class the class within it."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from models.head import TwoLevels
from models.spec import BackboneClassifier, Classifier


def output_sizes(coarse: Sequence[int]) -> list[int]:
    """How many outputs each network has: the coarse classes, then the classes of each coarse class that has two or more."""
    sizes = [coarse.count(number) for number in range(max(coarse) + 1)]
    return [len(sizes), *(size for size in sizes if size > 1)]


class SeparateLevels(Classifier):
    """Networks that share no weight, side by side; together they give log P(coarse) + log P(class | coarse), as `TwoLevels` does.

    Cross-entropy of that product is a sum of one term a network, and a row's term is zero in the networks of coarse classes that it does not
    have. So one training of all of them gives each the gradients of a training on the rows of its own coarse class.
    `networks` have `output_sizes(coarse)` outputs.
    """

    def __init__(self, networks: Sequence[BackboneClassifier], coarse: Sequence[int]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.two_levels = TwoLevels(coarse)
        n_coarse = self.two_levels.n_coarse
        within = [place for number in range(n_coarse) if coarse.count(number) > 1 for place in _places(coarse, number)]
        # A class that is alone in its coarse class is certain within it, whatever output is read for it.
        order = [*range(n_coarse), *(n_coarse + within.index(place) if place in within else 0 for place in range(len(coarse)))]
        self.order: Tensor
        self.register_buffer("order", torch.tensor(order), persistent=False)
        first = networks[0]
        self.weights_place, self.weights_source = first.weights_place, first.weights_source
        self.resized_by, self.pixels = first.resized_by, first.pixels

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        outputs = torch.cat([network(batch).float() for network in self.networks], dim=1)
        return self.two_levels(outputs[:, self.order])

    def embeddings(self, batch: dict[str, Tensor]) -> Tensor:
        """Those of all networks side by side."""
        return torch.cat([network.embeddings(batch) for network in self._each()], dim=1)

    def depths(self) -> dict[str, int]:
        return {
            f"networks.{number}.{name}": depth for number, network in enumerate(self._each()) for name, depth in network.depths().items()
        }

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that the backbone's authors keep out of weight decay."""
        named = [(number, getattr(network, "no_weight_decay", set)()) for number, network in enumerate(self._each())]
        return {f"networks.{number}.{name}" for number, names in named for name in names}

    def checkpoint_gradients(self) -> None:
        for network in self._each():
            network.checkpoint_gradients()

    def save_description(self, folder: Path) -> None:
        self._each()[0].save_description(folder)

    def _each(self) -> list[Classifier]:
        return list(self.networks)  # pyright: ignore[reportReturnType]


def _places(coarse: Sequence[int], number: int) -> list[int]:
    return [place for place, one in enumerate(coarse) if one == number]
