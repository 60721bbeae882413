"""Rows of a contest to look through, and one of them closely: what every part of the page Errors ends in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from app.shell.tables import table_of
from app.shell.thumbnails import picture
from app.ui.components.gallery.component import Tile, gallery
from app.ui.format import plain
from app.words.text import t
from core.folds.save import load_folds
from core.predictions.source import Source
from core.store.contests import Contest

PER_PAGE = {"image": 48, "text": 12}
FEW = {"image": 8, "text": 4}
GALLERY_PX = 330


def browse(contest: Contest, source: Source, rows: Sequence[int], caption: Callable[[int], str], *, of: str) -> int:
    """Show training rows as tiles, page by page, and return the one that is picked, at first the first of the page.

    `caption` is asked for places in `rows`; `of` names what they are rows of, so that a page number belongs to it alone.
    """
    modality = contest.spec.modality
    per_page = PER_PAGE[modality]
    n_pages = -(-len(rows) // per_page)
    slot = st.container(height=GALLERY_PX if len(rows) > FEW[modality] else "content")
    page = st.pagination(n_pages, key=f"cell-page-{source.ref}-{of}") if n_pages > 1 else 1
    places = range((page - 1) * per_page, min(page * per_page, len(rows)))
    table = table_of(contest)
    tiles = [
        Tile(
            int(rows[place]),
            caption(place),
            src=picture(contest, "train", int(rows[place])) if modality == "image" else "",
            text=table.train["input"].iloc[rows[place]] if modality == "text" else "",
        )
        for place in places
    ]
    label = t("errors.gallery_label", first=places.start + 1, last=places.stop, total=len(rows))
    with slot:
        picked = gallery(tiles, selected=tiles[0].row, label=label, key=f"cell-gallery-{source.ref}")
    return picked if picked is not None else tiles[0].row


def closely(contest: Contest, source: Source, row: int, *, alt: str, tell: Callable[[], None], text_share: float = 0.5) -> None:
    """One training row: what it is, on the left; on the right what `tell` says of it, and where it comes from.

    `alt` describes a picture; a text takes `text_share` of the width.
    """
    table = table_of(contest)
    text = str(table.train["input"].iloc[row])
    is_image = contest.spec.modality == "image"
    with st.container(border=True):
        left, right = st.columns([1, 2] if is_image else [text_share, 1 - text_share], gap="medium")
        with left:
            if is_image:
                st.image(str(table.image_path(text)), width="stretch", alt=alt)
            else:
                st.text(text)
        with right:
            tell()
            folds = load_folds(source.workspace, source.folds).folds_of(row)
            st.caption(t("errors.inspector_id", id=plain(table.train["id"].iloc[row]), row=row, fold=", ".join(map(str, folds))))
