"""Which weights a fold keeps: an epoch by a criterion, the last one, or a mean of several with batch statistics of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor, nn

from core.metrics.scores import get_metric
from core.specs.progress import EpochReport
from core.specs.recipe import Recipe
from core.specs.training_settings import AverageSettings
from core.training.averaging import (
    KeptWeights,
    Tensors,
    chosen_weights,
    epochs_to_keep,
    epochs_without_gain,
    keep_weights,
    update_statistics,
)

ACCURACY = get_metric("accuracy")


def reports_of(*scores: tuple[float, float]) -> list[EpochReport]:
    """Epochs with these accuracies and log losses."""
    return [
        EpochReport(0, epoch, len(scores), 0.0, loss, {"accuracy": accuracy, "log_loss": loss}, 0.0, 0.0)
        for epoch, (accuracy, loss) in enumerate(scores, start=1)
    ]


# By accuracy 3, 5, 4, 1, 2; by loss 2, 1, 3, 4, 5.
REPORTS = reports_of((0.6, 0.4), (0.5, 0.3), (0.9, 0.5), (0.7, 0.6), (0.8, 0.9))


@pytest.mark.parametrize(
    ("settings", "epochs"),
    [
        ({}, (3,)),
        ({"monitor": "loss"}, (2,)),
        ({"keep": "last"}, (5,)),
        ({"keep": "best_mean"}, (3, 5, 4)),
        ({"keep": "best_mean", "monitor": "loss", "best_k": 2}, (2, 1)),
        ({"keep": "best_mean", "monitor": "both", "best_k": 3}, (3, 5, 4, 2, 1)),
        ({"keep": "soup", "best_k": 10}, (3, 5, 4, 1, 2)),
        ({"keep": "swa", "swa_start": 0.5}, (3, 5, 4)),
        ({"keep": "swa", "swa_start": 0.99}, (5,)),
    ],
)
def test_what_is_kept_follows_from_the_reports(settings: dict[str, Any], epochs: tuple[int, ...]) -> None:
    assert epochs_to_keep(REPORTS, AverageSettings(**settings), ACCURACY, 5) == epochs


def test_of_equal_epochs_the_first_is_the_best() -> None:
    reports = reports_of((0.5, 0.4), (0.5, 0.4))
    assert epochs_to_keep(reports, AverageSettings(), ACCURACY, 2) == (1,)
    assert epochs_without_gain(reports, AverageSettings(), ACCURACY) == 1


@pytest.mark.parametrize(("settings", "n"), [({}, 2), ({"monitor": "loss"}, 3), ({"keep": "best_mean", "monitor": "both"}, 2)])
def test_patience_waits_for_a_gain_by_any_criterion(settings: dict[str, Any], n: int) -> None:
    assert epochs_without_gain(REPORTS, AverageSettings(**settings), ACCURACY) == n
    assert epochs_without_gain([], AverageSettings(**settings), ACCURACY) == 0


def weights_of(epoch: int) -> Tensors:
    """Weights of an epoch, as a network would have them: floats, and the count of batches."""
    layer = torch.randn(4, 3, generator=torch.Generator().manual_seed(epoch))
    return {"layer": layer, "n": torch.tensor(epoch)}


def kept_after(reports: list[EpochReport], settings: AverageSettings) -> KeptWeights:
    """What is kept after these epochs, never more than was promised."""
    kept: KeptWeights = {}
    for n in range(1, len(reports) + 1):
        kept = keep_weights(kept, reports[:n], settings, ACCURACY, len(reports), lambda n=n: weights_of(n))
        assert len(kept) <= settings.n_copies
    return kept


def chosen(reports: list[EpochReport], settings: AverageSettings, **changes: Any) -> tuple[Tensors, tuple[int, ...]]:
    kept, last = kept_after(reports, settings), weights_of(len(reports))
    given = {"last": lambda: last, "refreshed": lambda weights: weights, "score": lambda _: pytest.fail("nothing is to be scored")}
    return chosen_weights(kept, reports, settings, ACCURACY, len(reports), **{**given, **changes})


@pytest.mark.parametrize(
    ("settings", "epochs"),
    [
        ({}, [3]),
        ({"monitor": "loss"}, [2]),
        ({"keep": "last"}, [5]),
        ({"keep": "best_mean"}, [3, 5, 4]),
        ({"keep": "swa", "swa_start": 0.2}, [2, 3, 4, 5]),
    ],
    ids=["best", "by loss", "last", "mean of the best", "swa"],
)
def test_a_mean_is_that_of_the_weights_of_its_epochs(settings: dict[str, Any], epochs: list[int]) -> None:
    weights, said = chosen(REPORTS, AverageSettings(**settings))
    assert sorted(said) == sorted(epochs)
    expected = torch.stack([weights_of(epoch)["layer"].double() for epoch in epochs]).mean(dim=0)
    torch.testing.assert_close(weights["layer"].double(), expected, rtol=0, atol=1e-7)
    assert weights["layer"].dtype == torch.float32 and weights["n"].dtype == torch.int64


def test_a_single_epoch_keeps_its_own_statistics() -> None:
    refreshed: list[object] = []
    for settings in ({}, {"keep": "last"}, {"keep": "swa", "swa_start": 0.9}, {"keep": "best_mean", "best_k": 2}):
        reports = REPORTS if settings.get("keep") != "best_mean" else REPORTS[:1]
        chosen(reports, AverageSettings(**settings), refreshed=lambda weights: refreshed.append(weights) or weights)
    assert not refreshed, "there is no mean"


def test_swa_that_ended_before_its_first_epoch_keeps_the_last_one() -> None:
    settings = AverageSettings(keep="swa")
    kept = keep_weights({}, REPORTS[:2], settings, ACCURACY, 100, lambda: weights_of(2))
    given: Any = {"last": lambda: weights_of(2), "refreshed": None, "score": None}
    weights, epochs = chosen_weights(kept, REPORTS[:2], settings, ACCURACY, 100, **given)
    assert epochs == (2,) and torch.equal(weights["layer"], weights_of(2)["layer"])


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 2)), min_size=2, max_size=8),
    st.randoms(use_true_random=False),
    st.sampled_from(["metric", "loss", "both"]),
)
def test_a_soup_scores_no_worse_than_the_best_epoch(scores: list[tuple[float, float]], random: Any, monitor: str) -> None:
    reports, found = reports_of(*scores), list[Mapping[str, float]]()

    def score(_: Tensors) -> Mapping[str, float]:
        found.append({"accuracy": random.random(), "log_loss": 2 * random.random()})
        return found[-1]

    settings = AverageSettings.model_validate({"keep": "soup", "best_k": 4, "monitor": monitor})
    weights, epochs = chosen(reports, settings, score=score)
    assert len(found) <= settings.n_means
    expected = torch.stack([weights_of(epoch)["layer"].double() for epoch in epochs]).mean(dim=0)
    torch.testing.assert_close(weights["layer"].double(), expected, rtol=0, atol=1e-7)
    # Each that joined was no worse than the soup before it, hence the soup no worse than its best epoch.
    scores, n_joined = reports[epochs[0] - 1].scores, 1
    for one in found:
        if _no_worse(one, scores, monitor):
            scores, n_joined = one, n_joined + 1
    assert n_joined == len(epochs) and _no_worse(scores, reports[epochs[0] - 1].scores, monitor)


def _no_worse(one: Mapping[str, float], other: Mapping[str, float], monitor: str) -> bool:
    by_metric, by_loss = one["accuracy"] >= other["accuracy"], one["log_loss"] <= other["log_loss"]
    return (by_metric or monitor == "loss") and (by_loss or monitor == "metric")


class Two(nn.Module):
    """Two layers of batch norm, of which the first is frozen: it stays as it is while the rest trains."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen, self.layer, self.norm, self.dropout = nn.BatchNorm1d(3), nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.0)

    def train(self, mode: bool = True) -> Two:
        super().train(mode)
        self.frozen.eval()
        return self

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return self.norm(self.layer(self.frozen(batch["x"])))


def test_batch_statistics_are_the_mean_over_the_batches_and_frozen_layers_keep_theirs() -> None:
    torch.manual_seed(0)
    model, batches = Two(), [{"x": torch.randn(n, 3) + n} for n in (8, 8, 5)]
    model.frozen.running_mean.fill_(0.5)  # pyright: ignore[reportOptionalMemberAccess]
    model.norm.running_mean.fill_(99.0)  # pyright: ignore[reportOptionalMemberAccess]
    update_statistics(model, batches)
    outputs = [model.layer(model.frozen(batch["x"])).detach() for batch in batches]
    torch.testing.assert_close(model.norm.running_mean, torch.stack([out.mean(dim=0) for out in outputs]).mean(dim=0))
    torch.testing.assert_close(model.norm.running_var, torch.stack([out.var(dim=0) for out in outputs]).mean(dim=0))
    assert torch.equal(model.frozen.running_mean, torch.full((3,), 0.5))  # pyright: ignore[reportArgumentType]
    assert model.norm.momentum == 0.1 and not model.norm.training


def test_without_batch_norm_no_row_is_read() -> None:
    batches = iter([{"x": torch.ones(2, 3)}])
    update_statistics(nn.Linear(3, 2), batches)
    assert len(list(batches)) == 1


@pytest.mark.parametrize(
    ("values", "fix"),
    [
        ({"average": {"monitor": "both"}}, "needs average.keep=best_mean or soup"),
        ({"average": {"keep": "swa"}, "train": {"patience": 2}}, "set train.patience=0"),
    ],
)
def test_what_contradicts_itself_is_refused_with_what_to_set(values: dict[str, Any], fix: str) -> None:
    with pytest.raises(ValueError, match=fix):
        Recipe.model_validate(values)
