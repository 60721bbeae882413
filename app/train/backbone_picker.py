"""The catalogue as a picker: search, filters, a table of what fits, and a card of the one that is chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
import streamlit as st

from app.shell import runtime
from app.ui.cards import section
from app.ui.format import plain
from app.words.core_text import say
from app.words.text import t
from core.recipes.backbones import Backbone, Listed, filter_backbones, list_backbones

MOST_SHOWN = 300
PARAMS_M = (5, 10, 25, 50, 100, 200, 500, 1000)


def pick_backbone(modality: str, chosen: str, on_pick: Callable[[Backbone], None], key: str) -> Listed | None:
    """Draw the picker and return the chosen backbone as it stands in the catalogue (None for a name that is not there).

    `on_pick` is called with the new backbone when a row is clicked, before the page is drawn again.
    """
    catalogue = catalogue_of(modality)
    current = next((one for one in catalogue if one.backbone.name.partition(".")[0] == chosen or one.backbone.name == chosen), None)
    with section(t("train.backbone")):
        filters = _filters(catalogue, modality, key)
    if current is not None:
        _card(current)
    text = st.text_input(
        t("train.search"),
        placeholder=t(f"train.search_{modality}", n=len(catalogue)),
        type="search",
        live="250ms",
        key=f"{key}-text",
        label_visibility="collapsed",
        persist_state="session",
    )
    found = filter_backbones(catalogue, text or "", **filters)
    shown = found[:MOST_SHOWN]
    if not shown:
        st.caption(t("train.found_none"))
        return current

    def picked() -> None:
        cells = st.session_state[table_key].selection.cells
        if cells:
            on_pick(shown[cells[0][0]].backbone)

    table_key = f"{key}-table"
    st.dataframe(
        _frame(shown, modality),
        key=table_key,
        on_select=picked,
        selection_mode="single-cell",
        hide_index=True,
        height=min(392, 30 + 28 * (len(shown) + 1)),
        row_height=28,
        alt=t("train.backbone"),
        column_config=_columns(modality),
    )
    cut = len(found) > len(shown)
    st.caption(t("train.found_cut" if cut else "train.found", shown=len(shown), found=len(found), total=len(catalogue)))
    return current


@st.cache_data(ttl=20, max_entries=4, show_spinner=False)
def _catalogue(modality: str, _root: str) -> tuple[Listed, ...]:
    return list_backbones(runtime.workspace(), modality)


def catalogue_of(modality: str) -> tuple[Listed, ...]:
    """All backbones of a modality and where their weights are, looked up again every twenty seconds."""
    return _catalogue(modality, str(runtime.workspace().root))


def place_label(one: Listed) -> str:
    """Where the weights of a backbone are, in a word."""
    if not one.backbone.has_pretrained:
        return t("train.place_none")
    return t(f"train.place_{one.place or 'hub'}")


def _filters(catalogue: Sequence[Listed], modality: str, key: str) -> dict[str, object]:
    backbones = [one.backbone for one in catalogue]
    only_here = st.toggle(t("train.filter_here"), key=f"{key}-here", persist_state="session")
    with st.popover(t("train.filters"), icon=":material/filter_list:"):
        family = st.selectbox(
            t("train.filter_family"),
            sorted({backbone.family for backbone in backbones}),
            index=None,
            placeholder=t("train.filter_any"),
            key=f"{key}-family",
            persist_state="session",
        )
        params = st.selectbox(
            t("train.filter_params"), PARAMS_M, index=None, placeholder=t("train.filter_any"), key=f"{key}-params", persist_state="session"
        )
        px = None
        if modality == "image":
            sizes = sorted({backbone.input_px for backbone in backbones})
            px = st.selectbox(
                t("train.filter_px"), sizes, index=None, placeholder=t("train.filter_any"), key=f"{key}-px", persist_state="session"
            )
    return {"family": family, "max_params_m": params, "input_px": px, "only_here": only_here}


def _card(one: Listed) -> None:
    backbone = one.backbone
    with st.container(border=True, gap="xxsmall", key="backbone-card"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", gap="small"):
            st.markdown(f"**{plain(backbone.name)}**", width="content")
            st.badge(place_label(one), color="green" if one.place else "gray")
        if not backbone.has_pretrained:
            st.caption(t("train.chosen_from_nothing", params=backbone.params_m))
        else:
            key = "train.chosen_size_image" if backbone.modality == "image" else "train.chosen_size_text"
            facts = {
                "params": backbone.params_m,
                "px": backbone.input_px,
                "tokens": backbone.max_tokens,
                "licence": plain(backbone.licence),
            }
            st.caption(t(key, **facts))
        if backbone.note:
            st.caption(plain(say(backbone.note)))


def _frame(shown: Sequence[Listed], modality: str) -> pd.DataFrame:
    size = [one.backbone.input_px if modality == "image" else one.backbone.max_tokens for one in shown]
    return pd.DataFrame(
        {
            "name": [one.backbone.name for one in shown],
            "params": [one.backbone.params_m for one in shown],
            "size": size,
            "here": [place_label(one) if one.place or not one.backbone.has_pretrained else "" for one in shown],
            "family": [one.backbone.family for one in shown],
        }
    )


def _columns(modality: str) -> dict[str, object]:
    config = st.column_config
    size = "px" if modality == "image" else "tokens"
    return {
        "name": config.TextColumn(t("train.col_name"), width=252),
        "params": config.NumberColumn(t("train.col_params"), help=t("train.col_params_help"), format="%.1f", width=52),
        "size": config.NumberColumn(t(f"train.col_{size}"), format="%d", width=52),
        "here": config.TextColumn(t("train.col_here"), width=64),
        "family": config.TextColumn(t("train.col_family"), width=70),
    }
