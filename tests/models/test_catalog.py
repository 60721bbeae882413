"""The catalogue: every row can be found, searched and explained without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from models.catalog import COLUMNS, Published, UnknownBackbone, find_backbone, load_catalog, load_published

ROOT = Path(__file__).parents[2]


def test_every_row_is_complete_and_its_name_is_found() -> None:
    catalog = load_catalog()
    assert len({backbone.name for backbone in catalog}) == len(catalog) > 1500
    for backbone in catalog:
        assert find_backbone(backbone.name) is backbone
        is_network = backbone.library != "sklearn"  # a linear model's terms are counted from the texts
        assert (backbone.params_m > 0) == (backbone.n_groups > 1) == is_network
        assert (backbone.input_px > 0) == (backbone.modality == "image")
        assert (backbone.max_tokens > 0) == (backbone.modality == "text" and is_network)
        assert backbone.has_pretrained or backbone.library == "builtin" or not is_network


@pytest.mark.parametrize(
    "name",
    [
        "tf_efficientnetv2_l.in21k_ft_in1k",
        "convnext_large.fb_in22k_ft_in1k_384",
        "swin_large_patch4_window12_384.ms_in22k_ft_in1k",
        "tf_efficientnet_b7.ns_jft_in1k",
        "convnext_base.fb_in22k_ft_in1k",
        "resnet152d.ra2_in1k",
        "vit_base_patch16_224.augreg_in21k_ft_in1k",
        "klue/roberta-base",
        "klue/bert-base",
        "kykim/bert-kor-base",
        "beomi/kcbert-base",
        "monologg/koelectra-base-v3-discriminator",
        "beomi/KcELECTRA-base-v2022",
        "xlm-roberta-large",
        "microsoft/deberta-v3-large",
        "intfloat/multilingual-e5-small",
        "sentence-transformers/all-MiniLM-L6-v2",
        "tiny_transformer",
    ],
)
def test_the_backbones_that_competitors_use_are_there(name: str) -> None:
    assert find_backbone(name).name == name


def test_a_timm_name_without_its_tag_means_timms_default_tag() -> None:
    assert find_backbone("convnext_base").name == "convnext_base.fb_in22k_ft_in1k"
    assert find_backbone("tf_efficientnet_lite0").name == "tf_efficientnet_lite0.in1k"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("tf_efficientnet_light0", "tf_efficientnet_lite0.in1k"),
        ("all-MiniLM-L6", "sentence-transformers/all-MiniLM-L6-v2"),
        ("klue/roberta-bas", "klue/roberta-base"),
        ("resnet152d.ra_in1k", "resnet152d.ra2_in1k"),
    ],
)
def test_an_unknown_name_is_answered_with_close_ones(typed: str, meant: str) -> None:
    with pytest.raises(UnknownBackbone) as caught:
        find_backbone(typed)
    assert meant in caught.value.close


def test_accuracies_are_those_of_backbones_that_are_there() -> None:
    published = load_published()
    assert set(published) <= {backbone.name for backbone in load_catalog()} and len(published) > 100
    assert published["resnet50.a1_in1k"] == Published(top1=81.214, px=288)
    assert all(60 < one.top1 < 91 and 100 < one.px < 1000 for one in published.values())


def test_cost_and_pretraining_are_what_is_known_of_them() -> None:
    assert find_backbone("resnet50.a1_in1k").gmacs == pytest.approx(4.1, abs=0.1)
    assert find_backbone("vit_base_patch16_224.augreg_in21k_ft_in1k").gmacs == pytest.approx(17.6, abs=0.4)
    assert find_backbone("convnext_base.fb_in22k_ft_in1k_384").pretraining == "ImageNet-22k > ImageNet-1k"
    image = [backbone for backbone in load_catalog() if backbone.modality == "image"]
    assert all(backbone.gmacs for backbone in image if backbone.published)
    assert sum(not backbone.pretraining for backbone in image) < len(image) / 10


def test_parameter_counts_agree_with_what_is_published() -> None:
    assert find_backbone("resnet50").params_m == pytest.approx(25.56, abs=0.01)
    assert find_backbone("klue/roberta-base").params_m == pytest.approx(110.6, abs=0.1)
    assert find_backbone("sentence-transformers/all-MiniLM-L6-v2").params_m == pytest.approx(22.7, abs=0.1)


def test_the_file_has_the_columns_of_a_backbone() -> None:
    first = (ROOT / "models" / "catalog.csv").read_text(encoding="utf-8").splitlines()[0]
    assert first == ",".join(COLUMNS)


def test_catalogue_and_weights_are_searched_without_torch() -> None:
    script = (
        "import sys; from pathlib import Path; from models.catalog import load_catalog; from models.weights import where_are_weights;"
        "[where_are_weights(b, Path('nowhere')) for b in load_catalog()];"
        "print([m for m in ('torch', 'timm', 'transformers') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
