"""What a worker says while it trains, written by a thread of its own: training never waits for the database, nor dies of it."""

import logging
import threading
import time

from core.base.errors import PitwallError
from core.specs.progress import EpochReport, Progress
from core.store.attempts import renew
from core.store.database import Store
from core.store.jobs import Job
from core.store.runs import EpochRow
from core.tracking.recorder import Recorder
from core.tracking.tracker import Outcome

TICK_S = 0.5
HEARTBEAT_S = 5.0
BUSY_TIMEOUT_S = 0.25

log = logging.getLogger(__name__)


class Reporter:
    """Takes reports from the training thread (never blocks) and writes the newest; `lost` is set when the claim is not ours any more."""

    def __init__(self, store: Store, job: Job) -> None:
        self.lost = threading.Event()
        self._store = Store(store.url, busy_timeout_s=BUSY_TIMEOUT_S)
        self._job = job
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._epochs: list[EpochRow] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="reporter", daemon=True)
        self.recorder: Recorder | None = None
        """What records the same for TensorBoard and the trackers."""

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def report(self, said: Progress | EpochReport) -> None:
        """Keep what is to be written: of progress only the newest, of epochs every one."""
        if isinstance(said, EpochReport):
            log.info(
                "epoch %d/%d: train loss %.4f, valid loss %.4f, %s, %.1f s",
                *(said.epoch, said.n_epochs, said.train_loss, said.valid_loss),
                ", ".join(f"{name} {score:.4f}" for name, score in said.scores.items()),
                said.elapsed_s,
            )
        with self._lock:
            if isinstance(said, Progress):
                self._progress = said
            else:
                self._epochs.append(self._row(said))
        if self.recorder is not None:
            self.recorder.take(said)

    def close(self) -> None:
        """Write what is left, once and without waiting long, and stop; what could not be written is in `unwritten`."""
        self._closing.set()
        self._thread.join()
        self._store.close()

    def end_tracking(self, outcome: Outcome) -> None:
        """Tell the trackers how it ended, and wait for them, for seconds at most."""
        if self.recorder is not None:
            self.recorder.end(outcome)

    @property
    def unwritten(self) -> tuple[EpochRow, ...]:
        """Epochs that are not in the database yet."""
        with self._lock:
            return tuple(self._epochs)

    def _loop(self) -> None:
        written_at = float("-inf")
        while not self._closing.wait(TICK_S) and not self.lost.is_set():
            if (self._has_news() or time.monotonic() - written_at >= HEARTBEAT_S) and self._write():
                written_at = time.monotonic()
        if self._has_news() and not self.lost.is_set():
            self._write()

    def _has_news(self) -> bool:
        with self._lock:
            return self._progress is not None or bool(self._epochs)

    def _write(self) -> bool:
        with self._lock:
            progress, epochs = self._progress, list(self._epochs)
        try:
            valid = renew(self._store, self._job.id, self._job.token, now=time.time(), progress=progress, epochs=epochs)
        except PitwallError as problem:
            log.warning("progress was not written: %s", problem)
            return False
        if not valid:
            self.lost.set()
        with self._lock:
            del self._epochs[: len(epochs)]
            if self._progress is progress:
                self._progress = None
        return True

    def _row(self, said: EpochReport) -> EpochRow:
        if self._job.run_id is None:
            raise TypeError("only the jobs of a run have epochs")
        values = {name: value for name, value in vars(said).items() if name != "n_epochs"}
        return EpochRow(run_id=self._job.run_id, token=self._job.token, **values)
