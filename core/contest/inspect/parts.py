"""What stands beside the training rows: labels in a table of their own, and labelled rows that are handed out for validation."""

from collections.abc import Sequence

import pandas as pd

from core.base.messages import joined, msg, setting
from core.contest.files import ContestFiles
from core.contest.inspect.columns import LABEL_NAME
from core.contest.inspect.sources import Guess, is_tabular, role_of
from core.contest.rows import CAME_FROM, class_folders, folder_key, join_column


def guess_valid(files: ContestFiles, layout: str, train: str, needed: Sequence[str]) -> Guess | None:
    """Labelled rows that are handed out beside the training rows, as a folder of the same classes or a table with the `needed` columns.

    None when nothing is named like valid. Other tables that are named like the training table and hold what it holds are offered, not taken.
    """
    inside = folder_key(train) + "/" if folder_key(train) else ""
    if layout == "folders":
        named = [
            key for key in files.folders if role_of(key) == "valid" and files.images_under(key) and not (inside and key.startswith(inside))
        ]
        classes = set(class_folders(files, train))
        fits = [key for key in named if (names := set(class_folders(files, key))) and 2 * len(names & classes) >= len(names)]
        named = [key for key in named if key.rpartition("/")[0] != folder_key(train)]  # else it is a class
        n_rows = len(files.images_under(fits[0])) if fits else 0
    else:
        named = [key for key in files.tables() if role_of(key) == "valid" and is_tabular(files, key)]
        fits = [key for key in named if set(needed).issubset(files.table(key).frame.columns)]
        n_rows = len(files.table(fits[0]).frame) if fits else 0
    if not fits:
        if not named:
            return _other_parts(files, train, needed) if layout == "csv" else None
        return Guess("", msg("{name} does not have what the training rows have: it is left out", name=named[0]), "warning")
    if layout == "csv" and _stand_in(files.table(fits[0]).frame, files.table(train).frame, list(needed)):
        return Guess("", msg("all rows of {name} stand in {train} already: it is left out", name=fits[0], train=train), "note")
    why = "{n:,} labelled {n:row|rows} beside the training rows {n:is|are} trained on too; column '{column}' says where a row came from, for folds that follow it"
    return Guess(fits[0], msg(why, n=n_rows, column=CAME_FROM), "warning")


def _other_parts(files: ContestFiles, train: str, needed: Sequence[str]) -> Guess | None:
    """What to do where the training rows stand in several tables, such as train_1 and train_2; None where they do not."""
    named = [key for key in files.tables() if key != train and role_of(key) == "train" and is_tabular(files, key)]
    rows = files.table(train).frame
    tables = [(key, files.table(key).frame) for key in named]
    parts = [key for key, frame in tables if set(needed).issubset(frame.columns) and not _stand_in(frame, rows, list(needed))]
    if not parts:
        return None
    if len(parts) == 1:
        why = msg(
            "{file} has the columns of {train}: to train on its rows too, {field}",
            file=parts[0],
            train=train,
            field=setting("valid", parts[0]),
        )
        return Guess("", why, "warning")
    why = "{names} have the columns of {train}: to train on their rows too, write all into one table"
    return Guess("", msg(why, names=", ".join(parts[:5]), train=train), "warning")


def _stand_in(rows: pd.DataFrame, others: pd.DataFrame, columns: list[str]) -> bool:
    """Whether all rows of a table stand in another one, by some columns."""
    if not set(columns).issubset(others.columns):
        return False
    known = set(others[columns].itertuples(index=False, name=None))
    return all(row in known for row in rows[columns].itertuples(index=False, name=None))


def guess_train_labels(files: ContestFiles, train: str, test: pd.DataFrame | None) -> Guess | None:
    """The table with the labels, where the training table has no column beside those of the test, or none named like a label."""
    own = files.table(train).frame
    lacks = set(own.columns) <= set(test.columns) if test is not None else not any(LABEL_NAME.fullmatch(name) for name in own.columns)
    named = [key for key in files.tables() if key != train and role_of(key) in ("train", "") and is_tabular(files, key)] if lacks else []
    tables = [(key, files.table(key).frame) for key in named]
    fits = [key for key, frame in tables if join_column(own, frame) and set(frame.columns) - set(own.columns)]
    if not fits:
        return None
    key = join_column(own, files.table(fits[0]).frame)
    why = msg("the training table has no label; joined to it by the column '{column}'", column=key)
    return Guess(
        fits[0],
        joined(
            "; ",
            [
                why,
                msg("also possible: {names}", names=", ".join(fits[1:5])),
                msg("correct with {field}", field=setting("train_labels", "NAME")),
            ],
        )
        if fits[1:]
        else why,
        "warning" if fits[1:] else "note",
    )
