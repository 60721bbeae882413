"""Views and corruptions of images: what they do to pixels, row by row."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor

from core.data.views import CORRUPTIONS, CROP, VIEWS, corrupted
from core.specs.data_settings import ViewName

EVERY = {
    **VIEWS,
    **{f"{kind} {strength:g}": corrupted(kind, strength) for kind, each in CORRUPTIONS.items() for strength in each.strengths},
}


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Three smooth images of 28 pixels with noise on them, laid out as a loader gives them."""
    generator = torch.Generator().manual_seed(0)
    waves = torch.linspace(0, 6, 28).sin()[:, None] * torch.linspace(0, 4, 28).cos()[None]
    values = 128 + 80 * waves + 20 * torch.randn((3, 28, 28, 3), generator=generator).mean(dim=3)
    pixels = torch.stack([values, values.roll(3, 1), values.roll(5, 2)], dim=3).clamp(0, 255).to(torch.uint8)
    return pixels.permute(0, 3, 1, 2)


def seen(images: Tensor, name: ViewName) -> Tensor:
    (transform,) = VIEWS[name]
    return transform(images)


@pytest.mark.parametrize("name", EVERY)
def test_an_image_depends_on_no_other_of_its_batch_and_keeps_its_kind(name: str, images: Tensor) -> None:
    for transform in EVERY[name]:
        together = transform(images)
        assert (together.shape, together.dtype) == (images.shape, torch.uint8)
        assert torch.equal(together, torch.cat([transform(image[None]) for image in images]))
        assert torch.equal(together, transform(images)), "and is the same each time"


def test_views_undo_each_other_as_their_names_say(images: Tensor) -> None:
    assert set(VIEWS) == set(get_args(ViewName))
    assert torch.equal(seen(images, "plain"), images)
    for name in ("mirror", "flip", "rotate180"):
        assert not torch.equal(seen(images, name), images) and torch.equal(seen(seen(images, name), name), images)
    assert torch.equal(seen(seen(images, "mirror"), "flip"), seen(images, "rotate180"))
    assert torch.equal(seen(seen(images, "rotate90"), "rotate270"), images)
    assert torch.equal(seen(seen(images, "rotate90"), "rotate90"), seen(images, "rotate180"))


def test_crops_lie_in_the_corners_and_the_middle(images: Tensor) -> None:
    ramp = torch.arange(28, dtype=torch.float32).expand(1, 3, 28, 28).to(torch.uint8)
    across = [crop(ramp).float().mean().item() for crop in VIEWS["five_crop"]]
    down = [crop(ramp.mT).float().mean().item() for crop in VIEWS["five_crop"]]
    room = 28 * (1 - CROP)
    assert across == pytest.approx([13.5 - room / 2, 13.5 + room / 2, 13.5 - room / 2, 13.5 + room / 2, 13.5], abs=0.6)
    assert down == pytest.approx([13.5 - room / 2, 13.5 - room / 2, 13.5 + room / 2, 13.5 + room / 2, 13.5], abs=0.6)
    assert torch.equal(VIEWS["five_crop"][4](images), seen(images, "zoom_in"))
    spread = [seen(ramp, name)[0, 0, 14].float().diff().max().item() for name in ("zoom_in", "zoom_out")]
    assert spread[0] <= 1 < spread[1] <= 2, "zoomed out, the ramp is steeper"


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_stronger_corruption_changes_more(kind: str, images: Tensor) -> None:
    changes = [
        (corrupted(kind, strength)[0](images).float() - images.float()).abs().mean().item() for strength in CORRUPTIONS[kind].strengths
    ]
    assert 0 < changes[0] < changes[1] < changes[2]
    assert corrupted(kind, CORRUPTIONS[kind].strengths[-1])[0](images[..., :5, :5]).shape == (3, 3, 5, 5)
