"""The process that feeds the trackers a recipe names: `python -m core.tracking.sender`, one for each fold, beside its worker.

A library of a tracker may be slow, hang, crash, or draw from the random generators that training draws from: nothing of that
reaches the worker. The points are read from the fold's event file as it grows. Tokens come with the environment. The first line of standard
input is the task, the second how the attempt ended; where it ends without that, the worker is gone.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO, cast

from core.base.errors import PitwallError
from core.base.messages import msg
from core.tracking.recorder import STOP_S
from core.tracking.tensorboard import EventReader
from core.tracking.tracker import FoldNotes, Note, Opener, Outcome, Point, TrackedFold, Tracker, opener, without_tokens, write_notes

POLL_S = 0.5
FINISH_S = 60.0
"""How long trackers may take to deliver what a finished fold left to deliver; its worker waits for a part of that only."""

log = logging.getLogger("core.tracking")
Find = Callable[[str], Opener]


class Channel:
    """One tracker and the thread that talks to it; it fails alone."""

    def __init__(
        self, name: str, fold: TrackedFold, history: Sequence[Point], record: str, on_note: Callable[[], None], find: Find
    ) -> None:
        self.note = Note(name)
        self._fold, self._history, self._record, self._on_note, self._find = fold, history, record, on_note, find
        self._queue: SimpleQueue[Sequence[Point] | Outcome] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def add(self, points: Sequence[Point]) -> None:
        """Give it points, some time soon."""
        self._queue.put(points)

    def end(self, outcome: Outcome) -> None:
        """Have it end when all was delivered."""
        self._queue.put(outcome)

    def wait(self, until: float) -> None:
        """Wait for its end, up to a moment of the monotonic clock; a tracker that is late has failed."""
        self._thread.join(max(0.0, until - time.monotonic()))
        if self._thread.is_alive():
            self._fail("it did not end in time; what it was told last may be missing", "see whether its server answers")

    def _run(self) -> None:
        try:
            tracker = self._find(self.note.tracker)(self._fold, self._history, self._record)
            self._set(replace(self.note, place=without_tokens(tracker.place), command=tracker.command))
            self._deliver(tracker)
        except (Exception, SystemExit) as problem:  # whatever a foreign library throws: the training goes on, and this tracker does not
            is_ours = isinstance(problem, PitwallError)
            log.warning("%s met an error", self.note.title, exc_info=not is_ours)
            self._fail(
                *((problem.what, problem.fix) if is_ours else (msg("{place}: {lacks}", place=type(problem).__name__, lacks=problem), ""))
            )

    def _deliver(self, tracker: Tracker) -> None:
        waiting: list[Point] = []
        while True:
            item = self._queue.get()
            if not isinstance(item, str):
                waiting += item
                if not self._queue.empty():  # a tracker that is slow gets many at once
                    continue
            if waiting:
                tracker.log(waiting)
                waiting = []
            if isinstance(item, str):
                tracker.close(item)
                self._set(replace(self.note, state="closed"))
                return

    def _fail(self, problem: str, fix: str) -> None:
        clean = without_tokens(problem).strip().split("\n")[0][:200]
        text = problem if problem == clean else clean  # a sentence of ours keeps its template
        log.warning("%s records no more of fold %d: %s", self.note.title, self._fold.fold, text)
        self._set(replace(self.note, state="failed", problem=text, fix=fix))

    def _set(self, note: Note) -> None:
        self.note = note
        self._on_note()


def deliver(stream: BinaryIO, find: Find = opener) -> None:
    """Do the task on the stream's first line: bring every point of the event file to the trackers, until its second line or its end."""
    task = json.loads(stream.readline())
    fold = TrackedFold.from_dict(task["fold"])
    notes_path = Path(fold.notes_path)
    notes_path.parent.mkdir(parents=True, exist_ok=True)
    with notes_path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the process of an attempt that was killed may still be ending
        _deliver(stream, fold, EventReader(Path(task["file"])), task["record"], notes_path, find)


def _deliver(stream: BinaryIO, fold: TrackedFold, events: EventReader, record: str, notes_path: Path, find: Find) -> None:
    ended, guard = threading.Event(), threading.Lock()
    outcomes: list[Outcome] = []
    channels: list[Channel] = []

    def listen() -> None:
        outcomes.append(cast(Outcome, stream.readline().decode().strip() or "stopped"))
        ended.set()

    def keep_notes() -> None:
        with guard:
            write_notes(notes_path, FoldNotes(fold.fold, fold.token, tuple(channel.note for channel in channels)))

    threading.Thread(target=listen, name="listener", daemon=True).start()
    history = events.points()
    channels += [Channel(name, fold, history, record, keep_notes, find) for name in dict.fromkeys(fold.trackers)]
    is_over = False
    while not is_over:
        is_over = ended.wait(POLL_S)
        points = events.points()
        for channel in channels if points else ():
            channel.add(points)
    (outcome,) = outcomes
    for channel in channels:
        channel.end(outcome)
    until = time.monotonic() + (FINISH_S if outcome == "done" else STOP_S)
    for channel in channels:
        channel.wait(until)


class _WithoutTokens(logging.Formatter):
    """Log lines as they may be kept, those of the trackers' own libraries included."""

    def format(self, record: logging.LogRecord) -> str:
        return without_tokens(super().format(record))


def main() -> None:
    """Do the task on standard input."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_WithoutTokens("%(asctime)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    deliver(sys.stdin.buffer)


if __name__ == "__main__":
    main()
    logging.shutdown()
    sys.stderr.flush()
    # A tracker that was given up may have threads that never end.
    os._exit(0)
