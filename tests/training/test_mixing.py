"""MixUp and CutMix: what a mixed row shows and teaches, and that the size of the micro-batches changes nothing of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import CutMix, MixUp

from core.data.mixing import mix_rows
from core.data.randomness import seed_mix
from core.specs.data_settings import AugmentSettings
from core.specs.model_settings import LossSettings
from core.training.loss import Activation, Objective, row_losses
from core.training.setup import Targets
from core.training.step import Part, put_together
from core.training.task import FoldTask
from tests.training.small_tasks import IMAGE, make_task, recipe_of

SIDE, N = 12, 7


def flat_images() -> Tensor:
    """Images (N, 3, SIDE, SIDE) of one value each: 0, 10, 20 and so on."""
    return (10 * torch.arange(N, dtype=torch.uint8))[:, None, None, None].expand(N, 3, SIDE, SIDE).clone()


def mixed(settings: AugmentSettings, step: int = 1) -> tuple[Tensor, Tensor]:
    """The flat images, and labels that say which rows went into each: row i of the identity."""
    seed_mix(0, 0, 1, step)
    return mix_rows(flat_images(), torch.eye(N), settings)


@pytest.mark.parametrize(
    ("settings", "mix"),
    [(AugmentSettings(mixup=0.4), MixUp(alpha=0.4)), (AugmentSettings(cutmix=1), CutMix(alpha=1.0))],
    ids=["mixup", "cutmix"],
)
def test_it_is_what_the_library_makes_of_the_same_seed(settings: AugmentSettings, mix: MixUp | CutMix) -> None:
    for step in range(1, 5):
        images, labels = mixed(settings, step)
        seed_mix(0, 0, 1, step)
        torch.rand(())  # whether to mix at all
        expected_images, expected_labels = mix(flat_images().float(), torch.eye(N))
        assert torch.equal(images, expected_images) and torch.equal(labels, expected_labels)


def test_mixup_blends_a_row_with_the_one_before_it_by_lambda() -> None:
    images, labels = mixed(AugmentSettings(mixup=0.4))
    lam = float(labels[0, 0])
    assert 0 < lam < 1
    for row in range(N):
        before = (row - 1) % N
        assert torch.allclose(images[row], torch.full_like(images[row], 10 * (lam * row + (1 - lam) * before)))
        assert torch.allclose(labels[row], lam * torch.eye(N)[row] + (1 - lam) * torch.eye(N)[before])


def test_cutmix_pastes_a_rectangle_and_labels_are_shared_by_its_area() -> None:
    n_pasted = 0
    for step in range(1, 9):
        images, labels = mixed(AugmentSettings(cutmix=1.0), step)
        for row in range(N):
            is_pasted = images[row, 0] == 10 * ((row - 1) % N)
            assert torch.equal(images[row, 0], torch.where(is_pasted, 10.0 * ((row - 1) % N), 10.0 * row))
            rows, columns = is_pasted.any(dim=1), is_pasted.any(dim=0)
            assert torch.equal(is_pasted, rows[:, None] & columns[None]), "a rectangle"
            assert labels[row, row] == pytest.approx(1 - float(is_pasted.float().mean()), abs=1e-6)
            assert labels[row].sum() == pytest.approx(1)
            n_pasted += int(is_pasted.sum())
    assert n_pasted


def test_probabilities_are_shares_of_the_steps() -> None:
    settings = AugmentSettings(mixup=0.4, cutmix=1.0, mix_prob=0.6, mix_switch_prob=0.3)
    kinds = []
    for step in range(400):
        images, _ = mixed(settings, step)
        kinds.append("none" if images.dtype == torch.uint8 else "cutmix" if torch.equal(images, images.round()) else "mixup")
    assert kinds.count("none") / 400 == pytest.approx(0.4, abs=0.09)
    assert kinds.count("cutmix") / (400 - kinds.count("none")) == pytest.approx(0.3, abs=0.1)


# The rows of a step


def targets_of(task: FoldTask, weights: Sequence[float] = ()) -> Targets:
    n = len(task.labels)
    return Targets(torch.from_numpy(task.labels), 3, task.is_multilabel, None, torch.tensor(weights) if weights else torch.ones(n))


def put(task: FoldTask, sizes: Sequence[int], *, epoch: int = 1, step: int = 1, weights: Sequence[float] = ()) -> list[Part]:
    """Random images of the first rows of a task as micro-batches of these sizes."""
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (sum(sizes), 8, 8, 3), np.uint8)).permute(0, 3, 1, 2)
    batches = [
        {"image": image, "row": row}
        for image, row in zip(pixels.split(list(sizes)), torch.arange(sum(sizes)).split(list(sizes)), strict=True)
    ]
    return put_together(task, targets_of(task, weights), batches, epoch, step)


def whole(parts: Sequence[Part]) -> list[Tensor]:
    return [
        torch.cat([part.inputs["image"] for part in parts]),
        *(torch.cat([getattr(part, name) for part in parts]) for name in ("targets", "weights", "truth")),
    ]


@pytest.mark.parametrize("augment", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0, "mix_prob": 0.7}], ids=str)
def test_the_size_of_the_micro_batches_changes_no_byte(augment: dict[str, Any], tmp_path: Path) -> None:
    task = make_task(tmp_path, recipe_of(IMAGE, augment=augment))
    for step in range(1, 6):
        at_once = whole(put(task, [9], step=step))
        for sizes in ([5, 4], [3, 3, 3], [2, 2, 2, 3], [1] * 9):
            parts = put(task, sizes, step=step)
            assert [len(part.weights) for part in parts] == sizes
            assert all(torch.equal(one, other) for one, other in zip(at_once, whole(parts), strict=True))
    others = [put(task, [9], step=step, epoch=epoch) for step, epoch in ((1, 1), (2, 1), (1, 2))]
    assert len({whole(parts)[1].numpy().tobytes() for parts in others}) > 1, "each step draws anew"


def test_the_last_epochs_and_a_single_row_are_not_mixed(tmp_path: Path) -> None:
    task = make_task(tmp_path, recipe_of(IMAGE, augment={"mixup": 1.0, "mix_off_epochs": 2}, train={"epochs": 5}))
    plain = whole(put(make_task(tmp_path, recipe_of(IMAGE)), [8]))
    is_plain = [all(torch.equal(a, b) for a, b in zip(whole(put(task, [8], epoch=epoch)), plain, strict=True)) for epoch in range(1, 6)]
    assert is_plain == [False, False, False, True, True]
    (alone,) = put(task, [1])
    assert torch.allclose(alone.inputs["image"], plain[0][:1].float()) and torch.allclose(alone.targets, plain[1][:1])


@pytest.mark.parametrize("is_multilabel", [False, True])
def test_a_mixed_row_teaches_what_its_two_rows_teach_by_their_weights(is_multilabel: bool, tmp_path: Path) -> None:
    labels = np.random.default_rng(1).integers(0, 2, (48, 3)) if is_multilabel else np.arange(48) % 3
    task = make_task(tmp_path, recipe_of(IMAGE, augment={"mixup": 1.0}), labels=labels, is_multilabel=is_multilabel)
    weights = [2.0, 0.0, 0.5, 1.0, 0.0, 0.0, 3.0, *[1.0] * 41]
    images, targets, of_rows, _ = whole(put(task, [N], weights=weights))
    plain = whole(put(make_task(tmp_path, recipe_of(IMAGE), labels=labels, is_multilabel=is_multilabel), [N]))
    lam = float(((images - plain[0].roll(1, 0)) / (plain[0].float() - plain[0].roll(1, 0))).nanmedian())
    logits = torch.randn(N, 3, generator=torch.Generator().manual_seed(0))
    objective = Objective(LossSettings(), Activation(multilabel=is_multilabel))
    found = of_rows * row_losses(logits, targets, objective)
    given = torch.tensor(weights[:N])
    own = given * row_losses(logits, plain[1], objective)
    others = given.roll(1) * row_losses(logits, plain[1].roll(1, 0), objective)
    assert torch.allclose(found, lam * own + (1 - lam) * others, atol=1e-5)
