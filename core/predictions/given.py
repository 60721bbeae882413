"""Files that a person gives to be predicted: a table of texts, images, folders of images, a table that names images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from core.base.errors import InputError
from core.base.files import resolve_inside
from core.base.messages import reason
from core.contest.csv_table import read_csv
from core.contest.files import FORMATS, IMAGE_SUFFIXES, TABLE_SUFFIXES, ContestFiles
from core.predictions.again import Rows
from core.specs.contest import ContestSpec


def read_given(paths: Sequence[Path], spec: ContestSpec) -> Rows:
    """The rows of all these files, as the contest's own rows are made: texts of several columns are joined by a line break.

    A row's id is that of the contest's id column; else a number in a table, an image's name, its path below a given folder. Raises
    InputError for a file that holds no rows of the contest.
    """
    ids: list[str] = []
    inputs: list[str | Path] = []
    for path in paths:
        found_ids, found = _read(path, spec)
        ids += found_ids
        inputs += found
    texts, files = [row for row in inputs if isinstance(row, str)], [row for row in inputs if isinstance(row, Path)]
    return Rows(ids, files or texts)


def _read(path: Path, spec: ContestSpec) -> tuple[list[str], Sequence[str | Path]]:
    suffix = path.suffix.lower()
    if path.is_file() and suffix in (*TABLE_SUFFIXES, ".parquet"):
        return _of_table(path, spec)
    if spec.modality == "image" and path.is_dir():
        files = ContestFiles(path)
        if files.images:
            return list(files.images), [files.root / files.files[key] for key in files.images]
    elif spec.modality == "image" and suffix in IMAGE_SUFFIXES and path.is_file():
        return [path.name], [path]
    raise InputError(
        "{file} cannot be predicted",
        where=str(path),
        why="the contest's rows are {modality}s, and it holds none" if path.exists() else "there is nothing at this path",
        fix="give images ({formats}), a folder of them, or a table"
        if spec.modality == "image"
        else "give a CSV or Parquet file with the texts",
        file=path.name,
        modality=spec.modality,
        formats=FORMATS,
    )


def _of_table(path: Path, spec: ContestSpec) -> tuple[list[str], Sequence[str | Path]]:
    try:
        frame = pd.read_parquet(path) if path.suffix.lower() == ".parquet" else read_csv(path)
    except (OSError, ValueError) as problem:
        raise InputError(
            "cannot read {file}", where=str(path), why=reason(problem), fix="give a CSV or Parquet file", file=path.name
        ) from None
    if not spec.input_columns:
        raise InputError(
            "this contest has no column of images",
            where=str(path),
            why="its images lie in folders",
            fix="give the images, or a folder of them",
        )
    missing = [name for name in spec.input_columns if name not in frame.columns]
    if missing:
        raise InputError(
            "{file} has not the contest's columns",
            where=str(path),
            why="there is no {names}; there are {columns}",
            fix="name the columns {wanted}",
            file=path.name,
            names=", ".join(missing),
            columns=", ".join(map(str, frame.columns[:20])),
            wanted=", ".join(spec.input_columns),
        )
    cells = frame[list(spec.input_columns)].astype("str").fillna("")
    inputs = [str(row) for row in cells.agg("\n".join, axis=1)] if len(cells) else []
    ids = [str(row) for row in (frame[spec.id_column] if spec.id_column in frame.columns else range(len(frame)))]
    if spec.modality == "text":
        return ids, inputs
    return ids, [resolve_inside(path.parent, row) for row in inputs]
