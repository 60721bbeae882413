"""How often an epoch takes each training row: once, or by a sampler more of the rows of rare classes. Imports no torch: pages show it.

How many rows of a class an epoch takes is fixed, so that every epoch has one length; which rows these are is drawn anew in each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.specs.data_settings import AugmentSettings, SamplingSettings


@dataclass(frozen=True)
class Group:
    """Training rows that are taken equally often, by their places among all, and how many of them an epoch takes."""

    places: NDArray[np.int64]
    n_taken: int


def group_rows(settings: SamplingSettings, labels: NDArray[np.integer]) -> tuple[Group, ...]:
    """The groups of training rows by their truth: classes (n,), or multi-label 0 and 1 for each class (n, K).

    Balanced and square-root sampling take as many rows as there are, in shares of the classes that are equal, or as the roots of their
    numbers of rows (Mahajan et al. 2018, arXiv 1805.00932). Repeat factor sampling (LVIS, Gupta et al. 2019, arXiv 1908.03195) takes a
    row max(1, sqrt(t / f)) times on average, where f is the share of rows that have its class, or its rarest one.
    """
    if settings.kind == "none":
        return (Group(np.arange(len(labels)), len(labels)),)
    if labels.ndim == 2:
        shares = labels.mean(axis=0)
        rarest = np.where(labels > 0, shares, 1.0).min(axis=1)
        values, group_of = np.unique(_repeat_factors(settings, rarest), return_inverse=True)
        return tuple(Group(places, round(factor * len(places))) for factor, places in zip(values, _places(group_of), strict=True))
    places = _places(labels)
    sizes = np.array([len(each) for each in places], dtype=np.float64)
    if settings.kind == "counts":
        wanted = np.array(settings.counts[: len(places)], dtype=np.int64)
    elif settings.kind == "repeat_factor":
        wanted = (_repeat_factors(settings, sizes / len(labels)) * sizes).round().astype(np.int64)
    else:
        wanted = _dealt(len(labels), sizes**0.5 if settings.kind == "square_root" else (sizes > 0).astype(np.float64))
    return tuple(Group(each, int(n)) for each, n in zip(places, wanted, strict=True) if len(each) and n)


def draw(groups: Sequence[Group], seed: int, fold: int, epoch: int) -> NDArray[np.int64]:
    """The places that an epoch takes, group by group: every place of a group equally often, and as many more as are missing at random."""
    from core.data.randomness import derive  # with it comes torch

    rng = np.random.default_rng(derive(seed, "sampling", fold, epoch))
    taken: list[NDArray[np.int64]] = []
    for group in groups:
        times, rest = divmod(group.n_taken, len(group.places))
        taken += [np.tile(group.places, times), rng.permutation(group.places)[:rest]] if rest else [np.tile(group.places, times)]
    return np.concatenate(taken)


def class_counts(groups: Sequence[Group], labels: NDArray[np.integer], n_classes: int) -> NDArray[np.float64]:
    """How many rows of an epoch have each class (n_classes,); multi-label the mean over epochs."""
    counts = np.zeros(n_classes)
    for group in groups:
        rows = labels[group.places]
        of_group = rows.sum(axis=0, dtype=np.int64) if labels.ndim == 2 else np.bincount(rows, minlength=n_classes)
        counts += of_group * (group.n_taken / len(group.places)) if group.n_taken else 0
    return counts


def edited_counts(groups: Sequence[Group], labels: NDArray[np.integer], n_classes: int, settings: AugmentSettings) -> NDArray[np.float64]:
    """How many of an epoch's rows of each class have their words changed (n_classes,), in the mean."""
    if settings.word_rows != "all":
        groups = [group for group in groups if group.n_taken > len(group.places)]
    if settings.word_rows == "repeats":
        groups = [Group(group.places, group.n_taken - len(group.places)) for group in groups]
    return settings.edited_share * class_counts(groups, labels, n_classes)


def repeated_places(groups: Sequence[Group]) -> NDArray[np.int64]:
    """The places of the rows of which an epoch takes more than there are."""
    return np.concatenate([np.empty(0, dtype=np.int64), *(group.places for group in groups if group.n_taken > len(group.places))])


def _repeat_factors(settings: SamplingSettings, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(1.0, np.sqrt(settings.repeat_below / np.maximum(shares, 1e-12)))


def _places(group_of: NDArray[np.integer]) -> list[NDArray[np.int64]]:
    """The places of each group, in order, from the group (n,) of each place."""
    order = np.argsort(group_of, kind="stable")
    return np.split(order, np.cumsum(np.bincount(group_of))[:-1])


def _dealt(n: int, shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """`n` in whole parts as near as can be to `shares`: what is left over goes to the largest remainders."""
    exact = n * shares / shares.sum()
    parts = np.floor(exact).astype(np.int64)
    parts[np.argsort(parts - exact, kind="stable")[: n - parts.sum()]] += 1
    return parts
