"""Where recipes differ."""

from __future__ import annotations

from core.specs.recipe import MISSING, Recipe, differing_settings, flatten_settings

IMAGE = Recipe.model_validate({"name": "a", "modality": "image"})


def test_a_recipe_is_flat_without_its_name_and_what_is_for_the_other_modality() -> None:
    flat = flatten_settings(IMAGE)
    assert flat["optim.lr"] == IMAGE.optim.lr
    assert "name" not in flat
    assert not any(path.endswith(("max_tokens", "pooling")) for path in flat)


def test_only_what_differs_is_named_with_one_value_per_recipe() -> None:
    other = Recipe.model_validate({"name": "b", "modality": "image", "optim": {"lr": 0.5}, "model": {"backbone": "resnet10t"}})
    assert differing_settings([IMAGE, other, IMAGE]) == {
        "model.backbone": (IMAGE.model.backbone, "resnet10t", IMAGE.model.backbone),
        "optim.lr": (IMAGE.optim.lr, 0.5, IMAGE.optim.lr),
    }
    assert differing_settings([IMAGE, IMAGE.model_copy(update={"name": "other"})]) == {}


def test_a_setting_that_one_recipe_does_not_have_is_marked() -> None:
    text = Recipe.model_validate({"name": "t", "modality": "text"})
    assert differing_settings([IMAGE, text])["input.max_tokens"] == (MISSING, text.input.max_tokens)
