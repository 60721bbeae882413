"""A full disk is said, waited out and never retried blindly; what is acknowledged stays."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from core.artefacts import verify
from core.base.errors import DiskFull
from core.base.files import is_full
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.folds import save_folds
from core.jobs import disk
from core.jobs.disk import ABANDONED_S, remove_leftovers
from core.jobs.engine import Engine
from core.jobs.fold import needed_bytes
from core.jobs.launch import launch_run
from core.jobs.process import ProcessIdentity
from core.jobs.queue import resume_queue
from core.specs.folds import FoldsSpec
from core.specs.recipe import Recipe
from core.store import attempts
from core.store.queue import list_holds
from core.store.runs import get_run
from core.store.trash import list_trash
from core.training.checkpoint import list_checkpoints
from core.workspace import Workspace
from tests import finished_workspace as made
from tests.finished_workspace import put_away
from tests.jobs.conftest import Ready

MB = 10**6
OWNER = {"engine": None, "host": "here", "worker": None}


class FakeDisk:
    """Free space as a test sets it, in bytes."""

    def __init__(self, free: int) -> None:
        self.free = free

    def __call__(self, root: Path) -> int:
        return self.free


def test_the_need_of_a_fold_grows_with_its_network_and_its_rows() -> None:
    def need(backbone: str, n_rows: int = 1000) -> int:
        recipe = Recipe.model_validate({"model": {"backbone": backbone, "pretrained": False}})
        return disk.fold_bytes(recipe, weights_dir=Path(), n_rows=n_rows, n_test=100, n_classes=10)

    assert need("test_vit") < need("resnet50.a1_in1k")
    assert need("test_vit", 2000) - need("test_vit", 1000) == 1000 * (4 * 10 + 8)
    assert 1.2e9 < need("resnet50.a1_in1k") < 1.5e9  # 25.6 million parameters, three checkpoints of four copies, and one
    assert need("no_such_network") < 10 * MB


@pytest.mark.parametrize(
    ("n_bytes", "text"), [(0, "0 kB"), (640_000, "640 kB"), (1_250_000, "1.2 MB"), (12_300_000, "12 MB"), (3_100_000_000, "3.1 GB")]
)
def test_sizes_read_well(n_bytes: int, text: str) -> None:
    assert disk.size_text(n_bytes) == text


def test_without_space_a_device_waits_and_says_so_and_goes_on_by_itself(ready: Ready) -> None:
    run, space = ready.launch_broken(), FakeDisk(1 * MB)
    engine = Engine(ready.workspace, ("cpu",), free_bytes=space)
    assert not engine.run_next()
    (device,) = engine.status().devices
    assert device.hold and device.hold.kind == "disk" and ready.job(run).token == 0
    needed = disk.size_text(needed_bytes(ready.workspace, ready.job(run)))
    assert disk.hold_text(device.hold, engine.status().free_bytes) == f"paused: disk full, {needed} needed, 1.0 MB free"
    assert device.hold.error and "make space" in device.hold.error["fix"]
    assert not engine.run_next() and engine.status().queue_end_s is None
    space.free = 10**9
    job = engine._take("cpu")
    assert job and job.token == 1 and list_holds(ready.workspace.store) == ()


def test_the_trash_is_emptied_before_a_device_waits_for_space(ready: Ready) -> None:
    old, run = ready.launch(name="old"), ready.launch()
    put_away(ready.workspace.store, "run", old.id)
    artefact = ready.workspace.run_dir(ready.contest.folder, old.id)
    artefact.mkdir(parents=True, exist_ok=True)
    job = Engine(ready.workspace, ("cpu",), free_bytes=lambda _: 10**9 if not artefact.exists() else 1)._take("cpu")
    assert job and job.run_id == run.id and list_holds(ready.workspace.store) == ()
    assert [(entry.emptied_for, entry.is_gone) for entry in list_trash(ready.workspace.store)] == [("space", True)]


def test_after_a_full_disk_the_same_try_is_made_only_with_more_space_or_when_a_person_wants_it(ready: Ready) -> None:
    run, space = ready.launch(), FakeDisk(10**9)
    engine = Engine(ready.workspace, ("cpu",), free_bytes=space)
    job = engine._take("cpu")
    assert job
    needed = max(needed_bytes(ready.workspace, job), space.free + disk.MARGIN_BYTES)
    assert needed == 10**9 + disk.MARGIN_BYTES
    attempts.release_for_disk(ready.workspace.store, job.id, job.token, {}, needed_bytes=needed, now=1.0)
    assert engine._take("cpu") is None
    resume_queue(ready.workspace.store)
    again = engine._take("cpu")
    assert again and again.token == 2
    attempts.release_for_disk(ready.workspace.store, again.id, again.token, {}, needed_bytes=needed, now=1.0)
    space.free += disk.MARGIN_BYTES
    third = engine._take("cpu")
    assert third and third.token == 3 and ready.job(run).state == "running"


def test_the_reserve_is_really_there_and_is_given_up_once(ready: Ready) -> None:
    path = disk.reserve_path(ready.workspace)
    assert disk.keep_reserve(ready.workspace) and disk.keep_reserve(ready.workspace)
    assert path.stat().st_size == disk.RESERVE_BYTES and path.stat().st_blocks * 512 >= disk.RESERVE_BYTES
    assert disk.spend_reserve(ready.workspace) and not disk.spend_reserve(ready.workspace)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (disk.RESERVE_BYTES // 2, hard))
    try:
        assert not disk.keep_reserve(ready.workspace) and not path.exists()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_lack_of_space_is_recognised_however_it_is_said(tmp_path: Path) -> None:
    assert all(is_full(OSError(number, "")) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
    assert not is_full(OSError(errno.EACCES, "")) and not is_full(ValueError("full"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(Exception, match="os error") as caught:
            save_file({"weight": np.zeros(10_000, np.float32)}, tmp_path / "weights.safetensors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not isinstance(caught.value, OSError) and is_full(caught.value)


@pytest.mark.slow
def test_a_worker_whose_disk_is_full_hands_its_job_back_and_the_queue_goes_on_after_space_is_made(
    ready: Ready, wait_for: Callable[..., float]
) -> None:
    run, space = ready.launch(epochs=2), FakeDisk(disk.free_bytes(ready.workspace.root))
    engine = Engine(ready.workspace, ("cpu",), free_bytes=space)
    engine.start()
    try:
        wait_for(lambda: (job := ready.job(run)).owner and job.owner.get("worker"))
        owner = ready.job(run).owner
        assert owner
        limit = ready.workspace.db_path.stat().st_size * 4  # the weights are larger, the database is not
        resource.prlimit(ProcessIdentity.from_dict(owner["worker"]).pid, resource.RLIMIT_FSIZE, (limit, limit))
        wait_for(lambda: list_holds(ready.workspace.store))
        job = ready.job(run)
        assert (job.state, job.error, job.token) == ("queued", None, 1)
        left = [path.name for path in ready.workspace.run_dir("colours", run.id).rglob("*")]
        assert not [name for name in left if name.endswith(".tmp") or name.startswith("attempt")], left
        (hold,) = list_holds(ready.workspace.store)
        assert hold.needed_bytes >= space.free // 2 and os.path.exists(disk.reserve_path(ready.workspace))
        wait_for(lambda: "the disk is full; handed back: queued" in ready.log(job))
        space.free = hold.needed_bytes
        engine.wake()
        wait_for(lambda: ready.read(run).state == "done")
        assert ready.read(run).results[0].token == 2 and list_holds(ready.workspace.store) == ()
    finally:
        engine.stop()


def test_what_a_killed_registration_left_goes_a_while_later(
    workspace: Workspace, write_headlines: Callable[[Path], Path], tmp_path: Path
) -> None:
    contest = add_contest(workspace, inspect_path(write_headlines(tmp_path / "headlines")).draft)
    own = workspace.contest_dir(contest.folder)
    left, young, with_folds = (workspace.contest_dir(name) for name in ("left", "young", "folds"))
    for folder in (left, young, with_folds):
        shutil.copytree(own, folder)
    (with_folds / "folds-abc").mkdir()
    long_ago = time.time() - ABANDONED_S - 60
    for folder in (own, left, with_folds):
        os.utime(folder, (long_ago, long_ago))
    assert remove_leftovers(workspace) == 1
    assert not left.exists() and own.exists() and young.exists() and with_folds.exists()


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
    blends = workspace.contest_dir(contest.folder) / "blends"
    old, young, mine = (blends / f".abc.{pid}.{key}.tmp" for pid, key in ((gone.pid, "aa"), (gone.pid, "bb"), (os.getpid(), "cc")))
    long_ago = time.time() - ABANDONED_S - 60
    for folder in (old, young, mine):
        folder.mkdir(parents=True)
        (folder / "oof.npy").write_bytes(b"half")
    for folder in (old, mine):
        os.utime(folder / "oof.npy", (long_ago, long_ago))
        os.utime(folder, (long_ago, long_ago))

    assert remove_leftovers(workspace) == 2
    assert not old.exists() and young.exists() and mine.exists()
    assert list_checkpoints(workspace.checkpoints_dir(contest.folder, run.id, 0)) == ()
    assert verify(half) and verify(workspace.absolute(get_run(workspace.store, run.id).results[0].path))
    assert remove_leftovers(workspace) == 0


def test_what_makes_space_is_written_even_on_a_full_disk(workspace: Workspace) -> None:
    tried: list[bool] = []

    def change() -> str:
        tried.append(disk.reserve_path(workspace).exists())
        if tried[-1]:
            raise DiskFull("the database could not be written")
        return "deleted"

    assert disk.keep_reserve(workspace) and disk.with_reserve(workspace, change) == "deleted" and tried == [True, False]

    def never() -> str:
        raise DiskFull("the database could not be written")

    with pytest.raises(DiskFull):
        disk.with_reserve(workspace, never)
