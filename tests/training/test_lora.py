"""LoRA in a whole fold of tiny networks: the base stays as it was until the adapters are merged, and what is kept is a network like any other."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

from core.base.errors import AlignmentError, RecipeError
from core.specs.recipe import Recipe
from core.training.dry_run import dry_run
from core.training.network import WEIGHTS_FILE, build_network
from core.training.predictor import load_network
from core.training.setup import set_up
from core.training.task import FoldTask, backbone_of
from models.lora import base_digest, has_lora, merge_lora
from models.text import TextClassifier
from tests.models.test_text_families import FAMILIES
from tests.training.small_tasks import N_ROWS, TEXT, make_task, recipe_of, train, write_texts
from tests.training.stopped import HARD, checkpointing_of, crash_at, resumed

NAMES = {"bert": "klue/bert-base", "qwen3": "Qwen/Qwen3-Embedding-0.6B"}
"""A backbone of the catalogue by its family, under whose name a tiny network is put into the workspace."""
SIZES = {"bert": FAMILIES["xlm-roberta"], "qwen3": FAMILIES["qwen3"]}


def write_backbone(weights_dir: Path, family: str, seed: int = 0) -> None:
    """A pretrained network of two layers that no training has seen, with a tokenizer of the words of `write_texts`."""
    folder = weights_dir / NAMES[family]
    words = sorted({word for text in write_texts() for word in text.split()})
    vocabulary = {word: number for number, word in enumerate(("[PAD]", "[UNK]", *words))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    torch.manual_seed(seed)
    config = AutoConfig.for_model(family, **{**SIZES[family], "num_hidden_layers": 2, "vocab_size": len(vocabulary)})
    AutoModel.from_config(config).save_pretrained(folder)


def lora_recipe(family: str, **sections: dict[str, Any]) -> Recipe:
    model = {
        "backbone": NAMES[family],
        "pretrained": True,
        "lora": "all",
        "lora_rank": 4,
        "pooling": "last" if family == "qwen3" else "mean",
    }
    return recipe_of(TEXT, **{**sections, "model": {**model, **sections.get("model", {})}})


def lora_task(folder: Path, family: str, recipe: Recipe | None = None, **changes: Any) -> FoldTask:
    write_backbone(folder / "weights", family)
    return make_task(folder, recipe or lora_recipe(family), **changes)


@pytest.mark.parametrize("family", NAMES)
def test_adapters_learn_beside_a_base_that_stays_and_merge_into_the_same_logits(family: str, tmp_path: Path) -> None:
    setup = set_up(lora_task(tmp_path, family, lora_recipe(family, average={"ema": 0.9})))
    model, before = setup.model, base_digest(setup.model)
    batch = {name: tensor for name, tensor in next(setup.loader.load(1, [np.arange(8)])).items() if name != "row"}
    state = model.state_dict()
    assert all(".lora_" in name or not name.startswith("encoder.") for name in state) and len(state) < len(dict(model.named_parameters()))
    assert setup.n_trainable < setup.n_params and setup.average is not None
    for _ in range(5):
        setup.optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(batch), torch.arange(8) % 3).backward()
        setup.optimizer.step()
        setup.average.update_parameters(model)
    assert base_digest(model) == before == base_digest(setup.average.module)
    shared = {id(parameter) for parameter in model.parameters() if not parameter.requires_grad}
    assert shared == {id(parameter) for parameter in setup.average.module.parameters() if not parameter.requires_grad}
    model.eval()
    with torch.no_grad():
        adapted = model(batch)
        merge_lora(model)
        assert not has_lora(model) and torch.allclose(model(batch), adapted, atol=1e-5)
    assert base_digest(model) != before


@pytest.mark.slow
@pytest.mark.parametrize(("family", "dtype"), [("bert", "float32"), ("qwen3", "bfloat16")])
def test_a_fold_that_was_stopped_keeps_the_same_whole_network_that_predicts_without_adapters(
    family: str, dtype: str, tmp_path: Path
) -> None:
    sections = {**HARD, "model": {"base_dtype": dtype}, "average": {"keep": "best_mean", "best_k": 2, "ema": 0.9}}
    calm = lora_task(tmp_path, family, lora_recipe(family, **sections))
    output, _, _ = train(calm)
    task = replace(calm, checkpointing=checkpointing_of(tmp_path / "checkpoints"), out_dir=tmp_path / "attempt-1")
    task.out_dir.mkdir()
    for token, crash in enumerate((("training", 2, 2), ("predicting", 4, 4)), start=2):
        crash_at(task, *crash)
        task = resumed(tmp_path, task, token)
    again, _, _ = train(task)
    assert again.facts["resumed"] and again.valid_prob.tobytes() == output.valid_prob.tobytes()
    kept = load_file(task.network_dir / WEIGHTS_FILE)
    assert all(value.equal(kept[name]) for name, value in load_file(calm.network_dir / WEIGHTS_FILE).items())
    assert not any("lora" in name or "base_layer" in name for name in kept)
    shutil.rmtree(tmp_path / "weights")
    network = load_network(task.network_dir)
    assert network.spec.dtype == dtype
    assert network.predict(write_texts()[N_ROWS:]).tobytes() == output.test_prob.tobytes()


@pytest.mark.slow
def test_a_checkpoint_holds_no_base_and_is_refused_on_another_one(tmp_path: Path) -> None:
    task = lora_task(tmp_path, "bert", checkpointing=checkpointing_of(tmp_path / "checkpoints"))
    crash_at(task, "training", 2, 2)
    for path in (tmp_path / "checkpoints").rglob("*.safetensors"):
        assert all(".lora_" in name or ".encoder." not in f".{name}" for name in load_file(path))
    write_backbone(tmp_path / "weights", "bert", seed=1)
    with pytest.raises(AlignmentError, match="base changed"):
        train(resumed(tmp_path, task, 2))


def test_how_bitsandbytes_holds_weights_is_no_part_of_the_network_that_is_kept(tmp_path: Path) -> None:
    model = set_up(lora_task(tmp_path, "bert")).model
    assert isinstance(model, TextClassifier)
    config: Any = model.encoder.config
    config.quantization_config = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    model.save_description(tmp_path)
    assert "quantization" not in (tmp_path / "config.json").read_text() and hasattr(config, "quantization_config")


def test_what_lora_cannot_do_is_refused_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecipeError, match="cannot be trained with LoRA"):
        backbone_of(recipe_of(TEXT, model={"lora": "all"}), tmp_path)
    with pytest.raises(ValueError, match="which LoRA leaves as they are"):
        lora_recipe("bert", adversarial={"kind": "fgm"})
    with pytest.raises(ValueError, match="is for pretrained weights"):
        lora_recipe("bert", model={"base_dtype": "nf4", "pretrained": False})
    with pytest.raises(RecipeError, match="nf4 weights are for CUDA cards"):
        set_up(lora_task(tmp_path, "bert", lora_recipe("bert", model={"base_dtype": "nf4"})))
    with pytest.raises(RecipeError, match="new to klue/bert-base") as caught:
        train(make_task(tmp_path, lora_recipe("bert"), special_tokens=("[S:PER]",)))
    assert "markers=punctuation" in caught.value.fix
    monkeypatch.setattr("core.training.task.find_spec", lambda name: None)
    with pytest.raises(RecipeError, match="peft is not installed") as caught:
        backbone_of(lora_recipe("bert"), tmp_path)
    assert "-m pip install 'peft" in caught.value.fix


def test_lora_goes_on_from_the_network_of_another_run_and_a_dry_run_counts_what_is_kept(tmp_path: Path) -> None:
    first = lora_task(tmp_path, "bert", recipe_of(TEXT, model={"backbone": NAMES["bert"], "pretrained": True}, train={"epochs": 1}))
    train(first)
    task = make_task(tmp_path, lora_recipe("bert", model={"start_from": "r1", "lora": "attention"}), start_dir=first.network_dir)
    task.network_dir.mkdir(parents=True)
    model, _, _ = build_network(task)
    started = load_file(first.network_dir / WEIGHTS_FILE)
    base = {name.replace(".base_layer", ""): tensor for name, tensor in model.named_parameters() if ".lora_" not in name}
    assert all(base[name].equal(tensor) for name, tensor in started.items())
    assert {name.split(".lora_")[0].rpartition(".")[2] for name, _ in model.named_parameters() if ".lora_" in name} == {
        "query",
        "key",
        "value",
        "dense",
    }
    costs = dry_run(make_task(tmp_path, lora_recipe("bert")), max_halvings=0)
    assert costs.weights_bytes == sum(tensor.nbytes for tensor in started.values()) > costs.checkpoint_bytes
