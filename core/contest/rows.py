"""From a spec to rows: what each file of the contest says, with every problem of every row collected on the way.

No image is opened here; registration does that. Inspection uses the same rows, so both say the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.base.files import nfc
from core.base.messages import joined, msg
from core.contest.csv_table import MISSING_CELLS, Problems, Table, column_of, is_missing, rows_where
from core.contest.files import FORMATS, IMAGE_SUFFIXES, REFUSED_SUFFIXES, ContestFiles, clean, join, suffix_of, without_suffix
from core.contest.labels import sets_of_cells, sets_of_columns
from core.specs.contest import ContestSpec


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


@dataclass(frozen=True)
class Part:
    """The training or the test rows: `frame` with id, input, (label or labels), (group), col.*; where each row came from."""

    frame: pd.DataFrame
    file: str
    input_column: str
    lines: NDArray[np.int64] | None

    def line(self, row: int) -> int | None:
        """The line of the file behind a row, None for rows that come from a folder."""
        return None if self.lines is None else int(self.lines[row])


@dataclass(frozen=True)
class Rows:
    """Everything a spec leads to; `problems` is empty when the contest can be registered as far as its tables go."""

    train: Part
    test: Part
    n_empty_texts: int
    test_ids: str
    problems: Problems


def read_rows(files: ContestFiles, spec: ContestSpec) -> Rows:
    """Build the rows of a contest. Raises InputError for a file that cannot be read or a column that is not there."""
    problems = Problems()
    _check_names(files, spec)
    train = _train_of_folders(files, spec, problems) if spec.layout == "folders" else _train_of_table(files, spec, problems)
    sample = files.table(spec.sample_submission) if spec.sample_submission else None
    test, test_ids = _test(files, spec, sample, problems)
    if sample is not None:
        _check_sample(sample, spec, test, problems)
    if spec.modality == "image":
        _check_file_names(files, problems)
    texts = [part.frame["input"] for part in (train, test)] if spec.modality == "text" else []
    return Rows(train, test, sum(int((values.str.strip() == "").sum()) for values in texts), test_ids, problems)


def is_folder(files: ContestFiles, name: str) -> bool:
    """True when a name of the spec is a folder of the contest ("." is its root)."""
    key = folder_key(name)
    return not key or key in files.folders


def folder_key(name: str) -> str:
    """A folder name of the spec as a key; the root is ""."""
    key = clean(name).strip("/")
    return "" if key == "." else key


def class_folders(files: ContestFiles, spec_train: str, spec_test: str) -> dict[str, str]:
    """Class name to key of its folder: every folder directly inside the training folder, but the one that holds the test."""
    test = folder_key(spec_test) if spec_test else None
    keys = files.children(folder_key(spec_train))
    return {PurePosixPath(key).name: key for key in keys if test is None or not (key == test or test.startswith(key + "/"))}


def _check_file_names(files: ContestFiles, problems: Problems) -> None:
    for name in files.collisions:
        problems.add(name, "two files have this name (once composed, once decomposed Unicode)", "rename or delete one of them")
    fix = "register the original zip, or rename with `convmv -f cp949 -t utf-8`"
    for name in files.undecodable:
        problems.add(name, "the file's name is not UTF-8 (it looks like cp949)", fix)


def _check_names(files: ContestFiles, spec: ContestSpec) -> None:
    """Raise one error for all columns and folders that the spec names and that are not there."""
    problems = Problems()
    test_is_table = bool(spec.test) and not is_folder(files, spec.test)
    test = _columns(files, spec.test) if test_is_table else []
    if spec.layout == "csv":
        train = _columns(files, spec.train)
        if spec.is_multilabel and not spec.label_column:
            fix = "name columns of 0 and 1 in classes, or the column with the labels in label_column"
            for name in [name for name in spec.classes if name not in train]:
                problems.add(spec.train, msg("there is no column for the class '{name}'", name=name), fix, column=name)
        else:
            _need(problems, spec.train, train, "label_column", spec.label_column)
        _need_inputs(problems, spec, spec.train, train)
        if spec.group_column:
            _need(problems, spec.train, train, "group_column", spec.group_column)
        if spec.id_column and spec.id_column not in test:
            _need(problems, spec.train, train, "id_column", spec.id_column)
    elif not is_folder(files, spec.train):
        problems.add(spec.train, "there is no such folder", "set train to the folder that holds one folder per class")
    elif spec.group_column:
        problems.add(spec.train, "class folders have no columns to group by", "leave group_column empty", column=spec.group_column)
    if test_is_table:
        _need_inputs(problems, spec, spec.test, test)
    if spec.modality == "image":
        for setting, name in (("image_root", spec.image_root), ("test_image_root", spec.test_image_root)):
            if name and not is_folder(files, name):
                problems.add(name, "there is no such folder", msg("set {setting} to a folder of the contest", setting=setting))
        if len(spec.input_columns) > 1:
            what = msg("{n} columns are named for the image path", n=len(spec.input_columns))
            problems.add(spec.train, what, "name one column in input_columns")
    elif spec.layout == "folders":
        problems.add(spec.train, "class folders hold images, not texts", "set modality=image, or layout=csv")
    problems.raise_if_any("the contest's files and its settings do not fit")


def _columns(files: ContestFiles, name: str) -> list[str]:
    return list(files.table(name).frame.columns)


def _need(problems: Problems, file: str, columns: list[str], setting: str, name: str) -> None:
    if name not in columns:
        near = get_close_matches(name, columns, 1)
        what = msg("there is no column '{name}'" if name else "no {setting} is named", name=name, setting=setting)
        what = joined("; ", [what, *(msg("did you mean '{name}'?", name=one) for one in near)])
        problems.add(file, what, msg("set {setting} to one of: {names}", setting=setting, names=", ".join(columns[:40])), column=name)


def _need_inputs(problems: Problems, spec: ContestSpec, file: str, columns: list[str]) -> None:
    for name in spec.input_columns or ("",):
        _need(problems, file, columns, "input_columns", name)


def _train_of_folders(files: ContestFiles, spec: ContestSpec, problems: Problems) -> Part:
    base = folder_key(spec.train)
    folders = class_folders(files, spec.train, spec.test)
    keys: list[str] = []
    labels: list[int] = []
    for name, folder in folders.items():
        images = files.images_under(folder)
        if name not in spec.classes:
            problems.add(
                folder,
                msg("the folder '{name}' is not one of the classes", name=name),
                "move it out of the training folder, or leave `classes` out",
            )
        elif not images:
            problems.add(
                folder,
                msg("the class folder '{name}' holds no image ({formats})", name=name, formats=FORMATS),
                "add images to it or delete the folder",
            )
        else:
            keys += images
            labels += [spec.classes.index(name)] * len(images)
    for name in spec.classes:
        if name not in folders:
            problems.add(spec.train, msg("there is no folder for the class '{name}'", name=name), "add the folder, or leave `classes` out")
    inside = f"{base}/" if base else ""
    for key in files.files:
        if key.startswith(inside) and suffix_of(key) in REFUSED_SUFFIXES and key[len(inside) :].split("/")[0] in folders:
            problems.add(
                key,
                msg("{suffix} files are not accepted", suffix=suffix_of(key)),
                msg("convert it to one of {formats}, or take it out", formats=FORMATS),
            )
    for link in sorted(files.links):
        if link.startswith(inside):
            problems.add(
                link, "is a symbolic link, which is not followed", "put the files themselves here, or register the folder it points to"
            )
    frame = pd.DataFrame({"id": [key[len(inside) :] for key in keys], "input": [files.files[key] for key in keys]}, dtype="str")
    frame["label"] = np.array(labels, dtype=np.int64)
    return Part(frame, spec.train, "", None)


def _train_of_table(files: ContestFiles, spec: ContestSpec, problems: Problems) -> Part:
    table = files.table(spec.train)
    frame = _id_and_input(files, spec, table, spec.train, spec.image_root, problems)
    if spec.is_multilabel:
        frame["labels"] = sets_of_cells(table, spec, problems) if spec.label_column else sets_of_columns(table, spec, problems)
    else:
        frame["label"] = _labels_of_cells(table, spec, problems)
    if spec.group_column:
        groups = column_of(table.frame, spec.group_column)
        frame["group"] = groups
        for row in rows_where(is_missing(groups)):
            fix = "fill the group in, or use no group column"
            problems.add(spec.train, "the group is empty", fix, row=int(table.lines[row]), column=spec.group_column)
    return _with_columns(frame, table, spec.train, spec)


def _labels_of_cells(table: Table, spec: ContestSpec, problems: Problems) -> NDArray[np.int64]:
    """The class index of every row (n,), -1 and a problem where the cell names none."""
    labels = column_of(table.frame, spec.label_column).map(nfc)
    codes = pd.Index(spec.classes, dtype="str").get_indexer(pd.Index(labels)).astype(np.int64)
    missing = set(rows_where(is_missing(labels)))
    for row in np.flatnonzero(codes < 0):
        what, fix = (
            msg("'{label}' is not one of the {n} classes", label=labels[row], n=len(spec.classes)),
            "correct the label, or leave `classes` out",
        )
        if int(row) in missing:
            what, fix = "the label is empty", "fill the label in, or take the row out"
        problems.add(spec.train, what, fix, row=int(table.lines[row]), column=spec.label_column)
    return codes


def _with_columns(frame: pd.DataFrame, table: Table, file: str, spec: ContestSpec) -> Part:
    columns = table.frame.rename(columns=lambda name: f"col.{name}")
    return Part(pd.concat([frame, columns], axis=1), file, spec.input_columns[0], table.lines)


def _id_and_input(files: ContestFiles, spec: ContestSpec, table: Table, file: str, base: str, problems: Problems) -> pd.DataFrame:
    """The columns `id` and `input` of a table; an image that is not there becomes "" and a problem."""
    source = table.frame
    if spec.id_column in source.columns:
        ids = column_of(source, spec.id_column)
        check_ids(ids, file, spec.id_column, lambda row: int(table.lines[row]), problems)
    else:
        ids = pd.Series(np.arange(len(source)).astype(str), dtype="str")
    first = column_of(source, spec.input_columns[0])
    if spec.modality == "image":
        inputs = find_images(files, first, table, file, spec.input_columns[0], folder_key(base), problems)
    elif len(spec.input_columns) == 1:
        inputs = first
    else:
        inputs = cast(pd.DataFrame, source[list(spec.input_columns)]).agg("\n".join, axis=1).astype("str")
    return pd.DataFrame({"id": ids, "input": inputs})


def _test(files: ContestFiles, spec: ContestSpec, sample: Table | None, problems: Problems) -> tuple[Part, str]:
    """The test rows and, in words, where their ids come from."""
    base = spec.test_image_root or spec.image_root
    if spec.test and is_folder(files, spec.test):
        return _test_of_folder(files, spec, sample, problems)
    if spec.test:
        table = files.table(spec.test)
        frame = _id_and_input(files, spec, table, spec.test, base, problems)
        said = (
            msg("column '{column}' of {file}", column=spec.id_column, file=spec.test)
            if spec.id_column in table.frame.columns
            else msg("row numbers of {file}, from 0", file=spec.test)
        )
        return _with_columns(frame, table, spec.test, spec), said
    if sample is None or spec.modality == "text":
        empty = pd.DataFrame({"id": pd.Series(dtype="str"), "input": pd.Series(dtype="str")})
        return Part(empty, "", "", None), "there are no test rows"
    column = str(sample.frame.columns[0])
    ids = column_of(sample.frame, column)
    inputs = find_images(files, ids, sample, spec.sample_submission, column, folder_key(base), problems)
    frame = pd.DataFrame({"id": ids, "input": inputs})
    return Part(frame, spec.sample_submission, column, sample.lines), msg(
        "column '{column}' of {file}", column=column, file=spec.sample_submission
    )


def _test_of_folder(files: ContestFiles, spec: ContestSpec, sample: Table | None, problems: Problems) -> tuple[Part, str]:
    """Images of a folder; the id is the file's name in the form that the sample submission uses, else without suffix."""
    folder = folder_key(spec.test)
    keys = files.images_under(folder)
    if not keys:
        problems.add(
            spec.test, msg("the test folder holds no image ({formats})", formats=FORMATS), "set test to the folder with the test images"
        )
    inner = [key[len(folder) + 1 :] if folder else key for key in keys]
    forms = {
        "file names without suffix": [PurePosixPath(key).stem for key in keys],
        "file names": [PurePosixPath(key).name for key in keys],
        "paths in the test folder": inner,
        "paths in the test folder without suffix": [without_suffix(key) for key in inner],
        "paths in the contest": keys,
    }
    # The sample's own spelling is the id: the submission must repeat it to the byte.
    spelling = {} if sample is None else {clean(value): value for value in sample.frame.iloc[:, 0]}
    unique = {said: ids for said, ids in forms.items() if len(set(ids)) == len(ids)}
    said, ids = max(unique.items(), key=lambda form: len(spelling.keys() & set(form[1])))
    ids = [spelling.get(value, value) for value in ids]
    frame = pd.DataFrame({"id": ids, "input": [files.files[key] for key in keys]}, dtype="str")
    return Part(frame, spec.test, "", None), msg("{names} in {folder}", names=said, folder=spec.test)


def _check_sample(sample: Table, spec: ContestSpec, test: Part, problems: Problems) -> None:
    """The sample submission's columns against the classes, its ids against the test's, in any order."""
    file = spec.sample_submission
    column, *others = [str(name) for name in sample.frame.columns]
    ids = column_of(sample.frame, column)
    check_ids(ids, file, column, lambda row: int(sample.lines[row]), problems)
    if spec.submission in ("probabilities", "flags"):
        fix = "correct the column, the label column or submission"
        for name in sorted(set(others) - set(spec.classes)):
            problems.add(
                file, msg("the column '{name}' is not one of the {n} classes", name=name, n=len(spec.classes)), fix, row=1, column=name
            )
        for name in [name for name in spec.classes if name not in others]:
            problems.add(file, msg("there is no column for the class '{name}'", name=name), fix, row=1, column=name)
    elif len(others) != 1:
        fix = "set submission=probabilities, or give a sample submission with one label column"
        problems.add(file, msg("{n} columns beside the ids where one label is expected", n=len(others)), fix, row=1)
    if not test.file:
        return
    known, asked = set(test.frame["id"]), set(ids)
    hints: list[str] = []
    if known != asked and {value.lstrip("0") for value in known} == {value.lstrip("0") for value in asked}:
        hints = ["they would agree without leading zeros: one file was saved by a spreadsheet"]
    fix = "use the test data and the sample submission of the same contest, or correct id_column"
    for row, value in enumerate(ids):
        if value not in known:
            problems.add(
                file,
                joined("; ", [msg("the id '{id}' is not in {file}", id=value, file=test.file), *hints]),
                fix,
                row=int(sample.lines[row]),
                column=column,
            )
    for row, value in enumerate(test.frame["id"]):
        if value not in asked:
            problems.add(
                test.file, joined("; ", [msg("the id '{id}' is not in {file}", id=value, file=file), *hints]), fix, row=test.line(row)
            )
