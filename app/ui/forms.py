"""A form generated from a settings model, so that a setting is written once.

Fields marked `basic` come first, the rest is folded by section. Labels and Korean help come from app/words/screen/<file>.yaml;
English help is the field's own description. The browser's limits are a courtesy: `parse_settings` checks again.
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
    `skip` leaves fields out (they keep their value), `options` offers choices for a text field. With `fold=False` there
    are no folded sections: every field is shown. A field that is used with some values of another one only is shown with these, and
    else has its default.
    """
    started = {leaf.path: leaf.value for leaf in leaves_of(value)}

    def is_used(leaf: Leaf) -> bool:
        wanted = wanted_by(leaf.info)
        return wanted is None or st.session_state.get(f"{key}.{wanted[0]}", started[wanted[0]]) in wanted[1]

    every = [leaf for leaf in leaves_of(value) if not leaf.has("hidden") and leaf.path not in skip]
    leaves = [leaf for leaf in every if is_used(leaf)]
    basic = [leaf for leaf in leaves if leaf.has("basic") or not fold]

    def grid(chosen: Sequence[Leaf]) -> dict[str, Any]:
        drawn: dict[str, Any] = {}
        for start in range(0, len(chosen), columns):
            for place, leaf in zip(st.columns(columns, vertical_alignment="bottom"), chosen[start : start + columns], strict=False):
                with place:
                    drawn[leaf.path] = _widget(leaf, f"{key}.{leaf.path}", texts, (options or {}).get(leaf.path))
        return drawn

    with st.container(key=f"form-{key}"):
        values = {leaf.path: leaf.info.default for leaf in every if leaf not in leaves} | grid(basic)
        for section in dict.fromkeys(leaf.section for leaf in leaves):
            rest = [leaf for leaf in leaves if leaf.section == section and leaf not in basic]
            if rest:
                with st.expander(t(f"{texts}.section.{section}") if section else t(f"{texts}.section")):
                    values |= grid(rest)
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
        text = st.text_area(label, "\n".join(leaf.value), placeholder="\n".join(options or ()), height=LINES_PX, **keep)
        return [line.strip() for line in (text or "").splitlines() if line.strip()]
    if typing.get_origin(kind) is tuple:
        item = typing.get_args(kind)[0]
        if item in (int, float):  # checked and turned into numbers by the settings
            text = st.text_input(label, value=", ".join(f"{number:.12g}" for number in leaf.value), placeholder="1, 2, 1", **keep)
            return re.findall(r"[^,\s]+", text or "")
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
        chosen = st.selectbox(
            label,
            known,
            index=known.index(leaf.value),
            format_func=lambda one: option_label(texts, leaf.path, one) or "–",
            accept_new_options=True,
            **keep,
        )
        return "" if chosen is None else chosen
    return str(st.text_input(label, value=leaf.value, **keep) or "").strip()


def _number(leaf: Leaf, label: str, kind: type, keep: dict[str, Any]) -> int | float:
    span = bounds(leaf.info)
    low, high, step, shown = span.low, span.high, _step(leaf.value, span), "%.6g"
    if kind is int:
        low = None if low is None else low + span.open_low
        high = None if high is None else high - span.open_high
        step, shown = 1, None
    limits = {name: None if limit is None else kind(limit) for name, limit in (("min_value", low), ("max_value", high))}
    return kind(st.number_input(label, value=kind(leaf.value), step=step, format=shown, **limits, **keep))


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
