"""What a fold reports becomes points in its event file, and a process for each tracker that the recipe names reads them from there.

That process is `python -m core.tracking.recorder`, beside the worker: a library of a tracker may be slow, hang, crash, or draw from the
random generators that training draws from, and nothing of that reaches the worker or another tracker. Tokens come with the environment.
The first line of standard input is the task, the second how the attempt ended; where it ends without that, the worker is gone.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np
import yaml
from numpy.typing import NDArray

from core.base.errors import PitwallError
from core.base.files import fingerprint
from core.base.messages import msg
from core.base.secrets import mask_output, without_tokens
from core.specs.progress import EpochReport, Progress
from core.specs.recipe import flatten_settings
from core.store.contests import Contest
from core.store.jobs import FoldJob
from core.store.runs import EpochRow, Run
from core.tracking.tracker import (
    EPOCH,
    FoldNotes,
    Note,
    Opener,
    Outcome,
    Point,
    TrackedFold,
    notes_path,
    opener,
    write_notes,
)
from core.workspace import Workspace

if TYPE_CHECKING:
    from core.tracking.tensorboard import EventFile, EventReader

ROOT = Path(__file__).resolve().parents[2]
MAX_STEPS = 1000
"""About how many losses of single steps are kept of a fold."""
STOP_S = 4.0
"""How long a worker waits for its trackers: less than its engine waits for it."""
MARGIN_S = 0.5
POLL_S = 0.5
FINISH_S = 60.0
"""How long a tracker may take to deliver what a finished fold left to deliver; its worker waits for a part of that only."""

log = logging.getLogger("core.tracking")


@dataclass(frozen=True)
class Begin:
    """Where an attempt begins: what an earlier one recorded of this step or later ones is void. `known` are the epochs before it."""

    step: int
    known: tuple[Point, ...]


class Points:
    """Reports of one attempt in, points out. One that goes on from a checkpoint reports the finished epochs again first."""

    def __init__(self) -> None:
        self._n_steps = 0
        self._known: list[tuple[EpochReport, float]] = []

    def take(self, report: Progress | EpochReport, at: float) -> tuple[Begin | Point, ...]:
        """What one report adds; most add nothing."""
        if isinstance(report, EpochReport):
            if self._n_steps:
                return (self._of_epoch(report, at),)
            self._known.append((report, at))
            return ()
        if report.phase in ("starting", "loading", "caching", "saving") or not report.epoch or not report.n_steps:
            return ()
        is_training = report.phase == "training"
        step = (report.epoch - 1) * report.n_steps + report.step if is_training else report.epoch * report.n_steps
        begun = () if self._n_steps else (self._begin(step if is_training else step + 1, report.n_steps),)
        stride = -(-report.n_epochs * report.n_steps // MAX_STEPS)
        if is_training and report.train_loss is not None and (step == 1 or step % stride == 0):
            return (*begun, Point(step, at, {"loss/train_step": report.train_loss}))
        return begun

    def _begin(self, step: int, n_steps: int) -> Begin:
        self._n_steps = n_steps
        return Begin(step, tuple(self._of_epoch(report, at) for report, at in self._known))

    def _of_epoch(self, report: EpochReport, at: float) -> Point:
        return Point(report.epoch * self._n_steps, at, epoch_values(report))


def epoch_values(report: EpochReport | EpochRow) -> Mapping[str, float]:
    """The values of one epoch by the names under which they are drawn."""
    scores = {f"score/{name}": score for name, score in report.scores.items()}
    training = {} if report.train_accuracy is None else {"train/accuracy": report.train_accuracy}
    losses = {"loss/train": report.train_loss, "loss/valid": report.valid_loss}
    return {**losses, **scores, **training, "train/lr": report.lr, "train/epoch_s": report.elapsed_s, EPOCH: float(report.epoch)}


class Recorder:
    """Records one attempt in a thread of its own: neither training nor the sign of life to the store waits for a library or a disk."""

    def __init__(self, fold: TrackedFold) -> None:
        self._fold = fold
        self._points = Points()
        self._queue: SimpleQueue[Begin | Point | Outcome] = SimpleQueue()
        self._file: EventFile | None = None
        self._senders: dict[str, subprocess.Popen[bytes]] = {}
        self.images: Sequence[NDArray[np.uint8]] = ()
        """Some training images (height, width, 3) as the network sees them; to be given before the first step is reported."""
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def take(self, report: Progress | EpochReport) -> None:
        """Take what the training thread reports at every step; never blocks."""
        for item in self._points.take(report, time.time()):
            self._queue.put(item)

    def end(self, outcome: Outcome) -> None:
        """Write the rest, and wait for the trackers for a few seconds; those of a finished fold then go on delivering by themselves."""
        self._queue.put(outcome)
        self._thread.join(STOP_S + 2 * MARGIN_S)

    def _run(self) -> None:
        outcome = self._record()
        if self._file is not None:
            self._file.close()
        self._end_senders(outcome)

    def _record(self) -> Outcome:
        """Write points until the attempt ends; a failure ends the recording of it."""
        try:
            while not isinstance(item := self._queue.get(), str):
                if isinstance(item, Begin):
                    self._open(item)
                elif self._file is not None:
                    self._file.add([item])
            return item
        except Exception as problem:  # training goes on without its curves, whatever it was
            log.warning("recording met an error", exc_info=not isinstance(problem, OSError))
            self._note("tensorboard", msg("its event file cannot be written: {problem}", problem=problem))
            return "stopped"

    def _end_senders(self, outcome: Outcome) -> None:
        for sender in self._senders.values():
            _tell(sender, outcome)
            assert sender.stdin is not None
            with suppress(BrokenPipeError):
                sender.stdin.close()
        until = time.monotonic() + STOP_S + MARGIN_S
        for name, sender in self._senders.items():
            try:
                if code := sender.wait(max(0.0, until - time.monotonic())):
                    self._note(name, msg("its process ended with code {code}; the log has more", code=code))
            except subprocess.TimeoutExpired:
                if outcome == "done":
                    log.info("%s of fold %d is still delivering", name, self._fold.fold)
                    continue
                sender.kill()
                sender.wait()
                self._note(name, "its process did not end in time")

    def _open(self, begin: Begin) -> None:
        # Imported here, in this thread: its library takes half a second to come up.
        from core.tracking.tensorboard import EventFile

        self._file = EventFile(self._fold, begin.step, begin.known, self.images)
        for name in ("", "tensorboard"):
            notes_path(Path(self._fold.tracking_dir), self._fold.fold, name).unlink(missing_ok=True)
        for name in dict.fromkeys(self._fold.trackers):
            self._start_sender(name, self._file)

    def _start_sender(self, name: str, file: EventFile) -> None:
        record = f"{self._fold.key[:16]}-{file.began}"
        task = {"tracker": name, "fold": self._fold.model_dump(), "file": str(file.path), "record": record}
        try:
            self._senders[name] = subprocess.Popen(
                [sys.executable, "-m", "core.tracking.recorder"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=sys.stderr,
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        except OSError as problem:
            self._note(name, msg("its process could not be started: {problem}", problem=problem))
            return
        _tell(self._senders[name], json.dumps(task))

    def _note(self, tracker: str, problem: str) -> None:
        log.warning("%s of fold %d: %s", tracker, self._fold.fold, problem)
        note = Note(tracker, "failed", problem=problem)
        write_notes(self._fold.notes_of(tracker), FoldNotes(self._fold.fold, self._fold.token, (note,)))


def _tell(sender: subprocess.Popen[bytes], line: str) -> None:
    assert sender.stdin is not None
    with suppress(BrokenPipeError):
        sender.stdin.write(f"{line}\n".encode())
        sender.stdin.flush()


def tracked_fold(workspace: Workspace, contest: Contest, run: Run, fold: int, token: int, started_at: float) -> TrackedFold:
    return TrackedFold(
        root=str(workspace.root),
        contest=contest.name,
        run=run.name,
        ref=run.ref,
        fold=fold,
        token=token,
        started_at=started_at,
        key=fingerprint([contest.fingerprint, contest.created_at, run.id, run.created_at, fold]),
        events_dir=str(workspace.run_events_dir(contest.folder, run.name, run.id) / f"fold-{fold}"),
        tracking_dir=str(workspace.tracking_dir(run.id)),
        trackers=run.recipe.tracking.trackers,
        project=run.recipe.tracking.project,
        recipe=yaml.safe_dump(run.recipe.to_dict(), sort_keys=False, allow_unicode=True).rstrip(),
        settings=flatten_settings(run.recipe),
    )


def record(workspace: Workspace, contest: Contest, run: Run, job: FoldJob) -> Recorder:
    return Recorder(tracked_fold(workspace, contest, run, job.fold, job.token, job.started_at or time.time()))


def deliver(stream: BinaryIO, find: Callable[[str], Opener] = opener, give_up: Callable[[], object] = lambda: os._exit(0)) -> None:
    """Do the task on the stream's first line: bring every point of the event file to the tracker, until its second line or its end.

    A tracker that is late then has failed; `give_up` ends the process, whatever its library still does.
    """
    from core.tracking.tensorboard import EventReader

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


if __name__ == "__main__":
    mask_output(silence_others=True)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(message)s")
    deliver(sys.stdin.buffer)
    logging.shutdown()
    sys.stderr.close()
    # A tracker may have threads that never end.
    os._exit(0)
