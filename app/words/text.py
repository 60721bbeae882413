"""Every text on the screen, in English and Korean, from app/words/screen/*.yaml.

`t("runs.empty_title", n=3)` reads the key `empty_title` of screen/runs.yaml in the language that is switched on.
"""

from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

import streamlit as st
import yaml

from core.base.messages import formatted

LANGUAGES = {"en": "English", "ko": "한국어"}
TEXTS_DIR = Path(__file__).with_name("screen")
LANGUAGE_KEY = "lang"  # of the switch, and of ?lang=


def language() -> str:
    """The language of this session: the switch, else `?lang=` in the address, else the browser's."""
    for chosen in (st.session_state.get(LANGUAGE_KEY), st.query_params.get(LANGUAGE_KEY)):
        if chosen in LANGUAGES:
            return chosen
    return "ko" if str(st.context.locale or "").lower().startswith("ko") else "en"


def remember_language() -> None:
    """Put the switch into the address, so that F5 and a link keep it (the switch's callback)."""
    st.query_params[LANGUAGE_KEY] = language()


def t(key: str, /, **values: object) -> str:
    """The text of `file.key`, with `{name}` replaced by the values; an unknown key is a bug and raises KeyError."""
    return _WORDS.vformat(text_of(key, language()), (), values)


class _Words(Formatter):
    """`{n:row|rows}` is a word for one and a word for any other number, as in the sentences of core."""

    def format_field(self, value: Any, format_spec: str) -> str:
        return formatted(value, format_spec)


_WORDS = _Words()


def text_of(key: str, lang: str) -> str:
    """The text of `file.key` in a language, before any replacement."""
    file, _, name = key.partition(".")
    texts = load_texts(file)
    if name not in texts:
        raise KeyError(f"no text '{name}' in app/words/screen/{file}.yaml")
    return texts[name][lang]


@cache
def load_texts(file: str) -> dict[str, dict[str, str]]:
    """All texts of one file: key -> language -> text."""
    return load_yaml(TEXTS_DIR / f"{file}.yaml")


def load_yaml(path: Path) -> dict[str, Any]:
    """A file of words, by libyaml where PyYAML has it: ten times as fast."""
    return yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
