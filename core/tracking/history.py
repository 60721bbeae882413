"""The points of a fold over all its attempts, each step once, in a file of our own: one JSON line each.

Trackers are filled from it when an attempt goes on where an earlier one was killed, so that no line is drawn back and forth.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO

from core.tracking.tracker import Point

WAIT_S = 0.1

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Told:
    """What was told of a fold so far. `began` is the token of the attempt that began anew; later ones went on from it."""

    began: int
    points: tuple[Point, ...]


def read_told(path: Path) -> Told | None:
    """What is in the file; a last line that a kill cut short is left out, and what follows a damaged one. None: there is none."""
    try:
        head, *lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last line's end is empty, or not whole
        began = json.loads(head)["began"]
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as problem:
        log.warning("%s is damaged at its head (%s) and not used", path, problem)
        return None
    points: list[Point] = []
    for number, line in enumerate(lines, start=2):
        try:
            points.append(Point(**json.loads(line)))
        except (ValueError, TypeError) as problem:
            log.warning("%s is damaged at line %d (%s): the points before it are used", path, number, problem)
            break
    return Told(began, tuple(points))


def write_told(path: Path, told: Told) -> None:
    """Replace the file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    aside.write_bytes(b"".join([json.dumps({"began": told.began}).encode() + b"\n", *map(_line, told.points)]))
    aside.replace(path)


class History:
    """The file, open for the points of one attempt. Only one process at a time has a fold's."""

    def __init__(self, path: Path, token: int) -> None:
        self._path, self._token = path, token
        self._stream: IO[bytes] | None = None
        self._lock: IO[str] | None = None

    def wait(self, patience_s: float) -> bool:
        """Wait until an earlier attempt's process, which may still be ending, has let go; False when it did not in time."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = self._path.with_suffix(".lock").open("w")
        until = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if time.monotonic() > until:
                    return False
                time.sleep(WAIT_S)

    def begin(self, step: int, known: Sequence[Point]) -> Told:
        """Begin to tell at this step: what was told of it and of later ones is forgotten. Returns what is left.

        The epochs before it are `known`, also those that a kill kept out of the file; they keep the time at which they were first told.
        """
        told = read_told(self._path) if step > 1 else None
        before = [point for point in told.points if point.step < step] if told else []
        first_told = {point.step: point.at for point in before if point.is_epoch}
        epochs = [replace(point, at=first_told.get(point.step, point.at)) for point in known]
        kept = sorted([*(point for point in before if not point.is_epoch), *epochs], key=lambda point: (point.step, point.is_epoch))
        left = Told(told.began if told else self._token, tuple(kept))
        write_told(self._path, left)
        self._stream = self._path.open("ab")
        return left

    def add(self, point: Point) -> None:
        """Add a point; it is with the system when this returns, so that a kill does not lose it."""
        if self._stream is not None:
            self._stream.write(_line(point))
            self._stream.flush()

    def close(self) -> None:
        """Close the file, and let the fold go."""
        for stream in (self._stream, self._lock):
            if stream is not None:
                stream.close()
        self._stream = self._lock = None


def _line(point: Point) -> bytes:
    return json.dumps(asdict(point)).encode() + b"\n"
