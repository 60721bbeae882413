"""All labels of a row in one cell of a submission, in the style of the contest's sample: `0,3`, `joy|relief`, `["joy", "relief"]`."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from core.base.files import nfc
from core.contest.csv_table import MISSING_CELLS
from core.contest.labels import is_bracketed

QUOTES = ("'", '"')
MARKS = (",", "|", ";", "/", "+", "&")
SEPARATORS = (" ", "\t", *MARKS, *(f"{mark} " for mark in MARKS), *(f" {mark} " for mark in MARKS))
QUOTED = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""")


@dataclass(frozen=True)
class CellStyle:
    """What stands around a cell's labels, between them, and around each of them; `is_guess` where no sample shows it."""

    opening: str = ""
    closing: str = ""
    separator: str = " "
    quote: str = ""
    is_guess: bool = False


PLAIN = CellStyle()


def read_style(cells: Iterable[str], classes: Sequence[str], separator: str = "") -> CellStyle:
    """The style of a sample's cells: of the first that holds several of the classes, else of the first that is not empty.

    Where no cell holds several, `separator` stands between them; without one, a sign that is part of no class.
    """
    known = set(map(nfc, classes))
    first: CellStyle | None = None
    for cell in dict.fromkeys(nfc(cell).strip() for cell in cells):
        if cell in MISSING_CELLS:
            continue
        shape = PLAIN if cell in known else _shape(cell)
        first = first or shape
        for candidate in () if cell in known else filter(None, (separator, *SEPARATORS)):
            style = replace(shape, separator=candidate, closing=shape.closing or (candidate if cell.endswith(candidate) else ""))
            names = read_cell(cell, style)
            if len(names) > 1 and known.issuperset(names):
                return style
    first = first or PLAIN
    return replace(first, separator=separator or _free_separator(first, classes), is_guess=True)


def write_cell(names: Iterable[str], style: CellStyle) -> str:
    """A row's labels in one cell; none are an empty cell, or empty brackets. One in parentheses is a tuple, as Python writes it: `('joy',)`."""
    names = list(names)
    if style.quote:
        names = [style.quote + re.sub(rf"([\\{style.quote}])", r"\\\1", name) + style.quote for name in names]
    if not names and not style.opening:
        return ""
    end = "," if style.opening == "(" and style.quote and len(names) == 1 else ""
    return style.opening + style.separator.join(names) + end + style.closing


def read_cell(cell: str, style: CellStyle) -> tuple[str, ...]:
    """The labels in a cell, as the contest would take it apart. A cell of another style is one label, that no class has."""
    if not cell:
        return ()
    if not (cell.startswith(style.opening) and cell.endswith(style.closing) and len(cell) >= len(style.opening + style.closing)):
        return (cell,)
    inside = cell[len(style.opening) : len(cell) - len(style.closing)]
    if not inside:
        return ()
    if not style.quote:
        return tuple(inside.split(style.separator))
    names: list[str] = []
    place = 0
    while (found := QUOTED.match(inside, place)) is not None:
        names.append(re.sub(r"\\(.)", r"\1", found[0][1:-1], flags=re.DOTALL))
        if inside[found.end() :] in ("", ",") and (style.opening == "(" or found.end() == len(inside)):
            return tuple(names)
        if not inside.startswith(style.separator, found.end()):
            break
        place = found.end() + len(style.separator)
    return (cell,)


def _shape(cell: str) -> CellStyle:
    opening, closing = (cell[0], cell[-1]) if is_bracketed(cell) else ("", "")
    inside = cell[len(opening) : len(cell) - len(closing)]
    quote = inside[:1] if inside[:1] in QUOTES and inside[-1:] in QUOTES else ""
    return CellStyle(opening, closing, quote=quote)


def _free_separator(style: CellStyle, classes: Sequence[str]) -> str:
    """What Python and JSON write in brackets; else the first usual sign that is part of no class."""
    usual = (", ",) if style.opening or style.quote else ()
    return next((mark for mark in (*usual, " ", ",", "|", ";") if style.quote or not any(mark in name for name in classes)), " ")
