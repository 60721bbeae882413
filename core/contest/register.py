"""Registration: every row and image is verified, then the tables are published and the contest's row is written, or nothing is."""

import hashlib
import io
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, UnidentifiedImageError

from core.artefacts import publishing
from core.base.errors import InputError, StateError
from core.base.files import fingerprint, write_json
from core.base.messages import joined, msg
from core.base.names import unused_file_name
from core.contest.files import FORMATS, ContestFiles
from core.contest.rows import Rows, read_rows
from core.contest.table import KNOWN, SAMPLE_SUBMISSION, count_classes, labels_of, publish_groups, publish_truth
from core.data import images  # it also makes Pillow's warning of large images an error
from core.specs.contest import ContestSpec
from core.store import contests
from core.workspace import Workspace

JPEG_END = b"\xff\xd9"
MAX_BYTES = 512 * 2**20
N_THREADS = min(16, 4 + (os.cpu_count() or 1))
REPORT_EVERY = 64
Progress = Callable[[int, int], None]


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
    try:
        with Image.open(io.BytesIO(raw), formats=images.FORMATS) as image:
            if image.width * image.height > images.MAX_PIXELS:
                what = "{width} x {height} pixels are too many (limit {limit:,})"
                return Checked(what=msg(what, width=image.width, height=image.height, limit=images.MAX_PIXELS), fix="resize the image")
            if image.format == "PNG":
                image.verify()
            elif not (image.format in ("JPEG", "MPO") and raw.rstrip(b"\0\r\n ").endswith(JPEG_END)):
                image.load()
    except UnidentifiedImageError:
        what = msg("not an image of an accepted format ({formats})", formats=FORMATS)
        return Checked(what=what, fix="convert it to PNG or JPEG, or take the row out")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return Checked(what=msg("too many pixels (limit {limit:,})", limit=images.MAX_PIXELS), fix="resize the image")
    except Exception as problem:  # noqa: BLE001 - Pillow's decoders raise anything on damaged bytes: that is what is reported here
        said = str(problem).partition(" (")[0] or type(problem).__name__
        return Checked(what=msg("damaged image: {problem}", problem=said), fix="download or export the image again")
    return Checked(sha256=hashlib.sha256(raw).hexdigest())


def check_images(paths: Sequence[Path], progress: Progress | None = None) -> list[Checked]:
    """Check many files on a few threads, in order; `progress(done, total)` is called from the calling thread."""
    results: list[Checked] = []
    with ThreadPoolExecutor(N_THREADS, thread_name_prefix="check-image") as pool:
        for result in pool.map(check_image, paths, chunksize=1):
            results.append(result)
            if progress and (len(results) % REPORT_EVERY == 0 or len(results) == len(paths)):
                progress(len(results), len(paths))
    return results


def add_contest(workspace: Workspace, spec: ContestSpec, *, sample: str = "", progress: Progress | None = None) -> contests.Contest:
    """Verify every row of a contest and register it; `progress(done, total)` counts images.

    Raises InputError with the first twenty problems (file, line, column, fix) and their number; then the workspace is as it was.
    """
    if spec.name in [contest.name for contest in contests.list_contests(workspace.store)]:
        raise StateError(
            "there is a contest named '{name}' already",
            where=spec.name,
            why="names are unique in a workspace",
            fix="choose another name, or delete that contest",
            name=spec.name,
        )
    files = ContestFiles(Path(spec.root), spec.encoding)
    rows = read_rows(files, spec)
    train, test = _with_sha256(files, spec, rows, progress)
    _check_classes(train, spec, rows)
    rows.problems.raise_if_any("the contest cannot be registered")

    identity = rows_fingerprint(spec.modality, train, test)
    labels = labels_of(train, len(spec.classes))
    home_folder = unused_file_name(spec.name, contests.contest_folders(workspace.store))
    destination = workspace.part_dir(home_folder, "data", fingerprint({"contest": identity, "spec": spec.to_dict()}))
    home = workspace.root.resolve()
    inside = files.root.relative_to(home).as_posix() if files.root.is_relative_to(home) else None
    facts = {"n_train": len(train), "n_test": len(test), "root_in_workspace": inside}
    made: list[Path] = []
    try:
        with publishing(destination, kind="contest", parents={}, facts=facts) as folder:
            train.drop(columns=list(KNOWN), errors="ignore").to_parquet(folder / "train.parquet", index=False)
            test.to_parquet(folder / "test.parquet", index=False)
            write_json(folder / "spec.json", spec.to_dict())
            if spec.sample_submission:
                shutil.copyfile(files.root / files.files[spec.sample_submission], folder / SAMPLE_SUBMISSION)
        made.append(destination)
        kept = publish_truth(workspace, home_folder, spec, identity, labels, np.zeros(len(train), dtype=np.bool_))
        made.append(kept[1])
        groups = publish_groups(workspace, home_folder, identity, spec.group_column, train["group"].tolist()) if "group" in train else None
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
                shutil.rmtree(folder)
            if destination.parent.is_dir() and not any(destination.parent.iterdir()):
                destination.parent.rmdir()
        raise


def delete_contest(workspace: Workspace, contest: contests.Contest) -> None:
    """Delete a contest's row and what the workspace holds of it; StateError while it has runs. The person's own files stay."""
    contests.delete_contest(workspace.store, contest.id)
    folder = workspace.contest_dir(contest.folder)
    if folder.exists():
        shutil.rmtree(folder)


def rows_fingerprint(modality: str, train: pd.DataFrame, test: pd.DataFrame) -> str:
    """The identity of a contest's rows: ids and contents in their order. Labels, classes, groups, metric, names and places are none of it."""
    frames = {"train": train, "test": test}
    parts = {part: fingerprint({column: frame[column].tolist() for column in ("id", "sha256")}) for part, frame in frames.items()}
    return fingerprint({"kind": "rows", "modality": modality, **parts})


def _with_sha256(files: ContestFiles, spec: ContestSpec, rows: Rows, progress: Progress | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both frames with the column sha256 in its place; a damaged image becomes a problem."""
    parts = (rows.train, rows.test)
    inputs = list(dict.fromkeys(value for part in parts for value in part.frame["input"]))
    if spec.modality == "text":
        results = [Checked(sha256=hashlib.sha256(text.encode("utf-8")).hexdigest()) for text in inputs]
    else:
        inputs = [name for name in inputs if name]
        results = check_images([files.root / name for name in inputs], progress)
    checked = dict(zip(inputs, results, strict=True))
    train, test = (part.frame.copy() for part in parts)
    for part, frame in zip(parts, (train, test), strict=True):
        found = [checked.get(value, Checked()) for value in frame["input"]]
        for row, result in enumerate(found):
            if result.what:
                line, name = part.line(row), str(frame["input"][row])
                file, what = (name, result.what) if line is None else (part.file, joined(": ", [name, result.what]))
                rows.problems.add(file, what, result.fix, row=line, column=part.input_column)
        position = sum(not column.startswith("col.") for column in frame.columns)
        frame.insert(position, "sha256", pd.Series([result.sha256 for result in found], index=frame.index, dtype="str"))
    return train, test


def _check_classes(train: pd.DataFrame, spec: ContestSpec, rows: Rows) -> None:
    counts = count_classes(labels_of(train, len(spec.classes)), len(spec.classes), multilabel=spec.is_multilabel)
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
