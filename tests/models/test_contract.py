"""Every network is head(pool(features(batch))), with the bits of the library's own forward, and says how deep each parameter lies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.build import build_model
from models.catalog import find_backbone
from models.image import ImageClassifier
from models.spec import BackboneClassifier, Classifier, ModelSpec
from models.text import TextClassifier

IMAGES = (
    "test_resnet.r160_in1k",
    "test_vit.r160_in1k",
    "test_convnext.r160_in1k",
    "dla46_c.in1k",  # the classifier is a convolution
    "efficientvit_m0.r224_in1k",  # a norm belongs to the classifier
    "levit_128s.fb_dist_in1k",  # two classifiers
    "crossvit_tiny_240.in1k",  # two branches of features
    "lcnetv2_small.paddle_in1k",  # dropout behind the features
    "mvitv2_tiny.fb_in1k",  # dropout in front of the last layer
    "sequencer2d_s.in1k",  # the whole head is named as its classifier
)
PX = {"crossvit_tiny_240.in1k": 240}
"""The side of images of networks that do not take 64 px."""
TEXTS = ("tiny_transformer", "sentence-transformers/all-MiniLM-L6-v2")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that spin at their barriers make small networks slow on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def built(name: str, tmp_path: Path, pooling: str = "mean") -> Classifier:
    """A network that starts from nothing; images of 64 px are enough to go through every layer, where it takes them."""
    backbone = find_backbone(name)
    spec = ModelSpec(backbone, 5, tmp_path, pretrained=False, dropout=0.3, vocab_size=50)
    torch.manual_seed(0)
    own = {"input_px": PX.get(name, 64)} if backbone.modality == "image" else {"pooling": pooling}
    return build_model(replace(spec, **own))  # type: ignore[arg-type]


def direct(model: Classifier, batch: dict[str, Tensor]) -> Tensor:
    """The forward pass as the libraries have it."""
    if isinstance(model, ImageClassifier):
        return model.network((batch["image"].float() - model.mean) / model.std)
    assert isinstance(model, TextClassifier)
    hidden = model.encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
    weight = batch["attention_mask"].unsqueeze(-1).to(hidden.dtype)
    pooled = hidden[:, 0] if model.kind == "cls" else (hidden * weight).sum(1) / weight.sum(1).clamp(min=1)
    return model.classifier(model.dropout(pooled))


@pytest.mark.parametrize(("name", "pooling"), [*((name, "mean") for name in (*IMAGES, *TEXTS)), ("tiny_transformer", "cls")])
def test_features_pool_and_head_give_the_bits_of_a_direct_forward(name: str, pooling: str, tmp_path: Path) -> None:
    model = built(name, tmp_path, pooling)
    assert type(model).forward is BackboneClassifier.forward  # head(pool(features))
    if isinstance(model, ImageClassifier):
        batch = {"image": torch.randint(0, 256, (2, 3, PX.get(name, 64), PX.get(name, 64)), dtype=torch.uint8)}
    else:
        mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
        batch = {"input_ids": torch.randint(1, 50, (2, 4)) * mask, "attention_mask": mask}
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        for is_training in (False, True):
            model.train(is_training)
            results = []
            for forward in (partial(direct, model), model):
                model.load_state_dict(before)
                torch.manual_seed(1)
                results.append(forward(batch))
            assert results[0].shape == (2, 5) and torch.equal(*results)
        embedded = model.eval().embeddings(batch)
    assert embedded.ndim == 2 and len(embedded) == 2
    depths = model.depths()
    assert set(depths) == {name for name, _ in model.named_parameters()}
    assert min(depths.values()) == 0 and set(depths.values()) == set(range(max(depths.values()) + 1))
    assert model.n_groups == find_backbone(name).n_groups


def test_depth_rises_from_the_input_to_the_head(tmp_path: Path) -> None:
    vit = built("test_vit.r160_in1k", tmp_path).depths()
    assert vit["network.patch_embed.proj.weight"] == 0
    assert vit["network.blocks.0.attn.qkv.weight"] < vit["network.blocks.5.attn.qkv.weight"] <= vit["network.head.weight"]
    assert vit["network.head.weight"] == max(vit.values())
    text = built("tiny_transformer", tmp_path).depths()
    assert (text["encoder.tokens.weight"], text["encoder.positions"]) == (0, 0)
    assert [text[f"encoder.layers.layers.{number}.linear1.weight"] for number in (0, 1)] == [1, 2]
    assert (text["encoder.layers.norm.weight"], text["classifier.weight"]) == (2, 3)
