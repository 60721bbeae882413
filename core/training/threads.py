"""How many threads a step computes with: one for each core that other programs leave."""

import os
import time
from collections.abc import Callable

import torch

from core.training.machine import ProcessorShare, own_cores

FIRST_LOOK_S, LOOK_S = 1.0, 10.0
"""How long other programs are watched before the number is chosen, at first and from then on."""


class Threads:
    """The threads that training computes with on the processor, followed while other programs come and go.

    A thread that shares its core with another program makes all others wait at each barrier: on two cores, beside one busy program, two
    threads trained EfficientNet-Lite0 at .4 of the pace of one (benchmarks/busy_cpu.py). So there are as many as the cores that others
    leave of those it may use, torch's own number at the most, and one at the least. Sums depend on the number, therefore it is told when it changes. It never does where OMP_NUM_THREADS is
    set, as for several slots on one processor, and where another device computes.
    """

    def __init__(
        self, device: torch.device, *, share: Callable[[], ProcessorShare] = ProcessorShare, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.most = torch.get_num_threads()
        self._is_fixed = device.type != "cpu" or "OMP_NUM_THREADS" in os.environ or self.most < 2
        self._new_share, self._clock = share, clock
        self._share, self._look_at = share(), clock() + FIRST_LOOK_S

    def follow(self) -> int | None:
        """Look at what others use, if it is time to; the number of threads from now on, None where it stays."""
        if self._is_fixed or self._clock() < self._look_at:
            return None
        others = self._share.of_others() or 0.0
        self._share, self._look_at = self._new_share(), self._clock() + LOOK_S
        n_cores = len(own_cores())
        n = max(1, min(self.most, n_cores - int(others * n_cores + 0.5)))
        if n == torch.get_num_threads():
            return None
        torch.set_num_threads(n)
        return n
