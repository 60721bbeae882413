"""From probabilities to the file a contest accepts: the sample's ids, order, columns and bytes, or a refusal.

The file is built, then read back and checked as the contest would check it, and only then published.
"""

import csv
import hashlib
import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from core.artefacts import publishing, verify
from core.base.errors import AlignmentError, InputError, StateError, SubmissionError
from core.base.files import bare_text, fingerprint, write_json
from core.base.messages import joined, msg, reason
from core.base.names import check_name, file_name
from core.contest.labels import order_classes
from core.contest.table import load_table
from core.metrics.scores import decide
from core.predictions.source import Source
from core.specs.kept import Lineage, LineageMember
from core.store.blends import Submission, add_submission, list_submissions
from core.store.contests import list_truths
from core.store.runs import Run
from core.submission.format import UNTRAINED, SubmissionFormat, read_format, read_list
from core.submission.label_cells import read_cell, write_cell
from core.workspace import Workspace
from models.catalog import UnknownBackbone
from models.local import NoBackbone, any_backbone

UNKNOWN_LICENCE = "unknown"
SUM_TOLERANCE = 1e-4
FLOOR = 1e-4
"""The probability of a class that no training row has: next to nothing is lost where it never comes, and not everything where it does."""
FEW_ROWS = 10
"""In fewer rows than these one class for all is no sign of anything."""


@dataclass(frozen=True)
class SubmissionCheck:
    """One thing a contest checks: `key` names it, `detail` says what was seen. What `is_doubtful` would be accepted, and is hardly meant."""

    key: str
    is_ok: bool
    detail: str
    is_doubtful: bool = False


@dataclass(frozen=True)
class Candidate:
    """A file that could be written in its format: its bytes, and what the checks say of it.

    `predicted` are the labels of the test's rows, as `decide` gives them: (n,), or where a row has several (n, n_classes).
    """

    form: SubmissionFormat
    data: bytes
    checks: tuple[SubmissionCheck, ...]
    predicted: NDArray[np.integer]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The rows as text, read back from the bytes."""
        return _sheet(self.form, self.data)

    def head(self, n_rows: int) -> pd.DataFrame:
        """The first of them; all of a large file take seconds."""
        return _sheet(self.form, self.data, n_rows=n_rows)

    @property
    def is_valid(self) -> bool:
        return all(check.is_ok for check in self.checks)

    def raise_if_refused(self, where: str) -> None:
        """Raise SubmissionError, naming each check that failed."""
        failed = [msg("{name}: {detail}", name=check.key, detail=check.detail) for check in self.checks if not check.is_ok]
        if failed:
            raise SubmissionError(
                "the contest would refuse this file",
                where=where,
                why=joined("; ", failed),
                fix="correct submission_names of the contest, on the page Data or by `contest correct`"
                if any(check.key == "sample" and not check.is_ok for check in self.checks)
                else "check the contest's sample submission on the page Data",
            )


def make_submission(form: SubmissionFormat, ids: Sequence[str], prob: NDArray[np.floating], thresholds: Sequence[float] = ()) -> bytes:
    """The file's bytes from predictions (n_test, n_classes) of the rows `ids`, in the order the format asks for. Pure.

    Multi-label: a row has the classes above their `thresholds` (n_classes,), one half when left out.
    """
    row_of = {name: row for row, name in enumerate(ids)}
    missing = [name for name in form.ids if name not in row_of]
    if missing or len(row_of) != len(ids) or prob.shape != (len(ids), len(form.classes)):
        raise AlignmentError(
            "the predictions do not cover the submission's rows",
            where="submission",
            why="{n} {n:id has|ids have} no prediction, first {ids}; predictions are {shape}",
            fix="train on this version of the contest",
            n=len(missing),
            ids=missing[:3],
            shape=prob.shape,
        )
    prob = prob[[row_of[name] for name in form.ids]]
    labels = decide(prob, multilabel=form.is_multilabel, thresholds=thresholds)
    if form.is_multilabel and not form.class_of_column:
        return _bytes(form, _cell_lines(form, labels, _list_cells(prob) if form.lists else []))
    columns: list[Any] = [pa.array(form.ids, pa.string())]
    if form.class_of_column:
        n_untrained = form.class_of_column.count(UNTRAINED)
        left = 1.0 if form.is_multilabel else 1 - FLOOR * n_untrained
        values = labels if form.is_flags else (prob * left if n_untrained else prob).astype(np.float32)
        floor = np.full(len(prob), 0 if form.is_flags else FLOOR, dtype=values.dtype)
        numbers = [pa.array(floor if index == UNTRAINED else np.ascontiguousarray(values[:, index])) for index in form.class_of_column]
        columns += numbers if form.decimal == "." else [_with_comma(each) for each in numbers]
    else:
        columns.append(pa.array(np.asarray(form.classes, dtype=object)[labels].tolist(), pa.string()))
        if form.lists:
            columns.append(pa.array(_list_cells(prob), pa.string()))
    columns.insert(form.id_place, columns.pop(0))
    for place, cells in sorted(form.repeated.items()):
        columns.insert(place, pa.array([cell or None for cell in cells], pa.string()))
    special = (form.delimiter, '"', "\n", "\r")
    texts = chain(form.ids, form.classes, *form.repeated.values(), ["[0,0]"] if form.lists else [])
    quoting = "needed" if any(mark in text for text in texts for mark in special) else "none"
    body = io.BytesIO()
    pa_csv.write_csv(
        pa.table(columns, list(map(str, range(len(columns))))),
        body,
        pa_csv.WriteOptions(include_header=False, delimiter=form.delimiter, quoting_style=quoting),
    )
    return _bytes(form, body.getvalue().decode("utf-8"))


def _list_cells(prob: NDArray[np.floating]) -> list[str]:
    """Each row's probabilities as Python writes a list, in float32's shortest text."""
    numbers = pa.array(np.ascontiguousarray(prob, dtype=np.float32).ravel()).cast(pa.string()).to_pylist()
    n = prob.shape[1]
    return [f"[{', '.join(numbers[start : start + n])}]" for start in range(0, len(numbers), n)]


def _with_comma(numbers: Any) -> Any:
    """An array of numbers as text, with a decimal comma."""
    return pa.array([text.replace(".", ",") for text in numbers.cast(pa.string()).to_pylist()], pa.string())


def check_submission(form: SubmissionFormat, data: bytes) -> tuple[SubmissionCheck, ...]:
    """Read a file's bytes as the contest would, and report on columns, ids, order, and values."""
    try:
        frame = _sheet(form, data, as_numbers=form.has_probabilities)
    except (UnicodeDecodeError, InputError) as problem:
        return (SubmissionCheck("readable", False, str(problem)),)
    columns = tuple(bare_text(str(column)) for column in frame.columns)
    if columns != form.columns:
        return (
            SubmissionCheck(
                "columns", False, msg("{found} instead of {wanted}", found=", ".join(columns[:6]), wanted=", ".join(form.columns[:6]))
            ),
        )
    checks = [
        SubmissionCheck(
            "columns",
            True,
            msg("{name}: {detail}, …" if len(columns) > 4 else "{name}: {detail}", name=len(columns), detail=", ".join(columns[:4])),
        )
    ]
    ids = tuple(frame.iloc[:, 0])
    absent, foreign, twice = len(set(form.ids) - set(ids)), len(set(ids) - set(form.ids)), len(ids) - len(set(ids))
    checks.append(
        SubmissionCheck(
            "ids",
            not (absent or foreign or twice),
            msg(
                "{n} {n:row|rows}; {missing} missing, {unknown} unknown, {twice} twice",
                n=len(ids),
                missing=absent,
                unknown=foreign,
                twice=twice,
            ),
        )
    )
    checks.append(
        SubmissionCheck("order", ids == form.ids, "as the contest has them" if ids == form.ids else "not as the contest has them")
    )
    if form.sample_encoding:
        told = msg("UTF-8: the sample's {encoding} has no signs for some classes", encoding=form.sample_encoding)
        checks.append(SubmissionCheck("encoding", True, told, is_doubtful=True))
    chosen: list[Any] = [] if form.is_multilabel else frame.iloc[:, 1].tolist()
    if form.is_flags:
        flags = frame.iloc[:, 1:].to_numpy(dtype=str)
        n_bad = int((~np.isin(flags, ("0", "1"))).any(axis=1).sum())
        checks.append(SubmissionCheck("flags", n_bad == 0, msg("{n} {n:row|rows} with a value that is neither 0 nor 1", n=n_bad)))
        checks.append(_empty_rows(int((flags != "1").all(axis=1).sum()), len(flags)))
    elif form.has_probabilities:
        answers = frame.iloc[:, 1:]
        if form.decimal == ",":
            answers = answers.apply(lambda cells: cells.str.replace(",", "."))
        is_read = (answers.dtypes == np.float64).all()
        values = (answers if is_read else answers.apply(pd.to_numeric, errors="coerce")).to_numpy(dtype=np.float64)
        n_bad = int((~np.isfinite(values) | (values < 0) | (values > 1)).any(axis=1).sum())
        checks.append(SubmissionCheck("numbers", n_bad == 0, msg("{n} {n:row|rows} with a value that is no probability", n=n_bad)))
        if not form.is_multilabel:
            chosen = values.argmax(axis=1).tolist()
            worst = float(np.nanmax(np.abs(values.sum(axis=1) - 1), initial=0.0))
            checks.append(SubmissionCheck("sum", worst <= SUM_TOLERANCE, msg("rows sum to 1 within {error:.1e}", error=worst)))
    elif form.is_multilabel:
        checks += _check_cells(form, list(frame.iloc[:, 1]))
    else:
        strange = sorted(set(frame.iloc[:, 1]) - set(form.classes))
        checks.append(
            SubmissionCheck(
                "labels",
                not strange,
                msg("unknown: {names}", names=", ".join(strange[:5])) if strange else msg("all among the {n} classes", n=len(form.classes)),
            )
        )
    if form.lists:
        checks += _check_lists(form, list(frame.iloc[:, 2]))
    if form.unlike:
        checks.append(SubmissionCheck("sample", form.is_named, form.unlike, is_doubtful=form.is_named))
    if len(frame) >= FEW_ROWS and len(set(chosen)) == 1:
        checks.append(SubmissionCheck("variety", True, msg("all {n:,} rows have the same class", n=len(frame)), is_doubtful=True))
    return tuple(checks)


def prepare(source: Source, prob: NDArray[np.float32] | None = None) -> Candidate:
    """Build and check the file of a finished run or a saved blend, without writing anything.

    `prob` (n_test, n_classes) takes the place of the stored predictions.
    """
    workspace, contest = source.workspace, source.contest
    table = load_table(workspace, contest)
    if table.test.empty:
        raise StateError(
            "this contest has no test rows",
            where=contest.name,
            why="there is nothing to submit",
            fix="register the contest with its test file",
        )
    form = read_format(workspace, contest)
    prob = source.test() if prob is None else prob
    data = make_submission(form, list(table.test["id"]), prob, source.thresholds)
    predicted = decide(prob, multilabel=form.is_multilabel, thresholds=source.thresholds)
    return Candidate(form, data, check_submission(form, data), predicted)


def write_submission(source: Source, *, name: str = "") -> Submission:
    """Publish the submission of a run or a blend with its lineage; SubmissionError when a check fails.

    The same bytes under the same name are the submission that was written before, which is returned.
    """
    from core.contest.samples import hidden_scores

    workspace, contest = source.workspace, source.contest
    candidate = prepare(source)
    candidate.raise_if_refused(source.name)
    name, digest = check_name(name or source.name), hashlib.sha256(candidate.data).hexdigest()
    for known in list_submissions(workspace.store, contest.id):
        if (known.source, known.name, known.sha256) == (source.ref, name, digest):
            return known
    lineage = make_lineage(source)
    filename = file_name(contest.name, name, suffix=".csv")
    folder = workspace.submission_dir(contest.folder, fingerprint({"lineage": lineage.to_dict(), "file": filename, "sha256": digest}))
    with publishing(folder, kind="submission", parents={"rows": contest.fingerprint, source.ref: lineage.fingerprint}) as temporary:
        (temporary / filename).write_bytes(candidate.data)
        write_json(temporary / "lineage.json", lineage.to_dict())
    return add_submission(
        workspace.store,
        contest_id=contest.id,
        source=source.ref,
        name=name,
        filename=filename,
        sha256=digest,
        path=workspace.relative(folder / filename),
        n_rows=len(candidate.form.ids),
        lineage=lineage,
        hidden_scores=hidden_scores(workspace, contest, candidate.frame) if contest.sample else None,
    )


def read_submission(workspace: Workspace, submission: Submission) -> bytes:
    """The bytes of a submission that was written, verified against its manifest."""
    path = workspace.absolute(submission.path)
    verify(path.parent)
    return path.read_bytes()


def make_lineage(source: Source) -> Lineage:
    """Every hash a submission descends from: rows, truth, folds, recipes, fold artefacts, weights.

    A blend that was weighed on some folds only says on which of how many; a member's folds are those whose networks had a part. What is known
    of pretrained weights is kept, but no fingerprint is made of it.
    """
    truths = {truth.id: truth.fingerprint for truth in list_truths(source.workspace.store, source.contest.id)}
    members = tuple(
        LineageMember(
            run=member.run.ref,
            name=member.run.name,
            weight=member.weight,
            truth=truths[member.run.truth_id],
            recipe=member.run.own_recipe and member.run.own_recipe.fingerprint,
            imported=member.run.imported,
            folds={str(fold): own for fold, own in member.fold_fingerprints.items()},
        )
        for member in source.members()
    )
    lineage = Lineage(
        source=source.ref,
        name=source.name,
        fingerprint=source.content[0] if source.kind == "blend" else fingerprint([member.to_dict() for member in members]),
        rows=source.contest.fingerprint,
        truth=truths[source.truth_id],
        folds=source.folds.fingerprint,
        members=tuple(
            _with_weights(member, each.run, source.workspace.weights_dir) for member, each in zip(members, source.members(), strict=True)
        ),
    )
    is_part = source.kind == "blend" and not source.is_whole
    return lineage.model_copy(update={"scored_folds": source.scored_folds, "n_folds": source.folds.n_folds}) if is_part else lineage


def _with_weights(member: LineageMember, run: Run, weights_dir: Path) -> LineageMember:
    """The member with what is known of the weights that its run began with."""
    if (on := run.pretrained_on) is not None:
        member = member.model_copy(update={"pretrained_on": on})
    elif run.own_recipe is None or not run.recipe.model.pretrained:
        return member
    licence = UNKNOWN_LICENCE
    with suppress(UnknownBackbone, NoBackbone):  # the catalogue of a later timm may have lost it, or a folder is gone
        licence = any_backbone(run.recipe.model.backbone, weights_dir).licence or UNKNOWN_LICENCE
    return member.model_copy(update={"licence": licence})


def _cell_lines(form: SubmissionFormat, labels: NDArray[np.integer], lists: Sequence[str]) -> str:
    """The lines of a file with all labels of a row in one cell, in the order of the classes; quoted only where it must be."""
    lines = io.StringIO()
    writer = csv.writer(lines, delimiter=form.delimiter, lineterminator="\n")
    for number, (row_id, row) in enumerate(zip(form.ids, labels, strict=True)):
        cells = [row_id, write_cell((form.classes[index] for index in np.flatnonzero(row)), form.cells), *lists[number : number + 1]]
        cells.insert(form.id_place, cells.pop(0))
        for place, repeated in sorted(form.repeated.items()):
            cells.insert(place, repeated[number])
        writer.writerow(cells)
    return lines.getvalue()


def _check_cells(form: SubmissionFormat, cells: Sequence[str]) -> list[SubmissionCheck]:
    """Whether the labels in every cell are classes, each named once; and how many cells have none."""
    labels_in = {cell: read_cell(cell, form.cells) for cell in dict.fromkeys(cells)}
    strange = sorted({name for names in labels_in.values() for name in names} - set(form.classes))
    twice = sorted({name for names in labels_in.values() for name in names if names.count(name) > 1})
    told = msg("all among the {n} classes", n=len(form.classes))
    if strange:
        told = msg("unknown: {names}", names=", ".join(strange[:5]))
    elif twice:
        told = msg("twice in a row: {names}", names=", ".join(twice[:5]))
    elif form.cells.is_guess and any(len(names) > 1 for names in labels_in.values()):
        told = msg("all among the {n} classes; no sample shows how several are written, see the preview", n=len(form.classes))
    n_empty = sum(not labels_in[cell] for cell in cells)
    return [SubmissionCheck("labels", not (strange or twice), told), _empty_rows(n_empty, len(cells))]


def _check_lists(form: SubmissionFormat, cells: Sequence[str]) -> list[SubmissionCheck]:
    """Whether every cell is a list with a probability for each class, and whether their order can be that of the sample."""
    found = [np.array(read_list(cell)) for cell in cells]
    n_bad = sum(len(row) != len(form.classes) or not ((row >= 0) & (row <= 1)).all() for row in found)
    told = msg("{n} {n:row|rows} without a probability for each of {n_classes} classes", n=n_bad, n_classes=len(form.classes))
    checks = [SubmissionCheck("lists", not n_bad, told)]
    if not form.is_multilabel and not n_bad:
        worst = max((abs(float(row.sum()) - 1) for row in found), default=0.0)
        checks.append(SubmissionCheck("sum", worst <= SUM_TOLERANCE, msg("rows sum to 1 within {error:.1e}", error=worst)))
    order = msg("lists are in the order of the classes: {names}, … The contest says which it expects", names=", ".join(form.classes[:3]))
    is_default = form.classes == order_classes(form.classes)  # a person's own order is rarely the alphabet's
    cure = ["give the classes in the order of the lists: classes=[…]"] if form.unlike_list or is_default else []
    told = joined("; ", [form.unlike_list or order, *cure])
    return [*checks, SubmissionCheck("list_order", not form.unlike_list, told, is_doubtful=is_default and not form.unlike_list)]


def _empty_rows(n_empty: int, n_rows: int) -> SubmissionCheck:
    """Rows without any label are told, not refused: a contest may have them."""
    return SubmissionCheck("empty", True, msg("{n:,} of {rows:,} rows have no label", n=n_empty, rows=n_rows))


def _bytes(form: SubmissionFormat, lines: str) -> bytes:
    return (form.header + "\n" + lines).replace("\n", form.newline).encode(form.encoding)


def _sheet(form: SubmissionFormat, data: bytes, *, as_numbers: bool = False, n_rows: int | None = None) -> pd.DataFrame:
    """The ids and answers in a file's bytes, as the contest would read it: without the columns that it only repeats.

    Answers are texts; `as_numbers` they are numbers where all of them are (reading millions of texts takes seconds).
    """
    text, as_numbers = data.decode(form.encoding), as_numbers and not form.repeated and not form.id_place and form.decimal == "."
    frame = _read_numbers(text, form.delimiter) if as_numbers else None
    frame = _read_texts(text, form.delimiter, n_rows) if frame is None else frame
    frame = frame.rename(columns=bare_text)
    frame = frame.drop(columns=[name for place, name in enumerate(frame.columns) if place in form.repeated])
    if 0 < form.id_place < len(frame.columns):
        frame.insert(0, frame.columns[form.id_place], frame.pop(frame.columns[form.id_place]))
    return frame


def _read_texts(text: str, delimiter: str, n_rows: int | None) -> pd.DataFrame:
    try:
        return pd.read_csv(io.StringIO(text), sep=delimiter, dtype=str, keep_default_na=False, nrows=n_rows)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as problem:
        raise InputError(
            "a submission cannot be read", where="submission", why=reason(problem), fix="give a CSV with a header line"
        ) from None


def _read_numbers(text: str, delimiter: str) -> pd.DataFrame | None:
    """Ids as texts and everything else as numbers; None where a cell is no number, or the lines are no table."""
    raw = text.encode()
    try:
        head, *columns = pd.read_csv(io.StringIO(text), sep=delimiter, nrows=0).columns
        types = {head: pa.large_string(), **dict.fromkeys(columns, pa.float64())}
        table = pa_csv.read_csv(
            pa.BufferReader(raw),
            pa_csv.ReadOptions(block_size=len(raw)),
            pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values='"' in text),
            pa_csv.ConvertOptions(column_types=types, null_values=[]),
        )
    except (pa.ArrowInvalid, pd.errors.EmptyDataError):
        return None
    return table.to_pandas() if table.column_names == list(types) else None
