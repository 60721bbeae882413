"""The process that feeds one tracker of a fold: `python -m core.tracking.sender`, one for each that the recipe names, beside the worker.

A library of a tracker may be slow, hang, crash, or draw from the random generators that training draws from: nothing of that
reaches the worker or another tracker. The points are read from the fold's event file as it grows. Tokens come with the environment. The first
line of standard input is the task, the second how the attempt ended; where it ends without that, the worker is gone.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

from core.base.errors import PitwallError
from core.base.messages import msg
from core.tracking.recorder import STOP_S
from core.tracking.tensorboard import EventReader
from core.tracking.tracker import FoldNotes, Note, Opener, Outcome, TrackedFold, opener, without_tokens, write_notes

POLL_S = 0.5
FINISH_S = 60.0
"""How long a tracker may take to deliver what a finished fold left to deliver; its worker waits for a part of that only."""

log = logging.getLogger("core.tracking")


def deliver(stream: BinaryIO, find: Callable[[str], Opener] = opener, give_up: Callable[[], object] = lambda: os._exit(0)) -> None:
    """Do the task on the stream's first line: bring every point of the event file to the tracker, until its second line or its end.

    A tracker that is late then has failed; `give_up` ends the process, whatever its library still does.
    """
    task = json.loads(stream.readline())
    fold, name = TrackedFold.model_validate(task["fold"]), str(task["tracker"])
    path = fold.notes_of(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the process of an attempt that was killed may still be ending
        _deliver(stream, fold, name, EventReader(Path(task["file"])), task["record"], find, give_up)


def _deliver(
    stream: BinaryIO,
    fold: TrackedFold,
    name: str,
    events: EventReader,
    record: str,
    find: Callable[[str], Opener],
    give_up: Callable[[], object],
) -> None:
    ended, delivered = threading.Event(), threading.Event()
    outcomes: list[Outcome] = []
    note = Note(name)

    def keep(now: Note) -> Note:
        write_notes(fold.notes_of(name), FoldNotes(fold.fold, fold.token, (now,)))
        return now

    def fail(problem: str, fix: str) -> None:
        clean = without_tokens(problem).strip().split("\n")[0][:200]
        text = problem if problem == clean else clean  # a sentence of ours keeps its template
        log.warning("%s records no more of fold %d: %s", note.title, fold.fold, text)
        keep(replace(note, state="failed", problem=text, fix=fix))

    def watch() -> None:
        outcomes.append(cast(Outcome, stream.readline().decode().strip() or "stopped"))
        ended.set()
        if not delivered.wait(FINISH_S if outcomes[0] == "done" else STOP_S):
            fail("it did not end in time; what it was told last may be missing", "see whether its server answers")
            give_up()

    threading.Thread(target=watch, name="listener", daemon=True).start()
    keep(note)
    try:
        tracker = find(name)(fold, events.points(), record)
        note = keep(replace(note, place=without_tokens(tracker.place), command=tracker.command))
        is_over = False
        while not is_over:
            is_over = ended.wait(POLL_S)
            if points := events.points():
                tracker.log(points)
        tracker.close(outcomes[0])
        delivered.set()
        keep(replace(note, state="closed"))
    except (Exception, SystemExit) as problem:  # whatever a foreign library throws: the training goes on, and this tracker does not
        delivered.set()
        is_ours = isinstance(problem, PitwallError)
        log.warning("%s met an error", note.title, exc_info=not is_ours)
        fail(*((problem.what, problem.fix) if is_ours else (msg("{name}: {detail}", name=type(problem).__name__, detail=problem), "")))


class _WithoutTokens(logging.Formatter):
    """Log lines as they may be kept, those of the trackers' own libraries included."""

    def format(self, record: logging.LogRecord) -> str:
        return without_tokens(super().format(record))


if __name__ == "__main__":
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_WithoutTokens("%(asctime)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    deliver(sys.stdin.buffer)
    logging.shutdown()
    sys.stderr.flush()
    # A tracker may have threads that never end.
    os._exit(0)
