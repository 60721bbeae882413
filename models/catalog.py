"""Which backbones exist and what each needs, as rows of catalog.csv; imports no torch, so that a page can search it.

The rows come from timm's registry and a list of text encoders: `python -m models.make_catalog` writes the file. published.csv holds accuracies
of some of them on the validation set of ImageNet-1k, at the size they were tested at: results/results-imagenet.csv of timm's repository.
"""

import csv
import difflib
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal

CATALOG_PATH = Path(__file__).with_name("catalog.csv")
PUBLISHED_PATH = Path(__file__).with_name("published.csv")
OPEN_LICENCES = frozenset({"apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "cc-by-sa-4.0"})
"""Those that allow commercial use and derived works to everybody."""


DECODERS = frozenset(
    {
        *("qwen3", "qwen2", "gemma3", "gemma3_text", "gemma2", "gemma", "llama", "mistral", "gpt2", "gpt_neox", "phi3"),
        *("exaone4", "olmo2", "smollm3", "granite", "bloom", "opt"),
    }
)
"""Families whose tokens read only what stands before them."""


@dataclass(frozen=True)
class Backbone:
    """One row: a network by the name its library gives it.

    `params_m` counts millions of parameters, with the classifier it was pretrained with. `input_px` is the side of its
    images (0 for text), `max_tokens` the longest text it can read (0 for images, and where texts of any length are read). `hub_id` is empty for a network that has
    no pretrained weights; `package` names the registry package that ships its weights, if one does.

    `pretraining` names the sets of images that the weights were trained on, the last one last. `gmacs` counts billions of multiply-adds of
    one image at `input_px`, forward; 0 where unknown. `n_groups` counts groups of layers from the input to the head, as layer-wise decay and
    freezing do (`Classifier.n_groups`).
    """

    name: str
    modality: Literal["image", "text"]
    library: Literal["timm", "transformers", "builtin", "sklearn"]
    family: str
    params_m: float
    input_px: int
    max_tokens: int
    hub_id: str
    package: str
    licence: str
    note: str
    pretraining: str = ""
    gmacs: float = 0.0
    n_groups: int = 0

    @property
    def has_pretrained(self) -> bool:
        """False for a network that is always trained from nothing."""
        return bool(self.hub_id or self.package) or self.library == "transformers"

    @property
    def short_name(self) -> str:
        """Its name without hub account, and of timm's without the tag."""
        last = self.name.rpartition("/")[2]
        return last.partition(".")[0] if self.library == "timm" else last

    @property
    def is_decoder(self) -> bool:
        """Whether only the last token has read the whole text."""
        return self.family in DECODERS

    @property
    def published(self) -> "Published | None":
        """Its accuracy on ImageNet-1k, where one was published."""
        return load_published().get(self.name)


@dataclass(frozen=True)
class Published:
    """Top-1 accuracy in percent on the validation set of ImageNet-1k, of images of `px` pixels."""

    top1: float
    px: int


COLUMNS = tuple(field.name for field in fields(Backbone))


class UnknownBackbone(LookupError):
    """No backbone has this name; `close` holds the nearest names there are."""

    def __init__(self, name: str, close: tuple[str, ...]) -> None:
        super().__init__(f"no backbone named '{name}'")
        self.name = name
        self.close = close


@cache
def load_catalog() -> tuple[Backbone, ...]:
    """Read all rows, in the order of the file: by modality, family and size."""
    with CATALOG_PATH.open(encoding="utf-8", newline="") as stream:
        numbers: dict[str, Any] = {"params_m": float, "input_px": int, "max_tokens": int, "n_groups": int, "gmacs": float}
        return tuple(Backbone(**{name: numbers.get(name, str)(cell) for name, cell in row.items()}) for row in csv.DictReader(stream))


@cache
def load_published() -> dict[str, Published]:
    """Published accuracies by the name of the backbone."""
    with PUBLISHED_PATH.open(encoding="utf-8", newline="") as stream:
        return {row["name"]: Published(float(row["top1"]), int(row["px"])) for row in csv.DictReader(stream)}


def find_backbone(name: str) -> Backbone:
    """Look one backbone up; a timm name without its tag means the first tag, as in timm. Raises UnknownBackbone."""
    wanted = name.lower()
    by_name = {backbone.name.lower(): backbone for backbone in load_catalog()}
    if wanted in by_name:
        return by_name[wanted]
    tagged = [backbone for backbone in load_catalog() if backbone.library == "timm" and backbone.name.lower().partition(".")[0] == wanted]
    if tagged:
        return tagged[0]
    raise UnknownBackbone(name, _close_names(wanted, by_name))


def _close_names(wanted: str, by_name: dict[str, Backbone]) -> tuple[str, ...]:
    inside = [name for name in by_name if wanted and wanted in name]
    close = difflib.get_close_matches(wanted, by_name, n=5, cutoff=0.5)
    short = {name.rpartition("/")[2]: name for name in by_name}
    close += [short[name] for name in difflib.get_close_matches(wanted, short, n=5, cutoff=0.5)]
    ordered = dict.fromkeys([*close[:3], *inside, *close])
    return tuple(by_name[name].name for name in list(ordered)[:5])
