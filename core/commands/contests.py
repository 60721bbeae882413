"""`contest`, `sample`, `folds`: what the contest is, and how its rows are split."""

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from core.base.errors import InputError
from core.base.files import shell_name, typed_path
from core.base.messages import corrections, joined, msg
from core.base.settings import parse_settings
from core.commands.console import (
    ContestArgument,
    JsonOption,
    NameArgument,
    SetOption,
    WorkspaceOption,
    YesOption,
    commands,
    note,
    opened,
    print_json,
    print_records,
    print_table,
    say,
    standard_error,
)
from core.commands.extra_rows import rows_app
from core.commands.records import contest_record, direction, folds_record, score_text
from core.commands.trash import confirm, delete
from core.contest import register, samples
from core.contest.contents import found_at_registration
from core.contest.inspect.draft import inspect_path
from core.contest.inspect.sources import Check
from core.contest.names import read_class_names
from core.contest.table import load_truth
from core.contest.uploads import open_source, release_source
from core.correction import correct, plan_correction
from core.folds import first_spec, fold_parts, load_folds, own_groups, save_folds
from core.specs.contest import ContestSpec
from core.specs.folds import FoldsSpec
from core.splitting import remarks, say_rare
from core.store import contests, folds as splits
from core.store.contests import get_contest

app = commands()
contest_app = commands("Register a contest of your own; rename, correct, archive or delete it.")
folds_app = commands("Split the training rows into folds.")
app.add_typer(contest_app, name="contest")
contest_app.add_typer(rows_app, name="rows")
app.add_typer(folds_app, name="folds")

FOLDS_COLUMNS: dict[str, Callable[[dict[str, Any]], str]] = {
    ">id": lambda record: str(record["folds"]),
    "kind": lambda record: record["kind"],
    ">folds": lambda record: str(record["n_folds"]),
    ">seed": lambda record: str(record["seed"]),
    "column": lambda record: record["group_column"] or record["fold_column"],
    "fingerprint": lambda record: f"#{record['fingerprint'][:8]}",
}


@contest_app.command("add", short_help="Register a contest from a folder, CSV or zip.")
def add_contest(
    place: Annotated[str, typer.Argument(metavar="PATH", help="A folder, a CSV or a zip archive.", show_default=False)],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Name of the contest; else that of the folder.", show_default=False)
    ] = None,
    sets: SetOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what was understood, and register nothing.")] = False,
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register a contest from a folder, a CSV or a zip archive.

    Says what it understood. Correct a point with --set, for example --set metric=macro_f1 --set group_column=person.
    """
    workspace, path = opened(root), typed_path(place)
    source = open_source(workspace, path)
    marks = {"ok": "ok", "note": "note", "warning": "!"}
    try:
        inspection = inspect_path(source, name=name, sets=sets or [])
        if not as_json:
            checks = [(marks[check.level], check.key, check.value, check.detail) for check in inspection.checks]
            print_table(["", "what", "understood as", "detail"], checks)
        if dry_run:
            if as_json:
                print_json({"spec": inspection.draft.to_dict(), "findings": _findings(inspection.checks)})
            if inspection.refusal is not None:
                raise inspection.refusal
            return
        with checking_rows() as progress:
            contest = register.add_contest(workspace, inspection.draft, progress=progress)
    except InputError as refusal:
        found = corrections(refusal.fix, ContestSpec.model_fields)
        if not found:
            raise
        given = ["python", "-m", "core", "contest", "add", place, *(["--name", name] if name else [])]
        again = " ".join([shlex.join([*given, *(part for text in sets or [] for part in ("--set", text))]), found[0]])
        fix = joined("; ", [refusal.fix, msg("as a command: {command}", command=again)])
        raise InputError(refusal.what, where=refusal.where, why=refusal.why, fix=fix) from None
    finally:
        release_source(workspace, source)
    found = found_at_registration(workspace, contest)
    if as_json:
        print_json(contest_record(workspace, contest) | {"findings": _findings(found)})
    else:
        if found:
            print_table(["", "what", "found", "detail"], [(marks[check.level], check.key, check.value, check.detail) for check in found])
        say(f"registered as {contest.name}; next: python -m core folds make {shell_name(contest.name)}")


def _findings(checks: Sequence[Check]) -> list[dict[str, str]]:
    return [{"level": check.level, "what": check.key, "value": check.value, "detail": check.detail} for check in checks]


@contest_app.command("list", short_help="List the contests with their best score.")
def list_contests(root: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List the contests with their rows, classes, metric, runs and best CV score."""
    workspace = opened(root)
    records = [contest_record(workspace, contest) for contest in contests.list_contests(workspace.store)]
    print_records(
        records,
        {
            "contest": lambda record: record["contest"] + (" (archived)" if record["archived"] else ""),
            "modality": lambda record: record["modality"],
            ">train": lambda record: f"{record['n_train']:,}",
            ">test": lambda record: f"{record['n_test']:,}",
            ">classes": lambda record: f"{record['n_classes']}{', several' if record['labels'] == 'several' else ''}",
            "metric": lambda record: f"{record['metric']} {direction(record['metric'])}",
            ">runs": lambda record: str(record["n_runs"]),
            ">best CV": lambda record: score_text(record["cv_score"]),
            "best run": lambda record: record["run"] or "",
        },
        as_json=as_json,
        empty="no contest yet: python -m core sample digits, or python -m core contest add PATH",
    )


@contest_app.command("rename")
def rename_contest(contest: ContestArgument, name: NameArgument, root: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Give a contest another name. What is made of it stays as it is."""
    workspace = opened(root)
    renamed = contests.rename_contest(workspace.store, get_contest(workspace.store, contest).id, name)
    print_json(contest_record(workspace, renamed)) if as_json else say(f"{contest} is called {renamed.name} now")


@contest_app.command("correct", short_help="Correct what was understood of a registered contest.")
def correct_contest(
    contest: ContestArgument,
    sets: SetOption = None,
    folder: Annotated[
        Path | None, typer.Option("--root", metavar="DIR", help="Where the contest's files are now.", show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what depends on it, and change nothing.")] = False,
    yes: YesOption = False,
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Correct a contest's settings, for example --set metric=macro_f1 or --set group_column=person.

    What depends on the change is said first. On the same rows and classes all that was trained stays. Other rows or classes make a contest
    of their own in its place; the one before is archived whole.
    """
    workspace = opened(root)
    found = get_contest(workspace.store, contest)
    with checking_rows() as progress:
        plan = plan_correction(workspace, found, sets or [], root=folder, progress=progress)
    changes = [(name, _short(old), _short(new)) for name, (old, new) in plan.changes.items()]
    said = "; ".join([*(f"{name}: {old} -> {new}" for name, old, new in changes), *plan.effects])
    if not dry_run:
        confirm(said, "correct it?", yes=yes)
        found = correct(workspace, plan)
    if as_json:
        shown = {
            "changes": {name: list(each) for name, each in plan.changes.items()},
            "effects": list(plan.effects),
            "in_place": plan.in_place,
        }
        print_json(contest_record(workspace, found) | shown)
    else:
        say(said if dry_run else f"{found.name} is corrected")


def _short(value: object) -> str:
    text = ", ".join(value) if isinstance(value, tuple) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


@contest_app.command("names", short_help="Name coded classes for the screen.")
def name_classes(
    contest: ContestArgument,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="CLASS=NAME...", help="Such as 0=negative; 0= takes a name back.", show_default=False)
    ] = None,
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the names of a contest's classes, or change some. They are for the screen: files and what was trained have the classes as they are."""
    workspace = opened(root)
    found = get_contest(workspace.store, contest)
    if names:
        shown = read_class_names(names, found.spec.classes, found.shown_classes)
        found = contests.name_classes(workspace.store, found.id, shown)
    pairs = list(zip(found.spec.classes, found.shown_classes, strict=True))
    if as_json:
        print_json({"contest": found.name, "names": dict(pairs)})
    else:
        print_table(["class", "name"], pairs)


@contest_app.command("archive")
def archive_contest(
    contest: ContestArgument,
    undo: Annotated[bool, typer.Option("--undo", help="Bring it back from the archive.")] = False,
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Archive a contest: it moves to the bottom of Home and the end of the list of contests, and stays as it is."""
    workspace = opened(root)
    found = contests.archive_contest(workspace.store, get_contest(workspace.store, contest).id, now=None if undo else time.time())
    done = (
        f"{found.name} is not archived any more"
        if undo
        else f"{found.name} is archived; undo with: python -m core contest archive --undo {shell_name(contest)}"
    )
    print_json(contest_record(workspace, found)) if as_json else say(done)


@contest_app.command("delete")
def delete_contests(
    names: Annotated[list[str], typer.Argument(metavar="CONTEST...", help="Names of contests.", show_default=False)],
    yes: YesOption = False,
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete contests with everything that was made of them. They are kept in the trash for thirty days; your own files stay."""
    workspace = opened(root)
    delete(workspace, {"contest": [get_contest(workspace.store, name).id for name in names]}, yes=yes, as_json=as_json)


@app.command("sample")
def open_sample(
    name: Annotated[str, typer.Argument(metavar="NAME", help="digits (images) or news (texts).", show_default=False)],
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open a built-in sample contest; it is made from installed packages the first time."""
    workspace = opened(root)
    with checking_rows() as progress:
        contest = samples.open_sample(workspace, name, progress=progress)
    if as_json:
        print_json(contest_record(workspace, contest))
    else:
        say(
            f"{contest.name}: {contest.n_train:,} training rows, {contest.n_test:,} test rows, {len(contest.spec.classes)} classes, "
            f"{contest.spec.metric}; next: python -m core folds make {shell_name(contest.name)}"
        )


@folds_app.command("make", short_help="Split the training rows into folds.")
def make_folds(
    contest: ContestArgument,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            metavar="KIND",
            help="stratified, group, stratified_group, kfold or column; else stratified, by groups where the contest has some.",
            show_default=False,
        ),
    ] = None,
    n_folds: Annotated[int, typer.Option("--n", metavar="N", help="How many parts the rows are dealt into, 2 to 20.")] = 5,
    group: Annotated[
        str, typer.Option("--group", metavar="COLUMN", help="Rows with the same value here stay together.", show_default=False)
    ] = "",
    column: Annotated[
        str,
        typer.Option(
            "--column", metavar="COLUMN", help="Take the folds from here; nothing, -1 and train: trained on by all.", show_default=False
        ),
    ] = "",
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Another seed is another split.")] = 0,
    repeats: Annotated[int, typer.Option("--repeats", metavar="N", help="Deal the rows so many times, 1 to 10.")] = 1,
    holdout: Annotated[bool, typer.Option("--holdout", help="Keep the first fold only.")] = False,
    keep_rare: Annotated[
        bool, typer.Option("--keep-rare", help="Train on classes with fewer rows than folds, never validate them.")
    ] = False,
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Split a contest's training rows into folds. Equal settings give the same folds, not new ones."""
    workspace = opened(root)
    found = get_contest(workspace.store, contest)
    usual = "column" if column else "stratified_group" if group else first_spec(found).kind
    values = {"kind": kind or usual, "n_folds": n_folds, "group_column": group, "fold_column": column, "seed": seed}
    values |= {"repeats": repeats, "holdout": holdout, "keep_rare": keep_rare}
    spec = parse_settings(FoldsSpec, values, where="folds make")
    folds = save_folds(workspace, found, spec)
    truth, several = load_truth(workspace, found), found.spec.is_multilabel
    own = own_groups(workspace, found)
    said = remarks(load_folds(workspace, folds), folds.spec, truth.labels, found.shown_classes, own, multilabel=several)
    parts = fold_parts(workspace, found, folds)
    record = folds_record(found, folds) | {"parts": list(parts), "remarks": list(said)}
    if as_json:
        print_json(record)
        return
    print_records([record], FOLDS_COLUMNS, as_json=False)
    for line in (*(f"fold {fold} validates the rows with '{part}' in {column}" for fold, part in enumerate(parts)), *said):
        note(line)
    is_rare = folds.kind != "column" and say_rare(truth.labels, found.shown_classes, n_folds, keep_rare=False, multilabel=several)
    if is_rare and not keep_rare:
        note("to train on rare classes in every fold and validate them in none, add --keep-rare")


@folds_app.command("list", short_help="List a contest's folds, newest first.")
def list_folds(contest: ContestArgument, root: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List a contest's folds, newest first. `train` uses the newest."""
    workspace = opened(root)
    found = get_contest(workspace.store, contest)
    records = [folds_record(found, each) for each in splits.list_folds(workspace.store, found.id)]
    print_records(records, FOLDS_COLUMNS, as_json=as_json, empty=f"no folds yet: python -m core folds make {shell_name(found.name)}")


@folds_app.command("delete")
def delete_folds(
    numbers: Annotated[list[int], typer.Argument(metavar="ID...", help="Numbers of `folds list`.", show_default=False)],
    yes: YesOption = False,
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete folds, with the runs that stand on them. They are kept in the trash for thirty days."""
    workspace = opened(root)
    delete(workspace, {"folds": [splits.get_folds(workspace.store, number).id for number in numbers]}, yes=yes, as_json=as_json)


@contextmanager
def checking_rows() -> Iterator[Callable[[int, int], None]]:
    """A bar for as long as a contest's images are opened and hashed; it goes away when that is done."""
    console = standard_error()
    columns = (TextColumn("checking images"), BarColumn(bar_width=28), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)
