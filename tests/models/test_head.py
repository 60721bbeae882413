"""Pooling in place of the backbone's own, dropout with several masks, frozen layers, and blocks that are computed again."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from models.build import build_model
from models.catalog import find_backbone
from models.head import Pool, TwoLevels
from models.image import ImageClassifier
from models.levels import SeparateLevels
from models.spec import CannotBuild, Classifier, ModelSpec

LAYOUTS = {
    "test_resnet.r160_in1k": "a map",
    "test_convnext.r160_in1k": "a map whose head normalises after pooling",
    "test_vit.r160_in1k": "tokens after a class token",
    "swin_tiny_patch4_window7_224.ms_in1k": "a map with channels last",
    "eva02_tiny_patch14_224.mim_in22k": "tokens, averaged by the backbone itself",
}
RESIZED = {"test_vit.r160_in1k": 96, "swin_tiny_patch4_window7_224.ms_in1k": 128, "eva02_tiny_patch14_336.mim_in22k_ft_in1k": 112}


def built(name: str, folder: Path, **settings: Any) -> Classifier:
    backbone = find_backbone(name)
    px = 0 if backbone.modality == "text" else 56 if "patch14" in name else 64
    values: dict[str, Any] = {"pretrained": False, "input_px": px, "vocab_size": 50, **settings}
    spec = ModelSpec(backbone, 3, folder, **values)
    torch.manual_seed(0)
    return build_model(spec)


def batch_for(model: Classifier, px: int = 64) -> dict[str, Tensor]:
    if isinstance(model, ImageClassifier):
        px = 56 if hasattr(model.network, "rope") else px
        return {"image": torch.randint(0, 256, (4, 3, px, px), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)}
    mask = torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]])
    return {"input_ids": torch.tensor([[2, 7, 8, 3, 9], [2, 5, 6, 9, 3]]) * mask, "attention_mask": mask}


def step(model: Classifier) -> None:
    """One step of training that moves all that learns."""
    model.train()
    optimizer = torch.optim.SGD([parameter for parameter in model.parameters() if parameter.requires_grad], lr=0.1)
    logits = model(batch_for(model))
    F.cross_entropy(logits, torch.arange(len(logits)) % 3).backward()
    optimizer.step()


def test_gem_is_the_mean_at_one_and_nears_the_maximum() -> None:
    places = torch.rand(4, 9, 5, generator=torch.Generator().manual_seed(0))
    pool = Pool("gem")

    def at(power: float) -> Tensor:
        torch.nn.init.constant_(pool.p, power)
        return pool(places)

    assert torch.allclose(at(1), places.mean(1), atol=1e-6)
    assert torch.allclose(at(3), (places**3).mean(1) ** (1 / 3), atol=1e-6)
    assert torch.allclose(at(1000), places.amax(1), rtol=0.01)
    at(3).sum().backward()
    assert pool.p.grad is not None and pool.p.grad.abs() > 0


@pytest.mark.parametrize("kind", ["avg", "max", "gem"])
def test_tokens_of_padding_are_not_pooled(kind: str) -> None:
    places = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(0))
    pool = Pool(kind)  # type: ignore[arg-type]
    padded, mask = places.clone(), torch.ones(2, 6)
    padded[:, 4:], mask[:, 4:] = 1e4, 0
    assert torch.allclose(pool(padded, mask), pool(places[:, :4]), atol=1e-6)


@pytest.mark.parametrize("name", LAYOUTS, ids=LAYOUTS.values())
def test_another_pooling_reads_the_places_of_every_layout_and_keeps_the_rest_of_the_head(name: str, tmp_path: Path) -> None:
    own, average, highest, gem = (built(name, tmp_path, pooling=pooling).eval() for pooling in ("", "avg", "max", "gem"))
    assert isinstance(gem, ImageClassifier) and gem.pooling is not None and gem.pooling.p.item() == 3
    for model in (average, highest):
        model.load_state_dict(own.state_dict())
    gem.load_state_dict(own.state_dict() | {"pooling.p": torch.ones(1)})
    batch = batch_for(own)
    with torch.no_grad():
        values = own.features(batch).values
        vectors = values[:, 1:] if values.ndim == 3 else values.flatten(1, 2) if "swin" in name else values.flatten(2).mT
        for model, expected in ((average, vectors.mean(1)), (highest, vectors.amax(1)), (gem, vectors.clamp(min=1e-6).mean(1))):
            assert isinstance(model, ImageClassifier)
            in_place = model.one_place(values)
            assert torch.allclose(in_place.flatten(1)[:, : vectors.shape[2]], expected, atol=1e-5)
            assert model(batch).shape == (4, 3) and model.embeddings(batch).shape[1] == own.embeddings(batch).shape[1]
        if "vit" not in name:
            assert torch.allclose(average(batch), own(batch), atol=1e-5)
        assert not torch.allclose(highest(batch), own(batch), atol=1e-4)
    assert gem.depths()["pooling.p"] == gem.n_groups - 1
    before = gem.pooling.p.item()
    step(gem)
    assert gem.pooling.p.item() != before


@pytest.mark.parametrize("kind", ["max", "gem"])
def test_tokens_of_a_text_are_pooled_without_padding(kind: str, tmp_path: Path) -> None:
    model = built("tiny_transformer", tmp_path, pooling=kind).eval()
    batch = batch_for(model)
    with torch.no_grad():
        assert torch.allclose(model(batch)[:1], model({name: values[:1, :4] for name, values in batch.items()}), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("crossvit_tiny_240.in1k", {"pooling": "avg", "input_px": 240}),  # two branches
        ("levit_128s.fb_dist_in1k", {"dropout_masks": 4, "input_px": 0}),  # two classifiers
        ("vit_base_patch32_siglip_256.v2_webli", {"pooling": "gem", "input_px": 0}),  # attention pools
    ],
)
def test_a_head_that_cannot_be_split_is_refused_with_a_fix(name: str, settings: dict[str, object], tmp_path: Path) -> None:
    with torch.device("meta"), pytest.raises(CannotBuild) as caught:
        built(name, tmp_path, **settings)
    assert "model.global_pool=own" in caught.value.fix


@pytest.mark.parametrize("name", ["test_resnet.r160_in1k", "test_vit.r160_in1k", "tiny_transformer"])
def test_several_masks_are_averaged_while_training_and_none_is_drawn_after(name: str, tmp_path: Path) -> None:
    model = built(name, tmp_path, dropout=0.5, dropout_masks=3)
    batch = batch_for(model)
    own: Any = model
    classifier = own.network.get_classifier() if isinstance(model, ImageClassifier) else own.classifier
    model.eval()
    with torch.no_grad():
        pooled = model.pool(model.features(batch))
        assert torch.equal(model(batch), classifier(pooled))
        model.train()
        torch.manual_seed(5)
        said = model.head(pooled)
        torch.manual_seed(5)
        by_hand = torch.stack([classifier(F.dropout(pooled, 0.5)) for _ in range(3)]).mean(0)
    assert torch.allclose(said, by_hand, atol=1e-6)


@pytest.mark.parametrize("name", ["test_resnet.r160_in1k", "test_vit.r160_in1k", "tiny_transformer"])
def test_frozen_layers_and_their_statistics_do_not_move(name: str, tmp_path: Path) -> None:
    model = built(name, tmp_path)
    depths, half = model.depths(), model.n_groups // 2
    model.freeze(half)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    step(model)
    moved = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert {depths[key] for key in moved if key in depths} == set(range(half, model.n_groups))
    still = {key.rpartition(".")[0] for key, depth in depths.items() if depth < half}
    assert not {key for key in moved if key.rpartition(".")[0] in still}, "statistics of frozen batch normalisation"
    if "resnet" in name:
        assert any("running_mean" in key for key in moved)
    model.freeze(model.n_groups - 1)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    step(model)
    moved = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert moved and {depths[key] for key in moved} == {model.n_groups - 1}, "only the head"
    model.freeze(0)
    assert all(parameter.requires_grad for parameter in model.parameters())
    with pytest.raises(CannotBuild, match=f"{model.n_groups} groups of layers"):
        model.freeze(model.n_groups)


@pytest.mark.parametrize("name", ["test_vit.r160_in1k", "test_convnext.r160_in1k", "sentence-transformers/all-MiniLM-L6-v2"])
def test_gradients_of_blocks_that_are_computed_again_are_the_same(name: str, tmp_path: Path) -> None:
    gradients = []
    for is_checkpointed in (False, True):
        model = built(name, tmp_path, dropout=0.3, drop_path=0.1 if name.startswith("test") else 0.0)
        if is_checkpointed:
            model.checkpoint_gradients()
        model.train()
        torch.manual_seed(3)
        logits = model(batch_for(model))
        F.cross_entropy(logits, torch.arange(len(logits)) % 3).backward()
        gradients.append({key: parameter.grad for key, parameter in model.named_parameters()})
    plain, again = gradients
    assert plain.keys() == again.keys()
    for key, gradient in plain.items():
        assert gradient is not None and torch.allclose(gradient, again[key], atol=1e-6), key


def test_a_network_without_blocks_to_compute_again_says_so(tmp_path: Path) -> None:
    with pytest.raises(CannotBuild, match="cannot compute its blocks again"):
        built("tiny_transformer", tmp_path).checkpoint_gradients()


@pytest.mark.parametrize("name", RESIZED)
def test_pretrained_positions_and_windows_follow_the_size(name: str, tmp_path: Path) -> None:
    px, usual = RESIZED[name], find_backbone(name).input_px
    pretrained = built(name, tmp_path, input_px=0)
    assert isinstance(pretrained, ImageClassifier)
    network = pretrained.network
    network.reset_classifier(1000)  # type: ignore[operator]
    save_file(network.state_dict(), tmp_path / f"{name}.safetensors")
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        network.set_input_size((px, px))  # type: ignore[operator]
    model = built(name, tmp_path, pretrained=True, input_px=px)
    assert isinstance(model, ImageClassifier) and model.resized_by == "set_input_size"
    heads = {key for key, _ in network.named_parameters() if "head" in key}
    for key, value in network.state_dict().items():
        assert key in heads or torch.equal(model.network.state_dict()[key], value), key
    assert model.eval()({"image": torch.zeros(2, 3, px, px, dtype=torch.uint8)}).shape == (2, 3)
    before = build_model(replace(ModelSpec(find_backbone(name), 3, tmp_path, pretrained=False, input_px=px), resized_by="img_size"))
    key = "network.layers.0.blocks.0.attn.relative_position_bias_table"
    if "swin" in name:
        assert (model.state_dict()[key].shape[0], before.state_dict()[key].shape[0]) == ((2 * (7 * px // usual) - 1) ** 2, 13**2)


def test_two_levels_are_the_product_of_both_probabilities() -> None:
    """Of four classes two stand in the first coarse class, one alone in the second, one in the third."""
    levels, outputs = TwoLevels((0, 0, 1, 2)), torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    coarse, fine = outputs[:, :3].double(), outputs[:, 3:].double()
    first = fine[:, :2].softmax(1)
    expected = coarse.softmax(1)[:, [0, 0, 1, 2]] * torch.cat([first, torch.ones(5, 2, dtype=torch.double)], dim=1)
    found = levels(outputs)
    torch.testing.assert_close(found.double().exp(), expected, atol=1e-6, rtol=1e-5)
    labels = torch.tensor([0, 1, 2, 3, 1])
    within = torch.where(labels < 2, F.cross_entropy(fine[:, :2], labels.clamp(max=1), reduction="none"), 0)
    both = F.cross_entropy(coarse, torch.tensor([0, 0, 1, 2, 0]), reduction="none") + within
    torch.testing.assert_close(F.cross_entropy(found, labels, reduction="none").double(), both, atol=1e-5, rtol=1e-5)


def test_two_levels_are_the_last_thing_of_a_network_and_no_weights_of_it() -> None:
    spec = ModelSpec(find_backbone("tiny_transformer"), 3, Path(), pretrained=False, vocab_size=20, coarse=(0, 1, 1))
    model = build_model(spec)
    batch = {"input_ids": torch.randint(1, 20, (2, 5)), "attention_mask": torch.ones(2, 5, dtype=torch.long)}
    assert torch.allclose(model.eval()(batch).exp().sum(1), torch.ones(2), atol=1e-6)
    assert not any("levels" in name for name in model.state_dict())


def test_networks_of_their_own_give_the_product_and_learn_from_rows_of_their_coarse_class_alone() -> None:
    """Of five classes the first and the last stand in one coarse class, one stands alone, two in the third."""
    coarse = (0, 1, 2, 2, 0)
    spec = ModelSpec(
        find_backbone("tiny_transformer"), 5, Path(), pretrained=False, vocab_size=20, coarse=coarse, is_separate=True, dropout=0.0
    )
    torch.manual_seed(0)
    model = build_model(spec)
    assert isinstance(model, SeparateLevels)
    batch = {"input_ids": torch.randint(1, 20, (4, 6)), "attention_mask": torch.ones(4, 6, dtype=torch.int64)}
    of_coarse, of_first, of_third = (network(batch).softmax(1) for network in model.networks)
    within = torch.stack([of_first[:, 0], torch.ones(4), of_third[:, 0], of_third[:, 1], of_first[:, 1]], dim=1)
    torch.testing.assert_close(model(batch).exp(), of_coarse[:, list(coarse)] * within)

    F.cross_entropy(model(batch), torch.tensor([0, 4, 1, 0])).backward()
    largest = [max(float(one.grad.abs().max()) for one in network.parameters() if one.grad is not None) for network in model.networks]
    assert min(largest[:2]) > 1e-3 and largest[2] < 1e-7, "no row is of the third coarse class"
    assert set(model.depths()) == {name for name, _ in model.named_parameters()}
