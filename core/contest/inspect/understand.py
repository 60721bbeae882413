"""From the files of a folder to every setting of a contest, in the order in which one follows from the other.

A person's answer to one point takes the place of its guess, and whatever comes after is derived from the answer.
"""

from __future__ import annotations

import pandas as pd

from core.base.errors import InputError
from core.base.messages import joined, msg
from core.contest.cells import column_of
from core.contest.files import ContestFiles
from core.contest.inspect import columns as guess
from core.contest.inspect.answers import Answers
from core.contest.inspect.columns import ImageColumn
from core.contest.inspect.evidence import Guess, Understanding
from core.contest.inspect.sources import guess_sources
from core.contest.inspect.understand_labels import settle_classes, settle_labels, settle_submission_and_metric
from core.contest.labels import SeenLabels, order_classes
from core.contest.rows import class_folders, folder_key, is_folder


def understand(files: ContestFiles, answers: Answers) -> Understanding:
    """Every setting of the contest but its name and root; raises InputError where nothing can be proposed."""
    so_far = Understanding(answers)
    sources = guess_sources(files, answers)
    layout = so_far.settle("layout", lambda: sources.layout)
    train_name = so_far.settle("train", lambda: sources.train, _seen(files, answers.get("train", sources.train.value)))
    test_name = so_far.settle("test", lambda: sources.test, _seen(files, answers.get("test", sources.test.value)))
    asked = answers.get("sample_submission", sources.sample.value)
    sample_name = so_far.settle("sample_submission", lambda: sources.sample, _seen(files, asked))
    test = None if not test_name or is_folder(files, test_name) else files.table(test_name).frame
    sample = files.table(sample_name).frame if sample_name else None
    if layout == "folders":
        labels = _columns_of_folders(so_far, files, train_name, test_name, test, sample)
    else:
        labels = _columns_of_table(so_far, files, files.table(train_name).frame, test_name, test, sample)
    classes = settle_classes(so_far, labels, order_classes(class_folders(files, train_name, test_name)) if layout == "folders" else ())
    settle_submission_and_metric(so_far, sample, classes, labels)
    so_far.values.update({key: value for key, value in answers.items() if key not in so_far.values})
    return so_far


def _seen(files: ContestFiles, name: str) -> str:
    """How a table was read; "" for folders and for nothing."""
    return "" if not name or is_folder(files, name) else files.table(name).said


def _columns_of_folders(
    so_far: Understanding, files: ContestFiles, train: str, test_name: str, test: pd.DataFrame | None, sample: pd.DataFrame | None
) -> SeenLabels:
    """Settle what class folders leave open: the columns of a test table. Returns the label of every image."""
    so_far.settle("modality", lambda: Guess("image", "class folders hold images"))
    if test is not None:
        candidates = _asked_inputs(so_far.answers, test) or list(test.columns)
        image = guess.find_image_column(files, test, "test", candidates)
        if image is None:
            raise InputError(
                "no column of the test names an image",
                where=test_name,
                why="columns: {names}; there are {n:,} images in the folder",
                fix="name the column with input_columns=NAME, or the folder of test images with test=FOLDER",
                names=", ".join(test.columns),
                n=len(files.images),
            )
        so_far.settle("id_column", lambda: guess.guess_id(test, [test], sample, image.column))
        _settle_inputs(so_far, lambda: _image_guess(image))
        so_far.settle("test_image_root", lambda: _base_guess(image, "test_image_root"))
    folders = class_folders(files, train, test_name)
    keys = {name: files.images_under(folder) for name, folder in folders.items()}
    depth = len(folder_key(train).split("/")) + 1 if folder_key(train) else 1
    _note_groups(so_far, guess.group_parts([key for images in keys.values() for key in images], depth))
    names = pd.Series([name for name, images in keys.items() for _ in images], dtype="str")
    return SeenLabels(names, is_several=False, source="the class folders")


def _columns_of_table(
    so_far: Understanding,
    files: ContestFiles,
    train: pd.DataFrame,
    test_name: str,
    test: pd.DataFrame | None,
    sample: pd.DataFrame | None,
) -> SeenLabels:
    """Settle modality and columns of a training table. Returns its labels."""
    answers = so_far.answers
    odd = guess.names_like_data(train)
    if odd and test is not None and set(train.columns).isdisjoint(test.columns):
        raise InputError(
            "the tables have no line of column names",
            where="{table} line 1",
            why="'{name}' reads like a row of data, and {file} has no column of that name",
            fix="write a first line with the names of the columns into each table",
            table=so_far.values["train"],
            name=odd,
            file=test_name,
        )
    if odd:
        so_far.note("train", odd, "reads like a row of data: does the file lack its line of column names?", "warning")
    inputs = _asked_inputs(answers, train)
    label_asked = answers.get("label_column", "")
    image: ImageColumn | None = None
    if "modality" not in answers or answers["modality"] == "image":
        image = guess.find_image_column(files, train, "train", inputs[:1] or [name for name in train.columns if name != label_asked])
    modality = so_far.settle("modality", lambda: _modality_guess(image, files))
    image_column = image.column if image is not None else ""
    home = test if test is not None else train
    tables = [frame for frame in (train, test) if frame is not None]
    id_column = so_far.settle("id_column", lambda: guess.guess_id(home, tables, sample, image_column))
    taken = {id_column, image_column, *inputs, answers.get("group_column", "")} - {""}
    labels, label_columns = settle_labels(so_far, train, test, sample, taken)
    if image is not None:
        _settle_inputs(so_far, lambda: _image_guess(image))
        _settle_bases(so_far, files, image, test_name, test, sample)
    elif modality == "image":
        columns = ", ".join(train.columns)
        raise InputError(
            "no column names images", where=str(so_far.values["train"]), why="columns: {names}", fix="set modality=text", names=columns
        )
    else:
        _settle_inputs(so_far, lambda: guess.guess_text(train, test, taken | label_columns))
    so_far.settle("group_column", lambda: Guess("", "rows are taken to be independent"))
    parts = guess.group_parts(column_of(train, image_column).tolist(), 0) if image is not None else []
    if not so_far.values["group_column"]:
        columns_taken = {id_column, *label_columns, *so_far.values["input_columns"]}
        _note_groups(so_far, [*guess.group_candidates(train, columns_taken), *parts])
    return labels


def _asked_inputs(answers: Answers, frame: pd.DataFrame) -> list[str]:
    return [name for name in answers["input_columns"] if name in frame.columns] if "input_columns" in answers else []


def _settle_inputs(so_far: Understanding, make: guess.MakeGuess) -> None:
    """Input columns are several names: a guess is one of them."""
    if "input_columns" in so_far.answers:
        so_far.values["input_columns"] = tuple(so_far.answers["input_columns"])
        so_far.note("input_columns", ", ".join(so_far.values["input_columns"]), "your answer")
    else:
        so_far.values["input_columns"] = (so_far.settle("input_columns", make),)


def _settle_bases(
    so_far: Understanding, files: ContestFiles, image: ImageColumn, test_name: str, test: pd.DataFrame | None, sample: pd.DataFrame | None
) -> None:
    """The folders that image paths start from, for training and, where it differs, for the test."""
    root = so_far.settle("image_root", lambda: _base_guess(image, "image_root"))
    found: ImageColumn | None = None
    if test is not None and image.column in test.columns:
        found = guess.find_image_base(files, test, image.column, "test")
    elif not test_name and sample is not None:
        found = guess.find_image_base(files, sample, str(sample.columns[0]), "test")
    if found is not None and found.share and found.base != root:
        so_far.settle("test_image_root", lambda: _base_guess(found, "test_image_root"))


def _modality_guess(image: ImageColumn | None, files: ContestFiles) -> Guess:
    if image is None:
        others = [msg("the folder has {n:,} images all the same", n=len(files.images))] if files.images else []
        return Guess("text", joined("; ", ["no column names images", *others]), "warning" if others else "ok")
    level = "ok" if image.share > 0.99 else "warning"
    return Guess(
        "image", msg("{share:.0%} of the looked-at values of '{column}' are images here", share=image.share, column=image.column), level
    )


def _image_guess(image: ImageColumn) -> Guess:
    if image.share == 0:
        return Guess(image.column, "its values are named like images, but none of them is in the folder", "warning")
    return Guess(
        image.column,
        msg("{share:.0%} of the looked-at values are images here", share=image.share),
        "ok" if image.share > 0.99 else "warning",
    )


def _base_guess(image: ImageColumn, setting: str) -> Guess:
    where = msg("paths start from {folder}", folder=image.base or "the contest folder")
    if image.also:
        others = ", ".join(base or "the contest folder" for base in image.also)
        possible = msg("equally possible: {names}", names=others)
        return Guess(image.base, joined("; ", [where, possible, msg("correct with {setting}=FOLDER", setting=setting)]), "warning")
    return Guess(image.base, where)


def _note_groups(so_far: Understanding, found: list[str]) -> None:
    if found:
        so_far.note("groups", joined("; ", found), "rows that share one may have to stay in one fold", "note")
