"""The main road of someone with a network: fetched from the hub once, from its cache ever after."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load, save
from tokenizers import Tokenizer, models
from transformers import BertConfig, BertModel

from tests.models.fake_hub import serving

ROOT = Path(__file__).parents[2]
SCRIPT = """
import json, sys
from pathlib import Path
import torch
from models.spec import ModelSpec
from models.build import build_model
from models.catalog import find_backbone
from models.weights import find_weights, where_are_weights

backbone, here = find_backbone(sys.argv[1]), Path(sys.argv[2])
before = where_are_weights(backbone, here)
first = find_weights(backbone, here).place
after = where_are_weights(backbone, here)
model = build_model(ModelSpec(backbone, 3, here, max_tokens=16))
tensor = dict(model.named_parameters())[sys.argv[3]]
print(json.dumps([before, first, after, model.weights_place, float(tensor.detach().double().sum())]))
"""


def image_files() -> tuple[dict[str, bytes], float]:
    torch.manual_seed(0)
    state = timm.create_model("test_resnet").state_dict()
    return {"config.json": b"{}", "model.safetensors": save(state)}, float(state["conv1.0.weight"].double().sum())


def text_files() -> tuple[dict[str, bytes], float]:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=8, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, max_position_embeddings=16
    )
    network = BertModel(config)
    tokenizer = Tokenizer(models.WordPiece({token: n for n, token in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]"))}, unk_token="[UNK]"))
    files = {
        "config.json": json.dumps({**config.to_dict(), "model_type": "bert"}).encode(),
        "model.safetensors": save({name: tensor.contiguous() for name, tensor in network.state_dict().items()}),
        "tokenizer.json": tokenizer.to_str().encode(),
        "tokenizer_config.json": json.dumps({"tokenizer_class": "BertTokenizer", "pad_token": "[PAD]"}).encode(),
        "pytorch_model.bin": b"a pickle, not to be fetched beside safetensors",
    }
    return files, float(network.embeddings.word_embeddings.weight.detach().double().sum())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "repository", "make_files", "tensor"),
    [
        ("test_resnet.r160_in1k", "timm/test_resnet.r160_in1k", image_files, "network.conv1.0.weight"),
        ("klue/bert-base", "klue/bert-base", text_files, "encoder.embeddings.word_embeddings.weight"),
    ],
)
def test_weights_come_from_the_hub_and_then_from_its_cache(
    backbone: str, repository: str, make_files: Callable[[], tuple[dict[str, bytes], float]], tensor: str, tmp_path: Path
) -> None:
    files, expected = make_files()
    with serving({repository: files}) as (address, asked):
        answer = subprocess.run(
            [sys.executable, "-c", SCRIPT, backbone, str(tmp_path), tensor],
            cwd=ROOT,
            capture_output=True,
            text=True,
            env={**os.environ, "HF_HOME": str(tmp_path / "hub"), "HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0"},
        )
    assert answer.returncode == 0, answer.stderr
    before, first, after, place, total = json.loads(answer.stdout)
    assert (before, first, after, place) == (None, "hub", "hub cache", "hub cache")
    assert total == pytest.approx(expected)
    assert not [path for path in asked if path.endswith(".bin")]


@pytest.mark.slow
def test_a_name_that_the_catalogue_does_not_list_is_fetched_whole_and_says_no_licence_where_none_is_named(tmp_path: Path) -> None:
    files, _ = text_files()
    tensors = load(files.pop("model.safetensors"))
    names, kinds = sorted(tensors), ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    place = {name: kinds[number % 2] for number, name in enumerate(names)}
    files |= {kind: save({name: tensors[name] for name in names if place[name] == kind}, {"format": "pt"}) for kind in kinds}
    files |= {
        "model.safetensors.index.json": json.dumps({"weight_map": place}).encode(),
        "README.md": b"A model.",
        "modeling.py": b"exit()",
    }
    with serving({"some/encoder": files}) as (address, asked):
        told = [sys.executable, "-m", "core", "backbone"]
        how = {"cwd": ROOT, "capture_output": True, "text": True}
        env = {
            **os.environ,
            "HF_HOME": str(tmp_path / "hub"),
            "HF_ENDPOINT": address,
            "HF_HUB_OFFLINE": "0",
            "PITWALL_WORKSPACE": str(tmp_path),
        }
        added = subprocess.run([*told, "add", "some/encoder"], env=env, **how)
    assert added.returncode == 0, added.stderr
    assert "some/encoder (hub cache): bert" in added.stdout and "licence: unknown" in added.stdout
    assert not [path for path in asked if path.endswith((".bin", ".py"))]
    (listed,) = json.loads(subprocess.run([*told, "list", "some/encoder", "--json"], env={**env, "HF_HUB_OFFLINE": "1"}, **how).stdout)
    assert (listed["place"], listed["max_tokens"], listed["n_groups"]) == ("hub cache", 16, 3)
