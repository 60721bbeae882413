"""What is done to images before a network reads them: views, whose mean is predicted (test-time augmentation), and corruptions, which show
how much of a score hangs on clean images."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from core.specs.data_settings import ViewName

Transform = Callable[[Tensor], Tensor]
"""From uint8 images (n, 3, height, width) to images of the same kind and shape. An image depends on no other one of its batch."""

CROP = 7 / 8
"""Side of a crop, and of an image that is zoomed out, as a share of the whole side."""
NOISE_SD, N_NOISY = 8.0, 2
"""Deviation of a noisy copy's noise in grey levels of 255, and how many copies there are."""


def _cut(images: Tensor, *, share: float, down: float, right: float) -> Tensor:
    """A square of `share` of the side, resized to the whole; `down` and `right` from 0 to 1 say where it lies in the room that is left."""
    height, width = images.shape[-2:]
    high, wide = max(1, round(share * height)), max(1, round(share * width))
    top, left = round(down * (height - high)), round(right * (width - wide))
    return _resize(images[..., top : top + high, left : left + wide], height, width)


def _zoom_out(images: Tensor) -> Tensor:
    """The whole image, smaller, its border repeated around it."""
    height, width = images.shape[-2:]
    high, wide = max(1, round(CROP * height)), max(1, round(CROP * width))
    top, left = (height - high) // 2, (width - wide) // 2
    return _pad(_resize(images, high, wide), (left, width - wide - left, top, height - high - top))


def _add_noise(images: Tensor, *, sd: float, seed: int) -> Tensor:
    """Gaussian noise of one pattern for every image, so that a row's prediction depends neither on its place nor on its batch."""
    pattern = torch.randn(images.shape[1:], generator=torch.Generator().manual_seed(seed)) * sd
    return _to_pixels(images.float() + pattern.to(images.device))


def _resize(images: Tensor, height: int, width: int) -> Tensor:
    return _to_pixels(F.interpolate(images.float(), (height, width), mode="bilinear", antialias=True))


def _pad(images: Tensor, sides: tuple[int, int, int, int]) -> Tensor:
    """Left, right, above and below, the border repeated."""
    return F.pad(images.float(), sides, mode="replicate").to(torch.uint8)


def _to_pixels(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)


def _rotate(images: Tensor, *, quarters: int) -> Tensor:
    return images.rot90(quarters, (-2, -1))


VIEWS: dict[ViewName, tuple[Transform, ...]] = {
    "plain": (lambda images: images,),
    "mirror": (lambda images: images.flip(-1),),
    "flip": (lambda images: images.flip(-2),),
    "rotate90": (partial(_rotate, quarters=1),),
    "rotate180": (partial(_rotate, quarters=2),),
    "rotate270": (partial(_rotate, quarters=3),),
    "five_crop": tuple(partial(_cut, share=CROP, down=down, right=right) for down, right in ((0, 0), (0, 1), (1, 0), (1, 1), (0.5, 0.5))),
    "zoom_in": (partial(_cut, share=CROP, down=0.5, right=0.5),),
    "zoom_out": (_zoom_out,),
    "noise": tuple(partial(_add_noise, sd=NOISE_SD, seed=copy) for copy in range(N_NOISY)),
}
"""The transforms of each view; of several the mean is predicted. Rotations are against the clock; both flips together are rotate180."""


def _blur(images: Tensor, strength: float) -> Tensor:
    from torchvision.transforms.v2.functional import gaussian_blur  # not above: a process that predicts texts loads no torchvision

    radius = min(round(3 * strength + 0.5), (min(images.shape[-2:]) - 1) // 2)
    return gaussian_blur(images, [2 * radius + 1] * 2, [strength] * 2)


def _shift(images: Tensor, strength: float) -> Tensor:
    """Down and to the right by `strength` percent of the side, one pixel at the least; the border is repeated."""
    height, width = images.shape[-2:]
    down, right = (max(1, round(strength / 100 * side)) for side in (height, width))
    return _pad(images, (right, 0, down, 0))[..., :height, :width]


@dataclass(frozen=True)
class Corruption:
    """A disturbance of images at several strengths, in a unit, from weak to strong."""

    unit: str
    strengths: tuple[float, ...]
    apply: Callable[[Tensor, float], Tensor]


CORRUPTIONS: dict[str, Corruption] = {
    "blur": Corruption("px", (0.5, 1, 2), _blur),
    "noise": Corruption("%", (4, 10, 20), lambda images, strength: _add_noise(images, sd=2.55 * strength, seed=0)),
    "crop": Corruption("%", (5, 10, 20), lambda images, strength: _cut(images, share=1 - strength / 100, down=0.5, right=0.5)),
    "shift": Corruption("%", (4, 8, 16), _shift),
    "dark": Corruption("%", (20, 40, 60), lambda images, strength: _to_pixels(images.float() * (1 - strength / 100))),
    "bright": Corruption("%", (20, 40, 60), lambda images, strength: _to_pixels(images.float() * (1 + strength / 100))),
}
"""As in ImageNet-C (Hendrycks and Dietterich 2019, arXiv 1903.12261), on the square that the network reads: a Gaussian blur by its deviation in pixels,
noise by its deviation in percent of white, a crop and a shift by the percent of the side that is lost, less and more light in percent."""


def corrupted(kind: str, strength: float) -> tuple[Transform, ...]:
    """The one transform of a corruption at a strength."""
    apply = CORRUPTIONS[kind].apply
    return (lambda images: apply(images, strength),)
