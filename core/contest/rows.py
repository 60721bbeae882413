"""From a spec to rows and their labels: what each file of the contest says, with every problem of every row collected on the way.

No image is opened here; registration does that. Inspection uses the same rows, so both say the same.
"""

from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import reduce
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.base.errors import InputError
from core.base.files import can_encode, shell_name
from core.base.messages import joined, msg, setting
from core.contest.csv_table import MISSING_CELLS, Table, column_of, is_missing
from core.contest.files import (
    FORMATS,
    IMAGE_SUFFIXES,
    REFUSED_SUFFIXES,
    ContestFiles,
    clean,
    join,
    suffix_of,
    without_suffix,
)
from core.contest.ids import BY_ORDER, SPELLINGS_OF_IDS, check_ids, ids_of_sample, number_rows, tell_apart
from core.contest.labels import codes_of_cells, contradicts, labelled, sets_of_cells, sets_of_columns, strange_values
from core.contest.names import class_finder
from core.contest.problems import N_SHOWN, Problems
from core.specs.contest import ContestSpec

LINK_FIX = "copy the files themselves here, for example with cp -rL"


def find_images(
    files: ContestFiles, table: Table, file: str, column: str, base: str, problems: Problems
) -> tuple[pd.Series, dict[int, tuple[str, str]]]:
    """The path on disk, relative to the contest's root, of the image that each cell names; "" and a problem where there is none.

    Also, by row, how a cell was read that names no file as it stands but is like exactly one (`ContestFiles.find_near`), and the cell.
    """
    cells = [value if value.strip() else "" for value in column_of(table.frame, column)]
    match_of: dict[str, str | list[str]] = {}
    reading_of: dict[str, str] = {}
    for value in dict.fromkeys(cells):
        match: str | list[str] = files.find_image(value, base) if value else []
        if not match and value:
            near, reading = files.find_near(value, base)
            match = near[0] if len(near) == 1 else near
            reading_of |= {value: reading} if len(near) == 1 else {}
        match_of[value] = match
    cells_of: dict[str, set[str]] = {}
    for value, match in match_of.items():
        cells_of.setdefault(match if isinstance(match, str) else "", set()).add(clean(value))
    paths: list[str] = []
    near_rows: dict[int, tuple[str, str]] = {}
    for row, value in enumerate(cells):
        match = match_of[value]
        twins = cells_of[match] if isinstance(match, str) and value in reading_of else set[str]()
        found = isinstance(match, str) and len(twins) < 2 and (suffix_of(match) in IMAGE_SUFFIXES or not suffix_of(match))
        paths.append(files.files[str(match)] if found else "")
        if not found:
            what, fix = _why_no_image(files, value, sorted(twins) or match, base, look=problems.count < N_SHOWN)
            problems.add(file, what, fix, row=int(table.lines[row]), column=column)
        elif value in reading_of:
            near_rows[row] = (reading_of[value], value)
    return pd.Series(paths, dtype="str"), near_rows


def _why_no_image(files: ContestFiles, value: str, match: str | list[str], base: str, *, look: bool) -> tuple[str, str]:
    """What is wrong with a cell, and the fix; `look` for a file of a similar name."""
    key = join(base, value)
    if value.strip() in MISSING_CELLS:
        return "the image path is empty", "fill the path in, or take the row out"
    if isinstance(match, str):
        what = msg("{path}: {suffix} files are not accepted", path=value, suffix=suffix_of(match))
        return what, msg("convert it to one of {formats}", formats=FORMATS)
    if clean(value) in match:
        return msg("one file would be the image of several: {names}", names=", ".join(match[:5])), "write the paths as the files are named"
    if match:
        return msg(
            "{path} could be {names}", path=value, names=" or ".join(match[:5])
        ), "write the path as the file is named, with its suffix"
    if files.is_behind_link(key):
        return msg("{path} is behind a symbolic link, which is not followed", path=value), LINK_FIX
    what = msg("there is no image {path} in {folder}", path=value, folder=base or "the contest folder")
    near = get_close_matches(key, files.images_under(base), 1, 0.8) if look else []
    what = joined("; ", [what, msg("the folder has {path}", path=near[0])]) if near else what
    packed = sorted(name for name in files.files if suffix_of(name) == ".zip")
    if packed and not files.images:
        place = files.root / files.files[packed[0]]
        return what, msg(
            "extract {file} first: unzip {path} -d {folder}",
            file=packed[0],
            path=shell_name(str(place)),
            folder=shell_name(str(place.parent)),
        )
    return what, "add the image or take the row out; set image_root (or test_image_root) when all paths start elsewhere"


Doubts = list[tuple[str, str]]
"""A setting and a sentence each."""


@dataclass(frozen=True)
class Part:
    """The training or the test rows: `frame` with id, input, (label or labels), (group), col.*; where each row came from.

    `near` says, by row, how a cell was read that does not name its image as it stands, and the cell. `renamed` are ids that were taken
    from the sample submission in its spelling, each with that of the test. Rows from `n_own` on came from the file or folder `beside`.
    """

    frame: pd.DataFrame
    file: str
    input_column: str
    lines: NDArray[np.int64] | None
    near: dict[int, tuple[str, str]] = field(default_factory=dict[int, tuple[str, str]])
    renamed: tuple[tuple[str, str], ...] = ()
    beside: str = ""
    n_own: int = 0

    def line(self, row: int) -> int | None:
        """The line of the file behind a row, None for rows that come from a folder."""
        return None if self.lines is None else int(self.lines[row])

    def file_of(self, row: int) -> str:
        """The file or folder that a row came from."""
        return self.beside if self.beside and row >= self.n_own else self.file


@dataclass(frozen=True)
class Rows:
    """Everything a spec leads to; `problems` is empty when the contest can be registered as far as its tables go.

    `doubts` are a setting and a sentence each, of what is taken as it is and may be meant otherwise.
    """

    train: Part
    test: Part
    n_empty_texts: int
    test_ids: str
    problems: Problems
    doubts: tuple[tuple[str, str], ...] = ()


def read_rows(files: ContestFiles, spec: ContestSpec) -> Rows:
    """Build the rows of a contest. Raises InputError for a file that cannot be read or a column that is not there."""
    problems, doubts = Problems(), Doubts()
    _check_names(files, spec)
    train = _train(files, spec, problems, doubts)
    sample = files.sample(spec.sample_submission) if spec.sample_submission else None
    test, test_ids = _test(files, spec, sample, problems, doubts)
    _check_apart(train, test, problems)
    if sample is not None:
        _check_sample(sample, spec, test, problems, doubts)
    fix = "register the original zip, or rename with `convmv -f cp949 -t utf-8`"
    for name in files.collisions if spec.modality == "image" else ():
        problems.add(name, "two files have this name (once composed, once decomposed Unicode)", "rename or delete one of them")
    for name in files.undecodable if spec.modality == "image" else ():
        problems.add(name, "the file's name is not UTF-8 (it looks like cp949)", fix)
    texts = [column_of(part.frame, "input") for part in (train, test) if spec.modality == "text"]
    return Rows(train, test, sum(not text.strip() for values in texts for text in values), test_ids, problems, tuple(doubts))


def _check_apart(train: Part, test: Part, problems: Problems) -> None:
    """No image may stand in training and test because a path that names no file was taken for one of the other part."""
    for part, other in ((train, test), (test, train)):
        inputs = part.frame["input"].tolist() if part.near else []
        theirs = set(other.frame["input"]) if part.near else set[str]()
        for row in [row for row in part.near if inputs[row] and inputs[row] in theirs]:
            what = msg(
                "there is no image {path}, and {file} is an image of {other}", path=part.near[row][1], file=inputs[row], other=other.file
            )
            problems.add(part.file_of(row), what, "add the image, or take the row out", row=part.line(row), column=part.input_column)


def is_folder(files: ContestFiles, name: str) -> bool:
    """True when a name of the spec is a folder of the contest ("." is its root)."""
    key = folder_key(name)
    return not key or key in files.folders


def folder_key(name: str) -> str:
    """A folder name of the spec as a key; the root is ""."""
    key = clean(name).strip("/")
    return "" if key == "." else key


def class_folders(files: ContestFiles, train: str, *others: str) -> dict[str, str]:
    """Class name to key of its folder: every folder directly inside the training folder, but those that hold the test or another part."""
    parts = [folder_key(name) for name in others if name]
    keys = files.children(folder_key(train))
    return {PurePosixPath(key).name: key for key in keys if not any(part == key or part.startswith(key + "/") for part in parts)}


CAME_FROM = "came_from"
"""The column that says which file or folder a training row came from, where there are two."""


def join_column(inputs: pd.DataFrame, labels: pd.DataFrame) -> str:
    """The column by which the labels of another table belong to training rows: it names each row once there, and has all of them."""
    for name in inputs.columns:
        if name in labels.columns and column_of(labels, name).is_unique and column_of(inputs, name).isin(column_of(labels, name)).all():
            return str(name)
    return ""


def joined_table(files: ContestFiles, train: str, train_labels: str) -> tuple[Table, NDArray[np.int64]]:
    """The training table with the other columns of the table of its labels, and the line there of each row, by `join_column`.

    Raises InputError where no column joins the two.
    """
    table = files.table(train)
    if not train_labels:
        return table, table.lines
    labels = files.table(train_labels)
    key = join_column(table.frame, labels.frame)
    if not key:
        raise InputError(
            "the labels cannot be joined to the training rows",
            where="{train}, {labels}",
            why="no column of both names every training row, each row of the labels once",
            fix="give both tables a column of ids with one name",
            train=train,
            labels=train_labels,
        )
    order = pd.Index(column_of(labels.frame, key)).get_indexer(pd.Index(column_of(table.frame, key)))
    more = labels.frame[[name for name in labels.frame.columns if name not in table.frame.columns]].iloc[order].reset_index(drop=True)
    return replace(table, frame=pd.concat([table.frame, more], axis=1)), labels.lines[order]


def _check_names(files: ContestFiles, spec: ContestSpec) -> None:
    """Raise one error for all columns and folders that the spec names and that are not there."""
    problems = Problems()
    test = list(files.table(spec.test).frame.columns) if spec.test and not is_folder(files, spec.test) else None

    def need(file: str, columns: list[str], name_of: str, name: str) -> None:
        if name not in columns:
            near = get_close_matches(name, columns, 1)
            what = msg("there is no column '{name}'", name=name) if name else "no column is named for this"
            what = joined("; ", [what, *(msg("did you mean '{name}'?", name=one) for one in near)])
            problems.add(
                file,
                what,
                msg("choose one of: {names}, with {field}", field=setting(name_of, "NAME"), names=", ".join(columns[:40])),
                column=name,
            )

    if spec.layout == "csv":
        train = list(joined_table(files, spec.train, spec.train_labels)[0].frame.columns)
        if spec.valid:
            for name in (*spec.input_columns, *((spec.label_column,) if spec.label_column else spec.classes)):
                need(spec.valid, list(files.table(spec.valid).frame.columns), "valid", name)
        if spec.is_multilabel and not spec.label_column:
            fix = "name columns of 0 and 1 in `classes`, or the column with the labels in `label_column`"
            for name in [name for name in spec.classes if name not in train]:
                problems.add(spec.train, msg("there is no column for the class '{name}'", name=name), fix, column=name)
        else:
            need(spec.train, train, "label_column", spec.label_column)
        for name in spec.input_columns or ("",):
            need(spec.train, train, "input_columns", name)
        if spec.group_column:
            need(spec.train, train, "group_column", spec.group_column)
        if spec.id_column and spec.id_column not in (test or ()):
            need(spec.train, train, "id_column", spec.id_column)
    elif not is_folder(files, spec.train):
        problems.add(spec.train, "there is no such folder", "set train to the folder that holds one folder per class")
    elif spec.group_column:
        problems.add(spec.train, "class folders have no columns to group by", "leave group_column empty", column=spec.group_column)
    for name in (spec.input_columns or ("",)) if test is not None else ():
        need(spec.test, test or [], "input_columns", name)
    if spec.modality == "image":
        for name_of, name in (("image_root", spec.image_root), ("test_image_root", spec.test_image_root)):
            if name and not is_folder(files, name):
                problems.add(
                    name, "there is no such folder", msg("choose a folder of the contest with {field}", field=setting(name_of, "FOLDER"))
                )
        if len(spec.input_columns) > 1:
            what = msg("{n} {n:column is|columns are} named for the image path", n=len(spec.input_columns))
            problems.add(spec.train, what, "name one column in input_columns")
    elif spec.layout == "folders":
        problems.add(spec.train, "class folders hold images, not texts", "set modality=image, or layout=csv")
    problems.raise_if_any("the contest's files and its settings do not fit")


def _train(files: ContestFiles, spec: ContestSpec, problems: Problems, doubts: Doubts) -> Part:
    """The training rows, and behind them the labelled rows of `spec.valid`, with a column that tells them apart."""
    if spec.layout == "folders":
        own = _train_of_folders(files, spec, problems)
        more = _train_of_folders(files, _of_valid(spec), problems, is_beside=True) if spec.valid else None
    else:
        own = _train_of_table(files, spec, problems)
        more = _train_of_table(files, _of_valid(spec), problems) if spec.valid else None
    if more is not None:
        n_own, lines = len(own.frame), None if own.lines is None or more.lines is None else np.concatenate([own.lines, more.lines])
        frame = pd.concat([own.frame, more.frame], ignore_index=True)
        texts = [name for name in frame.columns if name.startswith("col.")]
        frame[texts] = frame[texts].fillna("")  # a column that one of the two does not have
        frame[f"col.{CAME_FROM}"] = pd.Series([spec.train] * n_own + [spec.valid] * len(more.frame), dtype="str")
        near = own.near | {n_own + row: reading for row, reading in more.near.items()}
        own = replace(own, frame=frame, lines=lines, near=near, beside=spec.valid, n_own=n_own)
    repeated = column_of(own.frame, "id").duplicated()
    if repeated.any():
        if spec.id_column:
            what = "{n:,} training {n:row has|rows have} the id of an earlier row: a second '{id}' is '{told}'; if they belong together, group by {column}"
            first = str(own.frame["id"][repeated.idxmax()])
            doubts.append(("id_column", msg(what, n=int(repeated.sum()), id=first, told=f"{first} (2)", column=spec.id_column)))
        own.frame["id"] = pd.Series(tell_apart(own.frame["id"].tolist()), index=own.frame.index, dtype="str")
    return own


def _of_valid(spec: ContestSpec) -> ContestSpec:
    return spec.model_copy(update={"train": spec.valid, "train_labels": "", "valid": ""})


def _train_of_folders(files: ContestFiles, spec: ContestSpec, problems: Problems, *, is_beside: bool = False) -> Part:
    """The images of the class folders; those beside the training folder have its name in their ids, and need not have every class."""
    folders = class_folders(files, spec.train, spec.test, spec.valid)
    keys: list[str] = []
    labels: list[int] = []
    for name, folder in folders.items():
        images = files.images_under(folder)
        if name not in spec.classes:
            what = msg("the folder '{name}' is not one of the classes", name=name)
            problems.add(folder, what, "move it out of the training folder, or leave `classes` out")
        elif not images:
            what = msg("the class folder '{name}' holds no image ({formats})", name=name, formats=FORMATS)
            problems.add(folder, what, "add images to it or delete the folder")
        else:
            keys += images
            labels += [spec.classes.index(name)] * len(images)
    elsewhere = class_folders(files, spec.valid) if spec.valid else {}
    for name in spec.classes:
        if name not in folders and name not in elsewhere and not is_beside:
            problems.add(spec.train, msg("there is no folder for the class '{name}'", name=name), "add the folder, or leave `classes` out")
    base = folder_key(spec.train)
    inside = f"{base}/" if base else ""
    for key in files.files:
        if key.startswith(inside) and suffix_of(key) in REFUSED_SUFFIXES and key[len(inside) :].split("/")[0] in folders:
            fix = msg("convert it to one of {formats}, or take it out", formats=FORMATS)
            problems.add(key, msg("{suffix} files are not accepted", suffix=suffix_of(key)), fix)
    for link in sorted(link for link in files.links if link.startswith(inside)):
        problems.add(link, "is a symbolic link, which is not followed", LINK_FIX)
    start = 0 if is_beside else len(inside)
    frame = pd.DataFrame({"id": [key[start:] for key in keys], "input": [files.files[key] for key in keys]}, dtype="str")
    frame["label"] = np.array(labels, dtype=np.int64)
    return Part(frame, spec.train, "", None)


def _train_of_table(files: ContestFiles, spec: ContestSpec, problems: Problems) -> Part:
    whole, lines = joined_table(files, spec.train, spec.train_labels)
    table, labels = labelled(whole, spec), labelled(replace(whole, lines=lines), spec)
    frame, near = _id_and_input(files, spec, table, spec.train, spec.image_root, problems)
    told = spec.model_copy(update={"train": spec.train_labels or spec.train})
    if spec.is_multilabel:
        frame["labels"] = sets_of_cells(labels, told, problems) if spec.label_column else sets_of_columns(labels, told, problems)
    else:
        frame["label"] = codes_of_cells(labels, told, problems)
    if spec.group_column:
        frame["group"] = column_of(table.frame, spec.group_column)
        fix, column = "fill the group in, or use no group column", spec.group_column
        problems.add_rows(spec.train, table.lines, is_missing(column_of(frame, "group")), "the group is empty", fix, column=column)
    return Part(_with_columns(frame, table), spec.train, spec.input_columns[0], table.lines, near)


def _with_columns(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    return pd.concat([frame, table.frame.rename(columns=lambda name: f"col.{name}")], axis=1)


def _id_and_input(
    files: ContestFiles, spec: ContestSpec, table: Table, file: str, base: str, problems: Problems
) -> tuple[pd.DataFrame, dict[int, tuple[str, str]]]:
    """The columns `id` and `input` of a table, and `Part.near`; an image that is not there becomes "" and a problem."""
    if spec.id_column in table.frame.columns:
        ids = check_ids(table, file, spec.id_column, problems, may_repeat=file == spec.train)
    else:
        ids = pd.Series(np.arange(len(table.frame)).astype(str), dtype="str")
    near: dict[int, tuple[str, str]] = {}
    if spec.modality == "image":
        inputs, near = find_images(files, table, file, spec.input_columns[0], folder_key(base), problems)
    else:
        inputs = reduce(lambda left, right: left + "\n" + right, (column_of(table.frame, name) for name in spec.input_columns))
    return pd.DataFrame({"id": ids, "input": inputs}), near


def _test(files: ContestFiles, spec: ContestSpec, sample: Table | None, problems: Problems, doubts: Doubts) -> tuple[Part, str]:
    """The test rows and, in words, where their ids come from."""
    base = spec.test_image_root or spec.image_root
    if spec.test and is_folder(files, spec.test):
        return _test_of_folder(files, spec, sample, problems)
    if spec.test:
        table = files.table(spec.test)
        frame, near = _id_and_input(files, spec, table, spec.test, base, problems)
        renamed: tuple[tuple[str, str], ...] = ()
        if spec.id_column in table.frame.columns:
            known = "column '{column}' of {file}"
            frame["id"], renamed = ids_of_sample(frame["id"].tolist(), sample, SPELLINGS_OF_IDS[:-1])
        else:
            frame["id"], known = number_rows(len(frame), [] if sample is None else sample.frame.iloc[:, 0].tolist())
        if known == BY_ORDER:
            doubts.append(("test", msg(BY_ORDER, file=spec.test)))
        part = Part(_with_columns(frame, table), spec.test, spec.input_columns[0], table.lines, near, renamed)
        return part, msg(known, column=spec.id_column, file=spec.test)
    if sample is None or spec.modality == "text":
        empty = pd.DataFrame({"id": pd.Series(dtype="str"), "input": pd.Series(dtype="str")})
        return Part(empty, "", "", None), "there are no test rows"
    file, column = spec.sample_submission, str(sample.frame.columns[0])
    inputs, near = find_images(files, sample, file, column, folder_key(base), problems)
    frame = pd.DataFrame({"id": column_of(sample.frame, column), "input": inputs})
    return Part(frame, file, column, sample.lines, near), msg("column '{column}' of {file}", column=column, file=file)


def _test_of_folder(files: ContestFiles, spec: ContestSpec, sample: Table | None, problems: Problems) -> tuple[Part, str]:
    """Images of a folder; the id is the file's name in the form that the sample submission uses, else without suffix."""
    folder = folder_key(spec.test)
    keys = files.images_under(folder)
    if not keys:
        what = msg("the test folder holds no image ({formats})", formats=FORMATS)
        problems.add(spec.test, what, "set test to the folder with the test images")
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
    ids, renamed = ids_of_sample([spelling.get(value, value) for value in ids], sample, SPELLINGS_OF_IDS)
    frame = pd.DataFrame({"id": ids, "input": [files.files[key] for key in keys]}, dtype="str")
    return Part(frame, spec.test, "", None, renamed=renamed), msg("{names} in {folder}", names=said, folder=spec.test)


def _check_sample(sample: Table, spec: ContestSpec, test: Part, problems: Problems, doubts: Doubts) -> None:
    """The sample submission's columns and values against the classes, its ids against the test's, in any order."""
    file = spec.sample_submission
    column, *others = [str(name) for name in sample.frame.columns]
    ids = check_ids(sample, file, column, problems)
    names = spec.submission_names or spec.classes
    if spec.submission in ("probabilities", "flags"):
        fix = "correct the column, the label column or submission; columns of other names: submission_names, without training rows: untrained_classes"
        find, untrained = class_finder(names), class_finder(spec.untrained_classes)
        for name in [name for name in others if find(name) < 0 and untrained(name) < 0]:
            what = msg("the column '{name}' is not one of the {n} classes", name=name, n=len(names))
            problems.add(file, what, fix, row=1, column=name)
        there = {find(name) for name in others}
        for name in [name for place, name in enumerate(names) if place not in there]:
            problems.add(file, msg("there is no column for the class '{name}'", name=name), fix, row=1, column=name)
    elif len(others) != 1:
        fix = "set submission=probabilities, or give a sample submission with one label column"
        if spec.label_column in others:
            fix = msg("a contest predicts one label: leave out the sample submission ({field})", field=setting("sample_submission", ""))
        problems.add(file, msg("{n} {n:column|columns} beside the ids where one label is expected", n=len(others)), fix, row=1)
    else:
        strange = strange_values(column_of(sample.frame, others[0]), spec)
        if spec.submission_names and contradicts(strange, spec):
            what = msg("{file} has {names}, which is not what its classes are called", file=file, names=", ".join(map(repr, strange[:3])))
            doubts.append(("submission_names", what))
        elif len(strange) > 1 and not spec.submission_names:
            what = msg("none of its values is a class, such as {names}", names=", ".join(map(repr, strange[:3])))
            fix = "name what the submission calls each class, in the order of the classes: submission_names=[…], or correct label_column"
            problems.add(file, what, fix, column=others[0])
    unwritable = [name for name in names if not can_encode(name, sample.encoding)] if spec.submission == "label" else []
    if unwritable:
        what = "{file} is in {encoding}, which has no signs for the class '{name}': submissions are written in UTF-8"
        doubts.append(("sample_submission", msg(what, file=file, encoding=sample.encoding, name=unwritable[0])))
    if not test.file:
        return
    known = column_of(test.frame, "id")
    hint = "they would agree without leading zeros: one file was saved by a spreadsheet"
    if {value.lstrip("0") for value in known} != {value.lstrip("0") for value in ids}:
        hint = ""
    what, fix = "the id '{id}' is not in {other}", "use the test data and the sample submission of the same contest, or correct id_column"
    is_known, is_asked = ids.isin(known), known.isin(ids)
    problems.add_rows(file, sample.lines, ~is_known, what, fix, column=column, hint=hint, id=ids, other=test.file)
    if is_known.all() and not is_asked.all():
        what = "{file} names {n:,} of the {total:,} test rows: a submission holds only those; for all rows, name no sample_submission"
        doubts.append(("sample_submission", msg(what, file=file, n=int(is_asked.sum()), total=len(known))))
    else:
        problems.add_rows(test.file, test.lines, ~is_asked, what, fix, hint=hint, id=known, other=file)
