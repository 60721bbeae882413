"""How a recipe reads the texts of a contest, seen before anything is trained: composed, cleaned, cut into tokens. Imports no torch."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.contest.table import ContestTable
from core.data.cleaning import clean_texts, fit_words
from core.data.compose import compose, special_tokens
from core.specs.recipe import Recipe
from core.training.task import backbone_of
from models.weights import local_weights

N_LOOKED_AT = 2000


@dataclass(frozen=True)
class SeenText:
    """A training row: its text as the contest has it, and as the network reads it. `pieces` are its tokens, none where they are not known yet."""

    id: str
    before: str
    after: str
    pieces: tuple[str, ...]


@dataclass(frozen=True)
class SeenTexts:
    """Some rows, those that the recipe changes first. Of `n_looked_at` rows `n_changed` are changed, and of `n_emptied` no word is left.

    `n_words` is how many words are known where rare ones are left out.
    """

    rows: tuple[SeenText, ...]
    n_looked_at: int
    n_changed: int
    n_emptied: int
    n_words: int | None


def see_texts(recipe: Recipe, table: ContestTable, n_rows: int, *, train_idx: NDArray[np.int64], weights_dir: Path) -> SeenTexts:
    """At most `n_rows` training rows, out of N_LOOKED_AT from the whole length of the table; rare words are those of the rows `train_idx`.

    Tokens are those of a pretrained tokenizer that is on this machine. Raises as `compose` does, and RecipeError for an unknown backbone.
    """
    some = table.train.iloc[np.linspace(0, len(table.train) - 1, num=min(len(table.train), N_LOOKED_AT)).astype(int)]
    known = fit_words(recipe.clean, compose(recipe.input, table.train.iloc[train_idx])) if recipe.clean.min_rows else ()
    before = some["input"].tolist()
    after = clean_texts(recipe.clean, compose(recipe.input, some), known)
    changed = [row for row, text in enumerate(after) if text != before[row]]
    chosen = [*_spread(changed, n_rows), *_spread([row for row in range(len(some)) if row not in set(changed)], n_rows)][:n_rows]
    tokenizer = _tokenizer(recipe, weights_dir, special_tokens(recipe.input, [some]))
    ids = some["id"].tolist()
    return SeenTexts(
        rows=tuple(SeenText(ids[row], before[row], after[row], _pieces(tokenizer, after[row])) for row in chosen),
        n_looked_at=len(some),
        n_changed=len(changed),
        n_emptied=sum(any(map(str.isalnum, before[row])) and not any(map(str.isalnum, after[row])) for row in changed),
        n_words=len(known) if recipe.clean.min_rows else None,
    )


def count_tokens(recipe: Recipe, table: ContestTable, weights_dir: Path) -> NDArray[np.int64] | None:
    """How many tokens, special ones with them, each of N_LOOKED_AT training rows has before it is cut, from the whole length of the table; None
    where the tokenizer is not here or has not been learned yet. No word is left out as rare. Raises as `see_texts` does.
    """
    some = table.train.iloc[np.linspace(0, len(table.train) - 1, num=min(len(table.train), N_LOOKED_AT)).astype(int)]
    tokenizer = _tokenizer(recipe, weights_dir, special_tokens(recipe.input, [some]))
    if tokenizer is None:
        return None
    texts = clean_texts(recipe.clean.model_copy(update={"min_rows": 0}), compose(recipe.input, some), ())
    return np.array([len(encoding) for encoding in tokenizer.encode_batch_fast(texts)], dtype=np.int64)


def _spread(rows: Sequence[int], n: int) -> list[int]:
    """At most `n` of some rows, from their whole length."""
    return [rows[place] for place in np.linspace(0, len(rows) - 1, num=min(len(rows), n)).astype(int)]


def _tokenizer(recipe: Recipe, weights_dir: Path, special: Sequence[str]) -> Any:
    """The pretrained tokenizer of a recipe, of the library `tokenizers`; None where it is not here or has not been learned yet."""
    backbone = backbone_of(recipe, weights_dir)
    weights = local_weights(backbone, weights_dir) if backbone.library == "transformers" else None
    path = weights.path / "tokenizer.json" if weights is not None else None
    if path is None or not path.is_file():
        return None
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.add_special_tokens([token for token in special if tokenizer.token_to_id(token) is None])
    return tokenizer


def _pieces(tokenizer: Any, text: str) -> tuple[str, ...]:
    """The tokens of a text, each as it stands there; parts of one character, such as the letters of a syllable, as the vocabulary has them."""
    if tokenizer is None:
        return ()
    found = tokenizer.encode(text)
    n_of = Counter(found.offsets)
    return tuple((text[slice(*span)] if n_of[span] == 1 else "") or token for token, span in zip(found.tokens, found.offsets, strict=True))
