"""What a run does: one frozen model. A setting is written here once and shows up everywhere.

Fields marked `basic` are shown first in the form; the rest is folded by section.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, model_validator

from core.base.files import fingerprint
from core.base.messages import msg
from core.base.settings import Settings

BASIC: dict[str, Any] = {"basic": True}
NOT_TRAINED = ("name", "checkpoints", "tracking")
"""Parts of a recipe that do not change what comes out of it."""


class ModelSettings(Settings):
    """The network."""

    backbone: str = Field(
        default="tf_efficientnet_lite0.in1k",
        min_length=1,
        description="Name of the backbone in the catalogue.",
        json_schema_extra=BASIC | {"picker": "backbone"},
    )
    pretrained: bool = Field(
        default=True, description="Start from pretrained weights; off trains the same network from nothing.", json_schema_extra=BASIC
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Dropout before the classifier.")
    drop_path: float = Field(default=0.0, ge=0, lt=1, description="Stochastic depth of an image backbone, where it has it.")


class ImageSettings(Settings):
    """How an image reaches the network."""

    size_px: int = Field(default=224, ge=16, le=1024, description="Side of the square input, in pixels.", json_schema_extra=BASIC)
    min_crop: float = Field(
        default=0.7, gt=0, le=1, description="Smallest share of the area that a random training crop keeps; 1 is no crop."
    )
    hflip: bool = Field(default=True, description="Mirror training images left to right at random; wrong for digits and text.")
    rotation_deg: float = Field(default=0.0, ge=0, le=180, description="Rotate training images by up to this angle.")
    jitter: float = Field(default=0.1, ge=0, le=1, description="Strength of random brightness and contrast in training.")


class TextSettings(Settings):
    """How a text reaches the network."""

    max_tokens: int = Field(
        default=128, ge=8, le=4096, description="Longer texts are cut here; batches are padded to their longest.", json_schema_extra=BASIC
    )
    pooling: Literal["cls", "mean"] = Field(default="mean", description="What the classifier reads: the first token, or the mean of all.")


class OptimSettings(Settings):
    """AdamW, and a cosine schedule with warm-up."""

    lr: float = Field(default=1e-3, gt=0, le=1, description="Peak learning rate.", json_schema_extra=BASIC)
    weight_decay: float = Field(default=0.05, ge=0, le=1, description="Decoupled weight decay; norms and biases are left out.")
    warmup: float = Field(default=0.1, ge=0, lt=1, description="Share of all steps over which the learning rate rises.")
    min_lr_ratio: float = Field(default=0.01, ge=0, le=1, description="The cosine ends at this share of the peak.")
    clip_norm: float = Field(default=1.0, ge=0, description="Gradients are clipped to this norm; 0 does not clip.")


class TrainSettings(Settings):
    """How long, how large, how exact."""

    epochs: int = Field(default=5, ge=1, le=1000, description="Passes over the training rows.", json_schema_extra=BASIC)
    batch_size: int = Field(default=32, ge=1, le=4096, description="Rows in one step.", json_schema_extra=BASIC)
    accumulate: int = Field(
        default=1,
        ge=1,
        le=256,
        description="Parts in which the rows of a step are computed, one after the other; the step stays one of batch_size rows.",
    )
    ema: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Decay of a moving average of the weights, which is then validated and kept (0.999, say); 0 keeps none.",
    )
    patience: int = Field(
        default=0,
        ge=0,
        le=100,
        description="Stop after this many epochs without a better validation score; 0 never stops early.",
        json_schema_extra=BASIC,
    )
    stop_on_trouble: bool = Field(
        default=False,
        description="End a fold as soon as its loss diverges or it overfits, as its sign of trouble says; the best epoch stays.",
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="All randomness of the run derives from this.", json_schema_extra=BASIC)
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto", description="Auto takes bf16 where the device computes in it, else fp32."
    )
    loader_workers: int = Field(default=0, ge=0, le=32, description="Processes that read and augment; the result does not depend on it.")

    def micro_batch(self, halvings: int = 0) -> int:
        """The most rows that are computed at once, after memory ran out so many times."""
        return math.ceil(self.batch_size / (self.accumulate * 2**halvings))


class CheckpointSettings(Settings):
    """How the state of a fold is kept while it trains, to go on from after a stop. Changes nothing that is trained."""

    every_s: float = Field(default=20.0, ge=1, le=3600, description="Seconds between two checkpoints: about what a kill can cost.")
    keep: int = Field(default=2, ge=1, le=20, description="The newest checkpoints that stay; older ones are removed.")


class TrackingSettings(Settings):
    """Where a run is recorded beside Pitwall's own store. Changes nothing that is trained."""

    trackers: tuple[Literal["wandb", "mlflow"], ...] = Field(
        default=(), description="Also record the run there; TensorBoard's event files are written for every run."
    )
    project: str = Field(
        default="pitwall",
        min_length=1,
        max_length=100,
        pattern=r"^[\w.\- 가-힣]+$",
        description="Project of Weights & Biases, experiment of MLflow.",
    )


class Recipe(Settings):
    """A recipe over all folds is a run."""

    name: str = Field(
        default="run", min_length=1, max_length=60, pattern=r"^[\w.\-가-힣]+$", description="Name of the run.", json_schema_extra=BASIC
    )
    modality: Literal["image", "text"] = Field(default="image", description="What the rows are.", json_schema_extra={"hidden": True})
    model: ModelSettings = ModelSettings()
    image: ImageSettings | None = None
    text: TextSettings | None = None
    optim: OptimSettings = OptimSettings()
    train: TrainSettings = TrainSettings()
    checkpoints: CheckpointSettings = CheckpointSettings()
    tracking: TrackingSettings = TrackingSettings()

    @model_validator(mode="before")
    @classmethod
    def _section_of_modality(cls, values: Any) -> Any:
        """A recipe has exactly the section of its modality; leaving it out means its defaults."""
        if isinstance(values, dict):
            modality = values.get("modality", "image")
            if modality in ("image", "text"):
                values = {**values, modality: values.get(modality) or {}}
        return values

    @model_validator(mode="after")
    def _only_that_section(self) -> Recipe:
        other = "text" if self.modality == "image" else "image"
        if getattr(self, other) is not None:
            raise ValueError(msg("a recipe for {modality} has no '{section}' section; remove it", modality=self.modality, section=other))
        return self

    @property
    def fingerprint(self) -> str:
        """Identity of what is trained: every setting but those of NOT_TRAINED."""
        return fingerprint({key: value for key, value in self.to_dict().items() if key not in NOT_TRAINED})
