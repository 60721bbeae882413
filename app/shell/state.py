"""The selected contest, folds and run, and links between pages. The address comes first, the session second, so a reload and a shared link keep them."""

from collections.abc import Iterable
from pathlib import Path

import streamlit as st

from app.shell import runtime
from app.words.text import LANGUAGE_KEY
from core.base.errors import NotFoundError
from core.store.contests import Contest, get_contest
from core.store.folds import Folds, list_folds

PAGES_DIR = Path(__file__).resolve().parents[2] / "pages"
CONTEST_KEY = "contest"  # of the picker, and of ?contest=
RUN_KEY = "run"
FOLDS_KEY = "folds"
SOURCE_KEY = "source"
_NEXT = "next_contest"
_SOURCE = "selected_source"


def newest_first(contests: Iterable[Contest]) -> list[Contest]:
    """Those that are not archived before those that are; the first one is selected where nothing else was."""
    return sorted(contests, key=lambda contest: (contest.archived_at is None, contest.created_at), reverse=True)


def settle(names: list[str]) -> str:
    """Set the picker before it is drawn: to what a page selected, else the address, else the session, else the newest contest.

    `names` are the contests that exist, newest first; a selection that no longer exists is dropped. An address that names a contest follows;
    one that names none is left as it is, since each change is a step of the browser's Back. Returns a name in the address that no contest has.
    """
    asked, addressed = st.session_state.pop(_NEXT, None), st.query_params.get(CONTEST_KEY, "")
    current = next((name for name in (asked, addressed, st.session_state.get(CONTEST_KEY)) if name in names), names[0] if names else None)
    if st.session_state.get(CONTEST_KEY) != current:
        st.session_state[CONTEST_KEY] = current
    if asked or addressed:
        remember_contest()
    return addressed if addressed not in names else ""


def remember_contest() -> None:
    """Put the picker's contest into the address."""
    _address(CONTEST_KEY, st.session_state.get(CONTEST_KEY))


def contest_picked() -> None:
    """The picker's callback: another contest has other sources."""
    st.session_state.pop(_SOURCE, None)
    st.query_params.pop(SOURCE_KEY, None)
    remember_contest()


def remember_source(ref: str) -> None:
    """Errors and Submit open with this source where their link names none."""
    st.session_state[_SOURCE] = ref


def remembered_source() -> str:
    """The source that was last chosen or made; "" for none."""
    return st.session_state.get(_SOURCE, "")


def selected_contest() -> Contest | None:
    """The contest of the picker, or None when there is none yet."""
    name = st.session_state.get(CONTEST_KEY)
    if not name:
        return None
    try:
        return get_contest(runtime.workspace().store, name)
    except NotFoundError:  # deleted in another tab since the picker was drawn
        return None


def select_contest(name: str) -> None:
    """Make `name` the contest of the next rerun; follow with `st.rerun()` or `st.switch_page`."""
    st.session_state[_NEXT] = name


def select_run(ref: str | None) -> None:
    """Put a run (or none) into the address."""
    _address(RUN_KEY, ref)


def _address(key: str, value: str | None) -> None:
    if value is None:
        st.query_params.pop(key, None)
    elif st.query_params.get(key) != value:
        st.query_params[key] = value


def selected_folds(contest: Contest) -> Folds | None:
    """The folds in the address (`?folds=3fa2`), else those of this session, else the newest; None when the contest has none."""
    known = list_folds(runtime.workspace().store, contest.id)
    asked = st.query_params.get(FOLDS_KEY) or st.session_state.get("selected_folds") or ""
    return next((folds for folds in known if asked and folds.fingerprint.startswith(asked)), known[0] if known else None)


def select_folds(folds: Folds) -> None:
    """Put folds into the address and the session."""
    st.session_state["selected_folds"] = st.query_params[FOLDS_KEY] = folds.fingerprint[:6]


def link_params(**extra: str) -> dict[str, str]:
    """The address parameters a link to another page must carry, so that the next page shows the same contest and language."""
    contest = st.session_state.get(_NEXT) or st.session_state.get(CONTEST_KEY)
    kept = {CONTEST_KEY: contest} if contest else {}
    kept |= {key: st.query_params[key] for key in (LANGUAGE_KEY, FOLDS_KEY) if key in st.query_params}
    return kept | extra


def go_to(page: str, **params: str) -> None:
    """Open another page (a name in pages/) with the same contest and language."""
    st.switch_page(PAGES_DIR / f"{page}.py", query_params=link_params(**params))
