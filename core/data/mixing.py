"""MixUp and CutMix: each image of a step mixed with the one before it, and its labels in the same shares."""

import torch
from torch import Tensor
from torchvision.transforms.v2 import CutMix, MixUp

from core.specs.data_settings import AugmentSettings


def mix_rows(images: Tensor, labels: Tensor, settings: AugmentSettings) -> tuple[Tensor, Tensor]:
    """Mixed float images (n, 3, height, width) and labels (n, any number), as torchvision mixes them; in some steps, by `mix_prob`, as they came.

    MixUp (Zhang et al. 2018) gives lambda of an image and 1 - lambda of the one before it, lambda from Beta(alpha, alpha). CutMix (Yun et al.
    2019) pastes a rectangle of 1 - lambda of the area; what is cut off by the border counts for the labels. All rows of a step share one
    lambda. Draws from torch's generator of the CPU (`seed_mix`). One row alone stays as it is.
    """
    if torch.rand(()) >= settings.mix_prob:
        return images, labels
    takes_cutmix = settings.cutmix > 0 and (not settings.mixup or bool(torch.rand(()) < settings.mix_switch_prob))
    mix = CutMix(alpha=settings.cutmix) if takes_cutmix else MixUp(alpha=settings.mixup)
    return mix(images.float(), labels)
