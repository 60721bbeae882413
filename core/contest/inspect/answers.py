"""What a person corrects: `setting=value` assignments over a contest's spec, read by the type of each setting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from core.base.errors import InputError
from core.base.files import nfc
from core.base.messages import msg
from core.base.settings import load_yaml
from core.specs.contest import ContestSpec

Answers = Mapping[str, Any]
LISTS = ("input_columns", "classes")
SPACE = "space"
"""How a person may write the separator that is one."""


def parse_answers(sets: Iterable[str]) -> dict[str, Any]:
    """Read `label_column=ans` and the like; lists are YAML (`[title, body]`) or one bare name.

    Values of text settings are taken as they are typed, so that `id_column=1` names the column "1"; the separator of labels may be
    written `space`. Raises InputError for a setting that a contest does not have.
    """
    answers: dict[str, Any] = {}
    known = [name for name in ContestSpec.model_fields if name != "root"]
    for assignment in sets:
        name, separator, text = (part.strip() for part in assignment.partition("="))
        if not separator or name not in known:
            what = (
                msg("'{name}' is not a setting of a contest", name=name)
                if separator
                else msg("'{assignment}' is not an assignment", assignment=assignment)
            )
            raise InputError(
                what, where="--set", why="settings: {names}", fix="write for example --set label_column=ans", names=", ".join(known)
            )
        answers[name] = _list(text, name) if name in LISTS else _text(text)
        if name == "label_separator" and answers[name] == SPACE:
            answers[name] = " "
    return answers


def _text(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return nfc(text[1:-1] if quoted else text)


def _list(text: str, name: str) -> tuple[str, ...]:
    if not text.startswith("["):
        return (_text(text),) if text else ()
    value = load_yaml(text, where=msg("--set {name}", name=name))
    if not isinstance(value, list) or any(isinstance(item, (list, dict)) or item is None for item in value):
        raise InputError(
            "{name} is a list of names",
            where="--set {name}",
            why="got {text}",
            fix="write for example --set '{name}=[a, b]'",
            name=name,
            text=text,
        )
    # YAML reads [01, yes] as a number and a truth; names are taken as typed where that changes them.
    typed = [item.strip() for item in text[1:-1].split(",")] if text.endswith("]") else []
    plain = len(typed) == len(value) and not any(character in text for character in "'\"")
    return tuple(nfc(item) for item in typed) if plain else tuple(nfc(str(item)) for item in value)
