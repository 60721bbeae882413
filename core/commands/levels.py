"""`levels`: coarse classes for a contest's classes as --set takes them, and a recipe of two levels compared with the flat one."""

from collections.abc import Sequence
from shlex import quote
from typing import Annotated, Any

import typer

from core.analysis.compare import compare_sources
from core.analysis.pairs import level_pairs
from core.base.errors import RecipeError
from core.base.settings import apply_sets
from core.commands.blends import compared_text
from core.commands.console import (
    ContestArgument,
    JsonOption,
    SetOption,
    WorkspaceOption,
    commands,
    note,
    opened,
    print_json,
    print_table,
    say,
)
from core.commands.follow import work
from core.commands.records import choose_folds
from core.commands.training import read_recipe
from core.jobs.engine import Engine
from core.jobs.launch import launch_runs
from core.predictions.source import find_source
from core.recipes.levels import make_flat, propose_coarse, set_of
from core.store.contests import Contest, get_contest
from core.training.task import check_classes
from core.workspace import Workspace

app = commands()


@app.command("levels")
def levels(
    contest: ContestArgument,
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", "-r", metavar="NAME|FILE", help="Train this recipe flat and in two levels.", show_default=False),
    ] = None,
    folds_id: Annotated[int | None, typer.Option("--folds", metavar="ID", help="Which split; else the newest.", show_default=False)] = None,
    sets: SetOption = None,
    queue: Annotated[bool, typer.Option("--queue", help="With --recipe: only put the runs in the queue.")] = False,
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Propose the coarse class of each class, and say what two levels gain over the same recipe without them.

    With --recipe both are trained on the same folds, with the proposed mapping unless --set loss.coarse gives one. --set
    model.separate_levels=true trains a network of its own for each level. A gain below the noise of a retraining is none: --set
    train.n_seeds=3 trains each side three times.
    """
    workspace = opened(root)
    found = get_contest(workspace.store, contest)
    proposed = propose_coarse(found.spec.classes)
    if recipe is None:
        _print(workspace, found, proposed, as_json=as_json)
        return
    base = read_recipe(recipe, [])
    given = any(one.partition("=")[0].strip() == "loss.coarse" for one in sets or [])
    if not (given or base.loss.coarse or proposed):
        raise RecipeError(
            "the names of these classes propose no coarse classes",
            where="loss.coarse",
            why="no class begins as another one does",
            fix="name one for each class, in this order ({classes}): --set loss.coarse=[…]",
            classes=", ".join(found.spec.classes),
        )
    mapping = [] if given or base.loss.coarse else [set_of(proposed)]
    two = apply_sets(base, ["model.two_levels=true", *mapping, *(sets or [])], where="--set")
    check_classes(two, found.spec.classes, multilabel=found.spec.is_multilabel)
    runs = launch_runs(workspace, found, choose_folds(workspace, found, folds_id), [make_flat(two), two])
    for run in runs:
        note(f"queued {run.name} ({run.ref})")
    if not queue:
        work(Engine(workspace, what="python -m core levels"), [run.id for run in runs], quiet=as_json)
    _print(workspace, found, two.loss.coarse, as_json=as_json)


def _print(workspace: Workspace, contest: Contest, coarse: Sequence[str], *, as_json: bool) -> None:
    """A mapping, and what the runs of the contest say of two levels."""
    gains = [
        (flat, two, compare_sources(find_source(workspace, two.ref), find_source(workspace, flat.ref)))
        for flat, two in level_pairs(workspace.store, contest.id)
    ]
    if as_json:
        pairs: list[dict[str, Any]] = [{"flat": flat.ref, "two_levels": two.ref, **duel.to_dict()} for flat, two, duel in gains]
        print_json(
            {"coarse": dict(zip(contest.spec.classes, coarse, strict=False)), "set": set_of(coarse) if coarse else "", "pairs": pairs}
        )
        return
    if coarse:
        print_table(["class", "coarse class"], list(zip(contest.spec.classes, coarse, strict=True)))
        say(f"--set model.two_levels=true --set {quote(set_of(coarse))}")
    else:
        say("no class begins as another one does: name coarse classes with --set loss.coarse=[…], one for each class, in this order:")
        say(", ".join(contest.spec.classes))
    for flat, two, duel in gains:
        say(compared_text(two.name, flat.name, duel))
    if not gains:
        say(f"what two levels gain: python -m core levels {quote(contest.name)} --recipe NAME")
