"""Which weights a fold keeps: those of an epoch, or a mean of several. And the moving average that is validated in place of the last weights.

What is kept after an epoch follows from the reports of all epochs so far, so there is no other state to save than the weights themselves.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from core.metrics.scores import Metric
from core.specs.progress import EpochReport
from core.specs.training_settings import AverageSettings, Criterion
from models.spec import BATCH_NORMS

Tensors = dict[str, Tensor]
KeptWeights = Mapping[int, Tensors]
"""Weights on the CPU by the epoch they are of, the best first; of swa their running mean by the last epoch in it. Never changed in place."""


def make_average(model: nn.Module, decay: float) -> AveragedModel | None:
    """A copy of the network that follows it: after update t (from 0) with a decay of min(decay, (1 + t) / (10 + t)); None for 0.

    The warm-up lets a run of a few hundred steps forget its first weights. Buffers are averaged too, but for whole numbers. Parameters that do not
    learn are the network's own, not copies.
    """
    if not decay:
        return None

    @torch.no_grad()
    def follow(averaged: tuple[Tensor, ...] | list[Tensor], current: tuple[Tensor, ...] | list[Tensor], count: Tensor | int) -> None:
        pairs = [(mine, its) for mine, its in zip(averaged, current, strict=True) if mine.data_ptr() != its.data_ptr()]
        if not pairs or not torch.is_floating_point(averaged[0]):
            for mine, its in pairs:
                mine.copy_(its)
            return
        n = int(count)
        get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))([mine for mine, _ in pairs], [its for _, its in pairs], n)

    average = AveragedModel(nn.Module(), multi_avg_fn=follow, use_buffers=True)
    average.module = deepcopy(model, {id(parameter): parameter for parameter in model.parameters() if not parameter.requires_grad})
    return average


def rank_epochs(reports: Sequence[EpochReport], criterion: Criterion, metric: Metric) -> list[int]:
    """The epochs by one criterion, the best first; of equal ones the earlier."""
    return [report.epoch for report in sorted(reports, key=lambda report: _badness(report.scores, criterion, metric))]


def epochs_to_keep(reports: Sequence[EpochReport], settings: AverageSettings, metric: Metric, n_epochs: int) -> tuple[int, ...]:
    """The epochs whose weights are kept after the last report, or are in the mean that will be, the best first."""
    match settings.keep:
        case "last":
            return (reports[-1].epoch,)
        case "swa":
            ranks = rank_epochs(reports, settings.criteria[0], metric)
            # Where training ended before, on a sign of trouble, the last epoch is all there is.
            return tuple(epoch for epoch in ranks if epoch >= min(settings.first_averaged(n_epochs), len(reports)))
        case "best":
            return (rank_epochs(reports, settings.criteria[0], metric)[0],)
        case "best_mean" | "soup":
            best = (rank_epochs(reports, criterion, metric)[: settings.best_k] for criterion in settings.criteria)
            return tuple(dict.fromkeys(epoch for epochs in best for epoch in epochs))


def epochs_without_gain(reports: Sequence[EpochReport], settings: AverageSettings, metric: Metric) -> int:
    """How many of the last epochs were better than all before by none of the criteria."""
    return len(reports) - max((rank_epochs(reports, criterion, metric)[0] for criterion in settings.criteria), default=0) if reports else 0


def keep_weights(
    kept: KeptWeights,
    reports: Sequence[EpochReport],
    settings: AverageSettings,
    metric: Metric,
    n_epochs: int,
    weights: Callable[[], Tensors],
) -> KeptWeights:
    """What is kept after an epoch: of `kept` what still belongs to it, and the `weights` of now where the last report's epoch does.

    The last epoch's are not: the network has them until the end.
    """
    epoch, wanted = reports[-1].epoch, epochs_to_keep(reports, settings, metric, n_epochs)
    if settings.keep == "last":
        return {}
    if settings.keep == "swa":
        n_before = epoch - settings.first_averaged(n_epochs)
        return {epoch: _moved(kept[epoch - 1], weights(), n_before + 1) if n_before > 0 else weights()} if n_before >= 0 else {}
    return {one: weights() if one == epoch else kept[one] for one in wanted}


def chosen_weights(
    kept: KeptWeights,
    reports: Sequence[EpochReport],
    settings: AverageSettings,
    metric: Metric,
    n_epochs: int,
    *,
    last: Callable[[], Tensors],
    refreshed: Callable[[Tensors], Tensors],
    score: Callable[[Tensors], Mapping[str, float]],
) -> tuple[Tensors, tuple[int, ...]]:
    """The weights a fold ends with, and the epochs that are in them, the best first.

    `last()` gives the weights of now, `refreshed` those of a mean with its batch statistics made anew, `score` the scores of weights on the
    validation rows. Sources: swa, Izmailov et al. 2018; soup, the greedy one of Wortsman et al. 2022, of one training: an epoch joins the
    mean where that does not score worse by any criterion, the best first.
    """
    epochs = epochs_to_keep(reports, settings, metric, n_epochs)
    if settings.keep == "last" or not kept:
        return last(), epochs
    if len(epochs) == 1:
        return kept[epochs[0]], epochs
    if settings.keep == "swa":
        (mean,) = kept.values()
        return refreshed(mean), epochs
    if settings.keep == "soup":
        weights, chosen = kept[epochs[0]], [epochs[0]]
        scores = next(report.scores for report in reports if report.epoch == epochs[0])
        for epoch in epochs[1:]:
            tried = refreshed(mean_of([kept[one] for one in [*chosen, epoch]]))
            found = score(tried)
            if all(_badness(found, criterion, metric) <= _badness(scores, criterion, metric) for criterion in settings.criteria):
                weights, scores, chosen = tried, found, [*chosen, epoch]
        return weights, tuple(chosen)
    return refreshed(mean_of([kept[epoch] for epoch in epochs])), epochs


def mean_of(parts: Sequence[Tensors]) -> Tensors:
    """The mean of several weights, summed in float64; of whole numbers the first one's."""
    return {
        name: torch.stack([part[name].double() for part in parts]).mean(dim=0).to(first.dtype) if first.is_floating_point() else first
        for name, first in parts[0].items()
    }


@torch.no_grad()
def update_statistics(model: nn.Module, batches: Iterable[dict[str, Tensor]]) -> None:
    """Make the running mean and variance of batch norm anew, as the mean over these batches, for weights that were averaged.

    Like torch's `update_bn`, but that layers which do not train keep theirs. Without batch norm no batch is asked for.
    """
    model.train()
    momenta = {layer: layer.momentum for layer in model.modules() if isinstance(layer, BATCH_NORMS) and layer.training}
    if momenta:
        for layer in momenta:
            layer.reset_running_stats()
            layer.momentum = None  # the mean over all batches
        for batch in batches:
            model(batch)
        for layer, momentum in momenta.items():
            layer.momentum = momentum
    model.eval()


def _moved(mean: Tensors, weights: Tensors, n: int) -> Tensors:
    """The mean of n weights, of that of the n - 1 before and these."""
    return {name: mean[name] + (now - mean[name]) / n if now.is_floating_point() else now for name, now in weights.items()}


def _badness(scores: Mapping[str, float], criterion: Criterion, metric: Metric) -> float:
    """A criterion as a number of which less is better."""
    if criterion == "loss":
        return scores["log_loss"]
    return -scores[metric.name] if metric.greater_is_better else scores[metric.name]
