"""What a trained network is: all that has to be known to load it from its folder and predict with it, and nothing of this machine."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from core.base.errors import CheckpointError
from core.base.messages import reason
from core.base.settings import Settings, parse_settings
from core.specs.data_settings import Truncation, ViewName
from core.specs.text_settings import CleanSettings, ComposeSettings

NETWORK_FILE = "network.json"
NETWORKS_DIR = "networks"
"""A fold's artefact has a folder for each of its networks in this one, an artefact of its own."""


PrecisionName = Literal["bf16", "fp16", "fp32"]


class NetworkSpec(Settings):
    """The `network.json` of a trained network, which stands beside its weights.

    A text network's tokenizer, and the configuration of one of transformers, are files in the same folder. `mean` and `std` are those
    of pixels from 0 to 1.
    """

    format: Literal[1] = Field(default=1, description="Version of this document.")
    family: str = Field(default="torch", description="Which code loads the network: a key of `core.predictions.networks.FAMILIES`.")
    modality: Literal["image", "text"] = Field(description="What it reads.")
    labels: Literal["one", "several"] = Field(description="Probabilities of a row sum to one, or each class has one of its own.")
    classes: tuple[str, ...] = Field(description="The classes, in the order of its outputs.")
    fold: int = Field(description="The fold whose rows it was not trained on; -1 when it was trained on no row of the contest.")
    seed: int = Field(default=0, description="The seed that its training derived all randomness from.")
    level: int = Field(default=1, ge=1, description="1 reads the contest's rows, 2 reads the predictions of level 1.")
    one_vs_rest: bool = Field(default=False, description="One label: probabilities are the sigmoids of its outputs, divided by their sum.")
    t2: float = Field(default=1.0, ge=1, description="Of the tempered softmax or sigmoid that it predicts with; 1 is the usual one.")
    views: tuple[ViewName, ...] = Field(default=("plain",), description="The views of a row whose mean it predicts.")

    backbone: str = Field(description="Name of the network in its library.")
    library: Literal["timm", "transformers", "builtin", "sklearn"] = Field(description="The library that builds it.")
    dropout: float = Field(default=0.0, description="Dropout before the classifier.")
    drop_path: float = Field(default=0.0, description="Stochastic depth.")
    input_px: int = Field(default=0, description="Side of the square input, in pixels.")
    short_px: int = Field(default=0, description="The short side that images are reduced to before they are resized; 0 where they are not.")
    interpolation: str = Field(default="", description="How images are resized.")
    mean: tuple[float, ...] = Field(default=(), description="Mean of each channel that pixels are normalised by.")
    white_level: float = Field(default=0.0, description="The value that is white in images of more than eight bits; 0: 65535 of 16 bits.")
    std: tuple[float, ...] = Field(default=(), description="Deviation of each channel that pixels are normalised by.")
    pooling: Literal["", "cls", "mean", "avg", "max", "gem", "attention", "last"] = Field(
        default="", description="What the classifier reads of tokens or of a feature map; empty for an image network's own pooling."
    )
    layers: Literal["last", "weighted", "last4_mean", "last4_concat"] = Field(
        default="last", description="The layers that tokens of texts are read from."
    )
    coarse: tuple[int, ...] = Field(
        default=(), description="The number of each class's coarse class, where that is predicted first and the class within it."
    )
    is_separate: bool = Field(default=False, description="With `coarse`: by networks of their own, side by side in one file of weights.")
    dtype: Literal["float32", "bfloat16"] = Field(default="float32", description="The type of the weights of a text encoder.")
    resized_by: Literal["set_input_size", "img_size"] = Field(
        default="img_size",
        description="How a network for images of one size was made for another one: windows follow, or stay as they were.",
    )
    max_tokens: int = Field(default=0, description="Longer texts are cut here.")
    truncation: Truncation = Field(default="head", description="What it reads of a longer text.")
    head_share: float = Field(default=0.25, description="For head_tail: the share of the tokens that comes from the head.")
    windows: int = Field(default=8, description="For windows: the most of one text; the mean of their logits predicts.")
    overlap: float = Field(default=0.25, description="For windows: the share of a window that the next one repeats at least.")
    by_length: bool = Field(default=False, description="It predicts rows of similar length together, the longest first.")
    compose: ComposeSettings = Field(default=ComposeSettings(), description="How the columns of a row become its text.")
    clean: CleanSettings = Field(default=CleanSettings(), description="What is done to a text before it is cut into tokens.")
    known_words: tuple[str, ...] = Field(default=(), description="The words that cleaning keeps, where it leaves out rare ones.")
    label_groups: tuple[tuple[int, ...], ...] = Field(
        default=(), description="Ready classifier: which of its own outputs stand for each class."
    )

    device: str = Field(default="cpu", description="The kind of device that it predicted on: cpu, cuda or mps.")
    precision: PrecisionName = Field(default="fp32", description="The precision that it predicted in.")
    threads: int = Field(default=0, description="Threads of the processor that it predicted with; 0 when unknown.")
    micro_batch: int = Field(default=32, ge=1, description="Rows that were trained on at once; predictions are computed for twice as many.")
    versions: dict[str, str] = Field(default={}, description="The libraries it was trained with.")

    @model_validator(mode="before")
    @classmethod
    def _read_without_views(cls, values: Any) -> Any:
        """The first files of format 1 had an empty `view` in their place."""
        return {key: value for key, value in values.items() if (key, value) != ("view", "")} if isinstance(values, Mapping) else values


def read_network_spec(folder: Path) -> NetworkSpec:
    """What the network in a folder is. Raises CheckpointError."""
    path = folder / NETWORK_FILE
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        why, fix = reason(problem), "train the fold again"
        raise CheckpointError("{file} cannot be read", where=str(path), why=why, fix=fix, file=NETWORK_FILE) from None
    return parse_settings(NetworkSpec, raw, where=str(path), error=CheckpointError)
