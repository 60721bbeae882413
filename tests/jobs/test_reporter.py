from __future__ import annotations

import time
from collections.abc import Callable

from core.jobs.reporter import Reporter
from core.specs.progress import EpochReport, Progress
from core.store import attempts
from core.store.runs import list_epochs
from tests.jobs.conftest import Ready

OWNER = {"engine": None, "host": "here", "worker": None}


def epoch(number: int) -> EpochReport:
    return EpochReport(fold=0, epoch=number, n_epochs=9, train_loss=0.5, valid_loss=0.6, scores={"accuracy": 0.7}, lr=0.1, elapsed_s=1.0)


def test_the_newest_progress_and_every_epoch_arrive(ready: Ready, wait_for: Callable[..., float]) -> None:
    run = ready.launch()
    job = attempts.claim(ready.workspace.store, owner=OWNER, device="cpu", now=time.time())
    assert job
    reporter = Reporter(ready.workspace.store, job)
    reporter.start()
    for step in range(1, 200):
        reporter.report(Progress("training", fold=0, step=step, n_steps=199))
    reporter.report(epoch(1))
    reporter.report(epoch(2))
    wait_for(lambda: (said := ready.job(run).progress) and said.step == 199, 20)
    wait_for(lambda: len(list_epochs(ready.workspace.store, run.id)) == 2, 20)
    reporter.close()
    assert reporter.unwritten == () and not reporter.lost.is_set()


def test_a_locked_database_neither_blocks_nor_loses_an_epoch(ready: Ready, wait_for: Callable[..., float]) -> None:
    ready.launch()
    job = attempts.claim(ready.workspace.store, owner=OWNER, device="cpu", now=time.time())
    assert job
    reporter = Reporter(ready.workspace.store, job)
    with ready.workspace.store.transaction():
        reporter.start()
        started = time.monotonic()
        for number in range(1, 4):
            reporter.report(epoch(number))
            reporter.report(Progress("training", fold=0, step=number, n_steps=3))
        assert time.monotonic() - started < 0.1
        reporter.close()
        assert [row.epoch for row in reporter.unwritten] == [1, 2, 3]


def test_a_claim_that_is_lost_is_noticed(ready: Ready, wait_for: Callable[..., float]) -> None:
    run = ready.launch()
    job = attempts.claim(ready.workspace.store, owner=OWNER, device="cpu", now=time.time())
    assert job
    attempts.release(ready.workspace.store, job.id, job.token, now=time.time())
    reporter = Reporter(ready.workspace.store, job)
    reporter.start()
    wait_for(reporter.lost.is_set, 20)
    reporter.close()
    assert ready.job(run).state == "queued"
