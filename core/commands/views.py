"""`predict --tta` and `probe`: which views of an image help, their mean as a submission and as a run, and what disturbed images cost."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from core.analysis.probe import N_ROWS, Probe, probe_run, said_of
from core.analysis.views import ViewChoice, compare_views
from core.base.errors import InputError
from core.base.names import check_name
from core.commands.blends import write_file
from core.commands.console import (
    ContestOption,
    JsonOption,
    RunArgument,
    WorkspaceOption,
    commands,
    note,
    opened,
    print_json,
    print_table,
    say,
)
from core.commands.records import contest_id_of, direction
from core.contest.table import load_table
from core.exchange.files import write_predictions
from core.exchange.views import publish_views
from core.predictions.again import rows_of_test
from core.predictions.source import Source
from core.predictions.views import (
    VIEW_NAMES,
    Batch,
    Piece,
    check_images,
    pieces_of,
    predict_pieces,
    read_views,
    test_prob_in_views,
)
from core.specs.data_settings import ViewName
from core.store.contests import get_contest
from core.store.runs import Run, get_run
from core.submission.write import prepare
from core.workspace import Workspace

app = commands()


def predict_in_views(
    source: Source, tta: str, *, output: Path | None, raw: bool, name: str | None, batch: str, device: str, as_json: bool
) -> None:
    """Predict a run's out-of-fold rows in views, say what each does to its score, and give the mean of the test rows over those that are named, or
    that are chosen.

    `tta` names views with commas between them, or is the most views to choose of all there are. The mean is written to `output` and becomes a
    run of the given `name`.
    """
    workspace, contest, run = source.workspace, source.contest, source.item
    if not isinstance(run, Run):
        raise InputError(
            "a blend has no views of its own",
            where=source.ref,
            why="each of its runs has its own networks, and other views may help each",
            fix="make a run of the views of a member, and blend that: python -m core predict {run} --tta {tta} --name NAME",
            run=source.members()[0].run.ref,
            tta=tta,
        )
    check_images(contest, run)
    most = int(tta) if tta.isdecimal() else 0
    if tta.isdecimal() and not 1 <= most <= len(VIEW_NAMES):
        raise InputError(
            "there are not so many views", where="--tta", why=f"there are {len(VIEW_NAMES)}", fix=f"give 1 to {len(VIEW_NAMES)}, or names"
        )
    name = check_name(name) if name else None
    tried = VIEW_NAMES if most else read_views([part.strip() for part in tta.split(",")])
    size, say_progress = read_batch(batch), _progress(quiet=as_json)
    _predict(source, run, pieces_of(workspace, contest, run, read_views(["plain", *tried]), "oof"), device, size, say_progress)
    choice = compare_views(workspace, contest, run, most=most)
    chosen = choice.chosen if most else tried
    if contest.n_test and (output or name):
        _predict(source, run, pieces_of(workspace, contest, run, chosen, "test"), device, size, say_progress)
    made = _add_run(workspace, source, run, chosen, name) if name else None
    if output is not None:
        _write(source, run, chosen, output, raw=raw)
    if as_json:
        named = {"run": made and made.ref, "name": made and made.name}
        print_json({"source": run.ref, **named, "file": str(output or ""), "chosen": list(chosen), **choice_record(choice)})
        return
    _print_choice(choice, contest.spec.metric)
    for effect in choice.effects:
        if effect.view in chosen and effect.verdict == "harms":
            note(f"warning: {effect.view} makes {effect.n_broken:,} rows wrong and {effect.n_mended:,} right; leave it out")
    say(f"views: {', '.join(chosen)}" + (f"  ->  {output}" if output else "") + (f"  ->  {made.name} ({made.ref})" if made else ""))


def read_batch(batch: str) -> Batch:
    """How many rows are predicted at once, as `--batch` says it. Raises InputError."""
    if batch in ("trained", "size", "auto"):
        return batch
    if not batch.isdecimal() or not int(batch):
        raise InputError("there is no such batch", where="--batch", why=batch, fix="give a number from 1, trained, size or auto")
    return int(batch)


def choice_record(choice: ViewChoice) -> dict[str, Any]:
    """Plain values of what was compared."""
    views = [{**asdict(effect), "verdict": effect.verdict} for effect in choice.effects]
    proposed, honest = list(choice.chosen), choice.honest and asdict(choice.honest)
    return {"proposed": proposed, "honest": honest, "plain_score": choice.plain_score, "n_rows": choice.n_rows, "views": views}


def _predict(
    source: Source, run: Run, pieces: list[Piece], device: str, batch: Batch, say_progress: Callable[[Piece, int, int], None]
) -> None:
    total = sum(piece.n_rows for piece in pieces if not piece.is_kept)
    predict_pieces(
        source.workspace,
        source.contest,
        run,
        pieces,
        device=device,
        batch=batch,
        after_batch=lambda piece, n: say_progress(piece, n, total),
    )


def _progress(*, quiet: bool) -> Callable[[Piece, int, int], None]:
    """Says on standard error when a fold begins with another view."""
    said: list[Piece] = []

    def after_batch(piece: Piece, _n: int, _total: int) -> None:
        if not quiet and said[-1:] != [piece]:
            said.append(piece)
            note(f"fold {piece.result.fold}, {'test' if piece.rows is None else 'out-of-fold'} rows: {piece.view}")

    return after_batch


def _add_run(workspace: Workspace, source: Source, run: Run, views: tuple[ViewName, ...], name: str) -> Run:
    add = publish_views(workspace, source.contest, run, views, name=name)
    with workspace.store.transaction() as connection:
        run_id = add(connection)
    return get_run(workspace.store, run_id)


def _write(source: Source, run: Run, views: tuple[ViewName, ...], output: Path, *, raw: bool) -> None:
    prob = test_prob_in_views(source.workspace, source.contest, run, views)
    if raw:
        ids = rows_of_test(load_table(source.workspace, source.contest)).ids
        write_predictions(output, ids, prob, source.contest.spec.classes, None)
        return
    candidate = prepare(source, prob)
    candidate.raise_if_refused(source.name)
    write_file(output, candidate.data)


def _print_choice(choice: ViewChoice, metric: str) -> None:
    say(
        f"{metric} {direction(metric)} of {choice.n_rows:,} out-of-fold rows; plain {choice.plain_score:.4f}, {choice.plain_cost_s:.2f} s per 1,000 rows"
    )
    columns = ("view", ">alone", ">gain with plain", ">95 % interval", ">mended", ">broken", ">s per 1,000 rows", "")
    rows = [
        (
            effect.view,
            f"{effect.score:.4f}",
            f"{effect.gain.gain:+.4f}",
            f"{effect.gain.gain_low:+.4f} to {effect.gain.gain_high:+.4f}",
            f"{effect.n_mended:,}",
            f"{effect.n_broken:,}",
            f"{effect.cost_s:.2f}",
            effect.verdict,
        )
        for effect in choice.effects
    ]
    print_table(columns, rows)
    if choice.honest is None:
        say("one fold: what a choice is worth on rows that it has not seen cannot be said")
    else:
        gain = choice.honest
        say(
            f"proposed: {', '.join(choice.chosen)}; chosen without each fold and scored there: {gain.gain:+.4f} ({gain.gain_low:+.4f} to {gain.gain_high:+.4f})"
        )


@app.command("probe")
def probe(
    run: RunArgument,
    n_rows: Annotated[int, typer.Option("--rows", metavar="N", min=20, help="Out-of-fold rows to take, drawn at random.")] = N_ROWS,
    batch: Annotated[str, typer.Option("--batch", metavar="N|auto|size|trained", help="Rows at once, as of `predict --tta`.")] = "trained",
    device: Annotated[str, typer.Option("--device", metavar="NAME", help="cpu, cuda:0 or mps; else the kind it was trained on.")] = "",
    contest: ContestOption = None,
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score a run's out-of-fold rows under blur, noise, crops, shifts and other light, to tell a brittle score before a submission is spent.

    Each row is predicted by networks that never saw it. What is predicted is kept: a probe that was stopped goes on where it was.
    """
    workspace = opened(root)
    chosen = get_run(workspace.store, run, contest_id_of(workspace, contest))
    found = get_contest(workspace.store, chosen.contest_id)
    say_progress = _progress(quiet=as_json)
    result = probe_run(workspace, found, chosen, n_rows=n_rows, device=device, batch=read_batch(batch), after_batch=say_progress)
    if as_json:
        print_json({"run": chosen.ref, "brittle": result.is_brittle, "worst": asdict(result.worst), **result.to_dict()})
        return
    _print_probe(chosen, result)


def _print_probe(run: Run, probe: Probe) -> None:
    of = f"{probe.n_rows:,} of {probe.n_validated:,}" if probe.n_rows < probe.n_validated else f"all {probe.n_rows:,}"
    say(f"{run.name} ({run.ref}): {probe.metric} {direction(probe.metric)} of {of} out-of-fold rows, undisturbed {probe.plain:.4f}")
    rows = [
        (
            each.kind,
            f"{each.strength:g} {each.unit}",
            f"{each.score:.4f}",
            f"{each.loss:+.4f}",
            f"{each.loss_low:+.4f} to {each.loss_high:+.4f}",
        )
        for each in probe.scores
    ]
    print_table(("disturbed by", ">strength", ">score", ">lost", ">95 % interval"), rows)
    say(said_of(probe))
