"""How much English is left of a text that a Korean screen shows."""

from __future__ import annotations

import re

from app.words.core_text import korean
from core.base.errors import PitwallError

THREE_WORDS = re.compile(r"\b[a-z]+ [a-z]+ [a-z]+\b")
"""So many English words in a row are a sentence that nobody put into Korean."""
QUOTED = re.compile(r"'[^']*'|`[^`]*`")
HANGUL = re.compile("[가-힣]")


def english_in(text: str) -> list[str]:
    """The English sentences that are left of a text on a Korean screen."""
    return THREE_WORDS.findall(QUOTED.sub("", korean(text)))


def english_of(error: PitwallError) -> list[str]:
    """The English sentences that are left of an error, and what happened where no Hangul tells it."""
    left = [words for text in error.parts.values() for words in english_in(text)]
    return left if HANGUL.search(korean(error.what)) else [*left, error.what]
