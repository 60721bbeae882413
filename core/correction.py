"""A registered contest is corrected: what the change makes of its folds, runs, blends and submissions is planned and said, then made.

A correction that keeps rows and classes is made in place: what was trained stays, on the labels and the metric it was trained with, and
says so. One of other rows or classes cannot keep a run comparable: it is a contest of its own, in the place of the one before, which is
archived with everything in it.
"""

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.artefacts import load_manifest, publishing, verify
from core.base.errors import InputError
from core.base.files import typed_path, write_json
from core.base.messages import joined, msg, reason
from core.base.settings import parse_settings
from core.blend.ensemble import open_ensemble, score_blend
from core.contest.image_pass import Progress
from core.contest.inspect.draft import Inspection, inspect_path
from core.contest.inspect.sources import parse_answers
from core.contest.register import SPEC, Verified, add_verified, publish_own_groups, publish_rows, rows_and_settings, verify_contest
from core.contest.table import load_table, load_truth, publish_groups, publish_truth
from core.folds import load_folds
from core.specs.contest import LABELS, ContestSpec
from core.specs.kept import BlendScores
from core.store.blends import list_blends, list_submissions
from core.store.contests import Contest, Published, correct_contest, list_truths
from core.store.folds import Folds, list_folds
from core.store.runs import get_run, list_runs
from core.submission.format import read_format
from core.workspace import Workspace

SETTINGS = ("metric", "submission", "group_column")
"""What is corrected without the contest's files."""
CORRECTED = "the contest was corrected"
"""How the reason of a truth begins that a correction made, and no person label by label."""
SEEN_BY_NETWORKS = ("modality", "classes", "labels", "white_level")
"""With another of these the networks that are there would predict something else, or see something else."""


@dataclass(frozen=True, eq=False)
class Correction:
    """What a correction makes of a contest: its settings `after`, the `changes` by setting, and in sentences what depends on them.

    `in_place`: rows and classes stay. `verified` is the contest as it was read again, None where its files were not needed; `labels` and
    `dropped` are those of the next truth, None where it stays.
    """

    contest: Contest
    after: ContestSpec
    changes: dict[str, tuple[Any, Any]]
    effects: tuple[str, ...]
    in_place: bool
    verified: Verified | None
    labels: NDArray[np.integer] | None
    dropped: NDArray[np.bool_] | None


def plan_correction(
    workspace: Workspace,
    contest: Contest,
    sets: Iterable[str] = (),
    *,
    answers: dict[str, Any] | None = None,
    root: Path | None = None,
    progress: Progress | None = None,
) -> Correction:
    """Read what a correction needs, and say what depends on it; `sets` are texts such as "metric=macro_f1", `answers` values by setting.
    `root` is the folder that the contest's files are in now, where they were moved.

    Only metric, submission and group column are corrected without reading the contest's files again. Raises InputError for what cannot be
    registered, and where nothing would change.
    """
    given = parse_answers(sets) if answers is None else answers
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    asked = {name: value for name, value in given.items() if value != getattr(contest.spec, name)}
    place = Path(contest.spec.root) if root is None else Path(os.path.realpath(typed_path(str(root))))
    moved = None if place == Path(contest.spec.root) else place
    if not asked and moved is None:
        raise InputError("nothing would change", where=contest.name, why="these settings are those it has", fix="give another value")
    if "name" in asked:
        raise InputError(
            "a name is no correction",
            where=contest.name,
            why="renaming changes nothing else",
            fix="rename it, on the page Home or with `python -m core contest rename`",
        )
    verified, doubts = None, tuple[str, ...]()
    if set(asked) <= set(SETTINGS) and moved is None:
        after = parse_settings(ContestSpec, contest.spec.to_dict() | asked, where=contest.name, error=InputError)
        _group_values(workspace, contest, after.group_column)
    else:
        inspection = _inspected(contest, asked, moved)
        verified = verify_contest(inspection.draft, progress)
        counted = msg(
            "read again: {rows:,} training rows, {classes:,} classes", rows=len(verified.labels), classes=len(verified.spec.classes)
        )
        doubts = (counted, *(joined(": ", [check.key, check.detail]) for check in inspection.checks if check.level == "warning"))
        after = verified.spec
    changes = {
        name: (getattr(contest.spec, name), getattr(after, name))
        for name in ContestSpec.model_fields
        if getattr(after, name) != getattr(contest.spec, name)
    }
    in_place = not set(changes) & set(SEEN_BY_NETWORKS) and (verified is None or verified.identity == contest.fingerprint)
    labels = dropped = None
    if in_place and verified is not None:
        labels, dropped = _next_truth(workspace, contest, verified)
    if in_place and verified is None:
        read_format(workspace, replace(contest, spec=after))  # a sample of another form is refused now, not at submission
    effects = _effects(workspace, contest, changes, labels, dropped) if in_place else _effects_of_another(workspace, contest)
    return Correction(contest, after, changes, (*effects, *doubts), in_place, verified, labels, dropped)


def correct(workspace: Workspace, correction: Correction) -> Contest:
    """Make a correction; returns the contest as it is then. Raises StateError when the contest was changed since it was planned."""
    contest, after, verified = correction.contest, correction.after, correction.verified
    if not correction.in_place:
        assert verified is not None  # other rows or classes are found by reading them
        return add_verified(workspace, verified, in_place_of=contest)
    path = publish_rows(workspace, verified, contest.folder) if verified else _republished(workspace, contest, after)
    groups = None
    if after.group_column and after.group_column != contest.spec.group_column:
        if verified is not None:
            groups = publish_own_groups(workspace, verified, contest.folder)
        else:
            values = _group_values(workspace, contest, after.group_column)
            groups = publish_groups(workspace, contest.folder, contest.fingerprint, after.group_column, values)
    truth = None
    if correction.labels is not None and correction.dropped is not None:
        why = msg("the contest was corrected: {settings}", settings=", ".join(correction.changes))
        spec, rows = after, contest.fingerprint
        made = publish_truth(
            workspace, contest.folder, spec, rows, correction.labels, correction.dropped, parent=contest.truth.fingerprint, reason=why
        )
        truth = Published(made[0], workspace.relative(made[1]), int(correction.dropped.sum()), why)
    return correct_contest(
        workspace.store,
        contest,
        spec=after,
        path=workspace.relative(path),
        truth=truth,
        groups=Published(groups[0], workspace.relative(groups[1])) if groups else None,
        rescored=_rescored(workspace, contest, after),
    )


def _inspected(contest: Contest, asked: dict[str, Any], moved: Path | None) -> Inspection:
    """What the contest's files hold with these answers; everything else is answered as it was registered."""
    answers = {name: getattr(contest.spec, name) for name in ContestSpec.model_fields if name not in ("root", "name")} | asked
    for name, depends_on in (("classes", LABELS), ("label_separator", ("labels", "label_column")), ("untrained_classes", LABELS)):
        if name in answers and name not in asked and set(asked) & set(depends_on):
            del answers[name]
    if "modality" in asked or "layout" in asked:
        answers = {name: value for name, value in answers.items() if name in asked or name in ("metric", "submission")}
    inspection = inspect_path(moved or Path(contest.spec.root), name=contest.name, answers=answers)
    if inspection.problems:
        raise InputError(
            "the contest cannot be corrected so",
            where=contest.name,
            why=joined("; ", inspection.problems),
            fix="correct another setting, or the files",
        )
    return inspection


def _next_truth(workspace: Workspace, contest: Contest, verified: Verified) -> tuple[NDArray[np.integer] | None, NDArray[np.bool_] | None]:
    """Labels and dropped rows after a correction: what the files say now, and what a person has changed since registration; None for no change."""
    current = load_truth(workspace, contest)
    relabelled, redropped = (np.zeros(contest.n_train, dtype=np.bool_) for _ in range(2))
    before = None
    for version in list_truths(workspace.store, contest.id):
        truth = load_truth(workspace, contest, version)
        if before is not None and not version.reason.startswith(CORRECTED):
            relabelled |= _differs(truth.labels, before.labels)
            redropped |= truth.kept != before.kept
        before = truth
    labels, dropped = verified.labels.copy(), np.where(redropped, ~current.kept, verified.contents.dropped)
    labels[relabelled] = current.labels[relabelled]
    if np.array_equal(labels, current.labels) and np.array_equal(dropped, ~current.kept):
        return None, None
    return labels, dropped


def _differs(labels: NDArray[np.integer], others: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Rows (n,) whose label, or one of whose labels, is another."""
    return (labels != others).reshape(len(labels), -1).any(axis=1)


def _group_values(workspace: Workspace, contest: Contest, column: str) -> list[str]:
    """The group of each training row by a column of its table; none for no column. Raises InputError."""
    if not column or column == contest.spec.group_column:
        return []
    train = load_table(workspace, contest).train
    known = [name.removeprefix("col.") for name in train.columns if name.startswith("col.")]
    if column not in known:
        raise InputError(
            "there is no column '{name}' to group by",
            where="group_column",
            why=msg("columns of {file}: {names}", file=contest.spec.train, names=", ".join(known))
            if known
            else "class folders have no columns",
            fix="name one of the columns",
            name=column,
        )
    values: list[str] = train[f"col.{column}"].tolist()
    n_empty = sum(not value.strip() for value in values)
    if n_empty:
        raise InputError(
            "{n:,} rows have no group",
            where="{file}, column '{column}'",
            why="an empty cell would be a group of its own",
            fix="fill the column in, or use another one",
            n=n_empty,
            file=contest.spec.train,
            column=column,
        )
    return values


def _republished(workspace: Workspace, contest: Contest, after: ContestSpec) -> Path:
    """The artefact of the contest's rows under other settings; its files are links to those of the one before."""
    before = workspace.absolute(contest.path)
    manifest = verify(before)
    destination = workspace.part_dir(contest.folder, "data", rows_and_settings(contest.fingerprint, after))
    with publishing(destination, kind="contest", parents={}, facts=load_manifest(before).facts) as folder:
        for name in manifest.files:
            if name != SPEC:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                _link(before / name, folder / name)
        write_json(folder / SPEC, after.to_dict())
    return destination


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        try:
            shutil.copyfile(source, target)
        except OSError as problem:
            raise InputError("the contest's files cannot be copied", where=str(source), why=reason(problem), fix="make space") from None


def _rescored(workspace: Workspace, contest: Contest, after: ContestSpec) -> dict[int, BlendScores]:
    """The scores of every blend under another metric, from its runs' stored predictions; its cross-fitted score was of the metric before."""
    if after.metric == contest.spec.metric:
        return {}
    corrected = replace(contest, spec=after)
    found: dict[int, BlendScores] = {}
    for blend in list_blends(workspace.store, contest.id):
        runs = [get_run(workspace.store, run_id) for run_id in blend.spec.members]
        ensemble = open_ensemble(workspace, corrected, runs, blend.spec.folds or None)
        found[blend.id] = score_blend(ensemble, blend.spec).model_copy(update={"procedure": blend.scores.procedure})
    return found


def _effects(
    workspace: Workspace,
    contest: Contest,
    changes: dict[str, tuple[Any, Any]],
    labels: NDArray[np.integer] | None,
    dropped: NDArray[np.bool_] | None,
) -> tuple[str, ...]:
    """What a correction on the same rows and classes makes of what is there, in sentences."""
    store = workspace.store
    runs, blends = list_runs(store, contest.id), list_blends(store, contest.id)
    said: list[str] = []
    if "metric" in changes:
        old = changes["metric"][0]
        said.append(msg("{n} {n:run has|runs have} the new score from stored predictions", n=len(runs)))
        if runs:
            said.append(msg("their best epochs stay chosen by {metric}, also in folds that still train", metric=old))
        if blends:
            said.append(
                msg(
                    "{n} {n:blend|blends} scored anew, by the weights found for {metric}; save again to fit them", n=len(blends), metric=old
                )
            )
    if labels is not None and dropped is not None:
        current = load_truth(workspace, contest)
        n_labels = int(_differs(labels, current.labels).sum())
        n_dropped = int(np.count_nonzero(dropped == current.kept))
        said.append(msg("{n:,} labels change, {dropped:,} rows are left out or taken back", n=n_labels, dropped=n_dropped))
        said.append(msg("{n} {n:run|runs} and {m} {m:blend|blends} stay, marked as on older labels", n=len(runs), m=len(blends)))
    if changes.get("group_column", ("", ""))[1]:
        values = _group_values(workspace, contest, changes["group_column"][1])
        codes = np.unique(np.array(values), return_inverse=True)[1]
        split = [folds for folds in list_folds(store, contest.id) if _splits(workspace, folds, codes)]
        said.append(
            msg(
                "{n} {n:set of folds splits|sets of folds split} the new groups, and {n:stays|stay} with {n:its|their} runs; make new folds to compare on",
                n=len(split),
            )
        )
    if "submission" in changes and (n := len(list_submissions(store, contest.id))):
        said.append(msg("{n} {n:submission|submissions} that were written stay as they are", n=n))
    return tuple(said) or (msg("nothing that was made depends on it"),)


def _splits(workspace: Workspace, folds: Folds, codes: NDArray[np.int64]) -> bool:
    roles = load_folds(workspace, folds)
    return any(bool(np.intersect1d(codes[roles.train_idx(fold)], codes[roles.valid_idx(fold)]).size) for fold in range(roles.n_folds))


def _effects_of_another(workspace: Workspace, contest: Contest) -> tuple[str, ...]:
    store = workspace.store
    return (
        msg("these are other rows, classes or images: what was trained cannot be compared with what will be"),
        msg(
            "{name} is registered anew; the one before is archived under another name, whole, with {runs} {runs:run|runs} and "
            "{blends} {blends:blend|blends}",
            name=contest.name,
            runs=len(list_runs(store, contest.id)),
            blends=len(list_blends(store, contest.id)),
        ),
    )
