"""How strong each class is in groups of test rows, such as all reviews of one film: a table, the classes of one group as bars, both to be saved."""

import streamlit as st

from app.shell import runtime
from app.shell.tables import table_of
from app.ui.cards import guard
from app.ui.charts import draw, strength_bars
from app.ui.format import plain
from app.ui.sources import strengths_of
from app.words.text import t
from core.analysis.strengths import GROUP, N_ROWS, N_TAKEN, STRONGEST, group_columns
from core.base.names import file_name
from core.predictions.source import Source
from core.store.contests import Contest


@st.cache_data(max_entries=16, show_spinner=False)
def _columns(_contest: Contest, key: tuple[object, ...]) -> list[str]:
    return group_columns(table_of(_contest).test)


@st.fragment
def strengths(contest: Contest, source: Source) -> None:
    """The panel, where a column of the test rows groups them, computed when it is opened; nothing where none does."""
    columns = _columns(contest, (str(runtime.workspace().root), contest.id, contest.version))
    if not columns:
        return
    box = st.expander(t("strengths.title"), icon=":material/equalizer:", key=f"strengths-{contest.id}", on_change="rerun")
    if not box.open:
        return
    with box, guard():
        st.caption(t("strengths.note"))
        with st.container(horizontal=True, vertical_alignment="bottom"):
            column = st.selectbox(t("strengths.by"), columns, key=f"strengths-by-{contest.id}", width=220)
            most = max(1, contest.n_test)
            at_least = st.number_input(
                t("strengths.at_least"), 1, most, 1, key=f"strengths-least-{contest.id}", help=t("strengths.least_help")
            )
            at_most = st.number_input(t("strengths.at_most"), 0, most, 0, key=f"strengths-most-{contest.id}", help=t("strengths.most_help"))
            apart = st.selectbox(
                t("strengths.apart"),
                contest.shown_classes,
                index=None,
                placeholder=t("strengths.apart_none"),
                key=f"strengths-apart-{contest.id}",
                help=t("strengths.apart_help"),
            )
        found = strengths_of(source, column, int(at_least), int(at_most))
        table = found.to_table(apart or "")
        counts = {"groups": len(found.groups), "groups_small": found.n_small, "groups_cut": int((found.n_taken < found.n_rows).sum())}
        st.caption(" ".join(t(f"strengths.{name}", n=n) for name, n in counts.items() if n))
        left, right = st.columns([3, 2], gap="medium")
        with left:
            means = {
                name: st.column_config.ProgressColumn(plain(name), min_value=0, max_value=1, format="%.3f") for name in table.columns[4:]
            }
            event = st.dataframe(
                table,
                hide_index=True,
                key=f"strengths-table-{contest.id}-{column}-{len(found.groups)}",
                on_select="rerun",
                selection_mode="single-row",
                selection_default={"selection": {"rows": [0]}},
                alt=t("strengths.title"),
                column_config={
                    GROUP: st.column_config.TextColumn(plain(column), pinned=True),
                    N_ROWS: t("strengths.rows"),
                    N_TAKEN: t("strengths.rows_taken"),
                    STRONGEST: t("strengths.strongest"),
                    **means,
                },
            )
            st.download_button(
                t("strengths.download"),
                lambda: table.to_csv(index=False).encode("utf-8-sig"),
                file_name(source.name, column, suffix=".csv"),
                "text/csv",
                on_click="ignore",
                icon=":material/download:",
                key=f"strengths-csv-{contest.id}",
            )
        row = next((row for row in event.selection.rows if row < len(table)), 0)
        with right:
            group = found.groups[row]
            chart = strength_bars(found.classes, found.means[row], t("strengths.chart", group=group), apart=apart or "")
            draw(chart, key="strength-bars", alt=t("strengths.chart", group=group))
