"""`blends list|compare`: the blends that were kept, beside each other, and whether one is better than another by more than luck."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.base.errors import InputError
from core.commands.console import (
    ContestArgument,
    JsonOption,
    WorkspaceOption,
    help_without_command,
    opened,
    print_json,
    print_table,
    standard_output,
)

if TYPE_CHECKING:
    from core.analysis.compare import Duel, Standing

blends_app = typer.Typer(help="The blends that were kept, and which is better.", callback=help_without_command, invoke_without_command=True)


def register(app: typer.Typer) -> None:
    app.add_typer(blends_app, name="blends")


@blends_app.command("list", short_help="List a contest's blends with their scores.")
def list_blends(contest: ContestArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List a contest's blends, newest first, with the score they were saved with."""
    from core.commands.records import blend_record, direction, score_text
    from core.store.blends import list_blends as all_blends
    from core.store.contests import get_contest

    house = opened(workspace)
    found = get_contest(house.store, contest)
    records = [blend_record(house, blend) for blend in all_blends(house.store, found.id)]
    if as_json:
        print_json(records)
        return
    print_table(
        ["ref", "blend", ">out of fold", ">CV mean ± sd", ">honest", "runs"],
        [
            (
                record["ref"],
                record["blend"],
                score_text(record["oof_score"]),
                score_text(record["cv_score"], record["cv_sd"]),
                score_text(record["honest"]["score"] if record["honest"] else None),
                ", ".join(f"{weight:.3f} {run}" for weight, run in zip(record["weights"], record["run"], strict=True)),
            )
            for record in records
        ],
        title=f"{found.name}: {found.spec.metric} {direction(found.spec.metric)}",
        empty=f"no blend yet: python -m core blend {found.name} RUN...",
    )


@blends_app.command("compare", short_help="Compare blends or runs row by row.")
def compare(
    sources: Annotated[
        list[str], typer.Argument(metavar="BLEND|RUN...", help="References such as b3 or r12, or names.", show_default=False)
    ],
    contest: Annotated[
        str | None, typer.Option("--contest", metavar="CONTEST", help="Whose, when a name is used twice.", show_default=False)
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put blends or runs side by side: scores, weights, and a paired bootstrap of the first against each other one.

    Rows that only one of two has are left out. A score that a blend was tuned on flatters it: see its honest score.
    """
    from core.analysis.compare import compare_sources, standing_of
    from core.commands.decisions import source_named
    from core.commands.records import direction, score_text
    from core.store.runs import get_run

    if len(sources) < 2:
        raise InputError(
            "there is nothing to compare with", where="blends compare", why="one name was given", fix="name two blends or runs, or more"
        )
    house = opened(workspace)
    found = [source_named(house, ref, contest) for ref in sources]
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
    names = {run_id: get_run(house.store, run_id).name for standing in standings for run_id in standing.weights}
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
        ["ref", "name", ">out of fold", ">CV mean ± sd", ">honest", "folds", "weights"],
        [
            (
                standing.source.ref,
                standing.source.name,
                score_text(standing.oof_score),
                score_text(standing.cv_score, standing.cv_sd),
                score_text(standing.honest.score if standing.honest else None),
                ", ".join(map(str, standing.folds)),
                ", ".join(f"{weight:.3f} {names[run_id]}" for run_id, weight in standing.weights.items()),
            )
            for standing in standings
        ],
        title=f"{owner.name}: {owner.spec.metric} {direction(owner.spec.metric)}",
    )
    for other, duel in zip(found[1:], duels, strict=True):
        standard_output().print(_sentence(found[0].name, other.name, duel), markup=False, highlight=False)


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


def _sentence(first: str, second: str, duel: Duel) -> str:
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
        f"(95 % interval {gain.gain_low:+.4f} to {gain.gain_high:+.4f}), on {duel.n_rows:,} rows"
    )
