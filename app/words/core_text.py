"""What core says, in the language of the screen. Core speaks English in templates with values (core/base/messages.py).

app/words/core holds the Korean for each template. In the Korean, `{name:said}` marks a value that is itself looked up.
"""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from app.words.text import language
from core.base.messages import PLACEHOLDER, Joined, Message, formatted

CORE_DIR = Path(__file__).with_name("core")
SEPARATORS = {", or ": "; 또는 ", " and ": ", ", " or ": " 또는 "}


def say(said: str) -> str:
    """A text of core in the language of the screen; one that has no translation stays as it is."""
    return said if language() == "en" else korean(said)


def korean(said: str) -> str:
    """A text of core in Korean."""
    if isinstance(said, Joined):
        return SEPARATORS.get(said.separator, said.separator).join(map(korean, said.parts))
    if not isinstance(said, Message):
        return catalogue().get(said, said)
    template = catalogue().get(said.template, said.template)

    def value(name: str, how: str) -> str:
        found: Any = said.values[name]
        if isinstance(found, Message | Joined) or how == "said":
            return korean(str(found) if not isinstance(found, str) else found)
        return formatted(found, how)

    return PLACEHOLDER.sub(lambda hole: value(hole[1], hole[2] or "") if hole[1] in said.values else hole[0], template)


@cache
def catalogue() -> dict[str, str]:
    """The Korean of every template, from all files of app/words/core."""
    found: dict[str, str] = {}
    for path in sorted(CORE_DIR.glob("*.yaml")):
        found |= yaml.safe_load(path.read_text(encoding="utf-8"))
    return found
