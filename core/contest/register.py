"""Registration: every row and image is verified, then the tables are published and the contest's row is written, or nothing is."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.artefacts import publishing
from core.base.errors import InputError
from core.base.files import fingerprint, write_json
from core.base.messages import msg
from core.base.names import unused_file_name
from core.contest.contents import Contents, read_contents, rows_fingerprint
from core.contest.files import ContestFiles
from core.contest.image_pass import Progress
from core.contest.rows import Rows, read_rows
from core.contest.table import KNOWN, SAMPLE_SUBMISSION, count_classes, labels_of, publish_groups, publish_truth
from core.contest.uploads import keep_source
from core.specs.contest import ContestSpec
from core.store import contests
from core.workspace import Workspace

SPEC = "spec.json"
ROW_GROUP = 5_000
"""Rows that are written at once."""


@dataclass(frozen=True, eq=False)
class Verified:
    """A contest whose every row was read: `identity` is the fingerprint of its rows; `labels` are those of `contents.train`."""

    spec: ContestSpec
    files: ContestFiles
    contents: Contents
    labels: NDArray[np.integer]
    identity: str


@dataclass(frozen=True)
class Kept:
    """What was published of a contest: the artefact of its rows, its truth, and its groups where it has any."""

    path: str
    truth: contests.Published
    groups: contests.Published | None


def add_contest(workspace: Workspace, spec: ContestSpec, *, sample: str = "", progress: Progress | None = None) -> contests.Contest:
    """Verify every row of a contest and register it; `progress(done, total)` counts images.

    Raises InputError with the first twenty problems (file, line, column, fix) and their number; then the workspace is as it was.
    """
    if spec.name in [contest.name for contest in contests.list_contests(workspace.store)]:
        raise contests.name_taken(spec.name)
    return add_verified(workspace, verify_contest(spec, progress), sample=sample)


def add_verified(
    workspace: Workspace, verified: Verified, *, sample: str = "", in_place_of: contests.Contest | None = None
) -> contests.Contest:
    """Publish a contest that was read and write its row; `in_place_of` is archived and gives it its name."""
    known = contests.list_contests(workspace.store, with_trash=True)
    folder = unused_file_name(verified.spec.name, (contest.folder for contest in known))
    with published(workspace, verified, folder) as kept:
        return contests.add_contest(
            workspace.store,
            spec=verified.spec,
            fingerprint=verified.identity,
            path=kept.path,
            n_train=len(verified.contents.train),
            n_test=len(verified.contents.test),
            truth=kept.truth,
            groups=kept.groups,
            sample=sample,
            in_place_of=in_place_of,
        )


def verify_contest(spec: ContestSpec, progress: Progress | None = None) -> Verified:
    """Read every row and image of a contest; errors as of `add_contest`."""
    files = ContestFiles(Path(spec.root), spec.encoding)
    rows = read_rows(files, spec)
    contents = read_contents(files, spec, rows, progress)
    spec = contents.spec
    labels = labels_of(contents.train, len(spec.classes))
    _check_classes(labels[~contents.dropped], spec, rows)
    rows.problems.raise_if_any("the contest cannot be registered")
    return Verified(spec, files, contents, labels, rows_fingerprint(spec.modality, contents.train, contents.test))


@contextmanager
def published(workspace: Workspace, verified: Verified, contest_folder: str) -> Iterator[Kept]:
    """Publish the artefacts of a contest into its folder; when the block raises, what was not there before is removed."""
    spec, contents, identity = verified.spec, verified.contents, verified.identity
    n_dropped = int(contents.dropped.sum())
    made: list[Path] = []
    try:
        made.append(publish_rows(workspace, verified, contest_folder))
        reason = msg("left out at registration") if n_dropped else ""
        truth = publish_truth(workspace, contest_folder, spec, identity, verified.labels, contents.dropped, reason=reason)
        made.append(truth[1])
        groups = publish_own_groups(workspace, verified, contest_folder)
        made += [groups[1]] if groups else []
        yield Kept(
            workspace.relative(made[0]),
            contests.Published(truth[0], workspace.relative(truth[1]), n_dropped, reason),
            contests.Published(groups[0], workspace.relative(groups[1])) if groups else None,
        )
    except BaseException:
        # Somebody else may have registered the very same contest in the meantime: then the artefact is theirs.
        if all(contest.folder != contest_folder for contest in contests.list_contests(workspace.store, with_trash=True)):
            for folder in made:
                shutil.rmtree(folder)
            home = workspace.contest_dir(contest_folder)
            if home.is_dir() and not any(home.iterdir()):
                home.rmdir()
        raise
    keep_source(workspace, verified.files.root)


def publish_rows(workspace: Workspace, verified: Verified, contest_folder: str) -> Path:
    """Write the rows and the settings of a contest into its folder; returns the path of the artefact."""
    spec, contents, root = verified.spec, verified.contents, verified.files.root
    train, test = contents.train, contents.test
    destination = workspace.part_dir(contest_folder, "data", rows_and_settings(verified.identity, spec))
    home = workspace.root.resolve()
    inside = root.relative_to(home).as_posix() if root.is_relative_to(home) else None
    facts = {"n_train": len(train), "n_test": len(test), "root_in_workspace": inside, **contents.facts()}
    with publishing(destination, kind="contest", parents={}, facts=facts) as folder:
        train.drop(columns=list(KNOWN), errors="ignore").to_parquet(folder / "train.parquet", index=False, row_group_size=ROW_GROUP)
        test.to_parquet(folder / "test.parquet", index=False, row_group_size=ROW_GROUP)
        for name, raw in contents.stand_ins.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(raw)
        write_json(folder / SPEC, spec.to_dict())
        if spec.sample_submission:
            shutil.copyfile(root / verified.files.files[spec.sample_submission], folder / SAMPLE_SUBMISSION)
    return destination


def publish_own_groups(workspace: Workspace, verified: Verified, contest_folder: str) -> tuple[str, Path] | None:
    """Write the groups of the contest's group column; None where it has none."""
    train = verified.contents.train
    if "group" not in train:
        return None
    return publish_groups(workspace, contest_folder, verified.identity, verified.spec.group_column, train["group"].tolist())


def rows_and_settings(rows: str, spec: ContestSpec) -> str:
    """What the artefact of a contest's rows is named by."""
    return fingerprint({"contest": rows, "spec": spec.to_dict()})


def _check_classes(labels: NDArray[np.integer], spec: ContestSpec, rows: Rows) -> None:
    """Every class needs a row, of those (n,) or (n, n_classes) that are kept."""
    counts = count_classes(labels, len(spec.classes), multilabel=spec.is_multilabel)
    if spec.layout == "csv":
        fix = "leave `classes` to be found, or add rows"
        if not spec.label_column:
            fix = "add rows that have it, or name only the other columns in `classes`"
        for number in np.flatnonzero(counts == 0):
            name = spec.classes[number]
            rows.problems.add(spec.train, msg("no row has the class '{name}'", name=name), fix, column=spec.label_column or name)
    if len(labels) == 0:
        raise InputError(
            "there are no training rows",
            where=spec.train,
            why="nothing was found to learn from",
            fix="set train to the table or folder with the labels",
        )
