"""A table of pairs of classes, how often each occurs and of how much that is, in which one row can be picked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
import streamlit as st

from app.words.text import t

Pair = tuple[int, int]


def pair_table(
    pairs: Sequence[tuple[int, int, int, float]],
    classes: Sequence[str],
    *,
    key: str,
    titles: tuple[str, str, str],
    alt: str,
    picked: Pair,
    pick: Callable[[Pair | None], None],
) -> None:
    """Draw pairs, each (first class, second class, count, share 0 to 1); `titles` head both classes and the share.

    `picked` is marked; `pick` hears of a click, None when a row was let go of.
    """

    def choose() -> None:
        rows = st.session_state[key]["selection"]["rows"]
        pick(pairs[rows[0]][:2] if rows else None)

    table = pd.DataFrame(
        {
            "first": [classes[first] for first, *_ in pairs],
            "second": [classes[second] for _, second, *_ in pairs],
            "count": [count for _, _, count, _ in pairs],
            "share": [100 * share for *_, share in pairs],
        }
    )
    st.dataframe(
        table,
        hide_index=True,
        key=key,
        on_select=choose,
        selection_mode="single-row",
        selection_default={"selection": {"rows": [place for place, pair in enumerate(pairs) if pair[:2] == picked]}},
        alt=alt,
        column_config={
            "first": titles[0],
            "second": titles[1],
            "count": st.column_config.NumberColumn(t("errors.pair_count"), width="small"),
            "share": st.column_config.ProgressColumn(titles[2], format="%.1f %%", min_value=0, max_value=float(table["share"].max())),
        },
    )
