"""Correcting a registered contest on the page Data: a form over its settings, what depends on a change, and the button that makes it."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import streamlit as st

from app.contest.contest_view import progress_bar, setting_choices
from app.shell import runtime, state
from app.shell.tables import table_of
from app.ui.cards import guard
from app.ui.format import plain
from app.ui.forms import settings_form
from app.words.core_text import say
from app.words.text import t
from core.base.errors import PitwallError
from core.contest.files import ContestFiles
from core.contest.names import read_class_names
from core.correction import Correction, correct, plan_correction
from core.folds import group_columns
from core.store.contests import Contest, name_classes

PLAN_KEY = "correction"
MOST_SHOWN = 80


def correction(contest: Contest) -> None:
    """The form, where it is asked for; a plan that was made stands under it until it is accepted or another setting is chosen."""
    if not st.toggle(t("data.correct"), key=f"correcting-{contest.id}"):
        return
    with st.container(border=True), guard():
        st.caption(t("data.correct_note"))
        given = settings_form(
            contest.spec,
            f"correct-{contest.id}-{contest.version}",
            texts="contest",
            skip=("name",),
            options=_choices(contest) | {"submission_names": contest.spec.classes},
        )
        changed = {name: value for name, value in given.items() if value != contest.spec.to_dict()[name]}
        root = st.text_input(t("data.correct_root"), contest.spec.root, key=f"correct-root-{contest.id}-{contest.version}")
        if root and root != contest.spec.root:
            changed["root"] = root
        if st.button(t("data.correct_plan"), icon=":material/rule:", disabled=not changed, key="correct-plan"):
            st.session_state[PLAN_KEY] = (contest, changed, _plan(contest, changed))
        planned: tuple[Contest, dict[str, Any], Correction] | None = st.session_state.get(PLAN_KEY)
        if planned is not None and planned[:2] == (contest, changed):
            _accept(planned[2])


def named_classes(contest: Contest) -> None:
    """The names of the classes on the screen, a line for each, where they are asked for."""
    box = st.popover(t("data.class_names"), icon=":material/label:", key=f"class-names-box-{contest.id}", on_change="rerun")
    if not box.open:
        return
    with box, guard():
        codes, shown = contest.spec.classes, contest.shown_classes
        lines = "\n".join(f"{code}={'' if name == code else name}" for code, name in zip(codes, shown, strict=True))
        given = st.text_area(t("data.class_names_help"), lines, height=220, key=f"class-names-{contest.id}-{hash(shown)}")
        if st.button(t("data.class_names_save"), icon=":material/check:", disabled=runtime.is_read_only(), key="save-class-names"):
            names = read_class_names([line for line in given.splitlines() if line.strip()], codes, shown)
            name_classes(runtime.workspace().store, contest.id, names)
            st.rerun()


def _choices(contest: Contest) -> dict[str, Sequence[str]]:
    columns: list[str] = []
    with suppress(PitwallError):  # the page says what is wrong with the rows; where the images are is corrected here
        columns = group_columns(table_of(contest).train)
    root = Path(contest.spec.root)
    return setting_choices(columns, ContestFiles(root).tables() if root.is_dir() else [])


def _plan(contest: Contest, changed: dict[str, Any]) -> Correction:
    total = contest.n_train + contest.n_test
    with progress_bar(lambda done, total: t("data.registering", done=done, total=total), total) as report:
        answers = {name: value for name, value in changed.items() if name != "root"}
        root = Path(changed["root"]) if "root" in changed else None
        return plan_correction(runtime.workspace(), contest, answers=answers, root=root, progress=report)


def _accept(plan: Correction) -> None:
    labels = {name: t("data.correct_root") if name == "root" else t(f"contest.{name}") for name in plan.changes}
    lines = [f"- {labels[name]}: **{_short(old)}** → **{_short(new)}**" for name, (old, new) in plan.changes.items()]
    st.markdown("\n".join([*lines, *(f"- {plain(say(effect))}" for effect in plan.effects)]))
    if st.button(t("data.correct_yes"), type="primary", icon=":material/check:", key="correct-accept"):
        after = correct(runtime.workspace(), plan)
        del st.session_state[PLAN_KEY]
        state.select_contest(after.name)
        st.toast(t("data.corrected", name=plain(after.name)), icon=":material/check:")
        st.rerun()


def _short(value: object) -> str:
    text = ", ".join(value) if isinstance(value, tuple | list) else str(value)
    return plain(text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…") or "–"
