"""How the training rows of a contest are split into folds."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from core.base.settings import Settings

BASIC: dict[str, Any] = {"basic": True}


class FoldsSpec(Settings):
    """How to cut the training rows."""

    kind: Literal["stratified", "group", "stratified_group"] = Field(
        default="stratified",
        description="Stratified keeps the share of each class; group keeps rows of one group together; stratified_group does both as well as it can.",
        json_schema_extra=BASIC,
    )
    n_folds: int = Field(default=5, ge=2, le=20, description="Number of folds.", json_schema_extra=BASIC)
    seed: int = Field(
        default=0, ge=0, lt=2**31, description="Shuffles the rows (or groups) before they are dealt out.", json_schema_extra=BASIC
    )
    group_column: str = Field(
        default="", description="Column that names the group; empty is the contest's own group column.", json_schema_extra=BASIC
    )

    @property
    def needs_groups(self) -> bool:
        """True for the kinds that keep groups together."""
        return self.kind != "stratified"
