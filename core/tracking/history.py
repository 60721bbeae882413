"""The points of a fold over all its attempts, each step once: one JSON line per point, in a file of our own.

Trackers are filled from it when an attempt goes on where an earlier one was killed, so that no line is drawn back and forth.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from core.tracking.tracker import Point

log = logging.getLogger(__name__)


def read_points(path: Path) -> tuple[Point, ...]:
    """All points, in order; a last line that a kill cut short is left out, and what follows a damaged one. No file is no points."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last line's end is empty, or not whole
    except FileNotFoundError:
        return ()
    points: list[Point] = []
    for number, line in enumerate(lines, start=1):
        try:
            points.append(point_of(line))
        except (ValueError, TypeError) as problem:
            log.warning("%s is damaged at line %d (%s): the points before it are used", path, number, problem)
            break
    return tuple(points)


def point_of(line: bytes | str) -> Point:
    """The inverse of `line_of`."""
    step, at, values = json.loads(line)
    return Point(step, at, values)


def line_of(point: Point) -> bytes:
    """A point as one line."""
    return json.dumps([point.step, point.at, dict(point.values)]).encode() + b"\n"


def write_points(path: Path, points: Iterable[Point]) -> None:
    """Replace the file by these points, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    aside.write_bytes(b"".join(map(line_of, points)))
    aside.replace(path)


class History:
    """The file, open for the points of one attempt."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: IO[bytes] | None = None

    def begin(self, step: int, known: Sequence[Point]) -> tuple[Point, ...]:
        """Forget what was told of this step and later ones; returns what is left.

        The epochs before it are `known`, also those that a kill kept out of the file; they keep the time at which they were first told.
        """
        before = [point for point in read_points(self._path) if point.step < step]
        first_told = {point.step: point.at for point in before if point.is_epoch}
        epochs = [replace(point, at=first_told.get(point.step, point.at)) for point in known]
        kept = tuple(sorted([*(point for point in before if not point.is_epoch), *epochs], key=lambda point: (point.step, point.is_epoch)))
        write_points(self._path, kept)
        self._stream = self._path.open("ab")
        return kept

    def add(self, points: Sequence[Point]) -> None:
        """Add points; they are with the system when this returns, so that a kill loses none."""
        if self._stream is not None:
            self._stream.write(b"".join(map(line_of, points)))
            self._stream.flush()

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
