"""Fingerprints of settings: those that 0.1.0 stored stay, a new setting changes none, a value other than its default does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from core.artefacts import write_manifest
from core.base.errors import AlignmentError
from core.base.files import fingerprint
from core.base.settings import Settings
from core.blend.ensemble import make_spec, save_blend
from core.folds import save_folds
from core.predictions.source import find_source
from core.specs.blend import BlendSpec
from core.specs.folds import FoldsSpec
from core.specs.recipe import Recipe
from core.specs.training_settings import OptimSettings
from core.store import blends, runs
from core.store.blends import get_blend
from core.store.folds import list_folds
from core.submission.write import make_lineage
from core.training.checkpoint import KIND, Identity, checkpoint_name, newest_verified
from core.workspace import Workspace
from tests.finished_workspace import finish_headlines

RECIPES_OF_0_1_0: dict[str, dict[str, Any]] = {
    "6f756ae1f81da18c29e753bb5b272c1c1a0bb5770280dc817e8d759bec41f2ae": {},
    "88bef4e545e22d6a4c446660d3799502ada54f77a066e102dc86305c378c8cab": {"modality": "text"},
    "5d1bdbaff54fc1a5878d9ba13040f67865e28bfe071457b95e1dcbb677f74086": {
        "name": "x",
        "model": {"drop_path": 0.1},
        "image": {"size_px": 32, "rotation_deg": 5.0},
        "text": None,
        "train": {"ema": 0.9},
        "checkpoints": {"keep": 3},
    },
    "4d1ee9bbc1d87585a0473a52a06a4ce7bb63a1ce2e1f364f76298cc418e25102": {
        "modality": "text",
        "image": None,
        "text": {"max_tokens": 16, "pooling": "cls"},
        "train": {"seed": 4},
    },
}
BLENDS_OF_0_1_0: dict[str, dict[str, Any]] = {
    "92908d805ff796d1f5c8f359f3740906823f7b0016fb9c77b878e9a52b14c066": {"members": [1, 2], "weights": [0.5, 0.5]},
    "df03617eebcbc1f1db71de49ed7099875cc3e924e6c8eea612e7ef07a24259d5": {
        "members": [1, 2],
        "weights": [1, 3],
        "mean": "rank",
        "shrinkage": 0.25,
        "temperature": 1.5,
        "offsets": [0.1, -0.1],
        "class_weights": [[1, 2], [2, 1]],
    },
    "72db54504e74c221e6048ec017897e53fa3a3b7d7a808c842220ef4263b27a9a": {
        "members": [1, 2],
        "weights": [1, 1],
        "stack": {"coefficients": [[1, 2], [3, 4]], "intercepts": [0, 1]},
        "folds": [0],
        "networks": [[0, 1], [0]],
    },
}


class NewOptim(OptimSettings):
    lookahead: int = Field(default=0, ge=0, description="A setting that a later version brings.")


class NewSection(Settings):
    alpha: float = Field(default=0.0, ge=0, description="A setting in a section that a later version brings.")


class NewRecipe(Recipe):
    optim: NewOptim = NewOptim()  # pyright: ignore[reportIncompatibleVariableOverride]
    mix: NewSection = NewSection()


class NewFoldsSpec(FoldsSpec):
    flavour: str = Field(default="", description="A setting that a later version brings.")


class NewBlendSpec(BlendSpec):
    flavour: float = Field(default=0.0, description="A setting that a later version brings.")


@pytest.mark.parametrize(("expected", "values"), RECIPES_OF_0_1_0.items())
def test_a_recipe_has_the_fingerprint_that_0_1_0_gave_it(expected: str, values: dict[str, Any]) -> None:
    recipe = Recipe.model_validate(values)
    assert recipe.fingerprint == Recipe.model_validate(recipe.to_dict()).fingerprint == expected


@pytest.mark.parametrize(("expected", "values"), BLENDS_OF_0_1_0.items())
def test_a_blend_has_the_identity_that_0_1_0_gave_it(expected: str, values: dict[str, Any]) -> None:
    assert fingerprint(BlendSpec.model_validate(values).identity()) == expected


def test_a_new_setting_changes_no_fingerprint_resume_or_lineage(
    workspace: Workspace, write_headlines: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contest, (one, two) = finish_headlines(workspace, write_headlines(tmp_path / "contest"), {"one": 3.0, "two": 2.0})
    blend = save_blend(workspace, contest, make_spec([one.id, two.id], [0.25, 0.75]))
    lineage = {ref: make_lineage(find_source(workspace, ref)) for ref in (one.ref, two.ref, blend.ref)}
    checkpoint = _checkpoint_of(tmp_path / "checkpoints", one.recipe)

    monkeypatch.setattr(runs, "_recipe", NewRecipe.model_validate_json)
    monkeypatch.setattr(blends, "BlendSpec", NewBlendSpec)
    again = [runs.get_run(workspace.store, run.id) for run in (one, two)]
    blend_again = get_blend(workspace.store, blend.id)
    assert all(isinstance(run.recipe, NewRecipe) for run in again) and isinstance(blend_again.spec, NewBlendSpec)
    assert {ref: make_lineage(find_source(workspace, ref)) for ref in lineage} == lineage
    assert newest_verified(checkpoint.parent, Identity({"recipe": again[0].recipe.fingerprint})) is not None
    same = save_blend(workspace, contest, NewBlendSpec.model_validate(blend.spec.to_dict()))
    assert (same.path, same.fingerprint) == (blend.path, blend.fingerprint)
    assert list_folds(workspace.store, contest.id) == (save_folds(workspace, contest, NewFoldsSpec(n_folds=3)),)


@pytest.mark.parametrize("change", [{"optim": {"lookahead": 1}}, {"mix": {"alpha": 0.5}}])
def test_a_value_other_than_its_default_changes_the_fingerprint(tmp_path: Path, change: dict[str, Any]) -> None:
    recipe = Recipe()
    changed = NewRecipe.model_validate(change)
    assert NewRecipe().fingerprint == recipe.fingerprint != changed.fingerprint
    checkpoint = _checkpoint_of(tmp_path, recipe)
    with pytest.raises(AlignmentError, match="recipe changed"):
        newest_verified(checkpoint.parent, Identity({"recipe": changed.fingerprint}))
    plain = BlendSpec(members=(1,), weights=(1.0,))
    new = NewBlendSpec(members=(1,), weights=(1.0,), flavour=0.5)
    assert NewBlendSpec(members=(1,), weights=(1.0,)).identity() == plain.identity() != new.identity()


def _checkpoint_of(folder: Path, recipe: Recipe) -> Path:
    """An empty checkpoint made from a recipe."""
    checkpoint = folder / checkpoint_name(1, 1, 1)
    checkpoint.mkdir(parents=True)
    write_manifest(checkpoint, kind=KIND, parents={"recipe": recipe.fingerprint})
    return checkpoint


def test_views_are_a_set_with_one_fingerprint_and_texts_have_none() -> None:
    two = [Recipe.model_validate({"predict": {"views": views}}) for views in (["mirror", "plain"], ["plain", "mirror", "plain"])]
    assert two[0] == two[1] and two[0].predict.views == ("plain", "mirror") and two[0].fingerprint != Recipe().fingerprint
    for values in ({"views": []}, {"views": ["sideways"]}):
        with pytest.raises(ValueError, match="views"):
            Recipe.model_validate({"predict": values})
    with pytest.raises(ValueError, match=r"predict\.views, remove it"):
        Recipe.model_validate({"modality": "text", "predict": {"views": ["mirror"]}})
