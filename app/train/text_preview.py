"""The preview on the page Train of a contest of texts: rows as the contest has them and as the network will read them, with their tokens."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from html import escape

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.shell import runtime
from app.shell.runtime import Reading
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
    n = len(row.pieces)
    label = t("train.texts_tokens_cut", n=n, read=max_tokens) if n > max_tokens else t("train.texts_tokens", n=n)
    tokens = f'<dt>{escape(label)}</dt><dd class="pieces">{_pieces(row.pieces)}</dd>' if row.pieces else ""
    return f"<article><b>{escape(row.id)}</b><dl>{_change(row.before, row.after, t('train.texts_after'))}{tokens}</dl></article>"


def batch_of_texts_html(rows: Sequence[Reading]) -> str:
    """Rows of a training batch below each other: what they teach, with what they are mixed, their text with its changes, and at a click the tokens."""
    return f'<div class="texts">{"".join(map(_reading, rows))}</div>'


def _reading(row: Reading) -> str:
    said = [" + ".join(name if share > 0.9995 else t("train.batch_share", name=name, share=share) for name, share in row.shares) or "–"]
    said += [t("train.texts_mixed", id=row.mixed_with)] if row.mixed_with else []
    said += [t("train.texts_weight", weight=row.weight)] if row.weight != 1 else []
    said += [t("train.texts_window", n=row.window + 1, of=row.n_windows)] if row.n_windows > 1 else []
    tokens = (
        f'<details><summary>{t("train.texts_tokens", n=len(row.pieces))}</summary><div class="pieces">{_pieces(row.pieces)}</div></details>'
    )
    change = _change(row.before, row.after, t("train.texts_epoch"))
    return f"<article><b>{escape(row.id)}</b> · {escape(' · '.join(said))}<dl>{change}</dl>{tokens}</article>"


def _change(before: str, after: str, label: str) -> str:
    """A text as it was and as it is, or once where it is the same, as rows of a list."""
    before_cut, after_cut = before[:MOST_SIGNS], after[:MOST_SIGNS]
    texts = [(t("train.texts_same"), escape(before_cut))]
    if before_cut != after_cut:
        gone, new = _marked(before_cut, after_cut)
        texts = [(t("train.texts_before"), gone), (label, new)]
    return "".join(
        f"<dt>{escape(name)}</dt><dd>{text or '–'}{'…' if len(whole) > MOST_SIGNS else ''}</dd>"
        for (name, text), whole in zip(texts, (before, after), strict=False)
    )


def _pieces(pieces: Sequence[str]) -> str:
    shown = "".join(f"<span>{escape(piece.strip() or piece)}</span>" for piece in pieces[:MOST_PIECES])
    return shown + ("…" if len(pieces) > MOST_PIECES else "")


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
