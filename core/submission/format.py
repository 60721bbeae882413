"""The format that a contest asks for, read from its sample submission: columns, ids, names of classes, delimiter, encoding."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from core.artefacts import load_manifest, verify_file
from core.base.errors import SubmissionError
from core.base.files import bare_text, can_encode
from core.base.messages import msg
from core.contest.csv_table import beside_answers, column_of, id_place, list_columns, read_text
from core.contest.encoding import decode
from core.contest.labels import contradicts, strange_values
from core.contest.names import class_finder, naming_of_values
from core.contest.table import SAMPLE_SUBMISSION, load_table
from core.specs.contest import ContestSpec
from core.store.contests import Contest
from core.submission.label_cells import PLAIN, CellStyle, read_style
from core.workspace import Workspace

UNTRAINED = -1
COMMA_NUMBER = r"\s*[0-9]+,[0-9]+\s*"


@dataclass(frozen=True)
class SubmissionFormat:
    """How the contest wants its file. `classes` are named as the file names them.

    `class_of_column` maps each column of a class to its class, UNTRAINED for one that no training row has; it is empty for labels.
    Multi-label: those columns hold probabilities, or 0 and 1 (`is_flags`), and labels of a row stand in one cell (`cells`). `unlike` says
    how the sample's labels contradict the classes, which is a doubt where a person named them (`is_named`); `sample_encoding` is that of the
    sample, where it has no signs for some class.
    `columns` are the id and what is asked for; other columns of the sample are `repeated` as they stand, by their place. `decimal` is the
    decimal sign of its probabilities. `lists` is the column behind the label that has all probabilities of a row as a list, in the order of the
    classes, and `unlike_list` says how the lists of the sample contradict that order. `id_place` is where the ids stand in a line of the file,
    among `columns`.
    """

    encoding: str
    newline: str
    delimiter: str
    header: str
    columns: tuple[str, ...]
    ids: tuple[str, ...]
    classes: tuple[str, ...]
    class_of_column: tuple[int, ...]
    is_multilabel: bool = False
    is_flags: bool = False
    cells: CellStyle = PLAIN
    unlike: str = ""
    sample_encoding: str = ""
    is_named: bool = False
    decimal: str = "."
    repeated: Mapping[int, tuple[str, ...]] = field(default_factory=dict[int, tuple[str, ...]])
    lists: str = ""
    unlike_list: str = ""
    id_place: int = 0

    @property
    def has_probabilities(self) -> bool:
        return bool(self.class_of_column) and not self.is_flags


def read_format(workspace: Workspace, contest: Contest) -> SubmissionFormat:
    """The format of the contest's sample submission; without one, `id` and the label or the classes, in the test table's order."""
    spec = contest.spec
    folder = workspace.absolute(contest.path)
    manifest = load_manifest(folder)
    if SAMPLE_SUBMISSION in manifest.files:
        return parse_format(verify_file(folder, manifest, SAMPLE_SUBMISSION), contest)
    label_column = spec.label_column or ("labels" if spec.is_multilabel else "label")
    columns = [spec.id_column or "id", *((label_column,) if spec.submission == "label" else spec.classes)]
    frame = pd.DataFrame({place: load_table(workspace, contest).test["id"] if place == 0 else "" for place in range(len(columns))})
    frame = frame.set_axis(columns, axis=1)
    return _format_of(contest, frame, "", header=frame.head(0).to_csv(index=False).rstrip("\r\n"), repeated={})


def parse_format(path: Path, contest: Contest) -> SubmissionFormat:
    """Read the sample's encoding, line ends, delimiter, header and ids; SubmissionError when it is no sample of this contest."""
    text, encoding = decode(path.read_bytes(), path, contest.spec.encoding)
    table = read_text(text, path, encoding)
    newline = "\r\n" if "\r\n" in text else "\n"
    beside = beside_answers(table.frame)
    repeated = {place: tuple(table.frame[name]) for place, name in enumerate(table.frame.columns) if name in beside}
    table = table.without(beside)
    form = _format_of(
        contest,
        table.ids_first().frame,
        path.name,
        encoding=encoding,
        newline=newline,
        delimiter=table.delimiter,
        header=table.header,
        repeated=repeated,
    )
    return replace(form, id_place=id_place(table.frame))


def _format_of(
    contest: Contest,
    frame: pd.DataFrame,
    where: str,
    *,
    encoding: str = "utf-8",
    newline: str = "\n",
    delimiter: str = ",",
    header: str,
    repeated: Mapping[int, tuple[str, ...]],
) -> SubmissionFormat:
    """The format of a sample (its ids, and its labels as text), whose columns and cells say what stands where."""
    columns = tuple(bare_text(str(column)) for column in frame.columns)
    spec = contest.spec
    listed = [str(name) for name in list_columns(frame)] if spec.submission == "label" else []
    names = tuple(spec.submission_names or spec.classes)
    order: tuple[int, ...] = ()
    cells, unlike, unlike_list, sample_encoding, decimal = PLAIN, "", "", "", "."
    if spec.submission != "label":
        find, is_untrained = class_finder(names), class_finder(spec.untrained_classes)
        order = tuple(find(name) for name in columns[1:])
        unknown = [name for name, place in zip(columns[1:], order, strict=True) if place < 0 and is_untrained(name) < 0]
        missing = [name for place, name in enumerate(names) if place not in order]
        if unknown or missing or len(set(columns)) != len(names) + len(spec.untrained_classes) + 1:
            raise SubmissionError(
                "the sample submission's columns are not the classes",
                where="{file}, first line",
                why="unknown: {unknown}; missing: {missing}",
                fix="correct the classes of the contest, or choose the submission format 'label'",
                file=where,
                unknown=", ".join(unknown[:5]) or "none",
                missing=", ".join(missing[:5]) or "none",
            )
        answers = frame.iloc[:, 1:]
        if delimiter != "," and answers.apply(lambda cells: cells.str.fullmatch(COMMA_NUMBER)).to_numpy(dtype=np.bool_).any():
            decimal = ","
    elif len(columns) != 2 + len(listed) or len(listed) > 1:
        raise SubmissionError(
            "the sample submission is not one id and one label",
            where="{file}, first line",
            why="it has {n} columns",
            fix="choose the submission format 'probabilities' or 'flags' if the columns are classes"
            if spec.is_multilabel
            else "choose the submission format 'probabilities' if the columns are classes",
            file=where,
            n=len(columns),
        )
    else:
        unlike_list = _unlike_list(frame, listed[0], names) if listed else ""
        cells = read_style(frame.iloc[:, 1], names, spec.label_separator) if spec.is_multilabel else PLAIN
        unlike = _unlike(strange_values(frame.iloc[:, 1], spec), spec)
        if not all(can_encode(name, encoding) for name in names):
            encoding, sample_encoding = "utf-8", encoding
    return SubmissionFormat(
        encoding=encoding,
        newline=newline,
        delimiter=delimiter,
        header=header,
        columns=columns,
        ids=tuple(frame.iloc[:, 0]),
        classes=names,
        class_of_column=order,
        is_multilabel=spec.is_multilabel,
        is_flags=spec.submission == "flags",
        cells=cells,
        unlike=unlike,
        sample_encoding=sample_encoding,
        is_named=bool(spec.submission_names),
        decimal=decimal,
        repeated=repeated,
        lists=bare_text(listed[0]) if listed else "",
        unlike_list=unlike_list,
    )


def _unlike_list(frame: pd.DataFrame, column: str, names: Sequence[str]) -> str:
    """How the sample's lists contradict the order of the classes: another length, or a greatest value at a place that is not the label's."""
    for label, cell in zip(frame.iloc[:, 1], column_of(frame, column), strict=True):
        values = read_list(cell)
        if values and len(values) != len(names):
            return msg("the sample's lists have {n} values for {n_classes} classes", n=len(values), n_classes=len(names))
        most = [place for place, value in enumerate(values) if value == max(values)]
        if len(most) == 1 and label in names and names[most[0]] != label:
            what = "the sample has '{label}' where its list is greatest at place {place}, which is '{name}' in the order of the classes"
            return msg(what, label=label, place=most[0] + 1, name=names[most[0]])
    return ""


def read_list(cell: str) -> list[float]:
    """The numbers in a cell such as `[0.25, 0.75]`; none where it holds anything else."""
    try:
        return [float(part) for part in cell.strip().removeprefix("[").removesuffix("]").split(",")]
    except ValueError:
        return []


def _unlike(values: Sequence[str], spec: ContestSpec) -> str:
    """How a sample's labels contradict the classes; "" where one value stands in for all of them, or there is none."""
    names = spec.submission_names or spec.classes
    if spec.submission_names:
        is_stand_in = not contradicts(values, spec)
    else:
        is_stand_in = not values or (len(values) == 1 and naming_of_values(values, names, {}) is None)
    if is_stand_in:
        return ""
    what = "the sample has {values} where the classes are {names}: say in submission_names what the contest calls each class"
    return msg(what, values=", ".join(map(repr, values[:3])), names=", ".join(map(repr, names[:3])))
