"""What killed processes left is removed, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from core.artefacts import verify
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds.save import save_folds
from core.jobs.queue import launch_run
from core.jobs.tidy import ABANDONED_S, tidy
from core.specs.folds import FoldsSpec
from core.store.runs import get_run
from core.training.checkpoint import list_checkpoints
from core.workspace import Workspace
from tests import finished_workspace as made


def test_only_what_nobody_will_use_again_goes(workspace: Workspace, write_headlines: Callable[[Path], Path], tmp_path: Path) -> None:
    contest = add_contest(workspace, inspect_path(write_headlines(tmp_path / "headlines")).draft)
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=2))
    recipe = made.make_recipe(contest, "a")
    run = launch_run(workspace, contest, folds, recipe)
    done = made.claim(workspace)
    made.keep_checkpoint(workspace, contest, done, 2, 1)
    made.finish_job(workspace, contest, folds, done, recipe, strength=3.0, seed=0)
    half = made.keep_checkpoint(workspace, contest, made.claim(workspace), 2, 1)

    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    blends = workspace.contest_dir(contest.name) / "blends"
    old, young, mine = (blends / f".abc.{pid}.{key}.tmp" for pid, key in ((gone.pid, "aa"), (gone.pid, "bb"), (os.getpid(), "cc")))
    long_ago = time.time() - ABANDONED_S - 60
    for folder in (old, young, mine):
        folder.mkdir(parents=True)
        (folder / "oof.npy").write_bytes(b"half")
    for folder in (old, mine):
        os.utime(folder / "oof.npy", (long_ago, long_ago))
        os.utime(folder, (long_ago, long_ago))

    assert tidy(workspace) == 2
    assert not old.exists() and young.exists() and mine.exists()
    assert list_checkpoints(workspace.checkpoints_dir(contest.name, run.id, 0)) == ()
    assert verify(half) and verify(workspace.absolute(get_run(workspace.store, run.id).results[0].path))
    assert tidy(workspace) == 0
