"""What core says, in the language of the screen. Core speaks English in templates with values (core/base/messages.py).

app/words/core holds the Korean for each template. In the Korean, `{name:said}` marks a value that is itself looked up.
"""

from functools import cache
from pathlib import Path
from typing import Any

from app.words.text import language, load_texts, load_yaml, text_of
from core.base.messages import PLACEHOLDER, SETTING, Joined, Message, formatted

CORE_DIR = Path(__file__).with_name("core")
SEPARATORS = {", or ": "; 또는 ", " and ": ", ", " or ": " 또는 "}


def say(said: str) -> str:
    """A text of core in the language of the screen; one that has no translation stays as it is."""
    return said_in(said, language())


def korean(said: str) -> str:
    """A text of core in Korean."""
    return said_in(said, "ko")


def said_in(said: str, lang: str) -> str:
    """A text of core in a language, with corrections as fields of a page."""
    known = catalogue() if lang == "ko" else {}
    if isinstance(said, Joined):
        return (SEPARATORS.get(said.separator, said.separator) if known else said.separator).join(
            said_in(part, lang) for part in said.parts
        )
    if not isinstance(said, Message):
        return known.get(said, said)
    if said.template == SETTING:
        return _field(said.values["of"], said.values["name"], said.values["value"], lang)
    template = known.get(said.template, said.template)

    def value(name: str, how: str) -> str:
        found: Any = said.values[name]
        if isinstance(found, Message | Joined) or how == "said":
            return said_in(str(found) if not isinstance(found, str) else found, lang)
        return formatted(found, how)

    return PLACEHOLDER.sub(lambda hole: value(hole[1], hole[2] or "") if hole[1] in said.values else hole[0], template)


def _field(texts: str, name: str, value: str, lang: str) -> str:
    """A correction as a page has it: the field of a form, and the choice in it unless a person is to name one."""
    label = text_of(f"{texts}.{name}", lang)
    if not value or value.isupper() or value.startswith("["):
        return text_of("common.field_empty" if not value else "common.field", lang).format(label=label)
    entry = load_texts(texts).get(f"{name}={value}")
    return text_of("common.field_value", lang).format(label=label, value=entry[lang] if entry else value)


@cache
def catalogue() -> dict[str, str]:
    """The Korean of every template, from all files of app/words/core."""
    found: dict[str, str] = {}
    for path in sorted(CORE_DIR.glob("*.yaml")):
        found |= load_yaml(path)
    return found
