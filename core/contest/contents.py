"""What the rows of a contest hold, read once: a hash of every content, what is damaged and stands in for it, how bright images are, copies."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from core.artefacts import load_manifest
from core.base.files import fingerprint
from core.base.messages import from_json, joined, msg, setting, to_json
from core.contest.csv_table import column_of
from core.contest.files import ContestFiles
from core.contest.image_pass import Checked, Progress, blank, check_images, what_can_be_read
from core.contest.inspect.sources import Check
from core.contest.rows import Part, Rows
from core.contest.table import STAND_INS, labels_of
from core.data.compose import COLUMN, hold_dicts
from core.data.images import level_of
from core.specs.contest import ContestSpec
from core.store.contests import Contest
from core.workspace import Workspace

N_EXAMPLES = 3
N_LOOKED_AT = 100
N_CHUNK = 10_000


def keys_of_texts(rows: Rows) -> Iterator[int]:
    """What `find_copies` compares texts by: where columns hold dictionaries, such as entities of the text, by these too."""
    columns = [name for name in rows.train.frame.columns if name.startswith(COLUMN)]
    told = [name for name in columns if hold_dicts(rows.train.frame[name].iloc[:N_LOOKED_AT].tolist())]
    for part in (rows.train, rows.test):
        for cells in zip(part.frame["input"], *(part.frame[name] for name in told if name in part.frame), strict=True):
            yield int.from_bytes(hashlib.blake2b("\n".join(cells).encode("utf-8"), digest_size=8).digest())


@dataclass
class Contents:
    """The rows with the column sha256, and the contest's settings with what the pass over its images found out.

    `dropped` (n_train,) are the rows that are left out. `stand_ins` are images that take the place of damaged ones, by their path in the
    contest's artefact; `damaged` says which and why. `found` is what a person should read.
    """

    spec: ContestSpec
    train: pd.DataFrame
    test: pd.DataFrame
    dropped: NDArray[np.bool_]
    stand_ins: dict[str, bytes] = field(default_factory=dict[str, bytes])
    damaged: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    found: list[Check] = field(default_factory=list[Check])

    def facts(self) -> dict[str, Any]:
        """What is kept of it in the artefact's manifest."""
        found = [[check.key, to_json(check.value), to_json(check.detail), check.level] for check in self.found]
        return {"damaged": self.damaged, "found": found}


def found_at_registration(workspace: Workspace, contest: Contest) -> tuple[Check, ...]:
    """What registration found in a contest's rows; nothing for one that an earlier version registered. Raises CheckpointError."""
    found = load_manifest(workspace.absolute(contest.path)).facts.get("found", ())
    return tuple(Check(key, from_json(value), from_json(detail), level) for key, value, detail, level in found)


def read_contents(files: ContestFiles, spec: ContestSpec, rows: Rows, progress: Progress | None = None) -> Contents:
    """Hash every text, or decode every image; what is wrong and nobody chose for becomes a problem of `rows`."""
    n_train = len(rows.train.frame)
    contents = Contents(spec, rows.train.frame, rows.test.frame, np.zeros(n_train, dtype=np.bool_))
    if spec.modality == "text":
        n_rows = n_train + len(rows.test.frame)
        if progress:
            progress(0, n_rows)
        contents.train, contents.test = (_with_sha256(part.frame, map(_hash_of, part.frame["input"])) for part in (rows.train, rows.test))
        if progress:
            progress(n_rows, n_rows)
    else:
        names = [name for name in dict.fromkeys([*rows.train.frame["input"], *rows.test.frame["input"]]) if name]
        checked = dict(zip(names, check_images([files.root / name for name in names], progress), strict=True))
        contents.train = _checked_part(contents, files.root, rows, "train", checked)
        contents.test = _checked_part(contents, files.root, rows, "test", checked)
        _find_white_level(contents, checked)
    labels = labels_of(contents.train, len(spec.classes))
    # A file that cannot be read has no hash and is no copy of another one: it is refused.
    hashes = (int(sha256[:16] or "0", 16) for frame in (contents.train, contents.test) for sha256 in frame["sha256"])
    keys = keys_of_texts(rows) if spec.modality == "text" else hashes
    checks, contradicting = find_copies(contents.train, contents.test, labels, spec, keys=keys, dropped=contents.dropped)
    contents.found += checks
    if spec.copies == "leave_out":
        contents.dropped |= contradicting
    return contents


def rows_fingerprint(modality: str, train: pd.DataFrame, test: pd.DataFrame) -> str:
    """The identity of a contest's rows: ids and contents in their order. Labels, classes, groups, metric, names and places are none of it.

    Of each part the `fingerprint` of its ids and hashes goes into that of the whole.
    """
    return fingerprint({"kind": "rows", "modality": modality, "train": _part_fingerprint(train), "test": _part_fingerprint(test)})


def _part_fingerprint(frame: pd.DataFrame) -> str:
    """`fingerprint` of {"id": [...], "sha256": [...]}, computed piece by piece: the whole document would be larger than the rows."""
    digest = hashlib.sha256()
    for before, column in (('{"id":[', "id"), ('],"sha256":[', "sha256")):
        digest.update(before.encode())
        for start in range(0, len(frame), N_CHUNK):
            cells = column_of(frame, column).iloc[start : start + N_CHUNK].tolist()
            digest.update((b"," if start else b"") + json.dumps(cells, ensure_ascii=False, separators=(",", ":"))[1:-1].encode())
    digest.update(b"]}")
    return digest.hexdigest()


def _hash_of(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _with_sha256(frame: pd.DataFrame, hashes: Iterator[str]) -> pd.DataFrame:
    """A frame with the hashes before the columns of the file."""
    position = sum(not column.startswith("col.") for column in frame.columns)
    chunks: list[pa.Array] = []
    while some := list(islice(hashes, N_CHUNK)):
        chunks.append(pa.array(some, type=pa.large_string()))
    column = pd.Series(pd.array(pa.chunked_array(chunks, type=pa.large_string()), dtype="str"), index=frame.index)
    frame = frame.copy(deep=False)
    frame.insert(position, "sha256", column)
    return frame


def _checked_part(contents: Contents, root: Path, rows: Rows, name: str, checked: dict[str, Checked]) -> pd.DataFrame:
    """The rows of one part with the hash of what their networks read; notes what is damaged."""
    part: Part = rows.train if name == "train" else rows.test
    hashes: list[str] = []
    choices = Counter[str]()
    examples: list[str] = []
    for row, file in enumerate(part.frame["input"]):
        result = checked.get(file, Checked())
        hashes.append(result.sha256)
        if not result.what:
            continue
        choice, stand_in = _stand_in(contents.spec, name, root / file, result)
        if choice == "refuse":
            line = part.line(row)
            where, what = (file, result.what) if line is None else (part.file_of(row), joined(": ", [file, result.what]))
            rows.problems.add(
                where,
                what,
                fix_of_damaged(contents.spec, name, result.fix) if result.sha256 else result.fix,
                row=line,
                column=part.input_column,
            )
            continue
        if name == "train" and choice == "leave_out":
            contents.dropped[row] = True
        facts = {"part": name, "row": row, "file": file, "sha256": result.sha256, "why": to_json(result.what), "choice": choice}
        if stand_in:
            hashes[-1] = hashlib.sha256(stand_in).hexdigest()
            facts["stand_in"] = f"{STAND_INS}/{hashes[-1][:16]}.png"
            contents.stand_ins[facts["stand_in"]] = stand_in
        contents.damaged.append(facts)
        choices[choice] += 1
        examples.append(joined(": ", [file, result.what]))
    for choice, n in choices.items():
        contents.found.append(Check(f"damaged_{name}", msg(CHOSEN[choice], n=n), joined("; ", examples[:N_EXAMPLES]), "warning"))
    return _with_sha256(part.frame, iter(hashes))


CHOSEN = {
    "leave_out": "images that cannot be read, whose rows are left out: {n:,}",
    "blank": "images that cannot be read, with a grey image in their place: {n:,}",
    "repair": "damaged images of which what can be read is used: {n:,}",
}


def _stand_in(spec: ContestSpec, name: str, path: Path, result: Checked) -> tuple[str, bytes | None]:
    """What was chosen for a damaged image, and what stands in for it; "refuse" where the choice cannot be followed."""
    choice = spec.damaged_train if name == "train" else spec.damaged_test
    if choice == "repair":
        stand_in = what_can_be_read(path)
        return ("repair", stand_in) if stand_in else ("refuse", None)
    return choice if result.sha256 else "refuse", blank() if choice == "blank" else None


def fix_of_damaged(spec: ContestSpec, name: str, fix: str) -> str:
    """What a person can do about a damaged image of the part `name`: `fix` the file, or one of the choices that the contest's settings have."""
    if name == "train":
        choice, instead = spec.damaged_train, msg("or leave its row out: {field}", field=setting("damaged_train", "leave_out"))
    else:
        choice, instead = spec.damaged_test, msg("or predict it from a grey image: {field}", field=setting("damaged_test", "blank"))
    fixes = [fix, instead]
    if choice != "repair":
        fixes.append(msg("or take what can be read of it: {field}", field=setting(f"damaged_{name}", "repair")))
    return joined("; ", fixes)


def _find_white_level(contents: Contents, checked: dict[str, Checked]) -> None:
    """The white level of images of more than eight bits, where nobody set it: that of the deepest."""
    levels = Counter(level_of(result.most) for result in checked.values() if result.most)
    if not levels:
        return
    if not contents.spec.white_level:
        contents.spec = contents.spec.model_copy(update={"white_level": max(levels)})
    contents.found.append(white_check(contents.spec.white_level, levels))


def white_check(level: float, levels: Counter[float]) -> Check:
    """What is said of images of more than eight bits, by the white level of each."""
    counts = ", ".join(f"{level:g}: {n:,}" for level, n in sorted(levels.items()))
    what = msg("images of more than 8 bits, by the white level that holds their values: {counts}; all are scaled alike", counts=counts)
    return Check("white_level", f"{level:g}", what, "warning" if len(levels) > 1 else "note")


def find_copies(
    train: pd.DataFrame,
    test: pd.DataFrame,
    labels: NDArray[np.integer],
    spec: ContestSpec,
    *,
    keys: Iterable[int],
    dropped: NDArray[np.bool_] | None = None,
) -> tuple[list[Check], NDArray[np.bool_]]:
    """What is said of rows whose content is equal, and which training rows (n,) are copies of others with another label.

    `keys` are 64 bits of a hash of every content, of training and then of test. `dropped` rows (n,) are not looked at.
    """
    n = len(train)
    codes = np.unique(np.fromiter(keys, dtype=np.uint64, count=n + len(test)), return_inverse=True)[1]
    label_of = np.unique(labels, axis=0, return_inverse=True)[1].reshape(-1) if labels.ndim > 1 else labels
    looked_at = np.ones(n, dtype=np.bool_) if dropped is None else ~dropped
    mine = codes[:n][looked_at]
    n_rows = np.bincount(mine, minlength=int(codes.max(initial=-1)) + 1)
    n_labels = np.bincount(np.unique(np.stack([mine, label_of[looked_at]]), axis=1)[0], minlength=len(n_rows))
    differing, alike = np.flatnonzero(n_labels > 1), np.flatnonzero((n_rows > 1) & (n_labels == 1))
    contradicting = looked_at & (n_labels[codes[:n]] > 1)
    in_test = n_rows[codes[n:]] > 0
    ids, test_ids = column_of(train, "id"), column_of(test, "id")

    def examples(some: NDArray[np.int64]) -> Iterator[str]:
        for code in some[:N_EXAMPLES]:
            mine = np.flatnonzero(looked_at & (codes[:n] == code))[:N_EXAMPLES]
            theirs = np.flatnonzero(codes[n:] == code)[:N_EXAMPLES]
            yield " = ".join(
                [*(f"{test_ids.iloc[row]}" for row in theirs), *(f"{ids.iloc[row]} ({_said(labels[row], spec)})" for row in mine)]
            )

    checks: list[Check] = []
    if len(differing):
        left = (
            "they are left out"
            if spec.copies == "leave_out"
            else msg("they are kept; to leave them out: {field}", field=setting("copies", "leave_out"))
        )
        what = msg("training rows that are copies with different labels: {n:,}", n=int(contradicting.sum()))
        checks.append(Check("copies", what, joined("; ", [left, *examples(differing)]), "warning"))
    if len(alike):
        what = msg("training rows that are copies with equal labels: {n:,}", n=int(n_rows[alike].sum()))
        checks.append(Check("copies", what, joined("; ", examples(alike)), "note"))
    if in_test.any():
        what = msg("test rows that are copies of training rows: {n:,}", n=int(in_test.sum()))
        checks.append(Check("copies", what, joined("; ", examples(np.unique(codes[n:][in_test]))), "warning"))
    return checks, contradicting


def _said(label: Any, spec: ContestSpec) -> str:
    if not spec.is_multilabel:
        return spec.classes[int(label)] if label >= 0 else "?"
    return ", ".join(spec.classes[index] for index in np.flatnonzero(label))
