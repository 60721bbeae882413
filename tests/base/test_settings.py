"""Settings are frozen, strict, and report all problems at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st
from pydantic import ValidationError

from core.base.errors import PitwallError, RecipeError
from core.base.settings import apply_sets, load_settings, load_yaml, parse_settings, walk_fields
from core.specs.data_settings import AugmentSettings
from core.specs.recipe import Recipe


def test_every_problem_is_told_at_once_with_field_value_and_fix() -> None:
    with pytest.raises(RecipeError) as caught:
        parse_settings(Recipe, {"modality": "text", "speed": 1, "optim": {"lr": -3, "momentum": 2}}, where="mine.yaml")
    error = caught.value
    assert "3 settings" in error.what
    for part in ("optim.lr = -3", "greater than 0", "optim.momentum: unknown", "warmup", "speed: unknown"):
        assert part in error.why
    assert error.where == "mine.yaml" and error.fix


def test_a_recipe_is_frozen_and_has_only_the_settings_of_its_modality() -> None:
    recipe = Recipe(modality="text")
    paths = [path for path, _, _ in recipe.leaves()]
    assert "input.max_tokens" in paths and "input.size_px" not in paths
    assert "max_tokens" in recipe.to_dict()["input"] and "size_px" not in recipe.to_dict()["input"]
    with pytest.raises(ValidationError):
        recipe.name = "other"  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(RecipeError, match="remove it"):
        parse_settings(Recipe, {"modality": "text", "input": {"size_px": 64}}, where="x")


def test_a_recipe_of_the_old_layout_is_read_as_todays() -> None:
    image = {"size_px": 64, "min_crop": 0.5, "hflip": False, "rotation_deg": 3.0, "jitter": 0.0}
    recipe = parse_settings(Recipe, {"modality": "image", "image": image, "text": None, "train": {"ema": 0.9, "epochs": 2}}, where="x")
    assert recipe.input.size_px == 64 and recipe.average.ema == 0.9 and recipe.train.epochs == 2
    assert recipe.augment == AugmentSettings(min_crop=0.5, hflip=False, rotation_deg=3.0, jitter=0.0)
    text = parse_settings(Recipe, {"modality": "text", "text": {"max_tokens": 16, "pooling": "cls"}, "image": None}, where="x")
    assert (text.input.max_tokens, text.model.pooling) == (16, "cls")
    assert apply_sets(Recipe(), ["image.size_px=48", "train.ema=0.5"]) == apply_sets(Recipe(), ["input.size_px=48", "average.ema=0.5"])


def test_what_cannot_be_carried_over_from_the_old_layout_names_the_new_paths() -> None:
    with pytest.raises(RecipeError, match=r"text\.maxtokens: unknown setting, known here: input\.max_tokens, model\.pooling"):
        parse_settings(Recipe, {"modality": "text", "text": {"maxtokens": 3, "pooling": "cls"}}, where="x")
    with pytest.raises(RecipeError, match=r"train\.ema is called average\.ema now"):
        parse_settings(Recipe, {"train": {"ema": 0.9}, "average": {"ema": 0.5}}, where="x")


def test_a_recipe_survives_its_own_yaml_shape() -> None:
    recipe = Recipe(modality="image")
    assert parse_settings(Recipe, recipe.to_dict(), where="x") == recipe


def test_sets_change_nested_fields_and_leave_the_original() -> None:
    recipe = Recipe()
    changed = apply_sets(recipe, ["optim.lr=1e-4", "train.epochs=2", "augment.hflip=false", "name=b"])
    assert (changed.optim.lr, changed.train.epochs, changed.augment.hflip, changed.name) == (1e-4, 2, False, "b")
    assert recipe.train.epochs == 5


@pytest.mark.parametrize(
    "assignment",
    ["optim.lr", "=3", "optim.speed=1", "wheel.size=2", "name.first=x", "train.epochs=many", "train.epochs=[", "optim.lr=.nan"],
)
def test_a_wrong_assignment_is_a_typed_error(assignment: str) -> None:
    with pytest.raises(RecipeError):
        apply_sets(Recipe(), [assignment])


def test_the_fingerprint_is_of_what_is_trained_not_of_the_name() -> None:
    recipe = Recipe()
    assert apply_sets(recipe, ["name=other"]).fingerprint == recipe.fingerprint
    assert apply_sets(recipe, ["train.seed=1"]).fingerprint != recipe.fingerprint
    assert apply_sets(recipe, ["tracking.trackers=[wandb]", "tracking.project=mine"]).fingerprint == recipe.fingerprint


def test_only_known_trackers_are_chosen() -> None:
    texts = apply_sets(Recipe(), ["name=2024", "tracking.project=a b"])
    assert (texts.name, texts.tracking.project) == ("2024", "a b")
    text = Recipe(modality="text")
    assert apply_sets(text, ["input.template={a.b} [SEP] {c}"]).input.template == "{a.b} [SEP] {c}"
    assert apply_sets(text, ['name="2: b"']).name == "2: b"
    assert apply_sets(Recipe(), ["tracking.trackers=[mlflow, wandb]"]).tracking.trackers == ("mlflow", "wandb")
    with pytest.raises(RecipeError, match=r"tracking\.trackers"):
        apply_sets(Recipe(), ["tracking.trackers=[comet]"])


@pytest.mark.parametrize(
    "text", ["a: 1\na: 2", "a: &x [1]\nb: *x", "a: !!python/object/apply:os.system [ls]", "a: [", "\x00", "? [1, 2]\n: x"]
)
def test_yaml_refuses_what_can_surprise(text: str) -> None:
    with pytest.raises(RecipeError):
        load_yaml(text, where="x", error=RecipeError)


@given(st.text(max_size=200))
@settings(max_examples=150, deadline=None)
def test_any_text_as_a_recipe_file_is_a_recipe_or_a_typed_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path: Path = tmp_path_factory.mktemp("yaml") / "recipe.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        recipe = load_settings(Recipe, path)
    except PitwallError as error:
        assert error.fix
    else:
        assert isinstance(recipe, Recipe)


def test_every_setting_has_one_line_of_help() -> None:
    fields = {path: field for path, field, _ in walk_fields(Recipe)}
    assert "optim.lr" in fields and "input.max_tokens" in fields and "input.size_px" in fields
    for name, field in fields.items():
        assert field.description and "\n" not in field.description, name
