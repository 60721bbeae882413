"""Every path on disk. A workspace holds the database and the artefacts of all contests.

The folder of a contest is made of its first name (`Contest.folder`) and stays when the contest is renamed.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from core.base.errors import InputError
from core.base.files import resolve_inside
from core.base.messages import reason
from core.base.names import file_name

if TYPE_CHECKING:
    from core.store.database import Store

ENV_VARIABLE = "PITWALL_WORKSPACE"
DEFAULT_ROOT = Path("workspace")


class Workspace:
    """The folder that holds it all. Paths only; the database is `store`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.db_path = root / "pitwall.db"
        self.engine_lock_path = root / "engine.lock"
        self.weights_dir = root / "weights"
        self.uploads_dir = root / "uploads"
        self.samples_dir = root / "samples"
        self.cache_dir = root / "cache"
        self.logs_dir = root / "logs"
        self.events_dir = self.logs_dir / "tensorboard"

    def run_events_dir(self, contest: str, run: str, run_id: int) -> Path:
        """The event files of a run, a folder per fold; both the name and the number, since a name may be given again.

        A run that was renamed keeps the folder that it has, so that TensorBoard shows one line.
        """
        known = sorted((self.events_dir / contest).glob(f"*-r{run_id}"))
        return known[0] if known else self.events_dir / contest / file_name(run, suffix=f"-r{run_id}")

    def tracking_dir(self, run_id: int) -> Path:
        """What was sent to a run's trackers, and where they are."""
        return self.logs_dir / "tracking" / f"r{run_id}"

    def contest_dir(self, folder: str) -> Path:
        return self.root / "contests" / folder

    def part_dir(self, folder: str, part: Literal["data", "truth", "groups", "folds"], fingerprint_: str) -> Path:
        return self.contest_dir(folder) / f"{part}-{fingerprint_[:12]}"

    def run_dir(self, folder: str, run_id: int) -> Path:
        return self.contest_dir(folder) / "runs" / f"r{run_id}"

    def has_run(self, run_id: int) -> bool:
        """Whether files are there under a run's number, of whatever contest."""
        return self.tracking_dir(run_id).exists() or any(self.root.glob(f"contests/*/runs/r{run_id}"))

    def attempt_dir(self, folder: str, run_id: int, fold: int, token: int) -> Path:
        """Where one attempt at a fold writes; `token` is the job's fencing token."""
        return self.run_dir(folder, run_id) / f"fold-{fold}" / f"attempt-{token}"

    def seeds_dir(self, folder: str, run_id: int, fold: int) -> Path:
        """The mean of what the seeds of a run predict in a fold."""
        return self.run_dir(folder, run_id) / f"fold-{fold}" / "seeds"

    def checkpoints_dir(self, folder: str, run_id: int, fold: int) -> Path:
        """Where all attempts at a fold keep their checkpoints."""
        return self.run_dir(folder, run_id) / f"fold-{fold}" / "checkpoints"

    def pretraining_dir(self, folder: str, job_id: int) -> Path:
        """Where a job of pretraining keeps its checkpoints, and each attempt at it what it published."""
        return self.contest_dir(folder) / "pretraining" / f"p{job_id}"

    def answer_dir(self, folder: str, run_id: int, job_id: int, token: int) -> Path:
        """Where one attempt at a job of predicting writes what was asked once."""
        return self.run_dir(folder, run_id) / "answers" / f"job-{job_id}-{token}"

    def views_dir(self, folder: str, run_id: int) -> Path:
        """Where the predictions of a run's networks in each view lie, by fold."""
        return self.run_dir(folder, run_id) / "views"

    def onnx_dir(self, folder: str, run_id: int, key: str) -> Path:
        """Where the ONNX file of one of a run's networks lies."""
        return self.run_dir(folder, run_id) / "onnx" / key

    def import_dir(self, folder: str, key: str) -> Path:
        """Where the predictions of one import lie; a run trained here has its own folder by number."""
        return self.contest_dir(folder) / "imports" / key

    def blend_dir(self, folder: str, fingerprint_: str) -> Path:
        return self.contest_dir(folder) / "blends" / fingerprint_[:12]

    def submission_dir(self, folder: str, fingerprint_: str) -> Path:
        return self.contest_dir(folder) / "submissions" / fingerprint_[:12]

    def log_path(self, job_id: int, token: int) -> Path:
        return self.logs_dir / f"job-{job_id}-{token}.log"

    def has_attempt(self, job_id: int, token: int, *, run_id: int | None, fold: int | None) -> bool:
        """Whether an attempt left a log, or what it published."""
        left = (f"fold-{fold}/attempt-{token}", f"answers/job-{job_id}-{token}")
        return self.log_path(job_id, token).exists() or any(any(self.root.glob(f"contests/*/runs/r{run_id}/{name}")) for name in left)

    def relative(self, path: Path) -> str:
        """A path as it is stored in the database, so that a workspace can be moved."""
        return path.relative_to(self.root).as_posix()

    def absolute(self, stored: str) -> Path:
        return resolve_inside(self.root, stored)

    @cached_property
    def store(self) -> Store:
        """The database, migrated to the newest schema at first use."""
        from core.store.database import open_store, sqlite_url

        return open_store(sqlite_url(self.db_path))


def open_workspace(root: Path | str | None = None) -> Workspace:
    """Open (and create where missing) the workspace at `root`, else at PITWALL_WORKSPACE, else `./workspace`."""
    asked = Path(root or os.environ.get(ENV_VARIABLE) or DEFAULT_ROOT)
    try:
        chosen = asked.expanduser().resolve()
        for folder in (chosen, chosen / "contests", chosen / "weights", chosen / "logs"):
            folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError, ValueError) as problem:  # a link to itself and an unknown home are a RuntimeError, a NUL is a ValueError
        raise InputError(
            "the workspace cannot be opened",
            where=str(asked),
            why=reason(problem),
            fix="choose a folder you may write to with --workspace DIR",
        ) from None
    return Workspace(chosen)
