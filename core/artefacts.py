"""Artefacts: folders that are published whole or not at all, verified when read, and never changed.

An artefact has a `manifest.json` with its kind, the fingerprints of its parents, and the sha256 of every file and of itself.
It may hold other artefacts in folders of their own, such as the networks of a fold beside its predictions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any

from core.base.errors import CheckpointError
from core.base.files import fingerprint, resolve_inside, sha256_file, sync, write_json, written_aside
from core.base.messages import msg, reason

if TYPE_CHECKING:
    from numpy.typing import NDArray

MANIFEST = "manifest.json"

OWN_HASH = "sha256"

_MAKE_AGAIN = {
    "contest": "delete the contest, on the page Home or with `python -m core contest delete`, and register it again",
    "truth": "put a copy of the workspace's folder contests back",
    "groups": "put a copy of the workspace's folder contests back",
    "folds": "make the folds again",
    "fold": "retry the fold, or import the predictions again",
    "seeds": "queue the run's recipe again: what its seeds have trained is taken, and their mean made anew",
    "network": "retry the fold",
    "pretraining": "delete it, and adapt the backbone again",
    "onnx": "delete its folder, and export the network again",
    "predictions": "predict again",
    "view": "delete that folder and predict the views again",
    "view_choice": "delete that folder and predict the views again",
    "probe": "delete that folder and probe the run again",
    "blend": "save the blend again",
    "submission": "write the submission again",
}


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


@contextmanager
def publishing(destination: Path, *, kind: str, parents: Mapping[str, str], facts: Mapping[str, Any] | None = None) -> Iterator[Path]:
    """Give a temporary folder to write into; when the block ends well it becomes `destination`, whole or not at all.

    Files are synced before the rename and the manifest is written last, so a folder that has a manifest is complete. An
    artefact that is there already with the same content is kept. When the block raises, nothing remains.
    """
    with written_aside(destination) as temporary:
        temporary.mkdir()
        yield temporary
        manifest = write_manifest(temporary, kind=kind, parents=parents, facts=facts)
        if destination.exists() and verify(destination).fingerprint != manifest.fingerprint:
            raise CheckpointError(
                "another artefact is already there",
                where=str(destination),
                why="artefacts never change after they are published",
                fix="delete that folder if it was put there by hand",
            )
    sync(destination.parent)


def write_manifest(
    folder: Path, *, kind: str, parents: Mapping[str, str] | None = None, facts: Mapping[str, Any] | None = None
) -> Manifest:
    """Make an artefact of a folder where it is: sync its files and write their sha256 into its manifest, last of all.

    A folder inside it that has a manifest already is an artefact of its own, of which only the manifest counts here.
    """
    parts = [path.parent for path in folder.rglob(MANIFEST)]
    files = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        if path.name == MANIFEST or not any(part in path.parents for part in parts):
            files[path.relative_to(folder).as_posix()] = sha256_file(path)
            sync(path)
    manifest = Manifest(kind=kind, parents=dict(parents or {}), files=files, facts=dict(facts or {}))
    content = {"kind": kind, "parents": manifest.parents, "files": files, "facts": manifest.facts}
    write_json(folder / MANIFEST, content | {OWN_HASH: fingerprint(content)})
    for inner in [folder, *(p for p in folder.rglob("*") if p.is_dir())]:
        sync(inner)
    return manifest


def load_manifest(path: Path) -> Manifest:
    """Read an artefact's manifest, checked against its own hash (0.1.0 wrote none), without checking the files' hashes.

    Raises CheckpointError naming the manifest. A damage that leaves its content as it was, such as one of white space, is let pass.
    """
    file = path / MANIFEST
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        expected = raw.pop(OWN_HASH, None)
        if set(raw) != {"kind", "parents", "files", "facts"}:
            raise ValueError(msg("its parts are {names}", names=", ".join(sorted(raw))))
        if expected is not None and fingerprint(raw) != expected:
            raise ValueError("its content does not match its own sha256")
        return Manifest(**raw)
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as problem:
        raise CheckpointError(
            "the artefact's {file} cannot be read",
            where=str(file),
            why=reason(problem),
            fix="delete the folder and make it again",
            file=MANIFEST,
        ) from None


def verify(path: Path) -> Manifest:
    """Read an artefact's manifest and check every file against its sha256; raise CheckpointError naming the first that differs.

    Artefacts inside it are verified too.
    """
    manifest = load_manifest(path)
    for name in manifest.files:
        file = verify_file(path, manifest, name)
        if file.name == MANIFEST:
            verify(file.parent)
    return manifest


def verify_file(path: Path, manifest: Manifest, name: str) -> Path:
    """Check one file of an artefact whose manifest was read, and return where it is; raise CheckpointError when it differs."""
    expected = manifest.files.get(name)
    if expected is None:
        raise CheckpointError(
            "{file} is not part of the artefact",
            where=str(path / name),
            why="its manifest does not name it",
            fix="delete the folder and make it again",
            file=name,
        )
    file = resolve_inside(path, name)
    try:
        actual = sha256_file(file) if file.is_file() else "missing"
    except OSError as problem:
        raise CheckpointError(
            "{file} cannot be read", where=str(file), why=reason(problem), fix="check the disk and the file's permissions", file=name
        ) from None
    if actual != expected:
        raise CheckpointError(
            "{file} is damaged",
            where=str(file),
            why="its sha256 is {found}, the manifest says {wanted}",
            fix=msg("the file changed after it was written: {fix}", fix=_MAKE_AGAIN.get(manifest.kind, "make the artefact again")),
            file=name,
            found=actual[:12],
            wanted=expected[:12],
        )
    return file


def read_array(path: Path, *, fix: str) -> NDArray[Any]:
    """The array in a `.npy` file; CheckpointError, naming the file, when it is anything else."""
    import numpy as np  # here, as the engine verifies artefacts and reads no arrays

    try:
        with path.open("rb") as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)
    except (OSError, ValueError, EOFError, TokenError) as problem:
        raise CheckpointError("{file} cannot be read", where=str(path), why=reason(problem), fix=fix, file=path.name) from None
