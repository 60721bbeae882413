"""The body of the page Errors: a summary, left where rows are chosen, right those rows and one of them in detail."""

from __future__ import annotations

import numpy as np
import streamlit as st

from app.errors.confusion import Confusion
from app.errors.outcomes import Outcomes
from app.errors.view import Chosen, ErrorView
from app.shell.tables import pairs_of, table_of
from app.shell.thumbnails import picture
from app.ui.cards import guard
from app.ui.components.gallery.component import Tile, gallery
from app.ui.format import metric_help, metric_label, plain
from app.ui.probability_bars import probability_bars
from app.ui.sources import matrix_of_sources
from app.words.text import t
from core.metrics.decide import THRESHOLD
from core.predictions.source import Source

PER_PAGE = {"image": 48, "text": 12}
FEW = {"image": 8, "text": 4}
GALLERY_PX = 330
TEXT_SHARE = 0.42
N_BARS, MAX_BARS = 5, 12


def show_errors(source: Source) -> None:
    """The page for one run or blend; what its left side shows depends on whether a row may have several classes."""
    body = st.container()
    with body.skeleton(height=520):
        evidence = matrix_of_sources(source)
        view = Outcomes(source, evidence) if evidence.is_multilabel else Confusion(source, evidence)
    with body:
        summary(view)
        left, right = st.columns([1.15, 1], gap="large")
        with left:
            chooser(view)
        with right:
            samples(view, view.chosen())


def summary(view: ErrorView) -> None:
    """How many rows are wrong, the scores, and a warning where some rows were not validated yet."""
    evidence, spec = view.evidence, view.source.contest.spec
    wrong = evidence.y_pred != evidence.y_true
    n_wrong = int((wrong.any(axis=1) if evidence.is_multilabel else wrong).sum())
    key, more = view.summary()
    helps = [f"**{metric_label(name)}**: {text}" for name in evidence.scores if (text := metric_help(spec, name))]
    st.markdown(
        t(
            key,
            wrong=f"{n_wrong:,}",
            rows=f"{len(evidence.rows):,}",
            share=f"{n_wrong / len(evidence.rows):.2%}",
            scores=" · ".join(f"{metric_label(name)} {score:.4f}" for name, score in evidence.scores.items()),
        ),
        help="\n\n".join(helps) or None,
    )
    if more:
        st.caption(more)
    if not evidence.is_whole:
        rows = {"rows": f"{len(evidence.rows):,}", "all": f"{evidence.n_train:,}"}
        unfinished = sorted(set(range(view.source.folds.n_folds)) - set(view.source.scored_folds))
        if unfinished:
            st.warning(t("errors.partial", folds=", ".join(map(str, unfinished)), **rows), icon=":material/hourglass_top:")
        else:
            st.info(t("errors.some_rows", **rows), icon=":material/filter_alt:")


def chooser(view: ErrorView) -> None:
    """Where rows are chosen, in one of several ways."""
    ways, default = view.choosers()
    chosen = st.segmented_control(
        t("errors.title"),
        list(ways),
        default=default,
        format_func=t,
        key=f"errors-view-{default.partition('.')[0]}-{len(ways)}",
        required=True,
        label_visibility="collapsed",
        persist_state="session",
    )
    ways[chosen]()


@st.fragment
def samples(view: ErrorView, chosen: Chosen) -> None:
    """The chosen rows and one of them in detail; only this part runs again while one looks through them."""
    with guard():
        if not len(chosen.places):
            st.caption(t("errors.no_rows"))
            return
        st.caption(chosen.note)
        inspect(view, browse(view, chosen))


def browse(view: ErrorView, chosen: Chosen) -> int:
    """Show the rows as tiles, page by page, and return the row that is picked, at first the first of the page."""
    contest = view.source.contest
    is_image = contest.spec.modality == "image"
    rows = view.evidence.rows[chosen.places]
    per_page = PER_PAGE[contest.spec.modality]
    n_pages = -(-len(rows) // per_page)
    slot = st.container(height=GALLERY_PX if len(rows) > FEW[contest.spec.modality] else "content")
    page = st.pagination(n_pages, key=f"errors-page-{view.source.ref}-{chosen.key}") if n_pages > 1 else 1
    first, last = (page - 1) * per_page, min(page * per_page, len(rows))
    texts = table_of(contest).train["input"]
    tiles = [
        Tile(
            int(rows[place]),
            chosen.caption(int(chosen.places[place])),
            src=picture(contest, "train", int(rows[place])) if is_image else "",
            text="" if is_image else texts.iloc[rows[place]],
        )
        for place in range(first, last)
    ]
    label = t("errors.gallery_label", first=first + 1, last=last, total=len(rows))
    with slot:
        picked = gallery(tiles, selected=tiles[0].row, label=label, key=f"errors-gallery-{view.source.ref}")
    return picked if picked is not None else tiles[0].row


def inspect(view: ErrorView, row: int) -> None:
    """One training row: on the left what it is, on the right its true and predicted classes and their probabilities."""
    contest, evidence, classes = view.source.contest, view.evidence, view.classes
    place = int(np.searchsorted(evidence.rows, row))
    prob = evidence.y_prob[place]
    if evidence.is_multilabel:
        true, given = evidence.y_true[place] == 1, evidence.y_pred[place] == 1
    else:
        true, given = (np.arange(len(prob)) == labels[place] for labels in (evidence.y_true, evidence.y_pred))
    table = table_of(contest)
    source_text = str(table.train["input"].iloc[row])
    is_image = contest.spec.modality == "image"
    with st.container(border=True):
        left, right = st.columns([1, 2] if is_image else [TEXT_SHARE, 1 - TEXT_SHARE], gap="medium")
        with left:
            if is_image:
                st.image(str(table.image_path(source_text)), width="stretch", alt=_names(classes, true))
            else:
                st.text(source_text)
        with right:
            if evidence.is_multilabel:
                nothing = f"*{t('misses.none')}*"
                st.markdown(
                    t("misses.labels", true=plain(_names(classes, true)) or nothing, given=plain(_names(classes, given)) or nothing)
                )
            _bars(view, prob, true, given)
            folds = ", ".join(map(str, pairs_of(view.source.folds).folds_of(row)))
            st.caption(t("errors.inspector_id", id=plain(table.train["id"].iloc[row]), row=row, fold=folds))


def _bars(view: ErrorView, prob: np.ndarray, true: np.ndarray, given: np.ndarray) -> None:
    """The probabilities of the true, the predicted and the most probable classes."""
    classes, thresholds = view.classes, view.source.thresholds
    by_prob = np.argsort(-prob, kind="stable")
    named = np.flatnonzero((true | given)[by_prob])  # places in by_prob
    order = by_prob[np.union1d(named[:MAX_BARS], np.arange(min(N_BARS, len(prob))))[:MAX_BARS]]
    st.html(
        probability_bars(
            [classes[label] for label in order],
            [float(prob[label]) for label in order],
            true=[classes[label] for label in np.flatnonzero(true)],
            predicted=[classes[label] for label in np.flatnonzero(given)],
            marks={"true": t("errors.mark_true"), "predicted": t("errors.mark_predicted")},
            thresholds=[thresholds[label] if thresholds else THRESHOLD for label in order] if view.evidence.is_multilabel else (),
        )
    )
    rest = np.setdiff1d(np.arange(len(prob)), order)
    if not len(rest):
        return
    if view.evidence.is_multilabel:
        st.caption(t("misses.more_classes", n=len(rest), prob=f"{float(prob[rest].max()):.2%}"))
    else:
        st.caption(t("errors.more_classes", n=len(rest), share=f"{max(0.0, 1 - float(prob[order].sum())):.2%}"))


def _names(classes: tuple[str, ...], which: np.ndarray) -> str:
    return ", ".join(classes[label] for label in np.flatnonzero(which))
