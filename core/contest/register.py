"""Registration: every row and image is verified, then the tables are published and the contest's row is written, or nothing is."""

import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.artefacts import publishing
from core.base.errors import InputError
from core.base.files import fingerprint, write_json
from core.base.messages import msg
from core.base.names import unused_file_name
from core.contest.contents import read_contents, rows_fingerprint
from core.contest.files import ContestFiles
from core.contest.image_pass import Progress
from core.contest.rows import Rows, read_rows
from core.contest.table import KNOWN, SAMPLE_SUBMISSION, count_classes, labels_of, publish_groups, publish_truth
from core.specs.contest import ContestSpec
from core.store import contests
from core.workspace import Workspace

ROW_GROUP = 20_000
"""Rows that are written at once."""


def add_contest(workspace: Workspace, spec: ContestSpec, *, sample: str = "", progress: Progress | None = None) -> contests.Contest:
    """Verify every row of a contest and register it; `progress(done, total)` counts images.

    Raises InputError with the first twenty problems (file, line, column, fix) and their number; then the workspace is as it was.
    """
    if spec.name in [contest.name for contest in contests.list_contests(workspace.store)]:
        raise contests.name_taken(spec.name)
    files = ContestFiles(Path(spec.root), spec.encoding)
    rows = read_rows(files, spec)
    contents = read_contents(files, spec, rows, progress)
    spec, train, test = contents.spec, contents.train, contents.test
    labels = labels_of(train, len(spec.classes))
    _check_classes(labels[~contents.dropped], spec, rows)
    rows.problems.raise_if_any("the contest cannot be registered")

    identity = rows_fingerprint(spec.modality, train, test)
    home_folder = unused_file_name(spec.name, (known.folder for known in contests.list_contests(workspace.store, with_trash=True)))
    destination = workspace.part_dir(home_folder, "data", fingerprint({"contest": identity, "spec": spec.to_dict()}))
    home = workspace.root.resolve()
    inside = files.root.relative_to(home).as_posix() if files.root.is_relative_to(home) else None
    facts = {"n_train": len(train), "n_test": len(test), "root_in_workspace": inside, **contents.facts()}
    n_dropped = int(contents.dropped.sum())
    made: list[Path] = []
    try:
        with publishing(destination, kind="contest", parents={}, facts=facts) as folder:
            train.drop(columns=list(KNOWN), errors="ignore").to_parquet(folder / "train.parquet", index=False, row_group_size=ROW_GROUP)
            test.to_parquet(folder / "test.parquet", index=False, row_group_size=ROW_GROUP)
            for name, raw in contents.stand_ins.items():
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_bytes(raw)
            write_json(folder / "spec.json", spec.to_dict())
            if spec.sample_submission:
                shutil.copyfile(files.root / files.files[spec.sample_submission], folder / SAMPLE_SUBMISSION)
        made.append(destination)
        reason = msg("left out at registration") if n_dropped else ""
        kept = publish_truth(workspace, home_folder, spec, identity, labels, contents.dropped, reason=reason)
        made.append(kept[1])
        groups = publish_groups(workspace, home_folder, identity, spec.group_column, train["group"].tolist()) if "group" in train else None
        made += [groups[1]] if groups else []
        return contests.add_contest(
            workspace.store,
            spec=spec,
            fingerprint=identity,
            path=workspace.relative(destination),
            n_train=len(train),
            n_test=len(test),
            truth=contests.Published(kept[0], workspace.relative(kept[1]), n_dropped, reason),
            groups=contests.Published(groups[0], workspace.relative(groups[1])) if groups else None,
            sample=sample,
        )
    except BaseException:
        # Somebody else may have registered the very same contest in the meantime: then the artefact is theirs.
        if all(contest.path != workspace.relative(destination) for contest in contests.list_contests(workspace.store)):
            for folder in made:
                shutil.rmtree(folder)
            if destination.parent.is_dir() and not any(destination.parent.iterdir()):
                destination.parent.rmdir()
        raise


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
