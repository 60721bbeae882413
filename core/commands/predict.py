"""`predict`, `export`: what the networks of a run are for: new rows are predicted, and networks leave as files."""

import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from core.base.errors import InputError
from core.base.files import shell_name
from core.base.names import file_name
from core.blend.ensemble import n_networks, predict_source
from core.commands.blends import source_named, write_file
from core.commands.console import (
    ContestOption,
    JsonOption,
    RunArgument,
    SourceArgument,
    WorkspaceOption,
    commands,
    note,
    opened,
    print_json,
    print_records,
    say,
)
from core.commands.records import contest_id_of
from core.commands.views import predict_in_views
from core.contest.csv_table import read_table
from core.contest.table import load_table
from core.exchange.files import write_predictions
from core.exchange.ready import classify_texts
from core.jobs.disk import size_text
from core.predictions.again import Rows, load_predictors, read_given, rows_of_test
from core.predictions.networks import ONNX_FILE, Runtime
from core.predictions.oof import finished_folds
from core.predictions.words import WordEffects, look_at_text
from core.store.contests import Contest, get_contest
from core.store.runs import Run, get_run
from core.submission.write import prepare
from core.workspace import Workspace

app = commands()

N_SHOWN = 20
ExportFormat = Literal["onnx", "transformers"]


@app.command("predict")
def predict(
    source: SourceArgument,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write it.", show_default=False)] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Write probabilities with ids (.csv, .parquet, .npy), not a submission.")] = False,
    inputs: Annotated[
        list[Path] | None,
        typer.Option(
            "--input", "-i", metavar="FILE|FOLDER", help="Predict these in place of the test set; may be repeated.", show_default=False
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            "--text",
            metavar="TEXT|-",
            help="Predict one text in place of the test set, and say which words mattered; - reads it from standard input.",
            show_default=False,
        ),
    ] = None,
    top: Annotated[int, typer.Option("--top", metavar="N", min=1, help="How many classes to print of each row.")] = 3,
    device: Annotated[
        str, typer.Option("--device", metavar="NAME", help="cpu, cuda:0 or mps; else the kind each network was trained on.")
    ] = "",
    tta: Annotated[
        str,
        typer.Option(
            "--tta", metavar="N|VIEWS", help="Of images: the mean over these views, or over at most N chosen on out-of-fold rows."
        ),
    ] = "",
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="With --tta: keep the mean as a run of this name.", show_default=False)
    ] = None,
    batch: Annotated[
        str, typer.Option("--batch", metavar="N|auto|size|trained", help="With --tta: rows at once; auto takes as many as memory holds.")
    ] = "trained",
    runtime: Annotated[
        Runtime, typer.Option("--runtime", metavar="NAME", help="torch, or what `export` made: onnx or int8, by ONNX Runtime.")
    ] = "torch",
    ready: Annotated[
        Path | None,
        typer.Option(
            "--ready", metavar="FOLDER", help="A classifier of transformers; then a table of texts stands for the run.", show_default=False
        ),
    ] = None,
    column: Annotated[str, typer.Option("--column", metavar="COLUMN", help="With --ready: the column of texts.", show_default=False)] = "",
    contest: ContestOption = None,
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict by the networks that a run's folds have kept, or those of a blend's runs through the blend's steps.

    Without `--input` and `--text` the test set is predicted again, and its submission, checked against the sample, is written to
    `--output`; it is not added to the submissions. Given files are a table with the contest's columns, or images and folders of them: their
    likeliest classes are printed, and with `--output` the probabilities are written. Of a text, a run says too which words spoke for its
    likeliest class (+) or against it (-): by how much the probability falls without each, of TF-IDF each word's part in the logit.

    With `--tta` out-of-fold rows are predicted in each view first, and what each does to the score is printed: gain, rows mended and broken,
    time. The mean over the views is written to `--output`, and kept as a run by `--name`. Views that were predicted are kept.

    `predict --ready FOLDER TABLE --column text --output FILE` needs no contest: probabilities of the classifier's own labels are written.
    """
    if ready is not None:
        _predict_ready(ready.resolve(), Path(source), column, output, device=device or "cpu", as_json=as_json)
        return
    workspace = opened(root)
    chosen = source_named(workspace, source, contest)
    found = chosen.contest
    is_test = not inputs and text is None
    if tta and runtime != "torch":
        raise InputError(
            "views are predicted by torch",
            where="--runtime",
            why="most of them are made of its operators",
            fix="leave out --runtime or --tta",
        )
    if tta and is_test:
        predict_in_views(chosen, tta, output=output, raw=raw, name=name, batch=batch, device=device, as_json=as_json)
        return
    if tta or name:
        raise InputError(
            "views are predicted of a contest's own rows",
            where="--tta" if tta else "--name",
            why="a choice of views is made on out-of-fold rows, and kept as a run",
            fix="keep the views as a run (--tta VIEWS --name NAME), and predict other rows with that",
        )
    if is_test and output is None:
        raise InputError(
            "no file was named", where="predict", why="the test set's predictions need a place", fix="give --output FILE, --input or --text"
        )
    rows = rows_of_test(load_table(workspace, found)) if is_test else _rows(found, inputs or [], text)
    words, how = list[dict[str, Any]](), ""
    if text is not None and isinstance(chosen.item, Run):
        networks = [
            load_predictors(workspace, found, chosen.item, result, device=device, runtime=runtime) for result in finished_folds(chosen.item)
        ]
        look = look_at_text(networks, str(rows.inputs[0]))
        prob = look.prob[None]
        words = [{"word": word, "effect": effect} for word, effect in look.words.strongest(str(rows.inputs[0]), N_SHOWN)]
        how = _how_found(look.words)
    else:
        progress = _progress(len(rows.ids) * n_networks(chosen), quiet=as_json)
        prob = predict_source(chosen, rows, device=device, runtime=runtime, after_batch=progress)
    if is_test and not raw and output is not None:
        candidate = prepare(chosen, prob)
        candidate.raise_if_refused(chosen.name)
        write_file(output, candidate.data)
        for check in candidate.checks:
            if check.is_doubtful:
                note(f"warning: {check.detail}")
    elif output is not None:
        write_predictions(output, rows.ids, prob, found.spec.classes, None)
    order = (-prob).argsort(axis=1, kind="stable")[:, :top]
    names = found.spec.classes if as_json else found.shown_classes
    likely: list[dict[str, Any]] = [
        {"id": name, "classes": [{"class": names[place], "probability": float(prob[row, place])} for place in order[row]]}
        for row, name in enumerate(rows.ids if not is_test else ())
    ]
    if as_json:
        said = {"source": chosen.ref, "name": chosen.name, "n_rows": len(prob), "file": str(output or ""), "rows": likely}
        print_json(said | ({"words": words, "words_found": how} if words else {}))
        return
    if likely:
        columns: dict[str, Callable[[Any], str]] = {
            "id": lambda row: str(row["id"]),
            "classes": lambda row: ", ".join(f"{each['class']} {each['probability']:.4f}" for each in row["classes"]),
        }
        print_records(likely[:N_SHOWN], columns, as_json=False)
    if words:
        parts = ", ".join(f"{each['word']} {each['effect']:+.3f}" for each in words)
        say(f"for {likely[0]['classes'][0]['class']}, {how}: {parts}")
    more = f", the first {N_SHOWN} are shown" if len(likely) > N_SHOWN else ""
    place = f"{output}: " if output else ""
    say(f"{place}{len(prob):,} rows by {chosen.name} ({chosen.ref}){more}")


def _how_found(words: WordEffects) -> str:
    """How the effects of words were found."""
    if words.is_exact:
        return "each word's part in the logit, the mean over folds"
    asked = "the ready classifier" if words.fold < 0 else f"the network of fold {words.fold}"
    at_once = "each word" if words.words_at_once == 1 else f"{words.words_at_once} words at a time"
    return f"{asked} without {at_once}"


def _predict_ready(folder: Path, path: Path, column: str, output: Path | None, *, device: str, as_json: bool) -> None:
    """Write what a ready classifier says of a column of texts; rows are numbered from 0."""
    if output is None:
        raise InputError("no file was named", where="predict", why="the predictions need a place", fix="give --output FILE")
    frame = read_table(path).frame
    if column not in frame:
        raise InputError(
            "there is no column '{name}'",
            where=str(path),
            why="its columns are {names}",
            fix="name the column of texts: --column {first}",
            name=column,
            names=", ".join(map(str, frame.columns)),
            first=shell_name(str(frame.columns[-1])),
        )
    labels, several, prob = classify_texts(folder, frame[column].tolist(), device=device)
    write_predictions(output, list(map(str, range(len(prob)))), prob, labels, None)
    if as_json:
        print_json({"file": str(output), "n_rows": len(prob), "labels": list(labels), "several": several})
        return
    kind = "each with a probability of its own" if several else "which sum to one"
    say(f"{output}: {len(prob):,} rows by {folder.name}, {len(labels)} labels, {kind}: {', '.join(labels[:6])}")


def _rows(contest: Contest, inputs: list[Path], text: str | None) -> Rows:
    """The rows that were given."""
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
    return Rows(["text"], [sys.stdin.read() if text == "-" else text])


def _progress(n_rows: int, *, quiet: bool) -> Callable[[int], None]:
    """Says on standard error, at every tenth, how many predictions of all networks are made."""
    done = said = 0

    def after_batch(n: int) -> None:
        nonlocal done, said
        done += n
        if not quiet and done * 10 // n_rows > said:
            said = done * 10 // n_rows
            note(f"{done:,} of {n_rows:,} predictions")

    return after_batch


@app.command("export")
def export(
    run: RunArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="Copy the files here, one for each network.", show_default=False)
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="The version with eight-bit integers, and what it costs on out-of-fold rows.")
    ] = False,
    kind: Annotated[
        ExportFormat,
        typer.Option("--format", metavar="onnx|transformers", help="transformers: a folder for each network of texts, with predict.py."),
    ] = "onnx",
    contest: ContestOption = None,
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Export the networks of a run to ONNX, those that were not exported yet; they are kept with the run.

    A file holds classes, size and normalisation of images, the tokenizer of texts, and all else that is needed to predict with it. It is
    compared with its network on rows of the contest, at several batches and lengths, and refused where a probability differs by more than 1e-4.

    With `--format transformers` each network of texts becomes a folder in `--output`: an encoder that AutoModel loads, its tokenizer, the head beside it,
    and a predict.py that needs nothing of Pitwall. It is refused where a probability differs by more than 1e-5.
    """
    workspace = opened(root)
    chosen = get_run(workspace.store, run, contest_id_of(workspace, contest))
    if kind == "transformers":
        _export_folders(workspace, chosen, output, int8=int8, as_json=as_json)
        return
    from core.predictions.export import export_run

    def after_network(done: int, n: int) -> None:
        if not as_json:
            note(f"{done} of {n} files")

    found = export_run(workspace, get_contest(workspace.store, chosen.contest_id), chosen, int8=int8, after_network=after_network)
    records: list[dict[str, Any]] = []
    for place, each in enumerate(found):
        path = each.folder / ONNX_FILE
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            path = Path(shutil.copy(path, output / file_name(chosen.name, f"fold-{each.fold}", str(place), suffix=".onnx")))
        records.append({"fold": each.fold, "file": str(path), "bytes": each.n_bytes, **each.facts})
    print_records(
        records,
        {
            "fold": lambda record: str(record["fold"]),
            ">size": lambda record: size_text(record["bytes"]),
            "costs" if int8 else ">differs by": _cost_text if int8 else lambda record: f"{max(record['differences']):.1e}",
            ">same class": lambda record: f"{record['argmax_agreement']:.2%}",
            "file": lambda record: record["file"],
        },
        as_json=as_json,
    )


def _export_folders(workspace: Workspace, run: Run, output: Path | None, *, int8: bool, as_json: bool) -> None:
    """Write a folder for plain transformers for each network."""
    if output is None or int8:
        raise InputError(
            "folders for transformers are written in fp32 to a place of yours",
            where="--int8" if int8 else "--output",
            why="eight-bit integers are those of ONNX Runtime" if int8 else "no folder was named",
            fix="leave out --int8" if int8 else "give --output FOLDER",
        )
    from core.predictions.transformers_folder import export_folders

    def after_network(done: int, n: int) -> None:
        if not as_json:
            note(f"{done} of {n} folders")

    contest = get_contest(workspace.store, run.contest_id)
    found = export_folders(workspace, contest, run, output, after_network=after_network)
    columns: dict[str, Callable[[Any], str]] = {
        "fold": lambda record: str(record["fold"]),
        ">differs by": lambda record: f"{record['difference']:.1e}",
        "folder": lambda record: record["folder"],
    }
    records = [{"fold": each.fold, "folder": str(each.folder), "difference": each.difference} for each in found]
    print_records(records, columns, as_json=as_json)


def _cost_text(record: Mapping[str, Any]) -> str:
    """The scores of fp32 and of int8 on the same out-of-fold rows."""
    scores = ", ".join(f"{name} {before:.4f} -> {after:.4f}" for name, (before, after) in record["scores"].items())
    return f"{scores} on {record['n_rows']:,} rows"
