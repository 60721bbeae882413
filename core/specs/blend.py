"""What a blend is: which runs, under which weights, by which mean, and what is done to the result. Enough to make it again."""

from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from core.base.messages import msg
from core.base.settings import Settings, refuse

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0

MeanName = Literal["arithmetic", "logit", "power", "rank", "hard"]


class Stack(Settings):
    """A multinomial regression on the logarithms of all members' probabilities, one number per run and class.

    Multi-label: a logistic regression for each class on the log-odds that the runs give to it.
    """

    coefficients: tuple[tuple[float, ...], ...] = Field(
        default=(), description="One row per class; in it, run by run, one coefficient per class (multi-label: one coefficient)."
    )
    intercepts: tuple[float, ...] = Field(default=(), description="One number per class.")


class BlendSteps(Settings):
    """How predictions of runs become those of their blend: the same steps for out-of-fold and test rows, but for the temperature
    (see `BlendSpec.test_temperature`).

    Weights are kept as given; they count divided by their sum.
    """

    weights: tuple[float, ...] = Field(min_length=1, description="One non-negative weight per run.")
    mean: MeanName = Field(default="arithmetic", description="How predictions are averaged.")
    shrinkage: float = Field(
        default=0.0, ge=0, le=1, description="How far weights are drawn to equal ones: 0 leaves them, 1 makes them equal."
    )
    class_weights: tuple[tuple[float, ...], ...] = Field(
        default=(), description="One positive weight per run and class, in place of `weights`; empty for the same in every class."
    )
    stack: Stack | None = Field(default=None, description="A regression in place of a mean.")
    temperature: float = Field(
        default=1.0,
        ge=MIN_TEMPERATURE,
        le=MAX_TEMPERATURE,
        description="The blend's logarithms are divided by this: above 1 it becomes less sure.",
    )
    offsets: tuple[float, ...] = Field(
        default=(),
        description="Added to the blend's logarithms, one number per class, before the likeliest class is taken; empty for none.",
    )
    thresholds: tuple[float, ...] = Field(
        default=(),
        description="Multi-label: a row has each class whose probability is above its threshold, one number per class; empty for one half.",
    )

    always_hashed: ClassVar[tuple[str, ...]] = (
        *("mean", "shrinkage", "class_weights", "stack", "stack.coefficients", "stack.intercepts"),
        *("temperature", "offsets", "thresholds", "folds", "networks"),
    )

    @model_validator(mode="after")
    def _weights_mean_something(self) -> Self:
        rows = self.class_weights
        refuse(
            (any(not 0 <= weight < float("inf") for weight in self.weights), "weights must be finite and not negative"),
            (sum(self.weights) <= 0, "all weights are zero; give at least one run a weight"),
            (
                sum(self.weights) == float("inf"),
                "the sum of the weights is too large for a number; only their shares count: give smaller ones",
            ),
            (
                rows and (len(rows) != len(self.weights) or len({len(row) for row in rows}) != 1),
                "class_weights needs one row per run, all of one length",
            ),
            (
                any(not 0 < weight < float("inf") for row in rows for weight in row),
                "class_weights must be finite and positive; a class that no run may speak for has no probability",
            ),
            (rows and self.stack, "a regression has no class_weights; give one of the two"),
            (any(abs(offset) == float("inf") or offset != offset for offset in self.offsets), "offsets must be finite"),
            (any(not 0 <= threshold <= 1 for threshold in self.thresholds), "thresholds must lie from 0 to 1"),
            (
                self.thresholds and self.offsets,
                "offsets decide which class wins, thresholds which classes are given; a contest needs one of the two",
            ),
        )
        return self

    @property
    def is_plain(self) -> bool:
        """Weights and a mean, and nothing else: the labels need only the classes that can win."""
        return not (self.class_weights or self.stack or self.offsets or self.thresholds) and self.temperature == 1

    @property
    def share(self) -> NDArray[np.float64]:
        """What each run has in the mean, shrinkage included: (n_runs,), or (n_runs, n_classes); sums to one over the runs."""
        given = np.asarray(self.class_weights or self.weights, dtype=np.float64)
        return (1 - self.shrinkage) * given / given.sum(axis=0) + self.shrinkage / len(given)

    def normalised(self) -> tuple[float, ...]:
        """The share of each run, sums to one; of weights by class the mean over the classes, of a regression those it was made beside."""
        share = self.share
        return tuple((share.mean(axis=1) if share.ndim == 2 else share).tolist())


class BlendSpec(BlendSteps):
    """A blend of runs that is kept. One on some folds only, those that all its runs have finished, says which."""

    members: tuple[int, ...] = Field(min_length=1, description="Ids of the runs that are blended.")
    folds: tuple[int, ...] = Field(
        default=(), description="The folds that the blend was weighed and scored on, where its runs do not have all; empty for all."
    )
    networks: tuple[tuple[int, ...], ...] = Field(
        default=(),
        description="The folds of each run whose networks predict the test rows, where not all: every fold it had finished; empty for all.",
    )

    test_temperature: float | None = Field(
        default=None,
        ge=MIN_TEMPERATURE,
        le=MAX_TEMPERATURE,
        description="The temperature of test rows, which the mean of several networks predicts, where it is another one.",
    )

    @model_validator(mode="after")
    def _weights_fit_members(self) -> Self:
        n_runs, n_weights = len(self.members), len(self.weights)
        refuse(
            (
                n_weights != n_runs,
                msg(
                    "{runs} {runs:run|runs} but {weights} {weights:weight|weights}; give one weight per run", runs=n_runs, weights=n_weights
                ),
            ),
            (len(set(self.members)) != n_runs, "a run appears twice; name each run once"),
            (
                bool(self.folds) != bool(self.networks) or (self.networks and len(self.networks) != n_runs),
                "a blend on some folds names the folds, and for each run those of its networks",
            ),
            (
                any(not set(self.folds) <= set(folds) for folds in self.networks),
                "every run must have a network of each fold that the blend is scored on",
            ),
        )
        return self

    @property
    def is_restricted(self) -> bool:
        """It stands on some folds only."""
        return bool(self.folds)

    @property
    def networks_of(self) -> tuple[tuple[int, ...] | None, ...]:
        """For each run the folds whose networks predict the test rows; None for all."""
        return self.networks or (None,) * len(self.members)

    @property
    def steps(self) -> BlendSteps:
        """The steps alone, as out-of-fold rows go through them."""
        return BlendSteps.model_validate({name: getattr(self, name) for name in BlendSteps.model_fields})

    @property
    def test_steps(self) -> BlendSteps:
        """The steps of test rows, and of any row that is predicted by the mean of several networks."""
        return self.steps if self.test_temperature is None else self.steps.model_copy(update={"temperature": self.test_temperature})
