"""Randomness is a function of what it belongs to, in every process."""

from __future__ import annotations

import random

import numpy as np
import torch

from core.data.randomness import derive, permutation, seed_network, seed_sample, seed_step


def test_a_derived_number_depends_on_every_part_and_never_changes() -> None:
    numbers = [derive(0), derive(1), derive(0, "a"), derive(0, "b"), derive(0, "a", 1), derive(0, "a", 11), derive(0, "a", 1, 1)]
    assert len(set(numbers)) == len(numbers)
    assert all(0 <= number < 2**63 for number in numbers)
    assert derive(7, "order", 1, 2) == 627952179516316814


def test_each_epoch_and_fold_has_an_order_of_its_own_over_all_rows() -> None:
    orders = [tuple(permutation(seed, fold, epoch, 50)) for seed in (0, 1) for fold in (0, 1) for epoch in (1, 2)]
    assert len(set(orders)) == len(orders)
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert np.array_equal(permutation(0, 0, 1, 50), permutation(0, 0, 1, 50))


def test_a_step_draws_the_same_whatever_was_drawn_before() -> None:
    def drawn(fold: int, epoch: int, step: int) -> float:
        seed_step(0, fold, epoch, step)
        return torch.rand(1).item()

    first = drawn(0, 1, 1)
    torch.rand(100)
    assert drawn(0, 1, 1) == first
    assert len({drawn(fold, epoch, step) for fold in (0, 1) for epoch in (1, 2) for step in (1, 2)}) == 8


def test_a_sample_seeds_all_three_generators() -> None:
    def drawn(row: int) -> tuple[float, float, float]:
        seed_sample(0, 0, 1, row)
        return torch.rand(1).item(), float(np.random.rand()), random.random()

    assert drawn(3) == drawn(3)
    assert all(a != b for a, b in zip(drawn(3), drawn(4), strict=True))


def test_a_network_is_born_equal_for_the_same_seed_and_fold() -> None:
    def born(seed: int, fold: int) -> torch.Tensor:
        seed_network(seed, fold)
        return torch.nn.Linear(4, 4).weight.detach()

    assert torch.equal(born(0, 0), born(0, 0))
    assert not torch.equal(born(0, 0), born(0, 1))
