"""What libraries raise becomes what a person can act on; a bug stays a bug."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch

from core.base.errors import DiskFull, OutOfMemory, RecipeError, WeightsError
from core.specs.data_settings import InputSettings
from core.specs.recipe import Recipe
from core.training.failures import typed_failures
from core.training.task import backbone_of
from models.catalog import find_backbone
from models.spec import CannotBuild
from models.weights import Miss, Weights, WeightsNotFound, WeightsUnreadable


def recipe_of(modality: str, backbone: str, **model: object) -> Recipe:
    return Recipe.model_validate({"modality": modality, "model": {"backbone": backbone, **model}})


def test_a_tensor_that_does_not_fit_is_out_of_memory_with_the_numbers_to_lower() -> None:
    with pytest.raises(OutOfMemory) as caught, typed_failures(Recipe(), "fold 1"):
        torch.empty(2**60)
    assert caught.value.where == "fold 1"
    assert "train.batch_size (it is 32)" in caught.value.fix
    assert "input.size_px (it is 224)" in caught.value.fix


def test_a_full_disk_is_said() -> None:
    with pytest.raises(DiskFull), typed_failures(Recipe(), "fold 0"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_missing_weights_list_each_place_and_what_it_lacked() -> None:
    backbone = find_backbone("resnet50")
    misses = (Miss("workspace", "weights/x", "no such file"), Miss("hub", "timm/x", "HF_HUB_OFFLINE is set"))
    with pytest.raises(WeightsError) as caught, typed_failures(Recipe(), "fold 0"):
        raise WeightsNotFound(backbone, misses)
    assert "workspace (weights/x): no such file" in caught.value.why
    assert "HF_HUB_OFFLINE is set" in caught.value.why
    assert f"weights/{backbone.name}.safetensors" in caught.value.fix


def test_damaged_weights_name_the_file_and_the_place_to_mend() -> None:
    weights = Weights("workspace", Path("/w/weights/x.safetensors"), "x.safetensors")
    with pytest.raises(WeightsError, match="cannot be read") as caught, typed_failures(Recipe(), "fold 0"):
        raise WeightsUnreadable(find_backbone("resnet50"), weights, "HeaderTooLarge")
    assert (caught.value.where, caught.value.why) == ("/w/weights/x.safetensors", "HeaderTooLarge") and "workspace" in caught.value.fix


def test_a_network_that_cannot_be_built_is_a_recipe_error() -> None:
    with pytest.raises(RecipeError) as caught, typed_failures(Recipe(), "fold 0"):
        raise CannotBuild("it does not bend", "set model.drop_path=0")
    assert caught.value.fix == "set model.drop_path=0"


@pytest.mark.parametrize("problem", [ZeroDivisionError("a bug"), RuntimeError("shapes differ"), OSError(errno.EACCES, "denied")])
def test_anything_else_keeps_its_traceback(problem: Exception) -> None:
    with pytest.raises(type(problem)) as caught, typed_failures(Recipe(), "fold 0"):
        raise problem
    assert caught.value is problem


def test_a_backbone_is_checked_before_anything_starts() -> None:
    assert backbone_of(Recipe(), Path()).name == "tf_efficientnet_lite0.in1k"
    with pytest.raises(RecipeError) as caught:
        backbone_of(recipe_of("image", "convnext_bas"), Path())
    assert "convnext_base" in caught.value.fix
    with pytest.raises(RecipeError, match="reads texts"):
        backbone_of(recipe_of("image", "klue/roberta-base"), Path())
    with pytest.raises(RecipeError, match="no pretrained weights"):
        backbone_of(recipe_of("text", "tiny_transformer"), Path())
    with pytest.raises(RecipeError, match="at most 300 tokens"):
        backbone_of(recipe_of("text", "beomi/kcbert-base").model_copy(update={"input": InputSettings(max_tokens=512)}), Path())


def test_every_preset_names_a_backbone_that_takes_its_settings() -> None:
    from core.recipes.plan import list_presets, load_preset

    assert {"digits-lite0", "digits-small"} <= set(list_presets("image"))
    assert {"news-minilm", "news-tiny"} <= set(list_presets("text"))
    for name in list_presets():
        recipe = load_preset(name)
        assert recipe.name == name
        assert backbone_of(recipe, Path()).modality == recipe.modality


def test_an_unknown_preset_lists_the_known(tmp_path: Path) -> None:
    from core.base.errors import NotFoundError
    from core.recipes.plan import load_preset

    with pytest.raises(NotFoundError, match="digits-lite0"):
        load_preset("digit")
