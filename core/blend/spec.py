"""What a blend is: which runs, under which weights, by which mean. Enough to make it again."""

from __future__ import annotations

from pydantic import Field, model_validator

from core.blend.mean import MeanName
from core.settings import Settings


class BlendSpec(Settings):
    """A blend of runs. Weights are kept as given; the mean divides by their sum."""

    members: tuple[int, ...] = Field(min_length=1, description="Ids of the runs that are blended.")
    weights: tuple[float, ...] = Field(min_length=1, description="One non-negative weight per run.")
    mean: MeanName = Field("arithmetic", description="How predictions are averaged.")

    @model_validator(mode="after")
    def _weights_fit_members(self) -> BlendSpec:
        if len(self.weights) != len(self.members):
            raise ValueError(f"{len(self.members)} runs but {len(self.weights)} weights; give one weight per run")
        if len(set(self.members)) != len(self.members):
            raise ValueError("a run appears twice; name each run once")
        if any(not 0 <= weight < float("inf") for weight in self.weights):
            raise ValueError("weights must be finite and not negative")
        if sum(self.weights) <= 0:
            raise ValueError("all weights are zero; give at least one run a weight")
        return self

    def normalised(self) -> tuple[float, ...]:
        """The weights divided by their sum."""
        total = sum(self.weights)
        return tuple(weight / total for weight in self.weights)
