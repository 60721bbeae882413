"""What the libraries raise while training, turned into the typed errors that a person can act on."""

from collections.abc import Iterator
from contextlib import contextmanager

from safetensors import SafetensorError

from core.base.errors import DiskFull, OutOfMemory, RecipeError, WeightsError
from core.base.files import is_full
from core.base.messages import joined, msg, reason
from core.specs.recipe import Recipe
from core.training.machine import is_memory
from core.training.task import miss_text
from models.spec import CannotBuild
from models.weights import WeightsNotFound, WeightsUnreadable


@contextmanager
def typed_failures(recipe: Recipe, where: str, *, needs_pretrained: bool = False) -> Iterator[None]:
    """Raise OutOfMemory, DiskFull, WeightsError or RecipeError for what is known; anything else passes as the bug it is.

    `needs_pretrained`: pretrained weights that are not here cannot be done without."""
    try:
        yield
    except WeightsNotFound as problem:
        raise WeightsError(
            "the weights of {backbone} are not here",
            where=joined("; ", (miss.place for miss in problem.misses)),
            why=joined("; ", map(miss_text, problem.misses)),
            fix="put the folder at weights/{backbone} in the workspace, or go online once"
            if needs_pretrained
            else "put the file at weights/{backbone}.safetensors in the workspace, go online once, or set model.pretrained=false"
            if recipe.modality == "image"
            else "put the folder at weights/{backbone} in the workspace, go online once, or set model.pretrained=false with a backbone that is here",
            backbone=problem.backbone.name,
        ) from problem
    except WeightsUnreadable as problem:
        raise WeightsError(
            "the weights of {backbone} cannot be read",
            where=str(problem.weights.path),
            why=joined(": ", filter(None, (problem.reason, problem.names))),
            fix="replace what the {place} holds by a whole copy, or delete it, so that the next place is looked at",
            backbone=problem.backbone.name,
            place=problem.weights.place,
        ) from problem
    except CannotBuild as problem:
        why = "the backbone does not take these settings"
        raise RecipeError(problem.what, where="model", why=why, fix=problem.fix, **problem.values) from problem
    except (MemoryError, RuntimeError) as problem:
        if not is_memory(problem):
            raise
        raise OutOfMemory(
            "the device ran out of memory",
            where=where,
            why=str(problem).splitlines()[0] if str(problem) else type(problem).__name__,
            fix="lower train.batch_size (it is {n}), {size}, or choose a smaller backbone",
            n=recipe.train.batch_size,
            size=_size_advice(recipe),
        ) from problem
    except ValueError as problem:
        if "Expected more than 1 value per channel" not in str(problem):  # as batch normalisation says it
            raise
        raise RecipeError(
            "this network cannot learn from one row at a time",
            where="train.batch_size",
            why="batch normalisation compares the rows computed at once, here one (train.batch_size {n}, train.accumulate {parts}, halved without memory)",
            fix="set train.batch_size={enough} or more, with train.accumulate at most half of it, or choose a backbone with layer normalisation",
            n=recipe.train.batch_size,
            parts=recipe.train.accumulate,
            enough=max(2, recipe.train.batch_size),
        ) from problem
    except (OSError, SafetensorError) as problem:
        if not is_full(problem):
            raise
        raise DiskFull("the disk is full", where=where, why=reason(problem), fix="make space, then retry the job") from problem


def not_a_number(recipe: Recipe, where: str) -> RecipeError:
    """The error of a loss that is no longer a number."""
    return RecipeError(
        "the loss is not a number",
        where=where,
        why="training diverged at a learning rate of {lr:g}",
        fix=msg("set optim.lr={lr:g}, raise optim.warmup, or set train.precision=fp32", lr=recipe.optim.lr / 10),
        lr=recipe.optim.lr,
    )


def _size_advice(recipe: Recipe) -> str:
    if recipe.modality == "image":
        return msg("input.size_px (it is {n})", n=recipe.input.size_px)
    return msg("input.max_tokens (it is {n})", n=recipe.input.max_tokens)
