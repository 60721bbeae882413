"""What a network is to be, and what every network here is."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from torch import Tensor, nn

from models.catalog import Backbone
from models.head import Layers, Pooling, TwoLevels
from models.weights import Weights

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


@dataclass(frozen=True)
class Pixels:
    """How images of a network are resized, and the mean and deviation of each channel, of pixels from 0 to 1."""

    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class ModelSpec:
    """What to build. `input_px`, `first_px` (where the first epochs are smaller), `drop_path` and `resized_by` belong to images; `max_tokens`,
    `vocab_size` and `special_tokens`, words that are one token each, to texts.

    A network that reads images of one size only is made for `input_px` by timm's `set_input_size` where it has that, which scales its
    positions and its windows. Before, it was built with another `img_size`, which keeps its windows: `resized_by` says which.

    `vocab_size` is asked for a network without a tokenizer of its own (library "builtin"), and where `special_tokens` are added, which is refused where word embeddings do not learn (`learns_words`). With `saved`, the folder of a trained
    network, tokenizer and configuration are those that were saved there, and no place is searched for pretrained ones. `pixels` replace the
    backbone's own where given. Texts take `weights`, where given, in place of those that are searched for. `base_dtype` is that of a text
    encoder's weights: int8 and nf4 are read so by bitsandbytes, onto the current CUDA device. `coarse` numbers the coarse class of each output, where that is predicted first; see
    `TwoLevels`. With `is_separate` it is predicted by networks of their own; see `SeparateLevels`.
    """

    backbone: Backbone
    n_outputs: int
    weights_dir: Path
    pretrained: bool = True
    dropout: float = 0.0
    drop_path: float = 0.0
    input_px: int = 0
    first_px: int = 0
    resized_by: Literal["set_input_size", "img_size"] = "set_input_size"
    pooling: Pooling = ""
    layers: Layers = "last"
    dropout_masks: int = 1
    max_tokens: int = 0
    vocab_size: int = 0
    special_tokens: tuple[str, ...] = ()
    coarse: tuple[int, ...] = ()
    is_separate: bool = False
    learns_words: bool = True
    base_dtype: Literal["float32", "bfloat16", "int8", "nf4"] = "float32"
    saved: Path | None = None
    weights: Weights | None = None
    pixels: Pixels | None = None


class CannotBuild(ValueError):
    """The backbone exists but not with these settings; `what` says which, `fix` what to change: templates for `values`."""

    def __init__(self, what: str, fix: str, **values: object) -> None:
        super().__init__(what.format(**values))
        self.what, self.fix, self.values = what, fix, values


@dataclass(frozen=True)
class Features:
    """What a backbone makes of its input: a feature map (n, channels, height, width) or tokens (n, length, width), as its library lays
    them out; `mask` (n, length) is 1 where a token is part of its text. A few networks of timm give several maps."""

    values: Tensor
    mask: Tensor | None = None


class Classifier(nn.Module, ABC):
    """What every network here is: `forward(batch)` takes a dict of tensors and gives logits (n, n_outputs).

    `weights_place` and `weights_source` say where its pretrained weights came from, "" when it starts from nothing; `resized_by` is that of
    its ModelSpec, where that was needed. `pixels` is set where images are read.
    """

    weights_place: str = ""
    weights_source: str = ""
    pixels: Pixels | None = None
    resized_by: Literal["set_input_size", "img_size"] = "img_size"
    _learnable: frozenset[str] = frozenset()

    @abstractmethod
    def forward(self, batch: dict[str, Tensor]) -> Tensor: ...

    @abstractmethod
    def embeddings(self, batch: dict[str, Tensor]) -> Tensor:
        """One vector a row (n, width), by which rows can be compared."""

    @abstractmethod
    def depths(self) -> dict[str, int]:
        """The depth of every parameter by its name: 0 is nearest to the input, the head is deepest. For layer-wise learning rates."""

    @property
    def n_groups(self) -> int:
        """How many depths there are; the head is the last one."""
        return 1 + max(self.depths().values())

    def freeze(self, n_groups: int) -> None:
        """Let the layers of the first `n_groups` depths learn nothing, and all others learn. Raises CannotBuild where none would be left."""
        depths, last = self.depths(), self.n_groups - 1
        if n_groups > last:
            what = "this network has {n} groups of layers, its head included"
            raise CannotBuild(what, "set model.freeze={last} or less", n=last + 1, last=last)
        self._learnable = self._learnable or frozenset(name for name, parameter in self.named_parameters() if parameter.requires_grad)
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name in self._learnable and depths[name] >= n_groups)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """As of torch, but that batch normalisation whose scale does not learn keeps its statistics."""
        super().train(mode)
        for module in self.modules():
            scale: Tensor | None = getattr(module, "weight", None)
            if isinstance(module, BATCH_NORMS) and scale is not None and not scale.requires_grad:
                module.eval()
        return self

    @abstractmethod
    def checkpoint_gradients(self) -> None:
        """Keep no activations inside blocks, and compute these again for the gradients (Chen et al. 2016): less memory, about a third more
        time. Raises CannotBuild where the network does not offer it."""

    def save_description(self, folder: Path) -> None:
        """Write what has to be known to build the network again, beside its `ModelSpec`, into a folder: nothing, for most."""


class BackboneClassifier(Classifier):
    """A backbone and what reads it: `head(pool(features(batch)))`, and with `two_levels` what that makes of it. What replaces one of the three,
    or reads between them, needs to know no library."""

    def __init__(self) -> None:
        super().__init__()
        self.two_levels: TwoLevels | None = None

    @abstractmethod
    def features(self, batch: dict[str, Tensor]) -> Features:
        """What the backbone makes of a batch, before any pooling."""

    @abstractmethod
    def pool(self, features: Features) -> Tensor:
        """One vector a row (n, width): what the head reads."""

    @abstractmethod
    def head(self, pooled: Tensor) -> Tensor:
        """Logits (n, n_outputs) of pooled features, those of coarse classes before them where there are two levels."""

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        outputs = self.head(self.pool(self.features(batch)))
        return outputs if self.two_levels is None else self.two_levels(outputs)

    def embeddings(self, batch: dict[str, Tensor]) -> Tensor:
        return self.pool(self.features(batch))
