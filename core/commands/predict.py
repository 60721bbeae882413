"""`predict RUN|BLEND`: the test set, given files or one text, predicted by the networks that the folds have kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.base.errors import InputError
from core.commands.console import JsonOption, WorkspaceOption, commands, opened, print_json, print_table, standard_error, standard_output

if TYPE_CHECKING:
    from core.predictions.again import Rows
    from core.store.contests import Contest

N_SHOWN = 20


app = commands()


@app.command("predict")
def predict(
    source: Annotated[str, typer.Argument(metavar="RUN|BLEND", help="A reference such as r12 or b3, or a name.", show_default=False)],
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write it.", show_default=False)] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Write probabilities with ids (.csv, .parquet, .npy), not a submission.")] = False,
    inputs: Annotated[
        list[Path] | None,
        typer.Option(
            "--input", "-i", metavar="FILE|FOLDER", help="Predict these in place of the test set; may be repeated.", show_default=False
        ),
    ] = None,
    text: Annotated[
        str | None, typer.Option("--text", metavar="TEXT", help="Predict one text in place of the test set.", show_default=False)
    ] = None,
    top: Annotated[int, typer.Option("--top", metavar="N", min=1, help="How many classes to print of each row.")] = 3,
    device: Annotated[
        str, typer.Option("--device", metavar="NAME", help="cpu, cuda:0 or mps; else the kind each network was trained on.")
    ] = "",
    contest: Annotated[
        str | None, typer.Option("--contest", metavar="CONTEST", help="Whose, when a name is used twice.", show_default=False)
    ] = None,
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict by the networks that a run's folds have kept, or those of a blend's runs through the blend's steps.

    Without `--input` and `--text` the test set is predicted again, and its submission, checked against the sample, is written to
    `--output`; it is not entered in the ledger. Given files are a table with the contest's columns, or images and folders of them: their
    likeliest classes are printed, and with `--output` the probabilities are written.
    """
    from core.blend.ensemble import n_networks, predict_source
    from core.commands.blends import source_named, write_file
    from core.contest.table import load_table
    from core.exchange.files import write_predictions
    from core.predictions.again import rows_of_test
    from core.submission.write import prepare

    workspace = opened(root)
    chosen = source_named(workspace, source, contest)
    found = chosen.contest
    is_test = not inputs and text is None
    if is_test and output is None:
        raise InputError(
            "no file was named", where="predict", why="the test set's predictions need a place", fix="give --output FILE, --input or --text"
        )
    rows = rows_of_test(load_table(workspace, found)) if is_test else _rows(found, inputs or [], text)
    prob = predict_source(chosen, rows, device=device, after_batch=_progress(len(rows.ids) * n_networks(chosen), quiet=as_json))
    if is_test and not raw and output is not None:
        candidate = prepare(chosen, prob)
        candidate.raise_if_refused(chosen.name)
        write_file(output, candidate.data)
    elif output is not None:
        write_predictions(output, rows.ids, prob, found.spec.classes, None)
    order = (-prob).argsort(axis=1, kind="stable")[:, :top]
    names = found.spec.classes
    likely: list[dict[str, Any]] = [
        {"id": name, "classes": [{"class": names[place], "probability": float(prob[row, place])} for place in order[row]]}
        for row, name in enumerate(rows.ids if not is_test else ())
    ]
    if as_json:
        print_json({"source": chosen.ref, "name": chosen.name, "n_rows": len(prob), "file": str(output or ""), "rows": likely})
        return
    if likely:
        print_table(["id", "classes"], [(str(row["id"]), _words(row["classes"])) for row in likely[:N_SHOWN]])
    more = f", the first {N_SHOWN} are shown" if len(likely) > N_SHOWN else ""
    place = f"{output}: " if output else ""
    standard_output().print(f"{place}{len(prob):,} rows by {chosen.name} ({chosen.ref}){more}", markup=False, highlight=False)


def _rows(contest: Contest, inputs: list[Path], text: str | None) -> Rows:
    """The rows that were given."""
    from core.predictions.again import Rows, read_given

    if text is None:
        return read_given(inputs, contest.spec)
    if contest.spec.modality != "text" or inputs:
        raise InputError(
            "a text cannot be predicted here",
            where="--text",
            why="files were given too" if inputs else "the rows of {contest} are images",
            fix="give --input, or --text alone for a contest of texts",
            contest=contest.name,
        )
    return Rows(["text"], [text])


def _words(classes: list[dict[str, Any]]) -> str:
    return ", ".join(f"{each['class']} {each['probability']:.4f}" for each in classes)


def _progress(n_rows: int, *, quiet: bool) -> Callable[[int], None]:
    """Says on standard error, at every tenth, how many predictions of all networks are made."""
    done = said = 0

    def after_batch(n: int) -> None:
        nonlocal done, said
        done += n
        if not quiet and done * 10 // n_rows > said:
            said = done * 10 // n_rows
            standard_error().print(f"{done:,} of {n_rows:,} predictions", markup=False, highlight=False)

    return after_batch
