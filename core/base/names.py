"""The one rule for names that a person gives, of contests, runs, blends, plans and submissions; and names of files that are made of them."""

import re
from collections.abc import Iterable
from itertools import count
from typing import Annotated

from pydantic import AfterValidator

from core.base.errors import InputError
from core.base.files import nfc

NAME_LENGTH, NOTE_LENGTH = 60, 2000
RULE = "a name has 1 to 60 characters that can be seen, and blanks between them"
FIX = "write another name: 1 to 60 characters that can be seen, and blanks between them"

FILE_BYTES = 255
"""The longest name of a file, in bytes, that common file systems take."""
ASIDE_BYTES = 32
"""What a file's name needs beside its own while it is written (`core.base.files.written_aside`)."""


def tidy_name(text: str) -> str:
    """A name as it is kept: NFC, one blank between words, none around them. ValueError, with the rule, for what cannot be a name."""
    name = nfc(" ".join(text.split()))
    if not 1 <= len(name) <= NAME_LENGTH or not name.isprintable():
        raise ValueError(RULE)
    return name


Name = Annotated[str, AfterValidator(tidy_name)]
"""A setting that is a name."""


def check_name(text: str) -> str:
    """`tidy_name` of what a person typed; raises InputError."""
    try:
        return tidy_name(text)
    except ValueError:
        name = " ".join(text.split())
        why = "it is empty" if not name else "it is longer than 60 characters" if name.isprintable() else "it has an invisible character"
        raise InputError("this cannot be a name", where="name {name}", why=why, fix=FIX, name=repr(text[: 2 * NAME_LENGTH])) from None


def check_note(text: str) -> str:
    """A note as a person typed it; raises InputError for a long one."""
    if len(text) > NOTE_LENGTH:
        why = "it has {n:,} characters, the limit is {limit:,}"
        raise InputError(
            "this note is too long", where="note", why=why, fix="write less, or name a file in it", n=len(text), limit=NOTE_LENGTH
        )
    return text


def name_from(text: str, otherwise: str) -> str:
    """A name made of what something else is called, such as a folder: without what cannot be seen, and cut; `otherwise` where nothing is left."""
    return tidy_name("".join(sign if sign.isprintable() else " " for sign in nfc(text))[:NAME_LENGTH].strip() or otherwise)


def unused_name(name: str, taken: Iterable[str]) -> str:
    """`name`, or "name-2", "name-3" and so on where it is taken."""
    known = set(taken)
    numbered = (f"{name[: NAME_LENGTH - len(str(number)) - 1]}-{number}" for number in count(2))
    return name if name not in known else next(other for other in numbered if other not in known)


def file_name(*names: str, suffix: str = "") -> str:
    """A file's name made of names: other signs than letters, digits, `.`, `-` and `_` become a dash, and what is too long for a disk is cut."""
    stem = re.sub(r"[^\w.\-]+", "-", nfc("-".join(names))).strip("-.") or "unnamed"
    room = FILE_BYTES - ASIDE_BYTES - len(suffix.encode())
    return stem.encode()[:room].decode(errors="ignore") + suffix


def unused_file_name(name: str, taken: Iterable[str]) -> str:
    """`file_name(name)`, numbered where one of `taken` is the same to a file system that does not tell cases apart."""
    known = {each.casefold() for each in taken}
    suffixes = ("" if number == 1 else f"-{number}" for number in count(1))
    return next(free for suffix in suffixes if (free := file_name(name, suffix=suffix)).casefold() not in known)
