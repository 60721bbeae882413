"""Image rows as a network takes them: opened, augmented by the recipe, resized, as raw pixels.

The whole image is squeezed into the square; nothing is cut off but by a training crop that the recipe asks for.
"""

import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torchvision import transforms
from torchvision.transforms import InterpolationMode, functional
from torchvision.transforms.v2 import GaussianNoise

from core.base.errors import PitwallError
from core.data.batches import Batch, Key
from core.data.image_cache import CachedImages
from core.data.images import RESAMPLING, open_image, squeeze
from core.data.randomness import seed_sample
from core.specs.data_settings import AugmentSettings

F: Any = functional  # of Pillow's images too, which its types leave out
ASPECT = (3 / 4, 4 / 3)
LOG_ASPECT = torch.log(torch.tensor(ASPECT)).tolist()
GREY = 128
"""What fills an erased rectangle, and where a policy moves an image away: next to nothing once pixels are normalised."""
BLUR_PX = (0.1, 2.0)


Pixels = NDArray[np.uint8]
"""(height, width, 3), or of a grey image (height, width, 1)."""
Change = Callable[[Any], Image.Image]
"""What is done to an image, or where `reads_arrays` says so to its pixels."""
Draw = Callable[[int, int], Change | None]
"""Draws for an image of a width and a height what is done to it; None is nothing."""


class Augmentation:
    """What a training image goes through, as torchvision changes a Pillow image, which it stays.

    Shape comes first, then colours, last what covers pixels. What a setting of zero leaves out draws no random numbers. The first steps draw
    before they change anything, so that threads may do the changing; the `rest` draws as it goes. `crops_by_torch` resizes a crop by torch's kernel,
    three times as fast as Pillow's and at most a level beside it.
    """

    def __init__(self, settings: AugmentSettings, size_px: int, interpolation: str, *, crops_by_torch: bool = False) -> None:
        how, size = InterpolationMode(interpolation), [size_px, size_px]
        flips = [flip for flip, is_on in ((F.hflip, settings.hflip), (F.vflip, settings.vflip)) if is_on]
        has_policy = settings.policy != "none"
        crop = _crop_by_torch if crops_by_torch and how != InterpolationMode.NEAREST else F.resized_crop
        self.reads_arrays = crop is _crop_by_torch and settings.min_crop < 1 and not settings.rotation_deg
        """Whether the first step takes the pixels of an image as an array, too, which spares making it one."""
        self._draws: list[Draw] = [
            *([partial(_draw_rotation, settings.rotation_deg)] if settings.rotation_deg else []),
            partial(_draw_crop, settings.min_crop, crop, size, how) if settings.min_crop < 1 else partial(_no_crop, size, how),
            *(partial(_draw_flip, flip) for flip in flips),
            *([partial(_draw_jitter, settings.jitter)] if settings.jitter and not has_policy else []),
        ]
        self.rest = _rest(settings)

    def draw(self, width: int, height: int) -> Change:
        """The first steps, drawn for an image, by torch's generator of this process."""
        return partial(_apply, [change for draw in self._draws if (change := draw(width, height)) is not None])

    def __call__(self, image: Image.Image) -> Image.Image:
        changed = self.draw(*image.size)(image)
        return self.rest(changed) if self.rest else changed


def _apply(changes: Sequence[Change], image: Any) -> Image.Image:
    for change in changes:
        image = change(image)
    return image


def _draw_rotation(most_deg: float, _width: int, _height: int) -> Change:
    return partial(F.rotate, angle=transforms.RandomRotation.get_params([-most_deg, most_deg]), interpolation=InterpolationMode.BILINEAR)


def _draw_crop(
    min_crop: float, crop: Callable[..., Image.Image], size: list[int], how: InterpolationMode, width: int, height: int
) -> Change:
    top, left, crop_height, crop_width = draw_box(min_crop, width, height)
    return partial(crop, top=top, left=left, height=crop_height, width=crop_width, size=size, interpolation=how)


def draw_box(min_crop: float, width: int, height: int) -> tuple[int, int, int, int]:
    """Top, left, height and width of a crop as `RandomResizedCrop.get_params` draws it, in half the time."""
    for _ in range(10):
        area = width * height * torch.empty(1).uniform_(min_crop, 1.0).item()
        aspect = torch.empty(1).uniform_(*LOG_ASPECT).exp_().item()
        crop_width, crop_height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            top, left = (int(torch.randint(0, most + 1, size=(1,))) for most in (height - crop_height, width - crop_width))
            return top, left, crop_height, crop_width
    crop_width, crop_height = min(width, round(height * ASPECT[1])), min(height, round(width / ASPECT[0]))
    return (height - crop_height) // 2, (width - crop_width) // 2, crop_height, crop_width


def _crop_by_torch(
    image: Image.Image | Pixels, *, top: int, left: int, height: int, width: int, size: list[int], interpolation: InterpolationMode
) -> Image.Image:
    part = np.asarray(image)[top : top + height, left : left + width]
    pixels = torch.from_numpy(np.broadcast_to(part, (height, width, 3)).copy()).permute(2, 0, 1)[None]
    resized = torch.nn.functional.interpolate(pixels, size, mode=interpolation.value, antialias=True)
    return Image.fromarray(resized[0].permute(1, 2, 0).numpy())


def _no_crop(size: list[int], how: InterpolationMode, _width: int, _height: int) -> Change:
    return partial(F.resize, size=size, interpolation=how)


def _draw_flip(flip: Change, _width: int, _height: int) -> Change | None:
    return flip if torch.rand(1) < 0.5 else None


def _draw_jitter(strength: float, _width: int, _height: int) -> Change:
    """Brightness and contrast, in either order."""
    between = [max(0.0, 1 - strength), 1 + strength]
    order, brightness, contrast = transforms.ColorJitter.get_params(between, between, None, None)[:3]
    steps: tuple[Change, Change] = (
        partial(F.adjust_brightness, brightness_factor=brightness),
        partial(F.adjust_contrast, contrast_factor=contrast),
    )
    return partial(_apply, [steps[number] for number in order.tolist() if number < 2])


def _rest(settings: AugmentSettings) -> transforms.Compose | None:
    steps: list[object] = []
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
    return transforms.Compose(steps) if steps else None


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
        if interpolation not in RESAMPLING:
            interpolation = "bicubic"
        self.paths = list(paths)
        self.sha256 = list(sha256)
        self.unchecked = set(range(len(self.sha256)))
        self.white_level = white_level
        self.short_px = short_px
        self.cached = cached
        self.seed = seed
        self.fold = fold
        self.plain = partial(squeeze, size_px=size_px, interpolation=interpolation)
        self.augmented = Augmentation(augment, size_px, interpolation, crops_by_torch=short_px > 0)
        self.first_epochs = first_epochs
        self.first_augmented = (
            Augmentation(augment, first_px, interpolation, crops_by_torch=short_px > 0) if first_epochs else self.augmented
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, key: Key) -> tuple[int, Image.Image] | PitwallError:
        return self.__getitems__([key])[0]

    def __getitems__(self, keys: Sequence[Key]) -> list[tuple[int, Image.Image] | PitwallError]:
        """The rows of a batch. Threads open and change their images, as many as torch computes with, which waits meanwhile; this one draws."""
        n_threads = min(len(keys), torch.get_num_threads())
        if n_threads < 2:
            return [sample for key in keys for sample in self._rows([key], map)]
        with ThreadPoolExecutor(n_threads, thread_name_prefix="images") as pool:
            n_at_once = len(keys) if self.cached is not None else 2 * n_threads  # whole files may be large
            parts = (keys[start : start + n_at_once] for start in range(0, len(keys), n_at_once))
            return [sample for part in parts for sample in self._rows(part, pool.map)]

    def _rows(self, keys: Sequence[Key], each: Callable[..., Iterable[Any]]) -> Iterator[tuple[int, Image.Image] | PitwallError]:
        images = [None] * len(keys) if self._has_sizes(keys) else list(each(self._opened, keys))
        changes = [self._drawn(key, image) for key, image in zip(keys, images, strict=True)]
        for (_, row, _), changed in zip(keys, each(self._changed, keys, images, changes), strict=True):
            yield changed if isinstance(changed, PitwallError) else (row, changed)

    def _has_sizes(self, keys: Sequence[Key]) -> bool:
        """Whether all that is random can be drawn before an image is read."""
        return self.cached is not None and self.augmented.rest is None and all(self.cached.has(self.sha256[row]) for _, row, _ in keys)

    def _drawn(self, key: Key, image: Image.Image | Pixels | PitwallError | None) -> Change:
        epoch, row, repeat = key
        if isinstance(image, PitwallError) or epoch == 0:
            return self.plain
        augmentation = self._augmentation(epoch)
        seed_sample(self.seed, self.fold, epoch, row, repeat, torch_only=augmentation.rest is None)
        if isinstance(image, Image.Image):
            size = image.size
        else:
            assert self.cached is not None  # nothing else gives arrays
            size = self.cached.size(self.sha256[row])
        change = augmentation.draw(*size)
        if augmentation.rest is None:
            return change
        assert image is not None
        done = augmentation.rest(change(image))
        return lambda _: done

    def _augmentation(self, epoch: int) -> Augmentation:
        return self.first_augmented if epoch <= self.first_epochs else self.augmented

    def _changed(self, key: Key, image: Image.Image | Pixels | PitwallError | None, change: Change) -> Image.Image | PitwallError:
        opened = self._opened(key) if image is None else image
        return opened if isinstance(opened, PitwallError) else change(opened)

    def _opened(self, key: Key) -> Image.Image | Pixels | PitwallError:
        try:
            return self._image(key)
        except PitwallError as problem:
            return problem

    def _image(self, key: Key) -> Image.Image | Pixels:
        epoch, row, _ = key
        if self.cached is not None:
            read = self.cached.pixels if epoch and self._augmentation(epoch).reads_arrays else self.cached.image
            if (found := read(self.sha256[row])) is not None:
                return found
        sha256 = self.sha256[row] if row in self.unchecked else ""
        image = open_image(self.paths[row], sha256=sha256, white_level=self.white_level, short_px=self.short_px)
        self.unchecked.discard(row)
        return image

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Equal for all: they reach the network in one size."""
        return np.ones(len(self), dtype=np.int64)

    def collate(self, samples: Sequence[tuple[int, Image.Image] | PitwallError]) -> Batch | PitwallError:
        """`image` uint8 (n, 3, size, size), laid out channels-last as Pillow gives it, and `row` (n,)."""
        good = [sample for sample in samples if not isinstance(sample, PitwallError)]
        if len(good) < len(samples):
            return next(sample for sample in samples if isinstance(sample, PitwallError))
        pixels = torch.from_numpy(np.stack([np.asarray(image) for _, image in good]))
        return {"image": pixels.permute(0, 3, 1, 2), "row": torch.tensor([row for row, _ in good])}
