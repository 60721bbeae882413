"""What every fault script has in common: its arguments, the one line it prints, and a queue of made-up jobs.

A script is run as `python -m tests.faults.lost_workers --n 2000 --seed 1`. `--mutant` plants the bug that the script exists to catch.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.specs.contest import ContestSpec
from core.specs.folds import FoldsSpec
from core.specs.recipe import Recipe
from core.store.contests import add_contest
from core.store.database import Store, open_store, sqlite_url
from core.store.folds import add_folds
from core.store.jobs import add_jobs
from core.store.runs import FoldResult, add_run


@dataclass
class Outcome:
    """What a fault script saw: `bad` things that must never be, and acknowledged things that were `lost`; notes say which.

    `n` is how many there were, where that is found out only by trying.
    """

    bad: int = 0
    lost: int = 0
    notes: list[str] = field(default_factory=list)
    n: int | None = None

    def wrong(self, what: str) -> None:
        """Count something that must never be."""
        self.bad += 1
        self.notes.append(what)

    def missing(self, what: str) -> None:
        """Count something that was acknowledged and is gone."""
        self.lost += 1
        self.notes.append(what)


@dataclass(frozen=True)
class Given:
    """What a script was asked: how many, which seed as a generator, a folder of its own, whether to plant its bug, and of what kind only."""

    n: int
    rng: random.Random
    root: Path
    is_mutant: bool
    only: str = ""


def main(run: Callable[[Given], Outcome], *, full_n: int, arguments: Sequence[str] | None = None) -> int:
    """Run a script and print its line; the exit code is 0 when nothing was bad or lost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=full_n)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mutant", action="store_true")
    parser.add_argument("--only", default="", help="the kinds whose name has this in it, where a script has several")
    asked = parser.parse_args(arguments)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pitwall-fault-") as folder:
        outcome = run(Given(asked.n, random.Random(asked.seed), Path(folder), asked.mutant, asked.only))
    line: dict[str, Any] = {
        "n": asked.n if outcome.n is None else outcome.n,
        "bad": outcome.bad,
        "lost": outcome.lost,
        "seconds": round(time.monotonic() - started, 1),
    }
    if outcome.notes:
        line["notes"] = outcome.notes[:5]
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
    return 0 if outcome.bad == outcome.lost == 0 else 1


def made_up_store(path: Path, n_jobs: int) -> None:
    """A database with a run of `n_jobs` queued jobs, closed again, so that a process may fork with nothing of it open."""
    store = open_store(sqlite_url(path))
    spec = ContestSpec(name="made-up", root="/made-up", modality="text", layout="csv", train="train.csv", classes=("a", "b"))
    contest = add_contest(store, spec=spec, fingerprint="", path="", n_train=1, n_test=0)
    add_folds(
        store,
        contest_id=contest.id,
        spec=FoldsSpec(kind="stratified", n_folds=2, seed=0, group_column=""),
        n_folds=2,
        fingerprint="",
        path="",
    )
    if n_jobs:
        add_made_up_run(store, n_jobs)
    store.close()


def add_made_up_run(store: Store, n_jobs: int) -> int:
    """Queue one more run of `n_jobs` in such a database; returns its id."""
    with store.transaction() as connection:
        run_id = add_run(
            connection,
            contest_id=1,
            folds_id=1,
            name="run",
            recipe=Recipe(),
            fold_numbers=range(n_jobs),
            now=0.0,
        )
        add_jobs(connection, run_id, range(n_jobs), now=0.0)
    return run_id


def made_up_result(run_id: int, fold: int, token: int) -> FoldResult:
    """A result that only says which attempt it is of."""
    return FoldResult(
        run_id=run_id,
        fold=fold,
        token=token,
        path=f"attempt-{token}",
        fingerprint="",
        scores={"accuracy": 0.5},
        best_epoch=1,
        n_epochs=1,
        elapsed_s=1.0,
        facts={},
        created_at=0.0,
    )


def wait_until(holds: Callable[[], object], limit_s: float) -> bool:
    """Whether something came to hold within `limit_s`."""
    deadline = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
