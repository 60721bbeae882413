"""What a folder is believed to hold: a draft of the contest, each point with its evidence, every point open to correction."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from core.base.errors import InputError
from core.base.files import nfc
from core.base.messages import msg
from core.base.settings import parse_settings
from core.contest.files import TABLE_SUFFIXES, ContestFiles, is_junk, suffix_of
from core.contest.inspect.answers import parse_answers
from core.contest.inspect.evidence import Check
from core.contest.inspect.sources import TRAIN
from core.contest.inspect.understand import understand
from core.contest.rows import Rows, read_rows
from core.contest.table import by_turns, count_classes, labels_of, rows_by_size
from core.specs.contest import ContestSpec

N_PREVIEW = 24


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


def inspect_path(path: Path, *, name: str | None = None, sets: Iterable[str] = ()) -> Inspection:
    """Inspect a folder, or a training CSV in its folder; `sets` are corrections such as "label_column=ans".

    What depends on a correction follows it. Raises InputError when there is nothing that can be a contest (saying what was
    looked for), when a table cannot be read, or when a correction names something that is not there.
    """
    answers = parse_answers(sets)
    root = path.expanduser()
    if root.is_file():
        if suffix_of(root.name) not in TABLE_SUFFIXES:
            why = "it is a file" if suffix_of(root.name) != ".zip" else "it is an archive, which is extracted first"
            raise InputError("a contest is a folder", where=str(path), why=why, fix="give the folder, or the training CSV in it")
        answers.setdefault("train", nfc(root.name))
        path = root = root.parent
    files = ContestFiles(_unwrapped(root))
    understood = understand(files, answers)
    given = name or (answers.get("name", "")) or _name_of(path)
    values = {**understood.values, "name": given, "root": str(files.root)}
    spec = parse_settings(ContestSpec, values, where=str(path), error=InputError)
    rows = read_rows(files, spec)
    return _inspection(spec, files, rows, understood.checks)


def _unwrapped(path: Path) -> Path:
    """The folder itself, or the only folder inside it when an archive wrapped everything in one."""
    for _ in range(5):
        inner = _only_folder(path)
        if inner is None:
            break
        path = inner
    return path


def _only_folder(path: Path) -> Path | None:
    if not path.is_dir():
        return None
    visible = [entry for entry in path.iterdir() if not is_junk(entry.name)]
    if len(visible) == 1 and visible[0].is_dir() and not visible[0].is_symlink() and nfc(visible[0].name).lower() not in TRAIN:
        return visible[0]
    return None


def _name_of(path: Path) -> str:
    name = re.sub(r"[^\w\-]+", "-", nfc(path.expanduser().resolve().name)).strip("-")[:60]
    return name or "contest"


def _inspection(spec: ContestSpec, files: ContestFiles, rows: Rows, understood: list[Check]) -> Inspection:
    train = rows.train.frame
    first = rows.problems.first()
    labels = labels_of(train, len(spec.classes))
    counts = count_classes(labels, len(spec.classes))
    preview = train.assign(label=_label_texts(train, spec))[["id", "input", "label"]]
    preview = preview.iloc[by_turns(labels)[:N_PREVIEW]].reset_index(drop=True)
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
        columns=tuple(files.table(spec.train).frame.columns) if spec.layout == "csv" else (),
        tables=tuple(files.tables()),
    )


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
    if rows.n_empty_texts:
        checks.append(Check("input_columns", msg("{n:,} empty texts", n=rows.n_empty_texts), "they are kept as empty texts", "warning"))
    known = {*files.images, *files.tables()}
    ignored = [key for key in files.files if key not in known] if spec.layout == "folders" else []
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
