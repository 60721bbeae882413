"""Home: the contests of the workspace and where each one stands."""

import streamlit as st

from app.contest.contest_view import contest_row, sample_card, search, ticked_contests
from app.contest.trash_view import archive, trash
from app.shell import runtime
from app.shell.state import go_to
from app.ui.cards import empty_state, page_header, section
from app.ui.format import plain
from app.words.text import t
from core.analysis.overview import contest_overviews
from core.base.files import shown_path
from core.contest.samples import SAMPLES

workspace = runtime.workspace()
page_header(t("home.title"), note=t("home.workspace", path=plain(shown_path(workspace.root))))
every = contest_overviews(workspace.store)
overviews = [overview for overview in every if overview.contest.archived_at is None]

if overviews:
    with section(t("home.contests")):
        ticked_contests([overview.contest for overview in overviews])
        if st.button(t("home.add"), icon=":material/add:", type="primary"):
            go_to("data", view="add")
    asked = search(len(overviews))
    shown = [one for one in overviews if asked in f"{one.contest.name} {t(f'common.modality_{one.contest.spec.modality}')}".casefold()]
    with st.container(gap="small"):
        for overview in sorted(shown, key=lambda one: -one.active_at):
            contest_row(overview)
        if not shown:
            st.caption(t("home.found_none"))
elif empty_state(t("home.empty_title"), t("home.empty_why"), t("home.add"), icon="flag"):
    go_to("data", view="add")

section(t("home.samples"), t("home.samples_why"))
opened = {overview.contest.sample for overview in every}
for place, sample in zip(st.columns(len(SAMPLES)), SAMPLES.values(), strict=True):
    with place:
        sample_card(sample, sample.name in opened)

archive([overview for overview in every if overview.contest.archived_at is not None])
trash()
