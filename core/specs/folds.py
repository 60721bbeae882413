"""How the training rows of a contest are split into folds."""

from typing import Literal, Self

from pydantic import Field, model_validator

from core.base.settings import BASIC, Settings, refuse

MAX_FOLDS = 20


class FoldsSpec(Settings):
    """How to cut the training rows."""

    kind: Literal["stratified", "group", "stratified_group", "kfold", "column"] = Field(
        default="stratified",
        description="Stratified keeps the share of each class; group keeps rows of one group together; stratified_group does both as well as it can; kfold looks at neither; column follows a column that names the fold of each row.",
        json_schema_extra=BASIC,
    )
    n_folds: int = Field(
        default=5,
        ge=2,
        le=MAX_FOLDS,
        description="Number of parts that the rows are dealt into; each fold validates one part and trains on the others.",
        json_schema_extra=BASIC,
    )
    seed: int = Field(
        default=0, ge=0, lt=2**31, description="Shuffles the rows (or groups) before they are dealt out.", json_schema_extra=BASIC
    )
    group_column: str = Field(
        default="", description="Column that names the group; empty is the contest's own group column.", json_schema_extra=BASIC
    )
    fold_column: str = Field(
        default="",
        description="For kind=column: the column that names the fold which validates a row. Rows with nothing, -1 or train there are trained on by every fold.",
        json_schema_extra=BASIC,
    )
    repeats: int = Field(
        default=1, ge=1, le=10, description="The rows are dealt so many times, with the next seed each time, and every deal adds its folds."
    )
    holdout: bool = Field(
        default=False, description="Keep the first fold only: one network, and the rows of the other parts are never validated."
    )
    keep_rare: bool = Field(
        default=False, description="Rows of a class with fewer rows than folds are trained on by every fold and never validated."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        refuse(
            (self.holdout and self.repeats > 1, "a hold-out is one fold; use repeats=1, or leave holdout off"),
            (self.fold_column and self.kind != "column", "a fold_column is followed by kind=column alone"),
            (
                self.kind == "column" and (self.repeats > 1 or self.keep_rare),
                "a column says itself which rows are validated; use repeats=1, and leave keep_rare off",
            ),
        )
        return self

    @property
    def needs_groups(self) -> bool:
        """True for the kinds that keep groups together."""
        return self.kind in ("group", "stratified_group")

    @property
    def is_stratified(self) -> bool:
        """True for the kinds that look at the labels."""
        return self.kind in ("stratified", "stratified_group")
