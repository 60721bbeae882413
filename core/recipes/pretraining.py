"""The recipe of a pretraining: masked-language-model training goes on over a contest's texts, before a run learns the classes (TAPT,
Gururangan et al. 2020, arXiv 2004.10964)."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from core.base.errors import InputError, RecipeError
from core.base.messages import reason
from core.base.names import NAME_LENGTH, name_from
from core.base.settings import parse_settings
from core.contest.encoding import decode
from core.specs.recipe import Recipe
from core.training.task import backbone_of
from models.catalog import UnknownBackbone
from models.local import NoBackbone, any_backbone

USUAL = {
    "optim": {"lr": 1e-4, "weight_decay": 0.01, "warmup": 0.06, "schedule": "linear"},
    "train": {"epochs": 10, "batch_size": 32, "group_by_length": True},
}
"""The authors' learning rate, decay and warm-up; they took 100 epochs of few texts."""
READ = (
    *("name", "modality", "model.backbone", "checkpoints", "input", "clean", "optim"),
    *(f"train.{name}" for name in ("epochs", "batch_size", "accumulate", "group_by_length", "seed", "precision", "loader_workers")),
)
"""The settings, or whole sections, that a pretraining goes by."""
NOT_READ = ("clean.min_rows", "optim.optimizer", "optim.layer_decay")
"""Settings of those sections that it does not."""


def pretraining_recipe(backbone: str, weights_dir: Path, like: Recipe | None = None) -> Recipe:
    """The usual pretraining of a backbone, on texts composed, cleaned and cut as those of another recipe; long texts are read whole, window
    by window. Raises RecipeError where that one leaves out rare words, which a fold finds among its training rows."""
    texts = like or Recipe(modality="text")
    read = {name: texts.to_dict()[name] for name in ("input", "clean", "checkpoints")}
    read["input"] |= {"truncation": "windows", "head_share": Recipe().input.head_share}
    given = {name: getattr(texts.train, name) for name in ("seed", "precision", "loader_workers")}
    name = name_from(f"{backbone.rpartition('/')[2][: NAME_LENGTH - 8]}-adapted", "adapted")
    values = {"name": name, "modality": "text", "model": {"backbone": backbone}, **USUAL, **read}
    recipe = parse_settings(Recipe, {**values, "train": {**USUAL["train"], **given}}, where="pretraining")
    check_pretraining(recipe, weights_dir)
    return recipe


def check_pretraining(recipe: Recipe, weights_dir: Path) -> None:
    """Raise RecipeError for a recipe of images, a setting that a pretraining does not read, and a backbone that has no pretrained encoder."""
    if recipe.modality != "text":
        raise RecipeError(
            "images have no words to mask", where="modality", why="a pretraining fills in words", fix="choose a contest of texts"
        )
    if strange := [path for path, field, value in recipe.leaves() if value != field.default and not _is_read(path)]:
        raise RecipeError(
            "a pretraining does not read {paths}",
            where=strange[0],
            why="it fills in words of texts, and knows no classes",
            fix="leave them at their defaults",
            paths=", ".join(strange),
        )
    problem = ""
    with suppress(UnknownBackbone, NoBackbone):  # refused below, with names that are close
        backbone = any_backbone(recipe.model.backbone, weights_dir)
        if backbone.library != "transformers":
            problem = "its vocabulary is made anew of the training rows of each fold"
        elif backbone.is_decoder:
            problem = "it says which token comes next, and fills in none"
    if problem:
        raise RecipeError(
            "{backbone} has no pretraining that could go on",
            where="model.backbone",
            why=problem,
            fix="choose an encoder such as {example}",
            backbone=recipe.model.backbone,
            example="sentence-transformers/all-MiniLM-L6-v2",
        )
    backbone_of(recipe, weights_dir)


def read_lines(files: Sequence[Path]) -> list[str]:
    """The lines of text files, without those that are empty. Raises InputError for a file that cannot be read, or has no text."""
    lines: list[str] = []
    for file in files:
        try:
            raw = file.read_bytes()
        except OSError as problem:
            fix = "give the path of a text file"
            raise InputError("cannot read {file}", where=str(file), why=reason(problem), fix=fix, file=file.name) from None
        found = [line for line in decode(raw, file, None)[0].splitlines() if line.strip()]
        if not found:
            raise InputError("{file} holds no text", where=str(file), fix="give a file with a text in each line", file=file.name)
        lines += found
    return lines


def make_pair(recipe: Recipe, pretraining: str) -> Sequence[Recipe]:
    """A recipe without and with the weights of a pretraining (p17): what it gains on the same folds is what these two differ by.

    The recipe's own name is kept; the one with them is called after both."""
    without, adapted = (
        recipe.model_copy(update={"model": recipe.model.model_copy(update={"start_from": ref})}) for ref in ("", pretraining)
    )
    return without, adapted.model_copy(update={"name": f"{recipe.name[: NAME_LENGTH - len(pretraining) - 1]}-{pretraining}"})


def _is_read(path: str) -> bool:
    return path not in NOT_READ and (path in READ or path.partition(".")[0] in READ)
