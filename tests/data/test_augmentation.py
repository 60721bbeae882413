"""Each kind of augmentation is the library's own, draws from the seed of its sample alone, and leaves no trace where it is off."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from torchvision import transforms
from torchvision.transforms import InterpolationMode, v2

from core.data.pixels import ASPECT, BLUR_PX, GREY, Augmentation, ImageRows, draw_box
from core.data.randomness import seed_sample
from core.specs.data_settings import AugmentSettings

PLAIN = {"min_crop": 1.0, "hflip": False, "jitter": 0.0}
HOW: dict[str, Any] = {"interpolation": InterpolationMode.BILINEAR, "fill": [GREY] * 3}


@pytest.fixture
def image() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8))


def augmented(image: Image.Image, settings: AugmentSettings, row: int) -> np.ndarray:
    seed_sample(0, 0, 1, row)
    return np.asarray(Augmentation(settings, 24, "bilinear")(image))


def after_one_draw(change: Callable[[Image.Image], Image.Image]) -> Callable[[Image.Image], Image.Image]:
    """What is applied by a probability, here 1, draws a number first."""

    def changed(image: Image.Image) -> Image.Image:
        torch.rand(1)
        return change(image)

    return changed


def as_tensor(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Image.Image], Image.Image]:
    return lambda image: transforms.ToPILImage()(change(transforms.PILToTensor()(image)))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"vflip": True}, transforms.RandomVerticalFlip()),
        ({"policy": "randaugment", "magnitude": 14, "num_ops": 3}, after_one_draw(transforms.RandAugment(3, 14, **HOW))),
        ({"policy": "trivialaugment"}, after_one_draw(transforms.TrivialAugmentWide(**HOW))),
        ({"policy": "augmix"}, after_one_draw(transforms.AugMix(**HOW))),
        ({"blur": 1.0}, after_one_draw(lambda image: image.filter(ImageFilter.GaussianBlur(random.uniform(*BLUR_PX))))),
        ({"noise": 0.1}, as_tensor(v2.GaussianNoise(sigma=0.1))),
        ({"erasing": 1.0}, as_tensor(transforms.RandomErasing(1.0, value=GREY))),
    ],
    ids=["vflip", "randaugment", "trivialaugment", "augmix", "blur", "noise", "erasing"],
)
def test_each_is_what_the_library_makes_of_the_same_seed(
    settings: dict[str, Any], expected: Callable[[Image.Image], Image.Image], image: Image.Image
) -> None:
    changed = 0
    for row in range(6):
        found = augmented(image, AugmentSettings(**PLAIN, **settings), row)
        seed_sample(0, 0, 1, row)
        assert np.array_equal(found, np.asarray(expected(image)))
        assert np.array_equal(found, augmented(image, AugmentSettings(**PLAIN, **settings), row))
        changed += not np.array_equal(found, np.asarray(image))
    assert changed


def test_the_default_is_what_it_was_before_there_were_more(image: Image.Image) -> None:
    before = transforms.Compose(
        [
            transforms.RandomResizedCrop((24, 24), (0.7, 1.0), (3 / 4, 4 / 3), InterpolationMode.BILINEAR),
            transforms.RandomHorizontalFlip(),
            transforms.ColorJitter(brightness=0.1, contrast=0.1),
        ]
    )
    for row in range(4):
        seed_sample(0, 0, 1, row)
        expected = np.asarray(before(image))
        assert np.array_equal(augmented(image, AugmentSettings(), row), expected)


@pytest.mark.parametrize(("width", "height"), [(90, 120), (1, 1), (300, 7), (5, 300)])
def test_a_crop_is_drawn_as_the_library_draws_it(width: int, height: int) -> None:
    for seed in range(50):
        torch.manual_seed(seed)
        expected = transforms.RandomResizedCrop.get_params(torch.empty(0, height, width), [0.6, 1.0], list(ASPECT)), torch.rand(1)
        torch.manual_seed(seed)
        assert (draw_box(0.6, width, height), torch.rand(1)) == expected


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
def test_a_crop_of_a_reduced_image_is_the_librarys_within_a_level(interpolation: str) -> None:
    large = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8))
    changed = []
    for by_torch in (False, True):
        seed_sample(0, 0, 1, 0)
        changed.append(np.asarray(Augmentation(AugmentSettings(), 24, interpolation, crops_by_torch=by_torch)(large)).astype(int))
    assert abs(changed[0] - changed[1]).max() <= 2 and abs(changed[0] - changed[1]).mean() < 0.1


@pytest.mark.parametrize("setting", [{"erasing": 0.3}, {"blur": 0.3}, {"policy": "augmix", "policy_prob": 0.3}], ids=str)
def test_a_probability_is_the_share_of_the_images_that_change(setting: dict[str, Any], image: Image.Image) -> None:
    settings = AugmentSettings(**PLAIN, **setting)
    share = np.mean([not np.array_equal(augmented(image, settings, row), np.asarray(image)) for row in range(300)])
    assert share == pytest.approx(0.3, abs=0.09)  # 3.4 standard deviations


def test_the_first_epochs_are_smaller_and_the_plain_image_is_not(tmp_path: Path, image: Image.Image) -> None:
    image.save(tmp_path / "a.png")

    def rows(**first: Any) -> ImageRows:
        return ImageRows([tmp_path / "a.png"], AugmentSettings(), size_px=24, interpolation="bicubic", seed=0, fold=0, **first)

    def pixels(rows: ImageRows, epoch: int) -> np.ndarray:
        found = rows[(epoch, 0, 0)]
        assert isinstance(found, tuple)
        return np.asarray(found[1])

    growing, of_one_size = rows(first_px=16, first_epochs=2), rows()
    assert [pixels(growing, epoch).shape[0] for epoch in (0, 1, 2, 3)] == [24, 16, 16, 24]
    for epoch in (0, 3):
        assert np.array_equal(pixels(growing, epoch), pixels(of_one_size, epoch))
