"""All randomness of a run, derived from its seed instead of carried along.

So a fold can resume at any step, and the number of loader workers changes nothing: whoever draws the sample of an epoch
draws the same.
"""

import hashlib
import random

import numpy as np
import torch
from numpy.typing import NDArray


def derive(seed: int, *parts: int | str) -> int:
    """A 63-bit number that depends on all of its arguments; equal on every machine and in every process."""
    text = "/".join(str(part) for part in (seed, *parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1


def permutation(seed: int, fold: int, epoch: int, n: int) -> NDArray[np.int64]:
    """The order of the n training rows in one epoch."""
    return np.random.default_rng(derive(seed, "order", fold, epoch)).permutation(n)


def seed_network(seed: int, fold: int) -> None:
    """Before a network is built: what it draws for its fresh layers."""
    torch.manual_seed(derive(seed, "network", fold))


def seed_step(seed: int, fold: int, epoch: int, step: int, part: int = 0) -> None:
    """Before a micro-batch of a training step: what dropout and stochastic depth draw, on every device."""
    torch.manual_seed(derive(seed, "step", fold, epoch, step, part))


def seed_mix(seed: int, fold: int, epoch: int, step: int) -> None:
    """Before the rows of a step are mixed with each other: torch's generator of the CPU."""
    torch.default_generator.manual_seed(derive(seed, "mix", fold, epoch, step))


def seed_sample(seed: int, fold: int, epoch: int, row: int, repeat: int = 0, *, torch_only: bool = False) -> None:
    """Before one sample is augmented, in whichever process: torch's generator, and unless it is `torch_only` NumPy's and Python's, whose seeding takes
    eight times as long. An epoch may take a row repeatedly."""
    value = derive(seed, "sample", fold, epoch, row, *([repeat] if repeat else []))
    torch.default_generator.manual_seed(value)  # the CPU's alone: torch.manual_seed costs 70 us a sample
    if torch_only:
        return
    np.random.seed(value % 2**32)
    random.seed(value)
