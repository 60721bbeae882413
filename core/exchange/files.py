"""Predictions in a file: read with every check against the contest's ids and folds, or written in the form that its name says."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from core.base.errors import AlignmentError, InputError, PitwallError
from core.base.files import check_output, nfc, written_aside
from core.base.messages import joined, msg, reason
from core.contest.ids import tell_apart
from core.exchange.sheet import FOLD, N_NAMED, Array, Expected, Sheet, check_size, check_suffix, differences, named, read_sheet, short
from core.metrics.scores import invalid_rows

CHUNK_VALUES = 4_000_000
NEAR_ZERO, NEAR_ONE = 1e-6, 0.02
"""What rounding does to probabilities: down to NEAR_ZERO below 0 (or above 1, where each stands alone) is taken for 0 (or 1), and rows
whose sum is within NEAR_ONE of one are scaled."""


@dataclass(frozen=True)
class Reading:
    """A file as read: probabilities (n_rows, n_classes) in the contest's order, or every reason why there are none.

    `unchecked` is what is to be said of it: what is taken on trust, as which "rows" it has, on which "folds" they were predicted, and that
    rows of "repeated" ids stand in the contest's order; and that rows were "scaled" to sum to one.
    """

    prob: Array | None
    problems: tuple[PitwallError, ...] = ()
    unchecked: tuple[str, ...] = ()


def read_predictions(path: Path, expected: Expected) -> Reading:
    """Read a file and compare it with what it must hold. Nothing is raised: what does not fit is told, all of it."""
    try:
        check_size(path.name, path.stat().st_size if path.exists() else 0, expected)
        sheet = read_sheet(path, expected)
    except PitwallError as problem:
        return Reading(None, (problem,))
    is_repeated = sheet.ids is not None and len(set(sheet.ids)) < len(sheet.ids)
    if sheet.ids is not None and is_repeated and set(told := tell_apart(sheet.ids)) == set(map(nfc, expected.ids)):
        sheet = replace(sheet, ids=told)
    order, problems = _order(sheet, expected, path)
    sheet, is_scaled = _without_rounding(sheet, expected)
    problems += _wrong_values(sheet, expected, path) + _wrong_folds(sheet, expected, path)
    if problems:
        return Reading(None, tuple(problems))
    unchecked = {"rows": sheet.ids is None, "folds": sheet.folds is None and expected.fold_of is not None}
    unchecked |= {"repeated": is_repeated, "scaled": is_scaled}
    return Reading(
        sheet.prob if order is None else sheet.prob[order], unchecked=tuple(what for what, is_open in unchecked.items() if is_open)
    )


def write_predictions(path: Path, ids: Sequence[str], prob: Array, classes: Sequence[str], fold_of: NDArray[np.integer] | None) -> None:
    """Write predictions in the form that the file's name says, a part at a time; a `.npy` array has neither ids nor folds.

    Raises InputError for an unknown form, and when the file cannot be written; DiskFull. A file that is there is replaced by a whole one.
    """
    suffix = check_suffix(path.name)
    check_output(path)
    try:
        path.parent.stat()  # a folder that a person mistyped is not made
        with written_aside(path) as aside:
            _write_predictions(aside, suffix, ids, prob, classes, fold_of)
    except OSError as problem:
        raise InputError(
            "the file cannot be written", where=str(path), why=reason(problem), fix="name a file in a folder you may write to"
        ) from None


def _write_predictions(
    path: Path, suffix: str, ids: Sequence[str], prob: Array, classes: Sequence[str], fold_of: NDArray[np.integer] | None
) -> None:
    if suffix == ".npy":
        with path.open("wb") as stream:
            np.save(stream, prob, allow_pickle=False)
        return
    folds = None if FOLD in classes else fold_of
    fields = [("id" if "id" not in classes else "row_id", pa.string()), *([] if folds is None else [(FOLD, pa.int64())])]
    schema = pa.schema([*fields, *((name, pa.float32()) for name in classes)])
    writer: Any = (
        pa_csv.CSVWriter(path, schema, write_options=pa_csv.WriteOptions(quoting_style="needed"))
        if suffix == ".csv"
        else pq.ParquetWriter(path, schema, use_dictionary=False, compression="zstd")
    )
    with writer:
        step = max(1, CHUNK_VALUES // len(classes))
        for rows in (slice(start, start + step) for start in range(0, len(prob), step)):
            named_rows: list[Any] = [pa.array(ids[rows], pa.string())]
            if folds is not None:
                named_rows.append(pa.array(folds[rows].astype(np.int64)))
            values = map(pa.array, np.ascontiguousarray(prob[rows].T))
            writer.write_batch(pa.record_batch([*named_rows, *values], schema=schema))


def _rows(n: int) -> str:
    return msg("{n:,} {n:row|rows}", n=n)


def _order(sheet: Sheet, expected: Expected, path: Path) -> tuple[NDArray[np.int64] | None, list[PitwallError]]:
    """Where each of the contest's rows stands in the file; None when the order is the contest's own."""
    wanted = [nfc(row_id) for row_id in expected.ids]
    if sheet.ids is None or sheet.ids == wanted:
        return None, []
    dropped = set(map(nfc, expected.dropped))
    said = differences([row_id for row_id in sheet.ids if row_id not in dropped], wanted)
    if said:
        return None, [
            AlignmentError(
                "the ids of {file} are not the contest's",
                where=path.name,
                why=said,
                fix="every row once, with the ids of the contest's own files",
                file=path.name,
            )
        ]
    place = {row_id: number for number, row_id in enumerate(sheet.ids)}
    return np.array([place[row_id] for row_id in wanted], dtype=np.int64), []


def _without_rounding(sheet: Sheet, expected: Expected) -> tuple[Sheet, bool]:
    """The predictions without what rounding left in them, and whether rows were scaled."""
    rows = np.flatnonzero(invalid_rows(sheet.prob, multilabel=expected.is_multilabel))
    if not len(rows):
        return sheet, False
    prob = sheet.prob[rows].astype(np.float64)
    prob[(prob < 0) & (prob >= -NEAR_ZERO)] = 0
    is_scaled = False
    if expected.is_multilabel:
        prob[(prob > 1) & (prob <= 1 + NEAR_ZERO)] = 1
    else:
        total = prob.sum(axis=1)
        near = invalid_rows(prob) & (np.abs(total - 1) <= NEAR_ONE)
        prob[near] /= total[near, None]
        is_scaled = bool(near.any())
    mended = sheet.prob.copy()
    mended[rows] = prob
    return replace(sheet, prob=mended), is_scaled


def _wrong_values(sheet: Sheet, expected: Expected, path: Path) -> list[PitwallError]:
    bad = np.flatnonzero(invalid_rows(sheet.prob, multilabel=expected.is_multilabel))
    if not len(bad):
        return []
    rows = [sheet.ids[row] if sheet.ids else msg("row {n}", n=row) for row in bad.tolist()]
    what = msg(
        "{rows} of {file} is no probability" if len(bad) == 1 else "{rows} of {file} are not probabilities",
        rows=_rows(len(bad)),
        file=path.name,
    )
    several, first = expected.is_multilabel, sheet.prob[bad[0]].astype(np.float64)
    if several:
        why = "each number must be finite and from 0 to 1"
    elif not np.isfinite(first).all():
        why = "each row must hold finite numbers, and {row} does not"
    elif (first < 0).any():
        why = "no number may be negative, and {row} has {least:.3g}"
    else:
        why = "each row must sum to one, within {most:g}, and {row} sums to {total:.4g}"
    return [
        InputError(
            what,
            where=joined(", ", [path.name, named(rows)]),
            why=why,
            fix="export the probabilities after the sigmoid, without gaps"
            if several
            else "export the probabilities after the softmax, without gaps",
            row=short(rows[0]),
            least=float(first.min()),
            most=NEAR_ONE,
            total=float(first.sum()),
        )
    ]


def _wrong_folds(sheet: Sheet, expected: Expected, path: Path) -> list[PitwallError]:
    """Rows whose fold is another one, whatever the file calls its folds; rows that the contest does not know are told elsewhere."""
    if sheet.folds is None or sheet.ids is None or expected.fold_of is None:
        return []
    fold_of = dict(zip(map(nfc, expected.ids), expected.fold_of.tolist(), strict=True))
    known = [row for row, row_id in enumerate(sheet.ids) if row_id in fold_of]
    pairs = Counter((sheet.folds[row], fold_of[sheet.ids[row]]) for row in known)
    meant = dict(pair for pair, _ in reversed(pairs.most_common()))  # the fold of most rows, for each name that the file has for one
    if len(set(meant.values())) < len(meant):
        meant = {name: number for name in meant if (number := _whole(name)) is not None}
    name_of = {number: name for name, number in meant.items()}
    wrong = [row for row in known if meant.get(sheet.folds[row], -1) != fold_of[sheet.ids[row]]]
    if not wrong:
        return []
    return [
        AlignmentError(
            "{rows} was predicted on other folds" if len(wrong) == 1 else "{rows} were predicted on other folds",
            where=path.name,
            why=joined(
                "; ",
                (
                    msg(
                        "{id} in fold {fold} instead of {wanted}",
                        id=short(sheet.ids[row]),
                        fold=short(sheet.folds[row]),
                        wanted=name_of.get(fold_of[sheet.ids[row]], fold_of[sheet.ids[row]]),
                    )
                    for row in wrong[:N_NAMED]
                ),
            ),
            fix="choose the folds these predictions were made on, or train again on these",
            rows=_rows(len(wrong)),
        )
    ]


def _whole(text: str) -> int | None:
    """The whole number that a text is, None where it is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if number.is_integer() else None
