"""Damages of a file as disks and interrupted copies make them, and how a reader's answer to one is judged."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.base.errors import PitwallError

PAGE = 4096
SMALL_PAGE = 512


def flip(raw: bytes, rng: random.Random) -> bytes:
    """One to eight bits of it the other way round."""
    damaged = bytearray(raw)
    for bit in {rng.randrange(8 * len(raw)) for _ in range(rng.choice((1, 1, 1, 2, 8)))}:
        damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def truncate(raw: bytes, rng: random.Random) -> bytes:
    """Only its beginning; sometimes nothing, sometimes all but the last byte."""
    return raw[: rng.choice((0, len(raw) - 1, rng.randrange(len(raw))))]


def zero_page(raw: bytes, rng: random.Random) -> bytes:
    """One aligned page of it as zeros."""
    size = PAGE if len(raw) > PAGE else SMALL_PAGE
    start = size * rng.randrange((len(raw) + size - 1) // size)
    return raw[:start] + bytes(len(raw[start : start + size])) + raw[start + size :]


DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {"flip": flip, "truncate": truncate, "zero page": zero_page}


@dataclass(frozen=True)
class Damaged:
    """A damage that was done: to which file, and how; `restore` puts the file back."""

    file: Path
    how: str
    raw: bytes

    def restore(self) -> None:
        """Bring back what was written."""
        self.file.write_bytes(self.raw)


def damage(file: Path, rng: random.Random) -> Damaged:
    """Damage a file in a random way; it is never the same as before afterwards."""
    raw = file.read_bytes()
    how = rng.choice(sorted(DAMAGES))
    damaged = DAMAGES[how](raw, rng)
    while damaged == raw:
        how, damaged = "flip", flip(raw, rng)
    file.write_bytes(damaged)
    return Damaged(file, how, raw)


def verdict(read: Callable[[], bytes], written: bytes, named: str) -> str:
    """What is wrong with a reader's answer to a damage, "" when nothing is.

    Right is a typed error whose text holds `named`, and right is exactly what was written (the damage was of a byte that says nothing).
    """
    try:
        found = read()
    except PitwallError as problem:
        return "" if named in str(problem) else f"{type(problem).__name__} does not name {named}: {problem}"
    except Exception as problem:  # noqa: BLE001  # whatever else is raised is what this looks for
        return f"{type(problem).__name__}: {problem}"
    return "" if found == written else "accepted in silence"
