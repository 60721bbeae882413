"""`runs`, `show`, `blend`, `submit`: what was learned, what is mixed from it, and the file that goes to the contest."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.base.errors import InputError
from core.commands.console import ContestArgument, JsonOption, SetOption, WorkspaceOption, opened, print_json, print_table, standard_output

if TYPE_CHECKING:
    from core.blend.procedure import BlendProcedure
    from core.predictions.source import Source
    from core.store.blends import Blend
    from core.store.contests import Contest
    from core.store.runs import Run
    from core.workspace import Workspace


def register(app: typer.Typer) -> None:
    app.command("runs", short_help="List a contest's runs with score and state.")(list_runs)
    app.command("show", short_help="Show one run: recipe, folds, failures.")(show_run)
    app.command("blend", short_help="Mix runs, score the mix and save it.")(blend_runs)
    app.command("submit", short_help="Write a submission file.")(submit)


def list_runs(contest: ContestArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List a contest's runs, newest first, with their CV score and state."""
    from core.commands.records import direction, duration_text, run_record, score_text
    from core.store.contests import get_contest
    from core.store.runs import list_runs as all_runs

    house = opened(workspace)
    found = get_contest(house.store, contest)
    records = [run_record(house, run) for run in all_runs(house.store, found.id)]
    if as_json:
        print_json(records)
        return
    print_table(
        ["ref", "run", "backbone", ">folds done", ">CV mean ± sd", ">trained", "state"],
        [
            (
                record["ref"],
                record["run"],
                record["backbone"] or "imported",
                f"{sum(score is not None for score in record['fold_scores'])} of {record['n_folds']}",
                score_text(record["cv_score"], record["cv_sd"]),
                duration_text(record["elapsed_s"]),
                _state_text(record),
            )
            for record in records
        ],
        title=f"{found.name}: {found.spec.metric} {direction(found.spec.metric)}",
        empty=f"no run yet: python -m core train {found.name} --recipe NAME",
    )


def _state_text(record: Mapping[str, Any]) -> str:
    """A run's state; until it ends, how much of it is done, and where its folds that were handed back will go on."""
    if record["state"] not in ("queued", "running"):
        return record["state"]
    places = [f"fold {fold} goes on at {_place_text(place)}" for fold, place in record["goes_on"].items()]
    return ", ".join([f"{record['state']} {record['share_done']:.0%}", *places])


def _place_text(place: Mapping[str, Any]) -> str:
    if place["phase"] != "training":
        return "its predictions"
    step = f", step {place['step']} of {place['n_steps']}" if place["n_steps"] else ""
    return f"epoch {place['epoch']} of {place['n_epochs']}{step}"


def _job_text(state: str, place: Mapping[str, Any] | None) -> str:
    return state if place is None else f"{state}, goes on at {_place_text(place)}"


def show_run(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A reference such as r12, or a name.", show_default=False)],
    contest: Annotated[
        str | None, typer.Option("--contest", metavar="CONTEST", help="Whose run, when a name is used twice.", show_default=False)
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one run: its recipe, the state and score of each fold, and why a fold failed."""
    from core.commands.records import direction, duration_text, run_details, score_text
    from core.store.runs import get_run

    house = opened(workspace)
    record = run_details(house, get_run(house.store, run, _contest_id(house, contest)))
    if as_json:
        print_json(record)
        return
    score = f"{record['metric']} {direction(record['metric'])} {score_text(record['cv_score'], record['cv_sd'])}"
    standard_output().print(
        f"{record['run']} ({record['ref']}) of {record['contest']}: {record['state']}, {score}", markup=False, highlight=False
    )
    print_table(
        [">fold", "state", f">{record['metric']}", ">best epoch", ">trained", "problem"],
        [
            (
                str(job["fold"]),
                _job_text(job["state"], record["goes_on"].get(str(job["fold"]))),
                score_text(job["scores"][record["metric"]] if job["scores"] else None),
                str(job["best_epoch"] or "-"),
                duration_text(job["elapsed_s"]),
                f"{job['error']['type']}: {job['error']['what']}; log {job['log']}" if job["error"] and job["state"] == "failed" else "",
            )
            for job in record["jobs"]
        ],
    )
    print_table(["setting", "value"], [(path, str(value)) for path, value in _leaves(record["recipe"] or {"imported": record["imported"]})])


def blend_runs(
    contest: ContestArgument,
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="References such as r1 r2, or names.", show_default=False)],
    weights: Annotated[
        str | None, typer.Option("--weights", metavar="A,B", help="One weight per run; equal when left out.", show_default=False)
    ] = None,
    sets: SetOption = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Name of the blend.", show_default=False)] = None,
    on_shared_folds: Annotated[
        bool, typer.Option("--shared-folds", help="Take runs that miss folds, and blend on the folds that all have finished.")
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Blend runs with equal folds, score the blend and save it.

    `--set way=optimal` (or greedy, search, by_score, by_class, stacking) finds the weights, `--set mean=logit` averages otherwise,
    `--set temperature=true` and `--set offsets=true` (or thresholds, where a row may have several classes) tune what comes after; `python -m core settings` lists them all. What was
    tuned is scored honestly too: refitted without each fold, on the fold it did not see. Beside the weights of `way=optimal` stands
    how far from the least log loss they can be at most (with `--json` in `optimality_gap`). A run that has not finished all folds is
    refused, or with `--shared-folds` the blend stands on fewer rows: missing predictions are never filled.
    """
    from core.base.settings import apply_sets, parse_settings
    from core.blend.ensemble import blend_runs as blend_them
    from core.blend.procedure import BlendProcedure
    from core.commands.records import blend_record, direction, score_text
    from core.predictions.oof import shared_folds
    from core.store.blends import free_blend_name
    from core.store.contests import get_contest
    from core.store.runs import get_run

    house = opened(workspace)
    found = get_contest(house.store, contest)
    members = [get_run(house.store, run, found.id) for run in runs]
    given = {} if weights is None else {"way": "hand", "weights": _numbers(weights)}
    procedure = apply_sets(parse_settings(BlendProcedure, given, where="--weights"), sets or [])
    blend = blend_them(
        house,
        found,
        members,
        procedure,
        name=name or free_blend_name(house.store, found.id, "blend"),
        fold_numbers=shared_folds(members) if on_shared_folds else None,
    )
    record, gap = blend_record(house, blend), _gap(house, found, members, procedure, blend)
    if as_json:
        print_json(record | {"optimality_gap": gap})
        return
    mix = " + ".join(f"{weight:.3f} {run}" for weight, run in zip(record["weights"], record["run"], strict=True))
    standard_output().print(f"{blend.name} ({blend.ref}) = {mix}", markup=False, highlight=False)
    print_table(
        ["metric", ">out of fold", ">CV mean ± sd", ">equal weights, out of fold"],
        [
            (
                f"{record['metric']} {direction(record['metric'])}",
                score_text(record["oof_score"]),
                score_text(record["cv_score"], record["cv_sd"]),
                score_text(record["equal_score"]),
            )
        ],
    )
    if gap is not None:
        standard_output().print(
            f"proved optimal{' before shrinkage' if blend.spec.shrinkage else ''}: no other weights can have a log loss lower by more than "
            f"{f'{gap:.0e}' if gap else '0'} (optimality gap)",
            markup=False,
            highlight=False,
        )
    if blend.spec.is_restricted:
        networks = ", ".join(f"{run} {len(folds)}" for run, folds in zip(record["run"], blend.spec.networks, strict=True))
        standard_output().print(
            f"weighed and scored on folds {', '.join(map(str, blend.spec.folds))} only: {record['n_rows']:,} of {found.n_train:,} rows; "
            f"test rows are the mean over the folds each run has ({networks})",
            markup=False,
            highlight=False,
        )
    honest = record["honest"]
    if honest:
        verdict = "clear" if honest["is_clear"] else "not clear: equal weights are the safer choice"
        standard_output().print(
            f"honest score {honest['score']:.4f} (95 % interval {honest['low']:.4f} to {honest['high']:.4f}); "
            f"gain over equal weights {honest['gain']:+.4f} ({honest['gain_low']:+.4f} to {honest['gain_high']:+.4f}), {verdict}",
            markup=False,
            highlight=False,
        )


def _gap(workspace: Workspace, contest: Contest, runs: Sequence[Run], procedure: BlendProcedure, blend: Blend) -> float | None:
    """How much lower the log loss of other weights can be at most; None where nothing is proved, as where members were chosen."""
    from core.blend.ensemble import open_ensemble
    from core.blend.optimum import gap_at

    steps = blend.spec.steps
    if not procedure.is_proved(steps.mean):
        return None
    return gap_at(open_ensemble(workspace, contest, runs, blend.spec.folds or None).scorer(steps.mean), steps.weights)


def submit(
    source: Annotated[str, typer.Argument(metavar="BLEND|RUN", help="A reference such as b3 or r12, or a name.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write the CSV.", show_default=False)],
    contest: Annotated[
        str | None, typer.Option("--contest", metavar="CONTEST", help="Whose, when a name is used twice.", show_default=False)
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the submission of a blend or a run: checked against the sample, entered in the ledger, the same bytes every time."""
    from core.commands.records import submission_record
    from core.submission.write import read_submission, write_submission

    if output.is_dir() or not output.absolute().parent.is_dir():
        raise InputError(
            "the file cannot be written",
            where=str(output),
            why="it is a folder, or its folder is not there",
            fix="name a file in a folder that exists",
        )
    house = opened(workspace)
    chosen = source_named(house, source, contest)
    submission = write_submission(chosen)
    write_file(output, read_submission(house, submission))
    if as_json:
        print_json(submission_record(house, submission) | {"file": str(output)})
        return
    lines = [f"{output}: {submission.n_rows:,} rows from {chosen.name} ({chosen.ref}), sha256 {submission.sha256[:12]}"]
    if submission.hidden_scores:
        scores = submission.hidden_scores
        lines.append(f"the sample's hidden truth: public {scores.public:.4f}, private {scores.private:.4f} ({scores.metric})")
    standard_output().print("\n".join(lines), markup=False, highlight=False)


def source_named(workspace: Workspace, ref: str, contest: str | None = None) -> Source:
    """The run or blend of that reference or name, of one contest where it is named."""
    from core.predictions.source import find_source

    return find_source(workspace, ref, _contest_id(workspace, contest))


def _contest_id(workspace: Workspace, name: str | None) -> int | None:
    from core.store.contests import get_contest

    return None if name is None else get_contest(workspace.store, name).id


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(
            "the weights cannot be read",
            where=f"--weights {text}",
            why="expected numbers with commas between them",
            fix="for example --weights 0.6,0.4",
        ) from None


def _leaves(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []
    for key, value in values.items():
        leaves += _leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return leaves


def write_file(path: Path, data: bytes) -> None:
    """Write aside and rename, so that a file that is there is whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as problem:
        temporary.unlink(missing_ok=True)
        raise InputError(
            "the file cannot be written", where=str(path), why=str(problem), fix="name a file in a folder you may write to"
        ) from None
