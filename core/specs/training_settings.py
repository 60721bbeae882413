"""Settings of the training: optimiser and averages; how long, how large, how exact."""

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from core.base.messages import msg
from core.base.names import NAME_LENGTH
from core.base.settings import BASIC, Settings, only_with, refuse
from core.specs.text_settings import FOR_TEXTS

MOST_SEEDS = 20


OptimizerName = Literal["adamw", "sgd", "nadamw", "adopt", "muon", "lion", "lamb"]
IN_TORCH: tuple[OptimizerName, ...] = ("adamw", "sgd")
"""The optimisers that are torch's; the others are timm's, for texts too."""


class OptimSettings(Settings):
    """The optimiser, and the schedule of its learning rate."""

    optimizer: OptimizerName = Field(
        default="adamw",
        description="NAdamW, ADOPT and Muon take AdamW's learning rate, Lion a fifth of it; SGD (momentum 0.9) takes about 0.01, LAMB (large batches) 0.002.",
    )
    lr: float = Field(
        default=1e-3,
        gt=0,
        le=1,
        description="Peak learning rate. Usual with AdamW: 1e-3 for small pretrained networks, 1e-4 near 100 M parameters, 3e-5 for text encoders, 3e-3 from scratch.",
        json_schema_extra=BASIC,
    )
    weight_decay: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Weight decay; 0.01 to 0.1 is usual, with SGD 1e-5 to 1e-3, with Lion 3 to 5 times more. Norms and biases are left out.",
    )
    layer_decay: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Each layer learns at this share of the rate of the layer above it; 0.65 to 0.9 is usual for large pretrained transformers, 1 is one rate for all.",
    )
    schedule: Literal["cosine", "restarts", "one_cycle", "wsd", "linear", "constant"] = Field(
        default="cosine",
        description="How the learning rate falls after the warm-up; cosine is usual. wsd stays at the peak and falls in the cooldown.",
    )
    warmup: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="Share of all steps over which the learning rate rises; 0.05 to 0.2 is usual, 0.3 with one_cycle, 0 with restarts.",
    )
    min_lr_ratio: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="The schedule ends at this share of the peak (eta_min); 0 to 0.1 is usual. Constant has no end.",
    )
    restart_epochs: int = Field(
        default=10,
        ge=1,
        le=1000,
        description="For restarts: epochs of the first cycle of the cosine (T_0); 10 is usual.",
        json_schema_extra=only_with("optim.schedule", "restarts"),
    )
    restart_mult: int = Field(
        default=2,
        ge=1,
        le=10,
        description="For restarts: each cycle is so many times as long as the one before (T_mult); 1 or 2 is usual.",
        json_schema_extra=only_with("optim.schedule", "restarts"),
    )
    cooldown: float = Field(
        default=0.2,
        gt=0,
        le=1,
        description="For wsd: share of all steps, the last ones, over which the rate falls; 0.1 to 0.3 is usual.",
        json_schema_extra=only_with("optim.schedule", "wsd"),
    )
    clip_norm: float = Field(default=1.0, ge=0, description="Gradients are clipped to this norm; 1 is usual, 0 does not clip.")


Criterion = Literal["metric", "loss"]


class AverageSettings(Settings):
    """What is validated in place of the last weights, and which weights a fold keeps."""

    ema: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Decay of a moving average of the weights, which is then validated and kept (0.999, say); 0 keeps none.",
    )
    keep: Literal["best", "last", "best_mean", "soup", "swa"] = Field(
        default="best",
        description="The weights a fold ends with: the best epoch, the last one, the mean of the best ones, those of them that together score no worse (greedy soup), or the mean of the last ones (SWA).",
    )
    monitor: Literal["metric", "loss", "both"] = Field(
        default="metric",
        description="What says which epoch is best, and ends patience: the contest's metric, or the validation loss; both for a mean of the best by either.",
    )
    best_k: int = Field(
        default=3,
        ge=2,
        le=10,
        description="For best_mean and soup: how many of the best epochs, by each criterion; 3 to 5 is usual.",
        json_schema_extra=only_with("average.keep", "best_mean", "soup"),
    )
    swa_start: float = Field(
        default=0.75,
        ge=0,
        lt=1,
        description="For swa: the mean is of the epochs after this share of them; 0.5 to 0.8 is usual.",
        json_schema_extra=only_with("average.keep", "swa"),
    )

    @model_validator(mode="after")
    def _both_for_means(self) -> Self:
        is_mean = self.keep in ("best_mean", "soup")
        refuse(
            (
                self.monitor == "both" and not is_mean,
                "average.monitor=both needs average.keep=best_mean or soup: one epoch is best by one of them",
            )
        )
        return self

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """By what epochs are best."""
        return ("metric", "loss") if self.monitor == "both" else (self.monitor,)

    @property
    def n_copies(self) -> int:
        """The most weights that are held while a fold trains, beside the network's own."""
        return {"best": 1, "last": 0, "swa": 1}.get(self.keep, self.best_k * len(self.criteria))

    @property
    def n_means(self) -> int:
        """The most means that are made in the end; each takes a pass over the training rows where the network has batch norm."""
        return {"best": 0, "last": 0, "swa": 1, "best_mean": 1, "soup": self.n_copies - 1}[self.keep]

    @property
    def chooses_by_metric(self) -> bool:
        """Whether the contest's metric has a say in which epochs' weights are kept."""
        return self.keep not in ("last", "swa") and "metric" in self.criteria

    def first_averaged(self, n_epochs: int) -> int:
        """The first epoch in the mean of swa."""
        return int(self.swa_start * n_epochs) + 1


class TrainSettings(Settings):
    """How long, how large, how exact."""

    epochs: int = Field(
        default=5,
        ge=1,
        le=1000,
        description="Passes over the training rows; 3 to 20 is usual with pretrained weights, more from scratch.",
        json_schema_extra=BASIC,
    )
    batch_size: int = Field(
        default=32,
        ge=1,
        le=4096,
        description="Rows in one step; 16 to 64 is usual, 4 to 8 for a few hundred rows.",
        json_schema_extra=BASIC,
    )
    accumulate: int = Field(
        default=1,
        ge=1,
        le=256,
        description="Parts in which the rows of a step are computed, one after the other; the step stays one of batch_size rows.",
    )
    group_by_length: bool = Field(
        default=False,
        description="Batches of texts of similar length, which need less padding, and so less time where lengths differ; the order stays random. On is usual.",
        json_schema_extra=FOR_TEXTS,
    )
    probe_epochs: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Linear probe: for the first epochs only the head learns, then all that is not frozen; 1 to 3 is usual with pretrained weights.",
    )
    patience: int = Field(
        default=0,
        ge=0,
        le=100,
        description="Stop after this many epochs that are not better by average.monitor; 2 to 5 is usual, 0 never stops early.",
        json_schema_extra=BASIC,
    )
    stop_on_trouble: bool = Field(
        default=False,
        description="End a fold as soon as its loss diverges or it overfits, as its warning says; the weights until then stay.",
    )
    extra_rows: str = Field(
        default="",
        max_length=NAME_LENGTH,
        description="A set of rows beside the contest's own, by its name (`python -m core contest rows`), that is trained on and never validated.",
        json_schema_extra=FOR_TEXTS,
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="All randomness of the run derives from this.", json_schema_extra=BASIC)
    n_seeds: int = Field(
        default=1,
        ge=1,
        le=MOST_SEEDS,
        description="How often each fold is trained, with seed and those that follow it; their mean predicts, and their spread is the noise of a retraining. 3 to 5 is usual for the last runs of a contest.",
        json_schema_extra=BASIC,
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto",
        description="Auto takes bf16 where the device computes in it, else fp32; fp16 is for GPUs without bf16, such as T4 and V100.",
    )
    loader_workers: int = Field(
        default=0,
        ge=0,
        le=32,
        description="Processes that read and augment; 0 on a processor, 2 to 8 beside a GPU. The result does not depend on it.",
    )

    @model_validator(mode="after")
    def _last_seed_is_one(self) -> Self:
        last = 2**31 - 1
        refuse((self.seeds[-1] > last, msg("train.seed + train.n_seeds - 1 = {seed}: seeds go to {last}", seed=self.seeds[-1], last=last)))
        return self

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that each fold is trained with."""
        return tuple(range(self.seed, self.seed + self.n_seeds))

    def micro_batch(self, halvings: int = 0) -> int:
        """The most rows that are computed at once, after memory ran out so many times."""
        return math.ceil(self.batch_size / (self.accumulate * 2**halvings))
