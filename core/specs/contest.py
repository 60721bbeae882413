"""What a contest is: the answers that inspection proposes and a person may correct before it is accepted."""

from typing import Literal, Self

from pydantic import Field, model_validator

from core.base.messages import msg
from core.base.names import Name
from core.base.settings import BASIC, LINES, Settings, refuse
from core.metrics.scores import MetricName, metrics_for

LABELS = ("layout", "train", "train_labels", "valid", "labels", "label_column", "label_separator", "missing_labels")
"""Where the labels are: with another of these the classes are found again."""


class ContestSpec(Settings):
    """One contest. Files are relative to `root`; an empty string means there is none."""

    name: Name = Field(description="Name of the contest.", json_schema_extra=BASIC)
    root: str = Field(
        min_length=1, description="The folder with the contest's files, as an absolute path.", json_schema_extra={"hidden": True}
    )
    modality: Literal["image", "text"] = Field(description="What the rows are.", json_schema_extra=BASIC)
    layout: Literal["csv", "folders"] = Field(description="Labels in a CSV, or one folder of images per class.", json_schema_extra=BASIC)
    train: str = Field(description="The training CSV, or the folder that holds the class folders.", json_schema_extra=BASIC)
    train_labels: str = Field(
        default="",
        description="The CSV with the labels, where they stand in a table of their own; joined to the training CSV by their column of ids.",
    )
    valid: str = Field(
        default="",
        description="Labelled rows beside the training rows, as a CSV or a folder of class folders; they are trained on too.",
    )
    test: str = Field(
        default="",
        description="The test CSV, or a folder of test images; empty when the sample submission lists the rows.",
        json_schema_extra=BASIC,
    )
    sample_submission: str = Field(default="", description="The sample submission CSV.", json_schema_extra=BASIC)
    encoding: str = Field(
        default="",
        description="The encoding of tables that are neither UTF-8 nor Korean cp949, such as gb18030; empty when none is.",
    )
    id_column: str = Field(default="", description="Column that names each row; empty numbers the rows.", json_schema_extra=BASIC)
    input_columns: tuple[str, ...] = Field(
        default=(), description="Column with the image path, or the text columns (joined by a line break).", json_schema_extra=BASIC
    )
    labels: Literal["one", "several"] = Field(
        default="one", description="How many classes a row has: one, or any number of them (multi-label).", json_schema_extra=BASIC
    )
    label_column: str = Field(
        default="",
        description="Column with the class, or with all classes of the row; empty for class folders, and where each class has a column of 0 and 1.",
        json_schema_extra=BASIC,
    )
    label_separator: str = Field(
        default="",
        max_length=5,
        description="What stands between the classes in a cell of the label column, where a row has several.",
        json_schema_extra=BASIC,
    )
    missing_labels: Literal["refuse", "drop", "class"] = Field(
        default="refuse",
        description="Rows whose label is empty or a word for a missing one (NA, nan, NULL): refuse the table, leave them out, or take such a word for a class.",
        json_schema_extra=BASIC,
    )
    group_column: str = Field(
        default="",
        description="Rows with the same value here never stand on both sides of a fold (person, source).",
        json_schema_extra=BASIC,
    )
    image_root: str = Field(default="", description="Folder that image paths start from; empty is the contest's folder.")
    test_image_root: str = Field(default="", description="Folder that test image paths start from; empty is the same as for training.")
    white_level: float = Field(
        default=0.0,
        ge=0,
        le=65535,
        description="The value that is white in images of more than eight bits, such as 4095 of 12 bits; 0: from the bits that all of them use.",
    )
    damaged_train: Literal["refuse", "leave_out", "repair"] = Field(
        default="refuse",
        description="Training images that cannot be read: refuse the contest, leave their rows out, or take what can be read of them.",
    )
    damaged_test: Literal["refuse", "blank", "repair"] = Field(
        default="refuse",
        description="Test images that cannot be read: refuse the contest, predict from a grey image, or take what can be read of them.",
    )
    copies: Literal["keep", "leave_out"] = Field(
        default="keep",
        description="Training rows that are copies of each other and have different labels: keep them, or leave them out.",
    )
    classes: tuple[str, ...] = Field(
        min_length=2,
        description="The classes in the order of every array; where each has a column of 0 and 1, the names of these columns.",
        json_schema_extra=LINES,
    )
    metric: MetricName = Field(default="log_loss", description="What the contest scores.", json_schema_extra=BASIC)
    submission: Literal["label", "probabilities", "flags"] = Field(
        default="label",
        description="One label per row (or all of its labels in one cell), one probability column per class, or one column of 0 and 1 per class.",
        json_schema_extra=BASIC,
    )

    submission_names: tuple[str, ...] = Field(
        default=(),
        description="What the submission calls the classes, in their order; empty where it calls them as the training table does.",
        json_schema_extra=BASIC | LINES,
    )
    untrained_classes: tuple[str, ...] = Field(
        default=(),
        description="Columns of the submission for classes that no training row has; they get the smallest probability that is written.",
        json_schema_extra=LINES,
    )

    @property
    def is_multilabel(self) -> bool:
        """A row may have several classes, or none; each class has a probability of its own."""
        return self.labels == "several"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        several, known = self.is_multilabel, metrics_for(multilabel=self.is_multilabel)
        refuse(
            (len(set(self.classes)) != len(self.classes), "classes must be distinct"),
            (
                self.submission_names and len(set(self.submission_names)) != len(self.classes),
                "submission_names must be a name of its own for each class; leave it empty, or give as many names as there are classes",
            ),
            (
                set(self.untrained_classes) & {*self.classes, *self.submission_names},
                "untrained_classes must be others than the classes that training rows have",
            ),
            (
                several and self.layout == "folders",
                "an image stands in one class folder, so its row has one class; use layout=csv for several",
            ),
            (
                self.submission == "flags" and not several,
                "a column of 0 and 1 per class is for rows with several classes; use label, or labels=several",
            ),
            (
                several and bool(self.label_column) != bool(self.label_separator),
                "several classes stand in one label_column, with a label_separator between them, or in a column each, with neither",
            ),
            (
                self.label_separator and not several,
                "a label_separator is for rows with several classes; leave it empty, or use labels=several",
            ),
            (
                self.metric not in known,
                msg("{metric} is not defined for these labels; use {metrics}", metric=self.metric, metrics=", ".join(known)),
            ),
        )
        return self
