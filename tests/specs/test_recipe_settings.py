"""Where recipes differ."""

from __future__ import annotations

import pytest

from core.base.settings import apply_sets, try_settings
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


@pytest.mark.parametrize(
    ("given", "epochs", "said"),
    [
        ({"first_px": 224}, 5, "input.first_px = 224"),
        ({"first_px": 8}, 5, "from 16 to below input.size_px (224)"),
        ({"first_px": 128, "full_px_epochs": 5}, 5, "none is left for input.first_px"),
    ],
)
def test_a_size_that_does_not_grow_is_refused(given: dict[str, int], epochs: int, said: str) -> None:
    found, problems = try_settings(Recipe, {"input": given, "train": {"epochs": epochs}})
    assert found is None and said in problems[0]


def test_epochs_are_smaller_first_and_mixed_until_the_last() -> None:
    assert (IMAGE.first_epochs, IMAGE.area_share, IMAGE.is_mixed(1)) == (0, 1, False)
    sets = ["train.epochs=10", "input.first_px=112", "input.full_px_epochs=4", "augment.cutmix=1", "augment.mix_off_epochs=3"]
    recipe = apply_sets(IMAGE, sets)
    assert recipe.first_epochs == 6
    assert recipe.area_share == pytest.approx((6 * 112**2 + 4 * 224**2) / (10 * 224**2))
    assert [epoch for epoch in range(1, 11) if recipe.is_mixed(epoch)] == [1, 2, 3, 4, 5, 6, 7]


def test_a_setting_that_one_recipe_does_not_have_is_marked() -> None:
    text = Recipe.model_validate({"name": "t", "modality": "text"})
    assert differing_settings([IMAGE, text])["input.max_tokens"] == (MISSING, text.input.max_tokens)
