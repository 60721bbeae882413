"""Which column of a table is what: the image path or the text, the id, the label; each guess with its reason."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

import pandas as pd

from core.base.errors import InputError
from core.base.files import nfc
from core.base.messages import joined, msg, setting
from core.contest.csv_table import ID_NAME, column_of, index_columns
from core.contest.files import IMAGE_SUFFIXES, SPELLINGS, ContestFiles, clean, suffix_of, without_suffix
from core.contest.inspect.sources import Answers, Guess, Understanding, role_of
from core.data.compose import hold_dicts

N_LOOKED_AT = 300
LABEL_NAME = re.compile(
    r"(.*[_ \-.])?(label|labels|class|classes|target|category|answer|ans|y|gt|sentiment|emotion|라벨|레이블|정답|분류|클래스|감정|감성)",
    re.IGNORECASE,
)
TEXT_NAME = re.compile(
    r"(.*[_ \-.])?(text|texts|document|doc|review|sentence|sentences|comment|content|contents|title|headline|utterance|query|question|body|article|message"
    r"|tweet|description|summary|abstract|premise|hypothesis|문장|본문|리뷰|내용|제목|댓글|발화|텍스트|설명|요약|전제|가설)[_ \-]?([a-d]|\d)?",
    re.IGNORECASE,
)
GROUP_NAME = re.compile(
    r"(.*[_ \-.])?(person|patient|user|subject|group|source|speaker|author|session|cluster|device|scene|video|site|store|customer|사람|환자|사용자|작성자)"
    r"([_ \-.]?id)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ImageColumn:
    """A column whose values name images: the folder they start from, the share of looked-at values found, and of those found as they stand."""

    column: str
    base: str
    share: float
    also: tuple[str, ...]
    exact: float = 0.0


def find_image_column(files: ContestFiles, frame: pd.DataFrame, role: str, columns: list[str]) -> ImageColumn | None:
    """The column whose values name images, at least half of them: one with suffixes before bare ids; None when there is none."""
    found = [find_image_base(files, frame, column, role) for column in columns]
    usable = [item for item in found if item.share >= 0.5]
    if usable:
        return max(usable, key=lambda item: (_looks_like_paths(frame, item.column) >= 0.5, item.exact, item.share))
    linked = {column: [files.is_behind_link(clean(value)) for value in _some(frame, column)] for column in columns if files.links}
    named = [
        column
        for column in columns
        if _looks_like_paths(frame, column) >= 0.5 or sum(linked.get(column, ())) * 2 > len(linked.get(column, ()))
    ]
    return ImageColumn(named[0], "", 0.0, ()) if named else None


def find_image_base(files: ContestFiles, frame: pd.DataFrame, column: str, role: str) -> ImageColumn:
    """Look for the folder below which a column's values are images; among equals one of the table's own role, then the shallowest."""
    values = _some(frame, column)
    bases: Counter[str] = Counter()
    for spell in (str, *SPELLINGS.values()):
        for path in filter(None, map(clean, values)):
            keys = files.spelled_like(path)
            forms = [(key, form) for key in keys for form in (key, without_suffix(key)) if spell(f"/{form}").endswith(spell(f"/{path}"))]
            bases.update({"/".join(key.split("/")[: -len(path.split("/"))]) for key, _ in forms})
        if bases and max(bases.values()) > len(values) / 2:
            break
    most = max(bases.values(), default=0)
    best = sorted((base for base, count in bases.items() if count == most), key=lambda base: (role_of(base) != role, base.count("/"), base))
    base = best[0] if best else ""
    exact = sum(isinstance(files.find_image(value, base), str) for value in values)
    found = exact if exact == len(values) else sum(_is_found(files, value, base) for value in values)
    n = max(len(values), 1)
    return ImageColumn(column, base, found / n, tuple(best[1:4]), exact / n)


def _is_found(files: ContestFiles, value: str, base: str) -> bool:
    match = files.find_image(value, base)
    return isinstance(match, str) or (not match and len(files.find_near(value, base)[0]) == 1)


def _looks_like_paths(frame: pd.DataFrame, column: str) -> float:
    values = _some(frame, column)
    return sum(suffix_of(clean(value)) in IMAGE_SUFFIXES for value in values) / max(len(values), 1)


def _some(frame: pd.DataFrame, column: str) -> list[str]:
    """Some values of a column, evenly from its whole length, without empty ones."""
    values: list[str] = column_of(frame, column).iloc[:: max(1, len(frame) // N_LOOKED_AT)].tolist()
    return [value for value in values if value.strip()]


def guess_id(home: pd.DataFrame, tables: list[pd.DataFrame], sample: pd.DataFrame | None, image_column: str) -> Guess:
    """The column that names rows: the one that holds the sample submission's ids or is called like its first, else one named like an id."""
    first = str(sample.columns[0]) if sample is not None else ""
    ids = set(column_of(sample, first)) if sample is not None else set[str]()
    same = [str(name) for name in home.columns if ids and ids == set(column_of(home, name))]
    called = [name for frame in tables for name in map(str, frame.columns) if first and name.lower() == first.lower()]
    if called and (not same or called[0] in same):
        why = (
            "the first column of the sample submission" if called[0] == first else "the first column of the sample submission, but for case"
        )
        return Guess(called[0], why)
    if same:
        return Guess(same[0], "it holds the ids of the sample submission")
    index = index_columns(home)
    named = [name for name in map(str, home.columns) if ID_NAME.fullmatch(name) and name != image_column and name not in index]
    named = named or [name for name in index if image_column not in home.columns]
    unique = [name for name in named if column_of(home, name).is_unique]
    if unique:
        return Guess(unique[0], _with_others("named like an id, and no value appears twice", unique[1:4]), "note" if unique[1:] else "ok")
    if image_column in home.columns and column_of(home, image_column).is_unique:
        return Guess(image_column, "the image names tell the rows apart")
    if named:
        return Guess("", msg("'{column}' is named like an id but repeats values: rows are numbered from 0", column=named[0]), "warning")
    return Guess("", "no column is named like an id: rows are numbered from 0", "note")


def guess_label(
    train: pd.DataFrame, test: pd.DataFrame | None, sample: pd.DataFrame | None, taken: set[str], group_column: str = ""
) -> Guess:
    """The column with the class; `taken` are columns that are something else. Raises InputError when no column is left.

    Where it is no more than a guess, it is not the person's `group_column`.
    """
    found = _guess_label(train, test, sample, taken)
    is_weak = found.level == "warning" and found.value == group_column
    return _guess_label(train, test, sample, taken | {group_column}) if is_weak else found


def _guess_label(train: pd.DataFrame, test: pd.DataFrame | None, sample: pd.DataFrame | None, taken: set[str]) -> Guess:
    columns = [name for name in train.columns if name not in taken]
    if not columns:
        raise InputError(
            "there is no label column",
            where="train",
            why="columns: {names}; {taken} name the rows and the input",
            fix="name it with label_column=NAME",
            names=", ".join(train.columns),
            taken=", ".join(sorted(taken)),
        )
    asked = asked_label(train, sample, columns)
    if asked is not None:
        return asked
    only_train = [name for name in columns if test is not None and name not in test.columns]
    if len(only_train) == 1:
        return Guess(only_train[0], "the only column that the test does not have")
    pool = only_train or columns
    named = [name for name in pool if LABEL_NAME.fullmatch(name)]
    if named:
        return Guess(named[0], _with_others("named like a label", named[1:4]), "warning" if named[1:] else "ok")
    n_distinct = {name: len(set(column_of(train, name))) for name in pool}
    few = [name for name in pool if 2 <= n_distinct[name] <= max(20, len(train) // 10)]
    chosen = few[-1] if few else pool[-1]
    others = sorted((name for name in pool if name != chosen), key=lambda name: n_distinct[name])
    why = joined("; ", [msg("{n:,} different {n:value|values}", n=n_distinct[chosen]), "no column is named like a label"])
    why = joined("; ", [_with_others(why, others[:6]), "correct with label_column=NAME"])
    return Guess(chosen, why, "warning")


def _with_others(why: str, others: list[str]) -> str:
    """A reason, and the columns that would have done as well."""
    return joined("; ", [why, msg("also possible: {names}", names=", ".join(others))]) if others else why


def asked_label(train: pd.DataFrame, sample: pd.DataFrame | None, columns: list[str]) -> Guess | None:
    """The one of `columns` that the sample submission asks for, by its name or by its values; None when it says nothing."""
    answers = [nfc(name) for name in sample.columns[1:]] if sample is not None else []
    called = [name for name in columns if len(answers) == 1 and name.lower() == answers[0].lower()]
    if called:
        name = answers[0] if answers[0] in called else called[0]
        return Guess(name, "the column that the sample submission asks for")
    matching = [name for name in columns if len(answers) > 1 and set(map(nfc, column_of(train, name).unique())) == set(answers)]
    return Guess(matching[0], "its values are the columns of the sample submission") if matching else None


def guess_text(train: pd.DataFrame, test: pd.DataFrame | None, taken: set[str]) -> Guess:
    """The columns that hold text: all that are named so or read like it, else the longest. Raises InputError when no column holds text."""
    columns = [str(name) for name in train.columns if name not in taken and (test is None or name in test.columns)]
    looked_at = {name: _some(train, name) for name in columns}
    length = {name: sum(map(len, values)) / max(len(values), 1) for name, values in looked_at.items()}
    texts = [name for name in columns if not _mostly_numbers(looked_at[name])]
    if not texts:
        raise InputError(
            "no column holds a text or names an image",
            where="train",
            why="columns: {names}; looked for image paths, then for text",
            fix="name it with input_columns=NAME; image paths must lead to files in the folder",
            names=", ".join(train.columns),
        )
    dicts = [name for name in texts if hold_dicts(looked_at[name])]
    named = [name for name in texts if TEXT_NAME.fullmatch(name) and name not in dicts]
    found = [name for name in texts if name in named or (name not in dicts and _reads_like_text(looked_at[name]))]
    found = found or [max(texts, key=lambda name: length[name])]
    longest = max(found, key=lambda name: length[name])
    said = [
        msg("named like a text, {n:.0f} characters on average" if longest in named else "{n:.0f} characters on average", n=length[longest])
    ]
    if len(found) > 1:
        said = [
            msg("{n} columns hold text, joined by a line break", n=len(found)),
            msg("to read one alone: input_columns=[{name}]", name=longest),
        ]
    if dicts:
        said.append(
            msg("{names} {n:holds|hold} dictionaries, whose parts a recipe can take (input.template)", names=", ".join(dicts), n=len(dicts))
        )
    is_plain = len(found) == 1 and not dicts and (longest in named or len(texts) == 1)
    return Guess(", ".join(found), joined("; ", said), "ok" if is_plain else "note", tuple(found))


def _reads_like_text(values: list[str]) -> bool:
    """Values of several words, hardly any of them twice."""
    return sum(len(value.split()) for value in values) >= 4 * len(values) and len(set(values)) * 2 > len(values) > 0


def _mostly_numbers(values: list[str]) -> bool:
    return sum(bool(re.fullmatch(r"[-+]?[\d.,]+(e[-+]?\d+)?", value.strip())) for value in values) > len(values) / 2 if values else True


def names_like_data(frame: pd.DataFrame) -> str:
    """A column name that looks like a cell (a number above numbers, a whole sentence); "" when names look like names."""
    names = [str(name) for name in frame.columns]
    numbers = [name for name in names if _mostly_numbers([name]) and _mostly_numbers(_some(frame, name))] if len(names) < 10 else []
    return next((name[:80] for name in names if len(name) > 60 or name in numbers), "")


def group_candidates(train: pd.DataFrame, taken: set[str]) -> list[str]:
    """Columns that are named and repeat as a person, source or session does; for a note, nothing more."""
    named = {name: column_of(train, name).nunique() for name in train.columns if name not in taken and GROUP_NAME.fullmatch(name)}
    return [msg("{column} ({n:,} values)", column=name, n=n) for name, n in named.items() if 2 <= n <= len(train) / 1.5]


def group_parts(paths: list[str], n_skipped: int) -> list[str]:
    """Folder levels of image paths that may be a person or source; `n_skipped` leading parts are known to be something else."""
    parents = [PurePosixPath(clean(value)).parent.parts[n_skipped:] for value in paths]
    found: list[str] = []
    for level in range(max((len(parts) for parts in parents), default=0)):
        names = {parts[level] for parts in parents if len(parts) > level}
        if 2 <= len(names) <= len(parents) / 1.5:
            found.append(
                msg(
                    "folder level {level} of the paths ({n:,} names, such as {name})",
                    level=n_skipped + level + 1,
                    n=len(names),
                    name=min(names),
                )
            )
    return found


def asked_inputs(answers: Answers, frame: pd.DataFrame) -> list[str]:
    return [name for name in answers["input_columns"] if name in frame.columns] if "input_columns" in answers else []


def settle_inputs(so_far: Understanding, make: Callable[[], Guess]) -> None:
    """Settle the input columns, which may be several."""
    if "input_columns" in so_far.answers:
        so_far.values["input_columns"] = tuple(so_far.answers["input_columns"])
        so_far.note("input_columns", ", ".join(so_far.values["input_columns"]), "your answer")
    else:
        guess = make()
        so_far.values["input_columns"] = guess.names or (guess.value,)
        so_far.note("input_columns", guess.value, guess.reason, guess.level)


def settle_bases(
    so_far: Understanding, files: ContestFiles, image: ImageColumn, test_name: str, test: pd.DataFrame | None, sample: pd.DataFrame | None
) -> None:
    """The folders that image paths start from, for training and, where it differs, for the test."""
    root = so_far.settle("image_root", lambda: base_guess(image, "image_root"))
    found: ImageColumn | None = None
    if test is not None and image.column in test.columns:
        found = find_image_base(files, test, image.column, "test")
    elif not test_name and sample is not None:
        found = find_image_base(files, sample, str(sample.columns[0]), "test")
    if found is not None and found.share and found.base != root:
        so_far.settle("test_image_root", lambda: base_guess(found, "test_image_root"))


def modality_guess(image: ImageColumn | None, files: ContestFiles) -> Guess:
    if image is None:
        others = [msg("the folder has {n:,} images all the same", n=len(files.images))] if files.images else []
        return Guess("text", joined("; ", ["no column names images", *others]), "warning" if others else "ok")
    level = "ok" if image.share > 0.99 else "warning"
    return Guess(
        "image", msg("{share:.0%} of the looked-at values of '{column}' are images here", share=image.share, column=image.column), level
    )


def image_guess(image: ImageColumn) -> Guess:
    if image.share == 0:
        return Guess(image.column, "its values are named like images, but none of them is in the folder", "warning")
    return Guess(
        image.column,
        msg("{share:.0%} of the looked-at values are images here", share=image.share),
        "ok" if image.share > 0.99 else "warning",
    )


def base_guess(image: ImageColumn, name: str) -> Guess:
    where = msg("paths start from {folder}", folder=image.base or "the contest folder")
    if image.also:
        others = ", ".join(base or "the contest folder" for base in image.also)
        possible = msg("equally possible: {names}", names=others)
        return Guess(image.base, joined("; ", [where, possible, msg("correct with {field}", field=setting(name, "FOLDER"))]), "warning")
    return Guess(image.base, where)


def note_groups(so_far: Understanding, found: list[str]) -> None:
    if found:
        so_far.note("groups", joined("; ", found), "rows that share one may have to stay in one fold", "note")
