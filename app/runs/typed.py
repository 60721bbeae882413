"""A text that is typed on a run's page: its classes and which words mattered, at once, in this process. TF-IDF predicts as it is, networks by
ONNX Runtime from files that a job has exported."""

from html import escape
from typing import Any

import numpy as np
import streamlit as st

from app.runs.exports import are_too_large, export_first, exports_of
from app.shell import runtime
from app.shell.tables import table_of
from app.ui.cards import guard
from app.ui.class_bars import probability_bars
from app.ui.colors import ACCENT, BAD, translucent
from app.ui.format import plain
from app.words.text import t
from core.predictions.networks import is_tfidf, load_text_predictors
from core.predictions.words import TextLook, WordEffects, look_at_text
from core.store.contests import Contest
from core.store.runs import Run
from core.workspace import Workspace

MAX_CLASSES, N_NAMED = 5, 6
LONG = 1500
"""Signs of a text that is scrolled in a box."""
FAINT = 0.05
"""An effect that is such a share of the strongest one is not named."""
LEAST_FALL = 0.01
"""A probability that changes by less whatever is left out hangs on no word."""


def answers_at_once(contest: Contest, run: Run) -> bool:
    """Whether this process can predict a text by the run: TF-IDF, or exported networks that are not too large."""
    files = exports_of(contest, run).get("onnx")
    return is_tfidf(run) or (files is not None and not are_too_large(files))


def offer_export(contest: Contest, run: Run, *, has_text: bool) -> None:
    """The way to answers at once: the export, or why there is none."""
    if files := exports_of(contest, run).get("onnx"):
        st.info(t("predict.text_too_large", size=runtime.size_text(sum(each.n_bytes for each in files))))
        return
    label = t("predict.export_and_predict" if has_text else "predict.export")
    export_first(run, label, t("predict.export_why_text", n=len(run.results) * len(run.parts)))


def typed_answer(contest: Contest, run: Run, text: str) -> None:
    """What the run says of a text."""
    if not text.strip():
        st.caption(t("predict.typed_none"))
        return
    with guard():
        files = exports_of(contest, run).get("onnx", ())
        content = tuple(str(each.folder) for each in files) or tuple(result.fingerprint for result in run.results)
        with st.spinner(t("predict.leaving_out")):
            look = _look(content, text, contest, run)
        _answer(contest, look, text)


@st.cache_resource(max_entries=2, show_spinner=False)
def _networks(content: tuple[str, ...], _workspace: Workspace, _contest: Contest, _run: Run) -> tuple[tuple[Any, ...], ...]:
    """The networks of a run, every byte of their files verified; kept for the files or fold results `content`."""
    return load_text_predictors(_workspace, _contest, _run)


@st.cache_data(max_entries=32, show_spinner=False)
def _look(content: tuple[str, ...], text: str, _contest: Contest, _run: Run) -> TextLook:
    """What the networks `content` say of a text."""
    return look_at_text(_networks(content, runtime.workspace(), _contest, _run), text)


def _answer(contest: Contest, look: TextLook, text: str) -> None:
    classes = contest.shown_classes
    if text in set(table_of(contest).train["input"]):
        st.warning(t("predict.seen", n=1, of=1), icon=":material/visibility:")
    order = (-look.prob).argsort(kind="stable")[:MAX_CLASSES]
    likely = [classes[place] for place in order if look.prob[place] >= 0.5] if contest.spec.is_multilabel else [classes[order[0]]]
    prob = [float(look.prob[place]) for place in order]
    st.html(probability_bars([classes[place] for place in order], prob, true=likely, predicted=(), marks={"true": ""}))
    with st.container(border=True, height=320 if len(text) > LONG else "content", key="typed-words"):
        st.html(words_html(text, look.words))
    st.caption(_said(look.words, text, plain(classes[look.words.label])), help=t(f"predict.words_help_{_kind(look.words)}"))


def _kind(words: WordEffects) -> str:
    return "exact" if words.is_exact else "left_out"


def _decide(words: WordEffects) -> bool:
    """Whether any word decides enough to be named and coloured."""
    return bool(np.abs(words.effects).max(initial=0) >= (np.finfo(np.float32).tiny if words.is_exact else LEAST_FALL))


def _said(words: WordEffects, text: str, label: str) -> str:
    """Which words mattered, in a sentence, and which network the numbers are from."""
    if _decide(words):
        unit, digits = (1, 2) if words.is_exact else (100, 1)
        strongest = words.strongest(text, N_NAMED)
        named = [f"{plain(word)} {unit * effect:+.{digits}f}" for word, effect in strongest if abs(effect) > FAINT * abs(strongest[0][1])]
        said = [t(f"predict.words_{_kind(words)}", label=label, words=" · ".join(dict.fromkeys(named)))]
    else:
        said = [t(f"predict.words_none_{_kind(words)}", label=label)]
    if words.words_at_once > 1:
        said.append(t("predict.words_several", n=words.words_at_once))
    if words.fold >= 0:
        said.append(t("predict.words_asked", fold=words.fold))
    return " ".join(said)


def words_html(text: str, words: WordEffects) -> str:
    """A text with a colour behind each part: what speaks for the class, and with a line below it what speaks against; none where none decides."""
    strongest = float(np.abs(words.effects).max(initial=0)) if _decide(words) else np.inf
    pieces, at = list[str](), 0
    for (start, stop), effect in zip(words.spans, words.effects.tolist(), strict=True):
        color, below = (ACCENT, "") if effect >= 0 else (BAD, f";border-bottom:2px dotted {BAD}")
        style = (
            f"background:{translucent(color, round(0.6 * abs(effect) / strongest, 2))}{below if abs(effect) > FAINT * strongest else ''}"
        )
        part = escape(text[start:stop])
        pieces.append(f'{escape(text[at:start])}<span style="{style}" title="{part[:60]} {effect:+.4f}">{part}</span>')
        at = stop
    return f'<div class="typed-words">{"".join(pieces)}{escape(text[at:])}</div>'
