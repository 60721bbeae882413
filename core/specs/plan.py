"""Several runs in one document: recipes, seeds, folds, and the weights that their blend starts from."""

from typing import Any, Self

from pydantic import Field, model_validator

from core.base.names import Name
from core.base.settings import Settings, refuse
from core.specs.folds import FoldsSpec
from core.specs.recipe import Recipe


class PlanRecipe(Settings):
    """One recipe of a plan: a preset by its name or a whole recipe, with some settings changed."""

    preset: str = Field(default="", description="Name of a preset.")
    recipe: Recipe | None = Field(default=None, description="A recipe in place of a preset.")
    set: dict[str, Any] = Field(default={}, description="Settings to change, such as `optim.lr: 0.001`.")
    weight: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="The recipe's weight in the blend, shared by its seeds. Every recipe has one, or none has.",
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if bool(self.preset) == (self.recipe is not None):
            raise ValueError("give one of preset and recipe")
        return self


class Plan(Settings):
    """What `train --plan` queues: every recipe with every seed, over the same folds."""

    name: Name = Field(default="plan", description="What its weights are called on the page Ensemble.")
    recipes: tuple[PlanRecipe, ...] = Field(min_length=1, description="The recipes.")
    seeds: tuple[int, ...] = Field(
        default=(), description="One run of each recipe with each of these seeds; empty keeps each recipe's own."
    )
    folds: FoldsSpec | None = Field(default=None, description="How the rows are split; the newest folds of the contest where left out.")
    fold_numbers: tuple[int, ...] = Field(default=(), description="The folds that are trained, from 0; empty for all.")

    @model_validator(mode="after")
    def _weights_and_seeds_make_sense(self) -> Self:
        weights = [entry.weight for entry in self.recipes if entry.weight is not None]
        is_partial = weights and (len(weights) < len(self.recipes) or not sum(weights))
        refuse(
            (is_partial, "give every recipe a weight, one of them above 0, or none a weight"),
            (any(not 0 <= seed < 2**31 for seed in self.seeds), "seeds are whole numbers from 0 to 2147483647"),
        )
        return self
