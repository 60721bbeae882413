"""`strengths`: how strong each class is in groups of rows, by any column, of a run's or a blend's predictions."""

from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from core.analysis.strengths import GROUP, N_ROWS, N_TAKEN, STRONGEST, group_values, mean_strengths
from core.base.errors import InputError
from core.blend.ensemble import predict_source
from core.commands.blends import source_named, write_file
from core.commands.console import (
    ContestOption,
    JsonOption,
    SourceArgument,
    WorkspaceOption,
    commands,
    note,
    opened,
    print_json,
    print_table,
)
from core.contest.table import load_table
from core.predictions.again import read_given

app = commands()

N_SHOWN = 3


@app.command("strengths")
def strengths(
    source: SourceArgument,
    by: Annotated[str, typer.Option("--by", metavar="COLUMN", help="Rows with the same value here are one group.", show_default=False)],
    inputs: Annotated[
        list[Path] | None,
        typer.Option("--input", "-i", metavar="FILE", help="Predict this table in place of the test rows.", show_default=False),
    ] = None,
    oof: Annotated[bool, typer.Option("--oof", help="Of the training rows' out-of-fold predictions in place of the test rows.")] = False,
    at_least: Annotated[int, typer.Option("--at-least", metavar="N", min=1, help="Leave smaller groups out.")] = 1,
    at_most: Annotated[int, typer.Option("--at-most", metavar="N", min=0, help="Of a larger group the first N rows; 0: all.")] = 0,
    apart: Annotated[
        str, typer.Option("--apart", metavar="CLASS", help="Keep a class apart, such as 없음: never the strongest.", show_default=False)
    ] = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write all of it as CSV.", show_default=False)
    ] = None,
    contest: ContestOption = None,
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Average each class's probabilities over the rows of a group, such as the emotions in all reviews of one film.

    Rows are the test's, the training rows' out-of-fold predictions (--oof), or those of any table with the contest's columns (--input).
    """
    workspace = opened(root)
    chosen = source_named(workspace, source, contest)
    classes, codes = chosen.contest.shown_classes, chosen.contest.spec.classes
    apart = dict(zip(codes, classes, strict=True)).get(apart, apart)
    if inputs and oof:
        raise InputError(
            "rows of a table and out-of-fold rows were asked for",
            where="--oof",
            why="they are other rows",
            fix="leave out --oof or --input",
        )
    if apart and apart not in classes:
        raise InputError(
            "there is no class '{name}'",
            where="--apart",
            why="the classes are {names}",
            fix="name one of them",
            name=apart,
            names=", ".join(classes),
        )
    if inputs:
        given = read_given(inputs, chosen.contest.spec)
        frame = pd.DataFrame() if given.table is None else given.table
        prob = predict_source(chosen, given)
    else:
        table = load_table(workspace, chosen.contest)
        frame, prob = (table.train, chosen.oof()) if oof else (table.test, chosen.test())
    found = mean_strengths(prob, group_values(frame, by), classes, at_least=at_least, at_most=at_most)
    everything = found.to_table(apart)
    if output is not None:
        write_file(output, everything.to_csv(index=False).encode("utf-8-sig"))
    if found.n_small:
        note(f"{found.n_small:,} groups have fewer than {at_least:,} rows and are left out")
    if n_cut := int((found.n_taken < found.n_rows).sum()):
        note(f"{n_cut:,} groups have more than {at_most:,} rows: the first {at_most:,} in the order of the table are taken")
    records: list[dict[str, Any]] = [
        {"group": group, "rows": int(n), "rows_taken": int(taken), "strengths": dict(zip(classes, map(float, means), strict=True))}
        for group, n, taken, means in zip(found.groups, found.n_rows, found.n_taken, found.means, strict=True)
    ]
    if as_json:
        print_json(records)
        return
    shown = [
        (str(row[GROUP]), f"{row[N_TAKEN]:,} of {row[N_ROWS]:,}", str(row[STRONGEST]), _strongest(record["strengths"], apart))
        for (_, row), record in zip(everything.iterrows(), records, strict=True)
    ]
    print_table([by, ">rows", "strongest", "strengths"], shown)


def _strongest(means: dict[str, float], apart: str) -> str:
    """The strongest classes, and the one that is kept apart."""
    ranked = sorted((name for name in means if name != apart), key=lambda name: -means[name])[:N_SHOWN]
    return ", ".join(f"{name} {means[name]:.3f}" for name in [*ranked, *([apart] if apart else [])])
