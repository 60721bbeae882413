"""Registration: every row and image is verified, then the tables are published and the contest's row is written, or nothing is."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from PIL import Image, UnidentifiedImageError

from core.artefacts import publishing
from core.base.errors import InputError, StateError
from core.base.files import fingerprint, write_json
from core.base.messages import joined, msg
from core.contest.csv_table import Problems
from core.contest.files import FORMATS, ContestFiles
from core.contest.rows import Part, Rows, read_rows
from core.contest.table import KNOWN, SAMPLE_SUBMISSION, count_classes, labels_of, publish_groups, publish_truth
from core.data.images import FORMATS as ACCEPTED
from core.data.images import MAX_PIXELS  # that module also makes Pillow's warning of large images an error
from core.specs.contest import ContestSpec
from core.store import contests
from core.workspace import Workspace

if TYPE_CHECKING:
    from core.store.contests import Contest

JPEG_END = b"\xff\xd9"
MAX_BYTES = 512 * 2**20
N_THREADS = min(16, 4 + (os.cpu_count() or 1))
TELL_EVERY = 64


@dataclass(frozen=True)
class Checked:
    """The sha256 of a file, or what is wrong with it and the fix."""

    sha256: str = ""
    what: str = ""
    fix: str = ""


def check_image(path: Path) -> Checked:
    """Read a file once, hash it, and see that it is a whole image; formats that carry no end mark are decoded."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return Checked(what=msg("the file is larger than {n} MB", n=MAX_BYTES >> 20), fix="resize the image")
        raw = path.read_bytes()
    except OSError as problem:
        return Checked(
            what=msg("unreadable: {problem}", problem=problem.strerror or problem), fix="see that the file exists and may be read"
        )
    if not raw:
        return Checked(what="the image file is empty (0 bytes)", fix="download or export the image again")
    what, fix = _defect(raw)
    return Checked(what=what, fix=fix) if what else Checked(sha256=hashlib.sha256(raw).hexdigest())


def _defect(raw: bytes) -> tuple[str, str]:
    again = "download or export the image again"
    try:
        with Image.open(io.BytesIO(raw), formats=ACCEPTED) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                return msg(
                    "{width} x {height} pixels are too many (limit {limit:,})", width=width, height=height, limit=MAX_PIXELS
                ), "resize the image"
            if image.format == "PNG":
                image.verify()
            elif not (image.format in ("JPEG", "MPO") and raw.rstrip(b"\0\r\n ").endswith(JPEG_END)):
                image.load()
    except UnidentifiedImageError:
        return msg("not an image of an accepted format ({formats})", formats=FORMATS), "convert it to PNG or JPEG, or take the row out"
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return msg("too many pixels (limit {limit:,})", limit=MAX_PIXELS), "resize the image"
    except Exception as problem:  # noqa: BLE001 - Pillow's decoders raise anything on damaged bytes: that is what is told here
        return msg("damaged image: {problem}", problem=str(problem).partition(" (")[0] or type(problem).__name__), again
    return "", ""


def check_images(paths: Sequence[Path], progress: Callable[[int, int], None] | None = None) -> list[Checked]:
    """Check many files on a few threads, in order; `progress(done, total)` is called from the calling thread."""
    results: list[Checked] = []
    with ThreadPoolExecutor(N_THREADS, thread_name_prefix="check-image") as pool:
        for result in pool.map(check_image, paths, chunksize=1):
            results.append(result)
            if progress and (len(results) % TELL_EVERY == 0 or len(results) == len(paths)):
                progress(len(results), len(paths))
    return results


REFUSED = "the contest cannot be registered"
Progress = Callable[[int, int], None]


def add_contest(workspace: Workspace, spec: ContestSpec, *, sample: str = "", progress: Progress | None = None) -> Contest:
    """Verify every row of a contest and register it; `progress(done, total)` counts images.

    Raises InputError with the first twenty problems (file, line, column, fix) and their number; then the workspace is as it was.
    """
    _refuse_taken_name(workspace, spec.name)
    files = ContestFiles(Path(spec.root))
    rows = read_rows(files, spec)
    train, test = _with_sha256(files, spec, rows, progress)
    _check_classes(train, spec, rows)
    rows.problems.raise_if_any(REFUSED)

    source = files.root / files.files[spec.sample_submission] if spec.sample_submission else None
    identity = rows_fingerprint(spec.modality, train, test)
    labels = labels_of(train, len(spec.classes))
    destination = workspace.data_dir(spec.name, fingerprint({"contest": identity, "spec": spec.to_dict()}))
    made: list[Path] = []
    try:
        with publishing(destination, kind="contest", parents={}, facts=_facts(workspace, files.root, train, test)) as folder:
            train.drop(columns=list(KNOWN), errors="ignore").to_parquet(folder / "train.parquet", index=False)
            test.to_parquet(folder / "test.parquet", index=False)
            write_json(folder / "spec.json", spec.to_dict())
            if source is not None:
                shutil.copyfile(source, folder / SAMPLE_SUBMISSION)
        made.append(destination)
        kept = publish_truth(workspace, spec, identity, labels, np.zeros(len(train), dtype=np.bool_))
        made.append(kept[1])
        groups = publish_groups(workspace, spec.name, identity, spec.group_column, train["group"].tolist()) if "group" in train else None
        made += [groups[1]] if groups else []
        return contests.add_contest(
            workspace.store,
            spec=spec,
            fingerprint=identity,
            path=workspace.relative(destination),
            n_train=len(train),
            n_test=len(test),
            truth=contests.Published(kept[0], workspace.relative(kept[1])),
            groups=contests.Published(groups[0], workspace.relative(groups[1])) if groups else None,
            sample=sample,
        )
    except BaseException:
        # Somebody else may have registered the very same contest in the meantime: then the artefact is theirs.
        if all(contest.path != workspace.relative(destination) for contest in contests.list_contests(workspace.store)):
            for folder in made:
                _remove(folder)
        raise


def delete_contest(workspace: Workspace, contest: Contest) -> None:
    """Delete a contest's row and what the workspace holds of it; StateError while it has runs. The person's own files stay."""
    contests.delete_contest(workspace.store, contest.id)
    folder = workspace.contest_dir(contest.name)
    if folder.exists():
        shutil.rmtree(folder)


def rows_fingerprint(modality: str, train: pd.DataFrame, test: pd.DataFrame) -> str:
    """The identity of a contest's rows: ids and contents in their order. Labels, classes, groups, metric, names and places are none of it."""
    parts = {part: _hash_columns(frame, ("id", "sha256")) for part, frame in (("train", train), ("test", test))}
    return fingerprint({"kind": "rows", "modality": modality, **parts})


def _hash_columns(frame: pd.DataFrame, columns: tuple[str, ...]) -> str:
    return fingerprint({column: frame[column].tolist() for column in columns})


def _refuse_taken_name(workspace: Workspace, name: str) -> None:
    taken = [contest.name for contest in contests.list_contests(workspace.store)]
    if name in taken:
        raise StateError(
            "there is a contest named '{name}' already",
            where=name,
            why="names are unique in a workspace",
            fix="choose another name, or delete that contest",
            name=name,
        )


def _facts(workspace: Workspace, root: Path, train: pd.DataFrame, test: pd.DataFrame) -> dict[str, Any]:
    inside = root.relative_to(workspace.root.resolve()).as_posix() if root.is_relative_to(workspace.root.resolve()) else None
    return {"n_train": len(train), "n_test": len(test), "root_in_workspace": inside}


def _with_sha256(files: ContestFiles, spec: ContestSpec, rows: Rows, progress: Progress | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both frames with the column sha256 in its place; a damaged image becomes a problem."""
    parts = (rows.train, rows.test)
    if spec.modality == "text":
        hashes = [[hashlib.sha256(text.encode("utf-8")).hexdigest() for text in part.frame["input"]] for part in parts]
    else:
        hashes = _image_hashes(files, parts, rows.problems, progress)
    train, test = (part.frame.copy() for part in parts)
    for frame, values in ((train, hashes[0]), (test, hashes[1])):
        position = len([column for column in frame.columns if not column.startswith("col.")])
        frame.insert(position, "sha256", pd.Series(values, index=frame.index, dtype="str"))
    return train, test


def _image_hashes(files: ContestFiles, parts: tuple[Part, Part], problems: Problems, progress: Progress | None) -> list[list[str]]:
    names = list(dict.fromkeys(name for part in parts for name in part.frame["input"] if name))
    checked = dict(zip(names, check_images([files.root / name for name in names], progress), strict=True))
    hashes: list[list[str]] = []
    for part in parts:
        values: list[str] = []
        for row, name in enumerate(part.frame["input"]):
            result = checked.get(name)
            values.append(result.sha256 if result else "")
            if result and result.what:
                line = part.line(row)
                file, what = (name, result.what) if line is None else (part.file, joined(": ", [name, result.what]))
                problems.add(file, what, result.fix, row=line, column=part.input_column)
        hashes.append(values)
    return hashes


def _check_classes(train: pd.DataFrame, spec: ContestSpec, rows: Rows) -> None:
    counts = count_classes(labels_of(train, len(spec.classes)), len(spec.classes))
    if spec.layout == "csv":
        fix = "leave `classes` to be found, or add rows"
        if not spec.label_column:
            fix = "add rows that have it, or name only the other columns in `classes`"
        for number in np.flatnonzero(counts == 0):
            name = spec.classes[number]
            rows.problems.add(spec.train, msg("no row has the class '{name}'", name=name), fix, column=spec.label_column or name)
    if len(train) == 0:
        raise InputError(
            "there are no training rows",
            where=spec.train,
            why="nothing was found to learn from",
            fix="set train to the table or folder with the labels",
        )


def _remove(destination: Path) -> None:
    """Take back what this registration published, and its contest folder when nothing else is in it."""
    if destination.exists():
        shutil.rmtree(destination)
    parent = destination.parent
    if parent.is_dir() and not any(parent.iterdir()):
        parent.rmdir()
