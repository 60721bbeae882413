"""A backbone that the catalogue does not list is described by its own files, brought into the workspace, and trains like any other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from core.base.errors import InputError, RecipeError, WeightsError
from core.recipes.backbones import add_backbone
from core.recipes.plan import filter_backbones, list_backbones
from core.training.task import backbone_of
from core.workspace import Workspace
from tests.training.small_tasks import TEXT, make_task, recipe_of, train
from tests.training.test_lora import NAMES, write_backbone


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny decoder in a folder of its own, with a licence; nothing is in the cache of the hub, and the hub is not asked."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    write_backbone(tmp_path / "given", "qwen3")
    folder = tmp_path / "given" / NAMES["qwen3"]
    (folder / "README.md").write_text("---\nlanguage: ko\nlicense: mit\n---\nA model.")
    (folder / "modeling.py").write_text("raise SystemExit")
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


def recipe_with(name: str, **model: Any) -> Any:
    return recipe_of(TEXT, model={"backbone": name, "pretrained": True, "pooling": "last", **model}, train={"epochs": 1})


def test_a_folder_is_copied_described_and_trained_from(folder: Path, workspace: Workspace, tmp_path: Path) -> None:
    added = add_backbone(workspace, str(folder), "mine/tiny").backbone
    n_numbers = sum(tensor.numel() for tensor in load_file(folder / "model.safetensors").values())
    assert (added.family, added.licence, added.n_groups, added.is_decoder) == ("qwen3", "mit", 4, True)
    assert added.params_m == pytest.approx(n_numbers / 1e6, abs=0.01) and added.max_tokens == 32768
    assert [one.place for one in filter_backbones(list_backbones(workspace, "text"), "mine/tiny")] == ["workspace"]
    assert not (workspace.weights_dir / "mine/tiny/modeling.py").exists()
    shutil.rmtree(folder)
    output, _, _ = train(make_task(tmp_path, recipe_with("mine/tiny", lora="all"), weights_dir=workspace.weights_dir))
    assert output.facts["weights"] == "workspace: mine/tiny" and output.facts["n_params"] == pytest.approx(n_numbers, rel=0.2)
    with pytest.raises(InputError, match="already"):
        add_backbone(workspace, str(workspace.weights_dir / "mine/tiny"), "mine/tiny")


def test_what_the_cache_of_the_hub_has_whole_is_offered_by_its_name(folder: Path, workspace: Workspace, tmp_path: Path) -> None:
    cached = tmp_path / "hub" / "models--some--encoder"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text("abc")
    shutil.copytree(folder, cached / "snapshots" / "abc")
    (cached / "snapshots" / "abc" / "README.md").unlink()
    found = add_backbone(workspace, "some/encoder")
    assert (found.place, found.backbone.licence, found.backbone.hub_id) == ("hub cache", "", "some/encoder")
    assert found in list_backbones(workspace, "text") and found not in list_backbones(workspace, "image")
    assert backbone_of(recipe_with("some/encoder"), workspace.weights_dir) == found.backbone


def test_weights_in_several_files_are_whole_or_say_what_is_missing(folder: Path, workspace: Workspace, tmp_path: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    shards = {"model-1.safetensors": names[:5], "model-2.safetensors": names[5:]}
    for file, inside in shards.items():
        save_file({name: tensors[name] for name in inside}, folder / file, metadata={"format": "pt"})
    (folder / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {name: file for file, inside in shards.items() for name in inside}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    add_backbone(workspace, str(folder), "sharded")
    train(make_task(tmp_path, recipe_with("sharded"), weights_dir=workspace.weights_dir))
    (folder / "model-2.safetensors").unlink()
    with pytest.raises(RecipeError, match="no text backbone") as caught:
        add_backbone(workspace, str(folder), "half")
    assert "model-2.safetensors" in caught.value.why and not (workspace.weights_dir / "half").exists()


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"model_type": "vit", "image_size": 8, "num_hidden_layers": 1}, "none of a network of texts"),
        (
            {"model_type": "t5", "num_layers": 1, "num_hidden_layers": 1, "vocab_size": 9, "is_encoder_decoder": True},
            "encoder with a decoder",
        ),
        (["no", "object"], "none of a network of texts"),
    ],
    ids=["images", "encoder and decoder", "no object"],
)
def test_a_folder_that_is_no_text_backbone_is_refused_and_not_offered(config: object, why: str, folder: Path, workspace: Workspace) -> None:
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(RecipeError, match="no text backbone") as caught:
        add_backbone(workspace, str(folder), "wrong")
    assert why in caught.value.why
    shutil.copytree(folder, workspace.weights_dir / "wrong")
    assert not filter_backbones(list_backbones(workspace, "text"), "wrong")
    with pytest.raises(RecipeError, match="no text backbone"):
        backbone_of(recipe_with("wrong"), workspace.weights_dir)


def test_a_name_that_is_nowhere_says_how_it_is_added(folder: Path, workspace: Workspace) -> None:
    with pytest.raises(RecipeError, match="no backbone named") as caught:
        backbone_of(recipe_with("some/other-encoder"), workspace.weights_dir)
    assert "python -m core backbone add some/other-encoder" in caught.value.fix
    with pytest.raises(WeightsError, match="are not here") as missing:
        add_backbone(workspace, "some/other-encoder")
    assert "HF_HUB_OFFLINE" in missing.value.why
    with pytest.raises(InputError, match="no name of a backbone"):
        add_backbone(workspace, "../outside")
    workspace.weights_dir.mkdir(parents=True)
    for outside in (str(folder), f"../../given/{NAMES['qwen3']}"):
        assert (workspace.weights_dir / outside / "config.json").is_file()
        with pytest.raises(RecipeError, match="no backbone named"):
            backbone_of(recipe_with(outside), workspace.weights_dir)
