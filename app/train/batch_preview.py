"""The preview on the page Train: the first rows of a batch as the network will see them, with the labels they teach.

A process with torch makes them; it is started when the section is first opened, and the page does not wait long for it.
"""

import base64
from collections.abc import Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from html import escape

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.shell import runtime
from app.shell.runtime import Picture, Reading
from app.train.text_preview import batch_of_texts_html
from app.ui.cards import error_card
from app.ui.colors import ACCENT, QUIET
from app.words.text import t
from core.base.errors import PitwallError
from core.specs.recipe import Recipe
from core.store.contests import Contest
from core.store.folds import Folds

ASKED_KEY = "train-batch-asked"
PATIENCE_S, LOOK_S = 1.2, 0.4
"""How long the page waits for an answer, which is usual once the process runs, and how often it looks for one after that."""


@dataclass(frozen=True)
class Asked:
    """What this session asked for last: of what, and the answer to come."""

    key: tuple[object, ...]
    answer: Future[tuple[Picture | Reading, ...]]


def batch_preview(box: DeltaGenerator, contest: Contest, folds: Folds, recipe: Recipe) -> None:
    """Fill an open section; to be drawn last, since everything else is there at once."""
    with box:
        epoch = _choose_epoch(recipe)
        key = (contest.version, folds.fingerprint, recipe.fingerprint, epoch)
        asked: Asked | None = st.session_state.get(ASKED_KEY)
        if asked is None or asked.key != key:
            if asked is not None:
                asked.answer.cancel()
            asked = st.session_state[ASKED_KEY] = Asked(key, runtime.see_batch(contest, folds, recipe, epoch))
        wait([asked.answer], PATIENCE_S)
        if not asked.answer.done():
            st.fragment(_waiting, run_every=LOOK_S)(asked)
        elif isinstance(problem := asked.answer.exception(), PitwallError):
            error_card(problem)
            st.button(t("train.batch_again"), icon=":material/refresh:", on_click=lambda: st.session_state.pop(ASKED_KEY, None))
        else:
            shown = dict(zip(contest.spec.classes, contest.shown_classes, strict=True))
            named = [replace(each, shares=tuple((shown[name], share) for name, share in each.shares)) for each in asked.answer.result()]
            pictures, texts = [each for each in named if isinstance(each, Picture)], [each for each in named if isinstance(each, Reading)]
            st.html(batch_html(pictures) if pictures else batch_of_texts_html(texts))
            if recipe.loss.smoothing:
                st.caption(t("train.batch_smoothed", share=recipe.loss.smoothing))


def batch_html(pictures: Sequence[Picture]) -> str:
    """Pictures in a grid, each with the classes it teaches, and a bar of their shares where they are several."""
    return f'<div class="batch">{"".join(map(_figure, pictures))}</div>'


def _figure(picture: Picture) -> str:
    labels = [escape(name if share > 0.9995 else t("train.batch_share", name=name, share=share)) for name, share in picture.shares]
    bar = "".join(
        f'<span style="width:{100 * share:.1f}%;background:{color}"></span>'
        for (_, share), color in zip(picture.shares, (ACCENT, QUIET), strict=False)
    )
    address = f"data:image/webp;base64,{base64.b64encode(picture.image).decode('ascii')}"
    caption = "".join(f'<div title="{label}">{label}</div>' for label in labels) or "–"
    return (
        f'<figure><img src="{address}" alt="{" + ".join(labels)}">'
        + (f'<div class="bar">{bar}</div>' if len(labels) == 2 else "")
        + f"<figcaption>{caption}</figcaption></figure>"
    )


def _choose_epoch(recipe: Recipe) -> int:
    """The first epoch, or the last one where rows look different there."""
    last = recipe.train.epochs
    is_drawn = recipe.modality == "text" and (recipe.augment.edits_words or recipe.input.truncation == "windows")
    if last == 1 or not (is_drawn or recipe.first_epochs or recipe.is_mixed(1) != recipe.is_mixed(last)):
        return 1
    return st.segmented_control(
        t("train.batch_epoch"),
        (1, last),
        default=1,
        required=True,
        format_func=lambda number: t("train.batch_epoch_n", n=number),
        key=f"train-batch-epoch-{last}",
        label_visibility="collapsed",
    )


def _waiting(asked: Asked) -> None:
    """Say that it takes a while; when the answer is there, the page is drawn anew."""
    if asked.answer.done():
        st.rerun()
    st.caption(t("train.batch_wait"))
