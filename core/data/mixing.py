"""MixUp and CutMix: each row of a step mixed with the one before it, and its labels in the same shares."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from core.data.batches import Batch
from core.specs.data_settings import AugmentSettings


def mix_texts(batches: Sequence[Batch], labels: Tensor, settings: AugmentSettings) -> tuple[list[Batch], Tensor]:
    """The micro-batches of a step with what the network needs to mix word embeddings, and mixed labels (n, any number); in some steps, by
    `mix_prob`, as they came.

    wordMixup (Guo et al. 2019, arXiv 1905.08941): lambda of a text's embeddings, place by place, and 1 - lambda of those of the text before it,
    lambda from Beta(alpha, alpha), one for the step; a text that is shorter gives zeros after its end. Batches are as `TextClassifier.features`
    reads them. Draws from torch's generator of the CPU (`seed_mix`).
    """
    if torch.rand(()) >= settings.mix_prob:
        return list(batches), labels
    share = torch.distributions.Beta(settings.mixup, settings.mixup).sample()
    ends = [{name: batches[number - 1][name][-1:] for name in ("input_ids", "attention_mask")} for number in range(len(batches))]
    mixed: list[Batch] = []
    for batch, before in zip(batches, ends, strict=True):
        longest = max(batch["input_ids"].shape[1], before["input_ids"].shape[1])
        ids, mask, first_ids, first_mask = (
            pad(tensor, (0, longest - tensor.shape[1]))
            for each in (batch, before)
            for tensor in (each["input_ids"], each["attention_mask"])
        )
        other_ids, other_mask = torch.cat([first_ids, ids[:-1]]), torch.cat([first_mask, mask[:-1]])
        shares = {"own_share": share * mask, "mixed_share": (1 - share) * other_mask}
        mixed.append({**batch, "input_ids": ids, "attention_mask": mask | other_mask, "mixed_ids": other_ids, **shares})
    return mixed, share * labels + (1 - share) * labels.roll(1, 0)


def mix_rows(images: Tensor, labels: Tensor, settings: AugmentSettings) -> tuple[Tensor, Tensor]:
    """Mixed float images (n, 3, height, width) and labels (n, any number), as torchvision mixes them; in some steps, by `mix_prob`, as they came.

    MixUp (Zhang et al. 2018) gives lambda of an image and 1 - lambda of the one before it, lambda from Beta(alpha, alpha). CutMix (Yun et al.
    2019) pastes a rectangle of 1 - lambda of the area; what is cut off by the border counts for the labels. All rows of a step share one
    lambda. Draws from torch's generator of the CPU (`seed_mix`). One row alone stays as it is.
    """
    from torchvision.transforms.v2 import CutMix, MixUp  # texts need no torchvision

    if torch.rand(()) >= settings.mix_prob:
        return images, labels
    takes_cutmix = settings.cutmix > 0 and (not settings.mixup or bool(torch.rand(()) < settings.mix_switch_prob))
    mix = CutMix(alpha=settings.cutmix) if takes_cutmix else MixUp(alpha=settings.mixup)
    return mix(images.float(), labels)
