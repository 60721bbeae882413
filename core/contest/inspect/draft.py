"""What a folder is believed to hold: a draft of the contest, each point with its evidence, every point open to correction."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from core.base.errors import InputError
from core.base.files import bare_text, nfc, typed_path
from core.base.messages import joined, msg, setting
from core.base.names import name_from
from core.base.settings import parse_settings
from core.contest.contents import find_copies, keys_of_texts, white_check
from core.contest.csv_table import column_of, index_columns
from core.contest.encoding import encoding_named
from core.contest.files import FORMATS, REFUSED_SUFFIXES, TABLE_SUFFIXES, ContestFiles, suffix_of, unwrapped
from core.contest.image_pass import check_images
from core.contest.inspect.columns import (
    ImageColumn,
    asked_inputs,
    base_guess,
    find_image_column,
    group_candidates,
    group_parts,
    guess_id,
    guess_text,
    image_guess,
    modality_guess,
    names_like_data,
    note_groups,
    settle_bases,
    settle_inputs,
)
from core.contest.inspect.labels import settle_classes, settle_labels, spelled_alike
from core.contest.inspect.parts import guess_train_labels, guess_valid
from core.contest.inspect.sources import SPACE, Answers, Check, Guess, Understanding, guess_sources, parse_answers
from core.contest.inspect.submission import settle_submission_and_metric
from core.contest.labels import SeenLabels, names_of_cells, order_classes
from core.contest.names import class_key
from core.contest.rows import LINK_FIX, Part, Rows, class_folders, folder_key, is_folder, joined_table, read_rows
from core.contest.table import by_turns, count_classes, labels_of, rows_by_size
from core.data.images import level_of
from core.specs.contest import ContestSpec

N_PREVIEW = 24
N_OPENED = 12
"""Images of training and of test, each, that inspection decodes."""


@dataclass(frozen=True)
class Inspection:
    """A draft that can be registered once its warnings are read. `problems` are what registration would refuse, images unopened.

    `preview` holds some training rows of every class: id, input (text, or path below `root`), label (class name, or names
    joined by ", "). `class_counts` counts the rows that have each class, `rows_by_size` those with 0, 1, 2 … classes where rows
    have several. `columns` are those of the training table, `tables` the tables of the folder: what a correction may choose from.
    """

    draft: ContestSpec
    checks: tuple[Check, ...]
    preview: pd.DataFrame
    n_train: int
    n_test: int
    class_counts: dict[str, int]
    rows_by_size: tuple[int, ...]
    test_ids: str
    problems: tuple[str, ...]
    columns: tuple[str, ...]
    tables: tuple[str, ...]
    refusal: InputError | None


@dataclass(frozen=True)
class Unfinished:
    """How far an inspection came before `error`: the points that were settled, and a draft that is not valid, for a person to correct."""

    error: InputError
    draft: ContestSpec
    checks: tuple[Check, ...]
    columns: tuple[str, ...]
    tables: tuple[str, ...]


def inspect_path(path: Path, *, name: str | None = None, sets: Iterable[str] = (), answers: Answers | None = None) -> Inspection:
    """Inspect a folder, or a training CSV in its folder; `sets` are corrections such as "label_column=ans", or `answers` by setting.

    What depends on a correction follows it. Raises InputError when there is nothing that can be a contest (saying what was
    looked for), when a table cannot be read, or when a correction names something that is not there.
    """
    found = try_inspection(path, name=name, answers=answers or parse_answers(sets))
    if isinstance(found, Unfinished):
        raise found.error
    return found


def try_inspection(path: Path, *, name: str | None = None, answers: Answers) -> Inspection | Unfinished:
    """As `inspect_path`, but what a correction may mend does not raise. Raises InputError where there is no folder that can be read."""
    answers = {name: nfc(value) if isinstance(value, str) else value for name, value in answers.items()}
    if answers.get("label_separator") == SPACE:
        answers["label_separator"] = " "
    path = root = typed_path(str(path))
    if root.is_file():
        if suffix_of(root.name) not in TABLE_SUFFIXES:
            why = "it is a file" if suffix_of(root.name) != ".zip" else "it is an archive, which is extracted first"
            raise InputError("a contest is a folder", where=str(path), why=why, fix="give the folder, or the training CSV in it")
        answers.setdefault("train", nfc(root.name))
        path = root = root.parent
    if answers.get("encoding"):
        encoding_named(answers["encoding"])  # also where all files are UTF-8, and nothing would be read in it
    files = ContestFiles(unwrapped(root), answers.get("encoding", ""))
    named = {"name": name or answers.get("name") or name_from(path.resolve().name, "contest"), "root": str(files.root)}
    so_far = Understanding(answers)
    try:
        understand(files, so_far)
        spec = parse_settings(ContestSpec, {**so_far.values, **named}, where=str(path), error=InputError)
        return _inspection(spec, files, read_rows(files, spec), so_far.checks)
    except InputError as error:
        values: dict[str, Any] = {"modality": "text", "layout": "csv", "train": "", "classes": (), **so_far.values, **answers, **named}
        draft = ContestSpec.model_construct(**values)
        return Unfinished(error, draft, tuple(so_far.checks), _columns(files, draft), tuple(files.tables()))


def _columns(files: ContestFiles, draft: ContestSpec) -> tuple[str, ...]:
    """The columns of the training rows of a draft, none where they cannot be read."""
    try:
        return tuple(joined_table(files, draft.train, draft.train_labels)[0].frame.columns) if draft.layout == "csv" else ()
    except InputError:
        return ()


def understand(files: ContestFiles, so_far: Understanding) -> None:
    """Settle every setting of the contest but its name and root; raises InputError where nothing can be proposed."""
    answers = so_far.answers
    layout_guess, *guesses = guess_sources(files, answers)
    layout = so_far.settle("layout", lambda: layout_guess)
    train_name, test_name, sample_name = (
        so_far.settle(role, lambda guess=guess: guess, _seen(files, answers.get(role, guess.value)))
        for role, guess in zip(("train", "test", "sample_submission"), guesses, strict=True)
    )
    for role, name in (("train", train_name), ("test", test_name), ("sample_submission", sample_name)):
        if name and not is_folder(files, name):
            table = files.sample(name) if role == "sample_submission" else files.table(name)
            for said in table.passed_over:
                so_far.note(role, name, said, "note")
    test = None if not test_name or is_folder(files, test_name) else files.table(test_name).frame
    sample = files.sample(sample_name).frame if sample_name else None
    train: pd.DataFrame | None = None
    class_names: tuple[str, ...] = ()
    if layout == "folders":
        _settle_valid(so_far, files)
        valid = so_far.values.get("valid", "")
        folders = class_folders(files, train_name, test_name, valid)
        beside = class_folders(files, valid) if valid else {}
        _say_only_beside(so_far, valid, [name for name in beside if name not in folders])
        class_names = order_classes([*folders, *beside])
        labels = _columns_of_folders(so_far, files, folders, test_name, test, sample)
    else:
        apart = guess_train_labels(files, train_name, test)
        labels_name = so_far.settle("train_labels", lambda: apart or Guess("", "")) if apart or "train_labels" in answers else ""
        train = joined_table(files, train_name, labels_name)[0].frame
        labels = _columns_of_table(so_far, files, train, test_name, test, sample)
        _settle_valid(so_far, files)
        labels = spelled_alike(so_far, _with_valid(so_far, files, labels))
    classes = settle_classes(so_far, labels, class_names)
    settle_submission_and_metric(so_far, train, sample, classes, labels)
    so_far.values.update({key: value for key, value in answers.items() if key not in so_far.values})
    if files.encoding and "encoding" not in answers:
        so_far.values["encoding"] = files.encoding
        so_far.note("encoding", files.encoding, "one of the tables alone does not say: judged by all of them", "note")


def _settle_valid(so_far: Understanding, files: ContestFiles) -> None:
    """Settle which labelled rows beside the training rows are trained on too, where there are any."""
    values = so_far.values
    needed = [*values.get("input_columns", ()), *filter(None, [values.get("label_column", "")])]
    found = guess_valid(files, values["layout"], values["train"], needed)
    if found is not None or "valid" in so_far.answers:
        so_far.settle("valid", lambda: found or Guess("", ""))


def _with_valid(so_far: Understanding, files: ContestFiles, labels: SeenLabels) -> SeenLabels:
    """The labels of the training rows and of those beside them; a class that only the latter have is said."""
    name, column = so_far.values.get("valid", ""), so_far.values["label_column"]
    frame = files.table(name).frame if name else None
    if frame is None or column not in frame.columns:
        return labels
    words_are_classes = so_far.values.get("missing_labels") == "class"
    beside = names_of_cells(column_of(frame, column), so_far.values.get("label_separator", ""), words_are_classes=words_are_classes)
    both = replace(labels, names=[*labels.names, *beside])
    known = set(map(class_key, labels.classes()))
    _say_only_beside(so_far, name, [bare_text(each) for each in both.classes() if class_key(each) not in known])
    return both


def _say_only_beside(so_far: Understanding, valid: str, names: list[str]) -> None:
    """Say which classes only the labelled rows beside the training rows have."""
    if names:
        said = msg(
            "classes that only these rows have, and none of {train}: {names}", train=so_far.values["train"], names=", ".join(names[:8])
        )
        so_far.note("valid", valid, said, "note")


def _seen(files: ContestFiles, name: str) -> str:
    """How a table was read; "" for folders and for nothing."""
    return "" if not name or is_folder(files, name) else files.table(name).said


def _columns_of_folders(
    so_far: Understanding,
    files: ContestFiles,
    folders: dict[str, str],
    test_name: str,
    test: pd.DataFrame | None,
    sample: pd.DataFrame | None,
) -> SeenLabels:
    """Settle what class folders leave open: the columns of a test table. Returns the label of every image."""
    so_far.settle("modality", lambda: Guess("image", "class folders hold images"))
    if test is not None:
        candidates = asked_inputs(so_far.answers, test) or list(test.columns)
        image = find_image_column(files, test, "test", candidates)
        if image is None:
            raise InputError(
                "no column of the test names an image",
                where=test_name,
                why="columns: {names}; there are {n:,} images in the folder",
                fix="name the column with input_columns=NAME, or the folder of test images with test=FOLDER",
                names=", ".join(test.columns),
                n=len(files.images),
            )
        so_far.settle("id_column", lambda: guess_id(test, [test], sample, image.column))
        settle_inputs(so_far, lambda: image_guess(image))
        so_far.settle("test_image_root", lambda: base_guess(image, "test_image_root"))
    train = str(so_far.values["train"])
    keys = {name: files.images_under(folder) for name, folder in folders.items()}
    depth = len(folder_key(train).split("/")) + 1 if folder_key(train) else 1
    note_groups(so_far, group_parts([key for images in keys.values() for key in images], depth))
    names = [[name] for name, images in keys.items() for _ in images]
    beside = class_folders(files, so_far.values["valid"]) if so_far.values.get("valid") else {}
    names += [[name] for name, folder in beside.items() for _ in files.images_under(folder)]
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
    if len(train.columns) == 1:
        raise InputError(
            "the training table has one column",
            where=str(so_far.values["train"]),
            why="its first line is {name}, and it is not cut at commas, tabs, semicolons or bars",
            fix="write a comma between the columns, and nothing above their names",
            name=repr(train.columns[0][:80]),
        )
    odd = names_like_data(train)
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
    inputs = asked_inputs(answers, train)
    label_asked = answers.get("label_column", "")
    image: ImageColumn | None = None
    if "modality" not in answers or answers["modality"] == "image":
        image = find_image_column(files, train, "train", inputs[:1] or [name for name in train.columns if name != label_asked])
    modality = so_far.settle("modality", lambda: modality_guess(image, files))
    image_column = image.column if image is not None else ""
    home = test if test is not None else train
    tables = [frame for frame in (train, test) if frame is not None]
    id_column = so_far.settle("id_column", lambda: guess_id(home, tables, sample, image_column))
    index = {name: why for frame in reversed(tables) for name, why in index_columns(frame).items() if name not in (id_column, label_asked)}
    for name, why in index.items():
        so_far.note("train", name, msg("column '{column}' passed over: {why}", column=name, why=why), "note")
    taken = {id_column, image_column, *inputs, *index} - {""}
    labels, label_columns = settle_labels(so_far, train, test, sample, taken)
    group_asked = answers.get("group_column", "")
    if group_asked in label_columns:
        raise InputError(
            "the group column is the label",
            where=msg("column '{column}'", column=group_asked),
            why="all rows of a class would stand in one fold, and no network would know a class that it is asked for",
            fix=joined(
                "; ",
                [
                    "choose a column of persons or sources as the group",
                    msg("or name another label: {field}", field=setting("label_column", "NAME")),
                ],
            ),
        )
    taken |= {group_asked} - {""}
    if image is not None:
        settle_inputs(so_far, lambda: image_guess(image))
        settle_bases(so_far, files, image, test_name, test, sample)
    elif modality == "image":
        columns = ", ".join(train.columns)
        raise InputError(
            "no column names images", where=str(so_far.values["train"]), why="columns: {names}", fix="set modality=text", names=columns
        )
    else:
        settle_inputs(so_far, lambda: guess_text(train, test, taken | label_columns))
    so_far.settle("group_column", lambda: Guess("", "rows are taken to be independent"))
    parts = group_parts(column_of(train, image_column).tolist(), 0) if image is not None else []
    if not so_far.values["group_column"]:
        columns_taken = {id_column, *label_columns, *so_far.values["input_columns"]}
        note_groups(so_far, [*group_candidates(train, columns_taken), *parts])
    return labels


def _inspection(spec: ContestSpec, files: ContestFiles, rows: Rows, understood: list[Check]) -> Inspection:
    train = rows.train.frame
    first = rows.problems.first()
    labels = labels_of(train, len(spec.classes))
    counts = count_classes(labels, len(spec.classes), multilabel=spec.is_multilabel)
    preview = train.assign(label=_label_texts(train, spec))[["id", "input", "label"]]
    preview = preview.iloc[by_turns(labels, multilabel=spec.is_multilabel)[:N_PREVIEW]].reset_index(drop=True)
    return Inspection(
        draft=spec,
        checks=(*understood, *_checks_of_rows(spec, files, rows)),
        preview=preview,
        n_train=len(train),
        n_test=len(rows.test.frame),
        class_counts=dict(zip(spec.classes, counts.tolist(), strict=True)),
        rows_by_size=tuple(rows_by_size(labels).tolist()) if spec.is_multilabel else (),
        test_ids=rows.test_ids,
        problems=tuple(msg("{what}. Fix: {fix}", what=problem, fix=problem.fix) for problem in first),
        columns=_columns(files, spec),
        tables=tuple(files.tables()),
        refusal=rows.problems.error("the contest cannot be registered"),
    )


def _checks_of_depth(spec: ContestSpec, files: ContestFiles, rows: Rows) -> list[Check]:
    """What is said of images of more than eight bits, from some of them; registration looks at all."""
    names = [name for part in (rows.train, rows.test) for name in part.frame["input"].iloc[:: max(1, len(part.frame) // N_OPENED)] if name]
    checked = check_images([files.root / name for name in names])
    levels = Counter(level_of(image.most) for image in checked if image.most)
    return [white_check(spec.white_level or max(levels), levels)] if levels else []


def _odd_images(files: ContestFiles, keys: list[str], folders: list[str]) -> list[str]:
    """Those of `keys` in the folders of images that are images by what some files of their suffix begin with, or of a refused format."""
    inside = [key for key in keys if any(not folder or key.startswith(f"{folder}/") for folder in folders)]
    by_suffix: dict[str, list[str]] = {}
    for key in inside:
        by_suffix.setdefault(suffix_of(key), []).append(key)
    odd = {
        suffix for suffix, some in by_suffix.items() if suffix in REFUSED_SUFFIXES or any(map(files.begins_like_an_image, some[:N_OPENED]))
    }
    return [key for key in inside if suffix_of(key) in odd]


READINGS = {
    "case": "case and suffix aside, {cell} is {path}",
    "percent": "as an address, {cell} is {path}",
    "number": "as a number, {cell} is {path}",
    "place": "by the end of its path, {cell} is {path}",
}


def _checks_of_names(part: Part) -> list[Check]:
    """What is said of images and ids that are not named as the files, or the sample submission, have them."""
    checks: list[Check] = []
    for reading, said in READINGS.items():
        rows = [row for row, (how, _) in part.near.items() if how == reading]
        if rows:
            what = msg("{n:,} images of {file} are named otherwise", n=len(rows), file=part.file)
            example = msg(said, cell=part.near[rows[0]][1], path=str(part.frame["input"].iloc[rows[0]]))
            checks.append(Check("input_columns", what, example, "note" if reading == "case" else "warning"))
    if part.renamed:
        what = msg("{n:,} ids of {file} are spelled as in the sample submission", n=len(part.renamed), file=part.file)
        example = msg("{cell} is {path}; it is written so", cell=part.renamed[0][0], path=part.renamed[0][1])
        checks.append(Check("id_column", what, example, "note"))
    return checks


def _label_texts(train: pd.DataFrame, spec: ContestSpec) -> list[str]:
    """What every row's label reads like."""
    if spec.is_multilabel:
        return [", ".join(spec.classes[label] for label in labels) for labels in train["labels"]]
    return [spec.classes[label] if label >= 0 else "" for label in train["label"]]


def _checks_of_rows(spec: ContestSpec, files: ContestFiles, rows: Rows) -> list[Check]:
    n_train, n_test = len(rows.train.frame), len(rows.test.frame)
    checks = [
        Check("rows", msg("{train:,} train, {test:,} test", train=n_train, test=n_test), msg("test ids: {source}", source=rows.test_ids))
    ]
    if not n_test:
        why = "nothing to predict: runs can be trained and compared, a submission needs test rows"
        checks.append(Check("test", spec.test, why, "warning"))
    checks += [Check(key, "", sentence, "warning") for key, sentence in rows.doubts]
    if rows.n_empty_texts:
        checks.append(
            Check("input_columns", msg("{n:,} empty {n:text|texts}", n=rows.n_empty_texts), "they are kept as empty texts", "warning")
        )
    for part in (rows.train, rows.test):
        checks += _checks_of_names(part)
    if spec.modality == "text":
        checks += find_copies(
            rows.train.frame, rows.test.frame, labels_of(rows.train.frame, len(spec.classes)), spec, keys=keys_of_texts(rows)
        )[0]
    else:
        checks += _checks_of_depth(spec, files, rows)
    if files.links:
        links = ", ".join(sorted(files.links)[:3])
        what = msg("{n:,} symbolic links are not followed: {names}", n=len(files.links), names=links)
        checks.append(Check("files", what, LINK_FIX, "warning"))
    known = {*files.images, *files.tables()}
    ignored = [key for key in files.files if key not in known] if spec.layout == "folders" else []
    odd = _odd_images(files, ignored, [folder_key(name) for name in (spec.train, spec.valid, spec.test) if name and is_folder(files, name)])
    if odd:
        fix = msg("give them the suffix of an accepted format ({formats}), such as {name}", formats=FORMATS, name=odd[0])
        checks.append(Check("files", msg("{n:,} images with another suffix are left out", n=len(odd)), fix, "warning"))
    if ignored:
        why = msg("neither images nor tables, such as {name}", name=ignored[0])
        checks.append(Check("files", msg("{n:,} ignored", n=len(ignored)), why, "note"))
    first = rows.problems.first()
    checks += [
        Check("problems", problem.where, msg("{what}. Fix: {fix}", what=problem.what, fix=problem.fix), "warning") for problem in first
    ]
    n_more = rows.problems.count - len(first)
    if n_more:
        checks.append(Check("problems", msg("{n:,} more", n=n_more), "registration refuses until they are mended", "warning"))
    return checks
