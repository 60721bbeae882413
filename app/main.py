"""The entry point of every page: draws the sidebar (contest picker, links to the pages, device status), then the selected page."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import streamlit as st  # noqa: E402  (the line above makes our packages importable)

from app.shell import runtime, state  # noqa: E402
from app.sidebar.devices import device_status  # noqa: E402
from app.ui.cards import error_card, guard, list_keys  # noqa: E402
from app.ui.format import plain  # noqa: E402
from app.words.core_text import say  # noqa: E402
from app.words.text import LANGUAGE_KEY, LANGUAGES, language, remember_language, t  # noqa: E402
from core.base.errors import PitwallError  # noqa: E402
from core.store.contests import list_contests  # noqa: E402

ASSETS = ROOT / "app" / "assets"
FLOW = {
    "contest": {"home": "home", "data": "dataset", "folds": "stacks"},
    "train": {"train": "tune", "runs": "monitoring"},
    "decide": {"ensemble": "balance", "errors": "grid_on", "submit": "outbox"},
}

st.set_page_config(page_title="Pitwall", page_icon=str(ASSETS / "mark.svg"), layout="wide")
st.logo(str(ASSETS / "logo.svg"), size="medium")
st.html(ASSETS / "style.css")
keys = f"document.documentElement.lang = '{language()}'\n{(ASSETS / 'keys.js').read_text(encoding='utf-8')}"
st.container(key="keys").html(f"<script>{keys}</script>", unsafe_allow_javascript=True)

top, middle, foot = (
    st.sidebar.container(key="side-top"),
    st.sidebar.container(key="side-flow", gap=None),
    st.sidebar.container(key="side-foot"),
)

# The language is drawn first, because every other text depends on it.
with foot:
    devices = st.container()
    st.segmented_control(
        "Language / 언어",
        list(LANGUAGES),
        format_func=LANGUAGES.__getitem__,
        default=language(),
        required=True,
        key=LANGUAGE_KEY,
        on_change=remember_language,
        label_visibility="collapsed",
    )
    if st.button(t("common.keys"), type="tertiary", key="keys-list", icon=":material/keyboard:"):
        list_keys()

pages = {
    section: [
        st.Page(
            ROOT / "pages" / f"{name}.py",
            title=t(f"common.page_{name}"),
            icon=f":material/{icon}:",
            help=t(f"common.help_{name}"),
            default=name == "home",
        )
        for name, icon in names.items()
        if (ROOT / "pages" / f"{name}.py").is_file()
    ]
    for section, names in FLOW.items()
}
page = st.navigation(pages, position="hidden")
phone = st.container(key="phone-status").empty()

with guard():
    newest_first = [contest.name for contest in state.newest_first(list_contests(runtime.workspace().store))]
    if unknown := state.settle(newest_first):
        st.toast(t("common.contest_gone", name=plain(unknown)), icon=":material/search_off:", duration="long")
    with top:
        st.selectbox(
            t("common.contest_picker"),
            newest_first,
            index=None,
            required=True,
            key=state.CONTEST_KEY,
            on_change=state.contest_picked,
            placeholder=t("common.contest_none"),
            disabled=not newest_first,
            label_visibility="collapsed",
        )
    with middle:
        for section, entries in pages.items():
            st.caption(t(f"common.section_{section}"))
            for entry in entries:
                source = state.remembered_source() if entry.url_path in ("errors", "submit") else ""
                of = {state.SOURCE_KEY: source} if source else {}
                st.page_link(entry, width="stretch", help="", query_params=state.link_params(**of))
    with devices:
        device_status(phone)
    status = runtime.status()
    if not status.is_mine:
        st.warning(t("common.read_only", holder=plain(say(status.held_by))), icon=":material/lock:")
    if status.problem is not None:
        error_card(PitwallError.from_dict(status.problem))
    page.run()
