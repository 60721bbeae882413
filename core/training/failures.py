"""What the libraries raise while training, turned into the typed errors that a person can act on."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from safetensors import SafetensorError

from core.base.errors import DiskFull, OutOfMemory, RecipeError, WeightsError
from core.specs.recipe import Recipe
from models.spec import CannotBuild
from models.weights import WeightsNotFound, WeightsUnreadable

MEMORY_SIGNS = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory", "bad_alloc")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def typed_failures(recipe: Recipe, where: str) -> Iterator[None]:
    """Raise OutOfMemory, DiskFull, WeightsError or RecipeError for what is known; anything else passes as the bug it is."""
    try:
        yield
    except WeightsNotFound as problem:
        raise WeightsError(
            f"the weights of {problem.backbone.name} are not here",
            where="; ".join(miss.place for miss in problem.misses),
            why="; ".join(str(miss) for miss in problem.misses),
            fix=f"put the file at weights/{problem.backbone.name}{'.safetensors' if recipe.modality == 'image' else ''} in the workspace, "
            "go online once, or set model.pretrained=false" + (" with a backbone that is here" if recipe.modality == "text" else ""),
        ) from problem
    except WeightsUnreadable as problem:
        raise WeightsError(
            f"the weights of {problem.backbone.name} cannot be read",
            where=str(problem.weights.path),
            why=problem.reason,
            fix=f"replace what the {problem.weights.place} holds by a whole copy, or delete it, so that the next place is looked at",
        ) from problem
    except CannotBuild as problem:
        raise RecipeError(str(problem), where="model", why="the backbone does not take these settings", fix=problem.fix) from problem
    except (MemoryError, RuntimeError) as problem:
        if not _is_memory(problem):
            raise
        raise OutOfMemory(
            "the device ran out of memory",
            where=where,
            why=str(problem).splitlines()[0] if str(problem) else type(problem).__name__,
            fix=f"lower train.batch_size (it is {recipe.train.batch_size}), {_size_advice(recipe)}, or choose a smaller backbone",
        ) from problem
    except (OSError, SafetensorError) as problem:
        if not _is_full(problem):
            raise
        raise DiskFull("the disk is full", where=where, why=str(problem), fix="make space, then retry the job") from problem


def not_a_number(recipe: Recipe, where: str) -> RecipeError:
    """The error of a loss that is no longer a number."""
    return RecipeError(
        "the loss is not a number",
        where=where,
        why=f"training diverged at a learning rate of {recipe.optim.lr:g}",
        fix=f"set optim.lr={recipe.optim.lr / 10:g}, raise optim.warmup, or set train.precision=fp32",
    )


def _is_memory(problem: BaseException) -> bool:
    return isinstance(problem, MemoryError | torch.OutOfMemoryError) or any(sign in str(problem).lower() for sign in MEMORY_SIGNS)


def _is_full(problem: OSError | SafetensorError) -> bool:
    if isinstance(problem, OSError):
        return problem.errno in FULL
    return "no space left" in str(problem).lower() or "os error 28" in str(problem).lower()


def _size_advice(recipe: Recipe) -> str:
    if recipe.image:
        return f"image.size_px (it is {recipe.image.size_px})"
    return f"text.max_tokens (it is {recipe.text.max_tokens})" if recipe.text else "the size of the rows"
