"""Rows beside a contest's own that a recipe trains on and that no fold validates: augmented ones, each of which follows its source, and rows from
elsewhere. A set of them has a name, is published once and never changes; its files lie in the contest's folder."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.artefacts import load_manifest, publishing, verify_file
from core.base.errors import AlignmentError, InputError, NotFoundError, RecipeError
from core.base.files import nfc, sha256_file
from core.base.messages import msg
from core.base.names import check_name, file_name
from core.contest.csv_table import MISSING_CELLS, read_table
from core.contest.table import count_classes, load_table, load_truth, read_frame
from core.specs.recipe import Recipe
from core.store.contests import Contest
from core.workspace import Workspace

Kind = Literal["augmented", "extra"]
FILE = "rows.parquet"
SOURCE, LABEL = "source", "label"
"""Columns of the file that is kept: the id of the row that an augmented one was made of, and the class, -1 where it is its source's."""
N_NAMED = 5


@dataclass(frozen=True)
class ExtraRows:
    """A set of rows: `weight` is what each counts beside a row of the contest, `origin` where they are from, in a person's words."""

    name: str
    kind: Kind
    origin: str
    weight: float
    n_rows: int
    fingerprint: str
    path: Path
    made_for: str
    """The fingerprint of the contest's rows."""


def add_rows(
    workspace: Workspace,
    contest: Contest,
    file: Path,
    *,
    kind: Kind,
    name: str = "",
    origin: str = "",
    weight: float = 1.0,
    source_column: str = SOURCE,
    label_column: str = "",
) -> ExtraRows:
    """Read a CSV and publish its rows under a name, that of the file where none is given.

    An augmented row names the id of its source in `source_column`, and takes from it whatever the file has no column for, its label too; a
    row from elsewhere has the contest's input columns and its label column. Raises InputError: a contest of images or of several labels, a
    missing column, an unknown source or class, an empty text, a weight that is none, a name that is taken.
    """
    name, labels = check_name(name or file.stem), label_column or contest.spec.label_column
    if contest.spec.modality != "text" or contest.spec.is_multilabel:
        raise InputError(
            "extra rows are for texts with one class each",
            where=contest.name,
            why="its rows are images" if contest.spec.modality == "image" else "its rows have several classes",
            fix="add the rows to the training table and register the contest again",
        )
    if not 0 < weight <= 100:
        raise InputError("the weight of extra rows is a number above 0", where="weight", fix="give one from 0.1 to 1")
    _check_free(workspace, contest, name)
    given, own = read_table(file).frame, load_table(workspace, contest).train
    needed = [source_column] if kind == "augmented" else [*contest.spec.input_columns, labels]
    if missing := [column for column in needed if column not in given.columns]:
        raise InputError(
            "{file} has no column {columns}",
            where=str(file),
            why="it has {found}",
            fix="name the columns as the training table does, or say which it is with --source-column or --label-column",
            file=file.name,
            columns=", ".join(missing),
            found=", ".join(map(str, given.columns)),
        )
    if kind == "augmented":
        places = _places(own["id"].tolist(), given[source_column].tolist(), file, is_class=False)
        frame = own.iloc[places].reset_index(drop=True)
    else:
        places = np.full(len(given), -1)
        frame = pd.DataFrame(dict.fromkeys(own.columns, ""), index=range(len(given)), dtype="str")
    for column in given.columns:
        if f"col.{column}" in own.columns:
            frame[f"col.{column}"] = given[column].to_numpy()
    frame["input"] = reduce(lambda left, right: left + "\n" + right, (frame[f"col.{column}"] for column in contest.spec.input_columns))
    if empty := [line + 2 for line, text in enumerate(frame["input"]) if not text.strip()]:
        raise InputError(
            "{n} {n:row has|rows have} no text",
            where=msg("{file}, rows {rows}", file=str(file), rows=", ".join(map(str, empty[:N_NAMED]))),
            fix="write a text there, or leave these rows out",
            n=len(empty),
        )
    codes = np.full(len(given), -1)
    if labels in given.columns:
        names = [nfc(cell.strip()) for cell in given[labels]]
        has_label = np.array([kind == "extra" or cell not in MISSING_CELLS for cell in names], dtype=np.bool_)
        codes[has_label] = _places(
            contest.spec.classes, [cell for cell, is_there in zip(names, has_label, strict=True) if is_there], file, is_class=True
        )
    frame = frame.assign(id=[f"{name}:{number}" for number in range(len(given))], **{LABEL: codes})
    frame[SOURCE] = pd.Series([own["id"].iat[place] if place >= 0 else "" for place in places], dtype="str")
    facts = {
        "name": name,
        "kind": kind,
        "origin": origin or file.name,
        "weight": weight,
        "n_rows": len(frame),
        "file_sha256": sha256_file(file),
    }
    return _publish(workspace, contest, frame, facts)


def leave_out(workspace: Workspace, contest: Contest, rows: ExtraRows, places: Collection[int], name: str) -> ExtraRows:
    """Publish the rows of a set without those at some places, under a name of their own; the set stays as it is. Raises InputError where no row is left,
    or the name is taken."""
    name = check_name(name)
    _check_free(workspace, contest, name)
    manifest = load_manifest(rows.path)
    frame = read_frame(verify_file(rows.path, manifest, FILE))
    kept = frame.drop(index=list(places)).reset_index(drop=True)
    if kept.empty:
        raise InputError(
            "no row of {name} is left", where=contest.name, why="all of them are left out", fix="leave out fewer rows", name=rows.name
        )
    kept["id"] = [f"{name}:{number}" for number in range(len(kept))]
    facts = {"name": name, "n_rows": len(kept), "made_of": rows.fingerprint}
    return _publish(workspace, contest, kept, {**manifest.facts, **facts})


def _check_free(workspace: Workspace, contest: Contest, name: str) -> None:
    if any(known.name == name for known in list_rows(workspace, contest)):
        raise InputError(
            "there are rows named {name} already", where=contest.name, why="runs may name them", fix="choose another name", name=name
        )


def _publish(workspace: Workspace, contest: Contest, frame: pd.DataFrame, facts: dict[str, Any]) -> ExtraRows:
    folder = _root(workspace, contest) / file_name(facts["name"])
    with publishing(folder, kind="extra rows", parents={"rows": contest.fingerprint}, facts=facts) as to:
        frame.to_parquet(to / FILE, index=False)
    return get_rows(workspace, contest, facts["name"])


def list_rows(workspace: Workspace, contest: Contest) -> tuple[ExtraRows, ...]:
    """All sets of a contest, by name."""
    found = [_described(path) for path in sorted(_root(workspace, contest).glob("*")) if path.is_dir() and not path.name.startswith(".")]
    return tuple(sorted(found, key=lambda rows: rows.name))


def get_rows(workspace: Workspace, contest: Contest, name: str) -> ExtraRows:
    """The set of that name. Raises NotFoundError; AlignmentError where it was made for other rows than the contest has now."""
    known = {rows.name: rows for rows in list_rows(workspace, contest)}
    if name not in known:
        raise NotFoundError.among("set of extra rows", name, known)
    if known[name].made_for != contest.fingerprint:
        raise AlignmentError(
            "{name} was made for other rows",
            where=contest.name,
            why="the contest's rows have changed since",
            fix="add the rows again under another name",
            name=name,
        )
    return known[name]


@dataclass(frozen=True, eq=False)
class LoadedRows:
    """Rows as a fold takes them: `frame` as that of the contest's training rows, `labels` (n,), `source` (n,) the place of the row that each was
    made of, -1 of rows from elsewhere, and `weights` (n,)."""

    frame: pd.DataFrame
    labels: NDArray[np.int64]
    source: NDArray[np.int64]
    weights: NDArray[np.float32]

    def beside(self, train_idx: NDArray[np.int64]) -> NDArray[np.int64]:
        """The places, from 0, of those that a fold with these training rows takes: an augmented row where its source is one of them."""
        return np.flatnonzero((self.source < 0) | np.isin(self.source, train_idx))


def rows_of_recipe(workspace: Workspace, contest: Contest, recipe: Recipe) -> ExtraRows | None:
    """The set that a recipe names, if any. Raises as `get_rows`, and RecipeError where it has a weight that a linear model does not take."""
    if not recipe.train.extra_rows:
        return None
    rows = get_rows(workspace, contest, recipe.train.extra_rows)
    if rows.weight != 1 and recipe.model.is_tfidf:
        raise RecipeError(
            "{backbone} gives all rows one weight",
            where="train.extra_rows",
            why="those of {name} have {weight:g}",
            fix="add them under another name with the weight 1, or choose a network",
            backbone=recipe.model.backbone,
            name=rows.name,
            weight=rows.weight,
        )
    return rows


def load_rows(rows: ExtraRows, ids: Sequence[str], labels: NDArray[np.integer]) -> LoadedRows:
    """The rows of a set, beside training rows with these ids and labels (n_train,). Raises CheckpointError where the file is damaged."""
    frame = read_frame(verify_file(rows.path, load_manifest(rows.path), FILE))
    place_of = {name: place for place, name in enumerate(ids)} | {"": -1}
    source = np.array([place_of[name] for name in frame[SOURCE]], dtype=np.int64)
    given = frame[LABEL].to_numpy(dtype=np.int64)
    return LoadedRows(
        frame.drop(columns=[SOURCE, LABEL]),
        np.where(given >= 0, given, labels[source]),
        source,
        np.full(len(frame), rows.weight, dtype=np.float32),
    )


def count_labels(workspace: Workspace, contest: Contest, rows: ExtraRows) -> dict[str, tuple[int, int]]:
    """By class, how many training rows the contest has of it, and how many this set."""
    truth, n_classes = load_truth(workspace, contest), len(contest.spec.classes)
    extra = load_rows(rows, load_table(workspace, contest).train["id"].tolist(), truth.labels)
    own, more = (count_classes(labels, n_classes).tolist() for labels in (truth.labels[truth.kept], extra.labels))
    return dict(zip(contest.spec.classes, zip(own, more, strict=True), strict=True))


def _root(workspace: Workspace, contest: Contest) -> Path:
    return workspace.contest_dir(contest.folder) / "rows"


def _described(path: Path) -> ExtraRows:
    manifest = load_manifest(path)
    facts = manifest.facts
    assert facts["kind"] in get_args(Kind)
    return ExtraRows(
        facts["name"],
        facts["kind"],
        facts["origin"],
        facts["weight"],
        facts["n_rows"],
        manifest.fingerprint,
        path,
        manifest.parents["rows"],
    )


def _places(known: Sequence[str], wanted: Sequence[str], file: Path, *, is_class: bool) -> NDArray[np.int64]:
    """The place of each wanted name among the known ones."""
    place_of = {name: place for place, name in enumerate(known)}
    strange = dict.fromkeys(name for name in wanted if name not in place_of)
    if strange:
        raise InputError(
            "{n} {n:value is|values are} no class" if is_class else "{n} {n:value is|values are} the id of no training row",
            where=str(file),
            why=msg("{names}; known are such as {known}", names=", ".join(list(strange)[:N_NAMED]), known=", ".join(list(known)[:N_NAMED])),
            fix="correct these cells, or leave their rows out",
            n=len(strange),
        )
    return np.array([place_of[name] for name in wanted], dtype=np.int64)
