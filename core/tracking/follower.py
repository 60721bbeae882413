"""The worker's end of tracking: what the training thread says is put into a queue, and told to the sender's process from another thread.

Nothing in here waits for a tracker while a fold trains, and nothing that goes wrong here stops it.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import yaml

from core.analysis.compare import flatten_settings
from core.base.files import fingerprint
from core.specs.progress import EpochReport, Progress
from core.store.contests import Contest
from core.store.jobs import Job
from core.store.runs import Run
from core.tracking.notes import FoldNotes, Note, write_notes
from core.tracking.points import Begin, Points
from core.tracking.tracker import Outcome, TrackedFold
from core.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
FINISH_S = 60.0
"""How long trackers may take to deliver what a finished fold told them; the worker and its device do not wait for all of it."""
STOP_S = 4.0
"""How long they may take when the worker was told to stop, and how long a worker waits for them: less than its engine waits for it."""
MARGIN_S = 0.5

log = logging.getLogger(__name__)


class Follower:
    """Tells one attempt's reports to the trackers. `report` never blocks; `end` says how it ended, `close` waits for the trackers."""

    def __init__(self, fold: TrackedFold) -> None:
        self._fold = fold
        self._points = Points()
        self._is_done = False
        self._queue: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        self._thread.start()

    def report(self, said: Progress | EpochReport) -> None:
        """Take what the training says; called by the training thread at every step."""
        for item in self._points.take(said, time.time()):
            self._queue.put(
                {"begin": item.step, "known": [asdict(point) for point in item.known]} if isinstance(item, Begin) else asdict(item)
            )

    def end(self, outcome: Outcome) -> None:
        """Say how the attempt ended."""
        self._is_done = outcome == "done"
        self._queue.put({"end": outcome, "within_s": FINISH_S if self._is_done else STOP_S})

    def close(self) -> None:
        """Wait until the trackers have it all, for a few seconds; those of a finished fold then go on delivering by themselves."""
        self._queue.put(None)
        self._thread.join(STOP_S + 2 * MARGIN_S)

    def _run(self) -> None:
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "core.tracking.sender"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=sys.stderr,
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        except OSError as problem:
            self._say_failed(f"its process could not be started: {problem}")
            return
        try:
            with suppress(BrokenPipeError):
                self._tell(process, self._fold.to_dict())
                while (said := self._queue.get()) is not None:
                    self._tell(process, said)
            if process.stdin is not None:
                with suppress(BrokenPipeError):
                    process.stdin.close()
            code = process.wait(STOP_S + MARGIN_S)
            if code:
                self._say_failed(f"its process ended with code {code}; the log has more")
        except subprocess.TimeoutExpired:
            if self._is_done:
                log.info("the trackers of fold %d are still delivering, for up to %.0f s more", self._fold.fold, FINISH_S)
                return
            process.kill()
            process.wait()
            self._say_failed("its process did not end in time")

    def _tell(self, process: subprocess.Popen[bytes], said: dict[str, Any]) -> None:
        if process.stdin is not None:
            process.stdin.write(json.dumps(said).encode() + b"\n")
            process.stdin.flush()

    def _say_failed(self, problem: str) -> None:
        log.warning("nothing more of fold %d is tracked: %s", self._fold.fold, problem)
        notes = tuple(Note(name, "failed", problem=problem) for name in dict.fromkeys(("tensorboard", *self._fold.trackers)))
        try:
            write_notes(Path(self._fold.notes_path), FoldNotes(self._fold.fold, self._fold.token, notes))
        except OSError as trouble:
            log.warning("what became of the trackers could not be kept: %s", trouble)


def tracked_fold(workspace: Workspace, contest: Contest, run: Run, fold: int, token: int, started_at: float) -> TrackedFold:
    """One attempt in the words of the trackers."""
    notes = workspace.tracking_dir(run.id) / f"fold-{fold}.json"
    return TrackedFold(
        root=str(workspace.root),
        contest=contest.name,
        run=run.name,
        ref=run.ref,
        fold=fold,
        token=token,
        started_at=started_at,
        key=fingerprint([contest.fingerprint, contest.created_at, run.id, run.created_at, fold]),
        events_dir=str(workspace.run_events_dir(contest.name, run.name, run.id) / f"fold-{fold}"),
        notes_path=str(notes),
        points_path=str(notes.with_name(f"fold-{fold}.points.jsonl")),
        trackers=run.recipe.tracking.trackers,
        project=run.recipe.tracking.project,
        recipe=yaml.safe_dump(run.recipe.to_dict(), sort_keys=False, allow_unicode=True).rstrip(),
        settings=flatten_settings(run.recipe),
    )


def follow(workspace: Workspace, contest: Contest, run: Run, job: Job) -> Follower:
    """Begin to follow an attempt at a job."""
    return Follower(tracked_fold(workspace, contest, run, job.fold, job.token, job.started_at or time.time()))
