"""What single cells of a person's table can be wrong about: empty, an id twice, an image that is not there."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import pandas as pd

from core.base.messages import joined, msg
from core.contest.encoding import Table
from core.contest.files import FORMATS, IMAGE_SUFFIXES, ContestFiles, join, suffix_of
from core.contest.problems import Problems

MISSING_CELLS = ("", "nan", "NaN", "NAN", "<NA>")


def column_of(frame: pd.DataFrame, name: str) -> pd.Series:
    """One column, typed: pandas cannot say that a name names one."""
    return cast(pd.Series, frame[name])


def is_missing(values: pd.Series) -> pd.Series:
    """True where a cell is empty or what pandas writes for a missing value."""
    return cast(pd.Series, values.str.strip().isin(MISSING_CELLS))


def rows_where(mask: pd.Series) -> list[int]:
    """Row numbers where a mask is true."""
    return [int(row) for row in np.flatnonzero(mask.to_numpy(dtype=bool))]


def check_ids(ids: pd.Series, file: str, column: str, line: Callable[[int], int], problems: Problems) -> None:
    """Note ids that are empty or appear twice."""
    missing = is_missing(ids)
    for row in rows_where(missing):
        problems.add(file, "the id is empty", "give every row an id", row=line(row), column=column)
    twice = rows_where(ids.duplicated() & ~missing)
    if twice:
        first = {value: row for row, value in reversed(list(enumerate(ids)))}
        fix = "give every row an id of its own, or set id_column to another column"
        for row in twice:
            problems.add(
                file,
                msg("the id '{id}' is already on line {line}", id=ids[row], line=line(first[ids[row]])),
                fix,
                row=line(row),
                column=column,
            )


def find_images(files: ContestFiles, values: pd.Series, table: Table, file: str, column: str, base: str, problems: Problems) -> pd.Series:
    """The path on disk, relative to the contest's root, of the image that each cell names; "" and a problem where there is none."""
    paths: list[str] = []
    for row, value in enumerate(values):
        match = files.find_image(value, base) if value.strip() else []
        if isinstance(match, str) and (suffix_of(match) in IMAGE_SUFFIXES or not suffix_of(match)):
            paths.append(files.files[match])
            continue
        paths.append("")
        what, fix = _why_no_image(files, value, match, base)
        problems.add(file, what, fix, row=int(table.lines[row]), column=column)
    return pd.Series(paths, dtype="str")


def _why_no_image(files: ContestFiles, value: str, match: str | list[str], base: str) -> tuple[str, str]:
    if value.strip() in MISSING_CELLS:
        return "the image path is empty", "fill the path in, or take the row out"
    if isinstance(match, str):
        return msg("{path}: {suffix} files are not accepted", path=value, suffix=suffix_of(match)), msg(
            "convert it to one of {formats}", formats=FORMATS
        )
    if match:
        return msg("{path} could be {names}", path=value, names=" or ".join(match)), "write the path with its suffix"
    key = join(base, value)
    if files.is_behind_link(key):
        return msg("{path} is behind a symbolic link, which is not followed", path=value), "put the files themselves here"
    near = files.by_lower.get(key.lower())
    fix = "add the image or take the row out; set image_root (or test_image_root) when all paths start elsewhere"
    what = msg("there is no image {path} in {folder}", path=value, folder=base or "the contest folder")
    return joined("; ", [what, msg("the folder has {path}", path=near)]) if near else what, fix
