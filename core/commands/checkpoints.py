"""`checkpoints`: what a run could go on from, each entry checked against its hashes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from core.commands.console import JsonOption, WorkspaceOption, opened, print_json, print_table


def register(app: typer.Typer) -> None:
    app.command("checkpoints", short_help="What a run keeps of its training, verified.")(show_checkpoints)


def show_checkpoints(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A reference such as r12, or a name.", show_default=False)],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List a run's checkpoints and the weights of its finished folds, after checking every byte against its hash.

    A fold that was stopped goes on from its newest checkpoint that verifies. A finished fold keeps only its best weights.
    """
    from core.analysis.kept import list_kept
    from core.commands.records import kept_record, score_text
    from core.jobs.disk import size_text
    from core.store.contests import get_contest
    from core.store.runs import get_run

    house = opened(workspace)
    found = get_run(house.store, run)
    metric = get_contest(house.store, found.contest_id).spec.metric
    kept = list_kept(house, found)
    if as_json:
        print_json([kept_record(item) for item in kept])
        return
    print_table(
        [">fold", "what", ">epoch", ">step", ">best epoch", f">{metric}", ">size", "made", "attempt", "state"],
        [
            (
                str(item.fold),
                item.kind,
                str(item.epoch),
                "" if item.step is None else str(item.step),
                str(item.best_epoch or ""),
                score_text(item.scores.get(metric)),
                size_text(item.n_bytes),
                f"{datetime.fromtimestamp(item.created_at):%m-%d %H:%M:%S}" if item.created_at else "",
                str(item.attempt),
                item.standing if item.standing == "verified" else f"{item.standing}: {item.why}",
            )
            for item in kept
        ],
        empty=f"{found.name} keeps nothing yet: a fold writes its first checkpoint after {found.recipe.checkpoints.every_s:g} s"
        if not found.is_imported
        else f"{found.name} was imported: it was not trained here",
    )
