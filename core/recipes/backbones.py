"""Text backbones that the catalogue does not list, brought into a workspace: a folder is copied into weights/, a name of the hub is fetched."""

import shutil
from pathlib import Path

from core.base.errors import InputError, WeightsError
from core.base.files import shown_path
from core.base.messages import joined
from core.recipes.plan import Listed
from core.training.task import miss_text, no_backbone
from core.workspace import Workspace
from models.catalog import Backbone
from models.local import NAME, NoBackbone, any_backbone, describe_folder
from models.weights import README_FILE, WeightsNotFound, find_weights, where_are_weights

COPIED = (".json", ".txt", ".model", ".safetensors", ".bin")
"""The files of a folder that are copied, beside README.md; none that is code."""


def add_backbone(workspace: Workspace, source: str, name: str = "") -> Listed:
    """Bring a backbone into a workspace, and say what its files say of it: `source` is a folder, which is copied into weights/ under `name` (its own
    where none is given), or else a name of the hub, which is fetched whole unless it is here.

    Raises RecipeError for what is no text backbone, WeightsError where the hub does not give it, InputError for a name that cannot be used.
    """
    folder = Path(source).expanduser()
    name = name or (folder.resolve().name if folder.is_dir() else source)
    if not NAME.fullmatch(name):
        raise InputError(
            "'{name}' is no name of a backbone",
            where="backbone",
            why="a name is letters, digits, points and dashes, behind an account and a slash or without",
            fix="give a folder that is there, a name of the hub such as klue/roberta-base, or a folder with --name",
            name=name,
        )
    if folder.is_dir():
        _copy(workspace, folder, name)
    else:
        stub = Backbone(name, "text", "transformers", "", 0.0, 0, 0, name, "", "", "")
        try:
            find_weights(stub, workspace.weights_dir)
        except WeightsNotFound as problem:
            raise WeightsError(
                "the weights of {backbone} are not here",
                where=joined("; ", (miss.place for miss in problem.misses)),
                why=joined("; ", map(miss_text, problem.misses)),
                fix="go online once, or give the folder in which they are",
                backbone=name,
            ) from None
    try:
        backbone = any_backbone(name, workspace.weights_dir)
    except NoBackbone as problem:
        raise no_backbone(name, problem) from None
    return Listed(backbone, where_are_weights(backbone, workspace.weights_dir))


def _copy(workspace: Workspace, folder: Path, name: str) -> None:
    """Copy what a folder has of a backbone, whole or not at all."""
    target = workspace.weights_dir / name
    if target.exists():
        raise InputError(
            "there is something at {path} already",
            where=shown_path(target),
            why="a backbone is copied whole, and what runs were trained from stays",
            fix="give it another name: --name NAME",
            path=f"weights/{name}",
        )
    try:
        describe_folder(folder, name)
    except NoBackbone as problem:
        raise no_backbone(name, problem) from None
    aside = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for path in folder.iterdir():
        if path.is_file() and (path.suffix in COPIED or path.name == README_FILE):
            shutil.copyfile(path, aside / path.name)
    aside.rename(target)
