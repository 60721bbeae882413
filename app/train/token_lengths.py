"""How long the texts of a contest are in tokens, on the page Train: a histogram, and how many are cut. Counted in a thread, which the page does not wait for."""

from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from app.shell import runtime
from app.shell.tables import table_of
from app.train.charts import token_histogram
from app.ui.cards import error_card
from app.words.text import t
from core.base.errors import PitwallError
from core.data.tokens import TokenLengths
from core.recipes.texts import count_tokens
from core.specs.recipe import Recipe
from core.store.contests import Contest
from core.training.task import backbone_of

ASKED_KEY = "train-tokens-asked"
PATIENCE_S, LOOK_S = 0.15, 0.5
"""How long the page waits for what is counted within a moment, and how often it looks after that."""

COUNTER = ThreadPoolExecutor(1, thread_name_prefix="token-lengths")


@dataclass(frozen=True)
class Asked:
    """What this session asked for last: of what, and the lengths to come, None where no tokenizer is here."""

    key: tuple[object, ...]
    answer: Future[NDArray[np.int64] | None]


def tokens_view(contest: Contest, recipe: Recipe) -> None:
    """The lengths of the texts as this recipe composes them, by the tokenizer of its backbone."""
    asked = _ask(contest, recipe)
    wait([asked.answer], PATIENCE_S)
    if not asked.answer.done():
        st.fragment(_waiting, run_every=LOOK_S)(asked)
    elif isinstance(problem := asked.answer.exception(), PitwallError):
        error_card(problem)
    elif (lengths := asked.answer.result()) is None:
        st.caption(
            t(
                "train.tokens_learned"
                if backbone_of(recipe, runtime.workspace().weights_dir).library == "builtin"
                else "train.tokens_unknown"
            )
        )
    elif len(lengths):
        st.html(token_histogram(lengths, recipe.input.max_tokens))
        st.caption(lengths_line(TokenLengths.of(lengths, recipe.input.max_tokens), recipe))


def lengths_line(lengths: TokenLengths, recipe: Recipe) -> str:
    """How long texts are, and what becomes of the long ones."""
    numbers = {name: f"{getattr(lengths, name):,}" for name in ("n_texts", "median", "most_of_95", "longest")}
    kind = recipe.input.truncation if lengths.share_cut else "none"
    return f"{t('train.tokens_said', **numbers)} {t(f'train.tokens_cut_{kind}', share=lengths.share_cut, limit=recipe.input.max_tokens)}"


def _ask(contest: Contest, recipe: Recipe) -> Asked:
    key = (contest.id, contest.version, recipe.model.backbone, repr(recipe.input), repr(recipe.clean))
    asked: Asked | None = st.session_state.get(ASKED_KEY)
    if asked is None or asked.key != key:
        if asked is not None:
            asked.answer.cancel()
        answer = COUNTER.submit(count_tokens, recipe, table_of(contest), runtime.workspace().weights_dir)
        asked = st.session_state[ASKED_KEY] = Asked(key, answer)
    return asked


def _waiting(asked: Asked) -> None:
    """Say that it takes a while; when the answer is there, the page is drawn anew."""
    if asked.answer.done():
        st.rerun()
    st.caption(t("train.tokens_wait"))
