"""What core says, in the language of the screen: core speaks English, here its sentences are recognised and said in Korean.

app/words/core holds each sentence as core composes it, `en: "{run} has no recipe"`. A value may be marked with what it is:
`:said` may be a sentence of core or one of its words, `:known` must be; the others are in KINDS. What is not recognised stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import yaml

from app.words.text import language

CORE_DIR = Path(__file__).with_name("core")
WORDS_FILE = "words"
VALUE = re.compile(r"\{(\w+)(?::(\w+))?\}")
KINDS = {
    "": r".*?",
    "said": r".*?",
    "known": r".+?",
    "word": r"\S+?",
    "number": r"[-+\d.,]+%?",
    "numbers": r"\d+(?:, \d+)*",
    "ref": r"[a-z]\d+",
    "file": r"[\w./-]+\.\w+",
}
JOINTS = re.compile(r"(; |, or |, (?=no ))")
"""What core puts between sentences."""
SAID_JOINTS = {"; ": "; ", ", or ": "; 또는 ", ", ": ", "}
MOST_JOINTS = 6
"""How many of them, and of colons, a single sentence is taken to hold."""
MOST_CHARS = 4000
"""A longer sentence is a person's text, and stays as it is."""


@dataclass(frozen=True)
class Entry:
    """A sentence of core: its English template, the Korean for it, and how much of the English is its own words."""

    en: str
    ko: str
    pattern: re.Pattern[str]
    kinds: Mapping[str, str]
    longest: str
    n_own: int


@dataclass(frozen=True)
class Reading:
    """What a text was read as: the Korean text, and the entries that were found in it (none: it stays as it is)."""

    text: str
    entries: tuple[Entry, ...] = ()

    @property
    def n_own(self) -> int:
        """How many characters were recognised as core's own; of several readings the one with most is right."""
        return sum(entry.n_own for entry in self.entries)


def say(text: str) -> str:
    """A text of core in the language of the screen."""
    return text if language() == "en" else read(text).text


def say_word(text: str) -> str:
    """A word of core, or a text, in the language of the screen: for places that never hold a word of a person."""
    return text if language() == "en" else read_word(text).text


@lru_cache(maxsize=4096)
def read(text: str) -> Reading:
    """Read a text of core: one sentence, or several in lines or joined as core joins them."""
    lines = [_read_line(line) for line in text.split("\n")]
    return Reading("\n".join(line.text for line in lines), tuple(entry for line in lines for entry in line.entries))


def _read_line(line: str) -> Reading:
    """Cut a line at the joints so that most of it is recognised: a sentence may have a joint of its own inside."""
    parts = JOINTS.split(line)
    n = len(parts)
    best: dict[int, Reading] = {n + 1: Reading("")}
    for start in range(n - 1, -1, -2):
        for end in range(min(n, start + 2 * MOST_JOINTS + 1), start, -2):
            first, rest = _read_sentence("".join(parts[start:end])), best[end + 1]
            joint = SAID_JOINTS[parts[end]] if end < n else ""
            reading = Reading(first.text + joint + rest.text, first.entries + rest.entries)
            if start not in best or reading.n_own > best[start].n_own:
                best[start] = reading
    return best[0] if best[0].entries else Reading(line)


@lru_cache(maxsize=4096)
def _read_sentence(text: str) -> Reading:
    if len(text) > MOST_CHARS:
        return Reading(text)
    return max(_readings(text), key=lambda reading: reading.n_own, default=Reading(text))


def _readings(text: str) -> Iterator[Reading]:
    for entry in _entries():
        if entry.longest in text and (found := entry.pattern.fullmatch(text)):
            given = found.groupdict()
            values = {
                name: read_word(given[name]) if kind in ("said", "known") else Reading(given[name]) for name, kind in entry.kinds.items()
            }
            if all(value.entries for name, value in values.items() if entry.kinds[name] == "known"):
                inner = tuple(each for value in values.values() for each in value.entries)
                yield Reading(fill(entry.ko, {name: value.text for name, value in values.items()}), (entry, *inner))
    if text.count(": ") > MOST_JOINTS:
        return
    for colon in re.finditer(": ", text):  # such as `train.csv line 3: the label is empty`
        what = _read_sentence(text[colon.end() :])
        if what.entries:
            where = read_word(text[: colon.start()])
            yield Reading(f"{where.text}: {what.text}", where.entries + what.entries)


def read_word(text: str) -> Reading:
    """Read a value that may be a word of core as well as a sentence."""
    word = _words().get(text)
    return Reading(word.ko, (word,)) if word else read(text)


def fill(template: str, values: Mapping[str, str]) -> str:
    """A template with its values; the values are not read again, whatever braces they hold."""
    return VALUE.sub(lambda value: values[value[1]], template)


@cache
def load_catalogue() -> dict[str, tuple[Entry, ...]]:
    """Every entry by the file in app/words/core that holds it."""
    files: dict[str, tuple[Entry, ...]] = {}
    for path in sorted(CORE_DIR.glob("*.yaml")):
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        pairs = found.items() if isinstance(found, dict) else ((entry["en"], entry["ko"]) for entry in found)
        files[path.stem] = tuple(_entry(en, ko) for variants, ko in pairs for en in ([variants] if isinstance(variants, str) else variants))
    return files


@cache
def _entries() -> tuple[Entry, ...]:
    return tuple(entry for file, entries in load_catalogue().items() if file != WORDS_FILE for entry in entries)


@cache
def _words() -> dict[str, Entry]:
    return {entry.en: entry for entry in load_catalogue()[WORDS_FILE]}


def _entry(en: str, ko: str) -> Entry:
    own = VALUE.sub("\0", en).split("\0")
    pattern, end = "", 0
    for value in VALUE.finditer(en):
        pattern += f"{re.escape(en[end : value.start()])}(?P<{value[1]}>{KINDS[value[2] or '']})"
        end = value.end()
    kinds = {value[1]: value[2] or "" for value in VALUE.finditer(en)}
    return Entry(en, ko, re.compile(pattern + re.escape(en[end:])), kinds, max(own, key=len), sum(map(len, own)))
