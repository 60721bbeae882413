"""A class and its spellings: blanks around it, `1.0` for `1`, and what the sample submission calls it."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from core.base.errors import InputError
from core.base.files import INVISIBLE, bare_text, nfc
from core.base.messages import msg
from core.base.names import check_name
from core.contest.csv_table import column_of

WHOLE = re.compile(r"(-?[0-9]+)\.0*")
UNSEEN = dict.fromkeys(map(ord, INVISIBLE))


def class_key(text: str) -> str:
    """What all spellings of a class have in common: NFC, single blanks inside and none around, no invisible sign, a whole number without `.0`."""
    key = " ".join(nfc(text).translate(UNSEEN).split())
    whole = WHOLE.fullmatch(key)
    return whole[1] if whole else key


def read_class_names(given: Iterable[str], classes: Sequence[str], shown: Sequence[str]) -> tuple[str, ...]:
    """What classes are called on the screen after texts such as "0=very bad": a name for each, `shown` before; "0=" takes a name back.

    Raises InputError for a class that is not there, and where two classes would have one name.
    """
    names = dict(zip(classes, shown, strict=True))
    for text in given:
        found = max((name for name in classes if text.startswith(f"{name}=")), key=len, default=None)
        if found is None:
            raise InputError(
                "'{text}' names no class",
                where="names of classes",
                why="the classes are {names}",
                fix="write the class, an equals sign and its name: {name}=…",
                text=text,
                names=", ".join(classes),
                name=classes[0],
            )
        name = text[len(found) + 1 :].strip()
        names[found] = check_name(name) if name and name != found else found
    twice = [name for name, n in Counter(names.values()).items() if n > 1]
    if twice:
        raise InputError(
            "two classes cannot have one name",
            where="names of classes",
            why="twice: {names}",
            fix="give each class a name of its own",
            names=", ".join(twice),
        )
    return tuple(names.values())


def class_finder(names: Sequence[str]) -> Callable[[str], int]:
    """Gives the place of the class that a text names, -1 for none: to the letter, else by `class_key` where only one name has that key."""
    exact = {nfc(name): place for place, name in enumerate(names)}
    n_of_key = Counter(map(class_key, names))
    by_key = {class_key(name): place for place, name in enumerate(names) if n_of_key[class_key(name)] == 1}
    return lambda text: exact.get(nfc(text), by_key.get(class_key(text), -1))


def one_name(spellings: Counter[str]) -> dict[str, str]:
    """For each spelling (with its rows) the name of its class: without blanks around it, and where a class has several, the plainest or usual one."""
    of_key: dict[str, Counter[str]] = {}
    for spelling, rows in spellings.items():
        of_key.setdefault(class_key(spelling), Counter())[bare_text(spelling)] += rows
    is_mixed = any(len(names) > 1 and key in names for key, names in of_key.items())
    chosen = {key: key if is_mixed else max(names, key=lambda name, names=names: (names[name], name)) for key, names in of_key.items()}
    return {spelling: chosen[class_key(spelling)] for spelling in spellings}


@dataclass(frozen=True)
class Naming:
    """What a submission calls the classes: a name for each, in their order, and why; a guess where only their places speak for it."""

    names: tuple[str, ...]
    reason: str
    is_guess: bool = False


def namings(classes: Sequence[str], columns: Mapping[str, Sequence[str]]) -> Iterator[Naming]:
    """What the classes may be called, the likeliest first. `columns` are names for each class that columns of the training table have."""
    yield Naming(tuple(classes), "as the training table has them")
    for column, names in columns.items():
        yield Naming(tuple(names), msg("as the column '{column}' of the training table has them", column=column))
    if all(WHOLE.fullmatch(name) or name.isdigit() for name in classes):
        yield Naming(tuple(map(class_key, classes)), "as whole numbers")
        yield Naming(tuple(f"{class_key(name)}.0" for name in classes), "as decimal numbers")
    for change in (str.lower, str.upper, str.title, str.capitalize):
        yield Naming(tuple(map(change, classes)), "in other letters, upper or lower case")
    for start in (0, 1):
        names = tuple(str(start + place) for place in range(len(classes)))
        yield Naming(names, msg("by their place in this order, from {start}", start=start), is_guess=True)


def naming_of_values(values: Sequence[str], classes: Sequence[str], columns: Mapping[str, Sequence[str]]) -> Naming | None:
    """The first of `namings` that has every value (distinct, NFC) that a sample submission shows; None where none has."""
    known = [naming for naming in namings(classes, columns) if len(set(naming.names)) == len(classes)]
    if len(values) < 2 and all(WHOLE.fullmatch(name) or name.isdigit() for name in classes):
        known = [naming for naming in known if not naming.is_guess]  # one number beside other numbers is a stand-in rather than a place
    exact = (naming for naming in known if set(naming.names).issuperset(values))
    alike = (naming for naming in known if set(map(class_key, naming.names)).issuperset(map(class_key, values)))
    return next(exact, None) or next(alike, None)


def naming_of_columns(header: Sequence[str], classes: Sequence[str], columns: Mapping[str, Sequence[str]]) -> Naming | None:
    """The columns of a sample submission that are named like the classes, whatever their case, or with equal text before or after each."""
    of_key = {class_key(name).casefold(): name for name in header}
    if len(of_key) < len(header):
        of_key = {class_key(name): name for name in header}
    for naming in namings(classes, columns):
        keys = [class_key(name).casefold() if class_key(name) not in of_key else class_key(name) for name in naming.names]
        first = keys[0]
        for column in (first, *of_key):
            before, found, after = column.partition(first)
            around = [f"{before}{key}{after}" for key in keys]
            if found and len(set(around)) == len(keys) and all(name in of_key for name in around):
                reason = naming.reason if column == first else msg("as in '{column}'", column=of_key[column])
                return Naming(tuple(of_key[name] for name in around), reason, naming.is_guess)
    return None


def count_values(values: Iterable[str], most: int) -> int:
    """How many different values there are, counted up to `most`: of texts a set of all would be as large as the table."""
    seen: set[str] = set()
    for value in values:
        seen.add(value)
        if len(seen) == most:
            break
    return len(seen)


def code_columns(train: pd.DataFrame, label: str, classes: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Other columns of a training table that have one value for each class and another one for each: codes beside names."""
    if label not in train.columns:
        return {}
    find = class_finder(classes)
    places = column_of(train, label).map(find)
    found: dict[str, tuple[str, ...]] = {}
    for name in train.columns:
        if name == label or count_values(column_of(train, name), len(classes) + 1) != len(classes):
            continue
        pairs = {(place, nfc(value).strip()) for place, value in zip(places, column_of(train, name), strict=True) if place >= 0}
        if len(pairs) == len(classes) == len({place for place, _ in pairs}):
            found[str(name)] = tuple(value for _, value in sorted(pairs))
    return found
