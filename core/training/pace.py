"""How fast a fold goes and when it will end, from the steps of the last moments."""

from __future__ import annotations

import time
from collections import deque

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
