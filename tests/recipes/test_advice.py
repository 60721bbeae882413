"""A recipe to start from can be trained now; a backbone brings its own settings; what makes no sense is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core.base.settings import apply_sets
from core.contest.table import ContestTable
from core.data.compose import compose
from core.recipes.advice import RowFacts, brought_by, doubts as all_doubts, propose_prompt, row_facts, suggest_recipe, usual_lr
from core.recipes.plan import Listed, list_presets, load_preset
from core.specs.recipe import Recipe
from core.specs.text_settings import ComposeSettings
from core.training.schedule import EpochPlan, plan_epochs
from models.catalog import find_backbone

LITE, LARGE, HUGE = (find_backbone(name) for name in ("tf_efficientnet_lite0.in1k", "convnext_base", "convnext_large"))
MINI, KLUE = (find_backbone(name) for name in ("sentence-transformers/all-MiniLM-L6-v2", "klue/roberta-base"))


def doubts(recipe: Recipe, plan: EpochPlan, facts: RowFacts | None = None, *, has_gpu: bool = True) -> tuple[str, ...]:
    return all_doubts(recipe, plan, facts, weights_dir=Path(), has_gpu=has_gpu)


def epochs(recipe: Recipe, n_rows: int) -> EpochPlan:
    return plan_epochs(recipe, np.zeros(n_rows, dtype=int))


def listed(*here: str) -> list[Listed]:
    return [Listed(one, "workspace" if one.name in here else None) for one in (LITE, LARGE, HUGE, MINI, KLUE)]


def of(modality: str, *here: str) -> list[Listed]:
    return [one for one in listed(*here) if one.backbone.modality == modality]


@pytest.mark.parametrize(
    ("modality", "here", "has_gpu", "facts", "backbone"),
    [
        ("image", (LITE.name, LARGE.name, HUGE.name), False, RowFacts(500), LITE.name),
        ("image", (LITE.name, LARGE.name, HUGE.name), True, RowFacts(500), LARGE.name),
        ("image", (), True, RowFacts(500), "resnet10t.c3_in1k"),
        ("image", (LARGE.name,), False, RowFacts(500), "resnet10t.c3_in1k"),
        ("text", (MINI.name,), False, RowFacts(500), MINI.name),
        ("text", (MINI.name,), False, RowFacts(500, has_hangul=True), "tiny_transformer"),
        ("text", (MINI.name, KLUE.name), True, RowFacts(500, has_hangul=True), KLUE.name),
        ("text", (MINI.name, KLUE.name), True, RowFacts(500), MINI.name),
        ("text", (), False, RowFacts(500), "tiny_transformer"),
    ],
)
def test_the_suggested_recipe_needs_nothing_that_is_not_here(
    modality: str, here: tuple[str, ...], has_gpu: bool, facts: RowFacts, backbone: str
) -> None:
    recipe = suggest_recipe(modality, of(modality, *here), facts, has_gpu=has_gpu)
    assert recipe.model.backbone == backbone
    assert recipe.model.pretrained == (backbone in here)


@pytest.mark.parametrize("n_train", [2, 30, 300, 3_000, 300_000])
@pytest.mark.parametrize("has_gpu", [False, True])
@pytest.mark.parametrize("modality", ["image", "text"])
@pytest.mark.parametrize("size", [0, 8, 28, 100, 4000])
def test_a_suggested_recipe_follows_the_rows_and_raises_no_doubt(n_train: int, has_gpu: bool, modality: str, size: int) -> None:
    facts = RowFacts(n_train, side_px=size, n_tokens=size)
    recipe = suggest_recipe(modality, of(modality, LITE.name, MINI.name), facts, has_gpu=has_gpu)
    if n_train >= 30:
        assert doubts(recipe, epochs(recipe, n_train * 4 // 5), facts) == ()
    assert recipe.train.batch_size <= max(4, n_train // 8)
    if modality == "image":
        assert recipe.input.size_px <= {0: 224, 8: 32, 28: 64, 100: 160, 4000: 224}[size]


def test_a_prompt_names_the_classes_behind_the_text_and_is_a_template() -> None:
    rows = pd.DataFrame({"id": ["1"], "input": ["좋다"], "col.title": ["제목"], "col.review": ["좋다"]})
    prompt = propose_prompt(("강한 부정", "a{b}"), ("title", "review"))
    assert compose(ComposeSettings(template=prompt), rows) == ["제목\n좋다\n\nWhich of these is it: 강한 부정, a{b}?\nAnswer:"]
    assert propose_prompt(("[a]", "b"), ("review",)) == propose_prompt(["class"] * 500, ("review",)) == ""


@pytest.mark.parametrize("name", list_presets())
def test_no_preset_is_doubted_on_a_thousand_rows(name: str) -> None:
    recipe = load_preset(name)
    assert doubts(recipe, epochs(recipe, 1000)) == ()
    lora = recipe.model.lora != "none"
    usual = usual_lr(find_backbone(recipe.model.backbone), pretrained=recipe.model.pretrained, optimizer=recipe.optim.optimizer, lora=lora)
    assert usual / 4 < recipe.optim.lr < usual * 4


@pytest.mark.parametrize(
    ("sets", "n_train", "said"),
    [
        (["optim.lr=1"], 1000, "most likely diverge"),
        (["optim.lr=1e-7"], 1000, "hardly learn"),
        (["train.batch_size=4096"], 24, "a batch of 4,096 for 24 training rows"),
        (["train.epochs=1", "train.batch_size=16"], 100, "7 steps in all"),
        (["model.backbone=vit_base_patch16_224.augreg_in1k", "optim.lr=1e-4", "input.size_px=17"], 1000, "17 px for patches of 16 px"),
        (["model.backbone=vit_base_patch16_224.augreg_in1k", "optim.lr=1e-4", "input.size_px=100"], 1000, "no whole number of patches"),
        (["input.size_px=17"], 1000, "17 px: the network sees next to nothing"),
        (["train.accumulate=32"], 1000, "one image is computed at a time"),
        (["model.backbone=convnext_base", "model.pretrained=false"], 748, "M parameters from scratch on 748 rows"),
        (["model.backbone=resnet10t", "model.pretrained=false", "model.freeze=2"], 1000, "stay as they were drawn at random"),
        (["model.dropout=0", "model.dropout_masks=4"], 1000, "are all the same"),
        (["model.dropout=0", "loss.rdrop=1"], 1000, "there is no dropout"),
        (["model.dropout=0.95"], 1000, "model.dropout = 0.95, where 0 to 0.6 is usual"),
        (["optim.warmup=0.9"], 1000, "optim.warmup = 0.9"),
        (["augment.mixup=0.2", "train.batch_size=1"], 1000, "no other row to mix it with"),
        (["augment.mixup=0.2", "augment.mix_off_epochs=5"], 1000, "off in all epochs"),
        (["augment.mix_prob=0.5"], 1000, "augment.mix_prob changes nothing without augment.mixup, augment.cutmix"),
        (["augment.mixup=0.2", "augment.mix_switch_prob=0.9"], 1000, "augment.mix_switch_prob changes nothing"),
        (["input.first_px=128", "train.patience=2"], 1000, "before its inputs are 224 px"),
        (["optim.optimizer=sgd", "optim.lr=1e-5"], 1000, "0.01 is usual for tf_efficientnet_lite0.in1k with sgd"),
        (["optim.optimizer=sgd", "optim.lr=0.01"], 1000, "optim.weight_decay = 0.05 with sgd"),
        (["optim.layer_decay=0.1"], 1000, "optim.layer_decay = 0.1, where 0.5 to 1 is usual"),
    ],
)
def test_what_makes_no_sense_is_said(sets: list[str], n_train: int, said: str) -> None:
    recipe = apply_sets(Recipe(), sets)
    assert any(said in doubt for doubt in doubts(recipe, epochs(recipe, n_train))), doubts(recipe, epochs(recipe, n_train))


def test_a_large_network_on_a_processor_is_said() -> None:
    recipe = load_preset("image-convnext")
    assert "on a processor" in doubts(recipe, epochs(recipe, 1000), has_gpu=False)[0] and doubts(recipe, epochs(recipe, 1000)) == ()


@pytest.mark.parametrize(
    ("preset", "has_hangul", "said"),
    [("text-minilm", True, "most of these texts are Korean"), ("text-klue-roberta", False, "most of these texts are not")],
)
def test_a_network_that_does_not_know_the_language_of_the_texts_is_said(preset: str, has_hangul: bool, said: str) -> None:
    recipe = load_preset(preset)

    def found(has_hangul: bool) -> str:
        return " ".join(map(str, doubts(recipe, epochs(recipe, 1000), RowFacts(1000, has_hangul=has_hangul))))

    assert said in found(has_hangul) and "these texts" not in found(not has_hangul)


def test_a_backbone_brings_its_size_learning_rate_and_weights() -> None:
    old = load_preset("digits-small")
    assert brought_by(LARGE, old) == {"model.pretrained": True, "optim.lr": 1e-4, "input.size_px": 224}
    sgd = apply_sets(old, ["optim.optimizer=sgd"])
    assert brought_by(LARGE, sgd)["optim.lr"] == usual_lr(LARGE, pretrained=True, optimizer="sgd") == 0.01
    text = load_preset("text-minilm")
    own = {"model.pretrained": False, "optim.lr": 2e-3, "input.max_tokens": 128, "model.pooling": "mean"}
    assert brought_by(find_backbone("tiny_transformer"), text) == own
    long = apply_sets(text, ["input.max_tokens=500"])
    assert brought_by(find_backbone("beomi/kcbert-base"), long)["input.max_tokens"] == 300
    qwen = find_backbone("Qwen/Qwen3-Embedding-0.6B")
    assert brought_by(qwen, text)["model.pooling"] == "last" and qwen.short_name == "Qwen3-Embedding-0.6B"
    assert brought_by(MINI, apply_sets(text, ["model.pooling=last"]))["model.pooling"] == "mean"
    reads_nothing = apply_sets(text, [f"model.backbone={qwen.name}", "model.pooling=cls"])
    assert any("has read nothing of its text" in doubt for doubt in doubts(reads_nothing, EpochPlan(4, 800, 25, 32)))


def test_facts_of_rows_are_read_from_a_few_of_them(tmp_path: Path) -> None:
    for number in range(20):
        Image.new("L", (28, 20)).save(tmp_path / f"{number}.png")
    (tmp_path / "0.png").write_bytes(b"no picture")
    images = pd.DataFrame({"input": [f"{number}.png" for number in range(20)]})
    assert row_facts(ContestTable(images, images, tmp_path)) == RowFacts(20, side_px=28)
    texts = pd.DataFrame({"input": ["한국어 문장 입니다"] * 9 + ["one two three"]})
    found = row_facts(ContestTable(texts, texts, None))
    assert found.has_hangul and 5 <= found.n_tokens <= 10
