"""From the columns of a row to its text: a template, parts of columns that hold dictionaries, and typed entity markers. Imports no torch."""

import ast
import json
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeVar

import pandas as pd

from core.base.errors import InputError, RecipeError
from core.base.messages import joined, msg
from core.specs.text_settings import ComposeSettings, template_pieces

COLUMN = "col."
"""What the names of a contest's own columns begin with in the tables of its rows."""
MAX_CELL = 10_000
"""Characters of a cell that is read as a dictionary."""
N_SHOWN = 5
"""Rows that an error names."""
TOKEN = re.compile(r"\[[^\s\[\]]+\]")
PUNCTUATION = (("@ * {type} * ", " @"), ("# ^ {type} ^ ", " #"))
SPECIAL = (("[S:{type}] ", " [/S:{type}]"), ("[O:{type}] ", " [/O:{type}]"))
"""What stands before and behind the subject and the object."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Entity:
    """A span of a sentence: its characters `start` up to but not including `stop`."""

    start: int
    stop: int
    word: str
    type: str


def compose(settings: ComposeSettings, rows: pd.DataFrame) -> list[str]:
    """The text of each row, of a table with `id`, `input` and `col.<name>` for every original column.

    Raises RecipeError for a column that is not there, and InputError with the first rows whose cells cannot be read, or whose entities do
    not stand where their offsets say.
    """
    if not settings.composes:
        return rows["input"].tolist()
    pieces, columns = template_pieces(settings.full_template), columns_of(rows)
    _check_names(settings, columns)
    marked = _marked(settings, rows) if settings.markers != "none" else []
    parts: list[Sequence[str]] = []
    for literal, name in pieces:
        if not name:
            parts.append([literal] * len(rows))
        elif name == settings.marked_column and marked:
            parts.append(marked)
        else:
            column, keys = find_column(name, columns)
            parts.append(_values(rows, column, keys) if keys else _cells(rows, column))
    return ["".join(texts) for texts in zip(*parts, strict=True)]


def compose_typed(settings: ComposeSettings, text: str) -> str:
    """A text that was typed, without columns: in the place of the template's only column. It is composed already where the template names several,
    or marks entities."""
    return "".join(literal or text for literal, _ in template_pieces(settings.template)) if settings.only_column else text


def special_tokens(settings: ComposeSettings, tables: Iterable[pd.DataFrame]) -> tuple[str, ...]:
    """What a tokenizer must not cut: words of the template in square brackets, and the markers of every type that entities of the tables have.

    In a fixed order. Raises as `compose` does.
    """
    if not settings.composes:
        return ()
    found = {token: None for literal, _ in template_pieces(settings.full_template) for token in TOKEN.findall(literal)}
    if settings.markers == "special":
        frames = list(tables)
        for column, marker in zip(settings.entity_columns, SPECIAL, strict=True):
            types = {str(cell["type"]) for rows in frames for cell in _read(rows, column, _entity)}
            found |= {text.format(type=each).strip(): None for each in sorted(types) for text in marker}
    return tuple(found)


def columns_of(rows: pd.DataFrame) -> list[str]:
    """The names of the contest's own columns."""
    return [name.removeprefix(COLUMN) for name in rows.columns if name.startswith(COLUMN)]


def find_column(name: str, columns: Collection[str]) -> tuple[str, tuple[str, ...]]:
    """The column that a placeholder names, and the keys behind it: the longest column whose name it begins with, up to a dot.

    Raises RecipeError where there is none.
    """
    words = name.split(".")
    for n in range(len(words), 0, -1):
        if (column := ".".join(words[:n])) in columns:
            return column, tuple(words[n:])
    near = get_close_matches(words[0], columns, 1)
    raise RecipeError(
        "no text can be made of a column '{name}'",
        where="input.template",
        why="training and test rows have these: {names}",
        fix=msg("write {name} instead", name="{" + near[0] + "}") if near else "name one of these columns in braces",
        name=words[0],
        names=", ".join(columns),
    )


def check_columns(settings: ComposeSettings, columns: Collection[str]) -> None:
    """Raise RecipeError where texts are made of a column that is not one of these."""
    if settings.composes:
        _check_names(settings, columns)


def _check_names(settings: ComposeSettings, columns: Collection[str]) -> None:
    names = [name for _, name in template_pieces(settings.full_template) if name]
    for name in (*names, *(settings.entity_columns if settings.markers != "none" else ())):
        find_column(name, columns)


def read_dict(cell: str) -> dict[Any, Any] | None:
    """A dictionary of a cell, as JSON or as Python writes one; None where it is none. Nothing is evaluated, and a long cell is not read."""
    text = cell.strip()
    if not text.startswith("{") or len(text) > MAX_CELL:
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
        return found if isinstance(found, dict) else None
    return None


def hold_dicts(values: Sequence[str]) -> bool:
    """Whether most of these cells are dictionaries."""
    return sum(read_dict(value) is not None for value in values) * 2 > len(values)


def insert_markers(sentence: str, spans: Sequence[tuple[Entity, tuple[str, str]]]) -> str:
    """A sentence with a text before and behind each entity, whichever comes first; of two that begin together the longer one is the outer one."""
    places: list[tuple[int, bool, int, int, str]] = []
    for number, (entity, (before, behind)) in enumerate(spans):
        places.append((entity.start, True, -entity.stop, number, before.format(type=entity.type)))
        places.append((entity.stop, False, -entity.start, -number, behind.format(type=entity.type)))
    text, done = "", 0
    for place, *_, marker in sorted(places):
        text, done = text + sentence[done:place] + marker, place
    return text + sentence[done:]


def _cells(rows: pd.DataFrame, column: str) -> list[str]:
    return rows[COLUMN + column].astype("str").tolist()


def _marked(settings: ComposeSettings, rows: pd.DataFrame) -> list[str]:
    """The sentences with markers around the entities of both columns."""
    sentences = _cells(rows, settings.marked_column)
    marks = SPECIAL if settings.markers == "special" else PUNCTUATION
    of_columns: list[list[Entity]] = []
    for column in settings.entity_columns:
        found = zip(sentences, _read(rows, column, _entity), strict=True)
        of_columns.append(_each(rows, column, [_placed(sentence, cell) for sentence, cell in found]))
    return [
        insert_markers(sentence, list(zip(entities, marks, strict=True)))
        for sentence, *entities in zip(sentences, *of_columns, strict=True)
    ]


def _values(rows: pd.DataFrame, column: str, keys: tuple[str, ...]) -> list[str]:
    """What stands under these keys in the dictionaries of a column."""

    def value(found: dict[Any, Any]) -> str | Wrong:
        here: Any = found
        for key in keys:
            if not isinstance(here, dict) or key not in here:
                known = ", ".join(map(str, here)) if isinstance(here, dict) else ""
                return Wrong(msg("it has no '{key}', only {names}", key=key, names=known) if known else msg("it has no '{key}'", key=key))
            here = here[key]
        return "" if here is None else str(here)

    return _read(rows, column, value)


@dataclass(frozen=True)
class Wrong:
    """Why a row cannot be read."""

    why: str


def _read(rows: pd.DataFrame, column: str, read: Callable[[dict[Any, Any]], _T | Wrong]) -> list[_T]:
    """The cells of a column as dictionaries, each of them read; InputError with those that cannot be."""
    known: dict[str, _T | Wrong] = {}
    found: list[_T | Wrong] = []
    for cell in _cells(rows, column):
        if cell not in known:
            as_dict = read_dict(cell)
            known[cell] = Wrong(msg("{cell} is no dictionary", cell=repr(cell[:80]))) if as_dict is None else read(as_dict)
        found.append(known[cell])
    return _each(rows, column, found)


def _each(rows: pd.DataFrame, column: str, found: Sequence[_T | Wrong]) -> list[_T]:
    """What was found in every row; InputError with the first rows where that is wrong."""
    wrong = [(row, each.why) for row, each in enumerate(found) if isinstance(each, Wrong)]
    if wrong:
        ids = rows["id"].tolist()
        raise InputError(
            "{n:,} {n:row|rows} cannot be made into {n:a text|texts}",
            where="column '{column}'",
            why=joined("; ", [msg("row {id}: {what}", id=ids[row], what=why) for row, why in wrong[:N_SHOWN]]),
            fix="correct these cells and register the contest again, or take another column in input.template",
            n=len(wrong),
            column=column,
        )
    return [each for each in found if not isinstance(each, Wrong)]


def _entity(found: dict[Any, Any]) -> dict[Any, Any] | Wrong:
    missing = [name for name, kind in ENTITY_KEYS.items() if not isinstance(found.get(name), kind)]
    return Wrong(msg("an entity needs word, start_idx, end_idx and type; {names} is wrong", names=", ".join(missing))) if missing else found


ENTITY_KEYS = {"word": str, "start_idx": int, "end_idx": int, "type": str}


def _placed(sentence: str, found: dict[Any, Any]) -> Entity | Wrong:
    """The entity in its sentence; `end_idx` is the place of its last character."""
    entity = Entity(found["start_idx"], found["end_idx"] + 1, found["word"], found["type"])
    there = sentence[max(0, entity.start) : max(0, entity.stop)]
    if not entity.word or entity.start < 0 or there != entity.word:
        what = "its characters {first} to {last} are '{there}', not '{word}'"
        return Wrong(msg(what, first=entity.start, last=entity.stop - 1, there=there, word=entity.word))
    return entity
