"""A5. A contest is deleted, restored, and emptied out of the trash, and whoever does it is killed with -9 at every system call.

Afterwards it is there whole, in the trash whole, or gone without a trace; and the same step succeeds.
The bug to plant: files that are removed before the entry is marked as emptied.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import core.trash
from core.artefacts import verify
from core.base.errors import PitwallError
from core.blend.ensemble import make_spec, save_blend
from core.contest import samples as samples  # imported by a submission when it is written: not to be followed
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds import save_folds
from core.predictions.source import source_of
from core.specs.folds import FoldsSpec
from core.store.blends import list_blends, list_submissions
from core.store.contests import list_contests
from core.store.folds import list_folds
from core.store.runs import list_runs
from core.store.trash import list_trash, restore
from core.submission.write import write_submission
from core.trash import empty_old, empty_trash
from core.workspace import Workspace, open_workspace
from tests.conftest import write_headlines_to
from tests.faults.fault import Given, Outcome, main
from tests.faults.stepper import count_calls, kill_at
from tests.finished_workspace import finish_run, make_recipe, put_away

FULL_N = 10**6
"""Every call of all three steps."""


def run(given: Given) -> Outcome:
    """`n` kills, spread evenly over the calls of the steps; as many as there are calls by default."""
    outcome, steps = Outcome(), Steps(given.root)
    calls: list[tuple[str, int]] = []
    for name in steps.of:
        n_calls = count_calls(lambda name=name: steps.do(name, steps.copy(name, 0)))
        n_asked = min(n_calls, -(-given.n // len(steps.of)))
        calls += [(name, 1 + number * n_calls // n_asked) for number in range(n_asked)]
        outcome.notes.append(f"{name}: {n_calls} system calls")
    outcome.n = len(calls)
    notes, outcome.notes = outcome.notes, []
    for name, call in calls:
        folder = steps.copy(name, call)

        def work(name: str = name, folder: Path = folder) -> None:
            if given.is_mutant:
                core.trash.begin_emptying = lambda *_, **__: None  # type: ignore[assignment]
            steps.do(name, folder)

        kill_at(work, call)
        try:
            problem = steps.look(folder) or steps.again(name, folder)
        except (PitwallError, OSError) as refusal:
            problem = str(refusal)
        if problem:
            outcome.wrong(f"{name}, killed at call {call}: {problem}")
        shutil.rmtree(folder)
    outcome.notes += notes
    return outcome


class Steps:
    """Workspaces in which a contest with runs, a blend and a submission is there, or in the trash."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.of: dict[str, Callable[[Workspace], object]] = {
            "delete": lambda space: put_away(space.store, "contest", 1),
            "restore": lambda space: restore(space.store, "t1"),
            "empty": empty_trash,
        }
        space = open_workspace(root / "delete-start")
        contest = add_contest(space, inspect_path(write_headlines_to(root / "source")).draft)
        folds = save_folds(space, contest, FoldsSpec(n_folds=2))
        runs = [finish_run(space, contest, folds, make_recipe(contest, f"run-{seed}"), seed=seed) for seed in (1, 2)]
        write_submission(source_of(space, save_blend(space, contest, make_spec([each.id for each in runs]))))
        self.whole = self.rows(space)
        self.files = sorted(path.name for path in (space.root / "contests").rglob("*"))
        space.store.close()
        shutil.copytree(root / "delete-start", root / "trashed")
        trashed = open_workspace(root / "trashed")
        put_away(trashed.store, "contest", 1)
        trashed.store.close()
        for name in ("restore-start", "empty-start"):
            shutil.copytree(root / "trashed", root / name)

    def copy(self, name: str, call: int) -> Path:
        return shutil.copytree(self.root / f"{name}-start", self.root / f"{name}-{call}", dirs_exist_ok=True)

    def do(self, name: str, folder: Path) -> None:
        space = open_workspace(folder)
        self.of[name](space)
        space.store.close()

    def look(self, folder: Path) -> str:
        """What is wrong after the next start."""
        space = open_workspace(folder)
        try:
            space.store.check()
            empty_old(space)
            kept = [entry for entry in list_trash(space.store) if entry.emptied_at is None]
            there = sorted(path.name for path in (folder / "contests").rglob("*"))
            if kept:
                restore(space.store, kept[0].ref)
            rows = self.rows(space)
            if not rows[0]:
                return "files are left of what is gone" if there else ""
            if rows != self.whole or there != self.files:
                return "it is there, but not whole"
            for path in (folder / "contests").glob("*/*-*"):
                verify(path)
            if kept:
                put_away(space.store, "contest", 1)
            return ""
        finally:
            space.store.close()

    def again(self, name: str, folder: Path) -> str:
        """The same step once more, where it is still to be done."""
        space = open_workspace(folder)
        entry = next((entry for entry in list_trash(space.store) if entry.emptied_at is None), None)
        is_to_do = bool(list_contests(space.store)) if name == "delete" else entry is not None
        if is_to_do:
            {**self.of, "restore": lambda space: restore(space.store, entry.ref if entry else "")}[name](space)
        space.store.close()
        return self.look(folder)

    @staticmethod
    def rows(space: Workspace) -> tuple[object, ...]:
        store = space.store
        return (list_contests(store), list_folds(store, 1), list_runs(store), list_blends(store), list_submissions(store))


if __name__ == "__main__":
    sys.exit(main(run, full_n=FULL_N))
