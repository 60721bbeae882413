"""`texts`: the rows of a contest as a recipe makes texts of them, before and after."""

from dataclasses import asdict
from shlex import quote
from typing import Annotated

import numpy as np
import typer

from core.base.errors import RecipeError
from core.commands.console import ContestArgument, JsonOption, SetOption, WorkspaceOption, commands, opened, print_json, print_table, say
from core.commands.dry_run import lengths_text
from core.commands.records import choose_folds
from core.commands.training import read_recipe
from core.contest.table import load_table, load_truth, text_columns
from core.data.compose import check_columns
from core.data.tokens import TokenLengths
from core.folds import load_folds
from core.recipes.advice import propose_prompt
from core.recipes.texts import count_tokens, see_texts
from core.store.contests import get_contest

app = commands()

BASELINE = "text-tfidf"
MOST_PIECES = 40


@app.command("texts")
def texts(
    contest: ContestArgument,
    recipe: Annotated[
        str, typer.Option("--recipe", "-r", metavar="NAME|FILE", help="A preset, or a recipe in YAML, changed by --set.")
    ] = BASELINE,
    sets: SetOption = None,
    n_rows: Annotated[int, typer.Option("--rows", metavar="N", min=1, max=1000, help="How many training rows.")] = 8,
    root: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show training rows before and after: as the contest has them, and as a recipe's network reads them.

    What makes the difference is the template, entity markers and cleaning: --set input.template=…, --set clean.repeats=2. Rows that are
    changed come first, how long all of them are in tokens last. Rare words are those of fold 0 of the newest folds. Tokens are shown where the tokenizer is on this machine.
    """
    workspace = opened(root)
    found, asked = get_contest(workspace.store, contest), read_recipe(recipe, sets or [])
    if found.spec.modality != "text" or asked.modality != "text":
        raise RecipeError(
            "only texts can be shown",
            where=found.name if found.spec.modality != "text" else recipe,
            why="it is for images",
            fix="name a contest and a recipe for texts",
        )
    check_columns(asked.input, text_columns(workspace, found))
    train_idx = np.empty(0, dtype=np.int64)
    if asked.clean.min_rows:
        folds = load_folds(workspace, choose_folds(workspace, found, None))
        train_idx = folds.keeping(load_truth(workspace, found).kept).train_idx(0)
    table = load_table(workspace, found)
    prompt = propose_prompt(found.shown_classes, found.spec.input_columns)
    seen = see_texts(asked, table, n_rows, train_idx=train_idx, weights_dir=workspace.weights_dir)
    counted = count_tokens(asked, table, workspace.weights_dir)
    lengths = None if counted is None else TokenLengths.of(counted, asked.input.max_tokens)
    if as_json:
        print_json({**asdict(seen), "tokens": None if lengths is None else asdict(lengths), "prompt": prompt})
        return
    for row in seen.rows:
        shown = [("before", row.before), ("after", row.after if row.after != row.before else "the same")]
        if row.pieces:
            more = f" … {len(row.pieces)} tokens" if len(row.pieces) > MOST_PIECES else ""
            shown.append(("tokens", " | ".join(row.pieces[:MOST_PIECES]) + more))
        print_table(["row", row.id], shown)
    if lengths is not None:
        say(lengths_text(lengths, asked))
    say(f"{seen.n_changed:,} of {seen.n_looked_at:,} rows are changed")
    if seen.n_emptied:
        say(f"warning: no word is left of {seen.n_emptied:,} of them")
    if prompt and not asked.input.composes:
        say(f"a prompt that names the classes, for language models: --set {quote(f'input.template={prompt}')}")
    if seen.n_words is not None:
        say(f"{seen.n_words:,} words are known, the others are left out")
