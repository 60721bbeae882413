"""The preview on the page Train of a contest of texts: rows as the contest has them and as the network will read them, with their tokens."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from html import escape

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.shell import runtime
from app.shell.tables import pairs_of, table_of, truth_of
from app.ui.cards import guard
from app.ui.format import plain
from app.words.text import t
from core.contest.table import text_columns
from core.recipes.texts import SeenText, SeenTexts, see_texts
from core.specs.recipe import Recipe
from core.store.contests import Contest
from core.store.folds import Folds

N_ROWS, MOST_SIGNS, MOST_PIECES = 6, 500, 80
PIECE = re.compile(r"\[[^\s\[\]]+\]|<[^<>]*>|&#?\w+;|[가-힣]|[^\W가-힣]+|\s+|[^\w\s]")
"""What is compared: markers, tags and entities of HTML whole, words, and syllables of Hangul."""


def text_preview(box: DeltaGenerator, contest: Contest, folds: Folds, recipe: Recipe) -> None:
    """Fill an open section: some rows before and after, how many the recipe changes, and which columns a template may name."""
    with box, guard():
        settings = (recipe.input, recipe.clean, recipe.model.backbone)
        seen = _seen((contest.id, contest.version, folds.fingerprint, *map(repr, settings)), recipe, contest, folds)
        said = [t("train.texts_changed", n=f"{seen.n_changed:,}", of=f"{seen.n_looked_at:,}")]
        if seen.n_words is not None:
            said.append(t("train.texts_words", n=f"{seen.n_words:,}"))
        st.caption(" ".join(said))
        if seen.n_emptied:
            st.warning(t("train.texts_emptied", n=f"{seen.n_emptied:,}"), icon=":material/warning:")
        st.html(texts_html(seen.rows, recipe.input.max_tokens))
        columns = ", ".join(f"{{{name}}}" for name in text_columns(runtime.workspace(), contest))
        st.caption(t("train.texts_columns", names=plain(columns)))


@st.cache_data(max_entries=8, show_spinner=False)
def _seen(content: tuple[object, ...], _recipe: Recipe, _contest: Contest, _folds: Folds) -> SeenTexts:
    """What the settings in `content` make of the rows."""
    train_idx = pairs_of(_folds).keeping(truth_of(_contest).kept).train_idx(0)
    return see_texts(_recipe, table_of(_contest), N_ROWS, train_idx=train_idx, weights_dir=runtime.workspace().weights_dir)


def texts_html(rows: Sequence[SeenText], max_tokens: int) -> str:
    """Rows below each other: the text before, with what goes struck out, the text after, with what is new marked, and its tokens."""
    return f'<div class="texts">{"".join(_row(row, max_tokens) for row in rows)}</div>'


def _row(row: SeenText, max_tokens: int) -> str:
    before, after = row.before[:MOST_SIGNS], row.after[:MOST_SIGNS]
    texts = [(t("train.texts_same"), escape(before))]
    if before != after:
        gone, new = _marked(before, after)
        texts = [(t("train.texts_before"), gone), (t("train.texts_after"), new)]
    parts = [
        f"<dt>{escape(label)}</dt><dd>{text or '–'}{'…' if len(whole) > MOST_SIGNS else ''}</dd>"
        for (label, text), whole in zip(texts, (row.before, row.after), strict=False)
    ]
    if row.pieces:
        shown = "".join(f"<span>{escape(piece.strip() or piece)}</span>" for piece in row.pieces[:MOST_PIECES])
        n = len(row.pieces)
        label = t("train.texts_tokens_cut", n=n, read=max_tokens) if n > max_tokens else t("train.texts_tokens", n=n)
        parts.append(f'<dt>{escape(label)}</dt><dd class="pieces">{shown}{"…" if n > MOST_PIECES else ""}</dd>')
    return f"<article><b>{escape(row.id)}</b><dl>{''.join(parts)}</dl></article>"


def _marked(before: str, after: str) -> tuple[str, str]:
    """Both texts as HTML: what only the first one has in <del>, what only the second one has in <mark>."""
    old, new = PIECE.findall(before), PIECE.findall(after)
    gone: list[str] = []
    come: list[str] = []
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        left, right = escape("".join(old[a:b])), escape("".join(new[c:d]))
        gone.append(left if kind == "equal" or not left else f"<del>{left}</del>")
        come.append(right if kind == "equal" or not right else f"<mark>{right}</mark>")
    return "".join(gone), "".join(come)
