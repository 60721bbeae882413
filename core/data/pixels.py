"""Image rows as a network takes them: opened, augmented by the recipe, resized, as raw pixels.

The whole image is squeezed into the square; nothing is cut off but by a training crop that the recipe asks for.
"""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter
from torchvision import transforms
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import GaussianNoise

from core.base.errors import PitwallError
from core.data.batches import Batch, Key
from core.data.image_cache import CachedImages
from core.data.images import open_image
from core.data.randomness import seed_sample
from core.specs.data_settings import AugmentSettings

ASPECT = (3 / 4, 4 / 3)
GREY = 128
"""What fills an erased rectangle, and where a policy moves an image away: next to nothing once pixels are normalised."""
BLUR_PX = (0.1, 2.0)


def make_augmentation(settings: AugmentSettings, size_px: int, interpolation: str) -> transforms.Compose:
    """What a training image goes through, as torchvision's transforms of a Pillow image, which it stays.

    Shape comes first, then colours, last what covers pixels. What a setting of zero leaves out draws no random numbers.
    """
    how = InterpolationMode(interpolation)
    size = (size_px, size_px)
    steps: list[object] = []
    if settings.rotation_deg:
        steps.append(transforms.RandomRotation(settings.rotation_deg, InterpolationMode.BILINEAR))
    if settings.min_crop < 1:
        steps.append(transforms.RandomResizedCrop(size, (settings.min_crop, 1.0), ASPECT, how))
    else:
        steps.append(transforms.Resize(size, how))
    if settings.hflip:
        steps.append(transforms.RandomHorizontalFlip())
    if settings.vflip:
        steps.append(transforms.RandomVerticalFlip())
    if settings.policy != "none":
        steps.append(transforms.RandomApply([make_policy(settings)], settings.policy_prob))
    if settings.jitter:
        steps.append(transforms.ColorJitter(brightness=settings.jitter, contrast=settings.jitter))
    if settings.blur:
        steps.append(transforms.RandomApply([_Blur()], settings.blur))
    if settings.noise or settings.erasing:
        steps.append(transforms.PILToTensor())
        if settings.noise:
            steps.append(GaussianNoise(sigma=settings.noise))
        if settings.erasing:
            steps.append(transforms.RandomErasing(settings.erasing, value=GREY))
        steps.append(transforms.ToPILImage())
    return transforms.Compose(steps)


def make_policy(settings: AugmentSettings) -> torch.nn.Module:
    """RandAugment (Cubuk et al. 2020), TrivialAugmentWide (Müller and Hutter 2021) or AugMix (Hendrycks et al. 2020, of severity 3 and three
    chains), as torchvision has them."""
    how = InterpolationMode.BILINEAR
    fill: list[float] = [GREY, GREY, GREY]
    if settings.policy == "randaugment":
        return transforms.RandAugment(settings.num_ops, settings.magnitude, interpolation=how, fill=fill)
    if settings.policy == "trivialaugment":
        return transforms.TrivialAugmentWide(interpolation=how, fill=fill)
    return transforms.AugMix(interpolation=how, fill=fill)


class _Blur:
    """A Gaussian blur of a random radius, as timm draws it."""

    def __call__(self, image: Image.Image) -> Image.Image:
        return image.filter(ImageFilter.GaussianBlur(random.uniform(*BLUR_PX)))


class ImageRows:
    """Files as rows. Key (epoch, row, repeat): epoch 0 is the plain image; in others every repeat is augmented in its own way.

    The first `first_epochs` epochs are `first_px` wide and high, all others `size_px`. Where `sha256` are given, one for each path, a file that
    has changed is an error; a process looks when it first reads the file. Images are reduced to `short_px` first, as by `open_image`; those
    that `cached` has, by their sha256, are not read from their files.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        augment: AugmentSettings,
        *,
        size_px: int,
        interpolation: str,
        seed: int,
        fold: int,
        sha256: Sequence[str] = (),
        white_level: float = 0.0,
        first_px: int = 0,
        first_epochs: int = 0,
        short_px: int = 0,
        cached: CachedImages | None = None,
    ) -> None:
        if interpolation not in ("nearest", "bilinear", "bicubic"):
            interpolation = "bicubic"
        self.paths = list(paths)
        self.sha256 = list(sha256)
        self.unchecked = set(range(len(self.sha256)))
        self.white_level = white_level
        self.short_px = short_px
        self.cached = cached
        self.seed = seed
        self.fold = fold
        self.plain = transforms.Resize((size_px, size_px), InterpolationMode(interpolation))
        self.augmented = make_augmentation(augment, size_px, interpolation)
        self.first_epochs = first_epochs
        self.first_augmented = make_augmentation(augment, first_px, interpolation) if first_epochs else self.augmented

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, key: Key) -> tuple[int, Image.Image] | PitwallError:
        epoch, row, repeat = key
        try:
            image = self._image(row)
        except PitwallError as problem:
            return problem
        if epoch == 0:
            return row, self.plain(image)
        seed_sample(self.seed, self.fold, epoch, row, repeat)
        return row, (self.first_augmented if epoch <= self.first_epochs else self.augmented)(image)

    def _image(self, row: int) -> Image.Image:
        if self.cached is not None and (image := self.cached.image(self.sha256[row])) is not None:
            return image
        sha256 = self.sha256[row] if row in self.unchecked else ""
        image = open_image(self.paths[row], sha256=sha256, white_level=self.white_level, short_px=self.short_px)
        self.unchecked.discard(row)
        return image

    def length(self, row: int) -> int:
        """Equal for all: they reach the network in one size."""
        return 1

    def collate(self, samples: Sequence[tuple[int, Image.Image] | PitwallError]) -> Batch | PitwallError:
        """`image` uint8 (n, 3, size, size), laid out channels-last as Pillow gives it, and `row` (n,)."""
        good = [sample for sample in samples if not isinstance(sample, PitwallError)]
        if len(good) < len(samples):
            return next(sample for sample in samples if isinstance(sample, PitwallError))
        pixels = torch.from_numpy(np.stack([np.asarray(image) for _, image in good]))
        return {"image": pixels.permute(0, 3, 1, 2), "row": torch.tensor([row for row, _ in good])}
