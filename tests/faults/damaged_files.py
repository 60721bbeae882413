"""C4. Flipped bits, truncation and zeroed pages in each kind of file of a workspace: none is accepted in silence.

Every reader raises a typed error that names the file, or gives exactly what was written. Of checkpoints the damaged one is set
aside and the one before it is used. The bug to plant: files are read without
being compared with their manifest, and every row of the database has the same digest. Of rows that change (the queue, epochs, holds)
only what SQLite itself finds is found; nothing in them becomes a result.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import save_file
from sqlalchemy import select

from core import artefacts
from core.artefacts import Manifest, publishing
from core.base.errors import CheckpointError
from core.base.files import write_json
from core.blend.ensemble import make_spec, save_blend
from core.contest import samples, table as table_module
from core.contest.inspect.draft import inspect_path
from core.contest.register import add_contest
from core.contest.table import load_table
from core.data.images import open_image
from core.exchange.exchange import export_predictions, import_predictions
from core.folds import load_folds, save_folds
from core.predictions import oof, source
from core.predictions.oof import load_oof, load_test_prob
from core.predictions.source import source_of
from core.specs.folds import FoldsSpec
from core.store import digests
from core.store.attempts import claim
from core.store.blends import list_blends, list_submissions
from core.store.contests import Contest, list_contests
from core.store.database import open_store, sqlite_url
from core.store.folds import Folds, list_folds
from core.store.queue import list_holds, read_live, read_queue, read_tallies
from core.store.runs import Run, list_epochs, list_runs
from core.store.tables import CHANGES, DIGEST, metadata
from core.submission import write as submission_module
from core.submission.format import read_format
from core.submission.write import read_submission, write_submission
from core.training.checkpoint import Identity, checkpoint_name, list_quarantined, newest_verified
from core.workspace import Workspace, open_workspace
from tests.conftest import write_headlines_to
from tests.faults.damage import damage, verdict
from tests.faults.fault import Given, Outcome, main
from tests.finished_workspace import ELSEWHERE, add_glyphs, finish_run, make_recipe

FULL_N = 12_000
PLANTED = "verify_file"
PLANTED_IN_ROWS = "digest_of"


@dataclass(frozen=True)
class Kind:
    """A kind of file: the files, and `read`, which gives all that they say as bytes."""

    name: str
    files: Sequence[Path]
    read: Callable[[], bytes]


class Lost(Exception):
    """An older state that was whole was not found either."""


def run(given: Given) -> Outcome:
    """Damage `n` files, one at a time and each kind in turn, and read them."""
    outcome = Outcome()
    if given.is_mutant:
        for module in (artefacts, table_module, oof, source, submission_module):
            setattr(module, PLANTED, _without_a_look)
        setattr(digests, PLANTED_IN_ROWS, _the_same_for_all)
    kinds = [kind for kind in make_kinds(given.root) if given.only in kind.name]
    if not kinds:
        raise ValueError(f"no kind of file has '{given.only}' in its name")
    written = {kind.name: kind.read() for kind in kinds}
    for kind in islice(cycle(kinds), given.n):
        file = given.rng.choice(kind.files)
        done = damage(file, given.rng)
        wrong = verdict(kind.read, written[kind.name], named=file.name)
        if not file.parent.exists():
            raise AssertionError(f"{kind.name} does not put its files back")
        done.restore()
        if wrong.startswith(Lost.__name__):
            outcome.missing(f"{kind.name}, {done.how} of {file.name}: {wrong}")
        elif wrong:
            outcome.wrong(f"{kind.name}, {done.how} of {file.name}: {wrong}")
    return outcome


def make_kinds(root: Path) -> list[Kind]:
    """A workspace with one of everything, and the kinds of files in it. A new kind of file is one more entry here."""
    workspace = open_workspace(root / "workspace")
    contest = add_contest(workspace, inspect_path(write_headlines_to(root / "headlines")).draft)
    folds = save_folds(workspace, contest, FoldsSpec(n_folds=3))
    own = finish_run(workspace, contest, folds, make_recipe(contest, "own"))
    oof, test = root / "oof.parquet", root / "test.parquet"
    export_predictions(source_of(workspace, own), oof=oof, test=test)
    theirs = import_predictions(workspace, contest, folds, oof=oof, test=test, name="theirs")
    blend = save_blend(workspace, contest, make_spec((own.id, theirs.id)))
    submission = write_submission(source_of(workspace, blend))
    data, at = workspace.absolute(contest.path), workspace.absolute
    return [
        Kind("tables", files_in(data, but=("sample_submission.csv",)), lambda: _table(workspace, contest)),
        Kind("sample submission", [data / "sample_submission.csv"], lambda: repr(read_format(workspace, contest)).encode()),
        Kind("folds", files_in(at(folds.path)), lambda: load_folds(workspace, folds).roles.tobytes()),
        Kind(
            "fold artefacts", [file for fold in own.results for file in files_in(at(fold.path))], lambda: _arrays(workspace, own, contest)
        ),
        Kind(
            "imported predictions",
            [file for fold in theirs.results for file in files_in(at(fold.path))],
            lambda: _arrays(workspace, theirs, contest),
        ),
        Kind(
            "blends",
            files_in(at(blend.path)),
            lambda: source_of(workspace, blend).oof().tobytes() + source_of(workspace, blend).test().tobytes(),
        ),
        Kind("submissions", files_in(at(submission.path).parent), lambda: read_submission(workspace, submission)),
        _weights(root / "weights"),
        _checkpoints(root / "checkpoints"),
        _images(workspace, root / "glyphs"),
        _truth(workspace),
        _database(root / "copy.db", workspace, contest, folds),
    ]


def files_in(folder: Path, *, but: Sequence[str] = ()) -> list[Path]:
    """The files of an artefact, its manifest too."""
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name not in but)


def _table(workspace: Workspace, contest: Contest) -> bytes:
    table = load_table(workspace, contest)
    return b"".join(frame.to_json().encode() for frame in (table.train, table.test))


def _arrays(workspace: Workspace, run: Run, contest: Contest) -> bytes:
    return load_oof(workspace, run, contest).tobytes() + load_test_prob(workspace, run).tobytes()


def _weights(folder: Path) -> Kind:
    """The weights of a fold; whoever takes an artefact's files verifies the artefact first."""
    with publishing(folder, kind="fold", parents={}) as temporary:
        save_file({"layer": np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)}, temporary / "weights.safetensors")

    def read() -> bytes:
        artefacts.verify(folder)
        return (folder / "weights.safetensors").read_bytes()

    return Kind("weights", files_in(folder), read)


def _checkpoints(folder: Path) -> Kind:
    """Two generations, of which the newer one is damaged: then the older one is used, and the damaged one set aside by name."""
    identity = Identity({"data": "a", "recipe": "b"})
    names = [checkpoint_name(1, step, 1) for step in (10, 20)]
    for number, name in enumerate(names):
        with publishing(folder / name, kind="checkpoint", parents=identity.facts, facts={"step": number}) as temporary:
            tensors = {"moment": np.random.default_rng(number).normal(size=(32, 32)).astype(np.float32)}
            save_file(tensors, temporary / "network.safetensors")
            write_json(temporary / "state.json", {"place": {"step": number}})
    said = io.StringIO()
    log = logging.getLogger("core.training.checkpoint")
    log.addHandler(logging.StreamHandler(said))
    log.propagate = False

    def read() -> bytes:
        said.seek(said.truncate(0))
        found = newest_verified(folder, identity)
        for aside in list_quarantined(folder):  # back to its place, for the next damage
            os.rename(aside.path, folder / aside.path.name)
        if found is None or found.path.name not in names:
            raise Lost("no checkpoint was found, but the older one is whole")
        if found.path.name == names[0]:
            raise CheckpointError(said.getvalue() or "the newest checkpoint is passed over, and nothing is said")
        return b"".join(file.read_bytes() for file in files_in(found.path, but=("manifest.json",)))

    return Kind("checkpoints", files_in(folder / names[1]), read)


def _images(workspace: Workspace, folder: Path) -> Kind:
    """The contest's own images, as training opens them."""
    table = load_table(workspace, add_glyphs(workspace, folder, n_rows=3))
    rows = list(zip(table.train["input"], table.train["sha256"], strict=True))[:5]
    return Kind(
        "images",
        [table.image_path(name) for name, _ in rows],
        lambda: b"".join(np.asarray(open_image(table.image_path(name), sha256=sha256)).tobytes() for name, sha256 in rows),
    )


def _truth(workspace: Workspace) -> Kind:
    """The hidden truth of a sample, by the score it gives."""
    contest = samples.open_sample(workspace, "news")
    path = samples.truth_path(workspace, "news")
    frame = pd.read_csv(path, dtype="str")[["id", "label"]]
    return Kind("hidden truth", [path], lambda: repr(samples.hidden_scores(workspace, contest, frame)).encode())


def _database(path: Path, workspace: Workspace, contest: Contest, folds: Folds) -> Kind:
    """What is written once, as the store gives it and as it is; the rest is read and written to, and may say something else."""
    from core.jobs.launch import launch_run

    launch_run(workspace, contest, folds, make_recipe(contest, "waiting"))
    workspace.store.close()
    shutil.copyfile(workspace.db_path, path)
    scratch = path.parent / "scratch" / path.name
    (scratch.parent / "contests" / contest.name / "data-0").mkdir(parents=True)

    def read() -> bytes:
        shutil.copyfile(path, scratch)
        store = open_store(sqlite_url(scratch))
        try:
            store.check()
            rows: list[Any] = [list_contests(store), list_blends(store), list_submissions(store), list_folds(store, contest.id)]
            for each in list_runs(store):
                rows.append((each.own_recipe, each.fold_numbers, each.imported, each.results, [job.payload for job in each.jobs]))
                list_epochs(store, each.id)
            with store.read() as connection:
                for table in metadata.sorted_tables:
                    once = [column for column in table.columns if DIGEST in table.c and CHANGES not in column.info]
                    rows += connection.execute(select(*once)).all() if once else []
            for look in (read_live, read_queue, list_holds):
                look(store)
            read_tallies(store, since=0.0)
            claim(store, owner=ELSEWHERE, device="cpu", now=1e9)
        finally:
            store.close()
        return hashlib.sha256(repr(rows).encode()).digest()

    return Kind("database", [path], read)


def _without_a_look(path: Path, manifest: Manifest, name: str) -> Path:
    del manifest
    return path / name


def _the_same_for_all(table: str, values: Any) -> str:
    del table, values
    return ""


if __name__ == "__main__":
    sys.exit(main(run, full_n=FULL_N))
