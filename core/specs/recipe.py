"""What a run does: one frozen model. A setting is written here once and shows up everywhere.

Sections are concepts. A field for one modality says so; a recipe for the other one leaves it at its default and does not show it.
Fields marked `basic` are shown first in the form; the rest is folded by section.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic.fields import FieldInfo

from core.base.files import fingerprint
from core.base.messages import joined, msg
from core.base.names import Name
from core.base.settings import BASIC, Settings, refuse, walk_fields, wanted_by
from core.specs.data_settings import MIN_PX, AugmentSettings, InputSettings, PredictSettings, SamplingSettings
from core.specs.model_settings import AdversarialSettings, LossSettings, ModelSettings, TfidfSettings
from core.specs.text_settings import CleanSettings
from core.specs.training_settings import AverageSettings, OptimSettings, TrainSettings

MISSING = "–"
"""Where a recipe has no such setting, beside recipes that have it."""
NOT_TRAINED = ("name", "checkpoints", "tracking")
"""Parts of a recipe that do not change what comes out of it."""


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
    clean: CleanSettings = CleanSettings()
    augment: AugmentSettings = AugmentSettings()
    sampling: SamplingSettings = SamplingSettings()
    model: ModelSettings = ModelSettings()
    tfidf: TfidfSettings = TfidfSettings()
    loss: LossSettings = LossSettings()
    adversarial: AdversarialSettings = AdversarialSettings()
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

    @model_validator(mode="after")
    def _has_what_it_perturbs(self) -> Self:
        adversarial, epochs, probe = self.adversarial, self.train.epochs, self.train.probe_epochs
        moves_words = self.augment.word_deletion or self.augment.word_swap
        is_fgm, first = adversarial.kind == "fgm", adversarial.start_epoch
        refuse(
            (
                moves_words and self.input.markers != "none",
                "augment.word_deletion and augment.word_swap would take words out of their entity markers: set both to 0; augment.aeda keeps all words",
            ),
            (is_fgm and self.modality == "image", "adversarial.kind=fgm perturbs word embeddings, which images do not have: use awp"),
            (is_fgm and self.model.lora != "none", "adversarial.kind=fgm perturbs word embeddings, which LoRA leaves as they are: use awp"),
            (
                adversarial.kind != "none" and first > epochs,
                msg("adversarial.start_epoch = {first} of {n} epochs: none is left for it", first=first, n=epochs),
            ),
            (
                is_fgm and first <= probe,
                msg(
                    "adversarial.start_epoch = {first}: word embeddings learn from epoch {n} on, after train.probe_epochs",
                    first=first,
                    n=probe + 1,
                ),
            ),
        )
        return self

    @model_validator(mode="after")
    def _has_two_levels(self) -> Self:
        """Coarse classes are predicted first, or, of texts, learned beside the classes."""
        two, coarse = self.model.two_levels, self.loss.coarse
        is_softmax = self.loss.kind in ("cross_entropy", "focal")
        refuse(
            (two and self.model.is_tfidf, "model.two_levels is for networks, not for TF-IDF: set it to false"),
            (two and not coarse, "model.two_levels needs the coarse class of each class: set loss.coarse"),
            (self.model.separate_levels and not two, "model.separate_levels says how model.two_levels is made: set both, or neither"),
            (
                self.model.separate_levels and self.model.lora != "none",
                "model.separate_levels trains several networks, and model.lora adapts one: set one of them to its default",
            ),
            (
                self.model.separate_levels and self.adversarial.kind == "fgm",
                "adversarial.kind=fgm perturbs the word embeddings of one network, and model.separate_levels has several: use awp",
            ),
            (two and not is_softmax, "model.two_levels multiplies probabilities that sum to one: set loss.kind=cross_entropy or focal"),
            (
                coarse and not two and self.modality == "image",
                "loss.coarse is a second head for texts alone: set model.two_levels, or leave it empty",
            ),
        )
        return self

    def with_seed(self, seed: int) -> Self:
        """The same training with one seed; of a recipe with several seeds one of its parts."""
        return self.model_copy(update={"train": self.train.model_copy(update={"seed": seed, "n_seeds": 1})})

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

    def is_adversarial(self, epoch: int) -> bool:
        """Whether an epoch (from 1) trains against a perturbation."""
        return self.adversarial.kind != "none" and epoch >= self.adversarial.start_epoch

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
