"""How much English is left of a text that a Korean screen shows."""

from __future__ import annotations

import re

from app.words.core_text import Reading, read
from core.base.errors import PitwallError

WORD = re.compile(r"(?<![\w=./'`-])[A-Za-z]{2,}(?![\w=./'`-])")
UNITS = {"kB", "MB", "GB"}
THREE_WORDS = re.compile(r"\b[a-z]+ [a-z]+ [a-z]+\b")
"""So many English words in a row are a sentence that nobody put into Korean."""
QUOTED = re.compile(r"'[^']*'|`[^`]*`")
HANGUL = re.compile("[가-힣]")


def english_left(reading: Reading) -> set[str]:
    """The words of a Korean text that no entry put there."""
    meant = {word for entry in reading.entries for word in re.findall(r"[A-Za-z]+", entry.ko)}
    return set(WORD.findall(reading.text)) - meant - UNITS


def english_of(error: PitwallError) -> list[str]:
    """The English sentences that are left of an error on a Korean screen, and what happened where no Hangul tells it."""
    left = [
        words for text in (error.what, error.where, error.why, error.fix) for words in THREE_WORDS.findall(QUOTED.sub("", read(text).text))
    ]
    return left if HANGUL.search(read(error.what).text) else [*left, error.what]
