"""Sentences for people: a template with values, so that the screen can say the same in another language.

The template is the key of its translation (app/words/core). A text without values is a plain str and its own template.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Container, Iterable, Mapping
from typing import Any, Self

PLACEHOLDER = re.compile(r"\{(\w+)(?::([^{}]*))?\}")
"""`{name}`, `{name:,}` with a format for a number, or `{name:row|rows}`: the first word where the number is 1, else the second."""


class Message(str):
    """English as a str, with the template and the values it was made of. A value may be a text itself."""

    template: str
    values: Mapping[str, Any]

    def __new__(cls, template: str, values: Mapping[str, Any]) -> Self:
        kept = {name: _plain(value) for name, value in values.items()}
        made = super().__new__(cls, fill(template, kept))
        made.template, made.values = template, kept
        return made

    def __reduce__(self) -> tuple[type[Message], tuple[str, Mapping[str, Any]]]:
        return Message, (self.template, self.values)


class Joined(str):
    """Several texts one after another, each said by itself."""

    separator: str
    parts: tuple[str, ...]

    def __new__(cls, separator: str, parts: Iterable[str]) -> Self:
        kept = tuple(map(cut, parts))
        made = super().__new__(cls, separator.join(kept))
        made.separator, made.parts = separator, kept
        return made

    def __reduce__(self) -> tuple[type[Joined], tuple[str, tuple[str, ...]]]:
        return Joined, (self.separator, self.parts)


def fill(template: str, values: Mapping[str, Any]) -> str:
    """A template with its values; braces that name no value stay, and the values are not read again."""
    return PLACEHOLDER.sub(lambda found: formatted(values[found[1]], found[2] or "") if found[1] in values else found[0], template)


def formatted(value: Any, how: str) -> str:
    """A value as a placeholder writes it; `how` is a format, or a word for one and a word for any other number."""
    one, bar, several = how.partition("|")
    return format(value, how) if not bar else one if str(value) == "1" else several


def msg(template: str, /, **values: Any) -> Message:
    """A sentence: `msg("{n} of {total:,} rows", n=3, total=5000)`, placeholders as in PLACEHOLDER."""
    return Message(template, values)


SETTING = "--set {assignment}"
"""A correction as it is typed on the command line; a page names the field instead (app/words/core_text.py)."""
ASSIGNED = re.compile(r"\b([a-z]+(?:[_.][a-z]+)*)=(\[[^\]]*\]|\{\w+(?::[^{}]*)?\}|[\w.\-]+|이름|폴더)", re.ASCII)
"""The same within a template: `label_column=NAME`."""


def setting(name: str, value: str, *, of: str = "contest") -> Message:
    """A correction that a fix advises: a setting and its value, in capitals where a person fills it in.

    `of` is what has the setting, by the name of its form's texts in app/words/screen.
    """
    return Message(SETTING, {"assignment": shlex.quote(f"{name}={value}"), "name": name, "value": value, "of": of})


def corrections(said: str, known: Container[str]) -> list[str]:
    """Every correction of a `known` setting that a text advises, as it is typed on the command line."""
    if isinstance(said, Message) and said.template == SETTING:
        return [str(said)]
    if isinstance(said, Joined):
        return list(dict.fromkeys(found for part in said.parts for found in corrections(part, known)))
    own, values = (fill(said.template, said.values), said.values.values()) if isinstance(said, Message) else (said, ())
    texts = [value for value in values if isinstance(value, Message | Joined)]
    assigned = [str(setting(name, value)) for name, value in ASSIGNED.findall(own) if name in known]
    return list(dict.fromkeys([found for text in texts for found in corrections(text, known)] + assigned))


def joined(separator: str, parts: Iterable[str]) -> Joined:
    """Texts with a separator between them, which is translated too where it has words ("; ", ", or ")."""
    return Joined(separator, parts)


def reason(problem: BaseException) -> str:
    """What a library or the operating system says of a failure, in one line."""
    if isinstance(problem, OSError) and problem.errno is not None:
        known = "{what}: {path}" if problem.filename is not None else "{what}"
        return msg(known, what=problem.strerror or type(problem).__name__, path=problem.filename)
    return " ".join(str(problem).split()) or type(problem).__name__


def to_json(said: str) -> Any:
    """A text as JSON that keeps its template and values."""
    if isinstance(said, Message):
        return {"template": said.template, "values": {name: to_json(v) if isinstance(v, str) else v for name, v in said.values.items()}}
    return {"separator": said.separator, "parts": [to_json(part) for part in said.parts]} if isinstance(said, Joined) else str(said)


def from_json(stored: Any) -> str:
    """The inverse of `to_json`; a plain str is itself."""
    if not isinstance(stored, dict):
        return str(stored)
    if "parts" in stored:
        return Joined(stored["separator"], map(from_json, stored["parts"]))
    return Message(
        stored["template"],
        {name: value if isinstance(value, int | float) else from_json(value) for name, value in stored["values"].items()},
    )


MAX_VALUE = 1000
"""Characters of a text of somebody else's (a cell, a name, a list of them) that a sentence repeats."""


def cut(text: str) -> str:
    """A text of somebody else's as sentences repeat it: a long one keeps its beginning and its end."""
    return text if len(text) <= MAX_VALUE or isinstance(text, Message | Joined) else f"{text[: MAX_VALUE - 100]} … {text[-100:]}"


def _plain(value: Any) -> Any:
    """A value that JSON keeps: NumPy's numbers as Python's, anything else than a number or a text as its text, cut."""
    value = value.item() if hasattr(value, "item") else value
    return value if isinstance(value, int | float) else cut(value if isinstance(value, str) else str(value))
