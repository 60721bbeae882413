"""The backbone on the page Train: the one that is chosen, and the catalogue behind it, drawn while it is open: search, filters, and a button in
each row that makes it the recipe's backbone."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from app.shell import runtime
from app.ui.format import plain
from app.words.core_text import say
from app.words.text import t
from core.base.files import shell_name
from core.recipes.plan import OPEN, Backbone, Listed, filter_backbones, list_backbones

FEW = 4
TABLE_PX, ROW_PX = 322, 28
PARAMS_M = (5, 10, 25, 50, 100, 200, 500, 1000)
GMACS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200)
TOP1 = (88, 87, 86, 85, 84, 82, 80, 75)


def pick_backbone(modality: str, chosen: str, on_pick: Callable[[Backbone], None], key: str, note: str = "") -> Listed | None:
    """Draw the chosen backbone and the picker, and return it as it stands in the catalogue (None for a name that is not there).

    `on_pick` is called with the new backbone when the button of its row is pressed, before the page is drawn again; nothing else in the table
    chooses. `note` stands under the chosen one.
    """
    listed = catalogue(modality)
    current = next((one for one in listed if one.backbone.name.partition(".")[0] == chosen or one.backbone.name == chosen), None)
    with st.container(border=True, gap="xsmall", key="backbone-band"):
        if current is not None:
            _card(current, note)
        box = st.expander(t("train.choose_another", n=len(listed)), key=f"{key}-catalogue", on_change="rerun", type="compact")
        if box.open:
            with box:
                _table_of(listed, modality, on_pick, key)
    return current


def _table_of(listed: Sequence[Listed], modality: str, on_pick: Callable[[Backbone], None], key: str) -> None:
    """Search, filters, and the table of what is found."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        text = st.text_input(
            t("train.search"),
            placeholder=t(f"train.search_{modality}", n=len(listed)),
            type="search",
            live="250ms",
            key=f"{key}-text",
            label_visibility="collapsed",
            persist_state="session",
        )
        filters = _filters(listed, modality, key)
    found = filter_backbones(listed, text or "", **filters)
    if not found:
        st.caption(t("train.found_none"))
        if modality == "text" and text:
            st.caption(t("train.found_add"))
            st.code(f"python -m core backbone add {shell_name(text)}", language="bash", wrap_lines=True)
        return

    def use() -> None:
        on_pick(found[st.session_state[f"{key}-use"].row].backbone)

    if text and len(found) <= FEW:  # a cell of a table cannot be pressed by keyboard
        with st.container(horizontal=True, gap="small"):
            for one in found:
                st.button(plain(one.backbone.name), key=f"{key}-use-{one.backbone.name}", on_click=on_pick, args=(one.backbone,))
    frame, columns = _table(found, modality)
    st.dataframe(
        frame,
        key=f"{key}-table",
        hide_index=True,
        height=min(TABLE_PX, 30 + ROW_PX * (len(found) + 1)),
        row_height=ROW_PX,
        placeholder="–",
        alt=t("train.backbone"),
        column_config={"use": st.column_config.ButtonColumn(t("train.col_use"), key=f"{key}-use", on_click=use, width=60), **columns},
    )
    st.caption(t("train.found", shown=len(found), total=len(listed)))


def catalogue(modality: str) -> tuple[Listed, ...]:
    """All backbones of a modality and where their weights are, looked up again every twenty seconds."""
    return _catalogue(modality, str(runtime.workspace().root))


@st.cache_resource(ttl=20, max_entries=4, show_spinner=False)  # frozen rows, so nothing needs a copy
def _catalogue(modality: str, _root: str) -> tuple[Listed, ...]:
    return list_backbones(runtime.workspace(), modality)


def place_label(one: Listed) -> str:
    """Where the weights of a backbone are, in a word."""
    return t(f"train.place_{one.place or 'hub'}" if one.backbone.has_pretrained else "train.place_none")


def _filters(listed: Sequence[Listed], modality: str, key: str) -> dict[str, Any]:
    def choose(name: str, options: Sequence[Any], label_of: Callable[[Any], str] = str) -> Any:
        label, any_of = t(f"train.filter_{name}"), t("train.filter_any")
        return st.selectbox(
            label, options, index=None, placeholder=any_of, key=f"{key}-{name}", format_func=label_of, persist_state="session"
        )

    backbones = [one.backbone for one in listed]
    only_here = st.toggle(t("train.filter_here"), key=f"{key}-here", persist_state="session")
    with st.popover(t("train.filters"), icon=":material/filter_list:"):
        licences = [OPEN, *sorted({backbone.licence for backbone in backbones} - {""})]
        chosen = {
            "family": choose("family", sorted({backbone.family for backbone in backbones})),
            "max_params_m": choose("params", PARAMS_M),
            "licence": choose("licence", licences, lambda one: t("train.licence_open") if one == OPEN else one),
        }
        if modality == "image":
            sets = {name for backbone in backbones for name in backbone.pretraining.split(" > ")} - {""}
            chosen |= {
                "pretraining": choose("pretraining", sorted(sets)),
                "min_top1": choose("top1", TOP1),
                "max_gmacs": choose("gmacs", GMACS),
                "input_px": choose("px", sorted({backbone.input_px for backbone in backbones})),
            }
    return {**chosen, "only_here": only_here}


def _card(one: Listed, note: str) -> None:
    backbone, published = one.backbone, one.backbone.published
    key = "train.chosen_linear" if backbone.library == "sklearn" else "train.chosen_from_nothing"
    if backbone.has_pretrained:
        key = f"train.chosen_size_{backbone.modality}"
    sizes = {"params": backbone.params_m, "px": backbone.input_px, "tokens": backbone.max_tokens}
    facts = (
        t(key, **sizes, licence=plain(backbone.licence) or t("train.licence_unknown")),
        plain(backbone.pretraining),
        t("train.chosen_top1", top1=published.top1, px=published.px) if published else "",
        t("train.chosen_gmacs", gmacs=backbone.gmacs) if backbone.gmacs else "",
    )
    with st.container(gap="xxsmall", key="backbone-card"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f":gray[{t('train.backbone')}] **{plain(backbone.name)}**", width="content")
            if backbone.has_pretrained:
                st.badge(place_label(one), color="green" if one.place else "gray")
        for line in filter(None, (" · ".join(filter(None, facts)), plain(say(backbone.note)) if backbone.note else "", note)):
            st.caption(line)


def _table(shown: Sequence[Listed], modality: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The rows of the catalogue, and how its columns are shown."""
    is_image, config = modality == "image", st.column_config
    columns = {
        "use": [t("train.use")] * len(shown),
        "name": [one.backbone.name for one in shown],
        "params": [one.backbone.params_m or None for one in shown],
        "size": [(one.backbone.input_px if is_image else one.backbone.max_tokens) or None for one in shown],
        **(
            {
                "top1": [one.backbone.published.top1 if one.backbone.published else None for one in shown],
                "gmacs": [one.backbone.gmacs or None for one in shown],
            }
            if is_image
            else {}
        ),
        "here": [place_label(one) if one.place or not one.backbone.has_pretrained else "" for one in shown],
        "licence": [one.backbone.licence or t("train.licence_unknown") for one in shown],
        **({"pretraining": [one.backbone.pretraining for one in shown]} if is_image else {}),
    }
    return pd.DataFrame(columns), {
        "name": config.TextColumn(t("train.col_name"), width=330),
        "params": config.NumberColumn(t("train.col_params"), help=t("train.col_params_help"), format="%.1f", width=70),
        "size": config.NumberColumn(t("train.col_px" if is_image else "train.col_tokens"), format="%d", width=54),
        "top1": config.NumberColumn(t("train.col_top1"), help=t("train.col_top1_help"), format="%.1f", width=60),
        "gmacs": config.NumberColumn(t("train.col_gmacs"), help=t("train.col_gmacs_help"), format="%.3g", width=66),
        "here": config.TextColumn(t("train.col_here"), width=84),
        "licence": config.TextColumn(t("train.col_licence"), width=110),
        "pretraining": config.TextColumn(t("train.col_pretraining"), width=220),
    }
