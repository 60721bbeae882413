"""How long a fold takes and what it needs: as a dry run measured it (Costs), and as it goes (Pace). Imports no torch: pages show it."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

EVALUATION_COST = 0.4  # a row that is only predicted costs about this share of a row that is trained on
WINDOW = 40


class Pace:
    """Counts rows against all the rows of a fold: training rows as one, predicted rows as EVALUATION_COST."""

    def __init__(self, n_train_rows: int, n_predicted_rows: int) -> None:
        self._left = n_train_rows + EVALUATION_COST * n_predicted_rows
        self._steps: deque[tuple[float, int, float]] = deque(maxlen=WINDOW)
        self._last = time.monotonic()

    def start(self) -> None:
        """Forget the time since the last step, after something that is not a step."""
        self._last = time.monotonic()

    def did(self, rows: int, *, training: bool) -> None:
        """Count one finished step."""
        now = time.monotonic()
        work = rows if training else EVALUATION_COST * rows
        self._steps.append((now - self._last, rows, work))
        self._last = now
        self._left = max(0.0, self._left - work)

    def drop(self, n_train_rows: int, n_predicted_rows: int) -> None:
        """Rows that will not be done after all, because training stopped early."""
        self._left = max(0.0, self._left - n_train_rows - EVALUATION_COST * n_predicted_rows)

    @property
    def rows_per_s(self) -> float | None:
        """Rows a second over the last steps; None before the second step, since the first one also warms up."""
        return self._rate(1)

    @property
    def eta_s(self) -> float | None:
        """Seconds until the fold ends at this pace."""
        rate = self._rate(2)
        return None if not rate else self._left / rate

    def _rate(self, column: int) -> float | None:
        if len(self._steps) < 2:
            return None
        steps = list(self._steps)[1:]
        seconds = sum(step[0] for step in steps)
        return sum(step[column] for step in steps) / seconds if seconds > 0 else None


@dataclass(frozen=True)
class Costs:
    """The figures of a few real steps on a device.

    `peak_bytes` is the most memory the fold takes: of the device, or of its process on the processor (`above_start_bytes` of it were
    not there before the network was built; `loaders_bytes` more are in loader processes). `free_bytes` were free before.

    `step_s` is the mean of `n_timed` steps after the first ones; `train_row_s` and `valid_row_s` are seconds per row, `score_s`
    those of scoring all validation rows, `setup_s` those of building everything. `others` is the share of the processor (0 to 1)
    that other programs used meanwhile.

    `checkpoint_bytes` and `weights_bytes` are what a checkpoint and the published weights hold. `halvings` of the micro-batch were
    needed because memory ran out.
    """

    precision: str
    precision_reason: str
    n_params: int
    weights: str
    batch_size: int
    micro_batch: int
    halvings: int
    peak_bytes: int
    above_start_bytes: int
    loaders_bytes: int
    free_bytes: int
    total_bytes: int
    n_timed: int
    step_s: float
    train_row_s: float
    valid_row_s: float
    score_s: float
    setup_s: float
    others: float | None
    checkpoint_bytes: int
    weights_bytes: int

    def epoch_s(self, n_train: int, n_valid: int) -> float:
        """Seconds of an epoch over so many rows, with its validation."""
        return n_train * self.train_row_s + n_valid * self.valid_row_s + self.score_s

    def fold_s(self, n_train: int, n_valid: int, n_test: int, n_epochs: int) -> float:
        """Seconds of a fold that trains all its epochs: building, epochs, and the predictions of its best weights."""
        last = (n_valid + n_test) * self.valid_row_s + self.score_s
        return self.setup_s + n_epochs * self.epoch_s(n_train, n_valid) + last
