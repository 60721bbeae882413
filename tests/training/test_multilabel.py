"""Rows with several classes train like all others: a sigmoid for each class, the same loop, checkpoints and bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from core.data.batches import Batch, RowLoader
from core.folds import save_folds
from core.jobs.fold import load_task
from core.metrics.scores import all_scores
from core.specs.folds import FoldsSpec
from core.specs.model_settings import LossSettings
from core.training.dry_run import dry_run
from core.training.loss import Activation, Objective, row_losses
from core.training.precision import choose_precision
from core.training.predictor import predict
from core.training.task import FoldTask
from core.workspace import Workspace
from tests.emotions import EMOTIONS, add_emotions, emotion_sets
from tests.training.small_tasks import IMAGE, N_ROWS, TEXT, make_task, recipe_of, train
from tests.training.stopped import HARD, checkpointing_of, crash_at, resumed

SETS = emotion_sets(N_ROWS, seed=3)[:, :3]
"""Which of three classes the rows of the small tasks have; some have none."""

MANY = Objective(LossSettings(), Activation(multilabel=True))


def logits_and_truth(n_rows: int = 12, n_classes: int = 7) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(n_rows, n_classes, generator=rng) * 3
    return logits.requires_grad_(), (torch.rand(n_rows, n_classes, generator=rng) < 0.3).float()


def test_the_loss_is_the_mean_binary_cross_entropy_of_all_cells() -> None:
    logits, truth = logits_and_truth()
    expected = nn.BCEWithLogitsLoss()(logits, truth.float())
    torch.testing.assert_close(row_losses(logits, truth, MANY).mean(), expected)


def test_micro_batches_give_the_same_gradient() -> None:
    logits, truth = logits_and_truth()
    (whole,) = torch.autograd.grad(row_losses(logits, truth, MANY).mean(), logits)
    slices = (slice(0, 5), slice(5, 6), slice(6, 12))
    parts = [row_losses(logits[rows], truth[rows], MANY).sum() / len(logits) for rows in slices]
    (summed,) = torch.autograd.grad(torch.stack(parts).sum(), logits)
    torch.testing.assert_close(summed, whole)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_hot_targets_train_with_the_gradient_of_class_indices_to_the_bit(dtype: torch.dtype) -> None:
    logits = (torch.randn(64, 30, generator=torch.Generator().manual_seed(0)) * 5).to(dtype).requires_grad_()
    labels = torch.arange(64) % 30
    (indices,) = torch.autograd.grad(F.cross_entropy(logits.float(), labels, reduction="sum") / 64, logits)
    losses = row_losses(logits.float(), F.one_hot(labels, 30).float(), Objective(LossSettings(), Activation()))
    (one_hot,) = torch.autograd.grad((losses * torch.ones(64)).sum() / 64, logits)
    assert torch.equal(indices, one_hot)
    assert torch.equal(losses, F.cross_entropy(logits.float(), labels, reduction="none"))


class Given(nn.Module):
    """A network whose logits are the numbers of its rows."""

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return batch["logits"]


class GivenRows:
    """Rows that are logits."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    def __getitem__(self, key: tuple[int, int, int]) -> int:
        return key[1]

    def __len__(self) -> int:
        return len(self.logits)

    def collate(self, samples: Sequence[int]) -> Batch:
        return {"row": torch.tensor(samples), "logits": self.logits[list(samples)]}

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.arange(len(self))


@pytest.mark.parametrize("multilabel", [True, False])
def test_probabilities_are_sigmoids_where_rows_have_several_classes(multilabel: bool) -> None:
    logits, device = logits_and_truth()[0].detach(), torch.device("cpu")
    idx = np.array([7, 0, 3, 11, 2], dtype=np.int64)
    prob = predict(
        Given(),
        RowLoader(GivenRows(logits), workers=0),
        idx,
        logits.shape[1],
        batch_size=2,
        device=device,
        precision=choose_precision("fp32", device),
        after_batch=lambda n: None,
        activation=Activation(multilabel=multilabel),
    )
    expected = torch.sigmoid(logits) if multilabel else torch.softmax(logits, dim=1)
    np.testing.assert_allclose(prob, expected[idx], rtol=1e-6)


@pytest.fixture
def emotions_task(workspace: Workspace, tmp_path: Path) -> FoldTask:
    """The first of three folds over texts with six emotions, some of them rare, and a small network from nothing."""
    contest = add_emotions(workspace, tmp_path / "emotions")
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=3))
    recipe = recipe_of(TEXT, model={"dropout": 0.1}, train={"epochs": 25})
    (tmp_path / "out").mkdir()
    return load_task(workspace, contest, folds, recipe, 0, device="cpu", out_dir=tmp_path / "out")


@pytest.mark.slow
def test_a_small_network_learns_which_emotions_a_text_has(emotions_task: FoldTask) -> None:
    output, _, epochs = train(emotions_task)
    truth = emotions_task.labels[emotions_task.valid_idx]
    shares = np.tile(emotions_task.labels[emotions_task.train_idx].mean(axis=0), (len(truth), 1))
    everything, nothing = np.ones_like(shares), np.zeros_like(shares)
    blind = {
        name: max(all_scores(truth, prob, multilabel=True)[name] for prob in (shares, everything, nothing))
        for name in ("macro_f1", "accuracy")
    }
    assert output.scores["macro_f1"] > blind["macro_f1"] + 0.4
    assert output.scores["accuracy"] > blind["accuracy"] + 0.4
    assert output.scores["log_loss"] < 0.6 * all_scores(truth, shares, multilabel=True)["log_loss"]
    assert output.valid_prob.shape == truth.shape
    assert output.test_prob.shape == (60, len(EMOTIONS))
    assert epochs[0].train_loss > epochs[-1].train_loss


def small_task(folder: Path, base: dict[str, Any], **changes: Any) -> FoldTask:
    """A task of texts or images whose rows have up to three classes."""
    return make_task(folder, recipe_of(base, **HARD), labels=SETS, is_multilabel=True, **changes)


@pytest.mark.slow
@pytest.mark.parametrize("base", [IMAGE, TEXT], ids=["image", "text"])
def test_a_crash_changes_no_byte(base: dict[str, Any], tmp_path: Path) -> None:
    calm = small_task(tmp_path, base)
    output, _, calm_epochs = train(calm)
    task = replace(calm, checkpointing=checkpointing_of(tmp_path / "checkpoints"), out_dir=tmp_path / "attempt-1")
    task.out_dir.mkdir()
    crash_at(task, "training", 2, 3)
    task = resumed(tmp_path, task, 2)
    again, _, epochs = train(task)
    assert len(again.facts["resumed"]) == 1
    assert again.valid_prob.tobytes() == output.valid_prob.tobytes()
    assert again.test_prob.tobytes() == output.test_prob.tobytes()
    assert (task.network_dir / "weights.safetensors").read_bytes() == (calm.network_dir / "weights.safetensors").read_bytes()
    assert [report.scores for report in epochs] == [report.scores for report in calm_epochs]


@pytest.mark.slow
@pytest.mark.parametrize("base", [IMAGE, TEXT], ids=["image", "text"])
def test_a_dry_run_is_made_of_the_same_steps(base: dict[str, Any], tmp_path: Path) -> None:
    found = dry_run(small_task(tmp_path, base), max_halvings=0)
    alone = dry_run(make_task(tmp_path, recipe_of(base, **HARD)), max_halvings=0)
    assert (found.n_params, found.checkpoint_bytes, found.weights_bytes) == (alone.n_params, alone.checkpoint_bytes, alone.weights_bytes)
