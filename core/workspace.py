"""Every path on disk, and the one way an artefact comes to be there: written aside, hashed, synced, renamed.

A workspace holds the database and the artefacts of all contests. An artefact is a folder with a `manifest.json` that
names its kind, the fingerprints of its parents and the sha256 of every file and of itself; it never changes afterwards.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.base.errors import CheckpointError, InputError

if TYPE_CHECKING:
    from core.store.database import Store

MANIFEST = "manifest.json"
OWN_HASH = "sha256"
_MAKE_AGAIN = {
    "contest": "delete the contest and register it again",
    "folds": "make the folds again",
    "fold": "retry the fold, or import the predictions again",
    "blend": "save the blend again",
    "submission": "write the submission again",
}
ENV_VARIABLE = "PITWALL_WORKSPACE"
DEFAULT_ROOT = Path("workspace")


@dataclass(frozen=True)
class Manifest:
    """What an artefact is, made from what, and the sha256 of each of its files (paths relative to the artefact)."""

    kind: str
    parents: Mapping[str, str]
    files: Mapping[str, str]
    facts: Mapping[str, Any]

    @property
    def fingerprint(self) -> str:
        """The artefact's own identity: a hash over its kind, parents and content."""
        return fingerprint({"kind": self.kind, "parents": dict(self.parents), "files": dict(self.files)})


class Workspace:
    """The folder that holds it all. Paths only; the database is `store`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def db_path(self) -> Path:
        return self.root / "pitwall.db"

    @property
    def engine_lock_path(self) -> Path:
        return self.root / "engine.lock"

    @property
    def weights_dir(self) -> Path:
        return self.root / "weights"

    @property
    def uploads_dir(self) -> Path:
        return self.root / "uploads"

    @property
    def samples_dir(self) -> Path:
        return self.root / "samples"

    @property
    def logs_dir(self) -> Path:
        return self.root / "logs"

    @property
    def events_dir(self) -> Path:
        """What TensorBoard is pointed at."""
        return self.logs_dir / "tensorboard"

    def run_events_dir(self, contest: str, run: str, run_id: int) -> Path:
        """The event files of a run, a folder per fold; both the name and the number, since a name may be given again."""
        return self.events_dir / contest / f"{run}-r{run_id}"

    def tracking_dir(self, run_id: int) -> Path:
        """What a run's trackers were told, and where they are."""
        return self.logs_dir / "tracking" / f"r{run_id}"

    def contest_dir(self, contest: str) -> Path:
        return self.root / "contests" / contest

    def data_dir(self, contest: str, fingerprint_: str) -> Path:
        return self.contest_dir(contest) / f"data-{fingerprint_[:12]}"

    def folds_dir(self, contest: str, fingerprint_: str) -> Path:
        return self.contest_dir(contest) / f"folds-{fingerprint_[:12]}"

    def run_dir(self, contest: str, run_id: int) -> Path:
        return self.contest_dir(contest) / "runs" / f"r{run_id}"

    def attempt_dir(self, contest: str, run_id: int, fold: int, token: int) -> Path:
        """Where one attempt at a fold writes; `token` is the job's fencing token."""
        return self.run_dir(contest, run_id) / f"fold-{fold}" / f"attempt-{token}"

    def checkpoints_dir(self, contest: str, run_id: int, fold: int) -> Path:
        """Where all attempts at a fold keep their checkpoints."""
        return self.run_dir(contest, run_id) / f"fold-{fold}" / "checkpoints"

    def import_dir(self, contest: str, key: str) -> Path:
        """Where the predictions of one import lie; a run trained here has its own folder by number."""
        return self.contest_dir(contest) / "imports" / key

    def blend_dir(self, contest: str, fingerprint_: str) -> Path:
        return self.contest_dir(contest) / "blends" / fingerprint_[:12]

    def submission_dir(self, contest: str, fingerprint_: str) -> Path:
        return self.contest_dir(contest) / "submissions" / fingerprint_[:12]

    def log_path(self, job_id: int, token: int) -> Path:
        return self.logs_dir / f"job-{job_id}-{token}.log"

    def relative(self, path: Path) -> str:
        """A path as it is stored in the database, so that a workspace can be moved."""
        return path.relative_to(self.root).as_posix()

    def absolute(self, stored: str) -> Path:
        return resolve_inside(self.root, stored)

    @cached_property
    def store(self) -> Store:
        """The database, migrated to the newest schema at first use."""
        from core.store.database import open_store

        return open_store(self.db_path)


def shown_path(path: Path) -> str:
    """A path as a person would type it here: relative below the working folder, from ~ below the home folder, else whole."""
    for base, prefix in ((Path.cwd(), ""), (Path.home(), "~/")):
        if path != base and path.is_relative_to(base):
            return prefix + path.relative_to(base).as_posix()
    return str(path)


def open_workspace(root: Path | str | None = None) -> Workspace:
    """Open (and create where missing) the workspace at `root`, else at PITWALL_WORKSPACE, else `./workspace`."""
    chosen = Path(root or os.environ.get(ENV_VARIABLE) or DEFAULT_ROOT).expanduser().resolve()
    try:
        for folder in (chosen, chosen / "contests", chosen / "weights", chosen / "logs"):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise InputError(
            "the workspace cannot be opened",
            where=str(chosen),
            why=str(problem),
            fix="choose a folder you may write to with --workspace DIR",
        ) from None
    return Workspace(chosen)


@contextmanager
def publishing(destination: Path, *, kind: str, parents: Mapping[str, str], facts: Mapping[str, Any] | None = None) -> Iterator[Path]:
    """Give a temporary folder to write into; when the block ends well it becomes `destination`, whole or not at all.

    Files are synced before the rename and the manifest is written last, so a folder that has a manifest is complete. An
    artefact that is there already with the same content is kept. When the block raises, nothing remains.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    temporary = destination.with_name(f".{destination.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    temporary.mkdir()
    try:
        yield temporary
        files = {}
        for path in sorted(p for p in temporary.rglob("*") if p.is_file()):
            files[path.relative_to(temporary).as_posix()] = sha256_file(path)
            _sync(path)
        manifest = Manifest(kind=kind, parents=dict(parents), files=files, facts=dict(facts or {}))
        content = {"kind": kind, "parents": manifest.parents, "files": files, "facts": manifest.facts}
        write_json(temporary / MANIFEST, content | {OWN_HASH: fingerprint(content)})
        for folder in [temporary, *(p for p in temporary.rglob("*") if p.is_dir())]:
            _sync(folder)
        if destination.exists():
            if verify(destination).fingerprint != manifest.fingerprint:
                raise CheckpointError(
                    "another artefact is already there",
                    where=str(destination),
                    why="artefacts never change after they are published",
                    fix="delete that folder if it was put there by hand",
                )
            return
        os.rename(temporary, destination)
        _sync(destination.parent)
    finally:
        if temporary.exists():
            shutil.rmtree(temporary)


def load_manifest(path: Path) -> Manifest:
    """Read an artefact's manifest, checked against its own hash (0.1.0 wrote none), without checking the files' hashes.

    Raises CheckpointError naming the manifest. A damage that leaves its content as it was, such as one of white space, is let pass.
    """
    file = path / MANIFEST
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        expected = raw.pop(OWN_HASH, None)
        if set(raw) != {"kind", "parents", "files", "facts"}:
            raise ValueError(f"its parts are {', '.join(sorted(raw))}")
        if expected is not None and fingerprint(raw) != expected:
            raise ValueError("its content does not match its own sha256")
        return Manifest(**raw)
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as problem:
        raise CheckpointError(
            f"the artefact's {MANIFEST} cannot be read", where=str(file), why=str(problem), fix="delete the folder and make it again"
        ) from None


def verify(path: Path) -> Manifest:
    """Read an artefact's manifest and check every file against its sha256; raise CheckpointError naming the first that differs."""
    manifest = load_manifest(path)
    for name in manifest.files:
        verify_file(path, manifest, name)
    return manifest


def verify_file(path: Path, manifest: Manifest, name: str) -> Path:
    """Check one file of an artefact whose manifest was read, and return where it is; raise CheckpointError when it differs."""
    expected = manifest.files.get(name)
    if expected is None:
        raise CheckpointError(
            f"{name} is not part of the artefact",
            where=str(path / name),
            why="its manifest does not name it",
            fix="delete the folder and make it again",
        )
    file = resolve_inside(path, name)
    try:
        actual = sha256_file(file) if file.is_file() else "missing"
    except OSError as problem:
        raise CheckpointError(
            f"{name} cannot be read", where=str(file), why=str(problem), fix="check the disk and the file's permissions"
        ) from None
    if actual != expected:
        raise CheckpointError(
            f"{name} is damaged",
            where=str(file),
            why=f"its sha256 is {actual[:12]}, the manifest says {expected[:12]}",
            fix=f"the file changed after it was written: {_MAKE_AGAIN.get(manifest.kind, 'make the artefact again')}",
        )
    return file


def sha256_file(path: Path) -> str:
    """The sha256 of a file's bytes, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fingerprint(value: Any) -> str:
    """The sha256 of a JSON-able value in canonical form (sorted keys, no spaces, UTF-8)."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file and sync it to disk."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    _sync(path)


def resolve_inside(root: Path, name: str) -> Path:
    """Join `name`, which a person or an archive gave, to `root`; refuse anything that leads outside, also through a symlink."""
    base = root.resolve()
    try:
        path = (base / name).resolve()
    except (OSError, ValueError) as problem:
        raise InputError("a path cannot be used", where=repr(name), why=str(problem), fix="use a plain relative path") from None
    if not path.is_relative_to(base):
        raise InputError(
            "a path leads outside its folder",
            where=name,
            why=f"it must stay inside {base.name}",
            fix="use a path inside the contest's folder",
        )
    return path


def nfc(text: str) -> str:
    """Normalise to Unicode NFC, so that a name typed on macOS (NFD) and on Linux is one name."""
    return unicodedata.normalize("NFC", text)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
