"""What a folder is believed to hold: a draft of the contest, each point with its evidence, every point open to correction."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from core.contest import columns as guessing
from core.contest.answers import Answers, parse_answers
from core.contest.files import ContestFiles, suffix_of
from core.contest.rows import Rows, class_folders, order_classes, read_rows, sample_id_column
from core.contest.sources import TRAIN, Guess, Sources, guess_sources
from core.contest.spec import ContestSpec
from core.errors import InputError
from core.settings import parse_settings
from core.workspace import nfc

N_PREVIEW = 24
BALANCED = 3.0


@dataclass(frozen=True)
class Check:
    """One point of what was understood. `level`: ok, note (worth reading) or warning (may be wrong, or will be refused)."""

    key: str
    value: str
    detail: str
    level: str = "ok"


@dataclass(frozen=True)
class Inspection:
    """A draft that can be registered once its warnings are read. `problems` are what registration would refuse, images unopened.

    `preview` holds some training rows of every class: id, input (text, or path below `root`), label (class name).
    """

    draft: ContestSpec
    checks: tuple[Check, ...]
    preview: pd.DataFrame
    n_train: int
    n_test: int
    class_counts: dict[str, int]
    test_ids: str
    problems: tuple[str, ...]


def inspect_path(path: Path, *, name: str | None = None, sets: Iterable[str] = ()) -> Inspection:
    """Inspect a folder; `sets` are corrections such as "label_column=ans", from which everything that depends on them follows.

    Raises InputError when the folder holds nothing that can be a contest (saying what was looked for), when a table cannot
    be read, or when a correction names something that is not there.
    """
    answers = parse_answers(sets)
    root = _contest_root(path)
    files = ContestFiles(root)
    sources = guess_sources(files, answers)
    values, checks = _understand(files, sources, answers)
    values |= {key: value for key, value in answers.items() if key not in values}
    values["name"] = name or answers.get("name") or _name_of(path)
    spec = parse_settings(
        ContestSpec, {"root": str(files.root), **values, **({"name": name} if name else {})}, where=str(root), error=InputError
    )
    rows = read_rows(files, spec)
    return _inspection(spec, files, rows, checks)


def _contest_root(path: Path) -> Path:
    """The folder itself, or the only folder inside it when an archive wrapped everything in one."""
    path = path.expanduser()
    if path.is_file():
        zipped = path.suffix.lower() == ".zip"
        why = "it is an archive: it is extracted before it is inspected" if zipped else "it is a file"
        raise InputError(
            "a contest is a folder", where=str(path), why=why, fix="give the folder that holds the contest's files, or its zip archive"
        )
    for _ in range(5):
        inner = _only_folder(path) if path.is_dir() else None
        if inner is None:
            break
        path = inner
    return path


def _only_folder(path: Path) -> Path | None:
    from core.contest.files import is_junk

    visible = [entry for entry in path.iterdir() if not is_junk(entry.name)]
    if len(visible) == 1 and visible[0].is_dir() and not visible[0].is_symlink() and nfc(visible[0].name).lower() not in TRAIN:
        return visible[0]
    return None


def _name_of(path: Path) -> str:
    name = re.sub(r"[^\w\-가-힣]+", "-", nfc(path.expanduser().resolve().name)).strip("-")[:60]
    return name or "contest"


def _understand(files: ContestFiles, sources: Sources, answers: Answers) -> tuple[dict[str, Any], list[Check]]:
    """Every setting but the name, and the evidence of each."""
    checks = [Check("layout", sources.layout.value, sources.layout.reason, sources.layout.level)]
    values: dict[str, Any] = {"layout": sources.layout.value, "train": sources.train.value, "test": sources.test.value}
    values["sample_submission"] = sources.sample.value
    for key, guess in (("train", sources.train), ("test", sources.test), ("sample_submission", sources.sample)):
        is_table = bool(guess.value) and suffix_of(guess.value) in (".csv", ".tsv", ".txt")
        said = f"{files.table(guess.value).said}; " if is_table else ""
        checks.append(Check(key, guess.value, said + guess.reason, guess.level))
    sample = files.table(sources.sample.value).frame if sources.sample.value else None
    test = files.table(sources.test.value).frame if suffix_of(sources.test.value) in (".csv", ".tsv", ".txt") else None
    guesses = _Columns(files, sources, answers, test, sample)
    for key, guess in guesses.of_layout().items():
        values[key] = answers.get(key, guess.value)
        checks.append(
            Check(key, _shown(values[key]), "your answer" if key in answers else guess.reason, "ok" if key in answers else guess.level)
        )
    values["input_columns"] = answers.get("input_columns", (values["input_columns"],) if values["input_columns"] else ())
    labels = guesses.labels(values["label_column"])
    classes = tuple(answers["classes"]) if "classes" in answers else guesses.classes(labels)
    values["classes"] = classes
    checks += _class_checks(labels, classes, "your answer" if "classes" in answers else "")
    for key, guess in _submission(sample, classes, labels, values["id_column"], answers).items():
        values[key] = answers.get(key, guess.value)
        checks.append(Check(key, values[key], "your answer" if key in answers else guess.reason, "ok" if key in answers else guess.level))
    checks += guesses.group_notes(values)
    return values, checks


def _shown(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else ", ".join(value)


class _Columns:
    """The guesses about columns of one contest, each made after those it depends on."""

    def __init__(
        self, files: ContestFiles, sources: Sources, answers: Answers, test: pd.DataFrame | None, sample: pd.DataFrame | None
    ) -> None:
        self.files = files
        self.sources = sources
        self.answers = answers
        self.test = test
        self.sample = sample
        self.train = files.table(sources.train.value).frame if sources.layout.value == "csv" else None

    def of_layout(self) -> dict[str, Guess]:
        """Guesses for modality, id, input, label, group and image folders."""
        return self._of_folders() if self.train is None else self._of_table(self.train)

    def _of_folders(self) -> dict[str, Guess]:
        said = Guess("", "classes are folders")
        guesses = {"modality": Guess("image", "class folders hold images"), "id_column": said, "input_columns": said, "label_column": said}
        guesses |= {"group_column": Guess("", "class folders have no columns"), "image_root": Guess("", "")}
        if self.test is not None:
            asked = list(self.answers.get("input_columns", ()))
            image = guessing.find_image_column(self.files, self.test, "test", asked[:1] or list(self.test.columns))
            if image is None:
                raise InputError(
                    "no column of the test names an image",
                    where=self.sources.test.value,
                    why=f"columns: {', '.join(self.test.columns)}; {len(self.files.images):,} images in the folder",
                    fix="name the column with input_columns=NAME, or the folder of test images with test=FOLDER",
                )
            guesses["input_columns"] = _image_guess(image)
            guesses["id_column"] = guessing.guess_id(self.test, self.test, self.sample, image.column)
            guesses["test_image_root"] = _base_guess(image, "test_image_root")
        del guesses["image_root"]
        return guesses

    def _of_table(self, train: pd.DataFrame) -> dict[str, Guess]:
        asked_label = {self.answers["label_column"]} if "label_column" in self.answers else set[str]()
        asked_input = [name for name in self.answers.get("input_columns", ()) if name in train.columns]
        candidates = asked_input[:1] or [name for name in train.columns if name not in asked_label]
        image = guessing.find_image_column(self.files, train, "train", candidates) if self.answers.get("modality") != "text" else None
        id_guess = guessing.guess_id(train, self.test, self.sample, image.column if image else "")
        id_column = self.answers.get("id_column", id_guess.value)
        taken = {id_column, image.column if image else "", *asked_input, self.answers.get("group_column", "")} - {""}
        if "label_column" in self.answers:
            label = Guess(self.answers["label_column"], "your answer")
        else:
            label = guessing.guess_label(train, self.test, self.sample, taken)
        guesses: dict[str, Guess] = {}
        if image is not None or self.answers.get("modality") == "image":
            found = f"{image.share:.0%} of column '{image.column}' looked at are images here" if image else ""
            level = "ok" if image and image.share > 0.99 else "warning"
            guesses["modality"] = Guess("image", found or "your answer", level)
            guesses["id_column"] = id_guess
            guesses["input_columns"] = _image_guess(image) if image else Guess("", "no column names images", "warning")
            guesses["label_column"] = label
            guesses |= self._bases(image)
        else:
            if asked_input:
                text, _ = Guess(asked_input[0], "your answer"), []
            else:
                text, _ = guessing.guess_text(train, self.test, taken | {label.value})
            guesses["modality"] = Guess("text", f"column '{text.value}' holds text, and no column names images")
            guesses |= {"id_column": id_guess, "input_columns": text, "label_column": label}
        guesses["group_column"] = Guess("", "rows are taken to be independent; see `groups`", "ok")
        return guesses

    def _bases(self, image: guessing.ImageColumn | None) -> dict[str, Guess]:
        if image is None:
            return {}
        bases = {"image_root": _base_guess(image, "image_root")}
        test_base = None
        if self.test is not None and image.column in self.test.columns:
            test_base = guessing.find_image_base(self.files, self.test, image.column, "test")
        elif not self.sources.test.value and self.sample is not None:
            test_base = guessing.find_image_base(self.files, self.sample, str(self.sample.columns[0]), "test")
        if test_base is not None and test_base.share and test_base.base != image.base:
            bases["test_image_root"] = _base_guess(test_base, "test_image_root")
        return bases

    def labels(self, column: str) -> pd.Series:
        """The label of every training row."""
        if self.train is None:
            folders = class_folders(self.files, self.sources.train.value, self.sources.test.value)
            names = [folder.rsplit("/", 1)[-1] for folder in folders for _ in self.files.images_under(folder)]
            return pd.Series(names, dtype="str")
        if column not in self.train.columns:
            raise InputError(
                f"there is no column '{column}'",
                where=self.sources.train.value,
                why=f"columns: {', '.join(self.train.columns)}",
                fix="set label_column to one of them",
            )
        return self.train[column]

    def classes(self, labels: pd.Series) -> tuple[str, ...]:
        """The classes found; InputError below two."""
        if self.train is None:
            folders = class_folders(self.files, self.sources.train.value, self.sources.test.value)
            classes = order_classes(folder.rsplit("/", 1)[-1] for folder in folders)
        else:
            classes = guessing.find_classes(labels)
        if len(classes) < 2:
            raise InputError(
                f"{'one class is' if classes else 'no classes are'} too few to classify",
                where=self.sources.train.value,
                why=f"found in {labels.name or 'the folders'}: {', '.join(classes) or 'nothing'}",
                fix="name the column with the classes: label_column=NAME, or the folder with the class folders: train=NAME",
            )
        return classes

    def group_notes(self, values: dict[str, Any]) -> list[Check]:
        """Columns and path parts that look like groups; said, never decided."""
        if self.train is not None:
            taken = {values["id_column"], values["label_column"], *values["input_columns"]}
            found = guessing.group_candidates(self.train, taken)
            if values["modality"] == "image" and values["input_columns"] and values["input_columns"][0] in self.train.columns:
                part = guessing.group_parts(self.train[values["input_columns"][0]], 0)
                found += [part] if part else []
        else:
            keys = pd.Series(self.files.images_under("" if values["train"] == "." else values["train"]), dtype="str")
            depth = (0 if values["train"] == "." else values["train"].count("/") + 1) + 1
            part = guessing.group_parts(keys, depth)
            found = [part] if part else []
        if not found or values.get("group_column"):
            return []
        return [Check("groups", "; ".join(found), "rows that share one may have to stay in one fold: group_column=NAME", "note")]


def _image_guess(image: guessing.ImageColumn) -> Guess:
    if image.share == 0:
        return Guess(image.column, "its values are named like images, but none of them is in the folder", "warning")
    return Guess(
        image.column, f"{image.share:.0%} of the values looked at are images in the folder", "ok" if image.share > 0.99 else "warning"
    )


def _base_guess(image: guessing.ImageColumn, setting: str) -> Guess:
    where = f"paths start from {image.base}" if image.base else "paths start from the contest's folder"
    if image.also:
        return Guess(image.base, f"{where}; equally possible: {', '.join(image.also)}; correct with {setting}=FOLDER", "warning")
    return Guess(image.base, where)


def _class_checks(labels: pd.Series, classes: tuple[str, ...], asked: str) -> list[Check]:
    counts = labels.map(nfc).value_counts()
    sizes = [int(counts.get(name, 0)) for name in classes]
    shown = ", ".join(classes[:8]) + (", …" if len(classes) > 8 else "")
    detail = asked or f"{min(sizes):,} to {max(sizes):,} rows per class"
    checks = [Check("classes", f"{len(classes)}: {shown}", detail)]
    return checks + [Check("classes", "", warning, "warning") for warning in guessing.class_warnings(labels, classes)]


def _submission(
    sample: pd.DataFrame | None, classes: tuple[str, ...], labels: pd.Series, id_column: str, answers: Answers
) -> dict[str, Guess]:
    """Guesses for the submission's format and, following from it, the metric."""
    if sample is None:
        form = Guess("label", "there is no sample submission: one label per row", "note")
    else:
        names = list(sample.columns)
        first = id_column if id_column in names else names[0]
        form = _submission_form(sample, [name for name in names if name != first], classes)
    chosen = answers.get("submission", form.value)
    counts = labels.map(nfc).value_counts()
    ratio = counts.max() / max(counts.min(), 1) if len(counts) else 1.0
    if chosen == "probabilities":
        metric = Guess("log_loss", "a guess: probabilities are asked for; the contest's rules decide", "note")
    elif ratio > BALANCED:
        metric = Guess(
            "macro_f1", f"a guess: labels are asked for, the largest class is {ratio:.0f} times the smallest; the rules decide", "note"
        )
    else:
        metric = Guess("accuracy", "a guess: labels are asked for, classes are of similar size; the contest's rules decide", "note")
    return {"submission": form, "metric": metric}


def _submission_form(sample: pd.DataFrame, others: list[str], classes: tuple[str, ...]) -> Guess:
    if len(others) == 1:
        values = pd.to_numeric(sample[others[0]], errors="coerce")
        if bool(values.between(0, 1).all()) and bool((values % 1 != 0).any()):
            return Guess("label", f"'{others[0]}' looks like a probability of one class, which cannot be written: a label is", "warning")
        return Guess("label", f"one column beside the ids: '{others[0]}'")
    known = [name for name in others if name in classes]
    if set(others) == set(classes):
        order = "in our order" if tuple(others) == classes else "in the sample's own order"
        return Guess("probabilities", f"one column per class, {order}")
    if len(known) * 2 >= len(others) and known:
        return Guess("probabilities", f"{len(known)} of its {len(others)} columns are classes ({len(classes)} classes)", "warning")
    return Guess("label", f"its columns are neither one label nor the classes: {', '.join(others[:8]) or 'only ids'}", "warning")


def _inspection(spec: ContestSpec, files: ContestFiles, rows: Rows, checks: list[Check]) -> Inspection:
    train = rows.train.frame
    labels = train["label"].to_numpy()
    counts = {name: int((labels == number).sum()) for number, name in enumerate(spec.classes)}
    checks = [*checks, Check("rows", f"{len(train):,} train, {len(rows.test.frame):,} test", f"test ids: {rows.test_ids}")]
    if len(rows.test.frame) == 0:
        checks.append(
            Check("test", spec.test, "nothing to predict: runs can be trained and compared, a submission needs test rows", "warning")
        )
    if rows.n_empty_texts:
        checks.append(
            Check("input_columns", f"{rows.n_empty_texts:,} empty texts", "they are kept: the test must be answered in full", "warning")
        )
    ignored = len(files.files) - len(files.images) - len(files.tables())
    if spec.layout == "folders" and ignored:
        checks.append(
            Check("files", f"{ignored:,} ignored", f"files that are neither images nor tables, such as {_first_ignored(files)}", "note")
        )
    if spec.sample_submission:
        column = sample_id_column(spec, files.table(spec.sample_submission).frame.columns)
        checks.append(Check("sample_submission", spec.sample_submission, f"ids in column '{column}'"))
    first = rows.problems.first()
    checks += [Check("problems", problem.where, f"{problem.what}. Fix: {problem.fix}", "warning") for problem in first]
    if rows.problems.count > len(first):
        checks.append(
            Check("problems", f"{rows.problems.count - len(first):,} more", "registration refuses until they are mended", "warning")
        )
    preview = train.assign(label=[spec.classes[label] if label >= 0 else "" for label in labels])[["id", "input", "label"]]
    turn = preview.groupby("label").cumcount()
    preview = preview.loc[turn.sort_values(kind="stable").index[:N_PREVIEW]].reset_index(drop=True)
    said = tuple(f"{problem}. Fix: {problem.fix}" for problem in first)
    return Inspection(spec, tuple(checks), preview, len(train), len(rows.test.frame), counts, rows.test_ids, said)


def _first_ignored(files: ContestFiles) -> str:
    tables = set(files.tables())
    return next(key for key in files.files if key not in tables and key not in set(files.images))
