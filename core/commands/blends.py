"""`blend`, `blends`, `submit`, `submission`: blends of runs, which is better, and the files for the contest."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from core.analysis.compare import Duel, Standing, compare_sources, standing_of
from core.base.errors import InputError
from core.base.files import check_output, shell_name, written_aside
from core.base.settings import apply_sets, parse_settings
from core.blend import ensemble
from core.blend.ensemble import open_ensemble
from core.blend.optimum import gap_at
from core.blend.procedure import BlendProcedure
from core.commands.console import (
    ContestArgument,
    ContestOption,
    JsonOption,
    NameArgument,
    SetOption,
    SourceArgument,
    WorkspaceOption,
    YesOption,
    commands,
    note,
    opened,
    print_json,
    print_records,
    print_table,
    say,
)
from core.commands.records import blend_record, contest_id_of, direction, score_text, submission_record, when_text
from core.commands.trash import delete
from core.predictions.oof import shared_folds
from core.predictions.source import Source, find_source
from core.specs.blend import BlendSpec
from core.store import blends
from core.store.blends import Blend, free_blend_name
from core.store.contests import Contest, get_contest
from core.store.runs import Run, get_run
from core.submission.format import read_format
from core.submission.write import check_submission, read_submission, write_submission
from core.workspace import Workspace

BlendArgument = Annotated[str, typer.Argument(metavar="BLEND", help="A reference such as b3, or a name.", show_default=False)]

app = commands()
blends_app = commands("List, compare, rename and delete blends.")
submission_app = commands("List and delete submissions.")
app.add_typer(blends_app, name="blends")
app.add_typer(submission_app, name="submission")


@app.command("blend")
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
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Blend runs with equal folds, score the blend and save it.

    `--set way=optimal` (or greedy, search, by_score, by_class, stacking) finds the weights, `--set mean=logit` averages otherwise,
    `--set temperature=true` and `--set offsets=true` (or thresholds, where a row may have several classes) tune what comes after;
    `python -m core settings` lists them all. What was tuned has a cross-fitted score too: refitted without each fold, on the fold it did
    not see. Beside the weights of `way=optimal` stands how far from the least log loss they can be at most (with `--json` in
    `optimality_gap`). A run that has not finished all folds is refused, or with `--shared-folds` the blend stands on fewer rows: missing
    predictions are never filled.
    """
    workspace = opened(root)
    found = get_contest(workspace.store, contest)
    members = [get_run(workspace.store, run, found.id) for run in runs]
    given = {} if weights is None else {"way": "hand", "weights": _numbers(weights)}
    procedure = apply_sets(parse_settings(BlendProcedure, given, where="--weights"), sets or [])
    blend = ensemble.blend_runs(
        workspace,
        found,
        members,
        procedure,
        name=name or free_blend_name(workspace.store, found.id, "blend"),
        fold_numbers=shared_folds(members) if on_shared_folds else None,
    )
    record, gap = blend_record(workspace, blend), _gap(workspace, found, members, procedure, blend)
    if as_json:
        print_json(record | {"optimality_gap": gap})
        return
    mix = " + ".join(f"{weight:.3f} {run}" for weight, run in zip(record["weights"], record["run"], strict=True))
    say(f"{blend.name} ({blend.ref}) = {mix}")
    print_table(
        ["metric", ">CV mean ± sd", ">OOF", ">equal weights, OOF"],
        [
            (
                f"{record['metric']} {direction(record['metric'])}",
                score_text(record["cv_score"], record["cv_sd"]),
                score_text(record["oof_score"]),
                score_text(record["equal_score"]),
            )
        ],
    )
    if gap is not None:
        say(
            f"proved optimal{' before shrinkage' if blend.spec.shrinkage else ''}: no other weights can have a log loss lower by more than "
            f"{f'{gap:.0e}' if gap else '0'} (optimality gap)"
        )
    if blend.spec.is_restricted:
        networks = ", ".join(f"{run} {len(folds)}" for run, folds in zip(record["run"], blend.spec.networks, strict=True))
        say(
            f"weighed and scored on folds {', '.join(map(str, blend.spec.folds))} only: {record['n_rows']:,} of {found.n_train:,} rows; "
            f"test rows are the mean over the folds each run has ({networks})"
        )
    if record["epoch_optimism"]:
        low, high = record["epoch_optimism"]
        n_chosen, n_runs = len(record["best_epoch_runs"]), len(record["run"])
        say(
            f"{'all scores' if n_chosen == n_runs else f'the scores of {n_chosen} of the {n_runs} runs'} stand on the best epoch of each fold, which "
            f"was chosen on the rows that score it: the CV of these runs is {low:.4f} to {high:.4f} better than with cross-fitted epochs"
        )
    if blend.spec.temperature != 1 or blend.spec.test_temperature is not None:
        say(_carried(blend.spec))
    honest = record["honest"]
    if honest:
        verdict = "clear" if honest["is_clear"] else "not clear: equal weights are the safer choice"
        if blend.spec.stack and honest["is_clear"]:
            verdict = (
                "clear on out-of-fold rows, which single networks predict; on test rows, the mean of several, a regression did not hold where their "
                "truth was known: equal or optimal weights are the safer choice"
            )
        say(
            f"cross-fitted score: CV {score_text(honest['cv_score'], honest['cv_sd'])}, OOF {honest['score']:.4f} (95 % interval {honest['low']:.4f} to {honest['high']:.4f}); "
            f"gain over equal weights {honest['gain']:+.4f} ({honest['gain_low']:+.4f} to {honest['gain_high']:+.4f}), {verdict}"
        )


@blends_app.command("list", short_help="List a contest's blends with their scores.")
def list_blends(contest: ContestArgument, root: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List a contest's blends, newest first, with the score they were saved with."""
    workspace = opened(root)
    found = get_contest(workspace.store, contest)
    records = [blend_record(workspace, blend) for blend in blends.list_blends(workspace.store, found.id)]
    print_records(
        records,
        {
            "ref": lambda record: record["ref"],
            "blend": lambda record: record["blend"],
            ">CV mean ± sd": lambda record: score_text(record["cv_score"], record["cv_sd"]),
            ">OOF": lambda record: score_text(record["oof_score"]),
            ">cross-fitted, OOF": lambda record: score_text(record["honest"]["score"] if record["honest"] else None),
            "runs": lambda record: ", ".join(f"{weight:.3f} {run}" for weight, run in zip(record["weights"], record["run"], strict=True)),
        },
        as_json=as_json,
        title=f"{found.name}: {found.spec.metric} {direction(found.spec.metric)}",
        empty=f"no blend yet: python -m core blend {shell_name(found.name)} RUN...",
    )


@blends_app.command("rename")
def rename_blend(
    blend: BlendArgument, name: NameArgument, contest: ContestOption = None, root: WorkspaceOption = None, as_json: JsonOption = False
) -> None:
    """Give a blend another name."""
    workspace = opened(root)
    renamed = blends.rename_blend(workspace.store, blends.get_blend(workspace.store, blend, contest_id_of(workspace, contest)).id, name)
    print_json(blend_record(workspace, renamed)) if as_json else say(f"{renamed.ref} is {renamed.name}")


@blends_app.command("delete")
def delete_blends(
    refs: Annotated[list[str], typer.Argument(metavar="BLEND...", help="References such as b3, or names.", show_default=False)],
    contest: ContestOption = None,
    yes: YesOption = False,
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete blends, with the submissions that were written from them. Their runs stay. They are kept in the trash for thirty days."""
    workspace = opened(root)
    of = contest_id_of(workspace, contest)
    delete(workspace, {"blend": [blends.get_blend(workspace.store, ref, of).id for ref in refs]}, yes=yes, as_json=as_json)


@blends_app.command("compare", short_help="Compare blends or runs row by row.")
def compare(
    sources: Annotated[
        list[str], typer.Argument(metavar="BLEND|RUN...", help="References such as b3 or r12, or names.", show_default=False)
    ],
    contest: ContestOption = None,
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put blends or runs side by side: scores, weights, and a paired bootstrap of the first against each other one.

    Rows that only one of two has are left out. The score of a blend on rows it was tuned on is optimistic: see its cross-fitted score.
    """
    if len(sources) < 2:
        raise InputError(
            "there is nothing to compare with", where="blends compare", why="one name was given", fix="name two blends or runs, or more"
        )
    workspace = opened(root)
    found = [source_named(workspace, ref, contest) for ref in sources]
    owner = found[0].contest
    for other in found:
        if other.contest.id != owner.id:
            raise InputError(
                f"{other.name} belongs to another contest",
                where=other.ref,
                why=f"{found[0].name} is of {owner.name}",
                fix="compare blends of one contest",
            )
    duels = [compare_sources(found[0], other) for other in found[1:]]
    standings = [standing_of(source) for source in found]
    names = {run_id: get_run(workspace.store, run_id).name for standing in standings for run_id in standing.weights}
    if as_json:
        print_json(
            {
                "contest": owner.name,
                "metric": owner.spec.metric,
                "sources": [_record(standing, names) for standing in standings],
                "comparisons": [
                    {"first": found[0].ref, "second": other.ref, **duel.to_dict()} for other, duel in zip(found[1:], duels, strict=True)
                ],
            }
        )
        return
    print_table(
        ["ref", "name", ">CV mean ± sd", ">OOF", ">cross-fitted, OOF", "folds", "weights"],
        [
            (
                standing.source.ref,
                standing.source.name,
                score_text(standing.cv_score, standing.cv_sd),
                score_text(standing.oof_score),
                score_text(standing.honest.score if standing.honest else None),
                ", ".join(map(str, standing.folds)),
                ", ".join(f"{weight:.3f} {names[run_id]}" for run_id, weight in standing.weights.items()),
            )
            for standing in standings
        ],
        title=f"{owner.name}: {owner.spec.metric} {direction(owner.spec.metric)}",
    )
    for other, duel in zip(found[1:], duels, strict=True):
        say(compared_text(found[0].name, other.name, duel))


@app.command("submit")
def submit(
    source: SourceArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write the CSV.", show_default=False)],
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="Name of this submission; else that of its source.", show_default=False)
    ] = "",
    contest: ContestOption = None,
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the submission of a blend or a run: checked against the sample and added to the submissions, the same bytes every time.

    What the contest would accept and is hardly meant, such as one class for every row, is said on standard error; with `--json` in
    `warnings`.
    """
    if output.is_dir() or not output.absolute().parent.is_dir():
        raise InputError(
            "the file cannot be written",
            where=str(output),
            why="it is a folder, or its folder is not there",
            fix="name a file in a folder that exists",
        )
    workspace = opened(root)
    chosen = source_named(workspace, source, contest)
    submission = write_submission(chosen, name=name)
    data = read_submission(workspace, submission)
    write_file(output, data)
    doubts = [check.detail for check in check_submission(read_format(workspace, chosen.contest), data) if check.is_doubtful]
    if as_json:
        print_json(submission_record(workspace, submission) | {"file": str(output), "warnings": doubts})
        return
    for doubt in doubts:
        note(f"warning: {doubt}")
    lines = [f"{output}: {submission.n_rows:,} rows from {chosen.name} ({chosen.ref}), sha256 {submission.sha256[:12]}"]
    if submission.hidden_scores:
        scores = submission.hidden_scores
        lines.append(f"the sample's hidden truth: public {scores.public:.4f}, private {scores.private:.4f} ({scores.metric})")
    say("\n".join(lines))


@submission_app.command("list")
def list_submissions(contest: ContestArgument, root: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List the submissions of a contest, newest first."""
    workspace = opened(root)
    found = get_contest(workspace.store, contest)
    print_records(
        [submission_record(workspace, each) for each in blends.list_submissions(workspace.store, found.id)],
        {
            "ref": lambda record: record["submission"],
            "name": lambda record: record["name"],
            "source": lambda record: f"{record['lineage']['name']} ({record['source']})",
            "file": lambda record: record["filename"],
            "written": lambda record: when_text(record["created_at"]),
        },
        as_json=as_json,
        empty="no submission yet: python -m core submit BLEND|RUN -o FILE",
    )


@submission_app.command("delete")
def delete_submissions(
    refs: Annotated[list[str], typer.Argument(metavar="SUBMISSION...", help="References such as s4.", show_default=False)],
    yes: YesOption = False,
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete submissions. They are kept in the trash for thirty days."""
    workspace = opened(root)
    delete(workspace, {"submission": [blends.get_submission(workspace.store, ref).id for ref in refs]}, yes=yes, as_json=as_json)


def source_named(workspace: Workspace, ref: str, contest: str | None = None) -> Source:
    """The run or blend of that reference or name, of one contest where it is named."""
    return find_source(workspace, ref, contest_id_of(workspace, contest))


def write_file(path: Path, data: bytes) -> None:
    """Write aside and rename, so that a file that is there is whole."""
    check_output(path)
    try:
        with written_aside(path) as aside:
            aside.write_bytes(data)
    except OSError as problem:
        raise InputError(
            "the file cannot be written", where=str(path), why=str(problem), fix="name a file in a folder you may write to"
        ) from None


def _carried(spec: BlendSpec) -> str:
    """What of the temperature carries over to test rows."""
    on_test = spec.test_steps.temperature
    if on_test == spec.temperature:
        return f"temperature {spec.temperature:.3f}, on test rows too: they are predicted by as many networks as out-of-fold rows"
    found = "none" if on_test == 1 else f"{on_test:.3f}"
    return (
        f"temperature {spec.temperature:.3f} on out-of-fold rows, each predicted by one network; on test rows, the mean of several, {found}: "
        "estimated without their truth, assuming that they are like training rows"
    )


def _gap(workspace: Workspace, contest: Contest, runs: Sequence[Run], procedure: BlendProcedure, blend: Blend) -> float | None:
    """How much lower the log loss of other weights can be at most; None where nothing is proved, as where members were chosen."""
    steps = blend.spec.steps
    if not procedure.is_proved(steps.mean):
        return None
    return gap_at(open_ensemble(workspace, contest, runs, blend.spec.folds or None).scorer(steps.mean), steps.weights)


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


def _record(standing: Standing, names: dict[int, str]) -> dict[str, Any]:
    return {
        "ref": standing.source.ref,
        "name": standing.source.name,
        "oof_score": standing.oof_score,
        "cv_score": standing.cv_score,
        "cv_sd": standing.cv_sd,
        "honest": standing.honest.to_dict() if standing.honest else None,
        "is_tuned": standing.is_tuned,
        "folds": list(standing.folds),
        "n_rows": standing.n_rows,
        "weights": {names[run_id]: weight for run_id, weight in standing.weights.items()},
    }


def compared_text(first: str, second: str, duel: Duel) -> str:
    """What a comparison says, in words."""
    gain = duel.comparison
    said = {
        "first": f"{first} is better than {second}",
        "second": f"{second} is better than {first}",
        "unclear": f"no clear difference between {first} and {second}",
        "same": f"{first} and {second} score the same",
    }[duel.verdict]
    return (
        f"{said}: {gain.score:.4f} against {gain.other:.4f}, gain of {first} {gain.gain:+.4f} "
        f"(95 % interval {gain.gain_low:+.4f} to {gain.gain_high:+.4f}), on {duel.n_rows:,} rows; {_retraining_text(duel)}"
    )


def _retraining_text(duel: Duel) -> str:
    """What a comparison says about the noise of a retraining, in words."""
    noise = duel.retraining
    if noise is None:
        return "noise of a retraining not known: neither has several seeds, or one is a blend"
    where = "so the gain lies within it" if duel.is_within_retraining else "and the gain is larger"
    return f"a retraining may move it by ±{noise.reach:.4f} (95 %, from {noise.n_seeds[0]} and {noise.n_seeds[1]} seeds), {where}"
