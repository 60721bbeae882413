"""The process that tells the trackers of one fold: `python -m core.tracking.sender`, with what there is to tell on standard input.

A library of a tracker may be slow, hang, crash, or draw from the random generators that training draws from: nothing of that
reaches the worker. Tokens come with the environment. It ends by itself when the worker says so, or is gone.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any, cast

from core.base.errors import PitwallError
from core.tracking.choice import opener, without_tokens
from core.tracking.history import History
from core.tracking.notes import FoldNotes, Note, write_notes
from core.tracking.tracker import Opener, Outcome, Point, TrackedFold, Tracker

ORPHAN_S = 5.0
"""How long the trackers may take to end when the worker is gone without a word."""

log = logging.getLogger("core.tracking")
Begin = tuple[Sequence[Point], str]


class Channel:
    """One tracker and the thread that talks to it; it fails alone."""

    def __init__(self, name: str, fold: TrackedFold, on_note: Callable[[Note], None], find: Callable[[str], Opener] = opener) -> None:
        self.note = Note(name)
        self._fold, self._on_note, self._find = fold, on_note, find
        self._queue: SimpleQueue[Begin | Point | Outcome] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Bring its library up."""
        self._thread.start()

    def begin(self, history: Sequence[Point], record: str) -> None:
        """Open the tracker with these points."""
        self._queue.put((history, record))

    def add(self, point: Point) -> None:
        """Tell it a point, some time soon."""
        self._queue.put(point)

    def end(self, outcome: Outcome) -> None:
        """Have it end when all was told."""
        self._queue.put(outcome)

    def wait(self, until: float) -> None:
        """Wait for its end, up to a moment of the monotonic clock; a tracker that is late has failed."""
        self._thread.join(max(0.0, until - time.monotonic()))
        if self._thread.is_alive():
            self._fail("it did not end in time; what it was told last may be missing", "see whether its server answers")

    def _run(self) -> None:
        tracker: Tracker | None = None
        points: list[Point] = []
        try:
            open_tracker = self._find(self.note.tracker)  # its library takes seconds to come up, like the worker's
            while True:
                said = self._queue.get()
                if isinstance(said, tuple):
                    tracker = open_tracker(self._fold, *said)
                    self._say(replace(self.note, state="open", place=without_tokens(tracker.place), command=tracker.command))
                    continue
                if isinstance(said, Point):
                    points.append(said)
                    if not self._queue.empty():  # a tracker that is slow is told many at once
                        continue
                if tracker is not None and points:
                    tracker.log(points)
                points = []
                if isinstance(said, str):
                    if tracker is not None:
                        tracker.close(said)
                        self._say(replace(self.note, state="closed"))
                    return
        except (Exception, SystemExit) as problem:  # whatever a foreign library throws: the training goes on, and this tracker does not
            is_ours = isinstance(problem, PitwallError)
            log.warning("%s met an error", self.note.title, exc_info=not is_ours)
            self._fail(*((problem.what, problem.fix) if is_ours else (f"{type(problem).__name__}: {problem}", "")))

    def _fail(self, problem: str, fix: str) -> None:
        text = without_tokens(problem).strip().split("\n")[0][:200]
        log.warning("%s records no more of fold %d: %s", self.note.title, self._fold.fold, text)
        self._say(replace(self.note, state="failed", problem=text, fix=fix))

    def _say(self, note: Note) -> None:
        self.note = note
        self._on_note(note)


class Sender:
    """All trackers of one fold, and the points they are told."""

    def __init__(self, fold: TrackedFold, find: Callable[[str], Opener] = opener) -> None:
        self._fold = fold
        self._notes_path = Path(fold.notes_path)
        self._history = History(Path(fold.points_path), fold.token)
        self._last = 0
        self._guard = threading.Lock()
        self._channels = [Channel(name, fold, self._keep, find) for name in dict.fromkeys(("tensorboard", *fold.trackers))]
        for channel in self._channels:
            channel.start()

    def begin(self, step: int, known: Sequence[Point]) -> None:
        """The attempt begins at this step, after the epochs that are known: what was told of it and of later ones is void."""
        if not self._history.wait(2 * ORPHAN_S):
            log.warning("an earlier attempt at fold %d is still telling the trackers; it is passed over", self._fold.fold)
        told = self._history.begin(step, known)
        self._last = told.points[-1].step if told.points else 0
        for channel in self._channels:
            channel.begin(told.points, f"{self._fold.key[:16]}-{told.began}")

    def add(self, point: Point) -> None:
        """Tell all trackers a point."""
        if point.step >= self._last:
            self._last = point.step
            self._history.add(point)
            for channel in self._channels:
                channel.add(point)

    def end(self, outcome: Outcome, within_s: float) -> None:
        """End all trackers; those that take longer than this are given up."""
        for channel in self._channels:
            channel.end(outcome)
        until = time.monotonic() + within_s
        for channel in self._channels:
            channel.wait(until)
        self._history.close()

    def _keep(self, _: Note) -> None:
        with self._guard:
            try:
                write_notes(
                    self._notes_path, FoldNotes(self._fold.fold, self._fold.token, tuple(channel.note for channel in self._channels))
                )
            except OSError as problem:
                log.warning("what became of the trackers could not be kept: %s", problem)


def listen(lines: Iterable[bytes], find: Callable[[str], Opener] = opener) -> None:
    """Do what the lines say: first the fold, then where it begins, points, and how it ended."""
    rest = iter(lines)
    fold = TrackedFold.from_dict(json.loads(next(rest)))
    sender = Sender(fold, find)
    for line in rest:
        said = cast("dict[str, Any]", json.loads(line))
        if "begin" in said:
            sender.begin(said["begin"], [Point(**point) for point in said["known"]])
        elif "end" in said:
            sender.end(said["end"], said["within_s"])
            return
        else:
            sender.add(Point(**said))
    sender.end("stopped", ORPHAN_S)


class _WithoutTokens(logging.Formatter):
    """Log lines as they may be kept, those of the trackers' own libraries included."""

    def format(self, record: logging.LogRecord) -> str:
        return without_tokens(super().format(record))


def main() -> None:
    """Listen to standard input."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_WithoutTokens("%(asctime)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    listen(sys.stdin.buffer)


if __name__ == "__main__":
    main()
    logging.shutdown()
    sys.stderr.flush()
    # A tracker that was given up may have threads that never end.
    os._exit(0)
