"""A contest as every later stage reads it: its rows, the truth of the training rows, and groups of them.

Rows, truth and groups are three things, the last two in versions. Folds and predictions stand on rows, so they stay usable when a
label is corrected. The classes belong to the truth; every version of a contest's truth has the same classes.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyarrow.parquet import read_schema

from core.artefacts import load_manifest, publishing, read_array, verify_file
from core.base.errors import CheckpointError, InputError
from core.base.files import fingerprint, resolve_inside, sha256_file, shell_name
from core.base.messages import reason
from core.data.compose import COLUMN
from core.data.images import open_image
from core.specs.contest import ContestSpec
from core.store.contests import Contest, GroupsVersion, TruthVersion, get_truth, insert_groups, insert_truth, list_groups
from core.workspace import Workspace

KNOWN = ("label", "labels", "group")
"""What registration finds out about training rows; it is kept apart from them."""
STAND_INS = "stand-ins"
"""The folder of the contest's artefact with the images that take the place of damaged ones."""
SAMPLE_SUBMISSION = "sample_submission.csv"
"""The byte copy of the contest's sample submission, in the contest's artefact."""


@dataclass(frozen=True)
class ContestTable:
    """Rows in the order of every array.

    Columns of both: id (str), input (str: the text, or the image's path below `image_base`), sha256 (of the image file or the text),
    col.<name> for every original column. `test` may be empty. `image_base` is None for texts. What is known about the training rows,
    labels and groups, is loaded by `core.contest.table`. `white_level` is that of the contest's settings.
    """

    train: pd.DataFrame
    test: pd.DataFrame
    image_base: Path | None
    stand_ins: Mapping[str, Path] = field(default_factory=dict[str, Path])
    white_level: float = 0.0

    def image_path(self, name: str) -> Path:
        """The file behind an image row's `input`, or what stands in for a damaged one; refuses a path that has come to lead outside the
        contest's folder."""
        if name in self.stand_ins:
            return self.stand_ins[name]
        if self.image_base is None:
            raise InputError("this contest has no images", where=name, why="its rows are texts", fix="read the column `input` instead")
        return resolve_inside(self.image_base, name)


def load_table(workspace: Workspace, contest: Contest) -> ContestTable:
    """Read a registered contest's rows; raises CheckpointError when the stored tables are damaged, InputError when its images are gone."""
    folder = workspace.absolute(contest.path)
    manifest = load_manifest(folder)
    frames = [read_frame(verify_file(folder, manifest, name)) for name in (TRAIN, TEST)]
    frames[0] = frames[0].drop(columns=list(KNOWN), errors="ignore")
    inside = manifest.facts.get("root_in_workspace")  # a contest in the workspace (a sample, an upload) moves with it
    base = workspace.absolute(inside) if inside else Path(contest.spec.root)
    if contest.spec.modality == "image" and not base.is_dir():
        raise InputError(
            "the contest's images are gone",
            where=str(base),
            why="the folder was moved or deleted",
            fix="put the folder back, or say where it is now, on the page Data or with `python -m core contest correct --root DIR {name}`",
            name=shell_name(contest.name),
        )
    if contest.spec.modality != "image":
        return ContestTable(frames[0], frames[1], None)
    stand_ins: dict[str, Path] = {}
    for facts in manifest.facts.get("damaged", ()):
        repaired = _repaired(base, facts) if facts["part"] == "test" else None
        if repaired:
            frames[1].loc[facts["row"], "sha256"] = repaired
        elif "stand_in" in facts:
            stand_ins[facts["file"]] = folder / facts["stand_in"]
    return ContestTable(frames[0], frames[1], base, stand_ins, contest.spec.white_level)


def _repaired(base: Path, facts: Mapping[str, Any]) -> str | None:
    """The sha256 of a test image that was damaged when it was registered and has been replaced by a whole one since; None otherwise.

    It is read from now on, and no run is lost: none was trained on it, and its predictions are of what stood in for it.
    """
    try:
        path = resolve_inside(base, facts["file"])
        found = sha256_file(path)
        if found == facts["sha256"]:
            return None
        open_image(path)
    except (InputError, OSError):
        return None
    return found


def read_frame(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """A Parquet file that was verified, or some of its columns. Raises CheckpointError when it cannot be read."""
    try:
        return pd.read_parquet(path, columns=columns)
    except (OSError, ValueError, KeyError) as problem:
        fix = "delete the contest, on the page Home or with `python -m core contest delete`, and register it again"
        raise CheckpointError("{file} cannot be read", where=str(path), why=reason(problem), fix=fix, file=path.name) from None


def text_columns(workspace: Workspace, contest: Contest) -> list[str]:
    """The columns that a text may be made of: those that training and test rows have, but none that holds the truth."""
    folder = workspace.absolute(contest.path)
    names = [[name.removeprefix(COLUMN) for name in read_schema(folder / file).names if name.startswith(COLUMN)] for file in (TRAIN, TEST)]
    of_train, of_test = names[0], names[1] if contest.n_test else names[0]
    truth = {contest.spec.label_column} if contest.spec.label_column else set(contest.spec.classes)
    return [name for name in of_train if name in of_test and name not in truth]


def labels_of(train: pd.DataFrame, n_classes: int) -> NDArray[np.integer]:
    """The labels of a frame with a column `label` or `labels`, as registration makes it.

    They are class indices (n,) int64, or where a row has several, 0 or 1 for each class (n, n_classes) int8.
    """
    if "label" in train:
        return train["label"].to_numpy(dtype=np.int64, copy=True)
    truth = np.zeros((len(train), n_classes), dtype=np.int8)
    counts = train["labels"].map(len).to_numpy(dtype=np.int64)
    if counts.any():
        truth[np.repeat(np.arange(len(train)), counts), np.concatenate(train["labels"].tolist()).astype(np.int64)] = 1
    return truth


def count_classes(labels: NDArray[np.integer], n_classes: int, *, multilabel: bool = False) -> NDArray[np.int64]:
    """Rows that have each class (n_classes,), of labels as `labels_of` gives them; -1 is a row whose class is not known."""
    return labels.sum(axis=0, dtype=np.int64) if multilabel else np.bincount(labels[labels >= 0], minlength=n_classes)


def by_turns(labels: NDArray[np.integer], *, multilabel: bool = False) -> NDArray[np.int64]:
    """Row numbers (n,) in an order where the classes take turns (a row's first, where it has several), so that a first page shows them all."""
    first = pd.Series(np.where(labels.any(axis=1), labels.argmax(axis=1), -1) if multilabel else labels)
    turn = first.groupby(first).cumcount().to_numpy()
    return np.lexsort((first.to_numpy(), turn))


def rows_of_class(labels: NDArray[np.integer], label: int | None, *, multilabel: bool = False) -> NDArray[np.int64]:
    """Numbers of the rows that have a class, alone or among others; of those that have no class for None."""
    if not multilabel:
        return np.flatnonzero(labels == label)
    return np.flatnonzero(~labels.any(axis=1) if label is None else labels[:, label])


def rows_by_size(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """How many rows have 0, 1, 2 … classes, where a row has several: shape (most + 1,)."""
    return np.bincount(labels.sum(axis=1, dtype=np.int64))


LABELS, DROPPED, GROUPS = "labels.npy", "dropped.npy", "groups.parquet"
TRAIN, TEST = "train.parquet", "test.parquet"
"""The tables of the rows. Contests of version 0.1 have their first truth and their groups in the table of their rows."""
MAKE_AGAIN = "put a copy of the workspace's folder contests back"


@dataclass(frozen=True, eq=False)
class Truth:
    """One version of the truth of all training rows.

    `labels` are class indices (n,) int64, or where a row may have several classes 0 and 1 (n, n_classes) int8. `kept` (n,) is False
    for rows that are dropped: they are neither trained on nor scored.
    """

    version: TruthVersion
    labels: NDArray[np.integer]
    kept: NDArray[np.bool_]


def parents_of(contest: Contest, version: TruthVersion) -> dict[str, str]:
    """How the manifest of what is made from a contest's rows and a truth names them.

    Until version 0.1 one fingerprint stood for both; it goes on doing so for the first truth of those contests, so that what was made
    before and what is made again are the same artefact.
    """
    if version.fingerprint == contest.fingerprint:
        return {"contest": contest.fingerprint}
    return {"rows": contest.fingerprint, "truth": version.fingerprint}


def load_truth(workspace: Workspace, contest: Contest, version: TruthVersion | None = None) -> Truth:
    """A version of a contest's truth, the current one where none is named. Raises CheckpointError when it is damaged."""
    version = version or contest.truth
    folder = workspace.absolute(version.path)
    manifest = load_manifest(folder)
    kept = load_kept(workspace, contest, version)
    if LABELS in manifest.files:
        return Truth(version, read_array(verify_file(folder, manifest, LABELS), fix=MAKE_AGAIN), kept)
    frame = read_frame(verify_file(folder, manifest, TRAIN), ["labels" if contest.spec.is_multilabel else "label"])
    return Truth(version, labels_of(frame, len(contest.spec.classes)), kept)


def load_kept(workspace: Workspace, contest: Contest, truth: TruthVersion | int) -> NDArray[np.bool_]:
    """Which training rows (n,) a truth, or the one of that id, keeps; reads nothing where it keeps all."""
    truth = contest.truth if truth == contest.truth.id else truth
    version = get_truth(workspace.store, truth) if isinstance(truth, int) else truth
    if not version.n_dropped:
        return np.ones(contest.n_train, dtype=np.bool_)
    folder = workspace.absolute(version.path)
    return ~read_array(verify_file(folder, load_manifest(folder), DROPPED), fix=MAKE_AGAIN)


def add_truth(
    workspace: Workspace,
    contest: Contest,
    *,
    labels: Mapping[int, int | Sequence[int]] | None = None,
    drop: Collection[int] = (),
    restore: Collection[int] = (),
    reason: str,
    parent: TruthVersion | None = None,
) -> TruthVersion:
    """Publish a new version of a contest's truth, which becomes its current one, and return it.

    It is `parent` (by default the current version) with other `labels` by row number (the class index, or all of them where a row may
    have several), with the rows in `drop` dropped and those in `restore` taken back. Runs, folds and predictions stay as they are.
    Raises InputError for a row or a class that is not there, an empty reason, or when nothing would change.
    """
    before = load_truth(workspace, contest, parent)
    after, kept = before.labels.copy(), before.kept.copy()
    changed = dict(labels or {})
    unknown = sorted({row for row in (*changed, *drop, *restore) if not 0 <= row < contest.n_train})
    if unknown:
        raise InputError(
            "there are no such rows",
            where=contest.name,
            why="{rows} of {n:,} rows, counted from 0",
            fix="name rows of the training table",
            rows=", ".join(map(str, unknown[:20])),
            n=contest.n_train,
        )
    for row, given in changed.items():
        after[row] = _label(given, row, contest.spec)
    kept[list(drop)] = False
    kept[list(restore)] = True
    if not reason.strip():
        raise InputError(
            "a new truth needs a reason", where="reason", why="later nobody would know why a label was changed", fix="say it in a few words"
        )
    if np.array_equal(after, before.labels) and np.array_equal(kept, before.kept):
        raise InputError(
            "nothing would change",
            where="version {n} of the truth of {contest}",
            why="these labels and dropped rows are those it has",
            fix="name a row whose label is another one, or which is to be dropped",
            n=before.version.version,
            contest=contest.name,
        )
    if not kept.any():
        raise InputError("every row would be dropped", where=contest.name, why="there would be nothing to learn from", fix="keep some rows")
    identity, folder = publish_truth(
        workspace, contest.folder, contest.spec, contest.fingerprint, after, ~kept, parent=before.version.fingerprint, reason=reason.strip()
    )
    with workspace.store.transaction() as connection:
        return insert_truth(
            connection,
            contest_id=contest.id,
            fingerprint=identity,
            path=workspace.relative(folder),
            n_dropped=int((~kept).sum()),
            reason=reason.strip(),
        )


def publish_truth(
    workspace: Workspace,
    contest_folder: str,
    spec: ContestSpec,
    rows: str,
    labels: NDArray[np.integer],
    dropped: NDArray[np.bool_],
    *,
    parent: str = "",
    reason: str = "",
) -> tuple[str, Path]:
    """Write a truth of the rows with fingerprint `rows`, made from the truth `parent`, into a contest's folder; returns its fingerprint and its path."""
    parents = {"rows": rows, **({"truth": parent} if parent else {})}
    content = {"classes": list(spec.classes), "labels": labels.tolist(), "dropped": np.flatnonzero(dropped).tolist()}
    identity = fingerprint({"kind": "truth", "parents": parents, **content})
    folder = workspace.part_dir(contest_folder, "truth", identity)
    facts = {"classes": list(spec.classes), "n_dropped": int(dropped.sum()), "reason": reason}
    with publishing(folder, kind="truth", parents=parents, facts=facts) as temporary:
        np.save(temporary / LABELS, labels, allow_pickle=False)
        np.save(temporary / DROPPED, dropped, allow_pickle=False)
    return identity, folder


def add_groups(workspace: Workspace, contest: Contest, column: str, values: Sequence[str]) -> GroupsVersion:
    """Keep the groups (n,) of a column; those that are there are returned."""
    known = [groups for groups in list_groups(workspace.store, contest.id) if groups.column_name == column]
    if known:
        return known[-1]
    identity, folder = publish_groups(workspace, contest.folder, contest.fingerprint, column, values)
    with workspace.store.transaction() as connection:
        path = workspace.relative(folder)
        return insert_groups(connection, contest_id=contest.id, column_name=column, fingerprint=identity, path=path)


def publish_groups(workspace: Workspace, contest_folder: str, rows: str, column: str, values: Sequence[str]) -> tuple[str, Path]:
    """Write the groups of the rows with fingerprint `rows` into a contest's folder; returns their fingerprint and their path."""
    parents = {"rows": rows}
    identity = fingerprint({"kind": "groups", "parents": parents, "column": column, "groups": list(values)})
    folder = workspace.part_dir(contest_folder, "groups", identity)
    with publishing(folder, kind="groups", parents=parents, facts={"column": column}) as temporary:
        pd.DataFrame({"group": pd.Series(list(values), dtype="str")}).to_parquet(temporary / GROUPS, index=False)
    return identity, folder


def load_groups(workspace: Workspace, contest: Contest, groups: GroupsVersion) -> list[str]:
    """The name of each training row's group. Raises CheckpointError when the artefact is damaged."""
    folder = workspace.absolute(groups.path)
    manifest = load_manifest(folder)
    if GROUPS in manifest.files:
        return read_frame(verify_file(folder, manifest, GROUPS), ["group"])["group"].tolist()
    column = "group" if groups.column_name == contest.spec.group_column else f"col.{groups.column_name}"
    return read_frame(verify_file(folder, manifest, TRAIN), [column])[column].tolist()


def contest_groups(workspace: Workspace, contest: Contest) -> GroupsVersion | None:
    """The contest's own groups, those of its group column; None where it has none."""
    known = [groups for groups in list_groups(workspace.store, contest.id) if groups.column_name == contest.spec.group_column]
    if contest.spec.group_column and not known:
        raise CheckpointError(
            "the contest's groups are gone",
            where=contest.name,
            why="no version holds the column '{column}'",
            fix="put a copy of pitwall.db back, or register the contest again",
            column=contest.spec.group_column,
        )
    return known[-1] if known else None


def _label(given: int | Sequence[int], row: int, spec: ContestSpec) -> int | NDArray[np.int8]:
    indices = [given] if isinstance(given, int) else list(given)
    if any(not 0 <= index < len(spec.classes) for index in indices) or (not spec.is_multilabel and len(indices) != 1):
        raise InputError(
            "a row was given a label that cannot be",
            where="row {row}",
            why="{labels} are not indices of the {n} classes, any number per row"
            if spec.is_multilabel
            else "{labels} are not indices of the {n} classes, one per row",
            fix="give classes by their place in the contest's list, from 0",
            row=row,
            labels=str(indices),
            n=len(spec.classes),
        )
    if not spec.is_multilabel:
        return indices[0]
    several = np.zeros(len(spec.classes), dtype=np.int8)
    several[indices] = 1
    return several
