"""A form generated from a settings model, so that a setting is written once.

Fields marked `basic` come first, the rest is folded by section; a section's fields are drawn while it is open, and keep what was set in them when
it is closed. Labels and Korean help come from app/words/screen/<file>.yaml; English help is the field's own description. The browser's
limits are a courtesy: `parse_settings` checks again.
"""

import math
import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union

import streamlit as st
from pydantic.fields import FieldInfo

from app.words.text import language, load_texts, t
from core.base.settings import Settings, wanted_by

UNBOUNDED = 2**31 - 1
"""A whole number with this upper limit or a higher one is shown without a range."""

FIELD_PX = 130
"""The least width of a field; where it would be less, there are fewer in a row."""
LINES_PX = 120
"""The height of a field of names, a line each."""


@dataclass(frozen=True)
class Leaf:
    """One field of a form: its dotted path, the pydantic field and the value it starts from."""

    path: str
    info: FieldInfo
    value: Any

    @property
    def section(self) -> str:
        return self.path.rpartition(".")[0]

    def has(self, mark: str) -> bool:
        extra = self.info.json_schema_extra
        return isinstance(extra, dict) and bool(extra.get(mark))


@dataclass(frozen=True)
class Bounds:
    """The range a number must stay in, as the browser's widget understands it (both ends inclusive)."""

    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False


def settings_form(
    value: Settings,
    key: str,
    *,
    texts: str,
    skip: Sequence[str] = (),
    options: Mapping[str, Sequence[str]] | None = None,
    columns: int = 2,
    fold: bool = True,
) -> dict[str, Any]:
    """Draw a form for `value` and return what is in it, as nested plain values (not yet validated).

    `key` makes the widgets' state their own: change it to start again from `value`. `texts` is the file of labels.
    `skip` leaves fields out (they keep their value), `options` offers choices for a text field, `columns` are the most in a row. With
    `fold=False` there are no folded sections: every field is shown. A field that is used with some values of another one only is shown with these, and
    else has its default.
    """
    started, offered = {leaf.path: leaf.value for leaf in leaves_of(value)}, options or {}

    def is_used(leaf: Leaf) -> bool:
        wanted = wanted_by(leaf.info)
        return wanted is None or st.session_state.get(f"{key}.{wanted[0]}", started[wanted[0]]) in wanted[1]

    every = [leaf for leaf in leaves_of(value) if not leaf.has("hidden") and leaf.path not in skip]
    leaves = [leaf for leaf in every if is_used(leaf)]
    basic = [leaf for leaf in leaves if leaf.has("basic") or not fold]

    def plain(leaf: Leaf, shown: Any) -> Any:
        """The value of a field, from what stands in its widget; what was typed is trimmed, what was chosen may be a blank."""
        found = _plain(leaf, shown)
        return found.strip() if isinstance(found, str) and leaf.path not in offered else found

    def grid(chosen: Sequence[Leaf]) -> dict[str, Any]:
        with st.grid(columns, min_column_width=FIELD_PX, vertical_alignment="bottom"):
            return {leaf.path: plain(leaf, _widget(leaf, f"{key}.{leaf.path}", texts, offered.get(leaf.path))) for leaf in chosen}

    def held(chosen: Sequence[Leaf]) -> dict[str, Any]:
        """What was set in fields that are not drawn now."""
        keys = {leaf.path: f"{key}.{leaf.path}" for leaf in chosen}
        return {leaf.path: plain(leaf, st.session_state[keys[leaf.path]]) for leaf in chosen if keys[leaf.path] in st.session_state}

    with st.container(key=f"form-{key}"):
        values = {leaf.path: leaf.info.default for leaf in every if leaf not in leaves} | grid(basic)
        for section in dict.fromkeys(leaf.section for leaf in leaves):
            rest = [leaf for leaf in leaves if leaf.section == section and leaf not in basic]
            if rest:
                title = t(f"{texts}.section.{section}") if section else t(f"{texts}.section")
                box = st.expander(title, key=f"{texts}-section-{section}", on_change="rerun")
                with box:
                    values |= grid(rest) if box.open else held(rest)
    return merge(value.to_dict(), values)


def leaves_of(value: Settings) -> list[Leaf]:
    """Every setting of an object that applies, with its value."""
    return [Leaf(*leaf) for leaf in value.leaves()]


def merge(values: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested plain values with some dotted paths replaced."""
    for path, new in changes.items():
        *parents, last = path.split(".")
        target = values
        for parent in parents:
            target = target[parent]
        target[last] = new
    return values


def bounds(info: FieldInfo) -> Bounds:
    """The range of a number, read from the field's own constraints."""
    limits: dict[str, Any] = {
        name: getattr(rule, name) for rule in info.metadata for name in ("ge", "gt", "le", "lt") if hasattr(rule, name)
    }
    return Bounds(limits.get("gt", limits.get("ge")), limits.get("lt", limits.get("le")), "gt" in limits, "lt" in limits)


def help_of(texts: str, leaf: Leaf) -> str:
    """The field's help: its description in English, app/words/screen in Korean; with its range and its path."""
    line = leaf.info.description or "" if language() == "en" else load_texts(texts)[f"{leaf.path}.help"][language()]
    span = bounds(leaf.info)
    if span.high is not None and span.high >= UNBOUNDED:
        return f"{line}  \n`{leaf.path}` · {t('common.whole_number')}"
    low = "" if span.low is None else f"{span.low:g} {'<' if span.open_low else '≤'} "
    high = "" if span.high is None else f" {'<' if span.open_high else '≤'} {span.high:g}"
    return f"{line}  \n`{low}{leaf.path}{high}`"


def option_label(texts: str, path: str, option: str) -> str:
    """The text of one choice: `path=option` in the texts, or the option itself where it is a term of its own."""
    entry = load_texts(texts).get(f"{path}={option}")
    return entry[language()] if entry else option


def _widget(leaf: Leaf, key: str, texts: str, options: Sequence[str] | None) -> Any:
    """Draw the widget of a field, and return what stands in it."""
    label, about, kind = t(f"{texts}.{leaf.path}"), help_of(texts, leaf), _kind(leaf.info)
    keep: dict[str, Any] = {"key": key, "help": about, "persist_state": "session"}
    if kind is bool:
        return st.toggle(label, value=leaf.value, **keep)
    if typing.get_origin(kind) is Literal:
        choices = typing.get_args(kind)
        return st.selectbox(
            label, choices, index=choices.index(leaf.value), format_func=lambda one: option_label(texts, leaf.path, one), **keep
        )
    if kind is int or kind is float:
        return _number(leaf, label, kind, keep)
    if leaf.has("lines"):
        return st.text_area(label, "\n".join(leaf.value), placeholder="\n".join(options or ()), height=LINES_PX, **keep)
    if typing.get_origin(kind) is tuple:
        if _holds_numbers(kind):
            return st.text_input(label, value=", ".join(f"{number:.12g}" for number in leaf.value), placeholder="1, 2, 1", **keep)
        item = typing.get_args(kind)[0]
        choices = typing.get_args(item) if typing.get_origin(item) is Literal else None
        known = list(dict.fromkeys([*(choices or options or ()), *leaf.value]))
        return st.multiselect(
            label,
            known,
            default=list(leaf.value),
            format_func=lambda one: option_label(texts, leaf.path, one),
            accept_new_options=choices is None,
            placeholder="–",
            **keep,
        )
    if options is not None:
        known = list(dict.fromkeys(["", *options, leaf.value]))
        return st.selectbox(
            label,
            known,
            index=known.index(leaf.value),
            format_func=lambda one: option_label(texts, leaf.path, one) or "–",
            accept_new_options=True,
            **keep,
        )
    return st.text_input(label, value=leaf.value, **keep)


def _plain(leaf: Leaf, shown: Any) -> Any:
    """What stands in a widget as its field's kind. Numbers for classes are checked by the settings, and turned into numbers there."""
    kind = _kind(leaf.info)
    if kind is int or kind is float:
        return kind(shown)
    if leaf.has("lines"):
        return [line.strip() for line in (shown or "").splitlines() if line.strip()]
    if typing.get_origin(kind) is tuple:
        return re.findall(r"[^,\s]+", shown or "") if _holds_numbers(kind) else shown
    return shown or "" if kind is str else shown


def _holds_numbers(kind: Any) -> bool:
    """Whether a field holds any number of numbers, which are typed into one line."""
    return typing.get_args(kind)[0] in (int, float)


def _number(leaf: Leaf, label: str, kind: type, keep: dict[str, Any]) -> Any:
    span = bounds(leaf.info)
    low, high, step, shown = span.low, span.high, _step(leaf.value, span), "%.6g"
    if kind is int:
        low = None if low is None else low + span.open_low
        high = None if high is None else high - span.open_high
        step, shown = 1, None
    limits = {name: None if limit is None else kind(limit) for name, limit in (("min_value", low), ("max_value", high))}
    return st.number_input(label, value=kind(leaf.value), step=step, format=shown, **limits, **keep)


def _step(value: float, span: Bounds) -> float:
    """A step that moves a number by about a tenth: the power of ten below it, or a hundredth of its range for zero."""
    if value > 0:
        return 10.0 ** math.floor(math.log10(value) - 1e-9)
    return 0.01 if span.high is not None and span.high <= 1 else 1.0


def _kind(info: FieldInfo) -> Any:
    """The type of a field without `| None`."""
    if typing.get_origin(info.annotation) in (Union, UnionType):
        return next(option for option in typing.get_args(info.annotation) if option is not NoneType)
    return info.annotation
