"""Networks of every family of texts, built small from its real configuration: what they give, what they learn, and how their layers are counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AutoConfig

from models.catalog import Backbone
from models.head import LayerMix, last_token
from models.spec import CannotBuild, ModelSpec
from models.text import TextClassifier, build_text_model

SMALL: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "pad_token_id": 0,
}
DECODER = {**SMALL, "num_key_value_heads": 1, "head_dim": 8}
FAMILIES: dict[str, dict[str, Any]] = {
    "qwen3": DECODER,
    "gemma3_text": DECODER,
    "xlm-roberta": SMALL,
    "electra": {**SMALL, "embedding_size": 8},
    "deberta-v2": {
        **SMALL,
        "relative_attention": True,
        "position_buckets": 8,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
    },
    "modernbert": {**SMALL, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2, "local_attention": 8},
}
DECODERS = ("qwen3", "gemma3_text")
WAYS = [("mean", "last"), ("last", "last"), ("attention", "last"), ("cls", "weighted"), ("mean", "last4_mean"), ("mean", "last4_concat")]


def built(family: str, folder: Path, pooling: str = "mean", layers: str = "last", **changes: Any) -> TextClassifier:
    """A network of a family from its configuration alone, as it would be built again from the folder of a trained one."""
    AutoConfig.for_model(family, **{**FAMILIES[family], **changes}).save_pretrained(folder)
    backbone = Backbone(family, "text", "transformers", family, 0.0, 0, 64, "", "", "", "")
    torch.manual_seed(0)
    return build_text_model(ModelSpec(backbone, 3, folder, pretrained=False, pooling=pooling, layers=layers, saved=folder))  # type: ignore[arg-type]


def batch_of(*lengths: int) -> dict[str, Tensor]:
    """Rows of so many tokens each, padded on the right."""
    longest = max(lengths)
    ids = torch.randint(3, 60, (len(lengths), longest), generator=torch.Generator().manual_seed(1))
    mask = torch.tensor([[1] * n + [0] * (longest - n) for n in lengths])
    return {"input_ids": ids * mask, "attention_mask": mask}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_learns_a_batch_and_padding_changes_nothing(family: str, tmp_path: Path) -> None:
    model = built(family, tmp_path, "last" if family in DECODERS else "mean")
    batch, truth = batch_of(5, 9, 7), torch.arange(3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(30):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(batch), truth)
        assert loss.isfinite()
        loss.backward()
        optimizer.step()
    assert loss < 0.2
    model.eval()
    with torch.no_grad():
        together = model(batch)
        padded = model({name: F.pad(tensor, (0, 6)) for name, tensor in batch.items()})
    assert together.shape == (3, 3) and torch.allclose(together, padded, atol=1e-5)
    again = built(family, tmp_path, model.kind).eval()
    again.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(again(batch), together)


@pytest.mark.parametrize("family", FAMILIES)
def test_depths_rise_from_the_embeddings_over_the_blocks_to_the_head(family: str, tmp_path: Path) -> None:
    model = built(family, tmp_path, "attention", "weighted")
    depths, embeddings = model.depths(), {id(parameter) for parameter in model.word_embeddings().parameters()}
    assert {depths[name] for name, parameter in model.named_parameters() if id(parameter) in embeddings} == {0}
    blocks = {name: depth for name, depth in depths.items() if ".3." in name}
    assert set(blocks.values()) == {4} and set(depths.values()) == set(range(6))
    assert {depth for name, depth in depths.items() if not name.startswith("encoder.")} == {5}
    model.checkpoint_gradients()
    F.cross_entropy(model.train()(batch_of(4, 6)), torch.tensor([0, 1])).backward()
    assert all(parameter.grad is not None for name, parameter in model.named_parameters() if name.startswith(("pooling", "layers")))


@pytest.mark.parametrize(("pooling", "layers"), WAYS)
def test_what_the_classifier_reads_does_not_depend_on_padding(pooling: str, layers: str, tmp_path: Path) -> None:
    model = built("electra", tmp_path, pooling, layers).eval()
    batch = batch_of(4, 8)
    with torch.no_grad():
        alone = model({name: tensor[:1, :4] for name, tensor in batch.items()})
        assert torch.allclose(model(batch)[:1], alone, atol=1e-5)
        assert model.embeddings(batch).shape == (2, 64 if layers == "last4_concat" else 16)


def test_the_last_real_token_is_found_whichever_side_is_padded() -> None:
    tokens = torch.arange(12.0).view(2, 6, 1)
    right, left = torch.tensor([[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 1]]), torch.tensor([[0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 1]])
    assert last_token(tokens, right).flatten().tolist() == [2, 11] and last_token(tokens, left).flatten().tolist() == [5, 11]


@pytest.mark.parametrize("family", DECODERS)
def test_a_decoder_reads_its_text_by_the_last_token_under_left_padding_too(family: str, tmp_path: Path) -> None:
    model = built(family, tmp_path, "last").eval()
    batch = batch_of(5)
    with torch.no_grad():
        left = model({name: F.pad(tensor, (4, 0)) for name, tensor in batch.items()})
        assert torch.allclose(left, model(batch), atol=1e-5)
        other = {**batch, "input_ids": batch["input_ids"].clone()}
        other["input_ids"][0, 0] += 1
        assert not torch.allclose(model(other), model(batch))


def test_a_learned_mean_of_layers_starts_even() -> None:
    layers = [torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(seed)) for seed in range(5)]
    assert torch.allclose(LayerMix("weighted", 5)(layers), torch.stack(layers).mean(0), atol=1e-6)
    assert torch.equal(LayerMix("last4_concat", 5)(layers), torch.cat(layers[1:], dim=-1))


def test_a_network_without_the_layers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotBuild) as caught:
        built("electra", tmp_path, layers="last4_mean", num_hidden_layers=3)
    assert "model.layers=last" in caught.value.fix
    bart = AutoConfig.for_model(
        "bart",
        vocab_size=60,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
    )
    bart.save_pretrained(tmp_path / "bart")
    backbone = Backbone("bart", "text", "transformers", "bart", 0.0, 0, 64, "", "", "", "")
    with pytest.raises(CannotBuild, match="encoder with a decoder"):
        build_text_model(ModelSpec(backbone, 3, tmp_path, pretrained=False, saved=tmp_path / "bart"))
