"""The files behind the trash: how large an entry is, and emptying, in an order that a kill at any moment leaves to be finished.

An entry is marked first, so that nobody can restore it any more, then its files go, then its rows. `finish_emptying` goes on with what
was begun. The oldest entry is always emptied first: nothing in it is what a newer one is made of.
"""

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from core.base.errors import StateError
from core.base.messages import reason
from core.data.cache_space import remove_caches
from core.specs.kept import ImportOrigin
from core.store import trash
from core.store.contests import Contest, list_contests
from core.store.trash import KEPT_S, Reason, TrashEntry, begin_emptying, end_emptying, list_trash
from core.workspace import Workspace

log = logging.getLogger(__name__)


def empty_trash(workspace: Workspace, *, now: float | None = None) -> tuple[TrashEntry, ...]:
    """Permanently delete everything in the trash; returns what it was."""
    entries = _kept(workspace)
    for entry in entries:
        _empty(workspace, entry, "person", now)
    return entries


def empty_old(workspace: Workspace, *, now: float | None = None) -> tuple[TrashEntry, ...]:
    """Finish what a killed process began to empty, and empty what has been in the trash for thirty days; returns the latter."""
    moment = time.time() if now is None else now
    for entry in reversed(list_trash(workspace.store)):
        if entry.emptied_at is not None and not entry.is_gone:
            _finish(workspace, entry)
    old = tuple(entry for entry in _kept(workspace) if entry.kept_until <= moment)
    for entry in old:
        _empty(workspace, entry, "age", moment)
    trash.forget_emptied(workspace.store, before=moment - KEPT_S)
    return old


def make_space(workspace: Workspace, needed: int, free_bytes: Callable[[Path], int], *, now: float | None = None) -> bool:
    """Remove reduced images, which can be made again, and empty the trash, what is oldest first, until `needed` bytes are free; False when they
    are not even then."""
    remove_caches(workspace.cache_dir, lambda: free_bytes(workspace.root) >= needed)
    if free_bytes(workspace.root) >= needed:
        return True
    for entry in _kept(workspace):
        _empty(workspace, entry, "space", now)
        if free_bytes(workspace.root) >= needed:
            return True
    return False


def entry_bytes(workspace: Workspace, entry: TrashEntry) -> int:
    """What emptying an entry would give back, at the most: files that are hard links elsewhere count too."""
    total = 0
    for path in files_of(workspace, entry):
        inner = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
        for file in [path] if path.is_file() else inner:
            with suppress(FileNotFoundError):  # it is being emptied right now
                total += file.lstat().st_size
    return total


def files_of(workspace: Workspace, entry: TrashEntry) -> Iterator[Path]:
    """The files and folders that are the entry's alone."""
    store = workspace.store
    contests = {contest.id: contest for contest in list_contests(store, with_trash=True)}
    mine = [contests.pop(number) for number in entry.ids("contest") if number in contests]
    for contest in mine:
        if contest.folder not in {other.folder for other in contests.values()}:
            yield workspace.contest_dir(contest.folder)
            yield workspace.events_dir / contest.folder
        upload = _upload(workspace, contest)
        if upload and not any(upload in Path(other.spec.root).parents for other in contests.values()):
            yield upload
    for kind in ("folds", "pretraining", "blend", "submission"):
        shared = trash.paths_elsewhere(store, entry, kind)
        for row in trash.read_trashed(store, entry, kind):
            if row["path"] not in shared:
                path = workspace.absolute(row["path"])
                yield path.parent if kind in ("pretraining", "submission") else path
    folders = {contest.id: contest.folder for contest in (*mine, *contests.values())}
    for row in trash.read_trashed(store, entry, "run"):
        folder, key = folders[row["contest_id"]], ImportOrigin.model_validate(row["imported"] or {}).key
        yield workspace.run_dir(folder, row["id"])  # an imported run has answers there
        if key:
            yield workspace.import_dir(folder, key)
        yield workspace.run_events_dir(folder, "", row["id"])
        yield workspace.tracking_dir(row["id"])
    for job_id in trash.jobs_of(store, entry):
        yield from workspace.logs_dir.glob(f"job-{job_id}-*.log")


def _kept(workspace: Workspace) -> tuple[TrashEntry, ...]:
    """What can be restored, the oldest first."""
    return tuple(entry for entry in reversed(list_trash(workspace.store)) if entry.emptied_at is None)


def _empty(workspace: Workspace, entry: TrashEntry, why: Reason, now: float | None) -> None:
    try:
        begin_emptying(workspace.store, entry, why, now=time.time() if now is None else now)
    except StateError:
        return  # restored, or emptied by another process, a moment ago
    _finish(workspace, entry)
    log.log(
        logging.WARNING if why == "space" else logging.INFO,
        "the trash was emptied of %s (%s): %s",
        entry.ref,
        why,
        ", ".join(item.name for item in entry.asked),
    )


def _finish(workspace: Workspace, entry: TrashEntry) -> None:
    try:
        for path in files_of(workspace, entry):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    except OSError as problem:
        raise StateError(
            "the trash cannot be emptied",
            where=str(problem.filename or workspace.root),
            why=reason(problem),
            fix="see that the file may be removed, then empty the trash again",
        ) from None
    end_emptying(workspace.store, entry)


def _upload(workspace: Workspace, contest: Contest) -> Path | None:
    """The folder of the archive that was extracted for a contest; None for one whose files are the person's own."""
    uploads, root = workspace.uploads_dir.resolve(), Path(contest.spec.root)
    return uploads / root.relative_to(uploads).parts[0] if uploads in root.parents else None
