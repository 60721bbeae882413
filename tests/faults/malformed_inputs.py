"""E1. Malformed inputs of every kind, given as a person gives them, on the command line: each is refused with a typed error.

The error says what, where and the fix, and names the file and row; no traceback is shown, and the workspace is as it was. The bug to
plant: problems that were found in rows are not raised. There is no ONNX import in the product, so ONNX is no kind here.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

from core.__main__ import main as command
from core.base.errors import PitwallError
from core.contest.inspect.draft import inspect_path
from core.contest.problems import Problems
from core.contest.register import add_contest
from core.folds import load_folds, save_folds
from core.specs.folds import FoldsSpec
from core.workspace import Workspace, open_workspace
from tests.contest.contest_folders import folder_contest, image_contest, snapshot, text_contest, write_csv
from tests.faults.fault import Given, Outcome, main
from tests.inputs.hostile_archives import HOSTILE, cut, encrypted, hostile, overlapping, wrong_content
from tests.inputs.spoiled_contests import FAULTS, FOLDER_FAULTS, SEVERAL_FAULTS, WRONG_ENCODINGS, spoil_several
from tests.inputs.spoiled_predictions import ARRAYS, CLASSES, IDS, TABLES, frame
from tests.inputs.spoiled_recipes import RECIPES
from tests.inputs.spoiled_weights import SPOILED

PER_KIND = 50
Refusal = dict[str, str]


@dataclass(frozen=True)
class Prepared:
    """A workspace with a contest that predictions can be imported into, and a folder to put inputs into."""

    workspace: Workspace
    inputs: Path

    def call(self, *arguments: str) -> Refusal | None:
        """The error of a command; None when it did its work. Anything but these two is raised."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = command(["--workspace", str(self.workspace.root), *arguments, "--json"])
        said = err.getvalue()
        if "Traceback" in said or code not in (0, 2):
            raise AssertionError(f"exit code {code}: {said}")
        return json.loads(said)["error"] if code else None


ACCEPTED = "accepted"


@dataclass(frozen=True)
class Case:
    """One malformed input: what it is, how it is given, and what the error must say."""

    name: str
    give: Callable[[], Refusal | None]
    words: list[str]


def run(given: Given) -> Outcome:
    """Give `n` malformed inputs, each kind in turn."""
    outcome, prepared = Outcome(), make_prepared(given.root)
    if given.is_mutant:
        Problems.raise_if_any = lambda self, subject: None
    for number, (kind, make) in enumerate(islice(cycle(KINDS.items()), given.n)):
        folder = prepared.inputs / str(number)
        folder.mkdir(parents=True)
        before = snapshot(prepared.workspace.root)
        case = make(given.rng, prepared, folder)
        wrong = judge(case)
        if wrong == ACCEPTED:  # its name must not be in the way of all others
            prepared.call("contest", "delete", "c", "--yes")
        if snapshot(prepared.workspace.root) != before:
            wrong = wrong or "the workspace was changed"
        if wrong:
            outcome.wrong(f"{kind}, {case.name}: {wrong}")
    return outcome


def judge(case: Case) -> str:
    """What is wrong with the answer to a malformed input; "" when nothing is."""
    try:
        error = case.give()
    except Exception as problem:  # noqa: BLE001  # whatever is raised is what this looks for
        return f"{type(problem).__name__}: {problem}"
    if error is None:
        return ACCEPTED
    if not (error["what"] and error["where"] and error["fix"]):
        return f"the error is not whole: {error}"
    missing = [words for words in case.words if words not in "\n".join(part for part in error.values() if isinstance(part, str))]
    return f"the error does not say {missing}: {error}" if missing else ""


def make_prepared(root: Path) -> Prepared:
    """A workspace with a contest of thirty texts, split in three."""
    workspace = open_workspace(root / "workspace")
    rows = [(name, f"문장 {number}", CLASSES[number % 3]) for number, name in enumerate(IDS)]
    write_csv(root / "there" / "train.csv", ("id", "text", "label"), rows)
    contest = add_contest(workspace, inspect_path(root / "there", name="there").draft)
    save_folds(workspace, contest, FoldsSpec(n_folds=3))
    return Prepared(workspace, root / "inputs")


def _contest(kind: str) -> Callable[[random.Random, Prepared, Path], Case]:
    faults = [fault for fault in FAULTS if fault.kind == kind]

    def make(rng: random.Random, prepared: Prepared, folder: Path) -> Case:
        fault = rng.choice(faults)
        row = rng.choice(fault.rows())
        root = image_contest(folder / "c")
        fault.spoil(root, row)
        return Case(f"{fault.name} in row {row}", lambda: prepared.call("contest", "add", str(root)), fault.words(row))

    return make


def _class_folders(rng: random.Random, prepared: Prepared, folder: Path) -> Case:
    name, spoil, said = rng.choice(FOLDER_FAULTS)
    root = folder_contest(folder / "c")
    spoil(root)
    return Case(name, lambda: prepared.call("contest", "add", str(root)), list(said))


def _encoding(rng: random.Random, prepared: Prepared, folder: Path) -> Case:
    name = rng.choice(sorted(WRONG_ENCODINGS))
    root = text_contest(folder / "c")
    (root / "train.csv").write_bytes(WRONG_ENCODINGS[name](rng))
    return Case(name, lambda: prepared.call("contest", "add", str(root), "--set", "test="), ["train.csv"])


def _text(rng: random.Random, prepared: Prepared, folder: Path) -> Case:
    """A contest of texts whose table is broken in a row; those of some have several classes."""
    if rng.random() < 0.3:
        name, layout, spoil_rows, said = rng.choice(SEVERAL_FAULTS)
        row = rng.randrange(200)
        spoil_several(folder / "c", row, layout, spoil_rows)
        asked = ["--set", "classes=['0', '1', '2', '3', '4', '5']"] if name == "no class" else []
        words = [each.format(line=row + 2) for each in said]
        return Case(name, lambda: prepared.call("contest", "add", str(folder / "c"), *asked), words)
    row = rng.randrange(12)
    rows = [[f"t{number}", f"리뷰 {number}", str(number % 4)] for number in range(12)]
    spoil, words = rng.choice(TEXT_FAULTS)
    spoil(rows[row])
    root = text_contest(folder / "c")
    lines = ["id,review,label", *(",".join(cells) for cells in rows)]
    (root / "train.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Case(words, lambda: prepared.call("contest", "add", str(root)), [f"train.csv line {row + 2}", words])


TEXT_FAULTS: list[tuple[Callable[[list[str]], object], str]] = [
    (lambda cells: cells.__setitem__(1, "a\0b"), "not a text file"),
    (lambda cells: cells.__setitem__(1, '"open'), "unparsable"),
    (lambda cells: cells.__setitem__(1, "one, two"), "fields where the header has"),
    (lambda cells: cells.pop(), "fields where the header has"),
    (lambda cells: cells.__setitem__(2, " "), "the label is empty"),
    (lambda cells: cells.__setitem__(2, "nan"), "is a word for a missing one"),
    (lambda cells: cells.__setitem__(0, ""), "the id is empty"),
]


def _recipe(rng: random.Random, prepared: Prepared, folder: Path) -> Case:
    name = rng.choice(sorted(RECIPES))
    make, words = RECIPES[name]
    path = folder / "recipe.yaml"
    path.write_bytes(make(rng))
    return Case(name, lambda: prepared.call("train", "there", "--recipe", str(path), "--queue"), ["recipe.yaml", words])


def _archive(rng: random.Random, prepared: Prepared, folder: Path) -> Case:
    path = folder / f"a{rng.randrange(10)}.zip"
    fill, said = rng.choice([each for each in HOSTILE if each[1] != "zip bomb" or rng.random() < 0.1])
    makes: dict[str, tuple[Callable[[], object], str]] = {
        said: (lambda: hostile(path, fill, said), said),
        "encrypted": (lambda: encrypted(path), "encrypted"),
        "overlapping": (lambda: overlapping(path), ""),
        "cut": (lambda: cut(path, rng), "cannot be extracted"),
        "wrong content": (lambda: wrong_content(path, rng), "cannot be extracted"),
        "no archive": (lambda: path.write_bytes(rng.randbytes(rng.randrange(200))), "cannot be extracted"),
    }
    name = said if rng.random() < 0.6 else rng.choice(sorted(makes))
    make, words = makes[name]
    make()
    return Case(name, lambda: prepared.call("contest", "add", str(path)), [path.name, words])


def _weights(rng: random.Random, prepared: Prepared, folder: Path) -> Case:
    """Pretrained weights that a person put into the workspace's folder for them, as a worker reads them."""
    import timm
    from safetensors.torch import save

    from core.specs.recipe import Recipe
    from core.training.failures import typed_failures
    from models.build import build_model
    from models.catalog import find_backbone
    from models.spec import ModelSpec

    backbone = find_backbone("test_resnet.r160_in1k")
    name = rng.choice(sorted(SPOILED))
    path = folder / f"{backbone.name}.safetensors"
    path.write_bytes(SPOILED[name](save(timm.create_model("test_resnet").state_dict()), rng))

    def give() -> Refusal | None:
        try:
            with typed_failures(Recipe(), "fold 0"):
                build_model(ModelSpec(backbone, 3, folder, pretrained=True))
        except PitwallError as problem:
            return problem.to_dict()
        return None

    return Case(name, give, [path.name])


def _predictions(rng: random.Random, prepared: Prepared, folder: Path) -> Case:
    """Out-of-fold predictions of a team-mate: an array or a table with something wrong in a row."""
    if rng.random() < 0.4:
        make = rng.choice(ARRAYS)
        path = folder / "a.npy"
        make(path)
        return Case(make.__name__, lambda: prepared.call("predictions", "import", "there", str(path)), ["a.npy"])
    name, row = rng.choice(sorted(TABLES)), rng.randrange(len(IDS))
    spoil, words = TABLES[name]
    path = folder / f"b{rng.choice(('.csv', '.parquet'))}"
    table = spoil(frame().assign(fold=_folds(prepared)), row)
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        mixed = [column for column in table.columns if table[column].dtype == object]
        table.astype(dict.fromkeys(mixed, str)).to_parquet(path, index=False)
    return Case(name, lambda: prepared.call("predictions", "import", "there", str(path)), [path.name, words.format(row=row)])


def _folds(prepared: Prepared) -> np.ndarray[Any, Any]:
    """The fold that validates each row."""
    from core.store.contests import get_contest
    from core.store.folds import list_folds

    store = prepared.workspace.store
    pairs = load_folds(prepared.workspace, list_folds(store, get_contest(store, "there").id)[0])
    return np.array([next(fold for fold in range(pairs.n_folds) if row in pairs.valid_idx(fold)) for row in range(len(IDS))])


KINDS: dict[str, Callable[[random.Random, Prepared, Path], Case]] = {
    "train CSV": _contest("train CSV"),
    "test CSV": _contest("test CSV"),
    "sample submission": _contest("sample submission"),
    "class folders": _class_folders,
    "encodings": _encoding,
    "YAML": _recipe,
    "zip": _archive,
    "image": _contest("image"),
    "text": _text,
    "OOF array": _predictions,
    "file names": _contest("file names"),
    "safetensors": _weights,  # last, so that a small n does without torch
}
FULL_N = PER_KIND * len(KINDS)


if __name__ == "__main__":
    sys.exit(main(run, full_n=FULL_N))
