"""F1. Whatever is read from a person or a file, in any bytes: a typed error or an answer. The queue, in any history: what a model says.

`n` examples are shared by the parsers and by the histories of the queue. The bug to plant: jobs of a paused run are given out.
"""

from __future__ import annotations

import io
import random
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings, strategies as st
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import select

from core.analysis.kept import read_tail
from core.artefacts import load_manifest, publishing
from core.base.errors import PitwallError
from core.base.files import resolve_inside
from core.base.settings import apply_sets, load_settings
from core.contest.csv_table import read_table
from core.contest.image_pass import check_image
from core.contest.inspect.draft import inspect_path
from core.contest.inspect.sources import parse_answers
from core.contest.uploads import extract_archive
from core.data.images import open_image
from core.exchange.files import read_predictions
from core.specs.contest import ContestSpec
from core.specs.recipe import Recipe
from core.store import attempts, tables
from core.store.contests import Contest, TruthVersion, get_contest
from core.store.database import Store, sqlite_url
from core.store.runs import get_run
from core.submission.format import parse_format
from tests.contest.contest_folders import image_contest
from tests.faults.fault import Given, Outcome, made_up_store, main
from tests.inputs.hard_images import hard_images
from tests.inputs.queue_model import QueueMachine, on_empty_databases
from tests.inputs.spoiled_predictions import EXPECTED, frame
from tests.inputs.spoiled_recipes import GOOD

FULL_N = 12_000
N_STEPS = 30
COST_OF_HISTORY = 5
"""A history of the queue counts as so many examples of a parser."""

Read = Callable[[Any, Path], object]
PIECES = [
    b"",
    b",",
    b'"',
    b"\n",
    b"\r",
    b"\t",
    b";",
    b"\xff",
    b"\xb0\xa1",
    b"\xea\xb0\x80",
    b"NaN",
    b"..",
    b"/",
    b"\0",
    b"0",
    b"-",
    b"{",
    b"[",
    b"&a",
    b"!!",
]
TEXT = st.text(max_size=60)


def spoiled(*whole: bytes) -> st.SearchStrategy[bytes]:
    """A good file with pieces cut out and others put in, or any bytes at all."""
    edits = st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 30), st.sampled_from(PIECES) | st.binary(max_size=8)), min_size=1, max_size=5
    )

    def apply(raw: bytes, changes: list[tuple[float, int, bytes]]) -> bytes:
        for share, n_cut, piece in changes:
            place = int(share * len(raw))
            raw = raw[:place] + piece + raw[place + n_cut :]
        return raw

    return st.binary(max_size=120) | st.builds(apply, st.sampled_from(whole), edits)


def _in_file(name: str, read: Callable[[Path], object]) -> Read:
    """Read the bytes as a file of this name."""

    def give(raw: bytes, folder: Path) -> object:
        path = folder / name
        path.write_bytes(raw)
        return read(path)

    return give


def _archive() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train/가.txt", b"hello " * 20)
        archive.writestr("train.csv", b"id,text,label\n1,a,b\n")
    return stream.getvalue()


def _predictions(folder: Path) -> dict[str, bytes]:
    frame().to_csv(folder / "a.csv", index=False)
    frame().to_parquet(folder / "a.parquet", index=False)
    np.save(folder / "a.npy", frame().iloc[:, 2:].to_numpy())
    return {suffix: (folder / f"a{suffix}").read_bytes() for suffix in (".csv", ".parquet", ".npy")}


def _extract(raw: bytes, folder: Path) -> object:
    path, out = folder / "a.zip", folder / "out"
    path.write_bytes(raw)
    try:
        return extract_archive(path, out)
    finally:
        for file in sorted(out.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        if out.exists():
            out.rmdir()


def _contest_of(spec: ContestSpec) -> Contest:
    return Contest(
        id=1,
        name=spec.name,
        spec=spec,
        fingerprint="",
        path="",
        n_train=1,
        n_test=1,
        sample="",
        created_at=0.0,
        archived_at=None,
        truth=TruthVersion(1, 1, 1, "", "", 0.0, 0, ""),
    )


def parsers(root: Path) -> dict[str, tuple[st.SearchStrategy[Any], Read]]:
    """Every parser with what it is given. A new parser is one more entry here."""
    root.mkdir(parents=True)
    good = image_contest(root / "good", n_train=4, n_test=2)
    tables_of = [(good / name).read_bytes() for name in ("train.csv", "test.csv", "sample_submission.csv")]
    sample = _contest_of(
        ContestSpec(
            name="x", root="/x", modality="image", layout="csv", train="t", classes=("cat", "dog", "owl"), submission="probabilities"
        )
    )
    labels = _contest_of(sample.spec.model_copy(update={"submission": "label"}))
    sets = _contest_of(labels.spec.model_copy(update={"labels": "several", "label_column": "label", "label_separator": ","}))
    with publishing(root / "artefact", kind="x", parents={"a": "b"}) as folder:
        (folder / "data").write_bytes(b"data")
    manifest = (root / "artefact" / "manifest.json").read_bytes()
    made_up_store(root / "store.db", 3)
    store = Store(sqlite_url(root / "store.db"))
    predictions = _predictions(root)

    def inspect(change: tuple[str, bytes, list[str]], folder: Path) -> object:
        name, raw, sets = change
        kept = (good / name).read_bytes()
        (good / name).write_bytes(raw)
        try:
            return inspect_path(good, name="c", sets=sets)
        finally:
            (good / name).write_bytes(kept)

    corrections = st.sampled_from(
        ["label_column=path", "id_column=", "modality=text", "test=", "submission=label", "layout=folders", "classes=[a, b]"]
    )
    settings_ = st.sampled_from(["optim.lr", "train.epochs", "model", "input.size_px", "tracking.trackers", "no.such", "modality"])
    return {
        "CSV": (spoiled(*tables_of), _in_file("t.csv", read_table)),
        "TSV": (spoiled(*(raw.replace(b",", b"\t") for raw in tables_of)), _in_file("t.tsv", read_table)),
        "contest": (
            st.tuples(
                st.sampled_from(["train.csv", "test.csv", "sample_submission.csv"]),
                spoiled(*tables_of),
                st.lists(corrections | TEXT, max_size=2),
            ),
            inspect,
        ),
        "corrections": (st.lists(TEXT, max_size=3), lambda sets, folder: parse_answers(sets)),
        "recipe file": (spoiled(GOOD.encode()), _in_file("recipe.yaml", lambda path: load_settings(Recipe, path))),
        "--set": (st.tuples(settings_, TEXT).map("=".join) | TEXT, lambda text, folder: apply_sets(Recipe(), [text])),
        "archive": (spoiled(_archive()), _extract),
        "image at registration": (spoiled(*hard_images().values()), _in_file("x.png", check_image)),
        "image in training": (spoiled(*hard_images().values()), _in_file("x.png", open_image)),
        **{
            f"predictions {suffix}": (spoiled(raw), _in_file(f"a{suffix}", lambda path: read_predictions(path, EXPECTED)))
            for suffix, raw in predictions.items()
        },
        "sample submission": (spoiled(tables_of[2]), _in_file("s.csv", lambda path: parse_format(path, sample))),
        "sample submission with labels": (
            spoiled(b"id,label\r\n010,cat\r\n011,dog\r\n"),
            _in_file("s.csv", lambda path: parse_format(path, labels)),
        ),
        "sample submission with several labels": (
            spoiled(b"id,label\r\n010,\"['cat', 'owl']\"\r\n011,[]\r\n"),
            _in_file("s.csv", lambda path: parse_format(path, sets)),
        ),
        "manifest": (spoiled(manifest), _in_file("manifest.json", lambda path: load_manifest(path.parent))),
        "log": (spoiled(b"epoch 1\n" * 20), _in_file("job.log", lambda path: read_tail(path, max_bytes=64))),
        "path": (TEXT, lambda text, folder: resolve_inside(folder, text)),
        "reference of a run": (TEXT | st.from_regex(r"r[0-9]{1,30}", fullmatch=True), lambda text, folder: get_run(store, text)),
        "number of a run": (st.integers(), lambda number, folder: get_run(store, number)),
        "name of a contest": (TEXT, lambda text, folder: get_contest(store, text)),
    }


def run(given_: Given) -> Outcome:
    """Let hypothesis look for an input that a parser does not take, and for a history in which the queue and its model part."""
    outcome = Outcome()
    if given_.is_mutant:
        attempts._first = _first_paused_or_not  # pyright: ignore[reportPrivateUsage]
    found = parsers(given_.root / "parsers")
    share = max(1, given_.n // (len(found) + 1))
    phases = (
        [Phase.generate] if given_.is_mutant else [Phase.generate, Phase.shrink]
    )  # the planted bug is known; its smallest case is not wanted
    checked = {"phases": phases, "deadline": None, "database": None, "suppress_health_check": list(HealthCheck), "print_blob": False}
    for name, (strategy, read) in found.items():
        folder = given_.root / name.replace(" ", "-")
        folder.mkdir()

        holds = seed(given_.rng.randrange(2**32))(settings(max_examples=share, **checked)(_property(strategy, read, folder)))
        _look(outcome, name, holds)
    _look(outcome, "queue", lambda: _histories(given_, max(1, share // COST_OF_HISTORY), checked))
    return outcome


def _property(strategy: st.SearchStrategy[Any], read: Read, folder: Path) -> Callable[[], None]:
    """Whatever it is given, a parser answers or raises a typed error that has a fix."""

    @given(strategy)
    def holds(value: Any) -> None:
        try:
            read(value, folder)
        except PitwallError as problem:
            assert problem.what and problem.fix, f"an error without a fix: {problem}"

    return holds


def _look(outcome: Outcome, name: str, holds: Callable[[], object]) -> None:
    try:
        holds()
    except Exception as problem:  # noqa: BLE001  # whatever a parser lets out is what this looks for
        notes = " | ".join(getattr(problem, "__notes__", []))
        outcome.wrong(f"{name}: {type(problem).__name__}: {str(problem)[:200]} {notes[:300]}")


def _histories(given_: Given, n: int, checked: dict[str, Any]) -> None:
    machine = on_empty_databases(QueueMachine, given_.root)
    machine.TestCase.settings = settings(max_examples=n, stateful_step_count=N_STEPS, **checked)
    run_state_machine_as_test(seed(given_.rng.randrange(2**32))(machine), settings=machine.TestCase.settings)


def _first_paused_or_not(device: str) -> Any:
    jobs = tables.jobs.c
    return select(jobs.id).where(jobs.state == "queued").order_by(jobs.priority.desc(), jobs.position).limit(1)


if __name__ == "__main__":
    random.seed(0)
    sys.exit(main(run, full_n=FULL_N))
