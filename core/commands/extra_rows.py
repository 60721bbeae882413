"""`contest rows`: rows that recipes train on beside a contest's own."""

import shlex
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from textwrap import shorten
from typing import Annotated, Any, Literal

import typer

from core.base.files import shell_name
from core.commands.console import (
    ContestArgument,
    JsonOption,
    WorkspaceOption,
    commands,
    opened,
    print_json,
    print_records,
    print_table,
    say,
)
from core.contest import extra_rows
from core.contest.extra_rows import SOURCE
from core.predictions.again import load_fold
from core.predictions.augmented_rows import check_rows
from core.store.contests import get_contest
from core.store.runs import get_run

rows_app = commands("Rows to train on beside the contest's own, that no fold validates.")

ROWS_COLUMNS: dict[str, Callable[[dict[str, Any]], str]] = {
    "name": lambda record: record["name"],
    "kind": lambda record: record["kind"],
    ">rows": lambda record: f"{record['n_rows']:,}",
    ">weight": lambda record: f"{record['weight']:g}",
    "origin": lambda record: record["origin"],
    "fingerprint": lambda record: f"#{record['fingerprint'][:8]}",
}


@rows_app.command("add", short_help="Add rows to train on beside the contest's own.")
def add_extra_rows(
    contest: ContestArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV.", show_default=False)],
    kind: Annotated[
        Literal["augmented", "extra"],
        typer.Option(
            "--kind", help="Made of training rows, whose ids the column `source` has; or from elsewhere, with labels of their own."
        ),
    ],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Else that of the file.", show_default=False)] = "",
    origin: Annotated[str, typer.Option("--origin", metavar="TEXT", help="Where they are from.", show_default=False)] = "",
    weight: Annotated[float, typer.Option("--weight", help="How much a row counts beside one of the contest.")] = 1.0,
    source_column: Annotated[str, typer.Option("--source-column", metavar="COLUMN", help="The ids of the sources.")] = SOURCE,
    label_column: Annotated[
        str,
        typer.Option("--label-column", metavar="COLUMN", help="The classes; else the column of the training table.", show_default=False),
    ] = "",
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add rows that recipes train on by their name, --set train.extra_rows=NAME; no fold validates them.

    An augmented row is trained on where its source is, and has its source's label and columns but for those that the file has.
    """
    workspace = opened(root)
    found = get_contest(workspace.store, contest)
    rows = extra_rows.add_rows(
        workspace,
        found,
        file,
        kind=kind,
        name=name,
        origin=origin,
        weight=weight,
        source_column=source_column,
        label_column=label_column,
    )
    counts = extra_rows.count_labels(workspace, found, rows)
    if as_json:
        print_json(_rows_record(rows) | {"classes": counts})
    else:
        print_table(["class", ">rows", ">with these"], [(label, f"{own:,}", f"{own + more:,}") for label, (own, more) in counts.items()])
        say(
            f"{rows.n_rows:,} rows are kept as {rows.name}; next: python -m core train {shell_name(found.name)} --recipe suggested --set {shlex.quote(f'train.extra_rows={rows.name}')}"
        )


@rows_app.command("list", short_help="List them.")
def list_extra_rows(contest: ContestArgument, root: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List the rows that may be trained on beside a contest's own."""
    workspace = opened(root)
    found = extra_rows.list_rows(workspace, get_contest(workspace.store, contest))
    print_records([_rows_record(rows) for rows in found], ROWS_COLUMNS, as_json=as_json)


@rows_app.command("check", short_help="List augmented rows predicted as another class than their source's.")
def check_extra_rows(
    contest: ContestArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A set of augmented rows.", show_default=False)],
    run_ref: Annotated[str, typer.Option("--run", metavar="RUN", help="A run of the contest, such as r3.", show_default=False)],
    without: Annotated[
        str,
        typer.Option("--leave-out-as", metavar="NAME", help="Keep the others as a set of this name.", show_default=False),
    ] = "",
    device: Annotated[str, typer.Option("--device", metavar="NAME", help="Else the kind each network was trained on.")] = "",
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict augmented rows by the networks of a run that never saw their source, and list those of another class, the surest first.

    The networks of the fold that validates the source predict a row. With --leave-out-as the rows that are not listed become a set of their own.
    """
    workspace = opened(root)
    found = get_contest(workspace.store, contest)
    run, rows = get_run(workspace.store, run_ref), extra_rows.get_rows(workspace, found, name)
    checked = check_rows(workspace, found, run, rows, lambda result: load_fold(workspace, found, run, result, device=device))
    new = extra_rows.leave_out(workspace, found, rows, [each.place for each in checked.mismatches], without) if without else None
    if as_json:
        counts = {"n_rows": checked.n_rows, "n_unknown": checked.n_unknown}
        print_json(
            {"mismatches": [asdict(each) for each in checked.mismatches], **counts, "left_out_as": _rows_record(new) if new else None}
        )
        return
    shown = found.shown_classes
    print_table(
        ["source", "text of the source", "text", "class", "predicted", ">probability"],
        [
            (each.source, _line(each.source_text), _line(each.text), shown[each.label], shown[each.predicted], f"{each.probability:.2f}")
            for each in checked.mismatches
        ],
    )
    say(f"{len(checked.mismatches):,} of {checked.n_rows:,} rows are predicted as another class than their source's by {run.ref}")
    if checked.n_unknown:
        say(f"{checked.n_unknown:,} were not predicted: no finished fold of {run.ref} validates their source")
    if new is not None:
        say(f"the other {new.n_rows:,} rows are kept as {new.name}")
    elif checked.mismatches:
        say(
            f"leave them out: python -m core contest rows check {shell_name(found.name)} {shlex.quote(name)} --run {run.ref} --leave-out-as {shlex.quote(f'{name}-checked')}"
        )


def _rows_record(rows: extra_rows.ExtraRows) -> dict[str, Any]:
    return {name: getattr(rows, name) for name in ("name", "kind", "origin", "weight", "n_rows", "fingerprint")}


def _line(text: str) -> str:
    return shorten(text, 40, placeholder="…")
