"""What is handed in: labels, flags or probabilities, what it calls the classes, and the metric it is judged by."""

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import pandas as pd

from core.base.files import nfc, nfd
from core.base.messages import joined, msg
from core.contest.csv_table import column_of
from core.contest.inspect.labels import SEPARATORS
from core.contest.inspect.sources import Guess, Understanding
from core.contest.labels import NUMBERS, SeenLabels, split_cell
from core.contest.names import Naming, class_finder, class_key, code_columns, naming_of_columns, naming_of_values
from core.metrics.scores import metrics_for

BALANCED = 3.0
"""Up to this ratio of the largest to the smallest class, accuracy is the likelier metric."""


def settle_submission_and_metric(
    so_far: Understanding, train: pd.DataFrame | None, sample: pd.DataFrame | None, classes: tuple[str, ...], labels: SeenLabels
) -> None:
    """Settle what is handed in, what it calls the classes, and what it is judged by. `train` is None for class folders."""
    column = str(so_far.values.get("label_column", ""))
    codes = code_columns(train, column, classes) if train is not None and not labels.is_several else {}
    header = [] if sample is None else [str(name) for name in sample.columns[1:]]
    given = tuple(so_far.answers.get("submission_names", ()))
    naming = Naming(given, "your answer") if given else naming_of_columns(header, classes, codes) if len(header) > 1 else None
    form = so_far.settle(
        "submission", lambda: _submission_guess(sample, classes, naming, is_several=labels.is_several, is_cell=bool(column))
    )
    if sample is not None and form == "label" and len(header) == 1 and not given:
        marks = (str(so_far.values.get("label_separator") or "|"), *SEPARATORS) if labels.is_several and column else ("",)
        naming = _naming_of_cells(so_far, column_of(sample, header[0]), marks, classes, codes)
    if form == "label" and not given:
        shown = [(sample, header[0])] if sample is not None and len(header) == 1 and naming is not None else [(train, column)]
        naming = _as_decomposed(naming, classes, [column_of(frame, name) for frame, name in shown if frame is not None and name])
    if naming is not None:
        _settle_names(so_far, naming, classes)
    if sample is not None and form != "label" and naming is not None and not labels.columns:
        _settle_untrained(so_far, sample, [name for name in header if class_finder(naming.names)(name) < 0])
    so_far.settle("metric", lambda: _metric_guess(form, labels, classes))


def _naming_of_cells(
    so_far: Understanding, cells: pd.Series, marks: tuple[str, ...], classes: tuple[str, ...], codes: Mapping[str, tuple[str, ...]]
) -> Naming | None:
    """What the cells of a sample submission, taken apart at one of `marks`, call the classes; None where they do not say, which is said."""
    shown = [cell for cell in cells.unique() if cell.strip()]
    seen = [list(dict.fromkeys(name for cell in shown for name in (split_cell(cell, mark) if mark else [nfc(cell)]))) for mark in marks]
    found = [naming for values in seen if values and (naming := naming_of_values(values, classes, codes)) is not None]
    if found or not shown:
        return min(found, key=lambda naming: naming.is_guess, default=None)
    find, values = class_finder(classes), min(seen, key=len)
    strange = ", ".join(repr(value) for value in values if find(value) < 0)[:80]
    if len(values) == 1:
        why = "the sample submission has {names} in each row, which is no class: classes are written as the training table has them"
    elif any(find(value) >= 0 for value in values):
        why = "the sample submission has {names}, which no training row has: never predicted"
    else:
        why = "the sample submission has {names}, none of which is a class: is another column the label?"
    so_far.note(
        "submission_names",
        "",
        joined("; ", [msg(why, names=strange), "correct with submission_names=[…], in the order of the classes"]),
        "warning",
    )
    return None


def _as_decomposed(naming: Naming | None, classes: tuple[str, ...], shown: list[pd.Series]) -> Naming | None:
    """The names in decomposed Unicode where the `shown` labels are, as macOS writes them: a contest compares them byte by byte."""
    cells = {cell for column in shown for cell in column.unique()}
    if cells == set(map(nfc, cells)) or cells != set(map(nfd, cells)):
        return naming
    names = naming.names if naming is not None else classes
    why = "in decomposed Unicode, as the file has them"
    return Naming(
        tuple(map(nfd, names)),
        joined("; ", [naming.reason, why]) if naming is not None else why,
        naming is not None and naming.is_guess,
    )


def _settle_names(so_far: Understanding, naming: Naming, classes: tuple[str, ...]) -> None:
    """Keep what the submission calls the classes, where it is not what the training table calls them."""
    is_given = bool(so_far.answers.get("submission_names"))
    if not is_given and all(class_key(name) == class_key(own) for name, own in zip(naming.names, classes, strict=True)):
        exact = naming.names if any(name != own for name, own in zip(naming.names, classes, strict=True)) else ()
        so_far.values["submission_names"] = exact if so_far.values["submission"] == "label" else ()
    else:
        so_far.values["submission_names"] = naming.names
    if so_far.values["submission_names"]:
        shown = ", ".join(f"{own} = {name}" for own, name in zip(classes[:8], naming.names, strict=False))
        why = (
            joined("; ", [naming.reason, "a guess: correct with submission_names=[…], in the order of the classes"])
            if naming.is_guess
            else naming.reason
        )
        so_far.note("submission_names", shown, why, "ok" if is_given else "warning" if naming.is_guess else "note")


def _settle_untrained(so_far: Understanding, sample: pd.DataFrame, strange: list[str]) -> None:
    """Columns of numbers beside those of the classes are classes without training rows; other columns are for registration to refuse."""
    are_numbers = all(cast(pd.Series, pd.to_numeric(column_of(sample, name), errors="coerce")).notna().all() for name in strange)
    if strange and are_numbers and len(strange) <= len(so_far.values["classes"]) and "untrained_classes" not in so_far.answers:
        so_far.values["untrained_classes"] = tuple(strange)
        why = "no training row has these classes of the sample submission: each row gets the smallest probability for them"
        so_far.note("untrained_classes", ", ".join(strange), why, "warning")


def _metric_guess(form: str, labels: SeenLabels, classes: tuple[str, ...]) -> Guess:
    """The first metric that reads what is handed in; of labels one of every class alike where classes are not of similar size."""
    known = metrics_for(multilabel=labels.is_several).values()
    sizes = [size for size in labels.counts(classes).values() if size]
    ratio = max(sizes, default=1) / min(sizes, default=1)
    is_uneven = labels.is_several or ratio > BALANCED
    if form == "probabilities":
        why = "a guess: probabilities are asked for; the contest's rules decide"
    elif labels.is_several:
        why = "a guess: labels are asked for, several of a row; the contest's rules decide"
    elif is_uneven:
        why = "a guess: labels are asked for, and the largest class is {ratio:.0f} times the smallest; the contest's rules decide"
    else:
        why = "a guess: labels are asked for, and classes are of similar size; the contest's rules decide"
    fits = [metric for metric in known if (metric.reads == "labels") == (form != "probabilities")]
    best = min(fits, key=lambda metric: (metric.by_class is not None) != is_uneven) if form != "probabilities" else fits[0]
    return Guess(best.name, msg(why, ratio=ratio), "note")


def _submission_guess(
    sample: pd.DataFrame | None, classes: tuple[str, ...], naming: Naming | None, *, is_several: bool, is_cell: bool
) -> Guess:
    """The form of what is handed in: as the columns of the sample submission, else as the labels of the training table."""
    if sample is None:
        if is_several and not is_cell:
            return Guess("probabilities", "there is no sample submission: a probability for each class", "note")
        cell = "there is no sample submission: all labels of a row in one cell, as in the training table"
        return Guess("label", cell if is_several else "there is no sample submission: one label per row", "note")
    column, *more = others = [str(name) for name in sample.columns[1:]] or [""]
    if column and not more:
        values = cast(pd.Series, pd.to_numeric(column_of(sample, column), errors="coerce"))
        if is_several:
            return Guess("label", msg("one column beside the ids: '{column}'; all labels of a row stand in it", column=column))
        if values.between(0, 1).all() and (values % 1 != 0).any():
            why = msg("'{column}' looks like a probability of one class, which cannot be written: a label is", column=column)
            return Guess("label", why, "warning")
        return Guess("label", msg("one column beside the ids: '{column}'", column=column))
    find = class_finder(naming.names if naming is not None else classes)
    known = [name for name in others if find(name) >= 0]
    is_flags = is_several and bool(known) and all(column_of(sample, name).str.strip().isin(NUMBERS).all() for name in known)
    form = "flags" if is_flags else "probabilities"
    if len(known) == len(others) == len(classes):
        order = (
            "one column per class, in our order"
            if [find(name) for name in others] == list(range(len(classes)))
            else "one column per class, in an order of its own"
        )
        found = Guess(form, order, "note" if is_flags else "ok")
    elif known and len(known) * 2 >= len(others):
        why = msg(
            "{known} of its {n} columns are classes, of which there are {classes}", known=len(known), n=len(others), classes=len(classes)
        )
        found = Guess(form, why, "warning")
    else:
        why = msg("its columns are neither one label nor the classes: {names}", names=", ".join(others[:8]) or "only ids")
        return Guess("label", why, "warning")
    values = sample[known].apply(pd.to_numeric, errors="coerce")
    if form == "probabilities" and (most := float(values.to_numpy().max(initial=0))) > 1:
        return Guess(
            form, msg("{what}, with values up to {most:g}: probabilities are written, from 0 to 1", what=found.reason, most=most), "warning"
        )
    why = msg("{what}, and all values are 0 or 1: a guess, for probabilities set submission=probabilities", what=found.reason)
    return replace(found, reason=why) if is_flags else found
