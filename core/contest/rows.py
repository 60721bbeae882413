"""From a spec to rows: what each file of the contest says, with every problem of every row collected on the way.

No image is opened here; registration does that. Inspection uses the same rows, so both say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.contest.encoding import Table
from core.contest.files import FORMATS, IMAGE_SUFFIXES, REFUSED_SUFFIXES, ContestFiles, clean, join, suffix_of
from core.contest.problems import Problems
from core.contest.spec import ContestSpec
from core.workspace import nfc

MISSING_CELLS = frozenset({"", "nan", "NaN", "NAN", "<NA>"})


@dataclass(frozen=True)
class Part:
    """The training or the test rows: `frame` with id, input, (label), (group), col.*; where each row came from."""

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
    _check_columns(files, spec)
    train = _train_of_folders(files, spec, problems) if spec.layout == "folders" else _train_of_table(files, spec, problems)
    sample = files.table(spec.sample_submission) if spec.sample_submission else None
    test, test_ids = _test(files, spec, sample, problems)
    if sample is not None:
        _check_sample(sample, spec, test, problems)
    if spec.modality == "image":
        for name in files.collisions:
            problems.add(name, "two files have this name (once composed, once decomposed Unicode)", "rename or delete one of them")
        for name in files.undecodable:
            problems.add(
                name,
                "the file's name is not UTF-8 (it looks like cp949)",
                "give Pitwall the original zip, or rename with `convmv -f cp949 -t utf-8`",
            )
    frames = [train.frame, test.frame] if spec.modality == "text" else []
    return Rows(train, test, sum(int((frame["input"].str.strip() == "").sum()) for frame in frames), test_ids, problems)


def sample_id_column(spec: ContestSpec, columns: Iterable[str]) -> str:
    """The column of the sample submission that holds the ids: the contest's id column when it is there, else the first."""
    names = list(columns)
    return spec.id_column if spec.id_column in names else names[0]


def order_classes(labels: Iterable[str]) -> tuple[str, ...]:
    """Distinct labels in their order: by number when all are whole numbers, else by code point."""
    distinct = set(labels)
    if all(label.lstrip("-").isdecimal() and label.isascii() for label in distinct):
        return tuple(sorted(distinct, key=lambda label: (int(label), label)))
    return tuple(sorted(distinct))


def is_missing(values: pd.Series) -> pd.Series:
    """True where a cell is empty or what pandas writes for a missing value."""
    return values.str.strip().isin(MISSING_CELLS)


def is_folder(files: ContestFiles, name: str) -> bool:
    """True when a name of the spec is a folder of the contest ("." is its root)."""
    return clean(name).strip("/") in files.folders or clean(name).strip("/") in ("", ".")


def folder_key(name: str) -> str:
    """A folder name of the spec as a key; the root is ""."""
    key = clean(name).strip("/")
    return "" if key == "." else key


def class_folders(files: ContestFiles, spec_train: str, spec_test: str) -> list[str]:
    """Keys of the class folders: every folder directly inside the training folder, but the one that holds the test."""
    test = folder_key(spec_test) if spec_test else None
    train = folder_key(spec_train)
    return [key for key in files.children(train) if test is None or not (key == test or test.startswith(key + "/"))]


def _check_columns(files: ContestFiles, spec: ContestSpec) -> None:
    """Raise one error for all columns and folders that the spec names and that are not there."""
    problems = Problems()
    train = set(files.table(spec.train).frame.columns) if spec.layout == "csv" else None
    test_is_table = bool(spec.test) and not is_folder(files, spec.test)
    test = set(files.table(spec.test).frame.columns) if test_is_table else None

    def need(file: str, columns: set[str], name: str, setting: str) -> None:
        if name not in columns:
            near = get_close_matches(name, columns, 1)
            fix = f"set {setting} to one of: {', '.join(sorted(columns)[:40])}"
            problems.add(file, f"there is no column '{name}'" + (f"; did you mean '{near[0]}'?" if near else ""), fix, column=name)

    if train is not None:
        if not spec.input_columns:
            problems.add(spec.train, "no input column is named", f"set input_columns to one of: {', '.join(sorted(train)[:40])}")
        for name in spec.input_columns:
            need(spec.train, train, name, "input_columns")
        need(spec.train, train, spec.label_column, "label_column")
        if spec.group_column:
            need(spec.train, train, spec.group_column, "group_column")
        if spec.id_column and spec.id_column not in train and (test is None or spec.id_column not in test):
            need(spec.train, train, spec.id_column, "id_column")
    elif not is_folder(files, spec.train):
        problems.add(spec.train, "there is no such folder", "set train to the folder that holds one folder per class")
    elif spec.group_column:
        problems.add(spec.train, "class folders have no columns to group by", "leave group_column empty", column=spec.group_column)
    if test is not None:
        for name in spec.input_columns:
            need(spec.test, test, name, "input_columns")
        if not spec.input_columns:
            problems.add(spec.test, "no input column is named", f"set input_columns to one of: {', '.join(sorted(test)[:40])}")
    if spec.modality == "image":
        for setting, name in (("image_root", spec.image_root), ("test_image_root", spec.test_image_root)):
            if name and not is_folder(files, name):
                problems.add(name, "there is no such folder", f"set {setting} to a folder of the contest")
        if len(spec.input_columns) > 1:
            problems.add(spec.train, f"{len(spec.input_columns)} columns are named for the image path", "name one column in input_columns")
    problems.raise_if_any("the contest's files and its settings do not fit")


def _train_of_folders(files: ContestFiles, spec: ContestSpec, problems: Problems) -> Part:
    base = folder_key(spec.train)
    index = {name: number for number, name in enumerate(spec.classes)}
    keys: list[str] = []
    labels: list[int] = []
    for folder in class_folders(files, spec.train, spec.test):
        name = PurePosixPath(folder).name
        if name not in index:
            problems.add(
                folder,
                f"the folder '{name}' is not one of the classes",
                "move it out of the training folder, or leave `classes` to be found",
            )
            continue
        images = files.images_under(folder)
        if not images:
            problems.add(folder, f"the class folder '{name}' holds no image ({FORMATS})", "add images to it or delete the folder")
        keys += images
        labels += [index[name]] * len(images)
        for key in files.files:
            if key.startswith(folder + "/") and suffix_of(key) in REFUSED_SUFFIXES:
                problems.add(key, f"{suffix_of(key)} files are not accepted", f"convert it to one of {FORMATS}, or take it out")
    found = {PurePosixPath(folder).name for folder in class_folders(files, spec.train, spec.test)}
    for name in spec.classes:
        if name not in found:
            problems.add(spec.train, f"there is no folder for the class '{name}'", "add the folder, or leave `classes` to be found")
    for link in sorted(files.links):
        if not base or link.startswith(base + "/"):
            problems.add(
                link,
                "is a symbolic link, which is not followed",
                "put the files themselves here, or register the folder that the link points to",
            )
    frame = pd.DataFrame(
        {"id": [key[len(base) + 1 :] if base else key for key in keys], "input": [files.files[key] for key in keys]}, dtype="str"
    )
    frame["label"] = np.array(labels, dtype=np.int64)
    return Part(frame, spec.train, "", None)


def _train_of_table(files: ContestFiles, spec: ContestSpec, problems: Problems) -> Part:
    table = files.table(spec.train)
    frame = _id_and_input(files, spec, table, spec.train, spec.image_root, problems)
    labels = table.frame[spec.label_column].map(nfc)
    missing = is_missing(labels) & ~labels.isin(spec.classes)
    codes = pd.Series(pd.Categorical(labels, categories=list(spec.classes)).codes.astype(np.int64))
    for row in np.flatnonzero(missing):
        problems.add(
            spec.train, "the label is empty", "fill the label in, or take the row out", row=int(table.lines[row]), column=spec.label_column
        )
    for row in np.flatnonzero((codes < 0) & ~missing):
        what = f"'{labels[row]}' is not one of the {len(spec.classes)} classes"
        problems.add(
            spec.train, what, "correct the label, or leave `classes` to be found", row=int(table.lines[row]), column=spec.label_column
        )
    frame["label"] = codes
    if spec.group_column:
        frame["group"] = table.frame[spec.group_column]
        for row in np.flatnonzero(is_missing(frame["group"])):
            problems.add(
                spec.train,
                "the group is empty",
                "fill the group in, or use no group column",
                row=int(table.lines[row]),
                column=spec.group_column,
            )
    return _with_columns(frame, table, spec.train, spec)


def _with_columns(frame: pd.DataFrame, table: Table, file: str, spec: ContestSpec) -> Part:
    columns = table.frame.rename(columns=lambda name: f"col.{name}")
    return Part(pd.concat([frame, columns], axis=1), file, spec.input_columns[0], table.lines)


def _id_and_input(files: ContestFiles, spec: ContestSpec, table: Table, file: str, base: str, problems: Problems) -> pd.DataFrame:
    """The columns `id` and `input` of a table; an image that is not there becomes "" and a problem."""
    source = table.frame
    if spec.id_column in source.columns:
        ids = source[spec.id_column]
        _check_ids(ids, file, spec.id_column, lambda row: int(table.lines[row]), problems)
    else:
        ids = pd.Series(np.arange(len(source)).astype(str), dtype="str")
    if spec.modality == "image":
        inputs = _find_images(files, source[spec.input_columns[0]], table, file, spec.input_columns[0], folder_key(base), problems)
    elif len(spec.input_columns) == 1:
        inputs = source[spec.input_columns[0]]
    else:
        inputs = source[list(spec.input_columns)].agg("\n".join, axis=1).astype("str")
    return pd.DataFrame({"id": ids, "input": inputs})


def _check_ids(ids: pd.Series, file: str, column: str, line: Callable[[int], int], problems: Problems) -> None:
    missing = is_missing(ids)
    for row in np.flatnonzero(missing):
        problems.add(file, "the id is empty", "give every row an id", row=line(int(row)), column=column)
    twice = ids.duplicated() & ~missing
    if twice.any():
        first = {value: row for row, value in reversed(list(enumerate(ids)))}
        for row in np.flatnonzero(twice):
            what = f"the id '{ids[row]}' is already on line {line(first[ids[row]])}"
            problems.add(
                file, what, "give every row an id of its own, or set id_column to another column", row=line(int(row)), column=column
            )


def _find_images(files: ContestFiles, values: pd.Series, table: Table, file: str, column: str, base: str, problems: Problems) -> pd.Series:
    found: list[str] = []
    lower: dict[str, str] | None = None
    for row, value in enumerate(values):
        match = files.find_image(value, base) if value.strip() else []
        if isinstance(match, str) and (suffix_of(match) in IMAGE_SUFFIXES or not suffix_of(match)):
            found.append(files.files[match])
            continue
        found.append("")
        line = int(table.lines[row])
        key = join(base, value)
        if is_missing(values.iloc[[row]]).iloc[0]:
            problems.add(file, "the image path is empty", "fill the path in, or take the row out", row=line, column=column)
        elif isinstance(match, str):
            problems.add(
                file, f"{value}: {suffix_of(match)} files are not accepted", f"convert it to one of {FORMATS}", row=line, column=column
            )
        elif match:
            problems.add(file, f"{value} could be {' or '.join(match)}", "write the path with its suffix", row=line, column=column)
        elif any(key == link or key.startswith(link + "/") for link in files.links):
            problems.add(
                file, f"{value} is behind a symbolic link, which is not followed", "put the files themselves here", row=line, column=column
            )
        else:
            lower = lower if lower is not None else {name.lower(): name for name in files.files}
            near = lower.get(key.lower())
            hint = f"; the folder has {near}" if near else ""
            fix = "add the image or take the row out; set image_root (test_image_root) when all paths start elsewhere"
            problems.add(file, f"there is no image {value} in {base or 'the contest folder'}{hint}", fix, row=line, column=column)
    return pd.Series(found, dtype="str")


def _test(files: ContestFiles, spec: ContestSpec, sample: Table | None, problems: Problems) -> tuple[Part, str]:
    """The test rows and, in words, where their ids come from."""
    base = spec.test_image_root or spec.image_root
    if spec.test and is_folder(files, spec.test):
        return _test_of_folder(files, spec, sample, problems)
    if spec.test:
        table = files.table(spec.test)
        frame = _id_and_input(files, spec, table, spec.test, base, problems)
        said = (
            f"column '{spec.id_column}' of {spec.test}" if spec.id_column in table.frame.columns else f"row numbers of {spec.test}, from 0"
        )
        return _with_columns(frame, table, spec.test, spec), said
    empty = pd.DataFrame({"id": pd.Series(dtype="str"), "input": pd.Series(dtype="str")})
    if sample is None or spec.modality == "text":
        return Part(empty, "", "", None), "there are no test rows"
    column = sample_id_column(spec, sample.frame.columns)
    ids = sample.frame[column]
    inputs = _find_images(files, ids, sample, spec.sample_submission, column, folder_key(base), problems)
    return Part(
        pd.DataFrame({"id": ids, "input": inputs}), spec.sample_submission, column, sample.lines
    ), f"column '{column}' of {spec.sample_submission}"


def _test_of_folder(files: ContestFiles, spec: ContestSpec, sample: Table | None, problems: Problems) -> tuple[Part, str]:
    """Images of a folder; the id is the file's name in the form that the sample submission uses, else without suffix."""
    folder = folder_key(spec.test)
    keys = files.images_under(folder)
    if not keys:
        problems.add(spec.test, f"the test folder holds no image ({FORMATS})", "set test to the folder with the test images")
    inner = [key[len(folder) + 1 :] if folder else key for key in keys]
    forms: dict[str, list[str]] = {
        "file names without suffix": [PurePosixPath(key).stem for key in keys],
        "file names": [PurePosixPath(key).name for key in keys],
        "paths in the test folder": inner,
        "paths in the test folder without suffix": [key[: -len(suffix_of(key))] for key in inner],
        "paths in the contest": keys,
    }
    wanted = set() if sample is None else {clean(value) for value in sample.frame[sample_id_column(spec, sample.frame.columns)]}
    unique = {said: ids for said, ids in forms.items() if len(set(ids)) == len(ids)}
    said, ids = max(unique.items(), key=lambda item: len(wanted.intersection(item[1])))
    if sample is not None:
        # The sample's own spelling is the id: the submission must repeat it to the byte.
        spelling = {clean(value): value for value in sample.frame[sample_id_column(spec, sample.frame.columns)]}
        ids = [spelling.get(value, value) for value in ids]
    frame = pd.DataFrame({"id": ids, "input": [files.files[key] for key in keys]}, dtype="str")
    return Part(frame, spec.test, "", None), f"{said} in {spec.test}"


def _check_sample(sample: Table, spec: ContestSpec, test: Part, problems: Problems) -> None:
    file = spec.sample_submission
    column = sample_id_column(spec, sample.frame.columns)
    others = [name for name in sample.frame.columns if name != column]
    ids = sample.frame[column]
    _check_ids(ids, file, column, lambda row: int(sample.lines[row]), problems)
    if spec.submission == "probabilities":
        for name in others:
            if name not in spec.classes:
                problems.add(
                    file,
                    f"the column '{name}' is not one of the {len(spec.classes)} classes",
                    "correct the column, the label column or submission",
                    column=name,
                )
        for name in spec.classes:
            if name not in others:
                problems.add(
                    file, f"there is no column for the class '{name}'", "correct the column, the label column or submission", column=name
                )
    elif len(others) != 1:
        what = f"{len(others)} columns beside the ids where one label is expected"
        problems.add(file, what, "set submission=probabilities, or give a sample submission with one label column")
    if not test.file:
        return
    known, asked = set(test.frame["id"]), set(ids)
    hint = ""
    if {value.lstrip("0") for value in known} == {value.lstrip("0") for value in asked}:
        hint = " (they would agree without leading zeros: one file was saved by a spreadsheet)"
    fix = "use the test data and the sample submission of the same contest, or correct id_column"
    for row in np.flatnonzero(~ids.isin(known)):
        problems.add(file, f"the id '{ids[row]}' is not in {test.file}{hint}", fix, row=int(sample.lines[row]), column=column)
    for row in np.flatnonzero(~test.frame["id"].isin(asked)):
        problems.add(test.file, f"the id '{test.frame['id'][row]}' is not in {file}{hint}", fix, row=test.line(int(row)))
