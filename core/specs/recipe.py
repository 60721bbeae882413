"""What a run does: one frozen model. A setting is written here once and shows up everywhere.

Sections are concepts. A field for one modality says so; a recipe for the other one leaves it at its default and does not show it.
Fields marked `basic` are shown first in the form; the rest is folded by section.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator
from pydantic.fields import FieldInfo

from core.base.files import fingerprint
from core.base.messages import joined, msg
from core.base.names import Name
from core.base.settings import BASIC, Settings, only_with, refuse, walk_fields, wanted_by

FOR_IMAGES: dict[str, Any] = {"modality": "image"}
FOR_TEXTS: dict[str, Any] = {"modality": "text"}
MIN_PX = 16
"""The least side of an input."""
MISSING = "–"
"""Where a recipe has no such setting, beside recipes that have it."""
NOT_TRAINED = ("name", "checkpoints", "tracking")
"""Parts of a recipe that do not change what comes out of it."""


class InputSettings(Settings):
    """How a row reaches the network."""

    size_px: int = Field(
        default=224,
        ge=MIN_PX,
        le=1024,
        description="Side of the square input, in pixels; usual is the size that the backbone was pretrained at, 224 or 384.",
        json_schema_extra=BASIC | FOR_IMAGES,
    )
    first_px: int = Field(
        default=0,
        ge=0,
        le=1024,
        description="Side of the input in the first epochs, which so cost less (progressive resizing);"
        " half to three quarters of size_px is usual, 0 trains at size_px throughout.",
        json_schema_extra=FOR_IMAGES,
    )
    full_px_epochs: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="Last epochs that train at size_px where the first ones are smaller; a fifth to a third of all is usual.",
        json_schema_extra=FOR_IMAGES,
    )
    max_tokens: int = Field(
        default=128,
        ge=8,
        le=4096,
        description="Longer texts are cut here, batches are padded to their longest; 64 to 256 is usual.",
        json_schema_extra=BASIC | FOR_TEXTS,
    )


PolicyName = Literal["none", "randaugment", "trivialaugment", "augmix"]


class AugmentSettings(Settings):
    """How training rows are changed at random."""

    min_crop: float = Field(
        default=0.7,
        gt=0,
        le=1,
        description="Smallest share of the area that a random training crop keeps; 0.5 to 0.8 is usual, 1 is no crop.",
        json_schema_extra=FOR_IMAGES,
    )
    hflip: bool = Field(
        default=True,
        description="Mirror training images left to right at random; wrong for digits and text.",
        json_schema_extra=FOR_IMAGES,
    )
    vflip: bool = Field(
        default=False,
        description="Turn training images upside down at random; right where there is no up, as in satellite and microscope images.",
        json_schema_extra=FOR_IMAGES,
    )
    rotation_deg: float = Field(
        default=0.0,
        ge=0,
        le=180,
        description="Rotate training images by up to this angle; 5 to 20 is usual where they may be tilted.",
        json_schema_extra=FOR_IMAGES,
    )
    jitter: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Strength of random brightness and contrast in training; 0.1 to 0.4 is usual.",
        json_schema_extra=FOR_IMAGES,
    )
    policy: PolicyName = Field(
        default="none",
        description="A policy of random operations on colours and shape. TrivialAugment has nothing to tune; RandAugment has magnitude and num_ops.",
        json_schema_extra=FOR_IMAGES,
    )
    policy_prob: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Share of the training images that the policy changes; 0.3 to 1 is usual.",
        json_schema_extra=FOR_IMAGES | only_with("augment.policy", "randaugment", "trivialaugment", "augmix"),
    )
    magnitude: int = Field(
        default=9,
        ge=0,
        le=30,
        description="Strength of RandAugment, of 30; 5 to 15 is usual.",
        json_schema_extra=FOR_IMAGES | only_with("augment.policy", "randaugment"),
    )
    num_ops: int = Field(
        default=2,
        ge=1,
        le=8,
        description="Operations that RandAugment applies to an image; 2 is usual.",
        json_schema_extra=FOR_IMAGES | only_with("augment.policy", "randaugment"),
    )
    blur: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of the training images that are blurred, by a radius of 0.1 to 2 pixels; 0.1 to 0.3 is usual.",
        json_schema_extra=FOR_IMAGES,
    )
    noise: float = Field(
        default=0.0,
        ge=0,
        le=0.5,
        description="Standard deviation of Gaussian noise on training images, as a share of the range of values; 0.02 to 0.1 is usual.",
        json_schema_extra=FOR_IMAGES,
    )
    erasing: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of the training images in which a random rectangle becomes grey (random erasing); 0.1 to 0.3 is usual.",
        json_schema_extra=FOR_IMAGES,
    )
    mixup: float = Field(
        default=0.0,
        ge=0,
        le=10,
        description="Alpha of MixUp, which blends two images and their labels; 0.1 to 0.4 is usual, 0 is off.",
        json_schema_extra=FOR_IMAGES,
    )
    cutmix: float = Field(
        default=0.0,
        ge=0,
        le=10,
        description="Alpha of CutMix, which pastes a rectangle of another image and mixes labels by area; 1 is usual, 0 is off.",
        json_schema_extra=FOR_IMAGES,
    )
    mix_prob: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Share of the steps in which MixUp or CutMix mixes the rows; 0.5 to 1 is usual.",
        json_schema_extra=FOR_IMAGES,
    )
    mix_switch_prob: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Where both MixUp and CutMix are on, the share of mixed steps that CutMix takes; 0.5 is usual.",
        json_schema_extra=FOR_IMAGES,
    )
    mix_off_epochs: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Last epochs without MixUp and CutMix; a tenth to a fifth of all is usual.",
        json_schema_extra=FOR_IMAGES,
    )

    @property
    def mixes(self) -> bool:
        """Whether rows of a step are mixed with each other."""
        return self.mixup > 0 or self.cutmix > 0


class SamplingSettings(Settings):
    """How often an epoch takes each training row. Validated and predicted rows are not sampled."""

    kind: Literal["none", "balanced", "square_root", "repeat_factor", "counts"] = Field(
        default="none",
        description="Rows of rare classes are taken more often: as many of each class (balanced), by the root of their number, those below a "
        "share repeated (repeat factor, also where rows have several classes), or as many as are given. None takes each row once.",
    )
    repeat_below: float = Field(
        default=0.001,
        gt=0,
        le=1,
        description="Repeat factor: a class with a share f of the rows below this t is taken sqrt(t / f) times; 0.001 for a thousand classes, "
        "else about 1 over the number of classes.",
        json_schema_extra=only_with("sampling.kind", "repeat_factor"),
    )
    counts: tuple[int, ...] = Field(
        default=(),
        description="Rows of each class in an epoch, one number for each class in their order: 500, 200, 200.",
        json_schema_extra=only_with("sampling.kind", "counts"),
    )

    @model_validator(mode="after")
    def _has_rows(self) -> Self:
        refuse(
            (self.kind == "counts" and not any(self.counts), "give the rows of each class, one number or more above 0"),
            (any(count < 0 for count in self.counts), "no class has fewer than 0 rows"),
        )
        return self


class ModelSettings(Settings):
    """The network."""

    backbone: str = Field(
        default="tf_efficientnet_lite0.in1k",
        min_length=1,
        description="Name of the backbone in the catalogue.",
        json_schema_extra=BASIC | {"picker": "backbone"},
    )
    pretrained: bool = Field(
        default=True, description="Start from pretrained weights; off trains the same network from scratch.", json_schema_extra=BASIC
    )
    start_from: str = Field(
        default="",
        pattern=r"^(r\d+)?$",
        description="A run on the same folds (r12) whose weights are trained on: each fold starts from that fold's network.",
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Dropout before the classifier; 0 to 0.3 is usual.")
    drop_path: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Stochastic depth of the backbone, where it has it; 0.1 to 0.3 is usual for large networks.",
        json_schema_extra=FOR_IMAGES,
    )
    pooling: Literal["cls", "mean", "max", "gem"] = Field(
        default="mean",
        description="What the classifier reads: the first token, or of all tokens the mean, the maximum, or GeM with a learned power.",
        json_schema_extra=FOR_TEXTS,
    )
    global_pool: Literal["own", "avg", "max", "gem"] = Field(
        default="own",
        description="Pooling of the feature map or the tokens: own is the backbone's, usually right; GeM learns its power, for convolutional networks.",
        json_schema_extra=FOR_IMAGES,
    )
    dropout_masks: int = Field(
        default=1,
        ge=1,
        le=16,
        description="Multi-sample dropout: the classifier's mean over so many dropout masks; 5 is usual, 1 is plain dropout.",
    )
    freeze: int = Field(
        default=0,
        ge=0,
        le=200,
        description="The first groups of layers (stem, then blocks) that stay as they are, batch-norm statistics too; half of the blocks is usual, 0 trains all.",
    )
    grad_checkpointing: bool = Field(
        default=False,
        description="Compute the blocks again for the gradients instead of keeping them: half the memory or less, a third more time.",
    )


class LossSettings(Settings):
    """What is minimised over the training rows. Scores are of the plain probabilities."""

    kind: Literal["cross_entropy", "focal", "bi_tempered", "bce", "asymmetric"] = Field(
        default="cross_entropy",
        description="Cross-entropy is usual; focal where easy rows are most of them, bi-tempered where labels are wrong, bce asks each class a "
        "yes or no, asymmetric too, where rows have few of many classes.",
    )
    smoothing: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Label smoothing: so much of each target is spread over the classes; 0.05 to 0.1 is usual, 0 where log loss is the metric.",
    )
    class_weights: Literal["none", "auto", "given"] = Field(
        default="none",
        description="How much the rows of a class count: all the same, inversely to their number in an epoch (auto), or as given.",
    )
    given_weights: tuple[float, ...] = Field(
        default=(),
        description="A weight for each class in their order: 1, 2.5, 1. It is the alpha of focal loss.",
        json_schema_extra=only_with("loss.class_weights", "given"),
    )
    logit_adjustment: float = Field(
        default=0.0,
        ge=0,
        le=5,
        description="Tau: so many times the log of each class's share is added to the logits in training, so that predictions favour rare "
        "classes; 1 is usual for macro F1, 0 for log loss.",
        json_schema_extra=only_with("loss.kind", "cross_entropy", "focal", "bce", "asymmetric"),
    )
    gamma: float = Field(
        default=2.0,
        ge=0,
        le=10,
        description="Focal: how little rows count that are right already; 1 to 3 is usual, 0 is cross-entropy.",
        json_schema_extra=only_with("loss.kind", "focal"),
    )
    t1: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="Bi-tempered: below 1 the loss of a wrong label is bounded; 0.5 to 0.9 is usual.",
        json_schema_extra=only_with("loss.kind", "bi_tempered"),
    )
    t2: float = Field(
        default=1.2,
        ge=1,
        le=4,
        description="Bi-tempered: above 1 the softmax has a heavy tail, in predictions too; 1.1 to 1.4 is usual.",
        json_schema_extra=only_with("loss.kind", "bi_tempered"),
    )
    gamma_pos: float = Field(
        default=1.0,
        ge=0,
        le=10,
        description="Asymmetric: how little a class counts that a row has, once it is found; 0 to 1 is usual.",
        json_schema_extra=only_with("loss.kind", "asymmetric"),
    )
    gamma_neg: float = Field(
        default=4.0,
        ge=0,
        le=10,
        description="Asymmetric: how little a class counts that a row does not have, once it is ruled out; 2 to 4 is usual.",
        json_schema_extra=only_with("loss.kind", "asymmetric"),
    )
    margin: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="Asymmetric: a class that a row does not have counts nothing below this probability; 0 to 0.05 is usual.",
        json_schema_extra=only_with("loss.kind", "asymmetric"),
    )

    @model_validator(mode="after")
    def _has_weights(self) -> Self:
        weights = self.given_weights
        refuse(
            (self.class_weights == "given" and not any(weights), "give a weight for each class, one or more above 0"),
            (not all(math.isfinite(weight) and weight >= 0 for weight in weights), "the weight of a class is a number from 0"),
        )
        return self


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
    seed: int = Field(default=0, ge=0, lt=2**31, description="All randomness of the run derives from this.", json_schema_extra=BASIC)
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto", description="Auto takes bf16 where the device computes in it, else fp32."
    )
    loader_workers: int = Field(
        default=0,
        ge=0,
        le=32,
        description="Processes that read and augment; 0 on a processor, 2 to 8 beside a GPU. The result does not depend on it.",
    )

    def micro_batch(self, halvings: int = 0) -> int:
        """The most rows that are computed at once, after memory ran out so many times."""
        return math.ceil(self.batch_size / (self.accumulate * 2**halvings))


ViewName = Literal["plain", "mirror", "flip", "rotate90", "rotate180"]


class PredictSettings(Settings):
    """How a trained network predicts a row: while it is validated, the test rows, and later from its stored weights."""

    views: tuple[ViewName, ...] = Field(
        default=("plain",),
        min_length=1,
        description="Test-time augmentation: each row is predicted in all of these views, and their mean is its prediction.",
        json_schema_extra=FOR_IMAGES,
    )

    @field_validator("views")
    @classmethod
    def _as_a_set(cls, views: tuple[ViewName, ...]) -> tuple[ViewName, ...]:
        """One order, each once: a mean does not depend on it, so a fingerprint does not."""
        return tuple(view for view in get_args(ViewName) if view in views)


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

    name: Name = Field(default="run", description="Name of the run.", json_schema_extra=BASIC)
    modality: Literal["image", "text"] = Field(default="image", description="What the rows are.", json_schema_extra={"hidden": True})
    input: InputSettings = InputSettings()
    augment: AugmentSettings = AugmentSettings()
    sampling: SamplingSettings = SamplingSettings()
    model: ModelSettings = ModelSettings()
    loss: LossSettings = LossSettings()
    optim: OptimSettings = OptimSettings()
    average: AverageSettings = AverageSettings()
    train: TrainSettings = TrainSettings()
    predict: PredictSettings = PredictSettings()
    checkpoints: CheckpointSettings = CheckpointSettings()
    tracking: TrackingSettings = TrackingSettings()

    moved: ClassVar[Mapping[str, str]] = {
        **{f"image.{name}": f"augment.{name}" for name in ("min_crop", "hflip", "rotation_deg", "jitter")},
        "image.size_px": "input.size_px",
        "text.max_tokens": "input.max_tokens",
        "text.pooling": "model.pooling",
        "train.ema": "average.ema",
    }
    always_hashed: ClassVar[tuple[str, ...]] = (
        "modality",
        *(f"model.{name}" for name in ("backbone", "pretrained", "dropout", "drop_path")),
        *(f"image.{name}" for name in ("size_px", "min_crop", "hflip", "rotation_deg", "jitter")),
        *(f"text.{name}" for name in ("max_tokens", "pooling")),
        *(f"optim.{name}" for name in ("lr", "weight_decay", "warmup", "min_lr_ratio", "clip_norm")),
        *(f"train.{name}" for name in ("epochs", "batch_size", "accumulate", "ema", "patience", "stop_on_trouble")),
        *(f"train.{name}" for name in ("seed", "precision", "loader_workers")),
    )

    @model_validator(mode="after")
    def _swa_needs_its_epochs(self) -> Self:
        is_stopped = self.average.keep == "swa" and self.train.patience > 0
        refuse((is_stopped, "average.keep=swa is the mean of the last epochs, which patience may leave out: set train.patience=0"))
        return self

    @model_validator(mode="after")
    def _only_its_modality(self) -> Self:
        """A setting for the other modality stays at its default."""
        wrong = [path for path, field, value in super().leaves() if not self._applies(field) and value != field.default]
        if wrong:
            raise ValueError(
                joined("; ", (msg("a recipe for {modality} has no {path}, remove it", modality=self.modality, path=path) for path in wrong))
            )
        return self

    @model_validator(mode="after")
    def _grows_to_its_size(self) -> Self:
        """Where the first epochs are smaller, there are such epochs, and they are smaller."""
        first, size, last, epochs = self.input.first_px, self.input.size_px, self.input.full_px_epochs, self.train.epochs
        refuse(
            (
                first and not MIN_PX <= first < size,
                msg("input.first_px = {first}: from {least} to below input.size_px ({size}), or 0", first=first, least=MIN_PX, size=size),
            ),
            (
                first and last >= epochs,
                msg("input.full_px_epochs = {last} of {epochs} epochs: none is left for input.first_px", last=last, epochs=epochs),
            ),
        )
        return self

    @property
    def first_epochs(self) -> int:
        """How many epochs train at `input.first_px`, before those at `input.size_px`."""
        return self.train.epochs - self.input.full_px_epochs if self.input.first_px else 0

    @property
    def area_share(self) -> float:
        """The mean area of a training input over all epochs, as a share of the one at `input.size_px`."""
        return 1 - self.first_epochs / self.train.epochs * (1 - (self.input.first_px / self.input.size_px) ** 2)

    def is_mixed(self, epoch: int) -> bool:
        """Whether MixUp or CutMix mixes rows in an epoch (from 1)."""
        return self.augment.mixes and epoch <= self.train.epochs - self.augment.mix_off_epochs

    @model_validator(mode="after")
    def _only_what_is_used(self) -> Self:
        """A setting that is only used with a value of another one stays at its default without it."""
        leaves = {path: (field, value) for path, field, value in self.leaves()}
        wrong = [
            msg("{path} is only used with {needed}, remove it or set that", path=path, needed=f"{other}={'|'.join(values)}")
            for path, (field, value) in leaves.items()
            if (wanted := wanted_by(field))
            for other, values in [wanted]
            if value != field.default and leaves[other][1] not in values
        ]
        if wrong:
            raise ValueError(joined("; ", wrong))
        return self

    def leaves(self) -> Iterable[tuple[str, FieldInfo, Any]]:
        """Every setting but those for the other modality."""
        return (leaf for leaf in super().leaves() if self._applies(leaf[1]))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without the settings for the other modality."""
        values = super().to_dict()
        for path, field, _ in walk_fields(type(self)):
            if not self._applies(field):
                section, _, name = path.partition(".")
                del values[section][name]
        return values

    def _applies(self, field: FieldInfo) -> bool:
        extra = field.json_schema_extra
        return not isinstance(extra, dict) or extra.get("modality", self.modality) == self.modality

    def identity(self) -> dict[str, Any]:
        """What is trained: without the parts of NOT_TRAINED. 0.1.0 had a section for each modality, None for the other one."""
        other = "text" if self.modality == "image" else "image"
        return {key: value for key, value in super().identity().items() if key not in NOT_TRAINED} | {other: None}

    @property
    def fingerprint(self) -> str:
        """The hash of what is trained."""
        return fingerprint(self.identity())


def flatten_settings(recipe: Recipe) -> dict[str, Any]:
    """Every setting of a recipe by its dotted path, without the name."""
    return {path: value for path, _, value in recipe.leaves() if path != "name"}


def differing_settings(recipes: Sequence[Recipe]) -> dict[str, tuple[Any, ...]]:
    """The settings that are not equal in all recipes: dotted path -> one value per recipe, in order of the recipe's fields."""
    flats = [flatten_settings(recipe) for recipe in recipes]
    paths = dict.fromkeys(path for flat in flats for path in flat)
    table = {path: tuple(flat.get(path, MISSING) for flat in flats) for path in paths}
    return {path: values for path, values in table.items() if any(value != values[0] for value in values)}
