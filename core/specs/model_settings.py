"""Settings of what learns and what it learns by: the network, TF-IDF in place of one, the loss, and perturbed weights."""

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from core.base.messages import msg
from core.base.settings import BASIC, LINES, Settings, only_with, refuse
from core.specs.data_settings import FOR_IMAGES
from core.specs.text_settings import FOR_TEXTS

FOR_LORA = FOR_TEXTS | only_with("model.lora", "all", "attention")


class ModelSettings(Settings):
    """The network."""

    backbone: str = Field(
        default="tf_efficientnet_lite0.in1k",
        min_length=1,
        description="Name of the backbone: in the catalogue, in the workspace's weights/, or in the hub's cache.",
        json_schema_extra=BASIC | {"picker": "backbone"},
    )
    pretrained: bool = Field(
        default=True, description="Start from pretrained weights; off trains the same network from scratch.", json_schema_extra=BASIC
    )
    start_from: str = Field(
        default="",
        pattern=r"^([rp]\d+)?$",
        description="A run on the same folds (r12) whose weights are trained on: each fold starts from that fold's network. Or a pretraining on"
        " the contest's texts (p17), whose encoder all folds start from.",
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Dropout before the classifier; 0 to 0.3 is usual.")
    drop_path: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Stochastic depth of the backbone, where it has it; 0.1 to 0.3 is usual for large networks.",
        json_schema_extra=FOR_IMAGES,
    )
    pooling: Literal["cls", "mean", "max", "gem", "attention", "last"] = Field(
        default="mean",
        description="What the classifier reads: the first token, or of all tokens the mean, the maximum, GeM with a learned power, or a mean with"
        " learned weights (attention); the last token is for decoders, such as Qwen3 and Gemma.",
        json_schema_extra=FOR_TEXTS,
    )
    layers: Literal["last", "weighted", "last4_mean", "last4_concat"] = Field(
        default="last",
        description="The layers that tokens are read from: the last one, a learned mean of all, or the last four, as their mean or side by side.",
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
    two_levels: bool = Field(
        default=False,
        description="Predict the coarse class (loss.coarse) and the class within it by one body with two heads: a class has the product of both "
        "probabilities, so they sum to one.",
    )
    separate_levels: bool = Field(
        default=False,
        description="With model.two_levels: a network of its own for the coarse classes, and one for each coarse class of two classes or more, side by "
        "side in memory. Their product predicts; time and memory are those of all of them.",
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

    lora: Literal["none", "all", "attention"] = Field(
        default="none",
        description="LoRA: the pretrained network stays as it is, and small matrices beside its linear layers learn, all of them or those of attention; "
        "much less memory, for language models. Needs the package peft.",
        json_schema_extra=FOR_TEXTS,
    )
    lora_rank: int = Field(
        default=16,
        ge=1,
        le=512,
        description="The rank of these matrices; 16 to 64 is usual.",
        json_schema_extra=FOR_LORA,
    )
    lora_alpha: float = Field(
        default=32.0,
        gt=0,
        le=4096,
        description="What they give counts alpha divided by rank times; once or twice the rank is usual.",
        json_schema_extra=FOR_LORA,
    )
    lora_dropout: float = Field(default=0.05, ge=0, lt=1, description="Dropout before them; 0 to 0.1 is usual.", json_schema_extra=FOR_LORA)
    base_dtype: Literal["float32", "bfloat16", "int8", "nf4"] = Field(
        default="float32",
        description="How the weights that stay are held: bfloat16 takes half the memory, int8 a quarter and nf4 an eighth; these two need a CUDA card and "
        "the package bitsandbytes. All but float32 are kept as bfloat16.",
        json_schema_extra=FOR_LORA,
    )

    @property
    def kept_dtype(self) -> Literal["float32", "bfloat16"]:
        """The type of an encoder's weights once it is trained."""
        return "float32" if self.base_dtype == "float32" else "bfloat16"

    @model_validator(mode="after")
    def _has_a_base(self) -> Self:
        is_held, is_read = self.base_dtype in ("int8", "nf4"), self.pretrained and not self.start_from
        refuse(
            (
                is_held and not is_read,
                msg("model.base_dtype={dtype} is for pretrained weights as they come: set it to bfloat16", dtype=self.base_dtype),
            )
        )
        return self

    @property
    def is_tfidf(self) -> bool:
        """Whether it is TF-IDF with a linear model, and no network."""
        return self.backbone in USUAL_C


class LossSettings(Settings):
    """What is minimised over the training rows. Scores are of the plain probabilities."""

    kind: Literal["cross_entropy", "focal", "bi_tempered", "bce", "asymmetric", "zlpr"] = Field(
        default="cross_entropy",
        description="Cross-entropy is usual; focal where easy rows are most of them, bi-tempered where labels are wrong, bce asks each class a "
        "yes or no, asymmetric too, where rows have few of many classes; zlpr ranks the classes of a row above its others, for labels at 0.5.",
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

    rdrop: float = Field(
        default=0.0,
        ge=0,
        le=100,
        description="Alpha of R-Drop: each row is computed under two dropout masks, and so many times their disagreement is added to the loss; "
        "1 to 5 is usual, twice the time, 0 is off.",
    )
    coarse: tuple[str, ...] = Field(
        default=(),
        description="The coarse class of each class, in their order: none, org, org, per. With model.two_levels they are predicted first; else a second "
        "head learns them while a network of texts is trained, and is dropped in the end. Empty is off.",
        json_schema_extra=LINES,
    )
    coarse_weight: float = Field(
        default=0.3,
        gt=0,
        le=10,
        description="How much the loss of the coarse classes counts beside that of the classes; 0.1 to 0.5 is usual.",
        json_schema_extra=FOR_TEXTS,
    )

    @property
    def coarse_numbers(self) -> tuple[int, ...]:
        """The number from 0 of each class's coarse class, by their names; () where none are given."""
        names = sorted(set(self.coarse))
        return tuple(names.index(name) for name in self.coarse)

    @model_validator(mode="after")
    def _has_weights(self) -> Self:
        weights = self.given_weights
        refuse(
            (self.class_weights == "given" and not any(weights), "give a weight for each class, one or more above 0"),
            (not all(math.isfinite(weight) and weight >= 0 for weight in weights), "the weight of a class is a number from 0"),
            (self.rdrop and self.kind == "bi_tempered", "loss.rdrop compares usual probabilities, not those of bi_tempered: set it to 0"),
            (self.coarse and not all(self.coarse), "a coarse class has a name"),
            (self.coarse and len(set(self.coarse)) == 1, "loss.coarse has one coarse class only: give two or more, or none"),
        )
        return self


class AdversarialSettings(Settings):
    """Training against a perturbation: each step is computed once as it is, then with weights moved to where its loss is larger."""

    kind: Literal["none", "fgm", "awp"] = Field(
        default="none",
        description="FGM moves the word embeddings and adds the gradient found there; AWP moves all weight matrices and learns from the gradient there "
        "alone. Both take twice the time of a step.",
    )
    epsilon: float = Field(
        default=1.0,
        gt=0,
        le=100,
        description="FGM: the norm of what is added to the word embeddings; 0.1 to 1 is usual.",
        json_schema_extra=only_with("adversarial.kind", "fgm"),
    )
    gamma: float = Field(
        default=0.005,
        gt=0,
        le=1,
        description="AWP: the norm of what is added to each weight matrix, as a share of its own; 0.001 to 0.01 is usual.",
        json_schema_extra=only_with("adversarial.kind", "awp"),
    )
    start_epoch: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="The first epoch with it; AWP is usually on once the training loss has fallen, from the second epoch or half way.",
        json_schema_extra=only_with("adversarial.kind", "fgm", "awp"),
    )


USUAL_C = {"tfidf-logreg": 30.0, "tfidf-svm": 1.0}
"""Of each linear classifier on TF-IDF. Measured for the first one on headlines in five classes: 10 to 100 are within .01 of accuracy."""


FOR_TFIDF = only_with("model.backbone", *USUAL_C)


class TfidfSettings(Settings):
    """TF-IDF and a linear classifier, which are fitted in one go: no setting of epochs, batches, optimiser or loss is used with them."""

    words: int = Field(
        default=2, ge=0, le=5, description="The longest sequence of words that is counted; 0 counts none.", json_schema_extra=FOR_TFIDF
    )
    chars: int = Field(
        default=4,
        ge=0,
        le=8,
        description="The longest sequence of characters within words that is counted; 0 counts none.",
        json_schema_extra=FOR_TFIDF,
    )
    min_rows: int = Field(
        default=1, ge=1, le=1000, description="A sequence is counted where so many texts have it.", json_schema_extra=FOR_TFIDF
    )
    max_terms: int = Field(
        default=200_000,
        ge=100,
        le=2_000_000,
        description="The most sequences, the most frequent ones; fewer with very many classes.",
        json_schema_extra=FOR_TFIDF,
    )
    c: float = Field(
        default=0.0,
        ge=0,
        le=10_000,
        description="Inverse strength of the regularisation; 0 takes the usual one, 30 for logistic regression and 1 for a support vector machine.",
        json_schema_extra=FOR_TFIDF,
    )
    class_weight: Literal["none", "balanced"] = Field(
        default="none", description="Balanced gives each class the same weight, however rare.", json_schema_extra=FOR_TFIDF
    )
    max_iter: int = Field(default=300, ge=10, le=10_000, description="The most iterations of the solver.", json_schema_extra=FOR_TFIDF)
