"""The first rows of an epoch of texts as the network will read them: words changed, cut, mixed, with their targets and weights. No network is built."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.data.batches import RowLoader
from core.data.texts import TextRows, WordEdits
from core.data.token_cache import tokens_of
from core.data.tokens import Cut
from core.training.failures import typed_failures
from core.training.network import edited_rows, model_spec
from core.training.setup import make_targets
from core.training.step import cut_steps, order_rows, put_together
from core.training.task import FoldTask
from models.text import TextTokenizer, build_tokenizer


@dataclass(frozen=True)
class ReadText:
    """A row of a step: its number, its text as all epochs have it and as this one reads it, and the tokens of that which are read, of `window` (from 0) of
    `n_windows`. Word embeddings are mixed with those of the row `mixed_with`, -1 where they are not. `target` (K,) is what it teaches."""

    row: int
    before: str
    after: str
    pieces: tuple[str, ...]
    window: int
    n_windows: int
    mixed_with: int
    weight: float
    target: NDArray[np.float32]


def load_tokenizer(task: FoldTask) -> TextTokenizer:
    """The tokenizer that a task trains with. Raises WeightsError where it is not here or cannot be read, RecipeError where it does not take the settings."""
    with typed_failures(task.recipe, "tokenizer"):
        return build_tokenizer(model_spec(task)[0], [str(task.inputs[row]) for row in task.train_idx])


def read_texts(task: FoldTask, tokenizer: TextTokenizer, epoch: int, n_rows: int) -> list[ReadText]:
    """The first `n_rows` rows of the first step of an epoch (from 1). Only these are encoded, unless batches are grouped by the length of all."""
    recipe, texts = task.recipe, [str(text) for text in task.inputs]
    cut = Cut.made(recipe.input, *tokenizer.ends)
    tokens, lengths = None, np.ones(len(texts), dtype=np.int64)
    if recipe.train.group_by_length:
        tokens = tokens_of(texts, tokenizer, task.cache_dir, lambda done, total: None)
        lengths = cut.lengths(tokens.lengths)
    step = cut_steps(task, order_rows(task, epoch, lengths))[0]
    # A row is mixed with the one before it, the first one with the last of the step: no others have to be read.
    asked = step if len(step) <= n_rows else np.append(step[:n_rows], step[-1])
    if tokens is None:
        wanted = set(asked.tolist())
        tokens = tokens_of([text if row in wanted else "" for row, text in enumerate(texts)], tokenizer, None, lambda done, total: None)
    edits = WordEdits(texts, tokenizer, recipe.augment, edited_rows(task)) if recipe.augment.edits_words else None
    rows = TextRows(tokens, cut, pad_id=tokenizer.pad_id, seed=recipe.train.seed, fold=task.fold, edits=edits)
    (part,) = put_together(task, make_targets(task), [next(RowLoader(rows, workers=0).load(epoch, [asked]))], epoch, 1)
    taken, is_mixed = Counter[int](), "mixed_ids" in part.inputs
    found: list[ReadText] = []
    for place, row in enumerate(asked[:n_rows].tolist()):
        key = (epoch, row, taken[row])
        taken[row] += 1
        ids, windows = rows.whole(key)
        found.append(
            ReadText(
                row,
                before=texts[row],
                after=rows.edited(key) if edits is not None else texts[row],
                pieces=tokenizer.pieces(cut.window(ids, windows[0]).tolist()),
                window=windows[0],
                n_windows=cut.count(len(ids)),
                mixed_with=int(asked[place - 1]) if is_mixed else -1,
                weight=float(part.weights[place]),
                target=part.targets[place].numpy(),
            )
        )
    return found
