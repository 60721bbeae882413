"""What core says, in the language of the screen. Core speaks English in templates with values (core/base/messages.py).

app/words/core holds the Korean for each template. In the Korean, `{name:said}` marks a value that is itself looked up.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

from app.words.text import language, load_texts, load_yaml, text_of
from core.base.messages import ASSIGNED, PLACEHOLDER, SETTING, Joined, Message, formatted
from core.base.settings import walk_fields
from core.specs.contest import ContestSpec
from core.specs.folds import FoldsSpec
from core.specs.recipe import Recipe

CORE_DIR = Path(__file__).with_name("core")
FORMS = {
    path: texts
    for texts, model in (("split", FoldsSpec), ("recipe", Recipe), ("contest", ContestSpec))
    for path, info, _ in walk_fields(model)
    if not isinstance(info.json_schema_extra, dict) or not info.json_schema_extra.get("hidden")
}
"""Which form has the field of a setting."""
NAMED = re.compile(r"`([a-z]+(?:[_.][a-z]+)*)`|(?<![\w{.=/`-])([a-z]+(?:_[a-z]+)+)(?![\w}:=.])", re.ASCII)
"""A setting by its name within a sentence."""
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
        return _with_fields(known.get(said, said), lang) if said in catalogue() else said
    if said.template == SETTING:
        return _field(said.values["of"], said.values["name"], said.values["value"], lang)
    template = _with_fields(known.get(said.template, said.template), lang)
    looked_up = {hole[1] for hole in PLACEHOLDER.finditer(catalogue().get(said.template, "")) if hole[2] == "said"}

    def value(name: str, how: str) -> str:
        found: Any = said.values[name]
        if isinstance(found, Message | Joined) or name in looked_up:
            return said_in(str(found) if not isinstance(found, str) else found, lang)
        return formatted(found, how)

    return PLACEHOLDER.sub(lambda hole: value(hole[1], hole[2] or "") if hole[1] in said.values else hole[0], template)


def _field(texts: str, name: str, value: str, lang: str) -> str:
    """A correction as a page has it: the field of a form, and the choice in it unless a person is to name one."""
    label = text_of(f"{texts}.{name}", lang)
    if not value or value.isupper() or value.startswith("[") or value in ("이름", "폴더"):
        return text_of("common.field_empty" if not value else "common.field", lang).format(label=label)
    entry = load_texts(texts).get(f"{name}={value}")
    return text_of("common.field_value", lang).format(label=label, value=entry[lang] if entry else value)


def _with_fields(template: str, lang: str) -> str:
    """A template whose settings, as the command line names them (`label_column=NAME`, image_root), are the fields of a form."""

    def field(found: re.Match[str]) -> str:
        return _field(FORMS[found[1]], found[1], found[2], lang) if found[1] in FORMS else found[0]

    def named(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        return text_of("common.field_name", lang).format(label=text_of(f"{FORMS[name]}.{name}", lang)) if name in FORMS else found[0]

    return NAMED.sub(named, ASSIGNED.sub(field, template))


@cache
def catalogue() -> dict[str, str]:
    """The Korean of every template, from all files of app/words/core."""
    found: dict[str, str] = {}
    for path in sorted(CORE_DIR.glob("*.yaml")):
        found |= load_yaml(path)
    return found
