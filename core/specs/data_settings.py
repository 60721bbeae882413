"""Settings of the data: how a row reaches the network while it is trained and while it is predicted, and how often an epoch takes it."""

from typing import Any, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from core.base.settings import BASIC, Settings, only_with, refuse
from core.specs.text_settings import FOR_TEXTS, ComposeSettings

FOR_IMAGES: dict[str, Any] = {"modality": "image"}
MIN_PX = 16
"""The least side of an input."""
SHORT_SIDES = (128, 256, 384, 512, 768, 1024)
"""The short sides that images are reduced to, in pixels."""
Truncation = Literal["head", "tail", "head_tail", "windows"]
"""What a network reads of a text that is too long for it."""
DETAIL = 1.2
"""Reduced images have so many times the side of the input, so that a crop of .7 of their area still fills it."""


class InputSettings(ComposeSettings):
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
    reduced: bool = Field(
        default=False,
        description="Scale images down once, to a short side of 128 to 1024 px by size_px, and keep them decoded on the disk for all epochs, folds"
        " and runs; off decodes whole files in every epoch. On is usual.",
        json_schema_extra=FOR_IMAGES,
    )
    max_tokens: int = Field(
        default=128,
        ge=8,
        le=4096,
        description="Longer texts are cut here, batches are padded to their longest; 64 to 256 is usual.",
        json_schema_extra=BASIC | FOR_TEXTS,
    )
    truncation: Truncation = Field(
        default="head",
        description="What is read of a longer text: its head, its tail (usual with a prompt before a language model), both ends, or windows that slide"
        " over all of it: an epoch takes one at random, the mean of the logits of all predicts.",
        json_schema_extra=FOR_TEXTS,
    )
    head_share: float = Field(
        default=0.25,
        gt=0,
        lt=1,
        description="For head_tail: the share of the tokens that comes from the head; 0.25 is usual.",
        json_schema_extra=FOR_TEXTS | only_with("input.truncation", "head_tail"),
    )
    windows: int = Field(
        default=8,
        ge=2,
        le=256,
        description="For windows: the most of one text, which are spread evenly over it; each takes the time of a row when it is predicted.",
        json_schema_extra=FOR_TEXTS | only_with("input.truncation", "windows"),
    )
    overlap: float = Field(
        default=0.25,
        ge=0,
        le=0.9,
        description="For windows: the share of a window that the next one repeats at least; 0.1 to 0.5 is usual.",
        json_schema_extra=FOR_TEXTS | only_with("input.truncation", "windows"),
    )

    @property
    def short_px(self) -> int:
        """The short side that images are reduced to before anything else, 0 where they are not."""
        return next((side for side in SHORT_SIDES if side >= DETAIL * self.size_px), SHORT_SIDES[-1]) if self.reduced else 0


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
    aeda: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of the training texts with punctuation marks put between their words, anew in each epoch (AEDA); 0.2 to 0.5 is usual.",
        json_schema_extra=FOR_TEXTS,
    )
    word_deletion: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of the training texts of which words are left out, anew in each epoch (EDA's random deletion); 0.1 to 0.3 is usual.",
        json_schema_extra=FOR_TEXTS,
    )
    word_swap: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of the training texts in which words change places, anew in each epoch (EDA's random swap); 0.1 to 0.3 is usual.",
        json_schema_extra=FOR_TEXTS,
    )
    word_share: float = Field(
        default=0.1,
        gt=0,
        le=0.5,
        description="How many of a text's words are left out, and pairs swapped, as a share of its words; 0.05 to 0.2 is usual.",
        json_schema_extra=FOR_TEXTS,
    )
    word_rows: Literal["all", "rare", "repeats"] = Field(
        default="all",
        description="Which training texts have their words changed: all, those of classes that the sampler repeats (rare), or a row only from the "
        "second time on that an epoch takes it (repeats), so that it is read once as it is.",
        json_schema_extra=FOR_TEXTS | only_with("sampling.kind", "balanced", "square_root", "repeat_factor", "counts"),
    )
    mixup: float = Field(
        default=0.0,
        ge=0,
        le=10,
        description="Alpha of MixUp, which blends two rows and their labels: the pixels of images, the word embeddings of texts; 0.1 to 0.4 is "
        "usual, 0 is off.",
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
    )

    @property
    def edits_words(self) -> bool:
        """Whether words of training texts are changed."""
        return self.edited_share > 0

    @property
    def edited_share(self) -> float:
        """The share of the texts, of those that `word_rows` names, in which words are changed."""
        return 1 - (1 - self.aeda) * (1 - self.word_deletion) * (1 - self.word_swap)

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


ViewName = Literal["plain", "mirror", "flip", "rotate90", "rotate180", "rotate270", "five_crop", "zoom_in", "zoom_out", "noise"]
"""Ways to show an image to a network; what each does is in `core.data.views`."""


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
