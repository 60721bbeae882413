"""`predictions import|classify|export`: predictions made elsewhere become a run, and any run's leave."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from core.base.errors import InputError
from core.commands.blends import source_named
from core.commands.console import (
    ContestArgument,
    ContestOption,
    JsonOption,
    SourceArgument,
    WorkspaceOption,
    commands,
    note,
    opened,
    print_json,
    say,
)
from core.commands.records import choose_folds, direction, run_record, score_text
from core.contest.encoding import decode
from core.exchange.doubts import doubts_of
from core.exchange.exchange import export_predictions, import_predictions
from core.exchange.ready import add_ready_classifier, match_labels, read_labels
from core.store.contests import Contest, get_contest
from core.store.runs import Run
from core.workspace import Workspace

app = commands()
predictions_app = commands("Import predictions made elsewhere as a run; export a run's.")
app.add_typer(predictions_app, name="predictions")


@predictions_app.command("import", short_help="Make a run of predictions that were made elsewhere.")
def import_run(
    contest: ContestArgument,
    oof: Annotated[Path, typer.Argument(metavar="OOF", help="Out-of-fold predictions: .csv, .parquet or .npy.", show_default=False)],
    test: Annotated[
        Path | None, typer.Argument(metavar="TEST", help="Test predictions, in any of these forms.", show_default=False)
    ] = None,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Name of the run; else that of the file.", show_default=False)] = "",
    folds: Annotated[int | None, typer.Option("--folds", metavar="ID", help="The folds they were made on; else the newest.")] = None,
    classes: Annotated[
        Path | None,
        typer.Option("--classes", metavar="FILE", help="The order of a .npy array's columns, one class per line.", show_default=False),
    ] = None,
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a run of predictions that were made elsewhere on the same folds.

    A table has the id first and one column per class by name; a column `fold` is checked against the folds. A .npy array has
    the rows in the contest's order, and the classes too unless `--classes` says otherwise. What could not be checked, and what
    speaks for rows in another order, is said on standard error; with `--json` in `warnings`.
    """
    workspace = opened(root)
    found = get_contest(workspace.store, contest)
    order = () if classes is None else _names_in(classes, found.spec.encoding)
    run = import_predictions(workspace, found, choose_folds(workspace, found, folds), oof=oof, test=test, name=name, classes=order)
    _print_run(workspace, run, found, as_json=as_json)


@predictions_app.command("classify", short_help="Make a run of a ready classifier, without training.")
def classify(
    contest: ContestArgument,
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A classifier of transformers or timm with its own labels.", show_default=False)
    ],
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels", metavar="FILE", help="The labels that stand for each class, where their names differ.", show_default=False
        ),
    ] = None,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Name of the run; else that of the folder.", show_default=False)] = "",
    folds: Annotated[int | None, typer.Option("--folds", metavar="ID", help="The folds to stand on; else the newest.")] = None,
    max_tokens: Annotated[int, typer.Option("--max-tokens", metavar="N", min=8, help="Longer texts are cut here.")] = 256,
    device: Annotated[str, typer.Option("--device", metavar="NAME", help="Where it predicts: cpu, cuda:0 or mps.")] = "cpu",
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a run of a classifier that has its own head and labels: it predicts the contest's rows as it is, and can be blended.

    A file of labels holds `class: label` or `class: [label, label]` for every class. That the classifier has not seen these rows
    nobody can check, which is said on standard error; with `--json` in `warnings`.
    """
    workspace = opened(root)
    found = get_contest(workspace.store, contest)
    given = None if labels is None else read_labels(labels)
    run = add_ready_classifier(
        workspace,
        found,
        choose_folds(workspace, found, folds),
        folder.resolve(),
        labels=given,
        name=name,
        max_tokens=max_tokens,
        device=device,
    )
    _say_unmatched(folder.resolve(), found, given)
    _print_run(workspace, run, found, as_json=as_json)


def _say_unmatched(folder: Path, contest: Contest, given: Mapping[str, Sequence[str]] | None) -> None:
    """The labels of a ready classifier that stand for no class, on standard error."""
    from models.ready import ready_labels

    own = ready_labels(folder)
    used = {place for group in match_labels(own, contest.spec.classes, given or {}) for place in group}
    if unused := [label for place, label in enumerate(own) if place not in used]:
        note(f"labels that stand for no class and are left out: {', '.join(unused)}")


@predictions_app.command("export", short_help="Write a run's or a blend's predictions to files.")
def export_run(
    source: SourceArgument,
    oof: Annotated[Path | None, typer.Option("--oof", metavar="FILE", help="Where out-of-fold predictions go.", show_default=False)] = None,
    test: Annotated[Path | None, typer.Option("--test", metavar="FILE", help="Where test predictions go.", show_default=False)] = None,
    contest: ContestOption = None,
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write predictions of a finished run or a blend as .csv, .parquet or .npy, by the file's ending; `predictions import` reads them."""
    if oof is None and test is None:
        raise InputError(
            "no file was named", where="predictions export", why="there is nothing to write", fix="give --oof FILE or --test FILE"
        )
    workspace = opened(root)
    found = source_named(workspace, source, contest)
    export_predictions(found, oof=oof, test=test)
    written = {kind: str(path) for kind, path in (("oof", oof), ("test", test)) if path is not None}
    if as_json:
        print_json({"source": found.ref, "name": found.name, **written})
        return
    say(f"{found.name} ({found.ref}): {', '.join(written.values())}")


def _print_run(workspace: Workspace, run: Run, contest: Contest, *, as_json: bool) -> None:
    """The run that was made, and what is doubtful of it."""
    record = run_record(workspace, run)
    suspect, unchecked = doubts_of(run)
    if as_json:
        print_json(record | {"warnings": [*suspect, *unchecked]})
        return
    for doubt in (*suspect, *unchecked):
        note(f"warning: {doubt}")
    score = f"{record['metric']} {direction(record['metric'])} {score_text(record['cv_score'], record['cv_sd'])}"
    say(f"{run.name} ({run.ref}) of {contest.name}, on folds {run.folds_id}: {score}")


def _names_in(path: Path, encoding: str) -> list[str]:
    """The lines of a text file that are not empty."""
    try:
        raw = path.read_bytes()
    except OSError as problem:
        raise InputError(
            f"cannot read {path.name}", where=str(path), why=str(problem), fix="give a text file, one class per line"
        ) from None
    return [line.strip() for line in decode(raw, path, encoding or None)[0].splitlines() if line.strip()]
