"""From the files of a folder to every setting of a contest, in the order in which one follows from the other.

A person's answer to one point takes the place of its guess, and whatever comes after is derived from the answer.
"""

from __future__ import annotations

from typing import cast

import pandas as pd

from core.contest import columns as guess
from core.contest.answers import Answers
from core.contest.cells import column_of
from core.contest.columns import ImageColumn
from core.contest.evidence import Guess, Understanding
from core.contest.files import ContestFiles
from core.contest.labels import class_warnings, count_labels, find_classes, order_classes
from core.contest.rows import class_folders, folder_key, is_folder
from core.contest.sources import guess_sources
from core.errors import InputError

BALANCED = 3.0
"""Up to this ratio of the largest to the smallest class, accuracy is the likelier metric."""


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
    classes = _classes(so_far, files, labels, layout)
    _submission_and_metric(so_far, sample, classes, labels)
    so_far.values.update({key: value for key, value in answers.items() if key not in so_far.values})
    return so_far


def _seen(files: ContestFiles, name: str) -> str:
    """How a table was read; "" for folders and for nothing."""
    return "" if not name or is_folder(files, name) else files.table(name).said


def _columns_of_folders(
    so_far: Understanding, files: ContestFiles, train: str, test_name: str, test: pd.DataFrame | None, sample: pd.DataFrame | None
) -> pd.Series:
    """Settle what class folders leave open: the columns of a test table. Returns the label of every image."""
    so_far.settle("modality", lambda: Guess("image", "class folders hold images"))
    if test is not None:
        candidates = _asked_inputs(so_far.answers, test) or list(test.columns)
        image = guess.find_image_column(files, test, "test", candidates)
        if image is None:
            raise InputError(
                "no column of the test names an image",
                where=test_name,
                why=f"columns: {', '.join(test.columns)}; there are {len(files.images):,} images in the folder",
                fix="name the column with input_columns=NAME, or the folder of test images with test=FOLDER",
            )
        so_far.settle("id_column", lambda: guess.guess_id(test, [test], sample, image.column))
        _settle_inputs(so_far, lambda: _image_guess(image))
        so_far.settle("test_image_root", lambda: _base_guess(image, "test_image_root"))
    folders = class_folders(files, train, test_name)
    keys = {name: files.images_under(folder) for name, folder in folders.items()}
    depth = len(folder_key(train).split("/")) + 1 if folder_key(train) else 1
    _note_groups(so_far, guess.group_parts([key for images in keys.values() for key in images], depth))
    return pd.Series([name for name, images in keys.items() for _ in images], dtype="str", name="the class folders")


def _columns_of_table(
    so_far: Understanding,
    files: ContestFiles,
    train: pd.DataFrame,
    test_name: str,
    test: pd.DataFrame | None,
    sample: pd.DataFrame | None,
) -> pd.Series:
    """Settle modality and columns of a training table. Returns its label column."""
    answers = so_far.answers
    odd = guess.names_like_data(train)
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
    label = so_far.settle("label_column", lambda: guess.guess_label(train, test, sample, taken))
    if label not in train.columns:
        raise InputError(
            f"there is no column '{label}'",
            where=str(so_far.values["train"]),
            why=f"columns: {', '.join(train.columns)}",
            fix="set label_column to one of them",
        )
    if image is not None:
        _settle_inputs(so_far, lambda: _image_guess(image))
        _settle_bases(so_far, files, image, test_name, test, sample)
    elif modality == "image":
        columns = ", ".join(train.columns)
        raise InputError("no column names images", where=str(so_far.values["train"]), why=f"columns: {columns}", fix="set modality=text")
    else:
        _settle_inputs(so_far, lambda: guess.guess_text(train, test, taken | {label}))
    so_far.settle("group_column", lambda: Guess("", "rows are taken to be independent"))
    parts = guess.group_parts(column_of(train, image_column).tolist(), 0) if image is not None else []
    if not so_far.values["group_column"]:
        columns_taken = {id_column, label, *so_far.values["input_columns"]}
        _note_groups(so_far, [*guess.group_candidates(train, columns_taken), *parts])
    return column_of(train, label)


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
        others = f"; the folder has {len(files.images):,} images all the same" if files.images else ""
        return Guess("text", f"no column names images{others}", "warning" if others else "ok")
    level = "ok" if image.share > 0.99 else "warning"
    return Guess("image", f"{image.share:.0%} of the looked-at values of '{image.column}' are images here", level)


def _image_guess(image: ImageColumn) -> Guess:
    if image.share == 0:
        return Guess(image.column, "its values are named like images, but none of them is in the folder", "warning")
    return Guess(image.column, f"{image.share:.0%} of the looked-at values are images here", "ok" if image.share > 0.99 else "warning")


def _base_guess(image: ImageColumn, setting: str) -> Guess:
    where = f"paths start from {image.base or 'the contest folder'}"
    if image.also:
        others = ", ".join(base or "the contest folder" for base in image.also)
        return Guess(image.base, f"{where}; equally possible: {others}; correct with {setting}=FOLDER", "warning")
    return Guess(image.base, where)


def _note_groups(so_far: Understanding, found: list[str]) -> None:
    if found:
        so_far.note("groups", "; ".join(found), "rows that share one may have to stay in one fold", "note")


def _classes(so_far: Understanding, files: ContestFiles, labels: pd.Series, layout: str) -> tuple[str, ...]:
    if "classes" in so_far.answers:
        classes = cast("tuple[str, ...]", so_far.answers["classes"])
    elif layout == "folders":
        classes = order_classes(class_folders(files, so_far.values["train"], so_far.values["test"]))
    else:
        classes = find_classes(labels)
    if len(classes) < 2:
        raise InputError(
            f"{len(classes)} class{'' if len(classes) == 1 else 'es'}: too few to classify",
            where=str(so_far.values["train"]),
            why=f"found in {labels.name}: {', '.join(classes) or 'nothing'}",
            fix="name the column with the classes: label_column=NAME, or the folder with the class folders: train=NAME",
        )
    counts = count_labels(labels, classes)
    so_far.values["classes"] = classes
    shown = ", ".join(classes[:8]) + (", …" if len(classes) > 8 else "")
    so_far.note("classes", f"{len(classes)}: {shown}", f"{min(counts.values()):,} to {max(counts.values()):,} rows per class")
    for warning in class_warnings(counts):
        so_far.note("classes", "", warning, "warning")
    return classes


def _submission_and_metric(so_far: Understanding, sample: pd.DataFrame | None, classes: tuple[str, ...], labels: pd.Series) -> None:
    form = so_far.settle("submission", lambda: _submission_guess(sample, classes))
    sizes = [size for size in count_labels(labels, classes).values() if size]
    ratio = max(sizes, default=1) / min(sizes, default=1)

    def metric() -> Guess:
        if form == "probabilities":
            return Guess("log_loss", "a guess: probabilities are asked for; the contest's rules decide", "note")
        if ratio > BALANCED:
            why = f"a guess: labels are asked for, and the largest class is {ratio:.0f} times the smallest; the contest's rules decide"
            return Guess("macro_f1", why, "note")
        return Guess("accuracy", "a guess: labels are asked for, and classes are of similar size; the contest's rules decide", "note")

    so_far.settle("metric", metric)


def _submission_guess(sample: pd.DataFrame | None, classes: tuple[str, ...]) -> Guess:
    if sample is None:
        return Guess("label", "there is no sample submission: one label per row", "note")
    others = [str(name) for name in sample.columns[1:]]
    if len(others) == 1:
        values = cast(pd.Series, pd.to_numeric(column_of(sample, others[0]), errors="coerce"))
        if bool(((values >= 0) & (values <= 1)).all()) and bool((values % 1 != 0).any()):
            return Guess("label", f"'{others[0]}' looks like a probability of one class, which cannot be written: a label is", "warning")
        return Guess("label", f"one column beside the ids: '{others[0]}'")
    if set(others) == set(classes):
        return Guess("probabilities", f"one column per class, {'in our order' if tuple(others) == classes else 'in an order of its own'}")
    n_known = len(set(others) & set(classes))
    if n_known * 2 >= len(others) and n_known:
        return Guess("probabilities", f"{n_known} of its {len(others)} columns are classes, of which there are {len(classes)}", "warning")
    return Guess("label", f"its columns are neither one label nor the classes: {', '.join(others[:8]) or 'only ids'}", "warning")
